package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// narrowBytes writes the kernels that round to a code of eight bits. Of a NaN they
// make anything: who calls them sees that there was one, and has it done again.
func narrowBytes(stream bool) {
	for _, f := range []struct {
		name, floats string
		from         element
		write        func(name string, from element, stream bool)
	}{
		{"toByte", "func(dst []byte, src []float32, n int, p *uint32) (high uint32)", elements[0], sumBytes},
		{"bytesOfBF16", "", elements[1], wordBytes},
		{"bytesOfF16", "", elements[2], sumBytes},
	} {
		name := f.name
		if stream {
			name += "Stream"
		}
		TEXT(name+"VNNI", NOSPLIT, "func(dst, src []byte, n int, p *uint32) (high uint32)")
		f.write(name, f.from, stream)
		if !stream && f.floats != "" {
			TEXT(f.name+"FloatsVNNI", NOSPLIT, f.floats)
			jump(f.name + "VNNI")
		}
	}
}

// signed places signs: all of them, or where zero has none those of other codes.
func signed(name string, least GPVirtual, sign, signs, code VecVirtual) {
	TESTL(least, least)
	JZ(LabelRef(name + "_signs"))
	has := K()
	VPTESTMB(code, code, has)
	VMOVDQU8_Z(signs, has, signs)
	Label(name + "_signs")
	avx512.orAnd(sign, signs, code) // the NaN of FNUZ has its bit set
}

// sumBytes rounds by adding to a number, of which the last bit of the sum shall be a
// unit of the code, the power of two that has it there: 2^(23-m) times that of its own
// exponent, or of the smallest normal number's, where the code has m bits of mantissa.
// The sign is the number's own. The sum ends in the mantissa then, with the bit that
// codes do not have, and its exponent is the code's and a constant; one sum of products
// of words makes a code of the two. The constant is taken off there, too: the power's
// last word has it, negative, which is a multiple of two units and changes no rounding.
//
// It returns the highest code that there would be with eight bits and no sign, and
// above these bits if a number was NaN, infinite or so large that words do not hold
// it: of sums from 2^65 on, and of no others, bit 29 is set as well as bit 30.
func sumBytes(name string, from element, stream bool) {
	k := avx512
	dst, src := Load(Param("dst").Base(), GP64()), Load(Param("src").Base(), GP64())
	n, p := Load(Param("n"), GP64()).(GPVirtual), Load(Param("p"), GP64())
	normal, bias, scale, factors := k.filled(p, narrowNormal), k.filled(p, narrowBias), k.filled(p, narrowScale), k.filled(p, narrowFactors)
	over, sign, drop, least := k.filled8(p, narrowOver), k.filled(p, narrowSign8), k.count(p, narrowDrop), GP32()
	MOVL(at(p, narrowLeast), least)
	exponent, order := k.constant32(0xFF800000), k.fours()
	seen, most := ZMM(), ZMM()
	k.zero(seen)
	k.zero(most)
	loop(name+"VNNI", n, castStep, func() {
		for line := 0; line < from.size*castStep; line += 64 {
			PREFETCHT0(at(src, 2*ahead+line))
		}
		var codes, signs [2]VecVirtual
		for half := range codes {
			var sums [2]VecVirtual
			for i := range sums {
				x := k.load(from, at(src, from.size*(32*half+16*i)))
				sums[i] = ZMM()
				VRANGEPS(Imm(3), normal, x, sums[i]) // the greater magnitude, with the sign of x
				VPTERNLOGD(Imm(0xEA), bias, exponent, sums[i])
				VFMADD213PS(x, scale, sums[i])
			}
			VPTERNLOGD(Imm(0xFE), sums[0], sums[1], seen)
			for _, sum := range sums {
				VPMADDWD(factors, sum, sum)
			}
			signs[half], codes[half] = ZMM(), ZMM()
			VPACKSSDW(sums[1], sums[0], signs[half])
			VPADDW(signs[half], signs[half], codes[half])
			VPSRLW(drop, codes[half], codes[half])
		}
		code, all := codes[0], signs[0]
		VPACKUSWB(codes[1], code, code)
		VPACKSSWB(signs[1], all, all)
		VPMAXUB(code, most, most)
		VPMINUB(over, code, code)
		signed(name, least, sign, all, code)
		VPERMD(code, order, code)
		store(stream, code, at(dst, 0))
		ADDQ(U32(uint32(castStep*from.size)), src)
		ADDQ(U32(castStep), dst)
	})
	large, is, high, special := k.constant32(1<<29), K(), GP32(), GP32()
	VPTESTMD(large, seen, is)
	KMOVW(is, special)
	other := reduce32(most, func(a, b, c Op) { VPMAXUB(a, b, c) })
	for _, bits := range []uint64{16, 8} {
		VPSRLD(Imm(bits), most.AsX(), other.AsX())
		VPMAXUB(other.AsX(), most.AsX(), most.AsX())
	}
	VPEXTRB(Imm(0), most.AsX(), high)
	SHLL(Imm(8), special)
	ORL(special, high)
	Store(high, ReturnIndex(0))
	k.end(stream)
}

// wordBytes rounds BF16, whose upper halves are words as they are: it does what
// roundBytes does in two thirds of the instructions, and returns the highest
// magnitude. It does not ask for what it will read, which made it slower where memory
// is what is waited for.
func wordBytes(name string, from element, stream bool) {
	k := avx512
	dst, src := Load(Param("dst").Base(), GP64()), Load(Param("src").Base(), GP64())
	n := Load(Param("n"), GP64()).(GPVirtual)
	k.high = ZMM()
	k.zero(k.high)
	r := newByteRounder()
	loop(name+"VNNI", n, castStep, func() {
		first, signs := r.round(src, 0)
		second, others := r.round(src, castStep/2*from.size)
		code := ZMM()
		VPACKUSWB(second, first, code)
		VPACKSSWB(others, signs, signs)
		VPMINUB(r.over, code, code)
		signed(name, r.least, r.sign, signs, code)
		VPERMQ(code, r.order, code)
		store(stream, code, at(dst, 0))
		ADDQ(U32(uint32(castStep*from.size)), src)
		ADDQ(U32(castStep), dst)
	})
	highest := k.highest(true)
	SHLL(Imm(15), highest) // a word's place
	Store(highest, ReturnIndex(0))
	k.end(stream)
}

// A byteRounder is the state of wordBytes, in registers.
type byteRounder struct {
	magic, half, odd         VecVirtual // half and odd: what is added to even codes, and to odd ones
	drop, last, normal       VecVirtual
	over, sign               VecVirtual
	least                    GPVirtual // 0 if zero has a sign
	upperHalves, interleaved VecVirtual
	order                    VecVirtual
}

func newByteRounder() *byteRounder {
	k := avx512
	p := Load(Param("p"), GP64())
	r := &byteRounder{magic: k.filled(p, narrowMagic), half: k.filled(p, narrowHalf16), odd: ZMM(),
		drop: ZMM(), last: k.constant32(0x00010001), normal: k.filled(p, narrowNormal16), over: k.filled8(p, narrowOver),
		sign: k.filled(p, narrowSign8), least: GP32(), interleaved: ZMM(), order: k.quarters()}
	// With half as much again sums have the same last bit whatever the sign.
	VPORD(k.constant32(1<<22), r.magic, r.magic)
	MOVL(at(p, narrowLeast), r.least)
	VPADDW(r.last, r.half, r.odd)
	VPBROADCASTW(at(p, narrowDrop), r.drop)
	VPSLLVW(r.drop, r.last, r.last)
	k.load32(k.data("pairsOfLower", func(i int) uint32 { return uint32(2*i) | uint32(32+2*i)<<16 }), r.interleaved)
	r.upperHalves = k.constant32(0xFFFF0000)
	return r
}

// round returns 32 numbers as words that are codes, or more than any, and words
// with their signs.
func (r *byteRounder) round(src Register, offset int) (code, signs VecVirtual) {
	k := avx512
	x, y, u, small := ZMM(), ZMM(), ZMM(), ZMM()
	signs = ZMM()
	VMOVDQU32(at(src, offset), signs)
	VPSLLD(Imm(16), signs, x)
	VPANDD(r.upperHalves, signs, y)
	VPADDW(signs, signs, u)
	VADDPS(r.magic, x, small)
	VADDPS(r.magic, y, y)
	VPERMT2W(y, r.interleaved, small)
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
