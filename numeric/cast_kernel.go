//go:build (amd64 || arm64) && !purego

package numeric

import (
	"math"

	"github.com/tensmith/tensmith/safetensors"
)

// castSteps are the numbers that a kernel of casts takes at a time.
const castSteps = 64

func encodeKernel(dst []byte, d safetensors.DType, src []float32, mode Overflow) int {
	return best.encodeFloats(dst, d, src, mode)
}

// encodeKernelBytes also says whether a number may be beyond the largest of d.
func encodeKernelBytes(dst []byte, d safetensors.DType, src []byte, mode Overflow, stream bool) (done int, over bool) {
	return best.encodeBytes(dst, d, src, mode, stream)
}

func decodeKernel(dst []float32, d safetensors.DType, src []byte) int {
	return best.decodeFloats(dst, d, src)
}

func decodeKernelBytes(dst []byte, d safetensors.DType, src []byte, stream bool) int {
	return best.decodeBytes(dst, d, src, stream)
}

// encodeHalvesKernel rounds BF16 or F16 to a type of a byte, and says whether a
// number may be beyond the largest.
func encodeHalvesKernel(dst []byte, to, from safetensors.DType, src []byte, mode Overflow, stream bool) (done int, over bool) {
	return best.encodeHalves(dst, to, from, src, mode, stream)
}

// halvesKernel makes BF16 or F16 of a type of a byte.
func halvesKernel(dst []byte, to, from safetensors.DType, src []byte, stream bool) int {
	return best.halvesOfBytes(dst, to, from, src, stream)
}

// beyondBytes counts float32 whose magnitude is finite and has bits above most,
// and says how many it has seen.
func beyondBytes(src []byte, most uint32) (count uint64, seen int) {
	n := best.castable(len(src) / 4)
	if n == 0 {
		return 0, 0
	}
	return best.beyond(src, n, most), n
}

// beyondKernel does so for numbers.
func beyondKernel(src []float32, most uint32) (count uint64, seen int) {
	n := best.castable(len(src))
	if n == 0 {
		return 0, 0
	}
	return best.beyondFloats(src, n, most), n
}

// over returns what magnitudes beyond the largest become in a layout.
func over(d safetensors.DType, mode Overflow) uint32 {
	l, _ := layoutOf(d)
	return l.overflow(0, mode)
}

// castable returns how many of n numbers kernels take.
func (v level) castable(n int) int {
	if v == plain {
		return 0
	}
	return n &^ (castSteps - 1)
}

// encodeFloats stops before a step in which there is a NaN that d does not have.
func (v level) encodeFloats(dst []byte, d safetensors.DType, src []float32, mode Overflow) int {
	n := v.castable(len(src))
	if n == 0 {
		return 0
	}
	if d == safetensors.BF16 || d == safetensors.F16 {
		v.halvesOfFloats(dst, d, src, n, over(d, mode))
		return n
	}
	p, ok := newNarrowing(d, mode)
	if !ok {
		return 0
	}
	if d.Bits() == 8 {
		v.bytesOfFloats(dst, src, n, &p)
		return n
	}
	var codes [castNumbers]byte
	for done := 0; done < n; {
		part := min(n-done, len(codes))
		if v.bytesOfFloats(codes[:], src[done:], part, &p) > 0xFF<<23 {
			return done
		}
		packCodes(dst[bytesOf(d, int64(done)):], d, codes[:part])
		done += part
	}
	return n
}

// encodeBytes is encodeFloats of float32 in bytes.
func (v level) encodeBytes(dst []byte, d safetensors.DType, src []byte, mode Overflow, stream bool) (done int, beyond bool) {
	n := v.castable(len(src) / 4)
	if n == 0 {
		return 0, false
	}
	l, _ := layoutOf(d)
	high, limit := uint32(0), math.Float32bits(float32(l.value(l.top())))
	if d == safetensors.BF16 || d == safetensors.F16 {
		done = align(dst, 2, len(src)/4, stream, func(first, n int, stream bool) {
			high = max(high, v.halves(dst[2*first:], d, src[4*first:], n, over(d, mode), stream))
		})
		if d == safetensors.F16 {
			limit = l.top() - 1 // what is beyond by little may be rounded to it
		}
		return done, high > limit
	}
	p, ok := newNarrowing(d, mode)
	if !ok {
		return 0, false
	}
	if d.Bits() == 8 {
		done = align(dst, 1, len(src)/4, stream, func(first, n int, stream bool) {
			high = max(high, v.bytes(dst[first:], src[4*first:], n, &p, stream))
		})
		return done, high > limit
	}
	var codes [castNumbers]byte
	for done < n {
		part := min(n-done, len(codes))
		one := v.bytes(codes[:], src[4*done:], part, &p, false)
		if one > 0xFF<<23 {
			break
		}
		high = max(high, one)
		packCodes(dst[bytesOf(d, int64(done)):], d, codes[:part])
		done += part
	}
	return done, high > limit
}

// align runs a kernel whose numbers have size bytes in dst over as many of n as
// it takes, and returns how many these are. A stream begins at a multiple of 64
// bytes; a step before it, which may overlap, fills what lies before.
func align(dst []byte, size, n int, stream bool, run func(first, n int, stream bool)) int {
	whole := n &^ (castSteps - 1)
	before := skew(dst)
	if !stream || !streams || n < 2*castSteps || before%size != 0 {
		run(0, whole, false)
		return whole
	}
	if before == 0 {
		run(0, whole, true)
		return whole
	}
	head := (64 - before) / size
	run(0, castSteps, false)
	whole = (n - head) &^ (castSteps - 1)
	run(head, whole, true)
	return head + whole
}

func (v level) decodeFloats(dst []float32, d safetensors.DType, src []byte) int {
	n := v.castable(len(dst))
	if n == 0 {
		return 0
	}
	switch d {
	case safetensors.F32, safetensors.C64, safetensors.BF16, safetensors.F16:
		v.floatsOfWords(dst, d, src, n)
		return n
	}
	p, ok := newWidening(d)
	if !ok {
		return 0
	}
	if d.Bits() == 8 {
		v.floatsOfBytes(dst, src, n, &p)
		return n
	}
	var codes [castNumbers]byte
	for done := 0; done < n; done += len(codes) {
		part := min(n-done, len(codes))
		unpackCodes(codes[:part], d, src[bytesOf(d, int64(done)):])
		v.floatsOfBytes(dst[done:], codes[:], part, &p)
	}
	return n
}

func (v level) decodeBytes(dst []byte, d safetensors.DType, src []byte, stream bool) int {
	n := v.castable(len(dst) / 4)
	if n == 0 {
		return 0
	}
	if d == safetensors.BF16 || d == safetensors.F16 {
		return align(dst, 4, len(dst)/4, stream, func(first, n int, stream bool) {
			v.widenHalves(dst[4*first:], d, src[2*first:], n, stream)
		})
	}
	p, ok := newWidening(d)
	if !ok {
		return 0
	}
	if d.Bits() == 8 {
		return align(dst, 4, len(dst)/4, stream, func(first, n int, stream bool) {
			v.widenBytes(dst[4*first:], src[first:], n, &p, stream)
		})
	}
	var codes [castNumbers]byte
	for done := 0; done < n; done += len(codes) {
		part := min(n-done, len(codes))
		unpackCodes(codes[:part], d, src[bytesOf(d, int64(done)):])
		v.widenBytes(dst[4*done:], codes[:], part, &p, false)
	}
	return n
}

// halvesOfBytes does so where every number of the type is one of the other, and
// normal there unless it is subnormal.
func (v level) halvesOfBytes(dst []byte, to, from safetensors.DType, src []byte, stream bool) int {
	n := v.castable(len(src))
	if n == 0 || from.Bits() != 8 || to == safetensors.F16 && from == safetensors.F8E5M2FNUZ {
		return 0
	}
	p, ok := newWidening(from)
	l, hasLayout := layoutOf(from)
	if !ok || !hasLayout {
		return 0
	}
	p.words(l, to == safetensors.F16)
	if !v.wordsOfBytes(nil, nil, 0, &p, false) {
		return 0
	}
	return align(dst, 2, len(src), stream, func(first, n int, stream bool) {
		v.wordsOfBytes(dst[2*first:], src[first:], n, &p, stream)
	})
}

func (v level) encodeHalves(dst []byte, to, from safetensors.DType, src []byte, mode Overflow, stream bool) (done int, beyond bool) {
	n := v.castable(len(src) / 2)
	if n == 0 || to.Bits() != 8 || from != safetensors.BF16 && from != safetensors.F16 {
		return 0, false
	}
	p, ok := newNarrowing(to, mode)
	if !ok {
		return 0, false
	}
	if _, ok := v.bytesOfHalves(nil, from, nil, 0, &p, false); !ok {
		return 0, false
	}
	l, _ := layoutOf(to)
	high, limit := uint32(0), math.Float32bits(float32(l.value(l.top())))
	done = align(dst, 1, len(src)/2, stream, func(first, n int, stream bool) {
		one, _ := v.bytesOfHalves(dst[first:], from, src[2*first:], n, &p, stream)
		high = max(high, one)
	})
	return done, high > limit
}
