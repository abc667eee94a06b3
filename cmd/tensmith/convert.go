package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tensmith/tensmith/convert"
	"github.com/tensmith/tensmith/safetensors"
)

// A conversion is the flags of convert.
type conversion struct {
	out     output
	opts    convert.Options
	dtype   string
	keep    []string
	most    string
	list    bool
	digests bool
	verify  bool
	sync    bool
	origin  stating // of --provenance
}

func convertCommand(a *app) *cobra.Command {
	var c conversion
	cmd := &cobra.Command{
		Use:   "convert [flags] IN",
		Short: "turn a checkpoint of another format into safetensors",
		Long: `Turn a checkpoint into safetensors: PyTorch files of any age and container,
their shards with an index, distributed checkpoints, bare pickles, NumPy and
joblib files, compressed or not. What a file is, its content tells, never its
name. Nothing it contains is run; a file that would run code when PyTorch loads
it is refused, unless --extract-only asks for its tensors alone.

The output is NAME.safetensors beside the input; shards stay shards. The report
lists each tensor with its SHA-256 before and after, what shares memory, what
was left out, and whether anything was lost. --provenance FILE states what was
converted to what, as a document of in-toto that tensmith attest verify reads.

--dry-run reads no tensors, and tells all of that but digests.

With --json the report is one document. A file that is refused as malformed or
dangerous has one with "error" in place of all else.

Exit status: 0 converted, 1 the file is malformed, dangerous or, with --verify,
not what was written, 2 it could not be read or is of no format known here.`,
		Example: `  tensmith convert pytorch_model.bin
  tensmith convert model.ckpt -o bf16.safetensors --dtype bf16 --keep '*.norm.*'
  tensmith convert checkpoint/ -o out/model.safetensors --max-shard 5GB --verify
  tensmith convert model.pt --json | jq '.lossless, .skipped'`,
		Args: args(1, 1, "IN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if c.out.name == "" && cmd.Flags().Changed("output") {
				return hinted{usagef("-o names no file"), "leave it out, and the output stands beside the input"}
			}
			by, err := c.checkOrigin(cmd, a)
			if err != nil {
				return err
			}
			return a.convert(cmd.Context(), args[0], &c, by)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&c.out.name, "output", "o", "", "the `FILE` to write (default: beside the input)")
	f.BoolVar(&c.out.force, "force", false, "replace what exists under that name")
	f.StringVar(&c.out.maxShard, "max-shard", "", "cut the output into files of at most this `SIZE`, or none (default: as the input is)")
	f.IntVar(&c.out.align, "align", 8, "let the data begin at a multiple of `N` bytes, a power of two")
	f.StringVar(&c.dtype, "dtype", "", "round floats of 16 bits and more to this `DTYPE`, such as bf16")
	f.StringArrayVar(&c.keep, "keep", nil, "tensors whose names match this `GLOB` keep their dtype; may be given again")
	f.StringVar(&c.opts.Torch.Root, "root", "", "the `KEY` of what holds the weights, with dots; . for the whole file")
	f.StringVar(&c.opts.Torch.Tied, "tied", "dedupe", "the `WAY` of several names for one view: dedupe, keep or reference")
	f.StringVar(&c.opts.Torch.Quantized, "quantized", "", "the `FORM` of quantised tensors: parts, which are integers, scales and zero points")
	f.StringVar(&c.opts.Torch.Sparse, "sparse", "", "the `FORM` of sparse tensors: parts or dense")
	f.StringVar(&c.opts.Torch.Complex, "complex", "", "the `FORM` of complex tensors: split, into real and imaginary part")
	f.BoolVar(&c.opts.Torch.ExtractOnly, "extract-only", false, "take the tensors of a dangerous file; nothing is run")
	f.StringVar(&c.most, "max-output", "", "refuse a file whose tensors take more than `SIZE` (default: 16 times the file's)")
	f.BoolVar(&c.out.dryRun, "dry-run", false, "tell what would be done, and write nothing")
	f.BoolVar(&c.list, "list", false, "list every tensor, however many")
	f.BoolVar(&c.digests, "digests", true, "compute the SHA-256 of each tensor")
	f.BoolVar(&c.sync, "sync", true, "wait until the output is on the disk")
	f.BoolVar(&c.verify, "verify", false, "read input and output again and compare")
	f.StringVar(&c.origin.name, "provenance", "", "state in this `FILE` what was converted, and how (SLSA); signed with --sign")
	c.origin.flags(cmd)
	explainElsewhere(f, "tensmith help sign")
	return cmd
}

func (a *app) convert(ctx context.Context, address string, c *conversion, by signer) error {
	if c.out.name == "" {
		c.out.name = besides(address)
	}
	if err := c.out.check(); err != nil {
		return err
	}
	for _, flag := range []struct{ name, value, of string }{
		{"tied", c.opts.Torch.Tied, "dedupe keep reference"},
		{"quantized", c.opts.Torch.Quantized, "parts"},
		{"sparse", c.opts.Torch.Sparse, "parts dense"},
		{"complex", c.opts.Torch.Complex, "split"},
	} {
		if !strings.Contains(" "+flag.of+" ", " "+flag.value+" ") && flag.value != "" {
			return usagef("--%s is %q, not one of: %s", flag.name, flag.value, flag.of)
		}
	}
	switch {
	case c.out.dryRun && c.verify:
		return usagef("--dry-run and --verify exclude each other: there is no output to read again")
	case c.out.dryRun && c.origin.name != "":
		return usagef("--dry-run and --provenance exclude each other: nothing is converted")
	}
	plan := convert.Plan{Output: c.out.name, Align: c.out.align, DryRun: c.out.dryRun, Digests: c.digests, Verify: c.verify, NoSync: !c.sync}
	if c.dtype != "" {
		dtype, err := parseFloat("dtype", c.dtype)
		if err != nil {
			return err
		}
		plan.DType = dtype
	} else if len(c.keep) > 0 {
		return usagef("--keep goes with --dtype")
	}
	if len(c.keep) > 0 {
		match, err := parseGlobs(c.keep)
		if err != nil {
			return err
		}
		plan.Keep = match.match
	}
	if c.most != "" {
		most, err := parseSize(c.most)
		if err != nil {
			return err
		}
		c.opts.Torch.MaxOutput = most
	}
	limit, err := c.out.limit()
	if err != nil {
		return err
	}
	if plan.MaxShard = limit; c.out.maxShard == "none" {
		plan.MaxShard = -1
	}

	p, err := locate(address)
	if err != nil {
		return err
	}
	seen, started := &witness{FS: p.fsys}, time.Now()
	defer func() { a.ledger.read(seen.files(p)...) }()
	var f *convert.File
	err = a.abandoning(ctx, func() (err error) {
		f, err = convert.Open(seen, p.name, &c.opts)
		return err
	})
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return err
	}
	if err != nil {
		return a.refusal(address, p, err)
	}
	defer f.Close()
	defer spare(c.memory(f.Entries))()
	sharded := plan.MaxShard > 0 || plan.MaxShard == 0 && f.ShardSize > 0
	if err := c.out.guard(sharded, []string{p.path("")}); err != nil {
		return err
	}

	var m *meter
	stage := ""
	plan.Progress = func(now string, done, total int64) {
		if now != stage {
			if m != nil {
				m.end()
			}
			stage, m = now, a.meter(stages[now], total)
		}
		m.set(done)
	}
	report, err := f.Write(ctx, plan)
	if m != nil {
		m.end()
	}
	if err != nil && !errors.Is(err, convert.ErrVerify) {
		if ctx.Err() != nil {
			return err
		}
		if c.out.blamed(err) != "" {
			return c.out.explain(err)
		}
		return a.refusal(address, p, err)
	}
	report.Input = address
	a.ledger.wrote(report.Files...)
	if report.Index != "" {
		a.ledger.wrote(report.Index)
	}
	if err == nil && c.origin.name != "" {
		if err := a.writeOrigin(ctx, c, by, origin{report, p, seen, started}); err != nil {
			return err
		}
	}
	if e := a.printConversion(report, c); e != nil {
		return e
	}
	if err != nil {
		a.fail("convert", err)
		return errNo
	}
	return nil
}

// memory returns how many bytes tensors take, at most, while they are converted.
func (c *conversion) memory(entries []safetensors.Entry) (bytes int64) {
	each := int64(450)
	if c.verify {
		each += 200
	}
	if c.dtype != "" {
		each += 450
	}
	for _, e := range entries {
		bytes += each + 2*int64(len(e.Name))
	}
	return bytes
}

// blamed returns the name of the file that could not be written, if that is
// what failed: the user is not to look for it in the input.
func (o *output) blamed(err error) string {
	e, ok := errors.AsType[*fs.PathError](err)
	if !ok {
		return ""
	}
	switch e.Op {
	case "create":
		return e.Path
	case "allocate", "write", "sync", "truncate", "copy_file_range":
		if filepath.Dir(e.Path) == filepath.Dir(o.name) {
			return o.name // of which that is the temporary file
		}
		return e.Path
	}
	return ""
}

// stages are what people call the parts of a conversion.
var stages = map[string]string{"write": "writing", "verify": "verifying"}

// besides returns the name of the output beside an input.
func besides(address string) string {
	dir, base := filepath.Split(filepath.Clean(address))
	if strings.HasSuffix(base, ".index.json") {
		return filepath.Join(dir, "model.safetensors")
	}
	if info, err := os.Stat(address); err == nil && info.IsDir() {
		// A directory may have any name, and . and .. have none.
		if full, err := filepath.Abs(address); err == nil && (base == "." || base == "..") {
			dir, base = filepath.Split(full)
		}
		return filepath.Join(dir, base+".safetensors")
	}
	for _, packed := range []string{".gz", ".bz2", ".xz", ".lzma", ".zlib", ".zst", ".lz4"} {
		base = strings.TrimSuffix(base, packed)
	}
	if ext := filepath.Ext(base); ext != base {
		base = strings.TrimSuffix(base, ext)
	}
	return filepath.Join(dir, base+".safetensors")
}

func (a *app) conversionSheet() *sheet {
	return a.sheet("name", "dtype", "from", "shape", "bytes", "sha256", "aliases", "notes")
}

func (a *app) printConversion(r *convert.Report, c *conversion) error {
	list := c.list
	switch {
	case a.isJSON():
		return a.printJSON(r)
	case a.format == "tsv":
		s := a.conversionSheet()
		for _, t := range r.Tensors {
			s.row(t.Name, t.DType, t.From, t.Shape, t.Bytes, t.After, t.Alias, strings.Join(t.Notes, "; "))
		}
		return s.flush()
	case a.quiet:
		return nil
	}
	const few = 24
	width, onTerminal := terminal(a.stdout)
	tab := table{a: a, right: []bool{false, false, false, true}, give: 0}
	told := map[string]bool{} // tensors whose notes stand in their rows
	for i, t := range r.Tensors {
		if i == few && !list {
			break
		}
		told[t.Name] = true
		dtype := t.DType
		if t.From != "" {
			dtype = t.From + " → " + t.DType
		}
		sum := t.After
		if (!list || onTerminal) && len(sum) > 12 { // the whole sum leaves no room for names
			sum = sum[:12] + "…"
		}
		if onTerminal && width < 70 {
			sum = "" // names tell more
		}
		tab.row(safe(t.Name), cell{dtype, cyan}, shape(t.Shape), size(t.Bytes), cell{sum, dim}, strings.Join(t.Notes, ", "))
	}
	if err := tab.flush(); err != nil {
		return err
	}
	if n := len(r.Tensors) - few; n > 0 && !list {
		fmt.Fprintf(a.stdout, "… and %s more: --list\n", group(int64(n)))
	}
	painted := func(st style, name, text string) {
		if onTerminal {
			text = folded(text, 11, 11, max(width, 40)) // before it is painted: what paints takes no room
		}
		fmt.Fprintf(a.stdout, "%s  %s\n", a.paint(dim, pad(name, 9)), a.paint(st, text))
	}
	line := func(name, format string, args ...any) { painted(plain, name, fmt.Sprintf(format, args...)) }
	output := strings.Join(r.Files, " ")
	if len(r.Files) > 3 {
		output = fmt.Sprintf("%s and %d files beside it", r.Index, len(r.Files))
	}
	from := r.Format
	if r.Root != "" {
		from += ", root " + safe(r.Root)
	}
	line("input", "%s (%s)", harmless(r.Input), from)
	if r.DryRun {
		line("output", "%s would be %s, %s (dry run: nothing was written)", harmless(c.out.name), plural(len(r.Tensors), "tensor"), size(r.Bytes))
	} else {
		line("output", "%s: %s, %s", output, plural(len(r.Tensors), "tensor"), size(r.Bytes))
	}
	notes := slices.DeleteFunc(slices.Clone(r.Notes), func(n convert.Note) bool { return n.Kind != "alias" && told[n.Tensor] })
	a.printSome("notes", len(notes), line, func(i int) string {
		n := notes[i]
		switch {
		case n.Other != "":
			return safe(n.Tensor) + " = " + safe(n.Other) + ": " + n.Text
		case n.Tensor != "":
			return safe(n.Tensor) + ": " + n.Text
		}
		return n.Text
	})
	a.printSome("left out", len(r.Skipped), line, func(i int) string {
		s := r.Skipped[i]
		what := s.Kind
		if s.Tensors > 0 {
			what += fmt.Sprintf(", %s, %s", plural(s.Tensors, "tensor"), size(s.Bytes))
		}
		return safe(s.Path) + ": " + what
	})
	a.printSome("findings", len(r.Findings), line, func(i int) string {
		f := r.Findings[i]
		return fmt.Sprintf("%s: %s %s: %s", f.Verdict, f.Place, safe(f.Name), f.Why)
	})
	line("verdict", "%s", r.Verdict)
	lossless, st := "no", yellow
	if r.Lossless {
		lossless, st = "yes", green
	}
	if len(r.Why) > 0 {
		lossless += ": " + strings.Join(r.Why, "; ")
	}
	painted(st, "lossless", lossless)
	if r.Verified {
		painted(green, "verified", "yes: input and output were read again")
	}
	return nil
}

// printSome prints the first of n lines under one name.
func (a *app) printSome(name string, n int, line func(string, string, ...any), text func(i int) string) {
	const few = 8
	for i := range n {
		if i == few {
			line("", "and %d more: --json", n-few)
			return
		}
		if i > 0 {
			name = ""
		}
		line(name, "%s", harmless(text(i)))
	}
}
