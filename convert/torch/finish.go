package torch

import (
	"maps"
	"strings"

	"github.com/tensmith/tensmith/pickle"
	"github.com/tensmith/tensmith/safetensors"
)

// finish makes entries of what a container held.
func (r *reader) finish(c *content, at place) (*File, error) {
	if bad := r.trace.dangerous(); bad != nil && !r.opts.ExtractOnly {
		bad.File = at.file
		return nil, bad
	}
	if err := r.partOfZero(c); err != nil {
		return nil, err
	}
	f := &File{r: r, container: c.container, wrap: c.wrap, shard: c.shard}
	list, err := r.namedOf(c, f, at)
	if err != nil {
		return nil, err
	}
	// What the pickle built is more than all that comes of it.
	c.value, c.b, c.tensors = nil, nil, nil
	// Checkpoints within the pickle were opened only now.
	if bad := r.trace.dangerous(); bad != nil && !r.opts.ExtractOnly {
		bad.File = at.file
		return nil, bad
	}
	pieces, err := r.allPieces(list)
	if err != nil {
		return nil, err
	}
	pieces, alias, err := r.tie(pieces, at)
	if err != nil {
		return nil, err
	}
	if err := r.bounded(pieces, list, at); err != nil {
		return nil, err
	}
	list = nil
	f.metadata = map[string]string{"format": c.framework}
	maps.Copy(f.metadata, alias)
	for _, n := range r.notes {
		key := ""
		switch n.Kind {
		case "metadata":
			key = n.Tensor + ".qscheme"
		case "layout":
			key = n.Tensor + ".layout"
		default:
			continue
		}
		// A name that was dropped for another may be the same.
		if _, taken := f.metadata[key]; !taken {
			f.metadata[key] = n.Text
		}
	}
	f.entries = make([]safetensors.Entry, 0, len(pieces))
	for _, p := range pieces {
		if _, isGather := p.data.(gather); isGather {
			r.note("copy", p.name, "", "a view that is not contiguous; gathered")
		}
		if err := r.odd(p, at); err != nil {
			return nil, err
		}
		f.entries = append(f.entries, safetensors.Entry{Info: safetensors.Info{Name: p.name, DType: p.dtype, Shape: p.shape}, Data: p.data})
	}
	return f, nil
}

// allPieces returns the pieces of all tensors. A view that is the only one of
// its storage can share nothing, and need not be kept for tie.
func (r *reader) allPieces(list []named) ([]piece, error) {
	many := sharing(list)
	pieces := make([]piece, 0, len(list))
	for i := range list {
		n := &list[i]
		t, alone := n.t, false
		if n.packed == "" {
			n.t = nil
		} else {
			var err error
			if t, err = n.packed.tensor(n.b, !many[i]); err != nil {
				return nil, named1(err, n.name)
			}
			alone = !many[i] && !t.s.kept
		}
		p, err := r.pieces(n.name, t)
		if err != nil {
			return nil, err
		}
		if alone && len(p) == 1 {
			p[0].view = nil
		}
		pieces = append(pieces, p...)
	}
	return pieces, nil
}

// namedOf returns the tensors of the content under their names.
func (r *reader) namedOf(c *content, f *File, at place) ([]named, error) {
	list := c.tensors
	if c.b != nil {
		t := c.b.grow(c.value)
		v, root := c.value, ""
		if !c.fixed || r.opts.Root != "" {
			var err error
			if v, root, err = t.root(c.value, r.opts.Root); err != nil {
				return nil, err
			}
		}
		f.root = root
		more, err := t.names(v)
		if err != nil {
			return nil, err
		}
		// An empty state is a checkpoint; values without tensors are none.
		kind, parts := c.b.expand(v)
		if (kind == leaf || len(parts) > 0 && kind != moduleNode) && len(more) == 0 && len(list) == 0 && !r.opts.ExtractOnly {
			return nil, c.b.at.fail(ErrUnknown, "empty", "a %s, which holds no tensors", kindOf(v))
		}
		list = append(list, more...)
	} else if root := r.opts.Root; root != "" && root != "." {
		var below []named
		for _, n := range list {
			if name, ok := strings.CutPrefix(n.name, root+"."); ok {
				n.name = name
				below = append(below, n)
				continue
			}
			t, err := n.tensor(true)
			if err != nil {
				return nil, err
			}
			r.leave(LeftOut{Path: n.name, Kind: "tensor", Tensors: 1, Bytes: t.bytes()})
		}
		if len(below) == 0 {
			return nil, at.fail(ErrUnknown, "root", "there is nothing below %q", root)
		}
		f.root, list = root, below
	}
	return list, unique(list, at)
}

// bounded refuses outputs that are absurd for the input.
func (r *reader) bounded(pieces []piece, list []named, at place) error {
	limit := r.opts.MaxOutput
	if limit <= 0 {
		limit = 64<<20 + 16*min(r.size+r.inflated, 1<<56)
	}
	for _, p := range pieces {
		size := p.data.Size()
		if limit -= size; size < 0 || limit < 0 {
			e := at.fail(ErrLimit, "too-large", "the tensors together are absurdly large for the file")
			if where, ok := p.place(list); ok {
				e = where.fail(ErrLimit, "too-large", "shape %d: the tensors together are absurdly large for the file", p.shape)
			}
			e.Tensor, e.Hint = p.name, "MaxOutput sets the limit"
			return e
		}
	}
	return nil
}

// place returns where the view stands that the piece is of, if it is of one.
func (p *piece) place(list []named) (place, bool) {
	if p.view != nil {
		return p.view.at, true
	}
	for _, n := range list {
		if n.packed != "" && n.name == p.name {
			return n.packed.place(n.b.at), true
		}
	}
	return place{}, false
}

// maxBools bounds the bytes of booleans that are looked at.
const maxBools = 16 << 20

// odd notes booleans that are neither 0 nor 1, which are kept as they are.
func (r *reader) odd(p piece, at place) error {
	s, ok := p.data.(span)
	if p.dtype != safetensors.Bool || !ok || r.bools+s.size > maxBools {
		return nil
	}
	r.bools += s.size
	b, err := s.bytes()
	if err != nil {
		return at.wrap(err)
	}
	for _, c := range b {
		if c > 1 {
			r.note("bool", p.name, "", "has bytes other than 0 and 1, which are kept")
			r.trace.add(at, "bool", pickle.Suspicious, "booleans other than 0 and 1")
			return nil
		}
	}
	return nil
}
