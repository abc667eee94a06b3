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
)

// codes sums up numbers of one byte: a sign, an exponent of which four bits
// follow, and three last bits. The last ones and the sign find a number, the
// four bits powers of two to multiply it with, of which all but one are 0: each
// power has sums of its own, so that nothing is ever rounded or too large. The
// same is done for the squares.
func codes(name string, powers, squares int) {
	TEXT(name+"VNNI", NOSPLIT, "func(s *byte, src []byte, n int, tables *byte)")
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
	// The tables of a short kernel fit the registers.
	held := map[int]VecVirtual{}
	table := func(offset int) VecVirtual {
		if v, ok := held[offset]; ok {
			return v
		}
		v := ZMM()
		VMOVDQU32(at(tables, offset), v)
		return v
	}
	if powers+squares <= 6 {
		for offset := 0; offset < tablePowers+64*(powers+squares); offset += 64 {
			held[offset] = table(offset)
		}
	}
	tiny := GP64()
	XORQ(tiny, tiny)
	loop(name+"VNNI", n, 64, func() {
		x, e, m, number, square := ZMM(), ZMM(), ZMM(), ZMM(), ZMM()
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
