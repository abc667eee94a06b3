package torch

import (
	"io"
	"sort"
)

// blockBuffer is the size in bytes of a block of the output where it is put
// together of parts.
const blockBuffer = 4 << 20

// assemble sets the data of a tensor that is made of chunks.
func (t *tensor) assemble(chunks []chunk) error {
	kept := chunks[:0:0]
	rows, plain := true, true
	for _, c := range chunks {
		if c.t.numel() == 0 {
			continue
		}
		kept = append(kept, c)
		for i := 1; i < len(t.shape); i++ {
			rows = rows && c.t.shape[i] == t.shape[i]
		}
		apply, err := c.t.changes()
		if err != nil {
			return err
		}
		plain = plain && apply == nil && c.t.contiguous()
	}
	if len(kept) == 0 {
		t.made = memory(nil)
		return nil
	}
	if rows && plain && len(t.shape) > 0 {
		sort.Slice(kept, func(i, j int) bool { return kept[i].off[0] < kept[j].off[0] })
		parts := make([]span, len(kept))
		for i, c := range kept {
			parts[i], _ = c.t.s.data.sub(c.t.begin, c.t.bytes())
		}
		t.made = joinSpans(parts)
		return nil
	}
	t.made = &assembly{t: t, chunks: kept}
	return nil
}

// A joined is ranges of bytes, one behind the other.
type joined struct {
	parts []span
	ends  []int64
	size  int64
}

func joinSpans(parts []span) *joined {
	j := &joined{parts: parts}
	for _, s := range parts {
		j.size += s.size
		j.ends = append(j.ends, j.size)
	}
	return j
}

// Size returns the number of bytes.
func (j *joined) Size() int64 { return j.size }

// ReadAt implements io.ReaderAt.
func (j *joined) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, io.EOF
	}
	for i := sort.Search(len(j.ends), func(i int) bool { return j.ends[i] > off }); len(p) > 0; i++ {
		if i == len(j.parts) {
			return n, io.EOF
		}
		s := j.parts[i]
		begin := off - (j.ends[i] - s.size)
		part := p[:min(int64(len(p)), s.size-begin)]
		m, err := s.ReadAt(part, begin)
		n += m
		if m < len(part) {
			return n, err
		}
		p, off = p[m:], off+int64(m)
	}
	return n, nil
}

// WriteTo implements io.WriterTo.
func (j *joined) WriteTo(w io.Writer) (int64, error) { return copyAt(w, j, j.size) }

// An assembly is a tensor of boxes that lie in it as they like. It is written
// in ranges of rows, each filled from the chunks that reach into it.
type assembly struct {
	t      *tensor
	chunks []chunk
}

// Size returns the number of bytes.
func (a *assembly) Size() int64 { return a.t.bytes() }

// WriteTo implements io.WriterTo.
func (a *assembly) WriteTo(w io.Writer) (written int64, err error) {
	shape, elem := a.t.shape, int64(a.t.elem.size)
	rank := len(shape)
	if rank == 0 {
		d, err := a.chunks[0].t.data()
		if err != nil {
			return 0, err
		}
		return d.WriteTo(w)
	}
	// The box: one index of each dimension before cut, a range of it, and
	// all of those behind.
	cut, inner := rank-1, int64(1)
	for cut > 0 && inner*shape[cut]*elem <= blockBuffer {
		inner *= shape[cut]
		cut--
	}
	step := max(blockBuffer/(inner*elem), 1)
	box := make([]int64, rank)  // where it begins
	size := make([]int64, rank) // its extents
	for i := range size {
		size[i] = 1
		if i > cut {
			size[i] = shape[i]
		}
	}
	stride := rowMajor(shape)
	f := &filler{scratch: make([]byte, scratchBuffer)}
	out := make([]byte, min(step, shape[cut])*inner*elem)
	for {
		size[cut] = min(step, shape[cut]-box[cut])
		part := out[:size[cut]*inner*elem]
		for _, c := range a.chunks {
			if err := a.fill(f, part, c, box, size, stride); err != nil {
				return written, err
			}
		}
		n, err := w.Write(part)
		written += int64(n)
		if err != nil {
			return written, err
		}
		i := cut
		for box[i] += size[cut]; box[i] >= shape[i]; box[i]++ {
			box[i] = 0
			if i--; i < 0 {
				return written, nil
			}
		}
	}
}

// fill copies what a chunk has of the box.
func (a *assembly) fill(f *filler, out []byte, c chunk, box, size, stride []int64) error {
	apply, err := c.t.changes()
	if err != nil {
		return err
	}
	axes := make([]axis, 0, len(box))
	part := *c.t
	part.shape = make([]int64, len(box))
	to := int64(0)
	for i := range box {
		from, end := max(box[i], c.off[i]), min(box[i]+size[i], c.off[i]+c.t.shape[i])
		if from >= end {
			return nil
		}
		part.begin += (from - c.off[i]) * c.t.stride[i] * int64(c.t.elem.size)
		part.shape[i] = end - from
		to += (from - box[i]) * stride[i]
		axes = append(axes, axis{end - from, c.t.stride[i], stride[i]})
	}
	s, _ := part.s.data.sub(part.begin, part.end()-part.begin)
	f.src, f.elem = s, c.t.elem.size
	if apply == nil {
		return f.fill(out, to, 0, axes)
	}
	// What is to be changed is gathered apart first.
	own := rowMajor(part.shape)
	buf := make([]byte, part.bytes())
	for i := range axes {
		axes[i].dst = own[i]
	}
	if err := f.fill(buf, 0, 0, axes); err != nil {
		return err
	}
	apply(buf)
	for i := range axes {
		axes[i] = axis{part.shape[i], own[i], stride[i]}
	}
	f.src = memory(buf)
	return f.fill(out, to, 0, axes)
}
