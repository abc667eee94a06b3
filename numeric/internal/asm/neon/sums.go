package main

// Offsets in numeric's struct lanes.
const (
	laneSum    = 0
	laneMin    = 256
	laneMax    = 320
	laneZeros  = 384
	laneTiny   = 392
	laneNormal = 400
)

// lanes adds numbers to 16 partial sums, in registers 16 to 23, and their squares,
// in 24 to 31.
func (a *assembler) lanes(element string, size int) {
	const least, greatest, zeros, tiny, magnitude, normal = 8, 9, 10, 11, 12, 13
	a.begin("lanes"+element+"NEON", "func(l *lanes, src []byte, n int)", 40, "l+0", "R0", "src_base+8", "R1", "n+32", "R2")
	a.line("\tADD $%d, R0, R3", laneSum)
	for r := uint32(16); r < 32; r += 4 {
		a.load("R3", r, r+1, r+2, r+3)
	}
	a.line("\tADD $%d, R0, R4", laneMin)
	a.line("\tADD $%d, R0, R5", laneMax)
	a.line("\tVLD1 (R4), [V8.B16]")
	a.line("\tVLD1 (R5), [V9.B16]")
	a.fill(zeros, 0)
	a.fill(tiny, 0)
	a.fill(magnitude, 0x7FFFFFFF)
	a.field(normal, "R0", laneNormal)
	a.loop(func() {
		a.loadFloats("R1", element, size, 0, 4)
		for v := range uint32(4) {
			const m, low, high = 4, 6, 7
			a.op("fmin.4s", least, least, v)
			a.op("fmax.4s", greatest, greatest, v)
			a.op("and.16b", m, v, magnitude)
			a.op("cmhi.4s", 5, normal, m)
			a.op("sub.4s", tiny, tiny, 5)
			a.op("cmeq0.4s", 5, m)
			a.op("sub.4s", zeros, zeros, 5)
			a.op("fcvtl.2d", low, v)
			a.op("fcvtl2.2d", high, v)
			a.op("fadd.2d", 16+2*v, 16+2*v, low)
			a.op("fadd.2d", 17+2*v, 17+2*v, high)
			a.op("fmla.2d", 24+2*v, low, low)
			a.op("fmla.2d", 25+2*v, high, high)
		}
	})
	// Without a step these are not loaded; a caller gives at least one.
	a.line("\tADD $%d, R0, R3", laneSum)
	for r := uint32(16); r < 32; r += 4 {
		a.store("R3", r, r+1, r+2, r+3)
	}
	a.line("\tVST1 [V8.B16], (R4)")
	a.line("\tVST1 [V9.B16], (R5)")
	for _, c := range []struct {
		v      uint32
		offset int
	}{{zeros, laneZeros}, {tiny, laneTiny}} {
		a.op("addv.4s", c.v, c.v)
		a.op("fmov.s", 9, c.v)
		a.line("\tMOVWU R9, R9")
		a.line("\tMOVD %d(R0), R6", c.offset)
		a.line("\tADD R9, R6, R6")
		a.line("\tMOVD R6, %d(R0)", c.offset)
	}
	a.line("\tRET")
}
