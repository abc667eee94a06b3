package safetensors

import (
	"bytes"
	"hash/maphash"
	"slices"
	"unsafe"
)

// prefixLen is the size of the header's length, a little-endian uint64.
const prefixLen = 8

// maxHeaderLen is the length in bytes up to which readers accept a header.
const maxHeaderLen = 100_000_000

const reservedName = "__metadata__"

// A header is the index of a header's text. It holds numbers and offsets into
// the text, and nothing that the text can make larger than itself: shapes,
// metadata and escaped names are read from the text when they are asked for.
type header struct {
	text    []byte  // never written to: names are strings over it
	entries []entry // in the order of their data
	slots   []slot  // open addressing, a power of two of them
	seed    maphash.Seed
	meta    span // the value of __metadata__: an object, null or nothing
	metaKey span // from the key's quote to the end of the value
}

type span struct{ from, to int }

// An entry is a tensor: 40 bytes for the 49 or more that the text spends.
type entry struct {
	begin, end uint64 // data_offsets
	name       uint32 // offset in the text of the name, behind its quote
	nameLen    uint32
	shape      uint32 // offset in the text of the first dimension
	offsets    uint32 // offset in the text of the array of data_offsets
	hash       uint32 // of the unescaped name
	dtype      DType
	flags      uint8
}

const (
	nameEscaped = 1 << iota
	overflows   // the size in bits is 2^64 or more
	misaligned  // the size in bits is no multiple of 8
	wrongSize   // the size is not end - begin
	sizeFlags   = overflows | misaligned | wrongSize
)

// A slot holds an entry's number plus one, and its hash to spare most looks
// at entries that only collide.
type slot struct{ hash, entry uint32 }

// token returns the place of e's name.
func (h *header) token(e *entry) token {
	return token{int(e.name), int(e.nameLen), e.flags&nameEscaped != 0}
}

// name returns e's name. It shares the header's memory if it can.
func (h *header) name(e *entry) string {
	if e.nameLen == 0 {
		return ""
	}
	if e.flags&nameEscaped != 0 {
		s := scanner{text: h.text}
		return s.string(h.token(e))
	}
	return unsafe.String(&h.text[e.name], int(e.nameLen)) // text never changes
}

func (h *header) hash(name []byte) uint32 { return uint32(maphash.Bytes(h.seed, name)) }

// find returns the entry called name, or nil.
func (h *header) find(name string) *entry {
	if len(h.slots) == 0 {
		return nil
	}
	hash := uint32(maphash.String(h.seed, name))
	mask := uint32(len(h.slots) - 1)
	for i := hash & mask; h.slots[i].entry != 0; i = (i + 1) & mask {
		if h.slots[i].hash == hash {
			if e := &h.entries[h.slots[i].entry-1]; h.name(e) == name {
				return e
			}
		}
	}
	return nil
}

// info returns what the header says of e. Its shape may be one that was met
// before.
func (h *header) info(e *entry, met *shapes) Info {
	s := scanner{text: h.text}
	var some [8]uint64
	shape := some[:0]
	s.integers(int(e.shape)-1, func(n uint64) bool { shape = append(shape, n); return true })
	return Info{Name: h.name(e), DType: e.dtype, Shape: met.keep(shape)}
}

// shapes are those that were met last. A hundred thousand tensors have a few.
type shapes struct {
	met  [4][]uint64
	turn int
}

// keep returns a copy of a shape, or the one that was made before. Without
// shapes it makes one.
func (s *shapes) keep(shape []uint64) []uint64 {
	if s != nil {
		for _, m := range s.met {
			if m != nil && slices.Equal(m, shape) {
				return m
			}
		}
	}
	m := append(make([]uint64, 0, len(shape)), shape...)
	if s != nil {
		s.met[s.turn], s.turn = m, (s.turn+1)%len(s.met)
	}
	return m
}

// shapeText returns e's shape as the header spells it, cut to fit a message.
func (h *header) shapeText(e *entry) string {
	const limit = 80
	text := h.text[e.shape-1:]
	if end := bytes.IndexByte(text[:min(len(text), limit)], ']'); end >= 0 {
		return string(text[:end+1])
	}
	return string(text[:limit]) + "…]"
}

// metadata calls yield for each pair of the metadata, in header order.
func (h *header) metadata(yield func(key, value string) bool) {
	if h.meta.to == 0 || h.text[h.meta.from] != '{' {
		return
	}
	p := parser{scanner: scanner{text: h.text}}
	p.strings(h.meta.from, func(key, value token) bool {
		return yield(p.string(key), p.string(value))
	})
}
