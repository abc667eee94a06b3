package convert

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/tensmith/tensmith/internal/digest"
	"github.com/tensmith/tensmith/safetensors"
)

// ErrVerify is the cause of an error about an output that, read again, is not
// what was to be written.
var ErrVerify = errors.New("the output differs from what was to be written")

// A Plan says what is to be written, and where.
type Plan struct {
	Output string // name of the file

	// MaxShard is the size in bytes above which the output is cut into
	// several files with an index; 0 cuts it as the input was, and a negative
	// number not at all.
	MaxShard int64
	Align    int  // as in [safetensors.Encoder]
	NoSync   bool // likewise

	// DType is the type that floats of 16 bits and more are rounded to, but
	// for tensors that Keep, if set, returns true for. 0 leaves all types as
	// they are.
	DType safetensors.DType
	Keep  func(name string) bool

	// Metadata are strings to store besides those of the file.
	Metadata map[string]string

	// DryRun writes nothing, and reads nothing of the tensors: the report says what
	// would be written, without digests.
	DryRun bool

	Digests bool // compute the SHA-256 of each tensor as it is read and written
	Verify  bool // read input and output again and compare; implies Digests

	// Progress, if set, is called with a stage ("write", "verify") and how many
	// of its bytes are done, from one goroutine at a time.
	Progress func(stage string, done, total int64)
}

// A Report says what a conversion did.
type Report struct {
	Schema   string            `json:"schema"` // tensmith.convert/1
	Input    string            `json:"input"`
	Format   string            `json:"format"`
	Root     string            `json:"root"`
	Files    []string          `json:"files"`           // that were written
	Index    string            `json:"index,omitempty"` // of the files, if there are several
	DryRun   bool              `json:"dry_run,omitempty"`
	Bytes    int64             `json:"bytes"` // of all tensors
	Tensors  []Tensor          `json:"tensors"`
	Metadata map[string]string `json:"metadata"`
	Notes    []Note            `json:"notes"`
	Skipped  []Skipped         `json:"skipped"`
	Verdict  string            `json:"verdict"`
	Findings []Finding         `json:"findings"`
	Lossless bool              `json:"lossless"`
	Why      []string          `json:"why"`      // reasons for Lossless, or against
	Verified bool              `json:"verified"` // input and output were read again and agree
}

// A Tensor is a tensor of the output.
type Tensor struct {
	Name   string   `json:"name"`
	DType  string   `json:"dtype"`
	From   string   `json:"from,omitempty"` // the type before a cast
	Shape  []uint64 `json:"shape"`
	Bytes  int64    `json:"bytes"`
	Before string   `json:"sha256_before,omitempty"` // of the row-major little-endian elements, as they came
	After  string   `json:"sha256,omitempty"`        // of the bytes as written
	Alias  []string `json:"aliases,omitempty"`       // names that stand for it in the metadata
	Notes  []string `json:"notes,omitempty"`
}

// Write writes the file as safetensors. The output appears whole or not at
// all, but for one that fails to verify, which is left for inspection.
func (f *File) Write(ctx context.Context, plan Plan) (*Report, error) {
	entries, casts, err := f.entries(&plan)
	if err != nil {
		return nil, err
	}
	metadata := f.metadata(&plan)
	if plan.DryRun {
		r := f.report(entries, casts)
		r.Metadata, r.Files, r.DryRun = metadata, []string{}, true
		f.judge(r, casts)
		return r, nil
	}
	files, sums, failed, err := f.write(ctx, entries, casts, &plan, metadata)
	if err != nil {
		return nil, err
	}
	// Of hundreds of thousands of tensors what the report says takes as much as
	// it took to write them.
	r := f.report(entries, casts)
	r.Metadata, r.Files = metadata, files
	opened := plan.Output
	if len(files) > 1 {
		r.Index = plan.Output + ".index.json"
		opened = r.Index
	}
	if failed != nil {
		return r, failed
	}
	r.sums(sums, casts)
	f.judge(r, casts)
	if plan.Verify {
		if err := r.verify(ctx, opened, plan.stage("verify")); err != nil {
			return r, err
		}
		r.Verified = true
	}
	return r, nil
}

// write writes entries and returns the files, and the digests or what went wrong
// when something was read again for them.
func (f *File) write(ctx context.Context, entries []safetensors.Entry, casts casts, plan *Plan, metadata map[string]string) (files []string, sums texts, failed, err error) {
	plain := entries
	var after []sumAt
	if plan.Digests || plan.Verify {
		if entries, after, err = watch(entries, casts, plan.Verify); err != nil {
			return nil, "", nil, err
		}
	}
	enc := &safetensors.Encoder{Metadata: metadata, Align: plan.Align, NoSync: plan.NoSync}
	if report := plan.stage("write"); report != nil {
		total := int64(0)
		for i := range plain {
			total += sizeOf(&plain[i])
		}
		enc.Progress = func(n int64) { report(n, total) }
	}
	if size := cmp.Or(plan.MaxShard, f.ShardSize); size > 0 {
		files, err = enc.WriteShards(ctx, plan.Output, size, entries)
	} else {
		files, err = []string{plan.Output}, enc.WriteFile(ctx, plan.Output, entries)
	}
	if err != nil {
		return nil, "", nil, err
	}
	if failed := failure(after, plain); failed != nil {
		return files, "", failed, nil
	}
	return files, textsOf(after, casts), nil, nil
}

// sizeOf returns the bytes of an entry, 0 if it does not know.
func sizeOf(e *safetensors.Entry) int64 {
	if s, ok := e.Data.(sized); ok {
		return s.Size()
	}
	return 0
}

func (p *Plan) stage(name string) func(done, total int64) {
	if p.Progress == nil {
		return nil
	}
	return func(done, total int64) { p.Progress(name, done, total) }
}

// entries returns what is to be written, and the casts by index.
func (f *File) entries(plan *Plan) ([]safetensors.Entry, casts, error) {
	if plan.DType == 0 {
		return f.Entries, nil, nil
	}
	if !target(plan.DType) {
		return nil, nil, fmt.Errorf("%w: nothing is cast to %s", safetensors.ErrDType, plan.DType)
	}
	entries, casts := slices.Clone(f.Entries), make(casts, len(f.Entries))
	for i := range entries {
		e := &entries[i]
		if !castable(e.DType) || e.DType == plan.DType || plan.Keep != nil && plan.Keep(e.Name) {
			continue
		}
		src, ok := e.Data.(sized)
		if !ok {
			return nil, nil, fmt.Errorf("tensor %q: data of unknown size", e.Name)
		}
		data, c, err := castTo(src, e.DType, plan.DType)
		if err != nil {
			return nil, nil, fmt.Errorf("tensor %q: %w", e.Name, err)
		}
		e.Data, casts[i] = data, c
		e.DType = plan.DType
	}
	return entries, casts, nil
}

// metadata returns what is to be stored with the tensors.
func (f *File) metadata(plan *Plan) map[string]string {
	all := maps.Clone(f.Metadata)
	if len(plan.Metadata) > 0 {
		if all == nil {
			all = make(map[string]string)
		}
		maps.Copy(all, plan.Metadata)
	}
	return all
}

// report says what was to be written.
func (f *File) report(entries []safetensors.Entry, casts casts) *Report {
	r := &Report{Schema: "tensmith.convert/1", Input: f.name, Format: f.Format, Root: f.Root, Verdict: f.Verdict,
		Notes: slices.Clone(f.Notes), Skipped: slices.Clone(f.Skipped), Findings: slices.Clone(f.Findings)}
	alias := make(map[string][]string)
	about := make(map[string][]string)
	for _, n := range f.Notes {
		switch {
		case n.Kind == "alias":
			alias[n.Other] = append(alias[n.Other], n.Tensor)
		case n.Tensor != "" && n.Other != "":
			about[n.Tensor] = append(about[n.Tensor], n.Text+" ("+n.Other+")")
		case n.Tensor != "":
			about[n.Tensor] = append(about[n.Tensor], n.Text)
		}
	}
	r.Tensors = make([]Tensor, 0, len(entries))
	for i, e := range entries {
		t := Tensor{Name: e.Name, DType: e.DType.String(), Shape: e.Shape, Alias: alias[e.Name], Notes: about[e.Name]}
		if t.Shape == nil {
			t.Shape = []uint64{}
		}
		t.Bytes = sizeOf(&entries[i])
		if c := casts.of(i); c != nil {
			t.From = c.from.String()
		}
		r.Bytes += t.Bytes
		r.Tensors = append(r.Tensors, t)
	}
	return r
}

// judge says whether anything was lost.
func (f *File) judge(r *Report, casts casts) {
	lossy := map[string]int{}
	for i, c := range casts {
		if c == nil {
			continue
		}
		t := &r.Tensors[i]
		if c.Overflows() > 0 {
			t.Notes = append(t.Notes, "numbers beyond the range of "+t.DType)
			r.Notes = append(r.Notes, Note{Kind: "cast", Tensor: t.Name, Text: "has numbers beyond the range of " + t.DType})
		}
		if !exact(c.from, c.to) {
			lossy[fmt.Sprintf("%s rounded to %s", c.from, c.to)]++
		}
	}
	slices.SortStableFunc(r.Notes, func(a, b Note) int {
		if a.Kind != "cast" || b.Kind != "cast" {
			return 0
		}
		return strings.Compare(a.Tensor, b.Tensor)
	})
	for _, what := range slices.Sorted(maps.Keys(lossy)) {
		r.Why = append(r.Why, fmt.Sprintf("%s of %s", tensors(lossy[what]), what))
	}
	dropped := 0
	for _, n := range f.Notes {
		if n.Kind == "dropped" {
			dropped++
		}
	}
	if dropped > 0 {
		r.Why = append(r.Why, tensors(dropped)+" dropped, for the bytes are those of others")
	}
	left, size := 0, int64(0)
	for _, s := range f.Skipped {
		left, size = left+s.Tensors, size+s.Bytes
	}
	if left > 0 {
		r.Why = append(r.Why, fmt.Sprintf("%s of %d bytes left out, outside of the weights", tensors(left), size))
	}
	r.Lossless = len(r.Why) == 0
	if r.Lossless {
		r.Why = []string{"all tensors of the input, bit by bit"}
	}
	// Empty lists are lists in JSON, too.
	if r.Metadata == nil {
		r.Metadata = map[string]string{}
	}
	if r.Notes == nil {
		r.Notes = []Note{}
	}
	if r.Skipped == nil {
		r.Skipped = []Skipped{}
	}
	if r.Findings == nil {
		r.Findings = []Finding{}
	}
}

// tensors is a number of them in words.
func tensors(n int) string {
	if n == 1 {
		return "1 tensor"
	}
	return fmt.Sprintf("%d tensors", n)
}

// verify reads the output again.
func (r *Report) verify(ctx context.Context, name string, progress func(done, total int64)) error {
	c, err := safetensors.OpenCheckpoint(name)
	if err != nil {
		return err
	}
	defer c.Close()
	if c.Len() != len(r.Tensors) {
		return fmt.Errorf("%s: %w: %s in the place of %d", name, ErrVerify, tensors(c.Len()), len(r.Tensors))
	}
	total := int64(0)
	for _, t := range r.Tensors {
		got, err := c.Tensor(t.Name)
		if err != nil {
			return fmt.Errorf("%s: %w: %w", filepath.Base(name), ErrVerify, err)
		}
		if got.DType.String() != t.DType || !slices.Equal(got.Shape, t.Shape) {
			return fmt.Errorf("%s: %w: tensor %q is %s %d", name, ErrVerify, t.Name, got.DType, got.Shape)
		}
		total += got.Size()
	}
	read := digest.Progress(progress, total)
	var wrong []string
	for part := range slices.Chunk(r.Tensors, atOnce) {
		if err := verifyPart(ctx, c, part, read, &wrong); err != nil {
			return err
		}
	}
	if len(wrong) > 0 {
		slices.Sort(wrong)
		return fmt.Errorf("%s: %w: tensor %q", name, ErrVerify, wrong[0])
	}
	return nil
}

// atOnce is how many tensors are read again at a time: there may be hundreds of
// thousands, and each takes memory while it is.
const atOnce = 1 << 14

// verifyPart hashes tensors, many at a time, and adds to wrong the names of
// those that are not as reported.
func verifyPart(ctx context.Context, c *safetensors.Checkpoint, tensors []Tensor, read func(n int64), wrong *[]string) error {
	sources := make([]*digest.Source, len(tensors))
	for i, was := range tensors {
		t, err := c.Tensor(was.Name)
		if err != nil {
			return err
		}
		sources[i] = &digest.Source{Size: t.Size(), Open: func() (io.ReadCloser, error) {
			return io.NopCloser(io.NewSectionReader(t, 0, t.Size())), nil
		}}
	}
	if err := digest.Each(ctx, sources, runtime.GOMAXPROCS(0), read); err != nil {
		return err
	}
	for i, s := range sources {
		if hex.EncodeToString(s.Sum[:]) != tensors[i].After {
			*wrong = append(*wrong, tensors[i].Name)
		}
	}
	return nil
}
