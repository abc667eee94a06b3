//go:build !purego

package numeric

import (
	"encoding/binary"
	"math"

	"github.com/tensmith/tensmith/safetensors"
)

//go:generate go run -C internal/asm ./neon ../../kernel_arm64.s

// A level is the instruction set that kernels use.
type level uint8

const (
	plain level = iota // none: the loops in Go
	neon               // Advanced SIMD, which every arm64 has
)

const best = neon

// kernelBytes takes the bytes of two blocks of F64, F32, C64, BF16 or F16.
func (p *pairs) kernelBytes(d, e safetensors.DType, a, b []byte) int {
	return best.pairBytes(p, d, e, a, b)
}

// Floats of a byte are compared decoded.
type closeness struct{}

func (p *pairs) kernelClose(w *differ, a, b []byte) int { return 0 }

func (p *pairs) kernel(a, b []float32) int     { return best.pairFloats(p, a, b) }
func (p *pairs) kernelWide(a, b []float64) int { return best.pairDoubles(p, a, b) }

// pairBytes leaves p as it was, and returns 0, if not all numbers are finite, or
// the squares of F64 too large.
func (v level) pairBytes(p *pairs, d, e safetensors.DType, a, b []byte) int {
	g := groupOf(d)
	n := int(int64(len(a))/g.bytes*g.numbers) &^ (width - 1)
	if n == 0 || v == plain || d != e || !isNarrow(d) && d != safetensors.F64 {
		return 0
	}
	before, special := *p, uint32(0)
	switch d {
	case safetensors.F64:
		special = pairsF64NEON(p, a, b, n)
	case safetensors.BF16:
		special = pairsBF16NEON(p, a, b, n)
	case safetensors.F16:
		special = pairsF16NEON(p, a, b, n)
	default:
		special = pairsNEON(p, a, b, n)
	}
	return p.unless(special, before, n)
}

func (v level) pairFloats(p *pairs, a, b []float32) int {
	n := min(len(a), len(b)) &^ (width - 1)
	if n == 0 || v == plain {
		return 0
	}
	before := *p
	return p.unless(pairsFloatsNEON(p, a, b, n), before, n)
}

func (v level) pairDoubles(p *pairs, a, b []float64) int {
	n := min(len(a), len(b)) &^ (width - 1)
	if n == 0 || v == plain {
		return 0
	}
	before := *p
	return p.unless(pairsDoublesNEON(p, a, b, n), before, n)
}

// unless returns n, or makes p what it was.
func (p *pairs) unless(special uint32, before pairs, n int) int {
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
	n := len(a) / 4 &^ (width - 1)
	if n == 0 || v == plain {
		return 0
	}
	switch d {
	case safetensors.BF16:
		lossBF16NEON(p, a, b, n)
	case safetensors.F16:
		lossF16NEON(p, a, b, n)
	case safetensors.F32:
		lossNEON(p, a, b, n)
	default:
		return 0
	}
	return n
}

func (v level) lossFloats(p *pairs, a []byte, b []float32) int {
	n := len(b) &^ (width - 1)
	if n == 0 || v == plain {
		return 0
	}
	lossFloatsNEON(p, a, b, n)
	return n
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
	if n &^= width - 1; n == 0 || v == plain {
		return 0
	}
	switch d {
	case safetensors.BF16:
		lanesBF16NEON(l, src, n)
	case safetensors.F16:
		lanesF16NEON(l, src, n)
	default:
		lanesNEON(l, src, n)
	}
	return n
}

// kernelBytes takes the bytes of F64, and of integers of 16 bits and more.
func (l *wideLanes) kernelBytes(d safetensors.DType, src []byte) int {
	return best.wideBytes(l, d, src)
}

func (v level) wideBytes(l *wideLanes, d safetensors.DType, src []byte) int {
	n := len(src) / max(1, d.Bits()/8) &^ (width - 1)
	if n == 0 || v == plain {
		return 0
	}
	switch d {
	case safetensors.F64:
		wideF64NEON(l, src, n)
	case safetensors.I64:
		wideI64NEON(l, src, n)
	case safetensors.U64:
		wideU64NEON(l, src, n)
	case safetensors.I32:
		wideI32NEON(l, src, n)
	case safetensors.U32:
		wideU32NEON(l, src, n)
	case safetensors.I16:
		wideI16NEON(l, src, n)
	case safetensors.U16:
		wideU16NEON(l, src, n)
	default:
		return 0
	}
	return n
}

// hasLong tells whether there is a kernel for all of E5M2.
func (v level) hasLong() bool { return false }

func (v level) codesLong(*codeSums, []byte, *codeTables) {}

// codes sums up by classes. With halves a type has four bits of exponent.
func (v level) codes(s *codeSums, src []byte, tables *codeTables, halves bool) {
	if halves {
		codesHalvesNEON(s, src, len(src), tables)
	} else {
		codesQuartersNEON(s, src, len(src), tables)
	}
}

// wholeBytes leaves in digits the sums of u, and of u·(u-128). The kernel sums up
// the squares of u-128: there is no product of a signed byte and another here.
func (v level) wholeBytes(s *codeSums, src []byte, flip uint32) {
	wholeBytesNEON(s, src, len(src), flip)
	// Less 16 bytes for each 32 bits, of which a lane has four: it fits again.
	for i := range s.digits[0][:4] {
		s.digits[1][i] += 128 * (s.digits[0][i] - 128*int32(len(src)/4))
	}
}

// streams tells that there are kernels that write past the caches.
const streams = false

func skew([]byte) int { return 0 }

func (v level) halvesOfFloats(dst []byte, d safetensors.DType, src []float32, n int, over uint32) (high uint32) {
	if d == safetensors.BF16 {
		return toBF16FloatsNEON(dst, src, n, over)
	}
	return toF16FloatsNEON(dst, src, n, over)
}

func (v level) halves(dst []byte, d safetensors.DType, src []byte, n int, over uint32, _ bool) (high uint32) {
	if d == safetensors.BF16 {
		return toBF16NEON(dst, src, n, over)
	}
	return toF16NEON(dst, src, n, over)
}

func (v level) bytesOfFloats(dst []byte, src []float32, n int, p *narrowing) (high uint32) {
	return toByteFloatsNEON(dst, src, n, p)
}

func (v level) bytes(dst, src []byte, n int, p *narrowing, _ bool) (high uint32) {
	return toByteNEON(dst, src, n, p)
}

func (v level) floatsOfWords(dst []float32, d safetensors.DType, src []byte, n int) {
	switch d {
	case safetensors.BF16:
		fromBF16FloatsNEON(dst, src, n)
	case safetensors.F16:
		fromF16FloatsNEON(dst, src, n)
	default:
		for i := range dst[:n] {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
		}
	}
}

// bytesOfHalves rounds BF16 or F16 to codes of a byte.
func (v level) bytesOfHalves(dst []byte, from safetensors.DType, src []byte, n int, p *narrowing, _ bool) (high uint32, ok bool) {
	switch {
	case v == plain:
		return 0, false
	case from == safetensors.BF16:
		return bytesOfBF16NEON(dst, src, n, p), true
	}
	return bytesOfF16NEON(dst, src, n, p), true
}

func (v level) wordsOfBytes(dst, src []byte, n int, p *widening, _ bool) bool { return false }

func (v level) floatsOfBytes(dst []float32, src []byte, n int, p *widening) {
	fromByteFloatsNEON(dst, src, n, p)
}

func (v level) widenHalves(dst []byte, d safetensors.DType, src []byte, n int, _ bool) {
	if d == safetensors.BF16 {
		fromBF16NEON(dst, src, n)
	} else {
		fromF16NEON(dst, src, n)
	}
}

func (v level) widenBytes(dst, src []byte, n int, p *widening, _ bool) {
	fromByteNEON(dst, src, n, p)
}

func (v level) beyond(src []byte, n int, most uint32) uint64 { return beyondNEON(src, n, most) }

func (v level) beyondFloats(src []float32, n int, most uint32) uint64 {
	return beyondFloatsNEON(src, n, most)
}

// The kernels, in kernel_arm64.s, take whole steps of 16 numbers, at least one,
// and forget the rest. They do not check that slices are as long as n asks for.

//go:noescape
func toBF16NEON(dst, src []byte, n int, over uint32) (high uint32)

//go:noescape
func toBF16FloatsNEON(dst []byte, src []float32, n int, over uint32) (high uint32)

//go:noescape
func toF16NEON(dst, src []byte, n int, over uint32) (high uint32)

//go:noescape
func toF16FloatsNEON(dst []byte, src []float32, n int, over uint32) (high uint32)

//go:noescape
func toByteNEON(dst, src []byte, n int, p *narrowing) (high uint32)

//go:noescape
func toByteFloatsNEON(dst []byte, src []float32, n int, p *narrowing) (high uint32)

//go:noescape
func bytesOfBF16NEON(dst, src []byte, n int, p *narrowing) (high uint32)

//go:noescape
func bytesOfF16NEON(dst, src []byte, n int, p *narrowing) (high uint32)

//go:noescape
func fromBF16NEON(dst, src []byte, n int)

//go:noescape
func fromBF16FloatsNEON(dst []float32, src []byte, n int)

//go:noescape
func fromF16NEON(dst, src []byte, n int)

//go:noescape
func fromF16FloatsNEON(dst []float32, src []byte, n int)

//go:noescape
func fromByteNEON(dst, src []byte, n int, p *widening)

//go:noescape
func fromByteFloatsNEON(dst []float32, src []byte, n int, p *widening)

//go:noescape
func lanesNEON(l *lanes, src []byte, n int)

//go:noescape
func lanesBF16NEON(l *lanes, src []byte, n int)

//go:noescape
func lanesF16NEON(l *lanes, src []byte, n int)

//go:noescape
func beyondNEON(src []byte, n int, most uint32) (count uint64)

//go:noescape
func beyondFloatsNEON(src []float32, n int, most uint32) (count uint64)

//go:noescape
func pairsNEON(p *pairs, a, b []byte, n int) (special uint32)

//go:noescape
func pairsBF16NEON(p *pairs, a, b []byte, n int) (special uint32)

//go:noescape
func pairsF16NEON(p *pairs, a, b []byte, n int) (special uint32)

//go:noescape
func pairsF64NEON(p *pairs, a, b []byte, n int) (special uint32)

//go:noescape
func pairsFloatsNEON(p *pairs, a, b []float32, n int) (special uint32)

//go:noescape
func pairsDoublesNEON(p *pairs, a, b []float64, n int) (special uint32)

//go:noescape
func lossNEON(p *pairs, a, b []byte, n int)

//go:noescape
func lossBF16NEON(p *pairs, a, b []byte, n int)

//go:noescape
func lossF16NEON(p *pairs, a, b []byte, n int)

//go:noescape
func lossFloatsNEON(p *pairs, a []byte, b []float32, n int)

//go:noescape
func wideF64NEON(l *wideLanes, src []byte, n int)

//go:noescape
func wideI64NEON(l *wideLanes, src []byte, n int)

//go:noescape
func wideU64NEON(l *wideLanes, src []byte, n int)

//go:noescape
func wideI32NEON(l *wideLanes, src []byte, n int)

//go:noescape
func wideU32NEON(l *wideLanes, src []byte, n int)

//go:noescape
func wideI16NEON(l *wideLanes, src []byte, n int)

//go:noescape
func wideU16NEON(l *wideLanes, src []byte, n int)

// The sums and counts of these have room for 256 KiB.

//go:noescape
func codesHalvesNEON(s *codeSums, src []byte, n int, tables *codeTables)

//go:noescape
func codesQuartersNEON(s *codeSums, src []byte, n int, tables *codeTables)

//go:noescape
func wholeBytesNEON(s *codeSums, src []byte, n int, flip uint32)
