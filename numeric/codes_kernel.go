//go:build (amd64 || arm64) && !purego

package numeric

import (
	"bytes"
	"slices"

	"github.com/tensmith/tensmith/safetensors"
)

// codeSums are what a kernel finds in numbers of one byte; its layout is the
// kernel's too. Digits are sums, of all lanes of a register: by powers of 256 of
// the numbers and then of their squares, or by classes. They have room for a few
// MiB.
type codeSums struct {
	digits          [12][16]int32
	least, greatest [64]uint8 // as unsigned
	positive        [64]int8  // the greatest as signed
	negative        [64]int8  // the least as signed
	zeros, tiny     uint64
	normal, zero    uint8 // bits that a zero or subnormal, and a zero has not
}

// codeTables take a float of a byte apart, for kernels. All numbers are whole, in
// units of half the smallest one.
//
// Long is for all of E5M2: a sign, four bits of exponent, and three last bits,
// which are the last bit of the exponent and the mantissa. Each table is there
// four times over.
//
// Classes are those of four exponents each, in order. Of E4M3 all numbers are in
// one, of E5M2 those of at most half its exponents: less than 2, or less than 1
// with FNUZ, as weights are.
type codeTables struct {
	long struct {
		normal, small               [64]int8  // by last bits, with the sign
		normalSquares, smallSquares [64]uint8 // by last bits
		powers                      [12][64]uint8
	}
	classes struct {
		low, high, lowOdd, highOdd [64]uint8 // by the last six bits, in the unit of the class
		flags                      [64]uint8 // 1 for tiny numbers, 16 more for zero
		weights                    [64]int8  // by the first four bits: the sign, 16 times for odd classes
	}
	// Classes for AVX2 and NEON, each table twice over: numbers by the last four bits, of E4M3
	// also with the one before them set, and subnormal ones; then by the first four
	// bits the weight and which of low, lowOdd, high and highOdd has the number.
	nibbles struct {
		number, upper, small [32]uint8
		weights              [32]int8
		parts                [4][32]uint8
	}
}

// hasCodes tells whether a kernel sums up floats of the type.
func hasCodes(d safetensors.DType) bool {
	switch d {
	case safetensors.F8E4M3, safetensors.F8E4M3FNUZ, safetensors.F8E5M2, safetensors.F8E5M2FNUZ:
		return true
	}
	return false
}

// newClassTables finds for each number its class and what it is there.
func newClassTables(d safetensors.DType) *codeTables {
	t := new(codeTables)
	c := &t.classes
	l, _ := layoutOf(d)
	for code := range 0x80 >> (l.exp - 4) {
		exponent, mantissa := code>>l.man, code&(1<<l.man-1)
		number := 2 * mantissa
		if exponent > 0 {
			number = (1<<l.man + mantissa) << (exponent % 4)
		}
		class, i := exponent/4, code&0x3F
		all, odd := &c.low, &c.lowOdd
		if class >= 2 {
			all, odd = &c.high, &c.highOdd
		}
		all[i] = uint8(number)
		if class%2 != 0 {
			odd[i] = uint8(number)
		}
		if exponent == 0 {
			c.flags[i] = 1
		}
		if code == 0 {
			c.flags[i] |= 16
		}
	}
	for i := range c.weights {
		weight := 1
		if i>>(l.man-2)&1 != 0 { // the last bit of the class
			weight = 16
		}
		if i&8 != 0 {
			weight = -weight
		}
		c.weights[i] = int8(weight)
	}
	b := &t.nibbles
	for i := range 32 {
		last := i & 15
		exponent, mantissa := last>>l.man, last&(1<<l.man-1)
		b.number[i] = uint8((1<<l.man + mantissa) << exponent)
		b.upper[i] = b.number[i] << 2
		b.small[i] = uint8(2 * mantissa)
		b.weights[i] = c.weights[last]
		class := last & 7 >> (l.man - 2) & 3
		b.parts[class/2*2][i] = 0xFF
		if class%2 != 0 {
			b.parts[class][i] = 0xFF
		}
	}
	return t
}

func newLongTables() *codeTables {
	t := new(codeTables)
	for i := range 64 {
		last := i & 7
		normal, small, shift := (4+last&3)<<(last>>2), 2*(last&3), 2*(i&15)
		t.long.normalSquares[i], t.long.smallSquares[i] = uint8(normal*normal), uint8(small*small)
		if i&8 != 0 {
			normal, small = -normal, -small
		}
		t.long.normal[i], t.long.small[i] = int8(normal), int8(small)
		t.long.powers[shift/8][i] = 1 << (shift % 8)
		t.long.powers[4+2*shift/8][i] = 1 << (2 * shift % 8)
	}
	return t
}

// codesPiece is what a kernel is given at a time; adding its lanes up is nothing
// beside it.
const codesPiece = 128 << 10

// addCodes takes in as many bytes as it can, and returns how many. It does so
// only where how often each code is there is not asked for.
func (c *counter) addCodes(src []byte) int { return best.addCodes(c, src) }

func (v level) addCodes(c *counter, src []byte) int {
	if v == plain || c.quantiles {
		return 0
	}
	part := src[:min(len(src), codesPiece)&^63]
	if len(part) == 0 {
		return 0
	}
	switch c.dtype {
	case safetensors.Bool, safetensors.U8, safetensors.I8:
		v.addWholes(c, part)
		return len(part)
	}
	if !hasCodes(c.dtype) {
		return 0
	}
	long := c.long
	if v.addFloats(c, part) || !long && c.long && v.addFloats(c, part) {
		return len(part)
	}
	return 0
}

// newCodeSums returns sums of nothing.
func newCodeSums() (s codeSums) {
	for i := range s.least {
		s.least[i] = 0xFF
		s.positive[i] = -0x80
	}
	return s
}

// extremes returns the least and the greatest code, and the greatest as a
// signed number.
func (s *codeSums) extremes() (least, greatest uint8, positive int8) {
	least, positive = 0xFF, -0x80
	for i := range s.least {
		least, greatest = min(least, s.least[i]), max(greatest, s.greatest[i])
		positive = max(positive, s.positive[i])
	}
	return least, greatest, positive
}

func (s *codeSums) digit(i int) float64 {
	total := int64(0)
	for _, v := range s.digits[i] {
		total += int64(v)
	}
	return float64(total)
}

// addFloats returns false, and has done nothing, if a number is not finite, or too
// large for classes: then it takes the long tables from now on, for so is what
// follows, most likely.
func (v level) addFloats(c *counter, src []byte) bool {
	l, _ := layoutOf(c.dtype)
	s := newCodeSums()
	s.normal = 0x80 - 1<<l.man
	top := int(l.top())
	switch {
	case c.long && !v.hasLong():
		return false
	case c.long:
		if c.tables == nil {
			c.tables = newLongTables()
		}
		s.zero = 0x7F
		if l.special == fnuz {
			s.zero = 0xFF
		}
		v.codesLong(&s, src, c.tables)
	case c.tables == nil:
		c.tables = newClassTables(c.dtype)
		fallthrough
	default:
		v.codes(&s, src, c.tables, l.exp == 4)
		if l.exp == 5 {
			top = 0x3F
		}
	}
	low, high, positive := s.extremes()
	if high>>7 != 0 && int(high&0x7F) > top || int(positive) > top {
		if l.exp == 5 && !c.long {
			c.long, c.tables = true, nil
		}
		return false
	}
	// A class has the one NaN of FNUZ for a zero.
	if l.special == fnuz && (c.long && slices.Contains(s.negative[:], -0x80) || !c.long && s.zeros > 0 && bytes.IndexByte(src, 0x80) >= 0) {
		return false
	}
	least, greatest := low, uint8(positive)
	if high>>7 != 0 {
		least = high // negative, of the greatest magnitude
	}
	if positive < 0 {
		greatest = low // all are negative: that of the least magnitude
	}
	c.stats.add(&block{
		finite: uint64(len(src)), zeros: s.zeros, subnormals: s.tiny - s.zeros,
		least: l.value(uint32(least)) + 0, greatest: l.value(uint32(greatest)) + 0,
	})
	unit := l.value(1) / 2
	if c.long {
		for i, place := 0, unit; i < 4; i, place = i+1, place*256 {
			c.stats.sum.add(s.digit(i) * place)
		}
		for i, place := 0, unit*unit; i < 8; i, place = i+1, place*256 {
			c.stats.squares.add(s.digit(4+i) * place)
		}
		return true
	}
	for i, place := range []float64{1, 256} {
		c.stats.sum.add(s.digit(i) * place * unit)
		// Of all numbers, the odd classes with 16 times the unit.
		squares := s.digit(2+2*i) + 255*s.digit(3+2*i)
		c.stats.squares.add(squares * place * place * unit * unit)
	}
	return true
}

// addWholes takes in integers.
func (v level) addWholes(c *counter, src []byte) {
	s, flip, shift := newCodeSums(), uint32(0), 0.0
	if c.dtype == safetensors.I8 {
		flip, shift = 0x80, 128
	}
	v.wholeBytes(&s, src, flip)
	low, high, _ := s.extremes()
	// Of u, which is above the number by shift, there are the sums of u and of
	// u·(u-128).
	sum, products := s.digit(0), s.digit(1)
	squares := products + 128*sum
	if shift != 0 {
		sum -= shift * float64(len(src))
		squares = products - shift*sum
	}
	c.stats.add(&block{
		finite: uint64(len(src)), zeros: s.zeros,
		least: float64(low) - shift, greatest: float64(high) - shift,
		sum: sum, squares: squares,
	})
}
