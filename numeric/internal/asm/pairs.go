package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

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
	pairBound    = 800

	// Of pairsNarrow, limits as float32: the relative and the absolute part.
	pairLow         = 816
	pairHigh        = 824
	pairNarrowBound = 832
	pairWords       = 840 // a pointer to tables
)

// A field is one of the arrays of 16 numbers in pairs. Where there are 32
// registers it is in two of them, else in memory.
type field struct {
	offset int
	p      Register
	regs   []VecVirtual
}

func (k *kind) field(p Register, offset int) *field {
	f := &field{offset: offset, p: p}
	if k.wide {
		for i := range 2 {
			v := ZMM()
			VMOVUPD(at(p, offset+64*i), v)
			f.regs = append(f.regs, v)
		}
	}
	return f
}

// change lets f change part i of the field.
func (k *kind) change(f *field, i int, change func(v VecVirtual)) {
	if f.regs != nil {
		change(f.regs[i])
		return
	}
	v := k.vector()
	VMOVUPD(at(f.p, f.offset+i*k.bytes()), v)
	change(v)
	VMOVUPD(v, at(f.p, f.offset+i*k.bytes()))
}

func (k *kind) save(f *field) {
	for i, v := range f.regs {
		VMOVUPD(v, at(f.p, f.offset+64*i))
	}
}

// pairs compares numbers. That not all were finite shows in the sums of their
// squares: those of float32 are never too large for a float64, and where those of
// float64 are, the plain loop does the work.
func (k *kind) pairs(e element) {
	name := "pairs" + e.name + k.name
	TEXT(name, NOSPLIT, "func(p *byte, a, b []byte, n int) (special uint32)")
	p := Load(Param("p"), GP64())
	left, right := Load(Param("a").Base(), GP64()), Load(Param("b").Base(), GP64())
	n := Load(Param("n"), GP64()).(GPVirtual)
	errors, dot, squaresA, squaresB := k.field(p, pairErrors), k.field(p, pairDot), k.field(p, pairA), k.field(p, pairB)
	maxAbs, maxRel := k.field(p, pairMaxAbs), k.field(p, pairMaxRel)
	magnitude, r := k.vector(), GP64()
	MOVQ(U64(1<<63-1), r)
	relative, absolute, bound := k.vector(), k.vector(), k.vector()
	if k.wide {
		VPBROADCASTQ(r, magnitude)
	} else {
		x := XMM()
		VMOVQ(r, x)
		VPBROADCASTQ(x, magnitude)
	}
	VBROADCASTSD(at(p, pairRelative), relative)
	VBROADCASTSD(at(p, pairAbsolute), absolute)
	VBROADCASTSD(at(p, pairBound), bound)
	changed, beyond := GP64(), GP64()
	MOVQ(at(p, pairChanged), changed)
	MOVQ(at(p, pairBeyond), beyond)
	count := func(mask GPVirtual, total GPVirtual) {
		POPCNTL(mask, mask)
		ADDQ(mask.As64(), total)
	}
	step := k.bytes()
	loop(name, n, 16, func() {
		for line := 0; line < 16*e.size; line += 64 {
			PREFETCHT0(at(left, ahead+line))
			PREFETCHT0(at(right, ahead+line))
		}
		var differs, outsides [2]OpmaskVirtual
		for i, lane := 0, 0; lane < 128; i, lane = i+1, lane+step {
			x, y, d := k.vector(), k.vector(), k.vector()
			for _, side := range []struct {
				base Register
				v    VecVirtual
			}{{left, x}, {right, y}} {
				k.loadWide(e, at(side.base, lane/8*e.size), side.v)
			}
			VSUBPD(y, x, d)
			for _, product := range []struct {
				of    *field
				x, y  VecVirtual
				exact bool // fused or not: else it is rounded before it is added
			}{{dot, x, y, e.size < 8}, {squaresA, x, x, e.size < 8}, {squaresB, y, y, e.size < 8}, {errors, d, d, false}} {
				if product.exact {
					k.change(product.of, i, func(v VecVirtual) { VFMADD231PD(product.x, product.y, v) })
					continue
				}
				rounded := k.vector()
				VMULPD(product.x, product.y, rounded)
				k.change(product.of, i, func(v VecVirtual) { VADDPD(rounded, v, v) })
			}

			k.andWide(magnitude, d, d)
			if k.wide {
				VRANGEPD(Imm(0x0B), x, y, x) // the greater magnitude
				VPANDQ(magnitude, y, y)
			} else {
				VPAND(magnitude, x, x)
				VPAND(magnitude, y, y)
				VMAXPD(x, y, x)
			}
			k.change(maxAbs, i, func(v VecVirtual) { VMAXPD(d, v, v) })
			limit := k.vector()
			VMULPD(relative, y, limit)
			VADDPD(absolute, limit, limit)
			VMULPD(bound, x, y)
			some := GP32()
			if k.wide {
				differs[i], outsides[i] = K(), K()
				VPTESTMQ(d, d, differs[i])
				VCMPPD(Imm(6), limit, d, differs[i], outsides[i]) // not less or equal
				larger := K()
				VCMPPD(Imm(14), y, d, larger)
				KMOVW(larger, some)
			} else {
				differ, outside := YMM(), YMM()
				VPXOR(differ, differ, differ)
				VCMPPD(Imm(4), differ, d, differ)
				VCMPPD(Imm(6), limit, d, outside)
				VPAND(differ, outside, outside)
				r := GP32()
				VMOVMSKPD(differ, r)
				count(r, changed)
				VMOVMSKPD(outside, r)
				count(r, beyond)
				VCMPPD(Imm(14), y, d, y)
				VMOVMSKPD(y, some)
			}
			// A quotient is a slow thing, and hardly ever the greatest so far.
			skip := name + "_skip" + string(rune('0'+i))
			TESTL(some, some)
			JZ(LabelRef(skip))
			quotient := k.vector()
			VDIVPD(x, d, quotient)
			k.zeroNaN(quotient)
			k.change(maxRel, i, func(v VecVirtual) { VMAXPD(quotient, v, v) })
			less := k.vector()
			VBROADCASTSD(k.data("bound", func(i int) uint32 { return []uint32{0xFFFFFFF8, 0x3FEFFFFF}[i%2] }), less) // 1-2^-50
			VMULPD(less, quotient, quotient)
			VMAXPD(quotient, bound, bound)
			Label(skip)
		}
		if k.wide {
			for _, c := range []struct {
				masks [2]OpmaskVirtual
				total GPVirtual
			}{{differs, changed}, {outsides, beyond}} {
				both, r := K(), GP32()
				KUNPCKBW(c.masks[0], c.masks[1], both)
				KMOVW(both, r)
				count(r, c.total)
			}
		}
		ADDQ(Imm(uint64(16*e.size)), left)
		ADDQ(Imm(uint64(16*e.size)), right)
	})
	MOVQ(changed, at(p, pairChanged))
	MOVQ(beyond, at(p, pairBeyond))
	for _, f := range []*field{errors, dot, squaresA, squaresB, maxAbs, maxRel} {
		k.save(f)
	}
	special := k.vector()
	if k.wide {
		VPXORD(special, special, special)
	} else {
		VPXOR(special, special, special)
	}
	for _, f := range []*field{squaresA, squaresB} {
		for i := range 128 / step {
			k.change(f, i, func(v VecVirtual) {
				zero := k.vector()
				VSUBPD(v, v, zero) // NaN unless finite
				VADDPD(zero, special, special)
			})
		}
	}
	out := GP32()
	if k.wide {
		nan := K()
		VCMPPD(Imm(3), special, special, nan)
		KMOVW(nan, out)
	} else {
		VCMPPD(Imm(3), special, special, special)
		VMOVMSKPD(special, out)
	}
	Store(out, ReturnIndex(0))
	VZEROUPPER()
	RET()
	switch e.size {
	case 4:
		k.alias("pairs", "pairsFloats", "func(p *byte, a, b []float32, n int) (special uint32)")
	case 8:
		k.alias("pairsF64", "pairsDoubles", "func(p *byte, a, b []float64, n int) (special uint32)")
	}
}

// loadWide loads as many numbers as a register holds as float64.
func (k *kind) loadWide(e element, src Mem, v VecVirtual) {
	half := v.AsY()
	if !k.wide {
		half = v.AsX()
	}
	switch e.name {
	case "BF16":
		VPMOVZXWD(src, half)
		VPSLLD(Imm(16), half, half)
	case "F16":
		VCVTPH2PS(src, half)
	case "F64":
		VMOVUPD(src, v)
		return
	default:
		VCVTPS2PD(src, v)
		return
	}
	VCVTPS2PD(half, v)
}

func (k *kind) andWide(a, b, c VecVirtual) {
	if k.wide {
		VPANDQ(a, b, c)
	} else {
		VPAND(a, b, c)
	}
}

// zeroNaN makes 0 of NaN, which comes of dividing zeros.
func (k *kind) zeroNaN(v VecVirtual) {
	if k.wide {
		number := K()
		VCMPPD(Imm(7), v, v, number)
		VMOVAPD_Z(v, number, v)
		return
	}
	number := YMM()
	VCMPPD(Imm(7), v, v, number)
	VPAND(number, v, v)
}
