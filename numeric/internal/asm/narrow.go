package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// castStep is the numbers that kernels of casts take at a time: what fills a
// cache line with elements of one byte.
const castStep = 64

// Offsets in numeric's struct narrowing.
const (
	narrowShift  = 0  // mantissa bits dropped
	narrowToSign = 4  // from bit 31 to the sign
	narrowHalf   = 8  // just under half a unit, less the difference of the biases
	narrowNormal = 12 // bits of the smallest normal value
	narrowMagic  = 16 // the power of two whose last bit is the smallest value
	narrowOver   = 20 // what a magnitude beyond the largest becomes
	narrowNaN    = 24
	narrowSign   = 28
	narrowLeast  = 32 // the least magnitude that has a sign: 1 if zero has none

	// For rounding words of 16 bits.
	narrowDrop     = 36 // bits of a word dropped
	narrowHalf16   = 40 // as narrowHalf; this and what follows fill 32 bits
	narrowNormal16 = 44 // the word of the smallest normal value
	narrowOver16   = 48
	narrowNaN16    = 52
	narrowSign8    = 56
	narrowLeast8   = 60

	// For rounding by a sum.
	narrowBias    = 64 // the last word of the power of two that is added
	narrowScale   = 68 // its distance to the number's
	narrowFactors = 72 // of the sum's words
)

// narrow writes the kernels that round float32, by the arithmetic of numeric's
// rounder: to BF16, to F16, and to a code a byte of any smaller type. They return
// the highest magnitude that there was: of what they were given, or for F16 of
// what they made of it.
func (k *kind) narrow(stream bool) {
	over := "func(dst, src []byte, n int, over uint32) (high uint32)"
	codes := "func(dst, src []byte, n int, p *uint32) (high uint32)"
	for _, f := range []struct {
		name, signature, floats string
		size                    int
		step                    func(dst, src Register, stream bool) func()
		from                    element
	}{
		{"toBF16", over, "func(dst []byte, src []float32, n int, over uint32) (high uint32)", 2, k.roundBF16, elements[0]},
		{"toF16", over, "func(dst []byte, src []float32, n int, over uint32) (high uint32)", 2, k.roundF16, elements[0]},
		{"toByte", codes,
			"func(dst []byte, src []float32, n int, p *uint32) (high uint32)", 1, k.roundByte(elements[0]), elements[0]},
		{"bytesOfBF16", codes, "", 1, k.roundByte(elements[1]), elements[1]},
		{"bytesOfF16", codes, "", 1, k.roundByte(elements[2]), elements[2]},
	} {
		name := f.name
		if stream {
			name += "Stream"
		}
		TEXT(name+k.name, NOSPLIT, f.signature)
		dst, src := Load(Param("dst").Base(), GP64()), Load(Param("src").Base(), GP64())
		n := Load(Param("n"), GP64()).(GPVirtual)
		k.high = k.vector()
		k.zero(k.high)
		step := f.step(dst, src, stream)
		loop(name+k.name, n, castStep, func() {
			if stream && f.size == 1 { // of the others memory has enough to do
				for line := 0; line < f.from.size*castStep; line += 64 {
					PREFETCHT0(at(src, ahead+line))
				}
			}
			step()
			ADDQ(U32(uint32(castStep*f.from.size)), src)
			ADDQ(U32(uint32(castStep*f.size)), dst)
		})
		highest := k.highest(f.name != "toBF16")
		if f.size == 1 {
			SHLL(Imm(15), highest) // a word's place
		}
		Store(highest, ReturnIndex(0))
		k.end(stream)
		if !stream && f.floats != "" {
			k.alias(f.name, f.name+"Floats", f.floats)
		}
	}
}

// ahead is how many bytes before they are read those are asked for that most
// likely come from memory. The processor itself does so up to the end of a page.
const ahead = 8192

// end leaves a kernel. What was streamed is in memory then.
func (k *kind) end(stream bool) {
	if stream {
		SFENCE()
	}
	VZEROUPPER()
	RET()
}

// store stores a register, past the caches if it streams: that saves reading
// the line that is to be overwritten whole. The address is aligned then.
func store(stream bool, v VecVirtual, m Mem) {
	if stream {
		VMOVNTDQ(v, m)
	} else {
		VMOVUPS(v, m)
	}
}

// roundBF16 rounds to the upper half of 32 bits.
func (k *kind) roundBF16(dst, src Register, stream bool) func() {
	over := k.broadcast32(Load(Param("over"), GP32()).(GPVirtual))
	order := k.quarters
	if k.wide {
		v := k.quarters()
		order = func() VecVirtual { return v }
	}
	magnitude, one, half := k.constant32(0x7FFFFFFF), k.constant32(1), k.constant32(0x7FFF)
	top, nan, sign := k.constant32(0x7F800000), k.constant32(0x7FC0), k.constant32(0x8000)
	round := func(offset int) VecVirtual {
		x, a, odd, code := k.vector(), k.vector(), k.vector(), k.vector()
		k.load32(at(src, offset), x)
		k.and(magnitude, x, a)
		VPMAXUD(a, k.high, k.high)
		VPSRLD(Imm(16), a, odd)
		k.and(one, odd, odd)
		VPADDD(half, a, code)
		VPADDD(odd, code, code)
		VPSRLD(Imm(16), code, code)
		VPMINUD(over, code, code)
		k.where(a, top, nan, code)
		VPSRLD(Imm(16), x, x)
		k.orAnd(sign, x, code)
		return code
	}
	return func() {
		for offset := 0; offset < 2*castStep; offset += k.bytes() {
			store(stream, k.pack16(round(2*offset), round(2*offset+k.bytes()), order), at(dst, offset))
		}
	}
}

// roundF16 leaves the rounding to the processor, then makes its NaNs one and
// its infinities over.
func (k *kind) roundF16(dst, src Register, stream bool) func() {
	limit := k.broadcast16(Load(Param("over"), GP32()).(GPVirtual))
	nan, magnitude := k.constant16(0x7E00), k.constant16(0x7FFF)
	sign, top := k.constant16(0x8000), k.constant16(0x7C00)
	return func() {
		for offset := 0; offset < 2*castStep; offset += k.bytes() {
			h, code := k.vector(), k.vector()
			x, y := k.vector(), k.vector()
			k.load32(at(src, 2*offset), x)
			k.load32(at(src, 2*offset+k.bytes()), y)
			if k.wide {
				upper := YMM()
				VCVTPS2PH(Imm(0), x, h.AsY())
				VCVTPS2PH(Imm(0), y, upper)
				VINSERTI64X4(Imm(1), upper, h, h)
			} else {
				upper := XMM()
				VCVTPS2PH(Imm(0), x, h.AsX())
				VCVTPS2PH(Imm(0), y, upper)
				VINSERTI128(Imm(1), upper, h, h)
			}
			k.and(magnitude, h, code)
			VPMAXUW(code, k.high, k.high)
			if k.wide {
				isNaN := K()
				VPCMPUW(Imm(6), top, code, isNaN)
				VPMINUW(limit, code, code)
				VMOVDQU16(nan, isNaN, code)
			} else {
				isNaN := YMM()
				VPCMPGTW(top, code, isNaN)
				VPMINUW(limit, code, code)
				VPBLENDVB(isNaN, nan, code, code)
			}
			k.orAnd(sign, h, code)
			store(stream, code, at(dst, offset))
		}
	}
}

// roundByte rounds to a code a byte. Its parameters are those of a type.
//
// A code depends on the upper half of a magnitude, and on whether there is a bit in
// the lower: as words of 16 bits magnitudes are rounded in twice as many lanes.
// Subnormal codes are what is left of an addition.
func (k *kind) roundByte(e element) func(dst, src Register, stream bool) func() {
	return func(dst, src Register, stream bool) func() { return k.roundBytes(e, dst, src, stream) }
}

func (k *kind) roundBytes(e element, dst, src Register, stream bool) func() {
	p := Load(Param("p"), GP64())
	magnitude, magic := k.constant32(0x7FFFFFFF), k.filled(p, narrowMagic)
	some, double := k.constant32(0xFFFF0001), k.constant32(0x00020001)
	one, half, normal := k.lazy32("one", 0x00010001), k.lazy(p, narrowHalf16), k.lazy(p, narrowNormal16)
	over, nan := k.lazy(p, narrowOver16), k.lazy(p, narrowNaN16)
	sign, least := k.lazy(p, narrowSign8), k.lazy(p, narrowLeast8)
	top := k.lazy32("firstNaN", 0xFF01FF01)
	drop := k.shifter(p, narrowDrop)
	order := k.fours
	if k.wide {
		v := k.fours()
		order = func() VecVirtual { return v }
	}
	// words leaves in the lower half of each 32 bits a magnitude's word, and the
	// subnormal code.
	words := func(x VecVirtual) (word, small VecVirtual) {
		word, small = k.vector(), k.vector()
		k.and(magnitude, x, word)
		VADDPS(magic, word, small) // its last bit is a unit of the subnormal grid
		VPSUBD(magic, small, small)
		VPMINUW(some, word, word)
		VPMADDWD(double, word, word)
		return word, small
	}
	round := func(from int) (codes, signs VecVirtual) {
		x, y := k.load(e, at(src, from)), k.load(e, at(src, from+k.bytes()*e.size/4))
		wordX, smallX := words(x)
		wordY, smallY := words(y)
		u, small, odd := k.pack32(wordX, wordY), k.pack32(smallX, smallY), k.vector()
		signs, codes = x, k.vector()
		VPACKSSDW(y, signs, signs)
		VPMAXUW(u, k.high, k.high)
		drop(u, odd)
		k.and(one(), odd, odd)
		VPADDW(half(), u, codes)
		VPADDW(odd, codes, codes)
		drop(codes, codes)
		if k.wide {
			is := K()
			VPCMPUW(Imm(1), normal(), u, is)
			VMOVDQU16(small, is, codes)
		} else {
			is := YMM()
			VPMAXUW(normal(), u, is)
			VPCMPEQW(is, u, is)
			VPBLENDVB(is, codes, small, codes)
		}
		VPMINUW(over(), codes, codes)
		if k.wide {
			is := K()
			VPCMPUW(Imm(5), top(), u, is)
			VMOVDQU16(nan(), is, codes)
		} else {
			is := YMM()
			VPMAXUW(top(), u, is)
			VPCMPEQW(is, u, is)
			VPBLENDVB(is, nan(), codes, codes)
		}
		return codes, signs
	}
	return func() {
		for offset := 0; offset < castStep; offset += k.bytes() {
			code, signs := round(e.size * offset)
			next, others := round(e.size*offset + k.bytes()*e.size/2)
			VPACKUSWB(next, code, code)
			VPACKSSWB(others, signs, signs)
			if k.wide {
				is := K()
				VPMOVB2M(signs, is)
				VPCMPUB(Imm(5), least(), code, is, is)
				VPCMPUB(Imm(1), sign(), code, is, is) // the NaN of FNUZ has its bit set
				VPADDB(sign(), code, is, code)
			} else {
				has := YMM()
				VPXOR(has, has, has)
				VPCMPGTB(signs, has, signs)
				VPAND(sign(), signs, signs)
				VPMAXUB(least(), code, has)
				VPCMPEQB(code, has, has)
				VPAND(has, signs, signs)
				VPOR(signs, code, code)
			}
			VPERMD(code, order(), code)
			store(stream, code, at(dst, offset))
		}
	}
}

// shifter returns what shifts words right by a parameter.
func (k *kind) shifter(p Register, offset int) func(v, to VecVirtual) {
	if k.wide {
		count := ZMM()
		VPBROADCASTW(at(p, offset), count)
		return func(v, to VecVirtual) { VPSRLVW(count, v, to) }
	}
	count := k.count(p, offset)
	return func(v, to VecVirtual) { VPSRLW(count, v, to) }
}

// orAnd is code |= a & b. It spoils b.
func (k *kind) orAnd(a, b, code VecVirtual) {
	if k.wide {
		VPTERNLOGD(Imm(0xF8), a, b, code)
		return
	}
	VPAND(a, b, b)
	VPOR(b, code, code)
}

// where puts v into code where a is above limit, as signed numbers.
func (k *kind) where(a, limit, v, code VecVirtual) {
	if k.wide {
		is := K()
		VPCMPUD(Imm(6), limit, a, is)
		VMOVDQA32(v, is, code)
		return
	}
	is := YMM()
	VPCMPGTD(limit, a, is)
	VPBLENDVB(is, v, code, code)
}

// pack16 makes the 32-bit numbers of two registers those of 16 bits of one, in
// their order.
func (k *kind) pack16(low, high VecVirtual, quarters func() VecVirtual) VecVirtual {
	v := k.pack32(low, high)
	if k.wide {
		VPERMQ(v, quarters(), v)
	} else {
		VPERMQ(Imm(0xD8), v, v)
	}
	return v
}

// pack32 does so within each 128 bits.
func (k *kind) pack32(low, high VecVirtual) VecVirtual {
	VPACKUSDW(high, low, low)
	return low
}
