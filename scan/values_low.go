package scan

import (
	"encoding/binary"
	"math/bits"

	"github.com/tensmith/tensmith/safetensors"
)

// A lowKind is what the low bits of a dtype can tell.
type lowKind struct {
	width int // bytes of an element
	// cast is how many low bits are zeros in what was cast from a narrower
	// type of floats, or 0 if there is none of which that could be told.
	cast int
	// random says that the fraction has 16 bits and more, of which the lowest
	// byte is nearly random in trained weights.
	random bool
	// exponent masks the bits that are zeros in subnormal numbers, if a cast
	// leaves low bits in those. They are as good as zero then.
	exponent uint64
	from     string // what it may have been cast from
}

// lowKindOf returns what is known of the low bits of a dtype, whose elements are
// whole bytes.
func lowKindOf(d safetensors.DType) (k lowKind, ok bool) {
	switch d {
	case safetensors.F32, safetensors.C64: // a complex number is two of them
		return lowKind{width: 4, cast: 13, random: true, from: "BF16 or F16"}, true
	case safetensors.F64:
		return lowKind{width: 8, cast: 29, random: true, from: "F32"}, true
	case safetensors.F16:
		return lowKind{width: 2, cast: 3, exponent: 0x7C00, from: "BF16"}, true
	case safetensors.BF16:
		return lowKind{width: 2, cast: 4, from: "F8"}, true
	case safetensors.Bool:
		return k, false // of which there is only one bit
	}
	k.width = d.Bits() / 8
	return k, d.Bits()%8 == 0 && d.Bits() > 0 && k.width <= 8
}

// takes are how many low bits of each element a payload is looked for in,
// besides 8.
func (k *lowKind) takes() (bytes []int) {
	switch k.width {
	case 4:
		return []int{16, 24}
	case 8:
		return []int{16, 24, 32, 40, 48}
	}
	return nil
}

// A pairSet is a set of two bytes.
type pairSet [1 << 16 / 64]uint64

func (s *pairSet) add(high, low byte) {
	v := uint16(high)<<8 | uint16(low)
	s[v>>6] |= 1 << (v & 63)
}

func (s *pairSet) has(v uint16) bool { return s[v>>6]>>(v&63)&1 != 0 }

// A lowTable tells where a file may begin in the low bits of elements, by the
// first two bytes of its magic.
type lowTable struct {
	// bits are by how many bits are taken of each element, 1, 2 and 4: what 16
	// bits are if those of the first element stand highest.
	bits [3]pairSet
	// pairs are two bytes within one element, the first of them above or below.
	above, below pairSet
}

func newLowTable() *lowTable {
	var t lowTable
	for _, e := range embeddeds {
		a, b := e.magic[0], e.magic[1]
		for i := range t.bits {
			t.bits[i].add(a, b)
			t.bits[i].add(turned(a, i), turned(b, i))
		}
		t.above.add(a, b)
		t.below.add(b, a)
	}
	return &t
}

// turned returns the groups of 1<<i bits of a byte in the other order.
func turned(b byte, i int) byte {
	switch i {
	case 0:
		return bits.Reverse8(b)
	case 1:
		b = bits.Reverse8(b)
		return b&0x55<<1 | b>>1&0x55
	}
	return bits.RotateLeft8(b, 4)
}

// widen reads elements of width bytes.
func widen(dst []uint64, p []byte, width int) []uint64 {
	dst = dst[:len(p)/width]
	switch width {
	case 1:
		for i := range dst {
			dst[i] = uint64(p[i])
		}
	case 2:
		for i := range dst {
			dst[i] = uint64(binary.LittleEndian.Uint16(p[2*i:]))
		}
	case 4:
		for i := range dst {
			dst[i] = uint64(binary.LittleEndian.Uint32(p[4*i:]))
		}
	case 8:
		for i := range dst {
			dst[i] = binary.LittleEndian.Uint64(p[8*i:])
		}
	}
	return dst
}

// A lowLook looks for files in the low bits of elements that come one after the
// other. Its registers hold the lowest 1, 2 and 4 bits of the last ones.
type lowLook struct {
	table *lowTable
	kind  lowKind
	regs  [3]uint32
}

// prime takes an element without looking.
func (l *lowLook) prime(w uint64) {
	for i, r := range l.regs {
		take := 1 << i
		l.regs[i] = r<<take | uint32(w)&(1<<take-1)
	}
}

// look calls visit for each place where a file may begin: the first element,
// how many bits are taken of each, and in which order.
func (l *lowLook) look(elements []uint64, first int64, visit func(element int64, take int, reverse bool)) {
	one, two, four := l.regs[0], l.regs[1], l.regs[2]
	t := l.table
	for i, w := range elements {
		one = one<<1 | uint32(w)&1
		two = two<<2 | uint32(w)&3
		four = four<<4 | uint32(w)&15
		// Of 32 bits the first 16, so that the rest of a magic is there too.
		if t.bits[0].has(uint16(one >> 16)) {
			l.hit(0, one, first+int64(i), visit)
		}
		if t.bits[1].has(uint16(two >> 16)) {
			l.hit(1, two, first+int64(i), visit)
		}
		if t.bits[2].has(uint16(four >> 16)) {
			l.hit(2, four, first+int64(i), visit)
		}
	}
	l.regs = [3]uint32{one, two, four}
	if l.kind.width < 4 {
		return
	}
	takes := l.kind.takes()
	for i, w := range elements {
		if t.below.has(uint16(w)) { // the first byte is the lowest
			for _, take := range takes {
				visit(first+int64(i), take, false)
			}
		}
	}
	for _, take := range takes {
		for i, w := range elements {
			if t.above.has(uint16(w >> (take - 16))) {
				visit(first+int64(i), take, true)
			}
		}
	}
}

// hit compares 32 bits, of which the last are those of element last, with the
// magics.
func (l *lowLook) hit(i int, reg uint32, last int64, visit func(element int64, take int, reverse bool)) {
	take := 1 << i
	element := last - int64(32/take) + 1
	if element < 0 {
		return
	}
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], reg)
	if begins(b) {
		visit(element, take, true)
	}
	for k := range b {
		b[k] = turned(b[k], i)
	}
	if begins(b) {
		visit(element, take, false)
	}
}

// begins tells whether four bytes are those of a magic, or a magic and what
// follows it in a pickle.
func begins(b [4]byte) bool {
	for i := range embeddeds {
		e := &embeddeds[i]
		if n := min(len(e.magic), 4); string(b[:n]) == e.magic[:n] && (n > 2 || pickleSecond(b[2])) {
			return true
		}
	}
	return false
}

// lowFiles looks into what a stream may begin with at an element.
func (w *valueWatch) lowFiles(element int64, take int, reverse bool) {
	if !w.spend(eachPlace) {
		return
	}
	s := &stream{source: w.t, size: w.t.Size(), width: w.kind.width, take: take, reverse: reverse}
	off := element * int64(take) / 8
	if take < 8 {
		each := int64(8 / take)
		s.skip = int(element % each)
		off = element / each
	}
	p := head(s, off, s.length(), longestMagic)
	for i := range embeddeds {
		if e := &embeddeds[i]; len(p) >= len(e.magic) && string(p[:len(e.magic)]) == e.magic && e.mayBegin(s, off, s.length()) {
			w.candidate(s, off, s.length(), e, s)
		}
	}
}

// lowBefore are the elements before a piece that a magic may begin in.
func (w *valueWatch) lowBefore(off int64) []uint64 {
	width := int64(w.kind.width)
	n := min(off/width, 31)
	p := head(w.t, off-n*width, off, int(n*width))
	return widen(make([]uint64, n), p, w.kind.width)
}
