package torch

import (
	"io"

	"github.com/tensmith/tensmith/pickle"
)

// A section is what several vectors have at the same place, one behind the
// other: part bytes of each, size bytes in all.
type section struct {
	vectors         []*joined
	off, part, size int64
}

// Size returns the number of bytes.
func (s *section) Size() int64 { return s.size }

// ReadAt implements io.ReaderAt.
func (s *section) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 || off >= s.size {
		return 0, io.EOF
	}
	for len(p) > 0 && off < s.size {
		within := off % s.part
		piece := p[:min(int64(len(p)), s.part-within, s.size-off)]
		m, err := s.vectors[off/s.part].ReadAt(piece, s.off+within)
		n += m
		if m < len(piece) {
			return n, err
		}
		p, off = p[m:], off+int64(m)
	}
	if len(p) > 0 {
		return n, io.EOF
	}
	return n, nil
}

// WriteTo implements io.WriterTo.
func (s *section) WriteTo(w io.Writer) (int64, error) { return copyAt(w, s, s.size) }

// frozen takes the parameters that were not trained: whole, or at stage 3 in
// pieces in the files of the model.
func (z *zero) frozen(stage int64) error {
	shapes, _ := get(z.models[0].top, "frozen_param_shapes")
	for _, c := range mapping(shapes) {
		var pieces []span
		var first *tensor
		files := z.models
		if stage < 3 {
			files = files[:1]
		} else if len(files) != len(z.optims) {
			return z.models[0].at.malformed("missing", "frozen parameters of %d processes, and files of %d", len(z.optims), len(files))
		}
		shape, n, err := z.shape(c)
		if err != nil {
			return err
		}
		for _, f := range files {
			fragments, _ := get(f.top, "frozen_param_fragments")
			v, ok := get(mapping(fragments), c.key)
			if !ok {
				return named1(f.at.malformed("missing", "no fragment of a frozen parameter"), c.key)
			}
			t, err := z.tensor(f, v)
			if err != nil {
				return named1(err, c.key)
			}
			if stage < 3 {
				z.add(c.key, t)
				break
			}
			s, err := flat(t, first)
			if err != nil {
				return named1(err, c.key)
			}
			if first == nil {
				first = t
			}
			pieces = append(pieces, s)
		}
		if stage < 3 {
			continue
		}
		all := joinSpans(pieces)
		if all.size < n*int64(first.elem.size) {
			return named1(first.at.malformed("zero", "the fragments have %d bytes, %d elements are wanted", all.size, n), c.key)
		}
		z.add(c.key, z.made(first, shape, &section{[]*joined{all}, 0, n * int64(first.elem.size), n * int64(first.elem.size)}))
	}
	return nil
}

// shape reads the size of a parameter.
func (z *zero) shape(c child) (shape []int64, n int64, err error) {
	at := z.models[0].at
	shape, ok := ints(c.value)
	if !ok {
		return nil, 0, named1(at.malformed("shape", "the size of a parameter"), c.key)
	}
	n = 1
	for _, d := range shape {
		if d < 0 {
			return nil, 0, named1(at.malformed("shape", "size %d", d), c.key)
		}
		if n, ok = product(n, d); !ok || n > maxDim || d > maxDim {
			return nil, 0, named1(at.malformed("too-large", "shape %d", shape), c.key)
		}
	}
	return shape, n, nil
}

// flat returns the bytes of a piece, of the same type as like.
func flat(t, like *tensor) (span, error) {
	if t.elem == nil || t.s == nil || t.elem.home == 0 || t.elem.kind != plain || t.quant != nil || t.sparse != nil || !t.contiguous() {
		return span{}, t.at.fail(ErrUnsupported, "zero", "a piece of the weights that is no plain tensor")
	}
	if apply, err := t.changes(); apply != nil || err != nil {
		return span{}, t.at.fail(ErrUnsupported, "zero", "a piece of the weights in another byte order")
	}
	if like != nil && t.elem != like.elem {
		return span{}, t.at.fail(ErrUnsupported, "zero", "a piece of type %s, others are of %s", t.elem.name, like.elem.name)
	}
	if t.numel() == 0 {
		return memory(nil), nil
	}
	s, ok := t.s.data.sub(t.begin, t.bytes())
	if !ok {
		return span{}, t.at.malformed("bounds", "elements beyond the storage")
	}
	return s, nil
}

// made makes a tensor of computed data. The storage stands for it when ties are
// looked for.
func (z *zero) made(like *tensor, shape []int64, data sized) *tensor {
	return &tensor{at: like.at, s: &storage{}, elem: like.elem, shape: shape, stride: rowMajor(shape), whole: true, made: data}
}

// groups returns the pieces of all processes: by process, then by group.
func (z *zero) groups(key string) (all [][]span, like *tensor, err error) {
	for _, f := range z.optims {
		state, _ := f.state()
		v, ok := get(state, key)
		if !ok {
			return nil, nil, f.at.malformed("missing", "there is no %s", key)
		}
		var mine []span
		for _, item := range itemsOf(v) {
			t, err := z.tensor(f, item)
			if err != nil {
				return nil, nil, err
			}
			s, err := flat(t, like)
			if err != nil {
				return nil, nil, err
			}
			if like == nil {
				like = t
			}
			mine = append(mine, s)
		}
		if len(mine) == 0 || len(all) > 0 && len(mine) != len(all[0]) {
			return nil, nil, f.at.malformed("zero", "%d groups of parameters", len(mine))
		}
		all = append(all, mine)
	}
	return all, like, nil
}

// stage12 cuts up the vectors of stages 1 and 2: one a group, of the pieces of
// all processes, with the parameters one behind the other.
func (z *zero) stage12(at place) error {
	parts, like, err := z.groups("single_partition_of_fp32_groups")
	if err != nil {
		return err
	}
	if len(parts[0]) != len(z.shapes) {
		return at.malformed("zero", "%d groups of weights, %d of shapes", len(parts[0]), len(z.shapes))
	}
	state, _ := z.optims[0].state()
	paddings, _ := get(state, "param_alignment_paddings")
	size := int64(like.elem.size)
	for g, shapes := range z.shapes {
		var pieces []span
		for _, mine := range parts {
			pieces = append(pieces, mine[g])
		}
		all, off := joinSpans(pieces), int64(0)
		var gaps []int64
		if list := itemsOf(paddings); paddings != nil {
			if g < len(list) {
				gaps = numbers(list[g])
			}
			if len(gaps) != len(shapes) {
				return at.malformed("zero", "%d paddings for %d parameters", len(gaps), len(shapes))
			}
		}
		for i, c := range shapes {
			shape, n, err := z.shape(c)
			if err != nil {
				return err
			}
			if n > (all.size/size)-off {
				return named1(at.malformed("zero", "it reaches beyond the weights of its group"), c.key)
			}
			z.add(c.key, z.made(like, shape, &section{[]*joined{all}, off * size, n * size, n * size}))
			off += n
			if gaps != nil {
				if gaps[i] < 0 || gaps[i] > (all.size/size)-off {
					return named1(at.malformed("zero", "a padding of %d", gaps[i]), c.key)
				}
				off += gaps[i]
			}
		}
		// The vector is padded for the processes to have the same of it.
		align := 2 * int64(len(parts))
		if (off+align-1)/align != (all.size/size+align-1)/align {
			return at.malformed("zero", "the parameters of group %d are %d elements, the weights %d", g, off, all.size/size)
		}
	}
	return nil
}

// numbers reads a list of integers of any length.
func numbers(v pickle.Value) (list []int64) {
	for _, item := range itemsOf(v) {
		n, ok := item.(int64)
		if !ok {
			return nil
		}
		list = append(list, n)
	}
	return list
}

// stage3 puts parameters together of which each process has the same share.
func (z *zero) stage3() error {
	parts, like, err := z.groups("fp32_flat_groups")
	if err != nil {
		return err
	}
	size, world := int64(like.elem.size), int64(len(parts))
	vectors := make([]*joined, world)
	for i, mine := range parts {
		vectors[i] = joinSpans(mine)
		if vectors[i].size != vectors[0].size {
			return z.optims[i].at.malformed("zero", "%d bytes of weights, the first process has %d", vectors[i].size, vectors[0].size)
		}
	}
	off := int64(0)
	for _, shapes := range z.shapes {
		for _, c := range shapes {
			shape, n, err := z.shape(c)
			if err != nil {
				return err
			}
			share := n / world
			if n%world > 0 {
				share++
			}
			if share > vectors[0].size/size-off {
				return named1(z.optims[0].at.malformed("zero", "it reaches beyond the weights"), c.key)
			}
			z.add(c.key, z.made(like, shape, &section{vectors, off * size, share * size, n * size}))
			off += share
		}
	}
	if off != vectors[0].size/size {
		return z.optims[0].at.malformed("zero", "the parameters take %d elements of each process, there are %d", off, vectors[0].size/size)
	}
	return nil
}
