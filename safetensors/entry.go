package safetensors

import (
	"fmt"
	"math/bits"
	"slices"
)

// entry reads one key and its value at offset i.
func (p *parser) entry(i int) int {
	key, v := p.member(i)
	switch {
	case v < 0:
		return -1
	case p.is(key, reservedName):
		return p.metadata(i, key, v)
	}
	end := p.value(v, 1)
	switch {
	case end < 0:
		return -1
	case !p.tensor(key, v):
		if p.stopped {
			return -1
		}
		p.broken = true
	}
	return end
}

// A fields is what an entry's object says, as offsets of values; 0 is absent.
type fields struct{ dtype, shape, offsets int }

// tensor reads the value of a tensor's entry at offset v of the text, which
// the grammar has accepted, and adds it to the header if there is no error.
func (p *parser) tensor(key token, v int) bool {
	switch c := p.text[v]; c {
	case '{':
	case '[':
		p.problem(v, key, ErrForm, "the tensor is an array, not an object")
		return false
	default:
		p.problem(v, key, ErrType, "the tensor is "+jsonKind(c)+", not an object")
		return false
	}
	var f fields
	for i := p.space(v + 1); p.text[i] != '}'; {
		name, j := p.member(i)
		field := (*int)(nil)
		switch {
		case p.is(name, "dtype"):
			field = &f.dtype
		case p.is(name, "shape"):
			field = &f.shape
		case p.is(name, "data_offsets"):
			field = &f.offsets
		default:
			if p.unknown == 0 {
				p.unknownAt, p.unknownKey, p.unknownIn = i, name, key
			}
			p.unknown++
		}
		if field != nil {
			if *field != 0 {
				p.problem(i, key, ErrDuplicate, "field "+p.string(name))
				return false
			}
			*field = j
		}
		if i = p.space(p.value(j, 2)); p.text[i] == ',' {
			i = p.space(i + 1)
		}
	}
	switch {
	case f.dtype == 0:
		p.problem(v, key, ErrType, "dtype is missing")
		return false
	case f.shape == 0:
		p.problem(v, key, ErrType, "shape is missing")
		return false
	case f.offsets == 0:
		p.problem(v, key, ErrType, "data_offsets is missing")
		return false
	}
	return p.typed(key, f)
}

// typed reads the values of the three fields.
func (p *parser) typed(key token, f fields) bool {
	e := entry{
		name: uint32(key.pos), nameLen: uint32(key.len),
		shape: uint32(f.shape + 1), offsets: uint32(f.offsets),
	}
	switch c := p.text[f.dtype]; c {
	case '"':
		t, _ := p.str(f.dtype)
		s := p.string(t)
		if e.dtype = lookupDType(s); e.dtype == 0 {
			p.problem(f.dtype, key, ErrDType, quote(s))
			return false
		}
	case '{':
		p.problem(f.dtype, key, ErrForm, "the dtype is an object, not a string")
		return false
	default:
		p.problem(f.dtype, key, ErrType, "the dtype is "+jsonKind(c)+", not a string")
		return false
	}

	elements, wraps := uint64(1), false
	_, ok := p.integers(f.shape, func(n uint64) bool {
		hi, lo := bits.Mul64(elements, n)
		elements, wraps = lo, wraps || hi != 0
		return true
	})
	if !ok {
		return p.wrongField(key, "shape", f.shape)
	}
	var pair [2]uint64
	count, ok := 0, false
	if _, ok = p.integers(f.offsets, func(n uint64) bool {
		if count < 2 {
			pair[count] = n
		}
		count++
		return true
	}); !ok {
		return p.wrongField(key, "data_offsets", f.offsets)
	}
	if count != 2 {
		p.problem(f.offsets, key, ErrType, fmt.Sprintf("data_offsets has %d numbers, not 2", count))
		return false
	}
	e.begin, e.end = pair[0], pair[1]
	e.flags = checkSize(e.dtype, elements, wraps, e.end-e.begin)
	name := p.text[key.pos : key.pos+key.len]
	if key.escaped {
		e.flags |= nameEscaped
		p.scratch = p.unescape(p.scratch[:0], key)
		name = p.scratch
	}
	e.hash = p.h.hash(name)
	p.add(e)
	return true
}

// wrongField reports that a field holds no array of integers.
func (p *parser) wrongField(key token, field string, i int) bool {
	detail := field + " is " + jsonKind(p.text[i]) + ", not an array of integers"
	if p.err != nil {
		i, detail = int(p.err.Offset)-prefixLen, field+": "+p.err.Detail
		p.err = nil
	}
	p.problem(i, key, ErrType, detail)
	return false
}

// integers calls yield for each number of the array at offset i of a text
// that the grammar has accepted. It fails if there is none there or if it
// holds anything but integers, then with p.err set.
func (s *scanner) integers(i int, yield func(uint64) bool) (int, bool) {
	if s.text[i] != '[' {
		return i, false
	}
	for i = s.space(i + 1); s.text[i] != ']'; {
		var n uint64
		if n, i = s.uint(i); i < 0 {
			return i, false
		}
		if !yield(n) {
			return i, true
		}
		if i = s.space(i); s.text[i] == ',' {
			i = s.space(i + 1)
		}
	}
	return i + 1, true
}

// checkSize compares the size of a tensor with the length of its data.
func checkSize(d DType, elements uint64, wraps bool, length uint64) uint8 {
	hi, size := bits.Mul64(elements, uint64(dtypes[d].bits))
	switch {
	case wraps || hi != 0:
		return overflows
	case size%8 != 0:
		return misaligned
	case size/8 != length:
		return wrongSize
	}
	return 0
}

// add appends e, letting the table grow by what the text read so far
// promises, and never beyond what the rest has room for.
func (p *parser) add(e entry) {
	h := p.h
	if n := len(h.entries); n == cap(h.entries) {
		const shortest = 49 // "":{"dtype":"U8","shape":[],"data_offsets":[0,1]}
		read := int(e.name)
		guess := max(64, n+n/2)
		if n > 0 {
			guess = max(guess, int(int64(n)*int64(len(p.text))/int64(read)*17/16))
		}
		guess = min(guess, n+1+(len(p.text)-read)/shortest)
		h.entries = slices.Grow(h.entries, guess-n)
	}
	p.inOrder = p.inOrder && e.begin == p.next && e.end >= e.begin && e.flags&sizeFlags == 0
	p.next = e.end
	h.entries = append(h.entries, e)
}
