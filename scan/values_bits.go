package scan

import (
	"fmt"
	"io"
	"math/bits"
)

// What hides in weights lies in their lowest bits, which no one misses: one to
// eight of each, or the lower bytes (Liu et al., "StegoNet", ACSAC 2020; Wang
// et al., "EvilModel", arXiv 2107.08590; Hitaj et al., "MaleficNet", ESORICS
// 2022). What can be told of it:
//
//   - a known file in the lowest 1, 2, 4, 8, 16, 24 … bits of elements of any
//     type, see lowLook. In 16 and more it has to begin with an element, or bytes
//     to be far from random, as those are of what is not encrypted or
//     compressed;
//   - anything at all in floats that were cast from a narrower type, whose low
//     bits are zeros: low bits in a few places where the others have none, or
//     in all places but with zeros above them, which no arithmetic leaves;
//   - of F32 and F64, a stretch of low bytes that are far from random, among
//     others that are.
//
// What is encrypted or compressed, or spread over the bits by a code, within
// weights that were trained in their type looks like those, and cannot be found.
//
// The lowest bytes of trained weights are nearly random: chi-square of 16384
// of them is about 300, of 255 for random bytes. Those of fresh weights are
// not: about 2,300 for a normal distribution that was scaled, and 30,000 for
// PyTorch's default of a linear layer, whose numbers have 24 bits before they
// are scaled. A text in their place has 250,000, machine code 60,000.

// lowBlock is how many elements are judged together. It divides the pieces
// that a numeric.Scan reads.
const lowBlock = 16384

// A lowBits are the low 16 bits of the elements of a block that are not zero.
type lowBits struct {
	count   uint32 // of elements that are not zero
	set     uint32 // of those with a bit where a cast has none
	ones    [16]uint32
	skewed  bool // the lowest byte is as no weight's, and not all zeros
	wide    bool // it is far from random, as that of some fresh weights
	uniform bool // the lowest byte is as random as that of trained weights
}

// block judges the elements of a block.
func (k *lowKind) block(elements []uint64) (b lowBits) {
	var first, second [256]uint32
	value := uint64(1)<<(8*k.width-1) - 1 // all but the sign
	if k.exponent != 0 {
		value = k.exponent
	}
	cast := uint64(1)<<k.cast - 1
	for _, w := range elements {
		if w&value == 0 {
			continue
		}
		b.count++
		first[byte(w)]++
		second[byte(w>>8)]++
		if w&cast != 0 {
			b.set++
		}
	}
	for v, n := range first {
		for m := uint8(v); m != 0; m &= m - 1 {
			b.ones[bits.TrailingZeros8(m)] += n
		}
	}
	for v, n := range second {
		for m := uint8(v); m != 0; m &= m - 1 {
			b.ones[8+bits.TrailingZeros8(m)] += n
		}
	}
	if !k.random {
		return b
	}
	if b.count >= lowBlock/4 {
		b.uniform = chiSquare(first[:], b.count) < float64(uniformChi)
	}
	// Zeros are left out of what is skewed: a block in which a part was cast
	// has many, and hides nothing in them.
	if rest := b.count - first[0]; rest >= lowBlock/16 {
		x := chiSquare(first[1:], rest) / float64(rest)
		b.skewed, b.wide = x > 3, x > 1
	}
	return b
}

// uniformChi is fifteen standard deviations above what chi-square is of random
// bytes (255 degrees of freedom).
const uniformChi = 600

func chiSquare(counts []uint32, n uint32) float64 {
	expected, sum := float64(n)/float64(len(counts)), 0.0
	for _, c := range counts {
		d := float64(c) - expected
		sum += d * d
	}
	return sum / expected
}

// A lowSpan is what a tensor's low bits came to.
type lowSpan struct {
	kind   lowKind
	blocks []lowBits
}

// minBits is how many elements with low bits are worth telling.
const minBits = 64

// judge tells what is odd about the low bits of a tensor: a message for each
// rule, and the blocks whose bytes deserve a look for files.
func (s *lowSpan) judge() (found []Finding, inBytes [][2]int) {
	var elements, castElements, set uint64
	var ones [16]uint64
	cast, skewed, uniform := 0, 0, 0
	for i := range s.blocks {
		b := &s.blocks[i]
		elements += uint64(b.count)
		set += uint64(b.set)
		for k, n := range b.ones {
			ones[k] += uint64(n)
		}
		switch {
		case b.count == 0:
		case b.set < minBits:
			cast++
			castElements += uint64(b.count)
		}
		if b.skewed {
			skewed++
		}
		if b.uniform {
			uniform++
		}
	}
	gap := 0
	if s.kind.random {
		gap, _ = gapOf(&ones, elements)
	}
	carrier := func(b *lowBits) bool { return b.set >= minBits }
	few := castElements*2 >= elements && castElements > 0 && cast < len(s.blocks)
	switch {
	case gap > 0:
		found = append(found, Finding{ID: "ST214", Message: fmt.Sprintf("of the low 16 bits of its %d elements that are not zero only the lowest %d are ever set, in %d of them, with zeros above: no arithmetic gives such numbers", elements, gap, set)})
	case few && set >= minBits:
		at, n, most := s.span(carrier)
		found = append(found, Finding{ID: "ST215", Offset: at, Message: fmt.Sprintf("%d elements have low bits set, in %d of %d blocks from element %d on; those of the rest are zeros, as in a cast from %s%s", most, n, len(s.blocks), at, s.kind.from, s.kind.bitRange(&ones))})
	case skewed > 0 && uniform >= skewed:
		at, n, _ := s.span(func(b *lowBits) bool { return b.skewed })
		found = append(found, Finding{ID: "ST216", Offset: at, Message: fmt.Sprintf("the lowest bytes of %d of %d blocks, from element %d on, are far from random, and most others' are not", n, len(s.blocks), at)})
	}
	all := gap > 0 || few // every low bit deserves a look
	inBytes = s.runs(func(b *lowBits) bool { return b.set > 0 && (all || b.wide) })
	return found, inBytes
}

// runs are the blocks that are so, and those beside them, for what is there may
// begin a little before.
func (s *lowSpan) runs(is func(*lowBits) bool) (runs [][2]int) {
	for i := range s.blocks {
		if !is(&s.blocks[i]) {
			continue
		}
		from, to := max(0, i-1), min(len(s.blocks), i+2)
		if last := len(runs) - 1; last >= 0 && runs[last][1] >= from {
			runs[last][1] = to
		} else {
			runs = append(runs, [2]int{from, to})
		}
	}
	return runs
}

// span returns where the first block is that is so, in elements, how many are,
// and their elements with low bits.
func (s *lowSpan) span(is func(*lowBits) bool) (at int64, blocks int, set uint64) {
	at = -1
	for i := range s.blocks {
		if b := &s.blocks[i]; is(b) {
			if at < 0 {
				at = int64(i) * lowBlock
			}
			blocks++
			set += uint64(b.set)
		}
	}
	return max(at, 0), blocks, set
}

// gapOf returns how many of the lowest bits are in use if those above them, at
// least four, never are; 0 if it is not so.
func gapOf(ones *[16]uint64, elements uint64) (used, zeros int) {
	if elements < 1024 {
		return 0, 0
	}
	for used < 16 && ones[used] > 0 {
		used++
	}
	for used+zeros < 16 && ones[used+zeros] == 0 {
		zeros++
	}
	if used == 0 || zeros < 4 || ones[0] < minBits/2 {
		return 0, 0
	}
	return used, zeros
}

// bitRange says which bits are set, if they are not all.
func (k *lowKind) bitRange(ones *[16]uint64) string {
	last := -1
	for i, n := range ones {
		if n > 0 {
			last = i
		}
	}
	if last >= 12 || last < 0 || !k.random {
		return ""
	}
	return fmt.Sprintf("; none above bit %d", last)
}

// A stream is the payload that a way to hide it would have put into elements.
type stream struct {
	source io.ReaderAt
	size   int64 // of source
	width  int   // bytes of an element
	take   int   // low bits of each element
	skip   int   // elements before the first
	// reverse takes the bytes of an element, or the bits of a payload's byte,
	// from the highest down.
	reverse bool
}

func (s *stream) String() string {
	order := ""
	if s.reverse {
		order = ", highest first"
	}
	if s.take == 1 {
		return "the lowest bit of each element" + order
	}
	return fmt.Sprintf("the lowest %d bits of each element%s", s.take, order)
}

// length is the size of the payload in bytes.
func (s *stream) length() int64 {
	return max(0, s.size/int64(s.width)-int64(s.skip)) * int64(s.take) / 8
}

// ReadAt implements io.ReaderAt.
func (s *stream) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 || off >= s.length() {
		return 0, io.EOF
	}
	if left := s.length() - off; int64(len(p)) > left {
		p, err = p[:left], io.EOF
	}
	var raw []byte
	for n < len(p) {
		// Elements that begin at a byte of the payload.
		unit, elements := int64(1), int64(8/max(1, s.take)) // bytes, elements that make them
		if s.take > 8 {
			unit, elements = int64(s.take/8), 1
		}
		at := off + int64(n)
		first := at/unit*elements + int64(s.skip)
		skip := int(at % unit)
		want := min((int64(len(p)-n+skip)+unit-1)/unit*elements, 1<<16)
		if int64(cap(raw)) < want*int64(s.width) {
			raw = make([]byte, want*int64(s.width))
		}
		raw = raw[:want*int64(s.width)]
		if m, err := s.source.ReadAt(raw, first*int64(s.width)); m < len(raw) {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return n, err
		}
		n += s.extract(p[n:], raw, skip)
	}
	return n, err
}

// extract fills p from whole units of raw elements, without the first skip
// bytes.
func (s *stream) extract(p, raw []byte, skip int) (n int) {
	if s.take >= 8 {
		bytes := s.take / 8
		for ; len(raw) >= s.width && n < len(p); raw = raw[s.width:] {
			for k := skip; k < bytes && n < len(p); k++ {
				if s.reverse {
					p[n] = raw[bytes-1-k]
				} else {
					p[n] = raw[k]
				}
				n++
			}
			skip = 0
		}
		return n
	}
	each, mask := 8/s.take, byte(1)<<s.take-1
	first, step := 0, s.take // shift of the first element, and from one to the next
	if s.reverse {
		first, step = 8-s.take, -s.take
	}
	for ; len(raw) >= each*s.width && n < len(p); n++ {
		var b byte
		shift := first
		for range each {
			b |= raw[0] & mask << (shift & 7)
			raw = raw[s.width:]
			shift += step
		}
		p[n] = b
	}
	return n
}

// streams are the ways to hide a payload in several bytes of each element. A
// file that begins within an element is found in these alone.
func (w *valueWatch) streams() (all []*stream) {
	for _, take := range w.kind.takes() {
		for _, reverse := range []bool{false, true} {
			all = append(all, &stream{source: w.t, size: w.t.Size(), width: w.kind.width, take: take, reverse: reverse})
		}
	}
	return all
}
