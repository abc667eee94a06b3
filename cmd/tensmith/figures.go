package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"

	"github.com/tensmith/tensmith/describe"
	"github.com/tensmith/tensmith/numeric"
	"github.com/tensmith/tensmith/safetensors"
)

// A chain is tensors of one dtype read as if they lay one behind the other.
type chain struct {
	tensors []*safetensors.Tensor
	ends    []int64 // of each, in bytes
}

func (c *chain) add(t *safetensors.Tensor) {
	c.tensors = append(c.tensors, t)
	c.ends = append(c.ends, c.size()+t.Size())
}

func (c *chain) size() int64 {
	if len(c.ends) == 0 {
		return 0
	}
	return c.ends[len(c.ends)-1]
}

func (c *chain) data() numeric.Data {
	return numeric.Data{DType: c.tensors[0].DType, Source: c, Size: c.size()}
}

// ReadAt implements io.ReaderAt. An error names the file and the tensor.
func (c *chain) ReadAt(p []byte, off int64) (n int, err error) {
	i := sort.Search(len(c.ends), func(i int) bool { return c.ends[i] > off })
	for ; n < len(p) && i < len(c.ends); i++ {
		at := off + int64(n) - (c.ends[i] - c.tensors[i].Size())
		part := p[n:min(int64(len(p)), c.ends[i]-off)]
		if err := readFull(c.tensors[i], part, at); err != nil {
			return n, err
		}
		n += len(part)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// dataOf is the data of one tensor, with errors that name it.
func dataOf(t *safetensors.Tensor) numeric.Data {
	c := &chain{}
	c.add(t)
	return c.data()
}

// workBytes is what a worker should have to do, for a tensor to be shared.
const workBytes = 4 << 20

// work calls do for n pieces of work, in order, and gives each as many workers
// as its size is worth, a.jobs at a time in all: large tensors are read by all
// of them, small ones side by side. The first error ends it.
func (a *app) work(ctx context.Context, n int, size func(i int) int64, do func(ctx context.Context, i, workers int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	free := make(chan struct{}, a.jobs) // one for each worker that is busy
	var wg sync.WaitGroup
	for i := range n {
		workers := int(min(int64(a.jobs), max(1, (size(i)+workBytes-1)/workBytes)))
		// No one else waits for several, so that this ends.
		for range workers {
			free <- struct{}{}
		}
		if ctx.Err() != nil {
			break
		}
		wg.Go(func() {
			if err := do(ctx, i, workers); err != nil {
				cancel(err)
			}
			for range workers {
				<-free
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// steps turns the running totals that a Scan tells into what m takes.
func (m *meter) steps() func(int64) {
	last := int64(0)
	return func(read int64) {
		m.add(read - last)
		last = read
	}
}

// roles are the parts that tensors have in a model, by name, of those that are
// not plain weights.
type roles []role

// A role is what is kept of what describe tells of a tensor.
type role struct {
	name    string
	packing *describe.Packing
	purpose string
	is      describe.Role
}

// rolesOf describes a model.
func rolesOf(c *safetensors.Checkpoint, p place) (r roles) {
	s := describe.Describe(c, configOf(p))
	n := 0
	for i := range s.Tensors {
		if s.Tensors[i].Role != describe.Plain {
			n++
		}
	}
	r = make(roles, 0, n)
	for i := range s.Tensors {
		if t := &s.Tensors[i]; t.Role != describe.Plain {
			r = append(r, role{t.Name, t.Packing, t.Purpose(), t.Role})
		}
	}
	return r
}

// of returns the role of a tensor, the zero value if it is plain.
func (r roles) of(name string) role {
	if i, ok := slices.BinarySearchFunc(r, name, func(r role, name string) int { return strings.Compare(r.name, name) }); ok {
		return r[i]
	}
	return role{}
}

// configOf returns the config.json beside a model, or nil.
func configOf(p place) []byte {
	f, err := p.fsys.Open(path.Join(path.Dir(p.name), "config.json"))
	if err != nil {
		return nil
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() || info.Size() > 16<<20 {
		return nil
	}
	config, err := io.ReadAll(f)
	if err != nil && !errors.Is(err, fs.ErrClosed) {
		return nil
	}
	return config
}

// label says what a tensor is instead of plain weights: how those are packed
// that it stands for, such as "GPTQ 4-bit", or what it is to a packed one,
// such as "scale"; "" if it is plain.
func (r roles) label(name string) string {
	t := r.of(name)
	switch p := t.packing; {
	case t.is == describe.Plain:
		return ""
	case t.is == describe.Buffer:
		return "buffer"
	case p == nil:
		return cmp.Or(t.purpose, t.is.String())
	case p.Bits == 0 || p.Scheme != describe.TorchAO4 && strings.ContainsAny(string(p.Scheme), "0123456789"):
		return string(p.Scheme)
	default:
		return fmt.Sprintf("%s %d-bit", p.Scheme, p.Bits)
	}
}

// A scalar is a float64 in JSON, which has no infinities: they are strings.
// NaN is null, for there is no such number then.
type scalar float64

func (n scalar) MarshalJSON() ([]byte, error) {
	switch f := float64(n); {
	case math.IsNaN(f):
		return []byte("null"), nil
	case math.IsInf(f, 0):
		return []byte(jsonValue([]byte(n.String()))), nil
	default:
		return strconv.AppendFloat(nil, f, 'g', -1, 64), nil
	}
}

// String is the number in full, for programs; "" if there is none.
func (n scalar) String() string {
	switch f := float64(n); {
	case math.IsNaN(f):
		return ""
	case math.IsInf(f, 0):
		return fmt.Sprintf("%+v", f)
	default:
		return strconv.FormatFloat(f, 'g', -1, 64)
	}
}

// short is the number for people, four digits of it.
func (n scalar) short() string {
	switch f := float64(n); {
	case math.IsNaN(f):
		return "-"
	case math.IsInf(f, 0):
		return n.String()
	case f != 0 && (math.Abs(f) < 1e-4 || math.Abs(f) >= 1e6):
		return strconv.FormatFloat(f, 'e', 2, 64)
	default:
		return strconv.FormatFloat(f, 'g', 4, 64)
	}
}

// share is a part of a whole in per cent, for people: none is "0", and nothing
// else is.
func share(n, of uint64) string {
	p := 100 * float64(n) / float64(max(of, 1))
	switch {
	case n == 0:
		return "0"
	case p < 0.01:
		return "<0.01 %"
	case n < of && p > 99.99:
		return ">99.99 %"
	}
	// What is less than all is not rounded to it.
	for places := 3; ; places++ {
		if text := strconv.FormatFloat(p, 'g', places, 64); text != "100" || n == of || places > 6 {
			return text + " %"
		}
	}
}

// figures is a table of names and figures, in which columns give way to a
// narrow terminal: those of the highest rank first, those of rank 0 never. Rows
// are kept, or made when they are needed, twice: there may be a hundred thousand.
type figures struct {
	a       *app
	columns []figure
	rows    [][]cell
	count   int                // of rows that are made
	make    func(i int) []cell // makes one, if rows are not kept
}

func (f *figures) row(cells ...cell) { f.rows = append(f.rows, cells) }

// each calls visit for every row, until it fails.
func (f *figures) each(visit func([]cell) error) error {
	for _, row := range f.rows {
		if err := visit(row); err != nil {
			return err
		}
	}
	for i := range f.count {
		if err := visit(f.make(i)); err != nil {
			return err
		}
	}
	return nil
}

type figure struct {
	head string
	rank int
	left bool // aligned to the left
}

// leastName is up to where names give way before columns do: what is left tells
// most weights of a model from each other.
const leastName = 34

func (f *figures) flush() error {
	widths := make([]int, len(f.columns))
	for i, c := range f.columns {
		widths[i] = columns(c.head)
	}
	f.each(func(row []cell) error {
		for i, c := range row {
			widths[i] = max(widths[i], columns(c.text))
		}
		return nil
	})
	kept := f.fit(widths)
	out := bufio.NewWriter(f.a.stdout)
	head := make([]cell, len(f.columns))
	for i, c := range f.columns {
		head[i] = cell{c.head, dim}
	}
	line := func(cells []cell) error {
		text := ""
		for k, i := range kept {
			c := cells[i]
			if i == 0 {
				c.text = shorten(c.text, widths[0])
			}
			pad := strings.Repeat(" ", max(0, widths[i]-columns(c.text)))
			if k > 0 {
				text += "  "
			}
			if f.columns[i].left {
				text += f.a.paint(c.style, c.text) + pad
			} else {
				text += pad + f.a.paint(c.style, c.text)
			}
		}
		_, err := out.WriteString(strings.TrimRight(text, " ") + "\n")
		return err
	}
	if err := line(head); err != nil {
		return err
	}
	if err := f.each(line); err != nil {
		return err
	}
	return out.Flush()
}

// fit returns the columns that there is room for, and narrows that of names.
func (f *figures) fit(widths []int) []int {
	kept := make([]int, len(f.columns))
	for i := range kept {
		kept[i] = i
	}
	width, ok := terminal(f.a.stdout)
	for ok {
		others, worst := 0, 0
		for k, i := range kept[1:] {
			others += 2 + widths[i]
			if f.columns[i].rank > f.columns[kept[worst]].rank {
				worst = k + 1
			}
		}
		if others+min(widths[0], leastName) <= width || f.columns[kept[worst]].rank == 0 {
			widths[0] = min(widths[0], max(12, width-others))
			break
		}
		kept = slices.Delete(kept, worst, worst+1)
	}
	return kept
}
