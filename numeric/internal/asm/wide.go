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

// wideLanes2 does so with AVX2: 4 numbers at a time.
func wideLanes2(name string, size int, load func(src Mem, v VecVirtual)) {
	k := avx2
	name = "wide" + name + "AVX2"
	TEXT(name, NOSPLIT, "func(l *byte, src []byte, n int)")
	l, src := Load(Param("l"), GP64()), Load(Param("src").Base(), GP64())
	n := Load(Param("n"), GP64()).(GPVirtual)
	var sums, squares [4]VecVirtual
	for i := range sums {
		sums[i], squares[i] = YMM(), YMM()
		VMOVUPD(at(l, wideSum+32*i), sums[i])
		VMOVUPD(at(l, wideSquares+32*i), squares[i])
	}
	// Half of these places are enough.
	least, greatest, high, normal := YMM(), YMM(), YMM(), YMM()
	VMOVUPD(at(l, wideMin), least)
	VMOVUPD(at(l, wideMax), greatest)
	VMOVDQU(at(l, wideHigh), high)
	VPBROADCASTQ(at(l, wideNormal), normal)
	magnitude, zero := k.data64("magnitude64", 1<<63-1), k.data64("zero64", 0)
	zeros, tiny := GP64(), GP64()
	XORQ(zeros, zeros)
	XORQ(tiny, tiny)
	loop(name, n, 16, func() {
		for i := range sums {
			v, a, is := YMM(), YMM(), YMM()
			count := func(total GPVirtual) {
				r := GP32()
				VMOVMSKPD(is, r)
				POPCNTL(r, r)
				ADDQ(r.As64(), total)
			}
			load(at(src, 4*i*size), v)
			VADDPD(v, sums[i], sums[i])
			VMULPD(v, v, a)
			VADDPD(a, squares[i], squares[i])
			VMINPD(v, least, least)
			VMAXPD(v, greatest, greatest)
			VPAND(magnitude, v, a)
			VPCMPGTQ(high, a, is) // none has a sign
			VBLENDVPD(is, a, high, high)
			VPCMPGTQ(a, normal, is)
			count(tiny)
			VPCMPEQQ(zero, a, is)
			count(zeros)
		}
		ADDQ(U32(uint32(16*size)), src)
	})
	for i := range sums {
		VMOVUPD(sums[i], at(l, wideSum+32*i))
		VMOVUPD(squares[i], at(l, wideSquares+32*i))
	}
	VMOVUPD(least, at(l, wideMin))
	VMOVUPD(greatest, at(l, wideMax))
	VMOVDQU(high, at(l, wideHigh))
	ADDQ(zeros, at(l, wideZeros))
	ADDQ(tiny, at(l, wideTiny))
	k.end(false)
}

// data64 places a number of 64 bits in the program, as often as fills a register.
func (k *kind) data64(name string, v uint64) Mem {
	return k.data(name, func(i int) uint32 { return uint32(v >> (32 * (i % 2))) })
}

// wholes64 makes float64 of integers of 64 bits, for which AVX2 has nothing: the
// halves become mantissas of numbers with exponents of their own, and only adding
// them up rounds.
func wholes64(signed bool) func(src Mem, v VecVirtual) {
	name, upper, both := "U64", uint64(0x4530000000000000), uint64(0x4530000000100000) // 2^84, and with 2^52
	if signed {
		// The sign's bit is flipped, and 2^63 more is taken away.
		name, upper, both = "I64", 0x4530000080000000, 0x4530000080100000
	}
	return func(src Mem, v VecVirtual) {
		k, low := avx2, YMM()
		VMOVDQU(src, low)
		VPSRLQ(Imm(32), low, v)
		VPXOR(k.data64("upper"+name, upper), v, v)
		VPBLENDD(Imm(0xAA), k.data64("lower64", 0x4330000000000000), low, low)
		VSUBPD(k.data64("both"+name, both), v, v)
		VADDPD(low, v, v)
	}
}

// wide2 writes those for all types.
func wide2() {
	half := func(convert func(src Mem, half VecVirtual)) func(Mem, VecVirtual) {
		return func(src Mem, v VecVirtual) {
			x := XMM()
			convert(src, x)
			VCVTDQ2PD(x, v)
		}
	}
	wideLanes2("F64", 8, func(src Mem, v VecVirtual) { VMOVUPD(src, v) })
	wideLanes2("I64", 8, wholes64(true))
	wideLanes2("U64", 8, wholes64(false))
	wideLanes2("I32", 4, func(src Mem, v VecVirtual) { VCVTDQ2PD(src, v) })
	wideLanes2("U32", 4, func(src Mem, v VecVirtual) {
		magic := avx2.data64("lower64", 0x4330000000000000) // 2^52
		VPMOVZXDQ(src, v)
		VPOR(magic, v, v)
		VSUBPD(magic, v, v)
	})
	wideLanes2("I16", 2, half(func(src Mem, x VecVirtual) { VPMOVSXWD(src, x) }))
	wideLanes2("U16", 2, half(func(src Mem, x VecVirtual) { VPMOVZXWD(src, x) }))
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
