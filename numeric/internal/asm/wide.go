package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// Offsets in numeric's struct wideLanes.
const (
	wideSum     = 0
	wideSquares = 128
	wideMin     = 256
	wideMax     = 320
	wideHigh    = 384
	wideZeros   = 448
	wideTiny    = 456
	wideNormal  = 464
)

// wideLanes adds numbers as float64 to 16 partial sums, with AVX-512. Squares
// are not always exact: they are rounded before they are added.
func wideLanes(name string, size int, load func(src Mem, v VecVirtual)) {
	k := avx512
	name = "wide" + name + "AVX512"
	TEXT(name, NOSPLIT, "func(l *byte, src []byte, n int)")
	l, src := Load(Param("l"), GP64()), Load(Param("src").Base(), GP64())
	n := Load(Param("n"), GP64()).(GPVirtual)
	var sums, squares [2]VecVirtual
	for i := range sums {
		sums[i], squares[i] = ZMM(), ZMM()
		VMOVUPD(at(l, wideSum+64*i), sums[i])
		VMOVUPD(at(l, wideSquares+64*i), squares[i])
	}
	least, greatest, high := ZMM(), ZMM(), ZMM()
	VMOVUPD(at(l, wideMin), least)
	VMOVUPD(at(l, wideMax), greatest)
	VMOVDQU64(at(l, wideHigh), high)
	magnitude, normal := ZMM(), ZMM()
	r := GP64()
	MOVQ(U64(1<<63-1), r)
	VPBROADCASTQ(r, magnitude)
	VPBROADCASTQ(at(l, wideNormal), normal)
	zeros, tiny := GP64(), GP64()
	XORQ(zeros, zeros)
	XORQ(tiny, tiny)
	loop(name, n, 16, func() {
		var isZero, isTiny [2]OpmaskVirtual
		for line := 0; line < 16*size; line += 64 {
			PREFETCHT0(at(src, ahead+line))
		}
		for i := range sums {
			v, a, square := ZMM(), ZMM(), ZMM()
			load(at(src, 8*i*size), v)
			VADDPD(v, sums[i], sums[i])
			VMULPD(v, v, square)
			VADDPD(square, squares[i], squares[i])
			VMINPD(v, least, least)
			VMAXPD(v, greatest, greatest)
			VPANDQ(magnitude, v, a)
			VPMAXUQ(a, high, high)
			isZero[i], isTiny[i] = K(), K()
			VPTESTNMQ(a, a, isZero[i])
			VPCMPUQ(Imm(1), normal, a, isTiny[i])
		}
		for _, c := range []struct {
			masks [2]OpmaskVirtual
			total GPVirtual
		}{{isZero, zeros}, {isTiny, tiny}} {
			both, r := K(), GP32()
			KUNPCKBW(c.masks[0], c.masks[1], both)
			KMOVW(both, r)
			POPCNTL(r, r)
			ADDQ(r.As64(), c.total)
		}
		ADDQ(Imm(uint64(16*size)), src)
	})
	for i := range sums {
		VMOVUPD(sums[i], at(l, wideSum+64*i))
		VMOVUPD(squares[i], at(l, wideSquares+64*i))
	}
	VMOVUPD(least, at(l, wideMin))
	VMOVUPD(greatest, at(l, wideMax))
	VMOVDQU64(high, at(l, wideHigh))
	ADDQ(zeros, at(l, wideZeros))
	ADDQ(tiny, at(l, wideTiny))
	k.end(false)
}

// wide writes those for all types that are summarised as float64.
func wide() {
	half := func(convert func(src Mem, half VecVirtual)) func(Mem, VecVirtual) {
		return func(src Mem, v VecVirtual) {
			y := YMM()
			convert(src, y)
			VCVTDQ2PD(y, v)
		}
	}
	wideLanes("F64", 8, func(src Mem, v VecVirtual) { VMOVUPD(src, v) })
	wideLanes("I64", 8, func(src Mem, v VecVirtual) { VCVTQQ2PD(src, v) })
	wideLanes("U64", 8, func(src Mem, v VecVirtual) { VCVTUQQ2PD(src, v) })
	wideLanes("I32", 4, func(src Mem, v VecVirtual) { VCVTDQ2PD(src, v) })
	wideLanes("U32", 4, func(src Mem, v VecVirtual) { VCVTUDQ2PD(src, v) })
	wideLanes("I16", 2, half(func(src Mem, y VecVirtual) { VPMOVSXWD(src, y) }))
	wideLanes("U16", 2, half(func(src Mem, y VecVirtual) { VPMOVZXWD(src, y) }))
}
