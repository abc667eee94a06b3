package main

// Offsets in numeric's struct codeSums.
const (
	codeDigits   = 0 // rows of 64 bytes, the first 16 of which are these kernels'
	codeLeast    = 768
	codeGreatest = 832
	codePositive = 896
	codeZeros    = 1024
	codeTiny     = 1032
	codeNormal   = 1040
)

// tableNibbles is the offset in numeric's struct codeTables of tables of 16, each
// there twice over.
const tableNibbles = 1408

// codes sums up floats of a byte by classes of four exponents, as the kernels for
// AVX2 do: the last four bits find a number, in E4M3 with the one before them, and
// the first four its class. In the unit of its class a number is at most 120.
func (a *assembler) codes(name string, halves bool) {
	const zeros, tiny, numbers, upper, small, weights, parts = 14, 15, 16, 17, 18, 19, 20
	const magnitude, low, normal, bit4, least, greatest, positive, sums = 24, 25, 26, 27, 28, 29, 30, 8
	a.begin(name+"NEON", "func(s *codeSums, src []byte, n int, tables *codeTables)", 48,
		"s+0", "R0", "src_base+8", "R1", "n+32", "R2", "tables+40", "R3")
	for i := range 8 {
		a.line("\tFMOVQ %d(R3), F%d", tableNibbles+32*i, numbers+i)
	}
	a.fill(magnitude, 0x7F7F7F7F)
	a.fill(low, 0x0F0F0F0F)
	a.fill(bit4, 0x10101010)
	a.line("\tMOVBU %d(R0), R9", codeNormal)
	a.op("dup.16b", normal, 9)
	places := a.codePlaces(sums, 6, least, greatest, positive)
	a.fill(zeros, 0)
	a.fill(tiny, 0)
	a.loop(func() {
		const x, number, is, t, first, weight, v = 0, 1, 2, 3, 4, 5, 6
		a.load("R1", x)
		a.op("umin.16b", least, least, x)
		a.op("umax.16b", greatest, greatest, x)
		a.op("smax.16b", positive, positive, x)
		a.op("and.16b", is, x, magnitude)
		a.op("cmeq0.16b", is, is)
		a.op("sadalp.8h", zeros, is) // -1 each
		a.op("and.16b", t, x, low)
		a.op("tbl.16b", number, numbers, t)
		if halves {
			a.op("cmtst.16b", is, x, bit4)
			a.op("tbl.16b", v, upper, t)
			a.op("bit.16b", number, v, is)
		}
		a.op("and.16b", is, x, normal)
		a.op("cmeq0.16b", is, is)
		a.op("sadalp.8h", tiny, is)
		a.op("tbl.16b", v, small, t)
		a.op("bit.16b", number, v, is)
		a.op("ushr.16b", first, x, 4)
		a.op("tbl.16b", weight, weights, first)
		for i := range uint32(4) {
			a.op("tbl.16b", v, parts+i, first) // 0xFF for a class
			a.op("and.16b", v, v, number)
			add := func(other, sum uint32) {
				a.op("smull.8h", t, v, other)
				a.op("smlal2.8h", t, v, other)
				a.op("sadalp.4s", sum, t)
			}
			add(v, sums+2+i)
			if i%2 == 0 {
				add(weight, sums+i/2)
			}
		}
	})
	a.endCodes(places, zeros, tiny)
}

// wholeBytes sums up integers of a byte, u after flipping bits, and the squares of
// what u is above 128.
func (a *assembler) wholeBytes() {
	const flip, middle, zeros, least, greatest, sums = 16, 17, 14, 28, 29, 8
	a.begin("wholeBytesNEON", "func(s *codeSums, src []byte, n int, flip uint32)", 44,
		"s+0", "R0", "src_base+8", "R1", "n+32", "R2")
	a.line("\tMOVWU flip+40(FP), R9")
	a.op("dup.16b", flip, 9)
	a.fill(middle, 0x80808080)
	places := a.codePlaces(sums, 2, least, greatest)
	a.fill(zeros, 0)
	a.loop(func() {
		const u, t, is = 0, 1, 2
		a.load("R1", u)
		a.op("eor.16b", u, u, flip)
		a.op("umin.16b", least, least, u)
		a.op("umax.16b", greatest, greatest, u)
		a.op("cmeq.16b", is, u, flip)
		a.op("sadalp.8h", zeros, is)
		a.op("uaddlp.8h", t, u)
		a.op("uadalp.4s", sums, t)
		a.op("eor.16b", u, u, middle)
		a.op("smull.8h", t, u, u)
		a.op("smlal2.8h", t, u, u)
		a.op("uadalp.4s", sums+1, t) // two squares of 128 have 16 bits
	})
	a.endCodes(places, zeros)
}

// A codePlace is where a register comes from and goes to.
type codePlace struct {
	v      uint32
	offset int
}

// codePlaces loads sums, and what is given of least, greatest and positive.
func (a *assembler) codePlaces(sums uint32, digits int, others ...uint32) (places []codePlace) {
	for i := range digits {
		places = append(places, codePlace{sums + uint32(i), codeDigits + 64*i})
	}
	for i, v := range others {
		places = append(places, codePlace{v, []int{codeLeast, codeGreatest, codePositive}[i]})
	}
	for _, p := range places {
		a.line("\tFMOVQ %d(R0), F%d", p.offset, p.v)
	}
	return places
}

// endCodes stores them, and what was counted down.
func (a *assembler) endCodes(places []codePlace, counts ...uint32) {
	for _, p := range places {
		a.line("\tFMOVQ F%d, %d(R0)", p.v, p.offset)
	}
	for i, v := range counts {
		offset := []int{codeZeros, codeTiny}[i]
		a.op("saddlv.s", v, v)
		a.op("fmov.s", 9, v)
		a.line("\tMOVW R9, R9")
		a.line("\tMOVD %d(R0), R6", offset)
		a.line("\tSUB R9, R6, R6")
		a.line("\tMOVD R6, %d(R0)", offset)
	}
	a.line("\tRET")
}
