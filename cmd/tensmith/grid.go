package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tensmith/tensmith/numeric"
	"github.com/tensmith/tensmith/safetensors"
)

// An axis is what is to be shown of a dimension: the n indices start,
// start+step and so on. If only one was asked for, it is no axis of the result.
type axis struct {
	start, step, n uint64
	stride         uint64 // elements between two neighbours
	index          bool
	edge           uint64 // how many to show at either end; 0 for all
}

// parseSlice reads [0:4, ::2, -1, ...] for a tensor of a shape.
func parseSlice(text string, dims []uint64) ([]axis, error) {
	axes := make([]axis, len(dims))
	stride := uint64(1)
	for d := len(dims) - 1; d >= 0; d-- {
		axes[d] = axis{step: 1, n: dims[d], stride: stride}
		stride *= max(1, dims[d]) // of a tensor with elements it is their number
	}
	if text == "" {
		return axes, nil
	}
	bad := func(format string, args ...any) error {
		return hinted{usagef("%s: "+format, append([]any{text}, args...)...), "write NAME[0:4,-1,::2], as in Python"}
	}
	// Well-formed, but not of this tensor.
	misfit := func(format string, args ...any) error {
		return fmt.Errorf("%s: "+format, append([]any{text}, args...)...)
	}
	parts := strings.Split(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"), ",")
	d := 0
	for i, part := range parts {
		part = strings.TrimSpace(part)
		if part == "..." {
			if d = len(dims) - (len(parts) - 1 - i); d < i {
				return nil, misfit("the tensor has %s", plural(len(dims), "dimension"))
			}
			continue
		}
		if d >= len(dims) {
			return nil, misfit("the tensor has %s", plural(len(dims), "dimension"))
		}
		ax, dim := &axes[d], int64(dims[d])
		if uint64(dim) != dims[d] || dim < 0 {
			return nil, misfit("dimension %d is too large", d)
		}
		d++
		fields := strings.Split(part, ":")
		numbers := [3]int64{0, dim, 1}
		for j, field := range fields {
			field = strings.TrimSpace(field)
			if j > 2 || field == "" && len(fields) == 1 {
				return nil, bad("%q is no index and no range", part)
			}
			if field == "" {
				continue
			}
			n, err := strconv.ParseInt(field, 10, 64)
			if err != nil {
				return nil, bad("%q is no index and no range", part)
			}
			if j < 2 && n < 0 {
				n += dim
			}
			numbers[j] = n
		}
		start, stop, step := numbers[0], numbers[1], numbers[2]
		if len(fields) == 1 {
			if start < 0 || start >= dim {
				return nil, misfit("dimension %d has %d indices, and %s is none of them", d-1, dim, part)
			}
			ax.start, ax.n, ax.index = uint64(start), 1, true
			continue
		}
		if step < 1 {
			return nil, bad("a step must be at least 1")
		}
		// As in Python, a range that leaves the dimension is cut.
		start, stop = min(max(start, 0), dim), min(max(stop, 0), dim)
		ax.start, ax.step, ax.n = uint64(start), uint64(step), 0
		if stop > start {
			ax.n = uint64((stop-start-1)/step) + 1
		}
	}
	return axes, nil
}

// A grid is the values to show. It reads them as it goes.
type grid struct {
	ctx  context.Context
	t    *safetensors.Tensor
	axes []axis
	out  *bufio.Writer
	most int // how many values to print; 0 for all
	buf  []byte
	text []byte

	numbers bool // visit gets float32 numbers, little-endian, and no text
	floats  []float32
}

// errEnough ends a walk.
var errEnough = errors.New("enough")

func (g *grid) shape() []uint64 {
	dims := []uint64{}
	for _, ax := range g.axes {
		if !ax.index {
			dims = append(dims, ax.n)
		}
	}
	return dims
}

func (g *grid) count() uint64 {
	n := uint64(1)
	for _, ax := range g.axes {
		if ax.n == 0 {
			return 0
		}
	}
	for _, ax := range g.axes {
		n *= ax.n
	}
	return n
}

// bytes returns the size of the values, rounded up for sub-byte types.
func (g *grid) bytes() int64 {
	bits := g.count() * uint64(g.t.DType.Bits()) // fits: a tensor has as much
	return int64((bits + 7) / 8)
}

// maxShown is up to how many values are shown in full, as NumPy has it.
const maxShown = 1000

// elide marks the middle of long axes to be left out.
func (g *grid) elide() {
	if g.count() <= maxShown {
		return
	}
	for edge := uint64(3); edge > 0; edge-- {
		shown := uint64(1)
		for i := range g.axes {
			ax := &g.axes[i]
			ax.edge = 0
			if ax.n > 2*edge {
				ax.edge = edge
			}
			if shown <= 1<<32 {
				shown *= min(ax.n, 2*edge)
			}
		}
		if shown <= maxShown {
			return
		}
	}
	// Many short dimensions: there is no middle to leave out.
	g.most = maxShown
}

// printed returns the axes of the result, and the element they begin at.
func (g *grid) printed() (axes []axis, base uint64) {
	for _, ax := range g.axes {
		base += ax.start * ax.stride
		if !ax.index {
			ax.start = 0
			axes = append(axes, ax)
		}
	}
	const drawn = 32
	if len(axes) <= drawn {
		return axes, base
	}
	// Dimensions of one index can go without a loss, and of the others a tensor
	// that lies in a file has no more than 64.
	kept := axes[:0:0]
	for _, ax := range axes {
		if ax.n != 1 {
			kept = append(kept, ax)
		}
	}
	return kept, base
}

// each calls visit with the text of every value that is not left out, and
// gap where one or more are left out.
func (g *grid) each(visit func([]byte) error, gap func()) error {
	axes, base := g.printed()
	if g.count() == 0 {
		return nil
	}
	return g.walk(axes, base, func(int, bool) {}, visit, gap)
}

// walk visits the values below axes, which are at most 64, so that it may
// recurse. between is called between the parts of an axis that is not the
// last, with the number of axes from it on, and whether parts are left out.
func (g *grid) walk(axes []axis, base uint64, between func(level int, gap bool), visit func([]byte) error, gap func()) error {
	if len(axes) == 0 {
		return g.row(axis{n: 1, step: 1, stride: 1}, base, visit, gap)
	}
	if len(axes) == 1 {
		return g.row(axes[0], base, visit, gap)
	}
	ax := axes[0]
	for i := uint64(0); i < ax.n; i++ {
		gone := ax.edge > 0 && i == ax.edge
		if gone {
			i = ax.n - ax.edge
		}
		if i > 0 {
			between(len(axes), gone)
		}
		if err := g.walk(axes[1:], base+i*ax.step*ax.stride, between, visit, gap); err != nil {
			return err
		}
	}
	return nil
}

// row visits the values of one axis, in pieces that are read at once.
func (g *grid) row(ax axis, base uint64, visit func([]byte) error, gap func()) error {
	far := ax.step * ax.stride // elements from one value to the next
	if ax.edge > 0 {
		if err := g.run(base, far, ax.edge, visit); err != nil {
			return err
		}
		if gap != nil {
			gap()
		}
		return g.run(base+(ax.n-ax.edge)*far, far, ax.edge, visit)
	}
	return g.run(base, far, ax.n, visit)
}

// How much is read at once, and how far apart two values may lie to be read
// together, in elements.
const (
	maxRead  = 1 << 16
	maxApart = 64
)

// run visits n values, far elements apart.
func (g *grid) run(first, far, n uint64, visit func([]byte) error) error {
	for n > 0 {
		if err := g.ctx.Err(); err != nil {
			return err
		}
		m := uint64(1)
		if far <= maxApart {
			m = min(n, maxRead/far)
		}
		skip, err := g.read(first, (m-1)*far+1)
		if err != nil {
			return err
		}
		if g.numbers {
			if err := g.runNumbers(skip, far, m, visit); err != nil {
				return err
			}
			first, n = first+m*far, n-m
			continue
		}
		for i := range m {
			if g.text, err = numeric.AppendText(g.text[:0], g.t.DType, g.buf, int(skip+i*far)); err != nil {
				return err
			}
			if err := visit(g.text); err != nil {
				return err
			}
		}
		first, n = first+m*far, n-m
	}
	return nil
}

// runNumbers visits m of the elements in g.buf as numbers.
func (g *grid) runNumbers(skip, far, m uint64, visit func([]byte) error) error {
	g.floats = slices.Grow(g.floats[:0], len(g.buf)*8/g.t.DType.Bits())[:len(g.buf)*8/g.t.DType.Bits()]
	if err := numeric.Decode(g.floats, g.t.DType, g.buf); err != nil {
		return err
	}
	for i := range m {
		g.text = binary.LittleEndian.AppendUint32(g.text[:0], math.Float32bits(g.floats[skip+i*far]))
		if err := visit(g.text); err != nil {
			return err
		}
	}
	return nil
}

// read reads n elements into g.buf, and what shares a byte with them: skip
// elements precede them there.
func (g *grid) read(first, n uint64) (skip uint64, err error) {
	bits := uint64(g.t.DType.Bits())
	whole := uint64(1) // elements that fill whole bytes
	for whole*bits%8 != 0 {
		whole *= 2
	}
	from := first / whole * whole
	to := (first + n + whole - 1) / whole * whole
	off, length := from*bits/8, (to-from)*bits/8
	if uint64(cap(g.buf)) < length {
		g.buf = make([]byte, length)
	}
	g.buf = g.buf[:length]
	return first - from, readFull(g.t, g.buf, int64(off))
}

// human draws the values in brackets and columns, as NumPy does.
func (g *grid) human(width int) error {
	if g.count() == 0 {
		_, err := g.out.WriteString("[]\n")
		return err
	}
	axes, base := g.printed()
	// Once for the width of the columns, once to print.
	column, left := 0, g.most
	err := g.each(func(text []byte) error {
		column = max(column, utf8.RuneCount(text))
		if left--; left == 0 {
			return errEnough
		}
		return nil
	}, nil)
	if err != nil && err != errEnough {
		return err
	}
	deep := len(axes)
	at, fresh := deep, true // where the line stands, and whether it holds a value yet
	put := func(text string) {
		switch {
		case fresh:
		case deep > 0 && at+1+column+deep > width:
			g.out.WriteString("\n" + strings.Repeat(" ", deep))
			at = deep
		default:
			g.out.WriteByte(' ')
			at++
		}
		pad := 0
		if text != "…" {
			pad = max(0, column-utf8.RuneCountInString(text))
		}
		g.out.WriteString(strings.Repeat(" ", pad) + text)
		at += pad + utf8.RuneCountInString(text)
		fresh = false
	}
	left = g.most
	g.out.WriteString(strings.Repeat("[", deep))
	err = g.walk(axes, base, func(level int, gap bool) {
		inside, outside := level-1, deep-level+1
		line := strings.Repeat("\n", inside) + strings.Repeat(" ", outside)
		g.out.WriteString(strings.Repeat("]", inside))
		if gap {
			g.out.WriteString(line + "…")
		}
		g.out.WriteString(line + strings.Repeat("[", inside))
		at, fresh = deep, true
	}, func(text []byte) error {
		put(string(text))
		if left--; left == 0 {
			put("…")
			return errEnough
		}
		_, err := g.out.Write(nil) // of the writes before, so that `head` ends this
		return err
	}, func() { put("…") })
	g.out.WriteString(strings.Repeat("]", deep) + "\n")
	if err == errEnough {
		return nil
	}
	return err
}

// tsv writes the last dimension across, under its indices, and the others
// down.
func (g *grid) tsv() error {
	axes, base := g.printed()
	if err := g.headings(axes); err != nil {
		return err
	}
	if g.count() == 0 {
		return nil
	}
	first := true
	err := g.walk(axes, base, func(int, bool) {
		g.out.WriteByte('\n')
		first = true
	}, func(text []byte) error {
		if !first {
			g.out.WriteByte('\t')
		}
		first = false
		_, err := g.out.Write(text)
		return err
	}, nil)
	g.out.WriteByte('\n')
	return err
}

// headings writes the indices of the last dimension, or "value" above a scalar.
func (g *grid) headings(axes []axis) error {
	if len(axes) == 0 {
		_, err := g.out.WriteString("value\n")
		return err
	}
	// Of an axis that is printed the start is in the base.
	last, start := axes[len(axes)-1], uint64(0)
	for _, ax := range g.axes {
		if !ax.index {
			start = ax.start
		}
	}
	for i := range last.n {
		if i > 0 {
			g.out.WriteByte('\t')
		}
		if _, err := g.out.Write(strconv.AppendUint(g.out.AvailableBuffer(), start+i*last.step, 10)); err != nil {
			return err
		}
	}
	return g.out.WriteByte('\n')
}
