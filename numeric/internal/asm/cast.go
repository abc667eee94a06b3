package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// A format is one that float32 is rounded to, by the arithmetic of numeric's
// rounder.
type format struct {
	name string
	size int // bytes
	nan  uint32
}

var formats = []format{{"toBF16", 2, 0x7FC0}, {"toF16", 2, 0x7E00}, {"toE4M3", 1, 0x7F}}

// narrow rounds src to dst. over is what a magnitude beyond the largest becomes.
func (k *kind) narrow(f format) {
	name := f.name + k.name
	TEXT(name, NOSPLIT, "func(dst, src []byte, n int, over uint32)")
	dst, src := Load(Param("dst").Base(), GP64()), Load(Param("src").Base(), GP64())
	n := Load(Param("n"), GP64()).(GPVirtual)
	over := Load(Param("over"), GP32()).(GPVirtual)
	var step func()
	switch {
	case f.name == "toF16":
		step = k.roundF16(f, dst, src, over)
	case k.wide:
		step = k.round512(f, dst, src, over)
	default:
		step = k.round256(f, dst, src, over)
	}
	loop(name, n, func() {
		step()
		ADDQ(Imm(64), src)
		ADDQ(Imm(uint64(16*f.size)), dst)
	})
	VZEROUPPER()
	RET()
	k.alias(f.name, f.name+"Floats", "func(dst []byte, src []float32, n int, over uint32)")
}

// A rounding holds the constants of a format of at most eight bits of mantissa.
type rounding struct {
	shift                     uint64 // mantissa bits dropped
	toSign                    uint64 // from bit 31 to the sign
	magnitude, one, half, nan VecVirtual
	over, sign, top           VecVirtual
	normal, magic             VecVirtual // of E4M3
}

func (k *kind) rounding(f format, over GPVirtual) rounding {
	r := rounding{
		shift: 16, toSign: 16,
		magnitude: k.constant32(0x7FFFFFFF), one: k.constant32(1), nan: k.constant32(f.nan),
		over: k.broadcast32(over), top: k.constant32(0x7F800000),
	}
	if f.name == "toBF16" {
		r.half, r.sign = k.constant32(0x7FFF), k.constant32(0x8000)
		return r
	}
	r.shift, r.toSign = 20, 24
	r.sign = k.constant32(0x80)
	// Just under half a unit, and the difference of the biases, 127 and 7.
	r.half = k.constant32((1<<19 - 1 - 120<<23) & 0xFFFFFFFF)
	r.normal = k.constant32(121 << 23)
	r.magic = k.constant32(141 << 23)
	return r
}

// round512 is one step of toBF16 or toE4M3.
func (k *kind) round512(f format, dst, src Register, over GPVirtual) func() {
	r := k.rounding(f, over)
	return func() {
		x, a, odd, code := ZMM(), ZMM(), ZMM(), ZMM()
		VMOVDQU32(at(src, 0), x)
		VPANDD(r.magnitude, x, a)
		VPSRLD(Imm(r.shift), a, odd)
		VPANDD(r.one, odd, odd)
		VPADDD(r.half, a, code)
		VPADDD(odd, code, code)
		VPSRLD(Imm(r.shift), code, code)
		if r.normal != nil {
			// The sum's last bit is a unit of the subnormal grid.
			small, sum := K(), ZMM()
			VPCMPUD(Imm(1), r.normal, a, small)
			VADDPS(r.magic, a, sum)
			VPSUBD(r.magic, sum, small, code)
		}
		VPMINUD(r.over, code, code)
		nan := K()
		VPCMPUD(Imm(6), r.top, a, nan)
		VMOVDQA32(r.nan, nan, code)
		VPSRLD(Imm(r.toSign), x, x)
		VPTERNLOGD(Imm(0xF8), r.sign, x, code) // code | x & sign
		if f.size == 2 {
			VPMOVDW(code, at(dst, 0))
		} else {
			VPMOVDB(code, at(dst, 0))
		}
	}
}

func (k *kind) round256(f format, dst, src Register, over GPVirtual) func() {
	r := k.rounding(f, over)
	eight := func(offset int) VecVirtual {
		x, a, t, code := YMM(), YMM(), YMM(), YMM()
		VMOVDQU(at(src, offset), x)
		VPAND(r.magnitude, x, a)
		VPSRLD(Imm(r.shift), a, t)
		VPAND(r.one, t, t)
		VPADDD(r.half, a, code)
		VPADDD(t, code, code)
		VPSRLD(Imm(r.shift), code, code)
		if r.normal != nil {
			sum := YMM()
			VADDPS(r.magic, a, sum)
			VPSUBD(r.magic, sum, sum)
			VPCMPGTD(a, r.normal, t) // normal > a
			VPBLENDVB(t, sum, code, code)
		}
		VPMINUD(r.over, code, code)
		VPCMPGTD(r.top, a, t)
		VPBLENDVB(t, r.nan, code, code)
		VPSRLD(Imm(r.toSign), x, x)
		VPAND(r.sign, x, x)
		VPOR(x, code, code)
		return code
	}
	return func() {
		low := eight(0)
		high := eight(32)
		VPACKUSDW(high, low, low) // within halves, so the quarters change places
		VPERMQ(Imm(0xD8), low, low)
		if f.size == 2 {
			VMOVDQU(low, at(dst, 0))
			return
		}
		upper := XMM()
		VEXTRACTI128(Imm(1), low, upper)
		VPACKUSWB(upper, low.AsX(), upper)
		VMOVDQU(upper, at(dst, 0))
	}
}

// roundF16 leaves the rounding to the processor, then makes its NaNs one and
// its infinities over.
func (k *kind) roundF16(f format, dst, src Register, over GPVirtual) func() {
	limit, nan := half(over), constantHalf(uint16(f.nan))
	magnitude, sign, top := constantHalf(0x7FFF), constantHalf(0x8000), constantHalf(0x7C00)
	return func() {
		h, code := YMM(), YMM()
		if k.wide {
			x := ZMM()
			VMOVUPS(at(src, 0), x)
			VCVTPS2PH(Imm(0), x, h)
		} else {
			x, y, upper := YMM(), YMM(), XMM()
			VMOVUPS(at(src, 0), x)
			VMOVUPS(at(src, 32), y)
			VCVTPS2PH(Imm(0), x, h.AsX())
			VCVTPS2PH(Imm(0), y, upper)
			VINSERTI128(Imm(1), upper, h, h)
		}
		isNaN := YMM()
		VPAND(magnitude, h, code)
		VPCMPGTW(top, code, isNaN)
		VPMINUW(limit, code, code)
		VPBLENDVB(isNaN, nan, code, code)
		VPAND(sign, h, h)
		VPOR(h, code, code)
		VMOVDQU(code, at(dst, 0))
	}
}

// widenBF16 turns 16 bits into the upper half of 32.
func (k *kind) widenBF16() {
	k.widen("fromBF16", func(dst, src Register) func() {
		return func() {
			for offset := 0; offset < 64; offset += k.bytes() {
				v := k.vector()
				VPMOVZXWD(at(src, offset/2), v)
				VPSLLD(Imm(16), v, v)
				VMOVUPS(v, at(dst, offset))
			}
		}
	})
}

// widenF16 leaves the work to the processor, which makes every NaN quiet, and
// puts that bit back.
func (k *kind) widenF16() {
	k.widen("fromF16", func(dst, src Register) func() {
		quiet := k.constant32(0x00400000)
		return func() {
			for offset := 0; offset < 64; offset += k.bytes() {
				v, raw := k.vector(), k.vector()
				VCVTPH2PS(at(src, offset/2), v)
				VPMOVZXWD(at(src, offset/2), raw)
				VPSLLD(Imm(13), raw, raw)
				if k.wide {
					nan := K()
					VCMPPS(Imm(3), v, v, nan)
					VPTERNLOGD(Imm(0xD8), quiet, raw, nan, v) // raw where quiet
				} else {
					nan := YMM()
					VCMPPS(Imm(3), v, v, nan)
					VPAND(quiet, nan, nan)
					VPXOR(v, raw, raw)
					VPAND(nan, raw, raw)
					VPXOR(raw, v, v)
				}
				VMOVUPS(v, at(dst, offset))
			}
		}
	})
}

// widenE4M3 moves exponent and mantissa to their places. A subnormal code is a
// whole number of the smallest value instead.
func (k *kind) widenE4M3() {
	name := "fromE4M3"
	TEXT(name+k.name, NOSPLIT, "func(dst, src []byte)")
	dst, src := Load(Param("dst").Base(), GP64()), Load(Param("src").Base(), GP64())
	n := Load(Param("src").Len(), GP64()).(GPVirtual)
	magnitude, sign := k.constant32(0x7F), k.constant32(0x80)
	rebias, least := k.constant32(120<<23), k.constant32(118<<23) // 127-7, and 2^-9
	normal, nan := k.constant32(8), k.constant32(0x7FC00000)
	loop(name+k.name, n, func() {
		for offset := 0; offset < 64; offset += k.bytes() {
			x, a, v, small := k.vector(), k.vector(), k.vector(), k.vector()
			VPMOVZXBD(at(src, offset/4), x)
			k.and(magnitude, x, a)
			k.and(sign, x, x)
			VPSLLD(Imm(24), x, x)
			VPSLLD(Imm(20), a, v)
			VPADDD(rebias, v, v)
			VCVTDQ2PS(a, small)
			VMULPS(least, small, small)
			if k.wide {
				isSmall, isNaN := K(), K()
				VPCMPUD(Imm(1), normal, a, isSmall)
				VPCMPUD(Imm(0), magnitude, a, isNaN)
				VMOVDQA32(small, isSmall, v)
				VMOVDQA32(nan, isNaN, v)
				VPORD(x, v, v)
			} else {
				is := YMM()
				VPCMPGTD(a, normal, is)
				VPBLENDVB(is, small, v, v)
				VPCMPEQD(magnitude, a, is)
				VPBLENDVB(is, nan, v, v)
				VPOR(x, v, v)
			}
			VMOVUPS(v, at(dst, offset))
		}
		ADDQ(Imm(16), src)
		ADDQ(Imm(64), dst)
	})
	VZEROUPPER()
	RET()
	k.alias(name, name+"Floats", "func(dst []float32, src []byte)")
}

// copyF32 is what is left of a conversion where there is nothing to convert.
func (k *kind) copyF32() {
	name := "fromF32Floats" + k.name
	TEXT(name, NOSPLIT, "func(dst []float32, src []byte)")
	dst, src := Load(Param("dst").Base(), GP64()), Load(Param("src").Base(), GP64())
	n := Load(Param("src").Len(), GP64()).(GPVirtual)
	SHRQ(Imm(2), n)
	loop(name, n, func() {
		for offset := 0; offset < 64; offset += k.bytes() {
			v := k.vector()
			VMOVUPS(at(src, offset), v)
			VMOVUPS(v, at(dst, offset))
		}
		ADDQ(Imm(64), src)
		ADDQ(Imm(64), dst)
	})
	VZEROUPPER()
	RET()
}

func (k *kind) bytes() int {
	if k.wide {
		return 64
	}
	return 32
}

func (k *kind) widen(name string, prepare func(dst, src Register) func()) {
	TEXT(name+k.name, NOSPLIT, "func(dst, src []byte)")
	dst, src := Load(Param("dst").Base(), GP64()), Load(Param("src").Base(), GP64())
	n := Load(Param("src").Len(), GP64()).(GPVirtual)
	SHRQ(Imm(1), n)
	step := prepare(dst, src)
	loop(name+k.name, n, func() {
		step()
		ADDQ(Imm(32), src)
		ADDQ(Imm(64), dst)
	})
	VZEROUPPER()
	RET()
	k.alias(name, name+"Floats", "func(dst []float32, src []byte)")
}
