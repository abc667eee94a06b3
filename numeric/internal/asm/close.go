package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// Offsets in numeric's struct closeSums.
const (
	closeSquares  = 0 // four registers of each side
	closeProducts = 512
	closeTop      = 960
	closeClasses  = 1024 // four tables of 64
	closeNear     = 1280 // tables of 128
	closeFar      = 1408
	closeChanged  = 1536
)

// closePairs compares 64 floats of a byte at a time, of which it takes for granted
// that two that differ do so by more than the tolerance. All that is left are whole
// numbers, and sums of them, which are exact in any order: as in classes a number is
// less than 128 in the unit of its class of four exponents, and what bytes of two
// classes are together is summed up by one instruction. That of squared differences
// follows from those of squares and products.
//
// Whether a difference, absolute or relative, is above the greatest so far is asked
// of the codes: of the larger magnitude one table tells from where on down a smaller
// one of the same sign is too far away, and another from where on up one of the other
// sign. It returns whether there was such a pair, for others to deal with.
func closePairs(name string, halves bool) {
	name += "VNNI"
	TEXT(name, NOSPLIT, "func(s *byte, a, b []byte, n int) (unsure uint64)")
	k := avx512
	s, n := Load(Param("s"), GP64()), Load(Param("n"), GP64()).(GPVirtual)
	left, right := Load(Param("a").Base(), GP64()), Load(Param("b").Base(), GP64())
	var squares [2][4]VecVirtual
	var products [7]VecVirtual // by the sum of both classes
	all := map[int]*VecVirtual{}
	for i := range 4 {
		all[closeSquares+64*i], all[closeSquares+256+64*i] = &squares[0][i], &squares[1][i]
	}
	for i := range products {
		all[closeProducts+64*i] = &products[i]
	}
	var top VecVirtual
	all[closeTop] = &top
	for offset := closeSquares; offset <= closeTop; offset += 64 {
		*all[offset] = ZMM()
		VMOVDQU32(at(s, offset), *all[offset])
	}
	var tables [4]VecVirtual
	for i := range tables {
		tables[i] = ZMM()
		VMOVDQU32(at(s, closeClasses+64*i), tables[i])
	}
	magnitude := k.constant32(0x7F7F7F7F)
	unsure, changed, some := K(), GP64(), GP64()
	KXORQ(unsure, unsure, unsure)
	MOVQ(at(s, closeChanged), changed)
	numbers := func(x VecVirtual) (v [4]VecVirtual) {
		isHigh, isLow := K(), K()
		if halves {
			bit6 := k.data("bit6", func(int) uint32 { return 0x40404040 })
			VPTESTMB(bit6, x, isHigh)
			VPTESTNMB(bit6, x, isLow)
		}
		for i := range v {
			v[i] = ZMM()
			if halves {
				VPERMB_Z(tables[i], x, []OpmaskVirtual{isLow, isHigh}[i/2], v[i])
			} else {
				VPERMB(tables[i], x, v[i])
			}
		}
		return v
	}
	square := func(v [4]VecVirtual, to [4]VecVirtual) {
		for i := range v {
			VPDPBUSD(v[i], v[i], to[i])
		}
	}
	loop(name, n, 64, func() {
		x, y, sizeX, sizeY, differs := ZMM(), ZMM(), ZMM(), ZMM(), K()
		PREFETCHT0(at(left, ahead))
		PREFETCHT0(at(right, ahead))
		VMOVDQU32(at(left, 0), x)
		VMOVDQU32(at(right, 0), y)
		VPANDD(magnitude, x, sizeX)
		VPMAXUB(sizeX, top, top)
		VPCMPB(Imm(4), y, x, differs)
		v := numbers(x)
		square(v, squares[0])
		KORTESTQ(differs, differs)
		JNZ(LabelRef(name + "_differ"))
		square(v, squares[1])
		square(v, [4]VecVirtual{products[0], products[2], products[4], products[6]})
		JMP(LabelRef(name + "_next"))

		Label(name + "_differ")
		VPANDD(magnitude, y, sizeY)
		// Zeros of both signs are the same.
		large, small, other, same, limit, is := ZMM(), ZMM(), K(), K(), ZMM(), K()
		signs := ZMM()
		VPXORD(x, y, signs)
		VPMOVB2M(signs, other)
		KNOTQ(other, same)
		VPMAXUB(sizeX, sizeY, large)
		VPTESTMB(large, large, differs, differs)
		KMOVQ(differs, some)
		POPCNTQ(some, some)
		ADDQ(some, changed)
		VPMAXUB(large, top, top)
		VPMINUB(sizeX, sizeY, small)
		look := func(table int) {
			first := ZMM()
			VMOVDQA64(large, limit)
			VMOVDQU32(at(s, table), first)
			VPERMI2B(at(s, table+64), first, limit)
		}
		look(closeNear)
		VPCMPUB(Imm(1), limit, small, same, is)
		KORQ(is, unsure, unsure)
		look(closeFar)
		VPCMPUB(Imm(5), limit, small, other, is)
		KORQ(is, unsure, unsure)

		w := numbers(y)
		square(w, squares[1])
		zero := ZMM()
		VPXORD(zero, zero, zero)
		for i := range w {
			VPSUBB(w[i], zero, other, w[i])
		}
		for sum := range products {
			for i := max(0, sum-3); i <= min(3, sum); i++ {
				VPDPBUSD(w[sum-i], v[i], products[sum])
			}
		}
		Label(name + "_next")
		ADDQ(Imm(64), left)
		ADDQ(Imm(64), right)
	})
	for offset := closeSquares; offset <= closeTop; offset += 64 {
		VMOVDQU32(*all[offset], at(s, offset))
	}
	MOVQ(changed, at(s, closeChanged))
	KMOVQ(unsure, some)
	Store(some, ReturnIndex(0))
	VZEROUPPER()
	RET()
}
