package main

import (
	"archive/zip"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tensmith/tensmith/pickle"
)

func pickleCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "pickle FILE",
		Short: "list the opcodes of a pickle, running nothing",
		Long: `List the opcodes of a Python pickle as python -m pickletools does, those of
pickles that follow it, too. Of a zip archive, such as torch.save makes, every
pickle in it is listed below a heading. Nothing of the file is imported or
called. A file that is no pickle, or a broken one, is listed as far as it goes;
then the document of --json ends in "error".

Exit status: 0 done, 2 broken, no pickle, or not to be read.`,
		Example: `  tensmith pickle pytorch_model.bin | grep GLOBAL
  tensmith pickle data.pkl --format jsonl`,
		Args: args(1, 1, "FILE"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.pickle(cmd.Context(), args[0]) },
	}
}

// maxMember is up to how many bytes a compressed pickle is unpacked: torch
// compresses none, and pickles beyond it are made to fill a disk.
const maxMember = 256 << 20

func (a *app) pickle(ctx context.Context, name string) error {
	if _, err := locate(name); err != nil {
		return err
	}
	f, err := os.Open(name)
	if err != nil {
		return simplify(name, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return simplify(name, err)
	}
	if info.IsDir() {
		return hinted{fmt.Errorf("%s: is a directory", name), "name a file in it"}
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: not a regular file", name)
	}
	l := &lister{a: a, ctx: ctx, out: bufio.NewWriter(a.stdout)}
	switch a.format {
	case "json":
		l.document, err = printSequence(l.out, struct {
			Schema string `json:"schema"`
			Path   string `json:"path"`
		}{"tensmith.pickle/1", name}, "opcodes")
		if err != nil {
			return err
		}
	case "tsv":
		l.sheet = a.sheet("member", "offset", "op", "text")
	}
	if err = l.file(name, f, info.Size()); l.document != nil {
		return errors.Join(err, l.document.end(err))
	}
	if l.sheet != nil {
		return errors.Join(err, l.sheet.flush())
	}
	return errors.Join(err, l.out.Flush())
}

// file lists the pickles of a file.
func (l *lister) file(name string, f *os.File, size int64) error {
	var magic [4]byte
	if _, err := f.ReadAt(magic[:], 0); err == nil && string(magic[:]) == "PK\x03\x04" {
		return l.archive(name, f, size)
	}
	if err := l.list("", f, size); err != nil {
		return simplify(name, err)
	}
	return nil
}

// A lister prints opcodes.
type lister struct {
	a    *app
	ctx  context.Context
	out  *bufio.Writer
	some bool

	document *sequence // with --json
	sheet    *sheet    // with --format tsv
}

// archive lists the pickles of a zip archive.
func (l *lister) archive(name string, f *os.File, size int64) error {
	z, err := zip.NewReader(f, size)
	if err != nil {
		return simplify(name, err)
	}
	found := false
	var failed error
	for _, member := range z.File {
		if !strings.HasSuffix(member.Name, ".pkl") {
			continue
		}
		found = true
		if err := l.member(f, size, member); err != nil {
			// The others may be sound, and are what the user came for.
			failed = errors.Join(failed, fmt.Errorf("%s!%s: %w", name, safe(member.Name), err))
		}
		if l.ctx.Err() != nil {
			return l.ctx.Err()
		}
	}
	if !found {
		return fmt.Errorf("%s: is a zip archive without a member *.pkl", name)
	}
	return failed
}

func (l *lister) member(f *os.File, length int64, member *zip.File) error {
	if member.Method == zip.Store {
		off, err := member.DataOffset()
		if err != nil {
			return err
		}
		if n := member.UncompressedSize64; n <= uint64(length) && off <= length-int64(n) {
			return l.list(member.Name, io.NewSectionReader(f, off, int64(n)), int64(n))
		}
		return io.ErrUnexpectedEOF
	}
	r, err := member.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	// What the archive says of its size is a claim.
	text, err := io.ReadAll(io.LimitReader(r, maxMember+1))
	if err != nil {
		return err
	}
	if len(text) > maxMember {
		return fmt.Errorf("more than %s, which no pickle of a model is", size(maxMember))
	}
	return l.list(member.Name, strings.NewReader(string(text)), int64(len(text)))
}

// list lists the pickles of r. Offsets are those in r.
func (l *lister) list(member string, r io.ReaderAt, size int64) error {
	switch l.a.format {
	case "json", "jsonl", "tsv":
		return l.rows(member, r, size)
	}
	if member != "" {
		if l.some {
			l.out.WriteByte('\n')
		}
		fmt.Fprintln(l.out, l.a.paint(bold, "!"+safe(member)))
	}
	l.some = true
	return pickle.Dump(&stopper{l.ctx, l.out}, r, 0, size, pickle.Limits{})
}

// An opcode is an opcode in JSON.
type opcode struct {
	Schema string `json:"schema,omitempty"`
	Member string `json:"member,omitempty"`
	Offset int64  `json:"offset"`
	Op     string `json:"op"`
	Text   string `json:"text"`
}

// rows prints opcodes for programs as they are met: there may be a billion.
func (l *lister) rows(member string, r io.ReaderAt, size int64) error {
	for in, err := range pickle.Disassemble(r, 0, size, pickle.Limits{}) {
		if err == nil {
			err = l.ctx.Err()
		}
		if err != nil {
			return err
		}
		switch op := (opcode{"", member, in.Offset, in.Op.String(), in.String()}); l.a.format {
		case "json":
			err = l.document.add(op)
		case "jsonl":
			op.Schema = "tensmith.pickle/1"
			var text string
			if text, err = marshal(op); err == nil {
				_, err = l.out.WriteString(text + "\n")
			}
		default:
			l.sheet.row(op.Member, op.Offset, op.Op, op.Text)
			err = l.sheet.err
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// A stopper is a writer that ends long work when the user does.
type stopper struct {
	ctx context.Context
	w   io.Writer
}

func (s *stopper) Write(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.w.Write(p)
}
