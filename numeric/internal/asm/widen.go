package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// Offsets in numeric's struct widening.
const (
	widenShift     = 0 // from the mantissa to that of a float32
	widenToSign    = 4 // from the sign to bit 31
	widenMagnitude = 8
	widenSign      = 12
	widenRebias    = 16 // the difference of the biases, in the exponent of a float32
	widenNormal    = 20 // the least normal code
	widenSmallest  = 24 // the smallest value, a float32
	widenLeast     = 28 // the least that a magnitude becomes
	widenInf       = 32 // the code that is infinite
	widenTop       = 36 // what is above is NaN
	widenLone      = 40 // the code with its sign that is NaN

	// For words of 16 bits, each 32 bits of parameter.
	widenShift16    = 44
	widenSigns16    = 48 // from the sign to bit 15
	widenRebias16   = 52
	widenInfinite16 = 56
	widenNaN16      = 60
	widenFirst      = 64 // the least magnitude that is special
	widenLone8      = 68 // widenLone, or a code that is special anyway
	widenSmall      = 72 // 32 words: what subnormal codes become
)

// widen writes the kernels that make float32 of BF16, of F16, and of a code a
// byte of any smaller type.
func (k *kind) widen(stream bool) {
	for _, f := range []struct {
		name, signature, floats string
		size                    int
		step                    func(src Register) func(offset int) VecVirtual
	}{
		{"fromBF16", "func(dst, src []byte, n int)", "func(dst []float32, src []byte, n int)", 2, k.widenBF16},
		{"fromF16", "func(dst, src []byte, n int)", "func(dst []float32, src []byte, n int)", 2, k.widenF16},
		{"fromByte", "func(dst, src []byte, n int, p *uint32)", "func(dst []float32, src []byte, n int, p *uint32)", 1, k.widenByte},
	} {
		name := f.name
		if stream {
			name += "Stream"
		}
		TEXT(name+k.name, NOSPLIT, f.signature)
		dst, src := Load(Param("dst").Base(), GP64()), Load(Param("src").Base(), GP64())
		n := Load(Param("n"), GP64()).(GPVirtual)
		step := f.step(src)
		loop(name+k.name, n, castStep, func() {
			for line := 0; stream && line < f.size*castStep; line += 64 {
				PREFETCHT0(at(src, ahead+line)) // one read to two or four writes waits for them
			}
			for offset := 0; offset < 4*castStep; offset += k.bytes() {
				store(stream, step(offset*f.size/4), at(dst, offset))
			}
			ADDQ(U32(uint32(castStep*f.size)), src)
			ADDQ(U32(4*castStep), dst)
		})
		k.end(stream)
		if !stream {
			k.alias(f.name, f.name+"Floats", f.floats)
		}
	}
}

// widenBF16 turns 16 bits into the upper half of 32.
func (k *kind) widenBF16(src Register) func(int) VecVirtual {
	return func(offset int) VecVirtual {
		v := k.vector()
		VPMOVZXWD(at(src, offset), v)
		VPSLLD(Imm(16), v, v)
		return v
	}
}

// widenF16 leaves the work to the processor, which makes every NaN quiet, and
// puts that bit back.
func (k *kind) widenF16(src Register) func(int) VecVirtual {
	quiet := k.constant32(0x00400000)
	return func(offset int) VecVirtual {
		v, raw := k.vector(), k.vector()
		VCVTPH2PS(at(src, offset), v)
		VPMOVZXWD(at(src, offset), raw)
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
		return v
	}
}

// widenByte moves exponent and mantissa to their places. A subnormal code is a
// whole number of the smallest value instead.
func (k *kind) widenByte(src Register) func(int) VecVirtual {
	p := Load(Param("p"), GP64())
	shift, toSign := k.count(p, widenShift), k.count(p, widenToSign)
	magnitude, rebias := k.filled(p, widenMagnitude), k.filled(p, widenRebias)
	normal, smallest := k.filled(p, widenNormal), k.filled(p, widenSmallest)
	sign, least, inf := k.lazy(p, widenSign), k.lazy(p, widenLeast), k.lazy(p, widenInf)
	top, lone := k.lazy(p, widenTop), k.lazy(p, widenLone)
	infinite, nan := k.lazy32("infinite", 0x7F800000), k.constant32(0x7FC00000)
	return func(offset int) VecVirtual {
		x, a, v, small := k.vector(), k.vector(), k.vector(), k.vector()
		VPMOVZXBD(at(src, offset), x)
		k.and(magnitude, x, a)
		VPSLLD(shift, a, v)
		VPADDD(rebias, v, v)
		VCVTDQ2PS(a, small)
		VMULPS(smallest, small, small)
		if k.wide {
			is := K()
			VPCMPUD(Imm(1), normal, a, is)
			VMOVDQA32(small, is, v)
			VPMAXUD(least(), v, v)
			VPCMPUD(Imm(0), inf(), a, is)
			VMOVDQA32(infinite(), is, v)
			VPCMPUD(Imm(6), top(), a, is)
			VMOVDQA32(nan, is, v)
			VPCMPUD(Imm(0), lone(), x, is)
			VMOVDQA32(nan, is, v)
		} else {
			is := YMM()
			VPCMPGTD(a, normal, is)
			VPBLENDVB(is, small, v, v)
			VPMAXUD(least(), v, v)
			VPCMPEQD(inf(), a, is)
			VPBLENDVB(is, infinite(), v, v)
			VPCMPGTD(top(), a, is)
			VPBLENDVB(is, nan, v, v)
			VPCMPEQD(lone(), x, is)
			VPBLENDVB(is, nan, v, v)
		}
		k.and(sign(), x, x)
		VPSLLD(toSign, x, x)
		if k.wide {
			VPORD(x, v, v)
		} else {
			VPOR(x, v, v)
		}
		return v
	}
}

// widenWords makes words of 16 bits of codes a byte: BF16, F16, or the upper halves
// of float32, and then these. A subnormal code is looked up in a table, for there
// are eight at most. What is infinite or NaN is looked for 64 codes at a time.
func widenWords(name, signature string, floats, stream bool) {
	k := avx512
	if stream {
		name += "Stream"
	}
	name += "AVX512"
	TEXT(name, NOSPLIT, signature)
	dst, src := Load(Param("dst").Base(), GP64()), Load(Param("src").Base(), GP64())
	n, p := Load(Param("n"), GP64()).(GPVirtual), Load(Param("p"), GP64())
	word := func(offset int) VecVirtual {
		v := ZMM()
		VPBROADCASTW(at(p, offset), v)
		return v
	}
	shift, signs, rebias := word(widenShift16), word(widenSigns16), word(widenRebias16)
	magnitude, normal, sign := word(widenMagnitude), word(widenNormal), word(widenSign)
	inf, top, lone := word(widenInf), word(widenTop), word(widenLone)
	infinite, nan, small := word(widenInfinite16), word(widenNaN16), ZMM()
	VMOVDQU32(at(p, widenSmall), small)
	magnitude8, first, lone8 := k.filled8(p, widenMagnitude), k.filled8(p, widenFirst), k.filled8(p, widenLone8)
	size, upper, orders := 2, K(), [2]VecVirtual{}
	if floats {
		size = 4
		r := GP32()
		MOVL(U32(0xAAAAAAAA), r)
		KMOVD(r, upper)
		for i := range orders {
			orders[i] = ZMM()
			k.load32(k.data([]string{"first", "second"}[i], func(j int) uint32 { return uint32(j+16*i) << 16 }), orders[i])
		}
	}
	step := func(specials bool) {
		for half := range 2 {
			x, a, v, is := ZMM(), ZMM(), ZMM(), K()
			VPMOVZXBW(at(src, 32*half), x)
			VPANDD(magnitude, x, a)
			VPSLLVW(shift, a, v)
			VPADDW(rebias, v, v)
			VPCMPUW(Imm(1), normal, a, is)
			VPERMW(small, a, is, v)
			if specials {
				VPCMPUW(Imm(0), inf, a, is)
				VMOVDQU16(infinite, is, v)
				VPCMPUW(Imm(6), top, a, is)
				VMOVDQU16(nan, is, v)
				VPCMPUW(Imm(0), lone, x, is)
				VMOVDQU16(nan, is, v)
			}
			VPANDD(sign, x, x)
			VPSLLVW(signs, x, x)
			VPORD(x, v, v)
			if !floats {
				store(stream, v, at(dst, 64*half))
				continue
			}
			for i, order := range orders {
				wide := ZMM()
				VPERMW_Z(v, order, upper, wide)
				store(stream, wide, at(dst, 128*half+64*i))
			}
		}
	}
	loop(name, n, castStep, func() {
		x, a, isLarge, isLone := ZMM(), ZMM(), K(), K()
		if stream {
			PREFETCHT0(at(src, ahead))
		}
		VMOVDQU32(at(src, 0), x)
		VPANDD(magnitude8, x, a)
		VPCMPUB(Imm(5), first, a, isLarge)
		VPCMPUB(Imm(0), lone8, x, isLone)
		KORTESTQ(isLone, isLarge)
		JNZ(LabelRef(name + "_specials"))
		step(false)
		JMP(LabelRef(name + "_next"))
		Label(name + "_specials")
		step(true)
		Label(name + "_next")
		ADDQ(Imm(castStep), src)
		ADDQ(U32(uint32(castStep*size)), dst)
	})
	k.end(stream)
	if floats && !stream {
		k.alias("fromCode", "fromCodeFloats", "func(dst []float32, src []byte, n int, p *uint32)")
	}
}

// widenWords2 does what widenWords does with AVX2, for words that stay words: 32 codes
// at a time are asked for what is special. The table of subnormal codes is looked up by
// bytes, two of a word.
func widenWords2(stream bool) {
	k, name := avx2, "wordsOfCode"
	if stream {
		name += "Stream"
	}
	name += k.name
	TEXT(name, NOSPLIT, "func(dst, src []byte, n int, p *uint32)")
	dst, src := Load(Param("dst").Base(), GP64()), Load(Param("src").Base(), GP64())
	n, p := Load(Param("n"), GP64()).(GPVirtual), Load(Param("p"), GP64())
	word := func(offset int) VecVirtual {
		v := YMM()
		VPBROADCASTW(at(p, offset), v)
		return v
	}
	shift, signs := k.count(p, widenShift16), k.count(p, widenSigns16)
	rebias, normal, sign, small := word(widenRebias16), word(widenNormal), word(widenSign), YMM()
	VBROADCASTI128(at(p, widenSmall), small)
	magnitude, first, lone := k.filled8(p, widenMagnitude), k.filled8(p, widenFirst), k.filled8(p, widenLone8)
	both, upper := k.splat("bothBytes", 0x02020202), k.splat("upperByte", 0x01000100)
	step := func(from int, specials bool) {
		for i := range 2 {
			x, a, v, is := YMM(), YMM(), YMM(), YMM()
			VPMOVZXBW(at(src, from+16*i), x)
			VPAND(magnitude, x, a)
			VPSLLW(shift, a, v)
			VPADDW(rebias, v, v)
			VPMULLW(both, a, is)
			VPADDW(upper, is, is)
			subnormal := YMM()
			VPSHUFB(is, small, subnormal)
			VPCMPGTW(a, normal, is)
			VPBLENDVB(is, subnormal, v, v)
			if specials {
				VPCMPEQW(word(widenInf), a, is)
				VPBLENDVB(is, word(widenInfinite16), v, v)
				VPCMPGTW(word(widenTop), a, is)
				VPBLENDVB(is, word(widenNaN16), v, v)
				VPCMPEQW(word(widenLone), x, is)
				VPBLENDVB(is, word(widenNaN16), v, v)
			}
			VPAND(sign, x, x)
			VPSLLW(signs, x, x)
			VPOR(x, v, v)
			store(stream, v, at(dst, 2*from+32*i))
		}
	}
	loop(name, n, castStep, func() {
		if stream {
			PREFETCHT0(at(src, ahead))
		}
		for from := 0; from < castStep; from += 32 {
			label := name + "_" + string(rune('a'+from/32))
			x, a, some := YMM(), YMM(), GP32()
			VMOVDQU(at(src, from), x)
			VPAND(magnitude, x, a)
			is := YMM()
			VPMAXUB(first, a, is)
			VPCMPEQB(is, a, is)
			VPCMPEQB(lone, x, x)
			VPOR(x, is, is)
			VPMOVMSKB(is, some)
			TESTL(some, some)
			JNZ(LabelRef(label + "_specials"))
			step(from, false)
			JMP(LabelRef(label + "_next"))
			Label(label + "_specials")
			step(from, true)
			Label(label + "_next")
		}
		ADDQ(Imm(castStep), src)
		ADDQ(U32(2*castStep), dst)
	})
	k.end(stream)
}

// copyF32 is what is left of a conversion where there is nothing to convert.
func (k *kind) copyF32() {
	name := "fromF32Floats" + k.name
	TEXT(name, NOSPLIT, "func(dst []float32, src []byte, n int)")
	dst, src := Load(Param("dst").Base(), GP64()), Load(Param("src").Base(), GP64())
	n := Load(Param("n"), GP64()).(GPVirtual)
	loop(name, n, castStep, func() {
		for offset := 0; offset < 4*castStep; offset += k.bytes() {
			v := k.vector()
			k.load32(at(src, offset), v)
			store(false, v, at(dst, offset))
		}
		ADDQ(U32(4*castStep), src)
		ADDQ(U32(4*castStep), dst)
	})
	k.end(false)
}
