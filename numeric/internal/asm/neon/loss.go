package main

// loss sums up what rounding float32 has cost, as the kernels for amd64 do: squares
// of numbers in registers 16 to 23, and of what is left of them in 24 to 31.
func (a *assembler) loss(element string, size int, slice string) {
	const low, high, magnitude, most = 8, 9, 10, 11
	a.begin("loss"+element+"NEON", "func(p *pairs, a []byte, b "+slice+", n int)", 64,
		"p+0", "R0", "a_base+8", "R1", "b_base+32", "R3", "n+56", "R2")
	sums := func(move func(base string, registers ...uint32)) {
		for _, f := range []struct {
			offset int
			first  uint32
		}{{pairA, 16}, {pairErrors, 24}} {
			a.line("\tADD $%d, R0, R4", f.offset)
			for r := f.first; r < f.first+8; r += 4 {
				move("R4", r, r+1, r+2, r+3)
			}
		}
	}
	sums(a.load)
	a.fill(magnitude, 0x7FFFFFFF)
	a.fill(most, 0)
	a.loop(func() {
		a.load("R1", 0, 1, 2, 3)
		a.loadFloats("R3", element, size, 4, low)
		for v := range uint32(4) {
			d := 4 + v
			a.op("fsub.4s", d, v, d)
			for i, x := range []uint32{v, d} {
				first := 16 + 8*uint32(i) + 2*v
				a.op("fcvtl.2d", low, x)
				a.op("fcvtl2.2d", high, x)
				a.op("fmla.2d", first, low, low)
				a.op("fmla.2d", first+1, high, high)
			}
			a.op("and.16b", d, d, magnitude)
			a.op("umax.4s", most, most, d)
		}
	})
	// Without a step these are not loaded; a caller gives at least one.
	sums(a.store)
	// Which of the 16 maxima is the greatest does not matter.
	a.op("fcvtl.2d", low, most)
	a.op("fcvtl2.2d", high, most)
	for i, v := range []uint32{low, high} {
		a.line("\tFMOVQ %d(R0), F0", pairMaxAbs+16*i)
		a.op("fmax.2d", v, v, 0)
		a.line("\tFMOVQ F%d, %d(R0)", v, pairMaxAbs+16*i)
	}
	a.line("\tRET")
}

// loadFloats loads 16 numbers as float32 into registers from first on. Numbers of 16
// bits come by way of two others.
func (a *assembler) loadFloats(base, element string, size int, first, by uint32) {
	if size == 4 {
		a.load(base, first, first+1, first+2, first+3)
		return
	}
	low, high := "shll.4s", "shll2.4s"
	if element == "F16" {
		low, high = "fcvtl.4s", "fcvtl2.4s"
	}
	a.load(base, by, by+1)
	for i := range uint32(2) {
		a.op(low, first+2*i, by+i)
		a.op(high, first+2*i+1, by+i)
	}
}
