//go:build !purego

package numeric

import (
	"bytes"
	"math"

	"github.com/tensmith/tensmith/safetensors"
)

// These choose a kernel and say how many numbers it has dealt with; the plain
// loop that calls them does the rest. They are switches, not tables of
// functions, so that what they are given need not escape.

// steps returns how many of n numbers a kernel takes, in steps of a power of two.
func (v level) steps(n, step int) int {
	if v == plain {
		return 0
	}
	return n &^ (step - 1)
}

// kernelBytes takes the bytes of F32, C64, BF16 or F16.
func (l *lanes) kernelBytes(d safetensors.DType, src []byte) int {
	return best.lanesBytes(l, d, src)
}

func (v level) lanesBytes(l *lanes, d safetensors.DType, src []byte) int {
	n := len(src) / 4
	if d.Bits() == 16 {
		n = len(src) / 2
	}
	if v >= avx512 {
		if d.Bits() == 16 {
			n &^= 2*width - 1
		}
		return l.words512(d, src, v.steps(n, width))
	}
	if n = v.steps(n, width); n == 0 {
		return 0
	}
	switch d {
	case safetensors.BF16:
		lanesBF16AVX2(l, src, n)
	case safetensors.F16:
		lanesF16AVX2(l, src, n)
	default:
		lanesAVX2(l, src, n)
	}
	return n
}

// words512 finds least and greatest from the words that a kernel leaves: the
// greatest as an unsigned number, as a signed one, and the least without its sign.
func (l *lanes) words512(d safetensors.DType, src []byte, n int) int {
	if n == 0 {
		return 0
	}
	normal, sign := l.normal, uint32(1<<15)
	var widen func(word uint32) float32
	switch d {
	case safetensors.BF16:
		l.normal >>= 16
		lanesBF16AVX512(l, src, n)
		widen = func(word uint32) float32 { return math.Float32frombits(word << 16) }
	case safetensors.F16:
		l.normal = 1 << 10
		lanesF16AVX512(l, src, n)
		widen = func(word uint32) float32 { return fromF16(uint16(word)) }
	default:
		sign = 1 << 31
		lanesAVX512(l, src, n)
		widen = math.Float32frombits
	}
	l.normal = normal
	high, positive, low := l.words[0], l.words[1], l.words[2]
	least, greatest := low, positive
	if high&sign != 0 {
		least = high // negative, of the greatest magnitude
	}
	if positive&sign != 0 {
		greatest = low | sign // all are negative: that of the least magnitude
	}
	if v := widen(least); v < l.min[0] {
		l.min[0] = v
	}
	if v := widen(greatest); v > l.max[0] {
		l.max[0] = v
	}
	return n
}

// kernelBytes takes the bytes of two blocks of F64, F32, C64, BF16, F16 or F8, the
// same or one of F32 and one of 16 bits.
func (p *pairs) kernelBytes(d, e safetensors.DType, a, b []byte) int {
	return best.pairBytes(p, d, e, a, b)
}

func (p *pairs) kernel(a, b []float32) int     { return best.pairFloats(p, a, b) }
func (p *pairs) kernelWide(a, b []float64) int { return best.pairDoubles(p, a, b) }

// pairBytes leaves p as it was, and returns 0, if not all numbers are finite, or
// the squares of F64 too large.
func (v level) pairBytes(p *pairs, d, e safetensors.DType, a, b []byte) int {
	g := groupOf(d)
	numbers := int(int64(len(a)) / g.bytes * g.numbers)
	before, n, special := *p, 0, uint32(0)
	switch {
	case v == plain:
	case v >= avx512 && d != safetensors.F64:
		n, special = v.pairNarrow(p, d, e, a, b, numbers)
	case d != e:
	default:
		n, special = v.pairSame(p, d, a, b, numbers&^(width-1))
	}
	if special != 0 {
		*p = before
		return 0
	}
	return n
}

func (v level) pairSame(p *pairs, d safetensors.DType, a, b []byte, n int) (done int, special uint32) {
	switch {
	case n == 0:
	case d == safetensors.F64 && v >= avx512:
		special = pairsF64AVX512(p, a, b, n)
	case d == safetensors.F64:
		special = pairsF64AVX2(p, a, b, n)
	case d == safetensors.BF16:
		special = pairsBF16AVX2(p, a, b, n)
	case d == safetensors.F16:
		special = pairsF16AVX2(p, a, b, n)
	case isNarrow(d):
		special = pairsAVX2(p, a, b, n)
	default:
		return 0, 0
	}
	return n, special
}

// pairNarrow takes numbers that are float32 all.
func (v level) pairNarrow(p *pairs, d, e safetensors.DType, a, b []byte, numbers int) (n int, special uint32) {
	p.coarse(d == e && (d == safetensors.BF16 || hasWords(d)))
	n = numbers &^ (width - 1)
	switch is := func(x, y safetensors.DType) bool { return d == x && e == y }; {
	case n == 0:
	case is(safetensors.BF16, safetensors.BF16):
		n = numbers &^ (2*width - 1)
		special = pairsBF16AVX512(p, a, b, n)
	case is(safetensors.F16, safetensors.F16):
		special = pairsF16AVX512(p, a, b, n)
	case is(safetensors.BF16, safetensors.F32):
		special = pairsBF16F32AVX512(p, a, b, n)
	case is(safetensors.F32, safetensors.BF16):
		special = pairsF32BF16AVX512(p, a, b, n)
	case is(safetensors.F16, safetensors.F32):
		special = pairsF16F32AVX512(p, a, b, n)
	case is(safetensors.F32, safetensors.F16):
		special = pairsF32F16AVX512(p, a, b, n)
	case d == e && isNarrow(d):
		special = pairsAVX512(p, a, b, n)
	case d == e && hasWords(d) && v >= vnni && p.words != nil:
		// The table has no place for the one NaN of FNUZ.
		if l, _ := layoutOf(d); l.special == fnuz && (bytes.IndexByte(a, 0x80) >= 0 || bytes.IndexByte(b, 0x80) >= 0) {
			return 0, 0
		}
		n = numbers &^ (4*width - 1)
		special = pairsCodesVNNI(p, a, b, n)
	default:
		n = 0
	}
	return n, special
}

// coarse finds the limits as float32. The kernel rounds differences and upper limits
// up, lower limits and what it compares relative differences with down: differences
// as large as the tolerance are within it, and those as large as the greatest are no
// news. Only what is above an upper limit has to be so by more than was rounded, and
// the sum that is the tolerance is itself rounded. Tolerances that are negative or
// NaN are for float64.
//
// Of BF16 and F8 two relative differences below a half are the same or differ by more
// than 2^-17 of either: they are quotients of whole numbers, of at most eight and nine
// bits. The bound may be a little above the greatest there, and what is as large as
// that, the rounding of numbers near a power of two, is no news.
func (p *pairs) coarse(words bool) {
	const less, more = 1 - 0x1p-19, 1 + 0x1p-19
	p.narrowBound = below32(p.bound)
	if words && p.bound < 0.4998 {
		p.narrowBound = below32(p.bound * (1 + 0x1p-20))
	}
	if !(p.relative >= 0 && p.absolute >= 0) {
		p.low, p.high = [2]float32{0, -1}, [2]float32{0, float32(math.Inf(1))}
		return
	}
	p.low = [2]float32{below32(p.relative), below32(p.absolute)}
	if p.relative > 0 && p.absolute > 0 {
		p.low = [2]float32{below32(p.relative * less), below32(p.absolute * less)}
	}
	p.high = [2]float32{-below32(-p.relative * more), -below32(-p.absolute * more)}
}

// below32 returns the greatest float32 that is not above v.
func below32(v float64) float32 {
	f := float32(v)
	if float64(f) > v {
		f = math.Nextafter32(f, float32(math.Inf(-1)))
	}
	return f
}

func (v level) pairFloats(p *pairs, a, b []float32) int {
	n := v.steps(min(len(a), len(b)), width)
	if n == 0 {
		return 0
	}
	before, special := *p, uint32(0)
	if v >= avx512 {
		p.coarse(false)
		special = pairsFloatsAVX512(p, a, b, n)
	} else {
		special = pairsFloatsAVX2(p, a, b, n)
	}
	if special != 0 {
		*p = before
		return 0
	}
	return n
}

func (v level) pairDoubles(p *pairs, a, b []float64) int {
	n := v.steps(min(len(a), len(b)), width)
	if n == 0 {
		return 0
	}
	before, special := *p, uint32(0)
	if v >= avx512 {
		special = pairsDoublesAVX512(p, a, b, n)
	} else {
		special = pairsDoublesAVX2(p, a, b, n)
	}
	if special != 0 {
		*p = before
		return 0
	}
	return n
}

// loss takes the bytes of F32, none of them beyond the largest of d, and those of
// the BF16, F16 or F32 that they were rounded to.
func (p *pairs) loss(d safetensors.DType, a, b []byte) int { return best.lossBytes(p, d, a, b) }

func (p *pairs) lossFloats(a []byte, b []float32) int { return best.lossFloats(p, a, b) }

func (v level) lossBytes(p *pairs, d safetensors.DType, a, b []byte) int {
	n := v.steps(len(a)/4, width)
	if n == 0 {
		return 0
	}
	switch wide := v >= avx512; {
	case d == safetensors.BF16 && wide:
		lossBF16AVX512(p, a, b, n)
	case d == safetensors.BF16:
		lossBF16AVX2(p, a, b, n)
	case d == safetensors.F16 && wide:
		lossF16AVX512(p, a, b, n)
	case d == safetensors.F16:
		lossF16AVX2(p, a, b, n)
	case d == safetensors.F32 && wide:
		lossAVX512(p, a, b, n)
	case d == safetensors.F32:
		lossAVX2(p, a, b, n)
	default:
		return 0
	}
	return n
}

func (v level) lossFloats(p *pairs, a []byte, b []float32) int {
	n := v.steps(len(b), width)
	if n == 0 {
		return 0
	}
	if v >= avx512 {
		lossFloatsAVX512(p, a, b, n)
	} else {
		lossFloatsAVX2(p, a, b, n)
	}
	return n
}

// kernelBytes takes the bytes of F64, and of integers of 16 bits and more.
func (l *wideLanes) kernelBytes(d safetensors.DType, src []byte) int {
	return best.wideBytes(l, d, src)
}

func (v level) wideBytes(l *wideLanes, d safetensors.DType, src []byte) int {
	n := v.steps(len(src)/max(1, d.Bits()/8), width)
	if n == 0 {
		return 0
	}
	switch wide := v >= avx512; {
	case d == safetensors.F64 && wide:
		wideF64AVX512(l, src, n)
	case d == safetensors.F64:
		wideF64AVX2(l, src, n)
	case d == safetensors.I64 && wide:
		wideI64AVX512(l, src, n)
	case d == safetensors.I64:
		wideI64AVX2(l, src, n)
	case d == safetensors.U64 && wide:
		wideU64AVX512(l, src, n)
	case d == safetensors.U64:
		wideU64AVX2(l, src, n)
	case d == safetensors.I32 && wide:
		wideI32AVX512(l, src, n)
	case d == safetensors.I32:
		wideI32AVX2(l, src, n)
	case d == safetensors.U32 && wide:
		wideU32AVX512(l, src, n)
	case d == safetensors.U32:
		wideU32AVX2(l, src, n)
	case d == safetensors.I16 && wide:
		wideI16AVX512(l, src, n)
	case d == safetensors.I16:
		wideI16AVX2(l, src, n)
	case d == safetensors.U16 && wide:
		wideU16AVX512(l, src, n)
	case d == safetensors.U16:
		wideU16AVX2(l, src, n)
	default:
		return 0
	}
	return n
}

// hasLong tells whether there is a kernel for all of E5M2.
func (v level) hasLong() bool { return v >= vnni }

func (v level) codesLong(s *codeSums, src []byte, tables *codeTables) {
	codesLongVNNI(s, src, len(src), tables)
}

// codes sums up by classes. With halves a type has four bits of exponent.
func (v level) codes(s *codeSums, src []byte, tables *codeTables, halves bool) {
	switch wide := v >= vnni; {
	case halves && wide:
		codesHalvesVNNI(s, src, len(src), tables)
	case halves:
		codesHalvesAVX2(s, src, len(src), tables)
	case wide:
		codesQuartersVNNI(s, src, len(src), tables)
	default:
		codesQuartersAVX2(s, src, len(src), tables)
	}
}

// wholeBytes leaves in digits the sums of u, and of u·(u-128).
func (v level) wholeBytes(s *codeSums, src []byte, flip uint32) {
	if v >= vnni {
		wholeBytesVNNI(s, src, len(src), flip)
	} else {
		wholeBytesAVX2(s, src, len(src), flip)
	}
}
