package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// pairsNarrow compares numbers that are float32 all, with AVX-512: 16 at a time, of
// which only sums are made as float64. Whether a pair differs, is beyond the
// tolerance and has the greatest relative difference is asked of float32, with
// limits rounded to the safe side. Where that is no answer, float64 gives it: the
// bits are those of pairs.
//
// Numbers of 16 bits on both sides are taken apart as those of even and of odd
// places, without being moved, and so are the sums until the end. Codes of a byte
// are looked up as BF16.
func pairsNarrow(name string, left, right element) {
	k := avx512
	TEXT(name, NOSPLIT, "func(p *byte, a, b []byte, n int) (special uint32)")
	p := Load(Param("p"), GP64())
	sides := [2]Register{Load(Param("a").Base(), GP64()), Load(Param("b").Base(), GP64())}
	n := Load(Param("n"), GP64()).(GPVirtual)
	words := left.size == 1 || left.name == "BF16" && right.name == "BF16"
	c := &comparison{name: name, p: p, changed: GP64(), beyond: GP64(), bound: ZMM(), maxAbs: ZMM(), coarse: words}
	for _, f := range []struct {
		of     *[2]VecVirtual
		offset int
	}{{&c.errors, pairErrors}, {&c.dot, pairDot}, {&c.a, pairA}, {&c.b, pairB}} {
		for i := range f.of {
			f.of[i] = ZMM()
			VMOVUPD(at(p, f.offset+64*i), f.of[i])
		}
	}
	if words {
		c.shuffle("even", "odd")
	}
	VMOVUPD(at(p, pairMaxAbs), c.maxAbs)
	VBROADCASTSS(at(p, pairNarrowBound), c.bound)
	MOVQ(at(p, pairChanged), c.changed)
	MOVQ(at(p, pairBeyond), c.beyond)

	step := 16
	switch {
	case left.size == 1:
		step = 64
	case words:
		step = 32
	}
	upper := k.data("upper16", func(int) uint32 { return 0xFFFF0000 })
	evenOdd := func(x, y VecVirtual) {
		for i := range 2 {
			a, b := ZMM(), ZMM()
			if i == 0 {
				VPSLLD(Imm(16), x, a)
				VPSLLD(Imm(16), y, b)
			} else {
				VPANDD(upper, x, a)
				VPANDD(upper, y, b)
			}
			c.add(a, b, [2]int{i, i})
		}
	}
	var tables [2]VecVirtual
	var order VecVirtual
	t := GP64()
	if left.size == 1 {
		MOVQ(at(p, pairWords), t)
		for i := range tables {
			tables[i] = ZMM()
			VMOVDQU32(at(t, 128*i), tables[i])
		}
		order = ZMM()
		k.load32(k.data("spread", func(i int) uint32 { return uint32(i/4+i/2%2*4) * uint32(1-i%2) }), order)
	}
	loop(name, n, uint64(step), func() {
		for i, e := range []element{left, right} {
			for line := 0; line < step*e.size; line += 64 {
				PREFETCHT0(at(sides[i], ahead+line))
			}
		}
		switch {
		case left.size == 1:
			var parts [2][2]VecVirtual
			for i := range sides {
				x, low, high := ZMM(), ZMM(), ZMM()
				// The first four of eight 64 bits become the lower halves of 128, for
				// that is what unpacking takes.
				VPERMQ(at(sides[i], 0), order, x)
				VMOVDQA64(x, low)
				VMOVDQA64(x, high)
				VPERMI2B(at(t, 64), tables[0], low)
				VPERMI2B(at(t, 192), tables[1], high)
				VPTERNLOGD(Imm(0xF8), k.data("sign8", func(int) uint32 { return 0x80808080 }), x, high) // high | x&sign
				parts[i] = [2]VecVirtual{ZMM(), ZMM()}
				VPUNPCKLBW(high, low, parts[i][0])
				VPUNPCKHBW(high, low, parts[i][1])
			}
			for i := range 2 {
				evenOdd(parts[0][i], parts[1][i])
			}
		case words:
			x, y := ZMM(), ZMM()
			VMOVDQU32(at(sides[0], 0), x)
			VMOVDQU32(at(sides[1], 0), y)
			evenOdd(x, y)
		default:
			c.add(k.load(left, at(sides[0], 0)), k.load(right, at(sides[1], 0)), [2]int{0, 1})
		}
		ADDQ(Imm(uint64(step*left.size)), sides[0])
		ADDQ(Imm(uint64(step*right.size)), sides[1])
	})
	if words {
		c.shuffle("lower", "upper")
	}
	special := ZMM()
	VPXORD(special, special, special)
	for _, f := range []struct {
		of     *[2]VecVirtual
		offset int
	}{{&c.errors, pairErrors}, {&c.dot, pairDot}, {&c.a, pairA}, {&c.b, pairB}} {
		for i, v := range f.of {
			VMOVUPD(v, at(p, f.offset+64*i))
			if f.offset == pairA || f.offset == pairB {
				zero := ZMM()
				VSUBPD(v, v, zero) // NaN unless finite
				VADDPD(zero, special, special)
			}
		}
	}
	VMOVUPD(c.maxAbs, at(p, pairMaxAbs))
	MOVQ(c.changed, at(p, pairChanged))
	MOVQ(c.beyond, at(p, pairBeyond))
	nan, out := K(), GP32()
	VCMPPD(Imm(3), special, special, nan)
	KMOVW(nan, out)
	Store(out, ReturnIndex(0))
	VZEROUPPER()
	RET()
	for _, slow := range c.slow {
		slow()
	}
	if left.size == 4 && right.size == 4 {
		k.alias("pairs", "pairsFloats", "func(p *byte, a, b []float32, n int) (special uint32)")
	}
}

// A comparison is the state of pairsNarrow.
type comparison struct {
	name              string
	p                 Register
	errors, dot, a, b [2]VecVirtual
	maxAbs            VecVirtual
	bound             VecVirtual // relative differences up to it are known, as float32
	changed, beyond   GPVirtual
	steps             int
	coarse            bool     // relative differences are far apart, see numeric's coarse
	slow              []func() // what float64 has to answer, behind the loop
}

func (c *comparison) shuffle(first, second string) {
	for _, f := range []*[2]VecVirtual{&c.errors, &c.dot, &c.a, &c.b} {
		avx512.shuffle(f[:], first, second)
	}
}

// add compares 16 float32, whose halves go to the sums given.
func (c *comparison) add(x, y VecVirtual, to [2]int) {
	k := avx512
	label := c.name + "_" + string(rune('a'+c.steps))
	c.steps++
	d, back, differs, some := ZMM(), ZMM(), K(), GP32()
	magnitude := k.data("magnitude", func(int) uint32 { return 0x7FFFFFFF })
	VSUBPS_RU_SAE(y, x, d)
	VPTESTMD(magnitude, d, differs) // -0 less 0 is -0
	wideX := k.halves(x)
	for i, j := range to {
		VFMADD231PD(wideX[i], wideX[i], c.a[j])
	}
	KMOVW(differs, some)
	TESTL(some, some)
	JZ(LabelRef(label + "_same"))
	wideY := k.halves(y)
	for i, j := range to {
		VFMADD231PD(wideY[i], wideY[i], c.b[j])
		VFMADD231PD(wideX[i], wideY[i], c.dot[j])
	}
	POPCNTL(some, some)
	ADDQ(some.As64(), c.changed)
	for i, j := range to {
		e := ZMM()
		VSUBPD(wideY[i], wideX[i], e)
		VRANGEPD(Imm(0x0B), e, c.maxAbs, c.maxAbs) // the greater magnitude
		VMULPD(e, e, e)
		VADDPD(e, c.errors[j], c.errors[j])
	}
	size, low, high, greater := ZMM(), ZMM(), ZMM(), ZMM()
	VRANGEPS(Imm(0x0B), x, y, greater)
	VPANDD(magnitude, y, size)
	VSUBPS_RU_SAE(x, y, back)
	VMAXPS(back, d, d) // not below the difference, then
	VBROADCASTSS(at(c.p, pairLow+4), low)
	VBROADCASTSS(at(c.p, pairHigh+4), high)
	relative := ZMM()
	VBROADCASTSS(at(c.p, pairLow), relative)
	VFMADD231PS_RD_SAE(relative, size, low)
	relative = ZMM()
	VBROADCASTSS(at(c.p, pairHigh), relative)
	VFMADD231PS_RU_SAE(relative, size, high)
	VMULPS_RD_SAE(c.bound, greater, greater)
	maybe, outside, unsure := K(), K(), K()
	VCMPPS(Imm(6), low, d, differs, maybe)
	VCMPPS(Imm(14), high, d, outside)
	VCMPPS(Imm(14), greater, d, unsure)
	KXORW(maybe, outside, maybe)
	KORTESTW(maybe, unsure)
	JNZ(LabelRef(label + "_unsure"))
	Label(label + "_sure")
	KMOVW(outside, some)
	POPCNTL(some, some)
	ADDQ(some.As64(), c.beyond)
	Label(label + "_next")

	c.slow = append(c.slow, func() {
		// All are the same, but for the sign of a zero.
		Label(label + "_same")
		for i, j := range to {
			VFMADD231PD(wideX[i], wideX[i], c.b[j])
			VFMADD231PD(wideX[i], wideX[i], c.dot[j])
		}
		JMP(LabelRef(label + "_next"))
	})
	c.slow = append(c.slow, func() {
		Label(label + "_unsure")
		best := ZMM()
		VPXORD(best, best, best)
		var outsides [2]OpmaskVirtual
		mask := k.data("magnitude64", func(i int) uint32 { return []uint32{0xFFFFFFFF, 0x7FFFFFFF}[i%2] })
		for i := range to {
			d, limit, factor := ZMM(), ZMM(), ZMM()
			VSUBPD(wideY[i], wideX[i], d)
			VPANDQ(mask, d, d)
			VPANDQ(mask, wideY[i], limit)
			VBROADCASTSD(at(c.p, pairRelative), factor)
			VMULPD(factor, limit, limit)
			factor = ZMM()
			VBROADCASTSD(at(c.p, pairAbsolute), factor)
			VADDPD(factor, limit, limit)
			is := K()
			outsides[i] = K()
			VPTESTMQ(d, d, is)
			VCMPPD(Imm(6), limit, d, is, outsides[i]) // not less or equal
			greater := ZMM()
			VRANGEPD(Imm(0x0B), wideX[i], wideY[i], greater)
			VDIVPD_Z(greater, d, is, d)
			VMAXPD(d, best, best)
		}
		KUNPCKBW(outsides[0], outsides[1], outside)
		slot := ZMM()
		VMAXPD(at(c.p, pairMaxRel), best, slot)
		VMOVUPD(slot, at(c.p, pairMaxRel))
		other := ZMM()
		VEXTRACTF64X4(Imm(1), best, other.AsY())
		VMAXPD(other.AsY(), best.AsY(), best.AsY())
		VEXTRACTF64X2(Imm(1), best.AsY(), other.AsX())
		VMAXPD(other.AsX(), best.AsX(), best.AsX())
		VPERMILPD(Imm(1), best.AsX(), other.AsX())
		VMAXPD(other.AsX(), best.AsX(), best.AsX())
		if c.coarse {
			half := func(v uint32) Mem {
				return k.data("ties"+string(rune('0'+v%2)), func(i int) uint32 { return []uint32{0, v}[i%2] })
			}
			small := K()
			VCMPPD(Imm(1), half(0x3FDFFF00), best, small) // less than almost a half
			VMULPD(half(0x3FF00001), best, small, best)   // 1+2^-20
		}
		VCVTPD2PS_RD_SAE(best, other.AsY())
		VBROADCASTSS(other.AsX(), other)
		VMAXPS(other, c.bound, c.bound)
		JMP(LabelRef(label + "_sure"))
	})
}
