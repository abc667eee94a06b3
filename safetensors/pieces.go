package safetensors

import (
	"bytes"
	"math"
	"sort"
)

// sources returns the pieces of the file, in order: the header, and then the
// data of the entries.
func (p *plan) sources() []source {
	return p.between(make([]source, 0, p.pieces()+1), 0, math.MaxInt64)
}

// between appends the pieces that have bytes between two offsets of the file.
// Those at its edges may reach beyond it, or be cut off there.
func (p *plan) between(all []source, from, to int64) []source {
	prefix := p.prefix.Size()
	if from < prefix {
		all = append(all, source{data: p.prefix, at: p.prefix, end: prefix})
	}
	from, to = from-prefix, to-prefix
	// Tensors that lie in a file as they are to lie here are one piece: a file
	// that is written again is copied, not read tensor by tensor.
	var run *Tensor
	g := sort.Search(len(p.groups), func(g int) bool { return p.groups[g].begin > from })
	for g = max(0, g-1); g < len(p.groups)-1 && p.groups[g].begin < to; g++ {
		p.eachOf(g, func(e *Entry, begin, size int64) error {
			if begin+size <= from || begin >= to {
				return nil
			}
			t, _ := e.Data.(*Tensor)
			if last := len(all) - 1; t != nil && last >= 0 {
				if before, _ := all[last].data.(*Tensor); before != nil && before.end == t.begin && before.file == t.file {
					if before != run {
						run = &Tensor{Info: before.Info, file: before.file, begin: before.begin}
						all[last].data, all[last].at = run, run
					}
					run.end = t.end
					all[last].end += size
					return nil
				}
			}
			if s, ok := p.source(e, begin, size); ok {
				all = append(all, s)
			}
			return nil
		})
	}
	return all
}

// pieces guesses how many pieces the entries are. What is computed is one for
// each, of which there may be hundreds of thousands: no room is to be left then.
func (p *plan) pieces() int {
	computed := 0
	for i := range p.all {
		if _, ok := p.all[i].Data.(*Tensor); !ok {
			computed++
		}
	}
	return computed + min(len(p.all)-computed, 1024)
}

// A survey is what is true of the pieces of a file.
type survey struct {
	watched bool // some of them
	streams bool // some of them can only stream
	held    bool // they lie in memory, as of mostlyHeld
	later   []reach
}

// A reach is from where to where something lies in the file.
type reach struct{ begin, end int64 }

// postpone adds a piece to those that are written later. What lies nearer to each
// other than a block is taken together, so that there are never many.
func (v *survey) postpone(s *source) {
	if last := len(v.later) - 1; last >= 0 && s.begin < v.later[last].end+blockSize {
		v.later[last].end = s.end
	} else {
		v.later = append(v.later, reach{s.begin, s.end})
	}
}

// survey looks at all pieces.
func (p *plan) survey() (v survey) {
	n, others := int64(1), p.prefix.Size()
	p.each(func(e *Entry, begin, size int64) error {
		s := source{data: e.Data}
		switch e.Data.(type) {
		case *Tensor: // the common cases, sooner than interfaces are looked up
		case *bytes.Reader:
			if size > 0 {
				n++
			}
			return nil
		default:
			var ok bool
			if s, ok = p.source(e, begin, size); !ok {
				return nil
			}
			v.streams = v.streams || s.at == nil
			v.watched = v.watched || s.watcher() != nil
			if _, ok := e.Data.(interface{ Later() }); ok {
				v.postpone(&s)
			}
		}
		n, others = n+1, others+size
		return nil
	})
	v.held = fewHeld(n, others, p.prefix.Size()+p.size)
	return v
}

// Pieces are some of a file, one behind the other, which can be read at offsets:
// those of a list, or all of a plan, which are made block by block, for there may
// be hundreds of thousands.
type pieces struct {
	list       []source
	plan       *plan // nil if there is a list
	begin, end int64 // in the file
	held       bool  // mostlyHeld
	later      []reach
}

func listed(list []source) pieces {
	return pieces{list: list, begin: list[0].begin, end: list[len(list)-1].end, held: mostlyHeld(list)}
}

// isLater tells whether what is between two offsets is to be written after the rest.
func (p *pieces) isLater(from, to int64) bool {
	i := sort.Search(len(p.later), func(i int) bool { return p.later[i].end > from })
	return i < len(p.later) && p.later[i].begin < to
}

// between returns the pieces that have bytes between two offsets, in some or in
// memory of their own.
func (p *pieces) between(some []source, from, to int64) []source {
	if p.plan != nil {
		return p.plan.between(some[:0], from, to)
	}
	return p.list[find(from, p.list):]
}
