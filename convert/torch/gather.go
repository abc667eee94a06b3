package torch

import (
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"slices"
	"sync"
)

// A gather is the data of a view whose elements do not lie in row-major order
// one behind the other. It is written in boxes: a range of the output that is
// a whole number of inner rows, filled from as few reads as there are runs.
// Memory is two buffers, whatever the size of the view.
type gather struct {
	src    span
	elem   int   // size of an element in bytes: 1, 2, 4, 8 or 16
	off    int64 // of the first element, in elements
	shape  []int64
	stride []int64      // in elements, none negative
	apply  func([]byte) // changes whole elements in place, if not nil
	space  *workspace   // nil for buffers of its own
}

// The buffers of a gather in bytes: the output, and for each worker what is
// read of the source. Of a large transposed matrix each read gets only as many
// bytes as the output has rows, so that the first one is large.
const (
	gatherBuffer  = 8 << 20
	scratchBuffer = 1 << 20
)

// A workspace is the buffers of all gathers of a file, of which one works at a
// time, with several workers.
type workspace struct {
	mu      sync.Mutex
	out     []byte
	fillers []*filler
}

// room returns the output buffer, and fillers for the source.
func (w *workspace) room(size int64, src span, elem int) ([]byte, []*filler) {
	if int64(len(w.out)) < size {
		w.out = make([]byte, size)
	}
	n := min(runtime.GOMAXPROCS(0), 4)
	if size < 1<<20 {
		n = 1
	}
	for len(w.fillers) < n {
		w.fillers = append(w.fillers, &filler{scratch: make([]byte, scratchBuffer)})
	}
	for _, f := range w.fillers {
		f.src, f.elem = src, elem
	}
	return w.out[:size], w.fillers[:n]
}

// Size returns the size of the output in bytes.
func (g gather) Size() int64 {
	n := int64(g.elem)
	for _, d := range g.shape {
		n *= d
	}
	return n
}

// An axis is a dimension of a box: its extent, and how far apart, in
// elements, its indices are in the source and in the destination.
type axis struct{ n, src, dst int64 }

// axes returns the dimensions without those of extent 1, and with those
// merged that one stride can walk. The order is that of the output.
func (g gather) axes() []axis {
	var axes []axis
	for i, n := range g.shape {
		if n == 1 {
			continue
		}
		if last := len(axes) - 1; last >= 0 && axes[last].src == g.stride[i]*n {
			axes[last] = axis{n: axes[last].n * n, src: g.stride[i]}
			continue
		}
		axes = append(axes, axis{n: n, src: g.stride[i]})
	}
	at := int64(1)
	for i := len(axes) - 1; i >= 0; i-- {
		axes[i].dst = at
		at *= axes[i].n
	}
	return axes
}

// WriteTo implements io.WriterTo.
func (g gather) WriteTo(w io.Writer) (written int64, err error) {
	total := g.Size()
	if total == 0 {
		return 0, nil
	}
	axes := g.axes()
	// The box holds the axes from cut on whole, and a range of the one before.
	room := int64(gatherBuffer / g.elem)
	cut, inner := len(axes), int64(1)
	for cut > 0 && inner*axes[cut-1].n <= room {
		cut--
		inner *= axes[cut].n
	}
	step := room / inner
	space := g.space
	if space == nil {
		space = &workspace{}
	}
	space.mu.Lock()
	defer space.mu.Unlock()
	out, fillers := space.room(min(total, gatherBuffer), g.src, g.elem)
	index := make([]int64, cut) // of the axes before the box
	box := make([]axis, 0, len(axes))
	for {
		off, n := g.off, int64(1)
		for i, at := range index {
			off += at * axes[i].src
		}
		box = append(box[:0], axes[cut:]...)
		if cut > 0 {
			last := axes[cut-1]
			n = min(step, last.n-index[cut-1])
			box = append(box, axis{n, last.src, last.dst})
		}
		part := out[:n*inner*int64(g.elem)]
		if err := fill(fillers, part, off, box); err != nil {
			return written, err
		}
		if g.apply != nil {
			g.apply(part)
		}
		m, err := w.Write(part)
		written += int64(m)
		if err != nil || cut == 0 {
			return written, err
		}
		i := cut - 1
		for index[i] += n; index[i] >= axes[i].n; index[i]++ {
			index[i] = 0
			if i--; i < 0 {
				return written, nil
			}
		}
	}
}

// fill fills dst with the box whose first element is at off in the source.
// The workers share what is farthest apart there.
func fill(fillers []*filler, dst []byte, off int64, axes []axis) error {
	widest := 0
	for i, a := range axes {
		if a.src > axes[widest].src {
			widest = i
		}
	}
	if len(fillers) == 1 || len(dst) < 1<<20 || len(axes) == 0 || axes[widest].n < int64(len(fillers)) {
		return fillers[0].fill(dst, 0, off, axes)
	}
	errs := make([]error, len(fillers))
	var wg sync.WaitGroup
	n, all := axes[widest].n, int64(len(fillers))
	for i, f := range fillers {
		from, end := n*int64(i)/all, n*int64(i+1)/all
		mine := slices.Clone(axes)
		mine[widest].n = end - from
		wg.Go(func() {
			errs[i] = f.fill(dst, from*axes[widest].dst, off+from*axes[widest].src, mine)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// A filler copies boxes out of a source.
type filler struct {
	src     span
	elem    int
	scratch []byte
}

// fill copies the box whose first element is at off in the source to dst,
// where it begins at the element to. It reorders axes.
func (f *filler) fill(dst []byte, to, off int64, axes []axis) error {
	slices.SortStableFunc(axes, func(a, b axis) int {
		switch {
		case a.src > b.src:
			return -1
		case a.src < b.src:
			return 1
		}
		return 0
	})
	// The last axes, of the smallest steps, are read in one piece: as many as
	// fit and do not waste more than half of what is read.
	room := int64(len(f.scratch) / f.elem)
	k, reach, count := len(axes), int64(1), int64(1)
	for k > 0 {
		a := axes[k-1]
		longer, more := reach+(a.n-1)*a.src, count
		if a.src > 0 {
			more *= a.n
		}
		if longer > room || longer > 2*more && longer*int64(f.elem) > 1<<12 {
			break
		}
		k, reach, count = k-1, longer, more
	}
	tail := slices.Clone(axes[k:])
	if k == 0 {
		if err := f.read(0, off, reach); err != nil {
			return err
		}
		f.scatter(dst, to, tail)
		return nil
	}
	// Of the axis before them several are read, one behind the other.
	k--
	rows, several := axes[k], room/reach
	tail = append(tail, axis{})
	index := make([]int64, k)
	for {
		from, at := off, to
		for i, n := range index {
			from += n * axes[i].src
			at += n * axes[i].dst
		}
		for row := int64(0); row < rows.n; row += several {
			n := min(several, rows.n-row)
			for j := range n {
				if err := f.read(j*reach, from+(row+j)*rows.src, reach); err != nil {
					return err
				}
			}
			tail[len(tail)-1] = axis{n, reach, rows.dst}
			f.scatter(dst, at+row*rows.dst, tail)
		}
		i := k - 1
		for ; i >= 0; i-- {
			if index[i]++; index[i] < axes[i].n {
				break
			}
			index[i] = 0
		}
		if i < 0 {
			return nil
		}
	}
}

// read reads n elements at off of the source into the scratch at to.
func (f *filler) read(to, off, n int64) error {
	size := int64(f.elem)
	part := f.scratch[to*size : (to+n)*size]
	if m, err := f.src.ReadAt(part, off*size); m < len(part) {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	return nil
}

// scatter copies the box at the beginning of the scratch to dst.
func (f *filler) scatter(dst []byte, to int64, axes []axis) {
	// The two inner loops are those with the smallest steps on either side,
	// in tiles that stay in the cache.
	fast := func(less func(a, b axis) bool) (best int) {
		for i := range axes {
			if axes[i].n > 1 && (axes[best].n == 1 || less(axes[i], axes[best])) {
				best = i
			}
		}
		return best
	}
	one := axis{1, 0, 0}
	inner, outer := one, one
	skip := [2]int{-1, -1}
	if len(axes) > 0 {
		d := fast(func(a, b axis) bool { return a.dst < b.dst })
		s := fast(func(a, b axis) bool { return a.src < b.src })
		inner, skip[0] = axes[d], d
		if s != d {
			outer, skip[1] = axes[s], s
		}
	}
	rest := make([]axis, 0, len(axes))
	for i, a := range axes {
		if i != skip[0] && i != skip[1] && a.n > 1 {
			rest = append(rest, a)
		}
	}
	index := make([]int64, len(rest))
	for {
		d, s := to, int64(0)
		for i, n := range index {
			d += n * rest[i].dst
			s += n * rest[i].src
		}
		f.plane(dst, d, s, inner, outer)
		i := len(rest) - 1
		for ; i >= 0; i-- {
			if index[i]++; index[i] < rest[i].n {
				break
			}
			index[i] = 0
		}
		if i < 0 {
			return
		}
	}
}

// plane copies two axes in tiles.
func (f *filler) plane(dst []byte, d, s int64, inner, outer axis) {
	e := int64(f.elem)
	if inner.src == 1 && inner.dst == 1 {
		for j := range outer.n {
			to, from := (d+j*outer.dst)*e, (s+j*outer.src)*e
			copy(dst[to:to+inner.n*e], f.scratch[from:])
		}
		return
	}
	const tile = 32
	for i := int64(0); i < inner.n; i += tile {
		ni := min(tile, inner.n-i)
		for j := int64(0); j < outer.n; j += tile {
			for jj := j; jj < min(j+tile, outer.n); jj++ {
				f.line(dst, d+jj*outer.dst+i*inner.dst, s+jj*outer.src+i*inner.src, ni, inner)
			}
		}
	}
}

// line copies n elements.
func (f *filler) line(dst []byte, d, s, n int64, a axis) {
	src := f.scratch
	switch le := binary.LittleEndian; f.elem {
	case 1:
		for range n {
			dst[d] = src[s]
			d, s = d+a.dst, s+a.src
		}
	case 2:
		for range n {
			le.PutUint16(dst[2*d:], le.Uint16(src[2*s:]))
			d, s = d+a.dst, s+a.src
		}
	case 4:
		for range n {
			le.PutUint32(dst[4*d:], le.Uint32(src[4*s:]))
			d, s = d+a.dst, s+a.src
		}
	case 8:
		for range n {
			le.PutUint64(dst[8*d:], le.Uint64(src[8*s:]))
			d, s = d+a.dst, s+a.src
		}
	default:
		e := int64(f.elem)
		for range n {
			copy(dst[d*e:(d+1)*e], src[s*e:])
			d, s = d+a.dst, s+a.src
		}
	}
}
