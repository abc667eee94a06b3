package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tensmith/tensmith/conformance"
	"github.com/tensmith/tensmith/safetensors"
)

func conformanceCommand(a *app) *cobra.Command {
	var grader conformance.Grader
	var command string
	var list bool
	cmd := &cobra.Command{
		Use:   "conformance [flags]",
		Short: "grade a reader of safetensors",
		Long: `Run a program over a few hundred small files, each with one feature or one
failure of the format, and compare its verdicts with those of the reference
implementation. The program gets the path of a file for {} and answers by its
exit status: 0 it reads the file, 1 it refuses it. No shell takes part. One that
gives no answer in time is ended, with what it has started; of its output 4 KiB
are kept.

Without --exec the reader of this program is graded, to the bytes it reads.
Exit status: 0 conforms, 1 does not, 2 the program could not be run.`,
		Example: `  tensmith conformance --exec 'my-reader --check {}'
  tensmith conformance --exec 'python3 reader.py {}' --timeout 30s --json
  tensmith conformance --list`,
		Args: args(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case list:
				return a.listVectors(grader.Large)
			case command == "" && cmd.Flags().Changed("exec"):
				return usagef("--exec is empty")
			case grader.Timeout <= 0:
				return usagef("--timeout is %v, and must be more than 0", grader.Timeout)
			case command == "":
				report, err := gradeOurs(cmd.Context(), grader.Large)
				return a.printGrades("tensmith", report, err)
			}
			words, err := conformance.Words(command)
			if err != nil {
				return usagef("--exec: %v", err)
			}
			if !slices.ContainsFunc(words, func(w string) bool { return strings.Contains(w, "{}") }) {
				return usagef("--exec %q has no {} for the path of the file", command)
			}
			grader.Args = words
			if _, err := exec.LookPath(words[0]); err != nil && !strings.Contains(words[0], "{}") {
				if e, ok := errors.AsType[*exec.Error](err); ok {
					err = e.Err
				}
				return hinted{simplify(words[0], err), "--exec runs a program, not a line of shell: sh -c '…' is one"}
			}
			n := 0
			for range vectors(false) {
				n++ // making the large ones takes long
			}
			m := a.counter("grading", n)
			grader.Each = func(conformance.Result) { m.add(1) }
			report, err := grader.Grade(cmd.Context())
			m.end()
			return a.printGrades(command, report, err)
		},
	}
	f := cmd.Flags()
	f.StringVar(&command, "exec", "", "the program to grade, as `COMMAND` with {} for the file")
	f.DurationVar(&grader.Timeout, "timeout", 10*time.Second, "wait so much `TIME` for one answer")
	f.BoolVar(&grader.Large, "large", false, "add the large files, which take time and memory")
	f.BoolVar(&list, "list", false, "list the files and what is expected")
	return cmd
}

func vectors(large bool) iter.Seq[conformance.Vector] {
	return func(yield func(conformance.Vector) bool) {
		for v := range conformance.Vectors() {
			if !yield(v) {
				return
			}
		}
		if !large {
			return
		}
		for v := range conformance.LargeVectors() {
			if !yield(v) {
				return
			}
		}
	}
}

func verdict(v conformance.Vector) string {
	if v.Accept {
		return "accept"
	}
	return "refuse"
}

func (a *app) listVectors(large bool) error {
	type vector struct {
		Schema    string `json:"schema,omitempty"` // not in a list
		Name      string `json:"name"`
		Expect    string `json:"expect"`
		Class     string `json:"class,omitempty"`
		Reference string `json:"reference"`
		Why       string `json:"why"`
	}
	list := []vector{}
	schema := ""
	if a.format == "jsonl" {
		schema = "tensmith.conformance/1"
	}
	for v := range vectors(large) {
		list = append(list, vector{schema, v.Name, verdict(v), string(v.Class), v.Reference, v.Why})
	}
	switch a.format {
	case "json":
		return a.printJSON(struct {
			Schema  string   `json:"schema"`
			Vectors []vector `json:"vectors"`
		}{"tensmith.conformance/1", list})
	case "jsonl":
		return printLines(a, slices.Values(list))
	case "tsv":
		s := a.sheet("name", "expect", "class", "reference", "why")
		for _, v := range list {
			s.row(v.Name, v.Expect, v.Class, v.Reference, v.Why)
		}
		return s.flush()
	}
	tab := table{a: a, give: 3}
	for _, v := range list {
		tab.row(v.Name, v.Expect, v.Class, v.Why)
	}
	return tab.flush()
}

// gradeOurs grades the reader of this program: unlike a Grader it sees what is
// read, and so compares tensors and metadata, too.
func gradeOurs(ctx context.Context, large bool) (report conformance.Report, err error) {
	for v := range vectors(large) {
		if err := ctx.Err(); err != nil {
			return report, err
		}
		start := time.Now()
		r := conformance.Result{Vector: v, Outcome: conformance.Agree, Exit: "accepted"}
		data := v.Bytes()
		f, err := safetensors.NewFile(bytes.NewReader(data), int64(len(data)))
		switch {
		case err != nil && v.Accept:
			r.Outcome, r.Exit = conformance.RejectsGood, err.Error()
		case err != nil:
			r.Exit = err.Error()
		case !v.Accept:
			r.Outcome = conformance.AcceptsBad
		case v.Tensors != nil:
			if err := sameContent(f, v); err != nil {
				r.Outcome, r.Exit = conformance.RejectsGood, err.Error()
			}
		}
		r.Elapsed = time.Since(start)
		report.Results = append(report.Results, r)
	}
	return report, nil
}

// sameContent compares a file with what a vector says is in it.
func sameContent(f *safetensors.File, v conformance.Vector) error {
	if f.Len() != len(v.Tensors) || !maps.Equal(f.Metadata(), v.Metadata) {
		return fmt.Errorf("%d tensors and %d metadata keys, not %d and %d", f.Len(), len(f.Metadata()), len(v.Tensors), len(v.Metadata))
	}
	for _, want := range v.Tensors {
		t, err := f.Tensor(want.Name)
		if err != nil {
			return err
		}
		h := sha256.New()
		if _, err := t.WriteTo(h); err != nil {
			return err
		}
		if sum := hex.EncodeToString(h.Sum(nil)); t.DType.String() != want.DType || !slices.Equal(t.Shape, want.Shape) || sum != want.SHA256 {
			return fmt.Errorf("tensor %s is read as %s %s, SHA-256 %s", want.Name, t.DType, shape(t.Shape), sum)
		}
	}
	return nil
}

var outcomes = []conformance.Outcome{conformance.Agree, conformance.Lenient, conformance.AcceptsBad, conformance.RejectsGood, conformance.Crash}

func (a *app) printGrades(program string, report conformance.Report, err error) error {
	if err != nil {
		return err
	}
	type disagreement struct {
		Vector  string              `json:"vector"`
		Outcome conformance.Outcome `json:"outcome"`
		Expect  string              `json:"expect"`
		Class   conformance.Class   `json:"class,omitempty"`
		Why     string              `json:"why"`
		Exit    string              `json:"exit"`
		Output  string              `json:"output"`
	}
	list := []disagreement{}
	for _, r := range report.Results {
		if r.Outcome != conformance.Agree {
			v := r.Vector
			list = append(list, disagreement{v.Name, r.Outcome, verdict(v), v.Class, v.Why, r.Exit, r.Output})
		}
	}
	counts := map[conformance.Outcome]int{}
	var words []string
	for _, o := range outcomes {
		counts[o] = report.Count(o)
		words = append(words, fmt.Sprintf("%d %s", counts[o], o))
	}
	conforms := report.Conforms()
	switch a.format {
	case "json", "jsonl":
		err = a.printJSON(struct {
			Schema        string                      `json:"schema"`
			Program       string                      `json:"program"`
			Conforms      bool                        `json:"conforms"`
			Vectors       int                         `json:"vectors"`
			Counts        map[conformance.Outcome]int `json:"counts"`
			Disagreements []disagreement              `json:"disagreements"`
		}{"tensmith.conformance/1", program, conforms, len(report.Results), counts, list})
	case "tsv":
		s := a.sheet("outcome", "vector", "expect", "class", "exit", "why")
		for _, d := range list {
			s.row(string(d.Outcome), d.Vector, d.Expect, string(d.Class), d.Exit, d.Why)
		}
		err = s.flush()
	default:
		tab := table{a: a, give: 2}
		for _, d := range list {
			st := red
			if d.Outcome == conformance.Lenient {
				st = yellow
			}
			exit := "" // of an answer the outcome tells
			if !strings.HasPrefix(d.Exit, "exit status ") || d.Outcome == conformance.Crash {
				exit = safe(shorten(d.Exit, 80))
			}
			tab.row(cell{string(d.Outcome), st}, d.Vector, d.Why, exit)
		}
		if err = tab.flush(); err != nil {
			return err
		}
		answer := a.paint(green, "conforms")
		if !conforms {
			answer = a.paint(red, "does not conform")
		}
		_, err = fmt.Fprintf(a.stdout, "%s: %s: %s\n", plural(len(report.Results), "vector"), strings.Join(words, ", "), answer)
	}
	if err == nil && !conforms {
		err = errNo
	}
	return err
}
