//go:build !purego

package numeric

import "github.com/tensmith/tensmith/safetensors"

// These choose a kernel.

// streams tells that there are kernels that write past the caches.
const streams = true

func (v level) halvesOfFloats(dst []byte, d safetensors.DType, src []float32, n int, over uint32) (high uint32) {
	switch wide := v >= avx512; {
	case d == safetensors.BF16 && wide:
		return toBF16FloatsAVX512(dst, src, n, over)
	case d == safetensors.BF16:
		return toBF16FloatsAVX2(dst, src, n, over)
	case wide:
		return toF16FloatsAVX512(dst, src, n, over)
	}
	return toF16FloatsAVX2(dst, src, n, over)
}

func (v level) bytesOfFloats(dst []byte, src []float32, n int, p *narrowing) (high uint32) {
	switch {
	case v >= vnni && p.quick():
		if high, ok := p.highest(toByteFloatsVNNI(dst, src, n, p)); ok {
			return high
		}
		fallthrough
	case v >= avx512:
		return toByteFloatsAVX512(dst, src, n, p)
	}
	return toByteFloatsAVX2(dst, src, n, p)
}

// halves takes the quick kernel for BF16 where there is one, and the other for all
// numbers again where there was one that is nearly infinite, or is, or NaN.
func (v level) halves(dst []byte, d safetensors.DType, src []byte, n int, over uint32, stream bool) (high uint32) {
	if d == safetensors.BF16 && v >= avx512 {
		if stream {
			high = quickBF16StreamAVX512(dst, src, n)
		} else {
			high = quickBF16AVX512(dst, src, n)
		}
		if high < 0x7F7F<<16 {
			return high | 0xFFFF // of which it has seen the upper half
		}
	}
	switch wide := v >= avx512; {
	case d == safetensors.BF16 && wide && stream:
		return toBF16StreamAVX512(dst, src, n, over)
	case d == safetensors.BF16 && wide:
		return toBF16AVX512(dst, src, n, over)
	case d == safetensors.BF16 && stream:
		return toBF16StreamAVX2(dst, src, n, over)
	case d == safetensors.BF16:
		return toBF16AVX2(dst, src, n, over)
	case wide && stream:
		return toF16StreamAVX512(dst, src, n, over)
	case wide:
		return toF16AVX512(dst, src, n, over)
	case stream:
		return toF16StreamAVX2(dst, src, n, over)
	}
	return toF16AVX2(dst, src, n, over)
}

// bytes and others take the quick kernel for 8 bits where there is one, and the
// other for all numbers again where there was a NaN, or one that is very large.
func (v level) bytes(dst, src []byte, n int, p *narrowing, stream bool) (high uint32) {
	if v >= vnni && p.quick() {
		if stream {
			high = toByteStreamVNNI(dst, src, n, p)
		} else {
			high = toByteVNNI(dst, src, n, p)
		}
		if high, ok := p.highest(high); ok {
			return high
		}
	}
	switch wide := v >= avx512; {
	case wide && stream:
		return toByteStreamAVX512(dst, src, n, p)
	case wide:
		return toByteAVX512(dst, src, n, p)
	case stream:
		return toByteStreamAVX2(dst, src, n, p)
	}
	return toByteAVX2(dst, src, n, p)
}

// highest makes of what a quick kernel returns a magnitude that is above the largest
// finite one if any may be, for the largest code may be of one that was rounded down
// to it. It returns false if all is to be done again.
func (p *narrowing) highest(code uint32) (high uint32, ok bool) {
	switch {
	case code > 0xFF:
		return 0, false
	case code >= p.top:
		return 0xFF << 23, true
	}
	return 0, true
}

// quick tells whether codes have eight bits, the first of which is the sign.
func (p *narrowing) quick() bool { return p.sign == 0x80 }

func (v level) floatsOfWords(dst []float32, d safetensors.DType, src []byte, n int) {
	switch wide := v >= avx512; {
	case d == safetensors.BF16 && wide:
		fromBF16FloatsAVX512(dst, src, n)
	case d == safetensors.BF16:
		fromBF16FloatsAVX2(dst, src, n)
	case d == safetensors.F16 && wide:
		fromF16FloatsAVX512(dst, src, n)
	case d == safetensors.F16:
		fromF16FloatsAVX2(dst, src, n)
	case wide:
		fromF32FloatsAVX512(dst, src, n)
	default:
		fromF32FloatsAVX2(dst, src, n)
	}
}

// bytesOfHalves rounds BF16 or F16 to codes of a byte, or returns false.
func (v level) bytesOfHalves(dst []byte, from safetensors.DType, src []byte, n int, p *narrowing, stream bool) (high uint32, ok bool) {
	if v >= vnni && p.quick() {
		switch {
		case from == safetensors.BF16 && stream:
			high = bytesOfBF16StreamVNNI(dst, src, n, p)
		case from == safetensors.BF16:
			high = bytesOfBF16VNNI(dst, src, n, p)
		case stream:
			high, ok = p.highest(bytesOfF16StreamVNNI(dst, src, n, p))
		default:
			high, ok = p.highest(bytesOfF16VNNI(dst, src, n, p))
		}
		if from == safetensors.BF16 {
			ok = high <= 0xFF<<23
		}
		if ok {
			return high, true
		}
	}
	switch wide := v >= avx512; {
	case v == plain:
		return 0, false
	case from == safetensors.BF16 && wide && stream:
		high = bytesOfBF16StreamAVX512(dst, src, n, p)
	case from == safetensors.BF16 && wide:
		high = bytesOfBF16AVX512(dst, src, n, p)
	case from == safetensors.BF16 && stream:
		high = bytesOfBF16StreamAVX2(dst, src, n, p)
	case from == safetensors.BF16:
		high = bytesOfBF16AVX2(dst, src, n, p)
	case wide && stream:
		high = bytesOfF16StreamAVX512(dst, src, n, p)
	case wide:
		high = bytesOfF16AVX512(dst, src, n, p)
	case stream:
		high = bytesOfF16StreamAVX2(dst, src, n, p)
	default:
		high = bytesOfF16AVX2(dst, src, n, p)
	}
	return high, true
}

// inWords tells whether there is a kernel of words for the type, which has no more
// than 128 magnitudes.
func (v level) inWords(p *widening) bool { return v >= avx512 && p.sign != 0 }

// wordsOfBytes returns false if there is no kernel.
func (v level) wordsOfBytes(dst, src []byte, n int, p *widening, stream bool) bool {
	switch {
	case v == plain || p.sign == 0:
		return false
	case v == avx2 && stream:
		wordsOfCodeStreamAVX2(dst, src, n, p)
	case v == avx2:
		wordsOfCodeAVX2(dst, src, n, p)
	case stream:
		wordsOfCodeStreamAVX512(dst, src, n, p)
	default:
		wordsOfCodeAVX512(dst, src, n, p)
	}
	return true
}

func (v level) floatsOfBytes(dst []float32, src []byte, n int, p *widening) {
	if v.inWords(p) {
		fromCodeFloatsAVX512(dst, src, n, p)
	} else if v >= avx512 {
		fromByteFloatsAVX512(dst, src, n, p)
	} else {
		fromByteFloatsAVX2(dst, src, n, p)
	}
}

func (v level) widenHalves(dst []byte, d safetensors.DType, src []byte, n int, stream bool) {
	switch wide := v >= avx512; {
	case d == safetensors.BF16 && wide && stream:
		fromBF16StreamAVX512(dst, src, n)
	case d == safetensors.BF16 && wide:
		fromBF16AVX512(dst, src, n)
	case d == safetensors.BF16 && stream:
		fromBF16StreamAVX2(dst, src, n)
	case d == safetensors.BF16:
		fromBF16AVX2(dst, src, n)
	case wide && stream:
		fromF16StreamAVX512(dst, src, n)
	case wide:
		fromF16AVX512(dst, src, n)
	case stream:
		fromF16StreamAVX2(dst, src, n)
	default:
		fromF16AVX2(dst, src, n)
	}
}

func (v level) widenBytes(dst, src []byte, n int, p *widening, stream bool) {
	switch wide := v >= avx512; {
	case v.inWords(p) && stream:
		fromCodeStreamAVX512(dst, src, n, p)
	case v.inWords(p):
		fromCodeAVX512(dst, src, n, p)
	case wide && stream:
		fromByteStreamAVX512(dst, src, n, p)
	case wide:
		fromByteAVX512(dst, src, n, p)
	case stream:
		fromByteStreamAVX2(dst, src, n, p)
	default:
		fromByteAVX2(dst, src, n, p)
	}
}

func (v level) beyond(src []byte, n int, most uint32) uint64 {
	if v >= avx512 {
		return beyondAVX512(src, n, most)
	}
	return beyondAVX2(src, n, most)
}

func (v level) beyondFloats(src []float32, n int, most uint32) uint64 {
	if v >= avx512 {
		return beyondFloatsAVX512(src, n, most)
	}
	return beyondFloatsAVX2(src, n, most)
}
