package main

// Offsets in numeric's struct wideLanes.
const (
	wideSum    = 0
	wideMin    = 256
	wideMax    = 320
	wideHigh   = 384
	wideZeros  = 448
	wideTiny   = 456
	wideNormal = 464
)

// wide adds numbers as float64 to 16 partial sums, in registers 16 to 23, and their
// squares, in 24 to 31: these are not always exact, and rounded before they are
// added. One pair of places for least, greatest and highest is enough.
func (a *assembler) wide(element string, size int) {
	const least, greatest, zeros, tiny, highest, normal = 8, 9, 10, 11, 12, 13
	a.begin("wide"+element+"NEON", "func(l *wideLanes, src []byte, n int)", 40, "l+0", "R0", "src_base+8", "R1", "n+32", "R2")
	a.line("\tADD $%d, R0, R3", wideSum)
	for r := uint32(16); r < 32; r += 4 {
		a.load("R3", r, r+1, r+2, r+3)
	}
	places := []struct {
		v      uint32
		offset int
	}{{least, wideMin}, {greatest, wideMax}, {highest, wideHigh}}
	for _, p := range places {
		a.line("\tFMOVQ %d(R0), F%d", p.offset, p.v)
	}
	a.fill(zeros, 0)
	a.fill(tiny, 0)
	a.line("\tMOVD %d(R0), R9", wideNormal)
	a.op("dup.2d", normal, 9)
	sign, convert := "u", "ucvtf.2d"
	if element[0] == 'I' {
		sign, convert = "s", "scvtf.2d"
	}
	// number leaves numbers i and i+1 of eight that are in registers from 0 on.
	number := func(i uint32) uint32 {
		const v = 4
		switch size {
		case 8:
			if element != "F64" {
				a.op(convert, i/2, i/2)
			}
			return i / 2
		case 4:
			a.op([]string{sign + "shll.2d", sign + "shll2.2d"}[i/2%2], v, i/4, 0)
		default:
			if i%4 == 0 {
				a.op([]string{sign + "shll.4s", sign + "shll2.4s"}[i/4], 5, 0, 0)
			}
			a.op([]string{sign + "shll.2d", sign + "shll2.2d"}[i/2%2], v, 5, 0)
		}
		a.op(convert, v, v)
		return v
	}
	a.loop(func() {
		for half := range uint32(2) {
			a.load("R1", []uint32{0, 1, 2, 3}[:size/2]...)
			for i := range uint32(4) {
				const m, is = 6, 7
				v, sum := number(2*i), 16+4*half+i
				a.op("fadd.2d", sum, sum, v)
				a.op("fmin.2d", least, least, v)
				a.op("fmax.2d", greatest, greatest, v)
				a.op("fmul.2d", m, v, v)
				a.op("fadd.2d", 8+sum, 8+sum, m)
				a.op("fabs.2d", m, v)
				a.op("cmhi.2d", is, m, highest)
				a.op("bit.16b", highest, m, is)
				a.op("cmhi.2d", is, normal, m)
				a.op("sub.2d", tiny, tiny, is)
				a.op("cmeq0.2d", is, m)
				a.op("sub.2d", zeros, zeros, is)
			}
		}
	})
	// Without a step these are not loaded; a caller gives at least one.
	a.line("\tADD $%d, R0, R3", wideSum)
	for r := uint32(16); r < 32; r += 4 {
		a.store("R3", r, r+1, r+2, r+3)
	}
	for _, p := range places {
		a.line("\tFMOVQ F%d, %d(R0)", p.v, p.offset)
	}
	for _, c := range []struct {
		v      uint32
		offset int
	}{{zeros, wideZeros}, {tiny, wideTiny}} {
		a.op("addp.d", c.v, c.v)
		a.op("fmov.d", 9, c.v)
		a.line("\tMOVD %d(R0), R6", c.offset)
		a.line("\tADD R9, R6, R6")
		a.line("\tMOVD R6, %d(R0)", c.offset)
	}
	a.line("\tRET")
}
