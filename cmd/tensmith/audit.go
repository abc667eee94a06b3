package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/tensmith/tensmith/audit"
)

func auditCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit verify [flags] FILE",
		Short: "verify a log of what was done to models",
		Long: `Every verb that writes adds an entry to the log that --audit names: who, when,
the arguments, the inputs and outputs with their SHA-256, and what came of it.
Each entry has the hash of the one before it.

Exit status: 0 for this text; that of tensmith audit verify otherwise.`,
		Example: "  tensmith convert model.pt --audit audit.jsonl\n  tensmith audit verify audit.jsonl",
		Args:    subverb,
		RunE:    func(cmd *cobra.Command, args []string) error { return cmd.Help() },
	}
	expect := ""
	verify := &cobra.Command{
		Use:   "verify [flags] FILE",
		Short: "say whether a log is as it was written, and which line is not",
		Long: `Verify a log of --audit: that no line was changed, removed or put in, and name
the first that was. Lines that a crash has torn are told, and are no fault where
the next entry says so.

A chain does not show that its end was cut off, or that all of it was written
anew: keep the head that is printed, at a place that who writes the log cannot
change, and give it to --expect-head later.

FILE may be - for standard input.

A log without an entry shows nothing, and is trouble, unless the expected head
is that of an empty one: 64 zeros.

Exit status: 0 it is as it was written, 1 a line is not, or the expected head is
not in it, 2 it could not be read, or has no entries.`,
		Example: `  tensmith audit verify audit.jsonl
  tensmith audit verify --expect-head "$(cat head.txt)" audit.jsonl`,
		Args: args(1, 1, "FILE"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.auditVerify(args[0], expect) },
	}
	verify.Flags().StringVar(&expect, "expect-head", "", "a `HASH` that was the head once, and must be in the log")
	verify.Flags().SortFlags = false
	verify.DisableFlagsInUseLine = true
	cmd.AddCommand(verify)
	return cmd
}

// An auditJSON is the answer of audit verify.
type auditJSON struct {
	Schema   string   `json:"schema"`
	Path     string   `json:"path"`
	Valid    bool     `json:"valid"`
	Line     uint64   `json:"line,omitempty"` // the first that is broken
	Message  string   `json:"message,omitempty"`
	Entries  uint64   `json:"entries"`
	Head     string   `json:"head"`
	Time     string   `json:"time,omitempty"` // of the last entry
	Torn     []uint64 `json:"torn"`
	Expected string   `json:"expected_head,omitempty"`
	Since    *int64   `json:"entries_since,omitempty"`
}

func (a *app) auditVerify(name, expect string) error {
	if sum, err := hex.DecodeString(expect); expect != "" && (err != nil || len(sum) != 32 || hex.EncodeToString(sum) != expect) {
		return hinted{usagef("--expect-head is %q, no hash of 64 digits", expect), "it is what `tensmith audit verify` prints as head"}
	}
	in := a.stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return simplify(name, err)
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return simplify(name, err)
		}
		m := a.meter("verifying", info.Size())
		defer m.end()
		in = io.TeeReader(f, countTo{m})
	}
	s, err := audit.Verify(in, expect)
	d := auditJSON{Schema: "tensmith.audit/1", Path: name, Valid: err == nil, Entries: s.Entries, Head: s.Head, Time: s.Time, Torn: s.Torn, Expected: expect}
	if d.Torn == nil {
		d.Torn = []uint64{}
	}
	if expect != "" && s.Since >= 0 {
		d.Since = &s.Since
	}
	switch broken, ok := errors.AsType[*audit.BrokenError](err); {
	case ok:
		d.Line, d.Message = broken.Line, broken.Reason
	case err != nil:
		return simplify(name, err)
	case expect != "" && s.Since < 0:
		d.Valid, d.Message = false, "the expected head is not in it: it was cut off, or is another log"
		err = errors.New(d.Message)
	case expect == "" && s.Entries == 0:
		err := fmt.Errorf("%s: has no entries, so nothing was verified", name)
		if name == "-" {
			return err
		}
		return hinted{err, "--audit " + quoted(name) + " of a verb that writes adds one"}
	}
	if e := a.printAudit(&d); e != nil {
		return e
	}
	if err != nil {
		a.fail("audit verify", fmt.Errorf("%s: %w", name, err))
		return errNo
	}
	return nil
}

// countTo is where bytes are counted.
type countTo struct{ m *meter }

func (c countTo) Write(p []byte) (int, error) {
	c.m.add(int64(len(p)))
	return len(p), nil
}

func (a *app) printAudit(d *auditJSON) error {
	switch {
	case a.isJSON():
		return a.printJSON(d)
	case a.format == "tsv":
		s := a.sheet("path", "valid", "line", "message", "entries", "head", "torn")
		s.row(d.Path, d.Valid, d.Line, d.Message, d.Entries, d.Head, d.Torn)
		return s.flush()
	}
	for _, line := range d.Torn {
		a.words("note: line %d was torn by a crash; the next entry says so", line)
	}
	if !d.Valid {
		return nil // of a log that is not whole no head is to be kept
	}
	if !a.quiet {
		fmt.Fprintf(a.stdout, "%s: %s\n", harmless(d.Path), entries(d.Entries))
		if d.Since != nil {
			a.words("%s since the expected head", entries(uint64(*d.Since)))
		}
	}
	_, err := fmt.Fprintf(a.stdout, "head %s\n", d.Head)
	return err
}

func entries(n uint64) string {
	if n == 1 {
		return "1 entry"
	}
	return group(int64(n)) + " entries"
}
