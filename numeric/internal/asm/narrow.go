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
)

// narrow writes the kernels that round float32, by the arithmetic of numeric's
// rounder: to BF16, to F16, and to a code a byte of any smaller type. They return
// the highest magnitude that there was: of what they were given, or for F16 of
// what they made of it.
func (k *kind) narrow(stream bool) {
	over := "func(dst, src []byte, n int, over uint32) (high uint32)"
	for _, f := range []struct {
		name, signature, floats string
		size                    int
		step                    func(dst, src Register, stream bool) func()
	}{
		{"toBF16", over, "func(dst []byte, src []float32, n int, over uint32) (high uint32)", 2, k.roundBF16},
		{"toF16", over, "func(dst []byte, src []float32, n int, over uint32) (high uint32)", 2, k.roundF16},
		{"toByte", "func(dst, src []byte, n int, p *uint32) (high uint32)",
			"func(dst []byte, src []float32, n int, p *uint32) (high uint32)", 1, k.roundByte},
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
			step()
			ADDQ(U32(4*castStep), src)
			ADDQ(U32(uint32(castStep*f.size)), dst)
		})
		Store(k.highest(f.name == "toF16"), ReturnIndex(0))
		k.end(stream)
		if !stream {
			k.alias(f.name, f.name+"Floats", f.floats)
		}
	}
}

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
func (k *kind) roundByte(dst, src Register, stream bool) func() {
	p := Load(Param("p"), GP64())
	shift, toSign := k.count(p, narrowShift), k.count(p, narrowToSign)
	half := k.filled(p, narrowHalf)
	normal, magic, over := k.lazy(p, narrowNormal), k.lazy(p, narrowMagic), k.lazy(p, narrowOver)
	nan, sign, least := k.lazy(p, narrowNaN), k.lazy(p, narrowSign), k.lazy(p, narrowLeast)
	magnitude, one, top := k.constant32(0x7FFFFFFF), k.constant32(1), k.lazy32("top", 0x7F800000)
	order := k.fours
	if k.wide {
		v := k.fours()
		order = func() VecVirtual { return v }
	}
	round := func(offset int) VecVirtual {
		x, a, t, code := k.vector(), k.vector(), k.vector(), k.vector()
		k.load32(at(src, offset), x)
		k.and(magnitude, x, a)
		VPMAXUD(a, k.high, k.high)
		VPSRLD(shift, a, t)
		k.and(one, t, t)
		VPADDD(half, a, code)
		VPADDD(t, code, code)
		VPSRLD(shift, code, code)
		// The sum's last bit is a unit of the subnormal grid.
		VADDPS(magic(), a, t)
		if k.wide {
			is := K()
			VPCMPUD(Imm(1), normal(), a, is)
			VPSUBD(magic(), t, is, code)
			VPMINUD(over(), code, code)
			VPCMPUD(Imm(6), top(), a, is)
			VMOVDQA32(nan(), is, code)
			VPSRLD(toSign, x, x)
			VPCMPUD(Imm(5), least(), code, is)
			VPANDD(sign(), x, x)
			VPORD(x, code, is, code)
			return code
		}
		is := YMM()
		VPSUBD(magic(), t, t)
		VPCMPGTD(a, normal(), is)
		VPBLENDVB(is, t, code, code)
		VPMINUD(over(), code, code)
		VPCMPGTD(top(), a, is)
		VPBLENDVB(is, nan(), code, code)
		VPSRLD(toSign, x, x)
		VPAND(sign(), x, x)
		VPCMPGTD(code, least(), is)
		VPANDN(x, is, x) // not where least > code
		VPOR(x, code, code)
		return code
	}
	return func() {
		for offset := 0; offset < castStep; offset += k.bytes() {
			from := 4 * offset
			low := k.pack32(round(from), round(from+k.bytes()))
			high := k.pack32(round(from+2*k.bytes()), round(from+3*k.bytes()))
			store(stream, k.packBytes(low, high, order), at(dst, offset))
		}
	}
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

// packBytes makes bytes of the words that pack32 made, and puts their groups of
// four in order.
func (k *kind) packBytes(low, high VecVirtual, fours func() VecVirtual) VecVirtual {
	VPACKUSWB(high, low, low)
	VPERMD(low, fours(), low)
	return low
}
