package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// loss sums up what rounding float32 has cost. None was too large for the type
// that they were rounded to: the differences are then float32, exactly, and so
// all squares are exact in a float64.
func (k *kind) loss(e element) {
	name := "loss" + e.name + k.name
	TEXT(name, NOSPLIT, "func(p *byte, a, b []byte, n int)")
	p := Load(Param("p"), GP64())
	left, right := Load(Param("a").Base(), GP64()), Load(Param("b").Base(), GP64())
	n := Load(Param("n"), GP64()).(GPVirtual)
	var errors, squares []VecVirtual
	for offset := 0; offset < 128; offset += k.bytes() {
		e, s := k.vector(), k.vector()
		VMOVUPD(at(p, pairErrors+offset), e)
		VMOVUPD(at(p, pairA+offset), s)
		errors, squares = append(errors, e), append(squares, s)
	}
	magnitude, most := k.constant32(0x7FFFFFFF), k.vector()
	k.zero(most)
	numbers := k.bytes() / 4
	loop(name, n, 16, func() {
		for i := 0; i < 16; i += numbers {
			x, d := k.load(elements[0], at(left, 4*i)), k.load(e, at(right, e.size*i))
			VSUBPS(d, x, d)
			part := 2 * i / numbers
			for j, wide := range k.halves(x) {
				VFMADD231PD(wide, wide, squares[part+j])
			}
			for j, wide := range k.halves(d) {
				VFMADD231PD(wide, wide, errors[part+j])
			}
			k.and(magnitude, d, d)
			VMAXPS(d, most, most)
		}
		ADDQ(Imm(64), left)
		ADDQ(Imm(uint64(16*e.size)), right)
	})
	for i := range errors {
		VMOVUPD(errors[i], at(p, pairErrors+i*k.bytes()))
		VMOVUPD(squares[i], at(p, pairA+i*k.bytes()))
	}
	// Which of the 16 maxima is the greatest does not matter.
	for i, wide := range k.halves(most) {
		VMAXPD(at(p, pairMaxAbs+i*k.bytes()), wide, wide)
		VMOVUPD(wide, at(p, pairMaxAbs+i*k.bytes()))
	}
	VZEROUPPER()
	RET()
	if e.size == 4 {
		k.alias("loss", "lossFloats", "func(p *byte, a []byte, b []float32, n int)")
	}
}
