package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/tensmith/tensmith/safetensors"
)

// An output is where a verb that writes puts the tensors: the flags that all
// of those verbs share.
type output struct {
	name     string
	force    bool
	inPlace  bool
	dryRun   bool
	maxShard string
	align    int
	slack    string
}

// flags adds the flags of an output to cmd. shard is the default of
// --max-shard, "none" for no limit and "" for a verb that has no such flag.
// inPlace tells whether the verb may be told to write over its input.
func (o *output) flags(cmd *cobra.Command, shard string, inPlace bool) {
	f := cmd.Flags()
	f.StringVarP(&o.name, "output", "o", "", "the `FILE` to write")
	f.BoolVar(&o.force, "force", false, "replace what exists under that name")
	if inPlace {
		f.BoolVar(&o.inPlace, "in-place", false, "replace the input, which must be a single file")
	}
	if shard != "" {
		f.StringVar(&o.maxShard, "max-shard", shard, "cut the output into files of at most this `SIZE`, and an index")
	}
	f.IntVar(&o.align, "align", 8, "let the data begin at a multiple of `N` bytes, a power of two")
	f.StringVar(&o.slack, "slack", "0", "leave this `SIZE` of the header free, so that metadata can be edited in place")
	f.Lookup("slack").DefValue = "" // none needs no words
	f.BoolVar(&o.dryRun, "dry-run", false, "tell what would be done, and write nothing")
}

// limit returns the size of a shard, or 0 if there is to be one file.
func (o *output) limit() (int64, error) {
	if o.maxShard == "" || o.maxShard == "none" {
		return 0, nil
	}
	return parseSize(o.maxShard)
}

// room returns how much of the header is to be left free; check has seen to the
// flag.
func (o *output) room() int {
	if n, err := parseSize(o.slack); err == nil && n <= maxText/2 {
		return int(n)
	}
	return 0
}

// check finds what is wrong with the flags themselves.
func (o *output) check() error {
	limit, err := o.limit()
	switch {
	case err != nil:
		return err
	case o.inPlace && o.name != "":
		return usagef("-o and --in-place exclude each other")
	case o.inPlace && limit > 0:
		return usagef("--max-shard and --in-place exclude each other")
	case o.name == "" && !o.inPlace && !o.dryRun:
		return hinted{usagef("where to write is missing"), "say -o FILE"}
	case o.name == "-":
		return hinted{usagef("-o - is no file"), "/dev/stdout is, where there is one"}
	case limit > 0 && o.name != "" && !strings.HasSuffix(o.name, ".safetensors"):
		return hinted{usagef("the name of a sharded model has to end in .safetensors, and %q does not", o.name), "shards are named after it: NAME-00001-of-00002.safetensors"}
	case o.align < 8 || o.align&(o.align-1) != 0:
		return usagef("--align is %d, not a power of two from 8 up", o.align)
	case o.slack != "" && o.slack != "0" && o.room() == 0:
		return usagef("--slack %q is no size, or larger than a header may be", o.slack)
	case o.align > maxText/2:
		return usagef("--align is %d, larger than a header may be", o.align)
	}
	return nil
}

// An input is an open model and the names of the files it is read from.
type input struct {
	*safetensors.Checkpoint
	paths []string
}

// openInput opens a model. To read the names of hundreds of thousands of tensors
// takes a while: who interrupts does not wait for it.
func (a *app) openInput(ctx context.Context, address string) (*input, error) {
	var c *safetensors.Checkpoint
	err := a.abandoning(ctx, func() (err error) {
		c, err = a.open(address)
		return err
	})
	if err != nil {
		return nil, err
	}
	p, err := locate(address)
	if err != nil {
		c.Close()
		return nil, err
	}
	in := &input{Checkpoint: c}
	for _, f := range c.Files() {
		in.paths = append(in.paths, p.path(f.Name()))
	}
	a.ledger.read(in.paths...)
	return in, nil
}

// entries returns the tensors whose names keep returns true for.
func (in *input) entries(keep func(name string) bool) (list []safetensors.Entry) {
	for t := range in.All() {
		if keep(t.Name) {
			list = append(list, safetensors.Entry{Info: t.Info, Data: t})
		}
	}
	return list
}

func all(string) bool { return true }

// dataSize returns the size of an entry, whose data knows it: that of entries,
// and what is computed of it.
func dataSize(e safetensors.Entry) int64 { return e.Data.(interface{ Size() int64 }).Size() }

// A writing is what a verb wants written, and what it has to say about it.
type writing struct {
	verb     string
	entries  []safetensors.Entry
	metadata map[string]string
	from     string       // the address of the input
	paths    []string     // of the files of the inputs, which are never written to
	close    func() error // closes the input
	report   writeReport
}

// A writeReport is the JSON of the verbs that write.
type writeReport struct {
	Schema  string    `json:"schema"`
	Output  []string  `json:"output"`
	Index   string    `json:"index,omitempty"`
	Tensors int       `json:"tensors"`
	Bytes   int64     `json:"bytes"`
	DryRun  bool      `json:"dry_run,omitempty"`
	Renamed []renamed `json:"renamed,omitempty"`
	Dropped []string  `json:"dropped,omitempty"`
	Changes []string  `json:"changes,omitempty"`
}

// write writes w to o, and reports. Every verb that makes a file of tensors
// ends here.
func (a *app) write(ctx context.Context, o *output, w *writing) error {
	if err := a.produce(ctx, o, w); err != nil {
		return err
	}
	return a.reportWriting(o, w)
}

func (a *app) reportWriting(o *output, w *writing) error {
	switch {
	case a.isJSON():
		return a.printJSON(w.report)
	case a.format == "tsv":
		s := a.sheet("output", "index", "tensors", "bytes", "dry_run", "changes")
		s.row(w.report.Output, w.report.Index, w.report.Tensors, w.report.Bytes, w.report.DryRun, strings.Join(w.report.Changes, "; "))
		return s.flush()
	}
	for _, change := range w.report.Changes {
		a.words("%s", change)
	}
	files, verb := o.name, "wrote"
	switch n := len(w.report.Output); {
	case o.dryRun:
		if verb = "would write"; files == "" {
			files = "a model"
		}
	case n > 1:
		files = fmt.Sprintf("%s and %d files beside it", w.report.Index, n)
	case n == 1:
		files = w.report.Output[0]
	}
	a.words("%s %s: %s, %s", verb, files, plural(w.report.Tensors, "tensor"), size(w.report.Bytes))
	return nil
}

// nothing is the answer of a verb that has found nothing to do: words for
// people, and the report of a writing that did not take place for programs.
func (a *app) nothing(o *output, verb string) error {
	if a.format != "human" {
		w := &writing{report: writeReport{Schema: "tensmith." + verb + "/1", Output: []string{}, DryRun: o.dryRun}}
		if err := a.reportWriting(o, w); err != nil {
			return err
		}
	}
	return errNo
}

// produce writes w to o and completes the report.
func (a *app) produce(ctx context.Context, o *output, w *writing) error {
	limit, err := o.limit()
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	w.report.Schema, w.report.DryRun, w.report.Output = "tensmith."+w.verb+"/1", o.dryRun, []string{}
	w.report.Tensors = len(w.entries)
	for _, e := range w.entries {
		w.report.Bytes += dataSize(e)
	}
	if o.inPlace {
		if len(w.paths) != 1 {
			return hinted{fmt.Errorf("%s: the model lies in %d files, which --in-place cannot replace at once", w.from, len(w.paths)), "write a new model with -o"}
		}
		o.name = w.paths[0]
	} else if o.name != "" {
		if err := o.guard(limit > 0, w.paths); err != nil {
			return err
		}
	}
	if o.dryRun {
		return nil
	}
	m := a.meter("writing", w.report.Bytes)
	defer m.end()
	encoder := &safetensors.Encoder{Metadata: w.metadata, Align: o.align, Slack: o.room(), Progress: m.set}
	if limit == 0 {
		write := encoder.WriteFile
		if o.inPlace && runtime.GOOS == "windows" {
			write = w.replace(encoder)
		}
		if err := write(ctx, o.name, w.entries); err != nil {
			return o.explain(err)
		}
		w.report.Output = append(w.report.Output, filepath.ToSlash(o.name))
		a.ledger.wrote(o.name)
		m.end()
		if index := o.index(); isRegular(index) {
			a.words("note: readers of the directory go by %s, and not by the new file", index)
		}
		return nil
	}
	w.sort()
	before := o.siblings()
	names, err := encoder.WriteShards(ctx, o.name, limit, w.entries)
	if err != nil {
		return o.explain(err)
	}
	for _, name := range names {
		w.report.Output = append(w.report.Output, filepath.ToSlash(name))
	}
	written := names
	if len(names) > 1 {
		index := o.index()
		w.report.Index = filepath.ToSlash(index)
		written = append(written, index)
	}
	a.ledger.wrote(written...)
	m.end()
	stale := slices.DeleteFunc(before, func(name string) bool { return slices.Contains(written, name) })
	if len(stale) > 0 {
		a.words("note: removed %s of an older model: %s", plural(len(stale), "file"), strings.Join(stale, " "))
	}
	return nil
}

// sort puts the tensors into the order in which shards are filled: natural
// order keeps a layer's tensors in one shard, which a file's own order, by
// dtype first, does not.
func (w *writing) sort() {
	slices.SortStableFunc(w.entries, func(x, y safetensors.Entry) int { return natural(x.Name, y.Name) })
}

// replace is the encoder's WriteFile over the input itself, for Windows, which
// renames nothing to a name that is open: the new file is written under a name
// of its own, and the input closed before it gets the name.
func (w *writing) replace(encoder *safetensors.Encoder) func(context.Context, string, []safetensors.Entry) error {
	return func(ctx context.Context, name string, entries []safetensors.Entry) error {
		if real, err := filepath.EvalSymlinks(name); err == nil {
			name = real
		}
		temp, err := createTemp(filepath.Split(name))
		if err != nil {
			return err
		}
		defer os.Remove(temp.Name()) // which has another name by then, if all is well
		info, err := os.Stat(name)
		if err == nil {
			err = temp.Chmod(info.Mode().Perm())
		}
		if err := errors.Join(err, temp.Close()); err != nil {
			return err
		}
		if err := encoder.WriteFile(ctx, temp.Name(), entries); err != nil {
			return err
		}
		if err := w.close(); err != nil {
			return err
		}
		return os.Rename(temp.Name(), name)
	}
}

func (o *output) index() string { return o.name + ".index.json" }

var shardSuffix = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^-[0-9]{5}-of-[0-9]{5}\.safetensors$`) })

// siblings returns the files there are that a sharded model of the output's
// name has, or had.
func (o *output) siblings() (names []string) {
	dir, base := filepath.Split(o.name)
	stem := strings.TrimSuffix(base, ".safetensors")
	list, err := os.ReadDir(filepath.Clean(dir + "."))
	if err != nil {
		return nil // the error comes up again when the file is created
	}
	for _, e := range list {
		rest, ok := strings.CutPrefix(e.Name(), stem)
		if ok && (e.Name() == base || e.Name() == base+".index.json" || shardSuffix().MatchString(rest)) {
			names = append(names, dir+e.Name())
		}
	}
	return names
}

// guard refuses to replace an input, or, without --force, any file.
func (o *output) guard(sharded bool, inputs []string) error {
	names := []string{o.name}
	if sharded {
		names = append(o.siblings(), o.name)
	}
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			continue // not there, or an error that comes up again
		}
		if info.IsDir() {
			return hinted{fmt.Errorf("%s: is a directory", name), "name the file: -o " + quoted(filepath.Join(name, "model.safetensors"))}
		}
		for _, in := range inputs {
			other, err := os.Stat(in)
			sameIndex := name == o.index() && filepath.Clean(filepath.Dir(in)) == filepath.Clean(filepath.Dir(name))
			if sameIndex || err == nil && os.SameFile(info, other) {
				return hinted{fmt.Errorf("%s: is a part of the input, which is not written to", name), "write to another name or directory"}
			}
		}
		if info.Mode().IsRegular() && !o.force {
			return hinted{fmt.Errorf("%s: exists", name), "--force replaces it"}
		}
	}
	return nil
}

// explain gives an error the name of the output, if it has none.
func (o *output) explain(err error) error {
	simple := err
	if name := o.blamed(err); name != "" {
		simple = simplify(name, err)
	} else if !strings.HasPrefix(err.Error(), o.name+": ") {
		simple = simplify(o.name, err)
	}
	if dir := filepath.Dir(o.name); os.IsNotExist(err) {
		if _, e := os.Stat(dir); os.IsNotExist(e) {
			return hinted{simple, "make the directory first: mkdir -p " + quoted(dir)}
		}
	}
	return simple
}
