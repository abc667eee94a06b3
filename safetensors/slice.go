package safetensors

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"runtime"
)

// A Range selects indices of one dimension. The zero Range selects them all.
type Range struct {
	start, stop, step uint64
	kind              uint8
}

const (
	rangeAll     = iota
	rangeThinned // all, but every step-th
	rangeSpan
	rangeIndex
)

// Span selects the indices from start up to but not including stop. A span
// may be empty, but may not reach beyond the dimension.
func Span(start, stop uint64) Range { return Range{start: start, stop: stop, step: 1, kind: rangeSpan} }

// Index selects the one index i and drops the dimension.
func Index(i uint64) Range { return Range{start: i, stop: i + 1, step: 1, kind: rangeIndex} }

// Every returns r thinned to every step-th index, beginning with its first. It
// takes the place of a step that r already had. A step of 0, and a step of an
// [Index], are an [ErrRange] when the range is used.
func (r Range) Every(step uint64) Range {
	if r.kind == rangeAll {
		r.kind = rangeThinned
	}
	r.step = step
	return r
}

// resolve fits r to a dimension of dim elements.
func (r Range) resolve(dim uint64) (Range, error) {
	switch r.kind {
	case rangeAll:
		r.step = 1
		fallthrough
	case rangeThinned:
		r.stop = dim
	}
	switch {
	case r.kind == rangeIndex && r.start >= dim:
		return r, fmt.Errorf("%w: index %d of %d", ErrRange, r.start, dim)
	case r.start > r.stop || r.stop > dim:
		return r, fmt.Errorf("%w: %d:%d of %d", ErrRange, r.start, r.stop, dim)
	case r.step == 0 || r.kind == rangeIndex && r.step != 1:
		return r, fmt.Errorf("%w: a step of %d", ErrRange, r.step)
	}
	return r, nil
}

func (r Range) count() uint64 {
	if r.stop <= r.start {
		return 0
	}
	return (r.stop-r.start-1)/r.step + 1
}

// A Slice is a handle on a part of a tensor, which it presents as a tensor
// of its own: row-major, little-endian, sub-byte elements packed. Reading it
// reads the runs of bytes that it needs, and what lies between two of them
// only if that is less than a page.
type Slice struct {
	Info
	t    *Tensor
	base int64  // offset of the first run in the tensor
	run  int64  // bytes of one run
	axes []axis // over the runs, outermost first
	size int64  // bytes of the whole slice
}

// An axis repeats what is inside of it count times, stride bytes apart.
type axis struct{ count, stride int64 }

// Slice selects ranges[d] of dimension d, and all of any dimension behind the
// last range. The error is an [ErrRange] if there is no such part, and an
// [ErrMisaligned] if it begins or ends inside a byte, as a slice of an F4 or
// F6 tensor may.
func (t *Tensor) Slice(ranges ...Range) (*Slice, error) {
	fail := func(err error) (*Slice, error) {
		return nil, fmt.Errorf("tensor %s: %w", quote(t.Name), err)
	}
	if len(ranges) > len(t.Shape) {
		return fail(fmt.Errorf("%w: %d ranges for %d dimensions", ErrRange, len(ranges), len(t.Shape)))
	}
	s := &Slice{Info: Info{Name: t.Name, DType: t.DType, Shape: []uint64{}}, t: t}
	selected := make([]Range, len(t.Shape))
	for d, dim := range t.Shape {
		var r Range
		if d < len(ranges) {
			r = ranges[d]
		}
		r, err := r.resolve(dim)
		if err != nil {
			return fail(fmt.Errorf("dimension %d: %w", d, err))
		}
		selected[d] = r
		if r.kind != rangeIndex {
			s.Shape = append(s.Shape, r.count())
		}
	}
	for _, n := range s.Shape {
		if n == 0 {
			return s, nil
		}
	}

	// Every dimension has an element here, so all products divide the
	// tensor's size in bits, which fits.
	block := uint64(t.DType.Bits()) // of one index of the dimension
	base, run := uint64(0), block
	var reversed []axis
	aligned := true
	for d := len(t.Shape) - 1; d >= 0; d-- {
		r := selected[d]
		n := r.count()
		base += r.start * block
		switch {
		case n == 1:
		case run == block && r.step == 1 && len(reversed) == 0:
			run *= n
		default:
			stride := r.step * block
			aligned = aligned && stride%8 == 0
			a := axis{int64(n), int64(stride / 8)}
			if last := len(reversed) - 1; last >= 0 && a.stride == reversed[last].count*reversed[last].stride {
				reversed[last].count *= a.count // the rows go on where they end
			} else {
				reversed = append(reversed, a)
			}
		}
		block *= t.Shape[d]
	}
	if !aligned || base%8 != 0 || run%8 != 0 {
		return fail(fmt.Errorf("%w: a slice of %s elements must begin and end on a byte in each of its runs", ErrMisaligned, t.DType))
	}
	s.base, s.run, s.size = int64(base/8), int64(run/8), int64(run/8)
	for i := len(reversed) - 1; i >= 0; i-- {
		s.axes = append(s.axes, reversed[i])
		s.size *= reversed[i].count
	}
	return s, nil
}

// Size returns the size of the slice in bytes.
func (s *Slice) Size() int64 { return s.size }

// File returns the file that holds the slice.
func (s *Slice) File() *File { return s.t.file }

// Contiguous tells whether the slice is one run of bytes in its file, and at
// which offset the run begins.
func (s *Slice) Contiguous() (offset int64, ok bool) {
	return s.t.begin + s.base, len(s.axes) == 0
}

// WriteTo writes the slice to w. It implements [io.WriterTo].
func (s *Slice) WriteTo(w io.Writer) (int64, error) { return copyAt(w, s, s.size) }

// Bytes returns the slice in new memory. A large one of a local file that is
// not one run of bytes is gathered by several workers.
func (s *Slice) Bytes() ([]byte, error) {
	_, local := s.t.file.r.(*os.File)
	workers := int(min(int64(runtime.GOMAXPROCS(0)), 4, s.size/leastShare))
	if workers < 2 || len(s.axes) == 0 || !local && s.t.file.Mapped() == nil {
		return readAll(s, s.Name, s.size)
	}
	return readAll(shared{s, workers}, s.Name, s.size)
}

// leastShare is how much is worth a worker: what one gathers in the time that it
// takes to begin.
const leastShare = 1 << 20

// A shared is read by several workers, each a part.
type shared struct {
	r       io.ReaderAt
	workers int
}

func (s shared) ReadAt(p []byte, off int64) (int, error) {
	part := (len(p) + s.workers - 1) / s.workers
	failed := make([]error, s.workers)
	parallel(s.workers, func(i int) {
		from := min(i*part, len(p))
		if q := p[from:min(from+part, len(p))]; len(q) > 0 {
			if n, err := s.r.ReadAt(q, off+int64(from)); n < len(q) {
				failed[i] = cmp.Or(err, io.ErrUnexpectedEOF)
			}
		}
	})
	if err := cmp.Or(failed...); err != nil {
		return 0, err
	}
	return len(p), nil
}

// ReadAt reads from offset off of the slice. It implements [io.ReaderAt].
func (s *Slice) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fmt.Errorf("slice of tensor %s: negative offset", quote(s.Name))
	}
	if off >= s.size {
		return 0, io.EOF
	}
	if int64(len(p)) > s.size-off {
		p, err = p[:s.size-off], io.EOF
	}
	if mapped := s.t.file.Mapped(); mapped != nil {
		return s.Gather(p, mapped, off), err
	}
	for n < len(p) {
		m, err := s.read(p[n:], off+int64(n))
		n += m
		if err != nil {
			return n, err
		}
	}
	return n, err
}

// Gather copies what [Slice.ReadAt] reads from memory that holds all bytes of
// the slice's file, such as a map of it, and returns how many bytes it copied:
// less than p has room for if the slice ends before.
func (s *Slice) Gather(p, file []byte, off int64) (n int) {
	if off < 0 || off >= s.size {
		return 0
	}
	p = p[:min(int64(len(p)), s.size-off)]
	data := file[s.t.begin:s.t.end]
	for n < len(p) {
		at, rest, stride := s.place((off + int64(n)) / s.run)
		skip := (off + int64(n)) % s.run
		n += s.gather(p[n:], data[at+skip:], skip, rest, stride)
	}
	return n
}

// page is the gap between two runs below which both are read at once: the
// system reads no less from a disk.
const page = 4096

// read fills a part of p, at least the rest of one run.
func (s *Slice) read(p []byte, off int64) (int, error) {
	skip := off % s.run
	at, rest, stride := s.place(off / s.run)
	if len(s.axes) == 0 {
		return s.t.ReadAt(p, at+skip)
	}
	if stride-s.run >= page || int64(len(p)) <= s.run-skip {
		return s.t.ReadAt(p[:min(int64(len(p)), s.run-skip)], at+skip)
	}
	buf := buffers.Get().(*[1 << 20]byte)
	defer buffers.Put(buf)
	// As many runs as p, the row of runs and the buffer have room for.
	want := min(rest, (skip+int64(len(p))+s.run-1)/s.run)
	window := (want-1)*stride + s.run - skip
	if window > int64(len(buf)) {
		spare := int64(len(buf)) - (s.run - skip)
		if spare < 0 { // a run longer than the buffer
			return s.t.ReadAt(p[:min(int64(len(p)), s.run-skip)], at+skip)
		}
		rest = spare/stride + 1
		window = (rest-1)*stride + s.run - skip
	} else {
		rest = want
	}
	if n, err := s.t.ReadAt(buf[:window], at+skip); int64(n) < window {
		return 0, err
	}
	return s.gather(p, buf[:window], skip, rest, stride), nil
}

// gather copies runs from data, which begins skip bytes into the first of
// them, to p and returns how much it copied.
func (s *Slice) gather(p, data []byte, skip, runs, stride int64) (n int) {
	left := s.run - skip
	for ; runs > 0 && n < len(p); runs-- {
		n += copy(p[n:], data[:left])
		if runs > 1 {
			data = data[stride-(s.run-left):]
			left = s.run
		}
	}
	return n
}

// place returns where the run numbered n begins in the tensor, how many runs,
// itself included, are left on the innermost axis, and how far apart they are.
func (s *Slice) place(n int64) (at, rest, stride int64) {
	at, rest = s.base, 1
	for i := len(s.axes) - 1; i >= 0; i-- {
		a := s.axes[i]
		k := n % a.count
		at += k * a.stride
		if n /= a.count; i == len(s.axes)-1 {
			rest, stride = a.count-k, a.stride
		}
	}
	return at, rest, stride
}
