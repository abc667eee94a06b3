package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// beyond counts finite numbers with a magnitude above that with the bits most.
func (k *kind) beyond() {
	name := "beyond" + k.name
	TEXT(name, NOSPLIT, "func(src []byte, n int, most uint32) (count uint64)")
	src := Load(Param("src").Base(), GP64())
	n := Load(Param("n"), GP64()).(GPVirtual)
	most := k.broadcast32(Load(Param("most"), GP32()).(GPVirtual))
	magnitude, top := k.constant32(0x7FFFFFFF), k.constant32(0x7F800000)
	count := GP64()
	XORQ(count, count)
	loop(name, n, castStep, func() {
		for offset := 0; offset < 4*castStep; offset += k.bytes() {
			a, r := k.vector(), GP32()
			k.load32(at(src, offset), a)
			k.and(magnitude, a, a)
			if k.wide {
				above := K()
				VPCMPUD(Imm(6), most, a, above)
				VPCMPUD(Imm(1), top, a, above, above)
				KMOVW(above, r)
			} else {
				above, finite := YMM(), YMM()
				VPCMPGTD(most, a, above)
				VPCMPGTD(a, top, finite)
				VPAND(finite, above, above)
				VMOVMSKPS(above, r)
			}
			POPCNTL(r, r)
			ADDQ(r.As64(), count)
		}
		ADDQ(U32(4*castStep), src)
	})
	Store(count, ReturnIndex(0))
	VZEROUPPER()
	RET()
	k.alias("beyond", "beyondFloats", "func(src []float32, n int, most uint32) (count uint64)")
}
