//go:build !purego

package numeric

import "github.com/tensmith/tensmith/safetensors"

// These choose a kernel and say how many numbers it has dealt with; the plain
// loop that calls them does the rest. They are switches, not tables of
// functions, so that what they are given need not escape.

// steps returns how many of n numbers a kernel takes.
func (v level) steps(n int) int {
	if v == plain {
		return 0
	}
	return n &^ (width - 1)
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
	if n = v.steps(n); n == 0 {
		return 0
	}
	switch wide := v == avx512; {
	case d == safetensors.BF16 && wide:
		lanesBF16AVX512(l, src, n)
	case d == safetensors.BF16:
		lanesBF16AVX2(l, src, n)
	case d == safetensors.F16 && wide:
		lanesF16AVX512(l, src, n)
	case d == safetensors.F16:
		lanesF16AVX2(l, src, n)
	case wide:
		lanesAVX512(l, src, n)
	default:
		lanesAVX2(l, src, n)
	}
	return n
}

// countTiny counts zeros, and with them what is less than normal.
func countTiny(values []float32, normal uint32) (zeros, tiny uint64) {
	return best.tiny(values, normal)
}

func (v level) tiny(values []float32, normal uint32) (zeros, tiny uint64) {
	n := v.steps(len(values))
	if n > 0 {
		if v == avx512 {
			zeros, tiny = tinyAVX512(values, n, normal)
		} else {
			zeros, tiny = tinyAVX2(values, n, normal)
		}
	}
	z, t := countTinyPlain(values[n:], normal)
	return zeros + z, tiny + t
}

func (p *pairs) kernel(a, b []float32) int { return best.pairs(p, a, b) }

// pairs leaves p as it was, and returns 0, if not all numbers are finite.
func (v level) pairs(p *pairs, a, b []float32) int {
	n := v.steps(min(len(a), len(b)))
	if n == 0 {
		return 0
	}
	before, high := *p, uint32(0)
	if v == avx512 {
		high = pairsAVX512(p, a[:n], b[:n])
	} else {
		high = pairsAVX2(p, a[:n], b[:n])
	}
	if high >= 0xFF<<23 {
		*p = before
		return 0
	}
	return n
}
