package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// Offsets in numeric's struct codeSums.
const (
	codeDigits   = 0 // twelve registers of 32-bit sums
	codeLeast    = 768
	codeGreatest = 832
	codePositive = 896
	codeNegative = 960
	codeZeros    = 1024
	codeTiny     = 1032
	codeNormal   = 1040
	codeZero     = 1041
)

// Offsets in numeric's struct codeTables, whose tables fill a register each.
const (
	tableNormal        = 0
	tableSmall         = 64
	tableNormalSquares = 128
	tableSmallSquares  = 192
	tablePowers        = 256
	tableLow           = 1024
	tableHigh          = 1088
	tableLowOdd        = 1152
	tableHighOdd       = 1216
	tableFlags         = 1280
	tableWeights       = 1344
	tableNibbles       = 1408 // tables of 16, twice over
)

// classes sums up numbers of one byte by classes of four exponents, each of a unit
// 16 times that of the one before: in its unit a number is less than 128, so that
// products of two are summed up by one instruction. Two registers hold numbers of
// the lower and of the upper two classes, 0 where a number is of another; two more
// hold the odd classes of them, which are part of the squares with a larger unit.
// Of types with four bits of exponent the number's bit 6 tells lower from upper,
// and a permutation finds it by the other six; of those with five that bit has to
// be 0.
func classes(name string, halves bool) {
	name += "VNNI"
	TEXT(name, NOSPLIT, "func(s *byte, src []byte, n int, tables *byte)")
	k := avx512
	s, src := Load(Param("s"), GP64()), Load(Param("src").Base(), GP64())
	tables, n := Load(Param("tables"), GP64()), Load(Param("n"), GP64()).(GPVirtual)
	var sums [6]VecVirtual // of lower and upper classes, and of squares of low, lowOdd, high, highOdd
	for i := range sums {
		sums[i] = ZMM()
		VMOVDQU32(at(s, codeDigits+64*i), sums[i])
	}
	least, greatest, positive := ZMM(), ZMM(), ZMM()
	VMOVDQU32(at(s, codeLeast), least)
	VMOVDQU32(at(s, codeGreatest), greatest)
	VMOVDQU32(at(s, codePositive), positive)
	var table [6]VecVirtual
	for i := range table {
		table[i] = ZMM()
		VMOVDQU32(at(tables, tableLow+64*i), table[i])
	}
	// Row i of a matrix of bits tells which bit becomes bit 7-i.
	nibble := ZMM()
	k.load32(k.data("nibble", func(i int) uint32 { return []uint32{0, 0x10204080}[i%2] }), nibble)
	bit6, digit, zero := k.constant32(0x40404040), k.constant32(0x0F0F0F0F), ZMM()
	VPXORD(zero, zero, zero)
	flags, zeros, tiny := ZMM(), ZMM(), ZMM()
	VPXORD(zeros, zeros, zeros)
	VPXORD(tiny, tiny, tiny)
	SHRQ(Imm(6), n)
	JZ(LabelRef(name + "_done"))
	Label(name + "_some")
	// A byte counts zeros in its upper half and tiny numbers in the lower: 15.
	r := GP64()
	MOVQ(U32(15), r)
	CMPQ(n, r)
	CMOVQLT(n, r)
	SUBQ(r, n)
	VPXORD(flags, flags, flags)
	Label(name + "_loop")
	x := ZMM()
	PREFETCHT0(at(src, ahead))
	VMOVDQU32(at(src, 0), x)
	look := func(i int, high OpmaskVirtual) VecVirtual {
		v := ZMM()
		if halves {
			VPERMB_Z(table[i], x, high, v)
		} else {
			VPERMB(table[i], x, v)
		}
		return v
	}
	isHigh, isLow := K(), K()
	if halves {
		VPTESTMB(bit6, x, isHigh)
		VPTESTNMB(bit6, x, isLow)
	}
	low, high, lowOdd, highOdd := look(0, isLow), look(1, isHigh), look(2, isLow), look(3, isHigh)
	VPADDB(look(4, isLow), flags, flags)
	weight := ZMM()
	VGF2P8AFFINEQB(Imm(0), nibble, x, weight)
	VPSHUFB(weight, table[5], weight)
	VPDPBUSD(weight, low, sums[0])
	VPDPBUSD(weight, high, sums[1])
	for i, v := range []VecVirtual{low, lowOdd, high, highOdd} {
		VPDPBUSD(v, v, sums[2+i])
	}
	VPMINUB(x, least, least)
	VPMAXUB(x, greatest, greatest)
	VPMAXSB(x, positive, positive)
	ADDQ(Imm(64), src)
	DECQ(r)
	JNZ(LabelRef(name + "_loop"))
	for _, c := range []VecVirtual{tiny, zeros} {
		part := ZMM()
		VPANDD(digit, flags, part)
		VPSADBW(zero, part, part)
		VPADDQ(part, c, c)
		VPSRLW(Imm(4), flags, flags)
	}
	TESTQ(n, n)
	JNZ(LabelRef(name + "_some"))
	Label(name + "_done")
	for i, sum := range sums {
		VMOVDQU32(sum, at(s, codeDigits+64*i))
	}
	VMOVDQU32(least, at(s, codeLeast))
	VMOVDQU32(greatest, at(s, codeGreatest))
	VMOVDQU32(positive, at(s, codePositive))
	for _, c := range []struct {
		v      VecVirtual
		offset int
	}{{zeros, codeZeros}, {tiny, codeTiny}} {
		other := ZMM()
		VEXTRACTI64X4(Imm(1), c.v, other.AsY())
		VPADDQ(other.AsY(), c.v.AsY(), c.v.AsY())
		VEXTRACTI32X4(Imm(1), c.v.AsY(), other.AsX())
		VPADDQ(other.AsX(), c.v.AsX(), c.v.AsX())
		VPSHUFD(Imm(0x4E), c.v.AsX(), other.AsX())
		VPADDQ(other.AsX(), c.v.AsX(), c.v.AsX())
		VMOVQ(c.v.AsX(), r)
		ADDQ(r, at(s, c.offset))
	}
	VZEROUPPER()
	RET()
}

// classes2 does what classes does with AVX2, 32 numbers a step. Tables have 16
// places there: the last four bits find a number, in E4M3 with the one before
// them, and the first four its class.
func classes2(name string, halves bool) {
	name += "AVX2"
	TEXT(name, NOSPLIT, "func(s *byte, src []byte, n int, tables *byte)")
	k := avx2
	s, src := Load(Param("s"), GP64()), Load(Param("src").Base(), GP64())
	tables, n := Load(Param("tables"), GP64()), Load(Param("n"), GP64()).(GPVirtual)
	var sums [6]VecVirtual
	for i := range sums {
		sums[i] = YMM()
		VMOVDQU(at(s, codeDigits+64*i), sums[i])
	}
	least, greatest, positive := YMM(), YMM(), YMM()
	VMOVDQU(at(s, codeLeast), least)
	VMOVDQU(at(s, codeGreatest), greatest)
	VMOVDQU(at(s, codePositive), positive)
	low4, magnitude := k.splat("low4", 0x0F0F0F0F), k.splat("magnitude8", 0x7F7F7F7F)
	ones, none := k.splat("ones16", 0x00010001), k.splat("none", 0)
	look := func(table int, index VecVirtual) VecVirtual {
		v := YMM()
		VMOVDQU(at(tables, tableNibbles+32*table), v)
		VPSHUFB(index, v, v)
		return v
	}
	zeros, tiny := GP64(), GP64()
	XORQ(zeros, zeros)
	XORQ(tiny, tiny)
	count := func(is VecVirtual, total GPVirtual) {
		r := GP32()
		VPMOVMSKB(is, r)
		POPCNTL(r, r)
		ADDQ(r.As64(), total)
	}
	loop(name, n, 32, func() {
		x, last, is := YMM(), YMM(), YMM()
		VMOVDQU(at(src, 0), x)
		VPMINUB(x, least, least)
		VPMAXUB(x, greatest, greatest)
		VPMAXSB(x, positive, positive)
		VPAND(magnitude, x, is)
		VPCMPEQB(none, is, is)
		count(is, zeros)
		VPAND(low4, x, last)
		number := look(0, last)
		if halves {
			upper := look(1, last)
			VPSLLW(Imm(3), x, is) // bit 4 in the place of the sign
			VPBLENDVB(is, upper, number, number)
		}
		VPBROADCASTB(at(s, codeNormal), is)
		VPAND(x, is, is)
		VPCMPEQB(none, is, is)
		count(is, tiny)
		VPBLENDVB(is, look(2, last), number, number)
		VPSRLW(Imm(4), x, x)
		VPAND(low4, x, x)
		weight := look(3, x)
		for i := range 4 {
			v := look(4+i, x) // 0xFF for a class
			VPAND(number, v, v)
			add := func(other VecVirtual, sum VecVirtual) {
				product := YMM()
				VPMADDUBSW(other, v, product)
				VPMADDWD(ones, product, product)
				VPADDD(product, sum, sum)
			}
			add(v, sums[2+i])
			if i%2 == 0 {
				add(weight, sums[i/2])
			}
		}
		ADDQ(Imm(32), src)
	})
	for i, sum := range sums {
		VMOVDQU(sum, at(s, codeDigits+64*i))
	}
	VMOVDQU(least, at(s, codeLeast))
	VMOVDQU(greatest, at(s, codeGreatest))
	VMOVDQU(positive, at(s, codePositive))
	ADDQ(zeros, at(s, codeZeros))
	ADDQ(tiny, at(s, codeTiny))
	VZEROUPPER()
	RET()
}

// splat places 32 bits in the program, as often as fills a register.
func (k *kind) splat(name string, v uint32) Mem {
	return k.data(name, func(int) uint32 { return v })
}

// wholeBytes2 does what wholeBytes does with AVX2.
func wholeBytes2() {
	const name = "wholeBytesAVX2"
	TEXT(name, NOSPLIT, "func(s *byte, src []byte, n int, flip uint32)")
	k := avx2
	s, src := Load(Param("s"), GP64()), Load(Param("src").Base(), GP64())
	r := Load(Param("flip"), GP32())
	n := Load(Param("n"), GP64()).(GPVirtual)
	flip, zero := YMM(), YMM()
	VMOVD(r, flip.AsX())
	VPBROADCASTB(flip.AsX(), flip)
	VPXOR(zero, zero, zero)
	middle := k.splat("middle16", 0x00800080)
	sum, products := YMM(), YMM()
	VMOVDQU(at(s, codeDigits), sum)
	VMOVDQU(at(s, codeDigits+64), products)
	least, greatest, zeros := YMM(), YMM(), GP64()
	VMOVDQU(at(s, codeLeast), least)
	VMOVDQU(at(s, codeGreatest), greatest)
	XORQ(zeros, zeros)
	loop(name, n, 32, func() {
		u, t, r := YMM(), YMM(), GP32()
		VPXOR(at(src, 0), flip, u)
		VPMINUB(u, least, least)
		VPMAXUB(u, greatest, greatest)
		VPCMPEQB(u, flip, t)
		VPMOVMSKB(t, r)
		POPCNTL(r, r)
		ADDQ(r.As64(), zeros)
		VPSADBW(zero, u, t)
		VPADDD(t, sum, sum)
		for _, unpack := range []func(a, b, c Op){func(a, b, c Op) { VPUNPCKLBW(a, b, c) }, func(a, b, c Op) { VPUNPCKHBW(a, b, c) }} {
			wide, below := YMM(), YMM()
			unpack(zero, u, wide)
			VPSUBW(middle, wide, below)
			VPMADDWD(below, wide, wide)
			VPADDD(wide, products, products)
		}
		ADDQ(Imm(32), src)
	})
	VMOVDQU(sum, at(s, codeDigits))
	VMOVDQU(products, at(s, codeDigits+64))
	VMOVDQU(least, at(s, codeLeast))
	VMOVDQU(greatest, at(s, codeGreatest))
	ADDQ(zeros, at(s, codeZeros))
	VZEROUPPER()
	RET()
}

// codes does so for all of E5M2: a sign, an exponent of which four bits
// follow, and three last bits. The last ones and the sign find a number, the
// four bits powers of two to multiply it with, of which all but one are 0: each
// power has sums of its own, so that nothing is ever rounded or too large. The
// same is done for the squares.
func codes() {
	const name, powers, squares = "codesLongVNNI", 4, 8
	TEXT(name, NOSPLIT, "func(s *byte, src []byte, n int, tables *byte)")
	k := avx512
	s, src := Load(Param("s"), GP64()), Load(Param("src").Base(), GP64())
	tables, n := Load(Param("tables"), GP64()), Load(Param("n"), GP64()).(GPVirtual)
	var sums []VecVirtual
	for i := range powers + squares {
		sum := ZMM()
		VMOVDQU32(at(s, codeDigits+64*i), sum)
		sums = append(sums, sum)
	}
	b := newByteSums(s)
	zero, normal := k.filled8(s, codeZero), k.filled8(s, codeNormal)
	negative := ZMM()
	VMOVDQU32(at(s, codeNegative), negative)
	// Row i of a matrix of bits tells which bit becomes bit 7-i.
	exponent, rest := ZMM(), ZMM()
	k.load32(k.data("exponent", func(i int) uint32 { return []uint32{0, 0x08102040}[i%2] }), exponent)
	k.load32(k.data("rest", func(i int) uint32 { return []uint32{0, 0x01020480}[i%2] }), rest)
	table := func(offset int) VecVirtual {
		v := ZMM()
		VMOVDQU32(at(tables, offset), v)
		return v
	}
	tiny := GP64()
	XORQ(tiny, tiny)
	loop(name, n, 64, func() {
		x, e, m, number, square := ZMM(), ZMM(), ZMM(), ZMM(), ZMM()
		PREFETCHT0(at(src, ahead))
		VMOVDQU32(at(src, 0), x)
		VGF2P8AFFINEQB(Imm(0), exponent, x, e)
		VGF2P8AFFINEQB(Imm(0), rest, x, m)
		small, r := K(), GP64()
		VPTESTNMB(normal, x, small)
		for _, f := range []struct {
			at int
			v  VecVirtual
		}{{tableNormal, number}, {tableNormalSquares, square}} {
			VPSHUFB(m, table(f.at), f.v)
			VPSHUFB(m, table(f.at+tableSmall), small, f.v)
		}
		for i, sum := range sums {
			power := ZMM()
			VPSHUFB(e, table(tablePowers+64*i), power)
			if i < powers {
				VPDPBUSD(number, power, sum)
			} else {
				VPDPBUSD(power, square, sum)
			}
		}
		VPMAXSB(x, b.positive, b.positive)
		VPMINSB(x, negative, negative)
		b.add(x, func(is OpmaskVirtual) { VPTESTNMB(x, zero, is) })
		KMOVQ(small, r)
		POPCNTQ(r, r)
		ADDQ(r, tiny)
		ADDQ(Imm(64), src)
	})
	for i, sum := range sums {
		VMOVDQU32(sum, at(s, codeDigits+64*i))
	}
	b.store(s)
	VMOVDQU32(b.positive, at(s, codePositive))
	ADDQ(tiny, at(s, codeTiny))
	VMOVDQU32(negative, at(s, codeNegative))
	VZEROUPPER()
	RET()
}

// A byteSums is what is the same for all types of a byte.
type byteSums struct {
	least, greatest, positive VecVirtual
	zeros                     GPVirtual
}

func newByteSums(s Register) byteSums {
	b := byteSums{ZMM(), ZMM(), ZMM(), GP64()}
	VMOVDQU32(at(s, codeLeast), b.least)
	VMOVDQU32(at(s, codeGreatest), b.greatest)
	VMOVDQU32(at(s, codePositive), b.positive)
	XORQ(b.zeros, b.zeros)
	return b
}

func (b byteSums) add(x VecVirtual, zeros func(is OpmaskVirtual)) {
	VPMINUB(x, b.least, b.least)
	VPMAXUB(x, b.greatest, b.greatest)
	is, r := K(), GP64()
	zeros(is)
	KMOVQ(is, r)
	POPCNTQ(r, r)
	ADDQ(r, b.zeros)
}

func (b byteSums) store(s Register) {
	VMOVDQU32(b.least, at(s, codeLeast))
	VMOVDQU32(b.greatest, at(s, codeGreatest))
	ADDQ(b.zeros, at(s, codeZeros))
}

// wholeBytes sums up integers of a byte. With flip 0x80 these are signed, and
// become unsigned ones above by 128. The sums are of the unsigned numbers u, and
// of u·(u-128).
func wholeBytes() {
	TEXT("wholeBytesVNNI", NOSPLIT, "func(s *byte, src []byte, n int, flip uint32)")
	k := avx512
	s, src := Load(Param("s"), GP64()), Load(Param("src").Base(), GP64())
	r := Load(Param("flip"), GP32())
	n := Load(Param("n"), GP64()).(GPVirtual)
	flip := ZMM()
	VPBROADCASTB(r, flip)
	sum, products := ZMM(), ZMM()
	VMOVDQU32(at(s, codeDigits), sum)
	VMOVDQU32(at(s, codeDigits+64), products)
	b := newByteSums(s)
	ones, middle := k.constant32(0x01010101), k.constant32(0x80808080)
	loop("wholeBytesVNNI", n, 64, func() {
		u, below := ZMM(), ZMM()
		PREFETCHT0(at(src, ahead))
		VPXORD(at(src, 0), flip, u)
		VPXORD(u, middle, below)
		VPDPBUSD(ones, u, sum)
		VPDPBUSD(below, u, products)
		b.add(u, func(is OpmaskVirtual) { VPCMPUB(Imm(0), u, flip, is) })
		ADDQ(Imm(64), src)
	})
	VMOVDQU32(sum, at(s, codeDigits))
	VMOVDQU32(products, at(s, codeDigits+64))
	b.store(s)
	VZEROUPPER()
	RET()
}

// filled8 fills a register with a parameter of eight bits.
func (k *kind) filled8(p Register, offset int) VecVirtual {
	v := k.vector()
	VPBROADCASTB(at(p, offset), v)
	return v
}
