package main

// Registers 0 to 15 hold numbers and what becomes of them, 16 and up constants.

// narrowHalf rounds to 16 bits. round leaves in v what becomes of v, as 32 bits.
func (a *assembler) narrowHalf(name string, floats bool, round func(a *assembler, constants bool, v uint32)) {
	of, slice := "", "dst, src []byte"
	if floats {
		of, slice = "Floats", "dst []byte, src []float32"
	}
	a.begin(name+of+"NEON", "func("+slice+", n int, over uint32) (high uint32)", 68,
		"dst_base+0", "R0", "src_base+24", "R1", "n+48", "R2")
	a.line("\tMOVWU over+56(FP), R9")
	a.op("dup.4s", 16, 9)
	a.fill(high, 0)
	round(a, true, 0)
	a.loop(func() {
		a.load("R1", 0, 1, 2, 3)
		for v := range uint32(4) {
			round(a, false, v)
		}
		for v := range uint32(2) {
			a.op("xtn.4h", 4+v, 2*v)
			a.op("xtn2.8h", 4+v, 2*v+1)
		}
		a.store("R0", 4, 5)
	})
	a.highest()
}

// high is the register of the highest magnitudes, which highest returns.
const high = 31

func (a *assembler) highest() {
	a.op("umaxv.4s", high, high)
	a.op("fmov.s", 9, high)
	a.line("\tMOVW R9, high+64(FP)")
	a.line("\tRET")
}

func (a *assembler) roundBF16(constants bool, v uint32) {
	const over, magnitude, half, one, top, nan, sign = 16, 17, 18, 19, 20, 21, 22
	if constants {
		a.fill(magnitude, 0x7FFFFFFF)
		a.fill(half, 0x7FFF)
		a.fill(one, 1)
		a.fill(top, 0x7F800000)
		a.fill(nan, 0x7FC0)
		a.fill(sign, 0x8000)
		return
	}
	const m, t, is = 6, 7, 8
	a.op("and.16b", m, v, magnitude)
	a.op("umax.4s", high, high, m)
	a.op("ushr.4s", t, m, 16)
	a.op("and.16b", t, t, one)
	a.op("add.4s", t, t, m)
	a.op("add.4s", t, t, half)
	a.op("ushr.4s", t, t, 16)
	a.op("umin.4s", t, t, over)
	a.op("cmhi.4s", is, m, top)
	a.op("bit.16b", t, nan, is)
	a.op("ushr.4s", v, v, 16)
	a.op("and.16b", v, v, sign)
	a.op("orr.16b", v, v, t)
}

// roundF16 leaves the rounding to the processor, then makes its NaNs one and its
// infinities over.
func (a *assembler) roundF16(constants bool, v uint32) {
	const over, magnitude, top, nan, sign = 16, 17, 18, 19, 20
	if constants {
		a.fill(magnitude, 0x7FFF)
		a.fill(top, 0x7C00)
		a.fill(nan, 0x7E00)
		a.fill(sign, 0x8000)
		return
	}
	const m, is = 6, 7
	a.op("fcvtn.4h", v, v)
	a.op("ushll.4s", v, v, 0)
	a.op("and.16b", m, v, magnitude)
	a.op("umax.4s", high, high, m)
	a.op("cmhi.4s", is, m, top)
	a.op("umin.4s", m, m, over)
	a.op("bit.16b", m, nan, is)
	a.op("and.16b", v, v, sign)
	a.op("orr.16b", v, v, m)
}

// narrowByte rounds to codes of a byte. The parameters are numeric's struct
// narrowing.
func (a *assembler) narrowByte(name, element string, size int, slices string) {
	const shift, toSign, half, normal, magic, over, nan, sign, least = 16, 17, 18, 19, 20, 21, 22, 23, 24
	const magnitude, one, top = 25, 26, 27
	a.line("\n// func(%s, n int, p *narrowing) (high uint32)", slices)
	a.line("TEXT ·%sNEON(SB), NOSPLIT, $0-68", name)
	a.line("\tMOVD dst_base+0(FP), R0")
	a.line("\tMOVD src_base+24(FP), R1")
	a.line("\tMOVD n+48(FP), R2")
	a.line("\tMOVD p+56(FP), R3")
	for i := range uint32(9) {
		a.field(shift+i, "R3", 4*int(i))
	}
	a.fill(high, 0)
	a.op("sub.4s", shift, high, shift) // to the right
	a.op("sub.4s", toSign, high, toSign)
	a.fill(magnitude, 0x7FFFFFFF)
	a.fill(one, 1)
	a.fill(top, 0x7F800000)
	a.line("\tLSR $4, R2, R2")
	a.line("\tCBZ R2, done")
	a.loop(func() {
		a.loadFloats("R1", element, size, 0, 4)
		for v := range uint32(4) {
			const m, t, small, is = 6, 7, 8, 9
			a.op("and.16b", m, v, magnitude)
			a.op("umax.4s", high, high, m)
			a.op("ushl.4s", t, m, shift)
			a.op("and.16b", t, t, one)
			a.op("add.4s", t, t, m)
			a.op("add.4s", t, t, half)
			a.op("ushl.4s", t, t, shift)
			a.op("fadd.4s", small, m, magic)
			a.op("sub.4s", small, small, magic)
			a.op("cmhi.4s", is, normal, m)
			a.op("bit.16b", t, small, is)
			a.op("umin.4s", t, t, over)
			a.op("cmhi.4s", is, m, top)
			a.op("bit.16b", t, nan, is)
			a.op("ushl.4s", v, v, toSign)
			a.op("and.16b", v, v, sign)
			a.op("cmhs.4s", is, t, least)
			a.op("and.16b", v, v, is)
			a.op("orr.16b", v, v, t)
		}
		for v := range uint32(2) {
			a.op("xtn.4h", 4+v, 2*v)
			a.op("xtn2.8h", 4+v, 2*v+1)
		}
		a.op("xtn.8b", 6, 4)
		a.op("xtn2.16b", 6, 5)
		a.store("R0", 6)
	})
	a.highest()
}

// widenHalf makes float32 of 16 bits: of those in register 0, numbers in 4 and 5.
func (a *assembler) widenHalf(name string, floats bool, widen func(a *assembler, constants bool, v, low uint32)) {
	of, slice := "", "dst, src []byte"
	if floats {
		of, slice = "Floats", "dst []float32, src []byte"
	}
	a.begin(name+of+"NEON", "func("+slice+", n int)", 56, "dst_base+0", "R0", "src_base+24", "R1", "n+48", "R2")
	widen(a, true, 0, 0)
	a.loop(func() {
		a.load("R1", 0, 1)
		widen(a, false, 0, 4)
		widen(a, false, 1, 6)
		a.store("R0", 4, 5, 6, 7)
	})
	a.line("\tRET")
}

func (a *assembler) widenBF16(constants bool, v, low uint32) {
	if constants {
		return
	}
	a.op("shll.4s", low, v)
	a.op("shll2.4s", low+1, v)
}

// widenF16 leaves the work to the processor, which makes every NaN quiet, and
// puts that bit back.
func (a *assembler) widenF16(constants bool, v, low uint32) {
	const quiet, raw, is = 16, 8, 10
	if constants {
		a.fill(quiet, 0x00400000)
		return
	}
	a.op("fcvtl.4s", low, v)
	a.op("fcvtl2.4s", low+1, v)
	a.op("ushll.4s", raw, v, 13)
	a.op("ushll2.4s", raw+1, v, 13)
	for i := range uint32(2) {
		a.op("fcmeq.4s", is, low+i, low+i)
		a.op("bic.16b", is, quiet, is) // that bit of NaNs
		a.op("bit.16b", low+i, raw+i, is)
	}
}

// widenByte makes float32 of codes of a byte. The parameters are numeric's
// struct widening.
func (a *assembler) widenByte(floats bool) {
	const shift, toSign, magnitude, sign, rebias, normal, smallest, least, inf, top, lone = 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26
	const infinite, nan = 27, 28
	of, slice := "", "dst, src []byte"
	if floats {
		of, slice = "Floats", "dst []float32, src []byte"
	}
	a.begin("fromByte"+of+"NEON", "func("+slice+", n int, p *widening)", 64,
		"dst_base+0", "R0", "src_base+24", "R1", "n+48", "R2", "p+56", "R3")
	for i := range uint32(11) {
		a.field(shift+i, "R3", 4*int(i))
	}
	a.fill(infinite, 0x7F800000)
	a.fill(nan, 0x7FC00000)
	a.loop(func() {
		a.load("R1", 0)
		a.op("ushll.8h", 1, 0, 0)
		a.op("ushll2.8h", 2, 0, 0)
		for i := range uint32(4) {
			const x, m, small, is = 3, 8, 9, 10
			v := 4 + i
			a.op([]string{"ushll.4s", "ushll2.4s"}[i%2], x, 1+i/2, 0)
			a.op("and.16b", m, x, magnitude)
			a.op("ushl.4s", v, m, shift)
			a.op("add.4s", v, v, rebias)
			a.op("ucvtf.4s", small, m)
			a.op("fmul.4s", small, small, smallest)
			a.op("cmhi.4s", is, normal, m)
			a.op("bit.16b", v, small, is)
			a.op("umax.4s", v, v, least)
			a.op("cmeq.4s", is, m, inf)
			a.op("bit.16b", v, infinite, is)
			a.op("cmhi.4s", is, m, top)
			a.op("bit.16b", v, nan, is)
			a.op("cmeq.4s", is, x, lone)
			a.op("bit.16b", v, nan, is)
			a.op("and.16b", x, x, sign)
			a.op("ushl.4s", x, x, toSign)
			a.op("orr.16b", v, v, x)
		}
		a.store("R0", 4, 5, 6, 7)
	})
	a.line("\tRET")
}

// beyond counts finite numbers with a magnitude above that with the bits most.
func (a *assembler) beyond(floats bool) {
	const most, magnitude, top, count, above, finite = 16, 17, 18, 19, 4, 5
	of, slice := "", "src []byte"
	if floats {
		of, slice = "Floats", "src []float32"
	}
	a.begin("beyond"+of+"NEON", "func("+slice+", n int, most uint32) (count uint64)", 48, "src_base+0", "R1", "n+24", "R2")
	a.line("\tMOVWU most+32(FP), R9")
	a.op("dup.4s", most, 9)
	a.fill(magnitude, 0x7FFFFFFF)
	a.fill(top, 0x7F800000)
	a.fill(count, 0)
	a.loop(func() {
		a.load("R1", 0, 1, 2, 3)
		for v := range uint32(4) {
			a.op("and.16b", v, v, magnitude)
			a.op("cmhi.4s", above, v, most)
			a.op("cmhi.4s", finite, top, v)
			a.op("and.16b", above, above, finite)
			a.op("sub.4s", count, count, above)
		}
	})
	a.op("addv.4s", count, count)
	a.op("fmov.s", 9, count)
	a.line("\tMOVWU R9, R9")
	a.line("\tMOVD R9, count+40(FP)")
	a.line("\tRET")
}
