package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// Offsets in numeric's struct lanes.
const (
	laneSum     = 0
	laneSquares = 128
	laneMin     = 256
	laneMax     = 320
	laneLow     = 384
	laneHigh    = 448
)

// An element is a type whose numbers lanes can load; size is in bytes.
type element struct {
	name string
	size int
}

var elements = []element{{"", 4}, {"BF16", 2}, {"F16", 2}}

// load loads numbers from src as float32.
func (k *kind) load(e element, src Mem) VecVirtual {
	x := k.vector()
	switch e.name {
	case "BF16":
		VPMOVZXWD(src, x)
		VPSLLD(Imm(16), x, x)
	case "F16":
		VCVTPH2PS(src, x)
	default:
		VMOVUPS(src, x)
	}
	return x
}

// halves widens all numbers of x to float64.
func (k *kind) halves(x VecVirtual) [2]VecVirtual {
	low, high := k.vector(), k.vector()
	if k.wide {
		upper := YMM()
		VEXTRACTF64X4(Imm(1), x, upper)
		VCVTPS2PD(x.AsY(), low)
		VCVTPS2PD(upper, high)
	} else {
		upper := XMM()
		VEXTRACTF128(Imm(1), x, upper)
		VCVTPS2PD(x.AsX(), low)
		VCVTPS2PD(upper, high)
	}
	return [2]VecVirtual{low, high}
}

// lanes adds numbers to 16 partial sums. Least and greatest have as many places
// as a register; the rest of theirs stays as it is.
func (k *kind) lanes(e element) {
	name := "lanes" + e.name + k.name
	TEXT(name, NOSPLIT, "func(l *byte, src []byte, n int)")
	l, src := Load(Param("l"), GP64()), Load(Param("src").Base(), GP64())
	n := Load(Param("n"), GP64()).(GPVirtual)
	step := k.bytes()
	var sums, squares []VecVirtual
	for offset := 0; offset < 128; offset += step {
		s, q := k.vector(), k.vector()
		VMOVUPD(at(l, laneSum+offset), s)
		VMOVUPD(at(l, laneSquares+offset), q)
		sums, squares = append(sums, s), append(squares, q)
	}
	least, greatest, low, high := k.vector(), k.vector(), k.vector(), k.vector()
	VMOVUPS(at(l, laneMin), least)
	VMOVUPS(at(l, laneMax), greatest)
	VMOVUPS(at(l, laneLow), low)
	VMOVUPS(at(l, laneHigh), high)
	magnitude := k.constant32(0x7FFFFFFF)
	add := func(i int, v VecVirtual) {
		VADDPD(v, sums[i], sums[i])
		VFMADD231PD(v, v, squares[i])
	}
	loop(name, n, 16, func() {
		for i, offset := 0, 0; offset < 64; i, offset = i+1, offset+step {
			x, a := k.load(e, at(src, offset*e.size/4)), k.vector()
			k.and(magnitude, x, a)
			VMINPS(x, least, least)
			VMAXPS(x, greatest, greatest)
			VPMINUD(a, low, low)
			VPMAXUD(a, high, high)
			if e.size == 2 {
				for j, v := range k.halves(x) {
					add(2*i+j, v)
				}
			}
		}
		if e.size == 4 {
			for i := range sums {
				v := k.vector()
				VCVTPS2PD(at(src, i*step/2), v)
				add(i, v)
			}
		}
		ADDQ(Imm(uint64(16*e.size)), src)
	})
	for i := range sums {
		VMOVUPD(sums[i], at(l, laneSum+i*step))
		VMOVUPD(squares[i], at(l, laneSquares+i*step))
	}
	VMOVUPS(least, at(l, laneMin))
	VMOVUPS(greatest, at(l, laneMax))
	VMOVUPS(low, at(l, laneLow))
	VMOVUPS(high, at(l, laneHigh))
	VZEROUPPER()
	RET()
}

// tiny counts zeros and magnitudes below normal.
func (k *kind) tiny() {
	TEXT("tiny"+k.name, NOSPLIT, "func(src []float32, n int, normal uint32) (zeros, tiny uint64)")
	src := Load(Param("src").Base(), GP64())
	n := Load(Param("n"), GP64()).(GPVirtual)
	normal := k.broadcast32(Load(Param("normal"), GP32()).(GPVirtual))
	zeros, tiny := GP64(), GP64()
	XORQ(zeros, zeros)
	XORQ(tiny, tiny)
	magnitude, zero := k.constant32(0x7FFFFFFF), k.constant32(0)
	loop("tiny"+k.name, n, 16, func() {
		for offset := 0; offset < 64; offset += k.bytes() {
			x := k.vector()
			VMOVUPS(at(src, offset), x)
			k.and(magnitude, x, x)
			count := func(total GPVirtual, compare func(GPVirtual)) {
				r := GP32()
				compare(r)
				POPCNTL(r, r)
				ADDQ(r.As64(), total)
			}
			if k.wide {
				count(zeros, func(r GPVirtual) { m := K(); VPCMPUD(Imm(0), zero, x, m); KMOVW(m, r) })
				count(tiny, func(r GPVirtual) { m := K(); VPCMPUD(Imm(1), normal, x, m); KMOVW(m, r) })
			} else {
				count(zeros, func(r GPVirtual) { m := YMM(); VPCMPEQD(zero, x, m); VMOVMSKPS(m, r) })
				count(tiny, func(r GPVirtual) { m := YMM(); VPCMPGTD(x, normal, m); VMOVMSKPS(m, r) })
			}
		}
		ADDQ(Imm(64), src)
	})
	Store(zeros, ReturnIndex(0))
	Store(tiny, ReturnIndex(1))
	VZEROUPPER()
	RET()
}

// Offsets in numeric's struct pairs.
const (
	pairErrors   = 0
	pairDot      = 128
	pairA        = 256
	pairB        = 384
	pairMaxAbs   = 512
	pairMaxRel   = 640
	pairChanged  = 768
	pairBeyond   = 776
	pairRelative = 784
	pairAbsolute = 792
)

// pairs compares numbers. Partial sums stay in memory: AVX2 has no room for
// them, and they are read but once a step.
func (k *kind) pairs() {
	TEXT("pairs"+k.name, NOSPLIT, "func(p *byte, a, b []float32) (high uint32)")
	p := Load(Param("p"), GP64())
	left, right := Load(Param("a").Base(), GP64()), Load(Param("b").Base(), GP64())
	n := Load(Param("a").Len(), GP64()).(GPVirtual)
	step := k.bytes()
	magnitude, high := k.constant32(0x7FFFFFFF), k.constant32(0)
	wideMagnitude, relative, absolute := k.vector(), k.vector(), k.vector()
	r := GP64()
	MOVQ(U64(1<<63-1), r)
	if k.wide {
		VPBROADCASTQ(r, wideMagnitude)
	} else {
		x := XMM()
		VMOVQ(r, x)
		VPBROADCASTQ(x, wideMagnitude)
	}
	VBROADCASTSD(at(p, pairRelative), relative)
	VBROADCASTSD(at(p, pairAbsolute), absolute)
	changed, beyond := GP64(), GP64()
	MOVQ(at(p, pairChanged), changed)
	MOVQ(at(p, pairBeyond), beyond)
	zero := k.constant32(0)
	loop("pairs"+k.name, n, 16, func() {
		for offset := 0; offset < 64; offset += step {
			for _, base := range []Register{left, right} {
				x := k.vector()
				VMOVUPS(at(base, offset), x)
				k.and(magnitude, x, x)
				VPMAXUD(x, high, high)
			}
		}
		for lane := 0; lane < 128; lane += step {
			x, y, d := k.vector(), k.vector(), k.vector()
			VCVTPS2PD(at(left, lane/2), x)
			VCVTPS2PD(at(right, lane/2), y)
			VSUBPD(y, x, d)
			for _, product := range []struct {
				at   int
				a, b VecVirtual
			}{{pairDot, x, y}, {pairA, x, x}, {pairB, y, y}} {
				sum := k.vector()
				VMOVUPD(at(p, product.at+lane), sum)
				VFMADD231PD(product.a, product.b, sum) // exact product: fused or not
				VMOVUPD(sum, at(p, product.at+lane))
			}
			// This square is not exact: it is rounded before it is added.
			square := k.vector()
			VMULPD(d, d, square)
			VADDPD(at(p, pairErrors+lane), square, square)
			VMOVUPD(square, at(p, pairErrors+lane))

			k.and(wideMagnitude, d, d)
			k.and(wideMagnitude, x, x)
			k.and(wideMagnitude, y, y)
			most, limit := k.vector(), k.vector()
			VMAXPD(at(p, pairMaxAbs+lane), d, most)
			VMOVUPD(most, at(p, pairMaxAbs+lane))
			VMULPD(relative, y, limit)
			VADDPD(absolute, limit, limit)
			quotient := k.vector()
			VMAXPD(x, y, x)
			VDIVPD(x, d, quotient) // NaN where both are 0: not taken
			VMOVUPD(at(p, pairMaxRel+lane), most)
			countC, countB := GP32(), GP32()
			if k.wide {
				differ, outside := K(), K()
				VCMPPD(Imm(4), zero, d, differ)
				VCMPPD(Imm(6), limit, d, differ, outside) // not less or equal
				VMAXPD(quotient, most, differ, most)
				KMOVW(differ, countC)
				KMOVW(outside, countB)
			} else {
				differ, outside := YMM(), YMM()
				VCMPPD(Imm(4), zero, d, differ)
				VCMPPD(Imm(6), limit, d, outside)
				VPAND(differ, outside, outside)
				VPAND(differ, quotient, quotient)
				VMAXPD(quotient, most, most)
				VMOVMSKPD(differ, countC)
				VMOVMSKPD(outside, countB)
			}
			VMOVUPD(most, at(p, pairMaxRel+lane))
			POPCNTL(countC, countC)
			POPCNTL(countB, countB)
			ADDQ(countC.As64(), changed)
			ADDQ(countB.As64(), beyond)
		}
		ADDQ(Imm(64), left)
		ADDQ(Imm(64), right)
	})
	MOVQ(changed, at(p, pairChanged))
	MOVQ(beyond, at(p, pairBeyond))
	// The greatest of high.
	width := YMM()
	if k.wide {
		VEXTRACTI64X4(Imm(1), high, width)
		VPMAXUD(high.AsY(), width, width)
	} else {
		width = high
	}
	x, other := width.AsX(), XMM()
	VEXTRACTI128(Imm(1), width, other)
	VPMAXUD(other, x, x)
	VPSHUFD(Imm(0x4E), x, other)
	VPMAXUD(other, x, x)
	VPSHUFD(Imm(0xB1), x, other)
	VPMAXUD(other, x, x)
	out := GP32()
	VMOVD(x, out)
	Store(out, ReturnIndex(0))
	VZEROUPPER()
	RET()
}
