package main

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
)

// pairs compares numbers, as the kernels for amd64 do. The partial sums are in
// memory, for they are more than there are registers.
func (a *assembler) pairs(element string, size int, slices string) {
	const x, y, d, t, m = 8, 9, 10, 11, 12
	const relative, absolute, bound, less, zero, equal, within = 16, 17, 18, 19, 20, 21, 22
	a.begin("pairs"+element+"NEON", "func(p *pairs, a, b "+slices+", n int) (special uint32)", 68,
		"p+0", "R0", "a_base+8", "R1", "b_base+32", "R3", "n+56", "R2")
	a.line("\tLSL $4, R2, R7")
	for _, c := range []struct {
		v      uint32
		offset int
	}{{relative, pairRelative}, {absolute, pairAbsolute}, {bound, pairBound}} {
		a.line("\tMOVD %d(R0), R9", c.offset)
		a.op("dup.2d", c.v, 9)
	}
	a.line("\tMOVD $0x3FEFFFFFFFFFFFF8, R9") // 1-2^-50
	a.op("dup.2d", less, 9)
	for _, v := range []uint32{zero, equal, within} {
		a.fill(v, 0)
	}
	change := func(offset int, change func(v uint32)) {
		const v = 13
		a.line("\tFMOVQ %d(R0), F%d", offset, v)
		change(v)
		a.line("\tFMOVQ F%d, %d(R0)", v, offset)
	}
	a.loop(func() {
		for side, base := range []string{"R1", "R3"} {
			v := 4 * uint32(side)
			switch {
			case size == 4:
				a.load(base, v, v+1, v+2, v+3)
			case size == 2:
				a.load(base, 14, 15)
				for i := range uint32(2) {
					low, high := "shll.4s", "shll2.4s"
					if element == "F16" {
						low, high = "fcvtl.4s", "fcvtl2.4s"
					}
					a.op(low, v+2*i, 14+i)
					a.op(high, v+2*i+1, 14+i)
				}
			}
		}
		for i := range uint32(8) {
			lane := 16 * int(i)
			if size == 8 {
				a.line("\tFMOVQ %d(R1), F%d", lane, x)
				a.line("\tFMOVQ %d(R3), F%d", lane, y)
			} else {
				widen := []string{"fcvtl.2d", "fcvtl2.2d"}[i%2]
				a.op(widen, x, i/2)
				a.op(widen, y, 4+i/2)
			}
			a.op("fsub.2d", d, x, y)
			for _, product := range []struct {
				offset int
				x, y   uint32
				exact  bool // fused or not: else it is rounded before it is added
			}{{pairDot, x, y, size < 8}, {pairA, x, x, size < 8}, {pairB, y, y, size < 8}, {pairErrors, d, d, false}} {
				change(product.offset+lane, func(v uint32) {
					if product.exact {
						a.op("fmla.2d", v, product.x, product.y)
						return
					}
					a.op("fmul.2d", t, product.x, product.y)
					a.op("fadd.2d", v, v, t)
				})
			}
			for _, v := range []uint32{x, y, d} {
				a.op("fabs.2d", v, v)
			}
			change(pairMaxAbs+lane, func(v uint32) { a.op("fmax.2d", v, v, d) })
			a.op("fmax.2d", m, x, y)
			a.op("fmul.2d", t, relative, y)
			a.op("fadd.2d", t, absolute, t)
			a.op("fcmge.2d", t, t, d)
			a.op("fcmeq.2d", x, d, zero)
			a.op("orr.16b", t, t, x)
			a.op("sub.2d", equal, equal, x)
			a.op("sub.2d", within, within, t)
			// A quotient is a slow thing, and hardly ever the greatest so far.
			a.op("fmul.2d", t, bound, m)
			a.op("fcmgt.2d", t, d, t)
			a.op("umaxv.4s", t, t)
			a.op("fmov.s", 9, t)
			a.line("\tCBZW R9, skip%d", i)
			a.op("fdiv.2d", d, d, m)
			change(pairMaxRel+lane, func(v uint32) { a.op("fmaxnm.2d", v, v, d) }) // 0/0 is no number
			a.op("fmul.2d", d, d, less)
			a.op("fmaxnm.2d", bound, bound, d)
			a.line("skip%d:", i)
		}
		if size == 8 {
			a.line("\tADD $128, R1, R1")
			a.line("\tADD $128, R3, R3")
		}
	})
	for _, c := range []struct {
		v      uint32
		offset int
	}{{equal, pairChanged}, {within, pairBeyond}} {
		a.op("addp.d", c.v, c.v)
		a.op("fmov.d", 9, c.v)
		a.line("\tSUB R9, R7, R9")
		a.line("\tMOVD %d(R0), R6", c.offset)
		a.line("\tADD R9, R6, R6")
		a.line("\tMOVD R6, %d(R0)", c.offset)
	}
	// What is not finite less itself is NaN, which is not equal to itself.
	a.fill(m, 0xFFFFFFFF)
	for i := range 16 {
		a.line("\tFMOVQ %d(R0), F%d", pairA+16*i, x)
		a.op("fsub.2d", x, x, x)
		a.op("fcmeq.2d", x, x, x)
		a.op("and.16b", m, m, x)
	}
	a.op("not.16b", m, m)
	a.op("umaxv.4s", m, m)
	a.op("fmov.s", 9, m)
	a.line("\tMOVW R9, special+64(FP)")
	a.line("\tRET")
}
