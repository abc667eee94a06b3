package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// narrowBytes writes the kernels that round to a code of eight bits. They do what
// roundBytes does in two thirds of the instructions, and make anything of a NaN: who
// calls them sees that there was one in the highest magnitude, and has it done
// again.
//
// None of them asks for what it will read: that made the quicker of the two kernels
// the slower one where memory is what is waited for.
//
// Words are never compared with 0 or 1 to tell whether there is a bit in the lower
// half: a saturated addition leaves that in its first bit, which is shifted in.
func narrowBytes(stream bool) {
	k := avx512
	for _, f := range []struct {
		name, floats string
		from         element
	}{
		{"toByte", "func(dst []byte, src []float32, n int, p *uint32) (high uint32)", elements[0]},
		{"bytesOfBF16", "", elements[1]},
		{"bytesOfF16", "", elements[2]},
	} {
		name := f.name
		if stream {
			name += "Stream"
		}
		TEXT(name+"VNNI", NOSPLIT, "func(dst, src []byte, n int, p *uint32) (high uint32)")
		dst, src := Load(Param("dst").Base(), GP64()), Load(Param("src").Base(), GP64())
		n := Load(Param("n"), GP64()).(GPVirtual)
		k.high = ZMM()
		k.zero(k.high)
		r := newByteRounder(f.from)
		loop(name+"VNNI", n, castStep, func() {
			first, signs := r.round(src, 0)
			second, others := r.round(src, castStep/2*f.from.size)
			code := ZMM()
			VPACKUSWB(second, first, code)
			VPACKSSWB(others, signs, signs)
			VPMINUB(r.over, code, code)
			TESTL(r.least, r.least)
			JZ(LabelRef(name + "_signs"))
			has := K()
			VPTESTMB(code, code, has)
			VMOVDQU8_Z(signs, has, signs)
			Label(name + "_signs")
			k.orAnd(r.sign, signs, code) // the NaN of FNUZ has its bit set
			VPERMQ(code, r.order, code)
			store(stream, code, at(dst, 0))
			ADDQ(U32(uint32(castStep*f.from.size)), src)
			ADDQ(U32(castStep), dst)
		})
		highest := k.highest(true)
		SHLL(Imm(15), highest) // a word's place
		Store(highest, ReturnIndex(0))
		k.end(stream)
		if !stream && f.floats != "" {
			TEXT(f.name+"FloatsVNNI", NOSPLIT, f.floats)
			jump(f.name + "VNNI")
		}
	}
}

// A byteRounder is the state of narrowBytes, in registers.
type byteRounder struct {
	from                     element
	magic, half, odd         VecVirtual // half and odd: what is added to even codes, and to odd ones
	drop, last, normal       VecVirtual
	over, sign               VecVirtual
	least                    GPVirtual // 0 if zero has a sign
	lower, upper, some       VecVirtual
	upperHalves, interleaved VecVirtual
	order                    VecVirtual
}

func newByteRounder(from element) *byteRounder {
	k := avx512
	p := Load(Param("p"), GP64())
	r := &byteRounder{from: from, magic: k.filled(p, narrowMagic), half: k.filled(p, narrowHalf16), odd: ZMM(),
		drop: ZMM(), last: k.constant32(0x00010001), normal: k.filled(p, narrowNormal16), over: k.filled8(p, narrowOver),
		sign: k.filled(p, narrowSign8), least: GP32(), order: k.quarters()}
	// With half as much again sums have the same last bit whatever the sign.
	VPORD(k.constant32(1<<22), r.magic, r.magic)
	MOVL(at(p, narrowLeast), r.least)
	VPADDW(r.last, r.half, r.odd)
	VPBROADCASTW(at(p, narrowDrop), r.drop)
	VPSLLVW(r.drop, r.last, r.last)
	if from.name == "BF16" {
		r.interleaved = ZMM()
		k.load32(k.data("pairsOfLower", func(i int) uint32 { return uint32(2*i) | uint32(32+2*i)<<16 }), r.interleaved)
		r.upperHalves = k.constant32(0xFFFF0000)
		return r
	}
	r.lower, r.upper = halvesOrder("lowerHalves", 0), halvesOrder("upperHalves", 1)
	r.some = k.constant32(0x7FFF7FFF)
	return r
}

// round returns 32 numbers as words that are codes, or more than any, and words
// with their signs.
func (r *byteRounder) round(src Register, offset int) (code, signs VecVirtual) {
	k := avx512
	x, y, u, small := ZMM(), ZMM(), ZMM(), ZMM()
	signs = ZMM()
	if r.from.name == "BF16" {
		VMOVDQU32(at(src, offset), signs)
		VPSLLD(Imm(16), signs, x)
		VPANDD(r.upperHalves, signs, y)
		VPADDW(signs, signs, u)
		VADDPS(r.magic, x, small)
		VADDPS(r.magic, y, y)
		VPERMT2W(y, r.interleaved, small)
	} else {
		x, y = k.load(r.from, at(src, offset)), k.load(r.from, at(src, offset+16*r.from.size))
		rest := ZMM()
		VMOVDQA64(x, signs)
		VPERMT2W(y, r.upper, signs)
		VMOVDQA64(x, rest)
		VPERMT2W(y, r.lower, rest)
		VPADDUSW(r.some, rest, rest)
		VPSHLDW(Imm(1), rest, signs, u)
		VADDPS(r.magic, x, small)
		VADDPS(r.magic, y, y)
		VPERMT2W(y, r.lower, small)
	}
	VPABSW(small, small)
	VPMAXUW(u, k.high, k.high)
	isOdd, isSmall := K(), K()
	code = ZMM()
	VPTESTMW(r.last, u, isOdd)
	VPCMPUW(Imm(1), r.normal, u, isSmall)
	VPADDW(r.half, u, code)
	VPADDW(r.odd, u, isOdd, code)
	VPSRLVW(r.drop, code, code)
	VMOVDQU16(small, isSmall, code)
	return code, signs
}

// halvesOrder is that of the lower halves, or with first 1 the upper halves, of the
// words of two registers.
func halvesOrder(name string, first uint32) VecVirtual {
	v := ZMM()
	avx512.load32(avx512.data(name, func(i int) uint32 {
		return uint32(4*i)%64 + first | (uint32(4*i)%64+2+first)<<16
	}), v)
	return v
}

// narrowWords writes the kernels that round to BF16 where no number is so large that
// it may be rounded up to infinity, or is one, or NaN: who calls them sees that in the
// highest magnitude, and has it done again. They do what roundBF16 does in a third of
// the instructions. Upper halves are taken apart from lower ones, which are what tells
// whether to add one: if they are above a half, or as much where the upper one is odd.
func narrowWords(stream bool) {
	k, name := avx512, "quickBF16"
	if stream {
		name += "Stream"
	}
	name += k.name
	TEXT(name, NOSPLIT, "func(dst, src []byte, n int) (high uint32)")
	dst, src := Load(Param("dst").Base(), GP64()), Load(Param("src").Base(), GP64())
	n := Load(Param("n"), GP64()).(GPVirtual)
	lower, upper := halvesOrder("lowerHalves", 0), halvesOrder("upperHalves", 1)
	one, half := k.constant32(0x00010001), k.constant32(0x80008000)
	k.high = ZMM()
	k.zero(k.high)
	loop(name, n, castStep, func() {
		for offset := 0; offset < 4*castStep; offset += 128 {
			code, rest, y, least, is := ZMM(), ZMM(), ZMM(), ZMM(), K()
			VMOVDQU32(at(src, offset), code)
			VMOVDQU32(at(src, offset+64), y)
			VMOVDQA64(code, rest)
			VPERMT2W(y, upper, code)
			VPERMT2W(y, lower, rest)
			VPADDW(code, code, y) // without the sign
			VPMAXUW(y, k.high, k.high)
			VPANDD(one, code, least)
			VPSUBW(least, half, least)
			VPCMPUW(Imm(6), least, rest, is)
			VPADDW(one, code, is, code)
			store(stream, code, at(dst, offset/2))
		}
		ADDQ(U32(4*castStep), src)
		ADDQ(U32(2*castStep), dst)
	})
	highest := k.highest(true)
	SHLL(Imm(15), highest) // a word's place
	Store(highest, ReturnIndex(0))
	k.end(stream)
}
