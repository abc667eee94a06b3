//go:build !purego

package numeric

import (
	"slices"

	"github.com/tensmith/tensmith/safetensors"
)

// codeSums are what a kernel finds in numbers of one byte; its layout is the
// kernel's too. Digits are sums by powers of 256, of all lanes of a register: of
// the numbers, and then of their squares. They have room for a few MiB.
type codeSums struct {
	digits          [12][16]int32
	least, greatest [64]uint8 // as unsigned
	positive        [64]int8  // the greatest as signed
	negative        [64]int8  // the least as signed
	zeros, tiny     uint64
	normal, zero    uint8 // bits that a zero or subnormal, and a zero has not
}

// codeTables take a float of a byte apart, for kernels: a sign, four bits of
// exponent, and three last bits, which are E4M3's mantissa, but E5M2's last bit of
// exponent and mantissa. Each table is there four times over. All numbers are
// whole, in units of the smallest one, or half of it for E5M2.
type codeTables struct {
	normal, small               [64]int8  // by last bits, with the sign
	normalSquares, smallSquares [64]uint8 // by last bits
	powers                      [12][64]uint8
}

// powersOf returns how many powers of 256 numbers and squares have: 0 if no
// kernel knows the type. E5M2 has half as many if all is less than 2, or less
// than 1 with FNUZ, as weights are.
func powersOf(d safetensors.DType, short bool) (numbers, squares int) {
	switch d {
	case safetensors.F8E4M3, safetensors.F8E4M3FNUZ:
		return 2, 4
	case safetensors.F8E5M2, safetensors.F8E5M2FNUZ:
		if short {
			return 2, 4
		}
		return 4, 8
	}
	return 0, 0
}

func newCodeTables(d safetensors.DType, short bool) *codeTables {
	t := new(codeTables)
	numbers, _ := powersOf(d, short)
	l, _ := layoutOf(d)
	for i := range 64 {
		last := i & 7
		normal, small, shift := 8+last, last, max(i&15, 1)-1
		if l.exp == 5 {
			normal, small, shift = (4+last&3)<<(last>>2), 2*(last&3), 2*(i&15)
		}
		t.normalSquares[i], t.smallSquares[i] = uint8(normal*normal), uint8(small*small)
		if i&8 != 0 {
			normal, small = -normal, -small
		}
		t.normal[i], t.small[i] = int8(normal), int8(small)
		if shift < 8*numbers {
			t.powers[shift/8][i] = 1 << (shift % 8)
			t.powers[numbers+2*shift/8][i] = 1 << (2 * shift % 8)
		}
	}
	return t
}

// codesPiece is what a kernel is given at a time; adding its lanes up is nothing
// beside it.
const codesPiece = 128 << 10

// addCodes takes in as many bytes as it can, and returns how many. It does so
// only where how often each code is there is not asked for.
func (c *counter) addCodes(src []byte) int {
	if best < vnni || c.quantiles {
		return 0
	}
	part := src[:min(len(src), codesPiece)&^63]
	if len(part) == 0 {
		return 0
	}
	switch c.dtype {
	case safetensors.Bool, safetensors.U8, safetensors.I8:
		c.addWholes(part)
		return len(part)
	}
	if numbers, _ := powersOf(c.dtype, true); numbers == 0 {
		return 0
	}
	long := c.long
	if c.addFloats(part) || !long && c.long && c.addFloats(part) {
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
// large for the short tables: then it takes the long ones from now on, for so is
// what follows, most likely.
func (c *counter) addFloats(src []byte) bool {
	short := !c.long
	if c.tables == nil {
		c.tables = newCodeTables(c.dtype, short)
	}
	l, _ := layoutOf(c.dtype)
	s := newCodeSums()
	s.normal, s.zero = 0x80-1<<l.man, 0x7F
	if l.special == fnuz {
		s.zero = 0xFF
	}
	numbers, squares := powersOf(c.dtype, short)
	if numbers == 4 {
		codesLongVNNI(&s, src, len(src), c.tables)
	} else {
		codesShortVNNI(&s, src, len(src), c.tables)
	}
	low, high, positive := s.extremes()
	top := int(l.top())
	if short && l.exp == 5 {
		if top = 0x3F; int(high&0x7F) > top && high>>7 != 0 || int(positive) > top {
			c.long, c.tables = true, nil
			return false
		}
	}
	nan := l.special == fnuz && slices.Contains(s.negative[:], -0x80)
	if nan || high>>7 != 0 && int(high&0x7F) > top || int(positive) > top {
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
	unit := l.value(1)
	if l.exp == 5 {
		unit /= 2
	}
	for i, place := 0, unit; i < numbers; i, place = i+1, place*256 {
		c.stats.sum.add(s.digit(i) * place)
	}
	for i, place := 0, unit*unit; i < squares; i, place = i+1, place*256 {
		c.stats.squares.add(s.digit(numbers+i) * place)
	}
	return true
}

// addWholes takes in integers.
func (c *counter) addWholes(src []byte) {
	s, flip, shift := newCodeSums(), uint32(0), 0.0
	if c.dtype == safetensors.I8 {
		flip, shift = 0x80, 128
	}
	wholeBytesVNNI(&s, src, len(src), flip)
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
