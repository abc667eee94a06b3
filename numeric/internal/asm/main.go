// Command asm writes the kernels of package numeric for amd64:
//
//	go run . -out ../../kernel_amd64.s
//
// It is a module of its own so that the library does not depend on its
// generator. The Go prototypes are in numeric's kernel_amd64.go, and so is what
// each kernel has to do; here is how. Go's order of operands holds: the
// destination is last.
//
// Every kernel takes whole steps of 16 numbers and leaves the rest to the plain
// loop. There are two of each: AVX2 with FMA and F16C, and AVX-512 with F, BW,
// DQ and VL.
package main

import (
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

func main() {
	ConstraintExpr("!purego")
	processor()
	for _, k := range []*kind{avx2, avx512} {
		for _, e := range elements {
			k.lanes(e)
		}
		k.tiny()
		for _, f := range formats {
			k.narrow(f)
		}
		k.widenBF16()
		k.widenF16()
		k.widenE4M3()
		k.copyF32()
		k.pairs()
	}
	Generate()
}

// A kind is an instruction set.
type kind struct {
	name string
	wide bool
}

var (
	avx2   = &kind{name: "AVX2"}
	avx512 = &kind{name: "AVX512", wide: true}
)

// processor reads what the processor and the system can do.
func processor() {
	TEXT("cpuid", NOSPLIT, "func(leaf, part uint32) (a, b, c, d uint32)")
	Load(Param("leaf"), EAX)
	Load(Param("part"), ECX)
	CPUID()
	for i, r := range []Register{EAX, EBX, ECX, EDX} {
		Store(r, ReturnIndex(i))
	}
	RET()

	TEXT("xgetbv", NOSPLIT, "func() (a uint32)")
	XORL(ECX, ECX)
	XGETBV()
	Store(EAX, ReturnIndex(0))
	RET()
}

// alias gives a kernel a second name with other types of slices, whose lengths
// it does not use.
func (k *kind) alias(name, second, signature string) {
	TEXT(second+k.name, NOSPLIT, signature)
	Instruction(&ir.Instruction{Opcode: "JMP", Operands: []Op{LabelRef("·" + name + k.name + "(SB)")}, IsTerminal: true})
}

// loop runs body once for every 16 numbers. n counts numbers.
func loop(name string, n GPVirtual, body func()) {
	SHRQ(Imm(4), n)
	JZ(LabelRef(name + "_done"))
	Label(name + "_loop")
	body()
	DECQ(n)
	JNZ(LabelRef(name + "_loop"))
	Label(name + "_done")
}

// vector returns a register of the kind.
func (k *kind) vector() VecVirtual {
	if k.wide {
		return ZMM()
	}
	return YMM()
}

// constant32 fills a register with a number.
func (k *kind) constant32(v uint32) VecVirtual {
	r := GP32()
	MOVL(U32(v), r)
	return k.broadcast32(r)
}

func (k *kind) broadcast32(r GPVirtual) VecVirtual {
	v := k.vector()
	if k.wide {
		VPBROADCASTD(r, v)
		return v
	}
	x := XMM()
	VMOVD(r, x)
	VPBROADCASTD(x, v)
	return v
}

// half fills a 256-bit register with a 16-bit number.
func half(r GPVirtual) VecVirtual {
	x, y := XMM(), YMM()
	VMOVD(r, x)
	VPBROADCASTW(x, y)
	return y
}

func constantHalf(v uint16) VecVirtual {
	r := GP32()
	MOVL(U32(v), r)
	return half(r)
}

func at(base Register, offset int) Mem { return Mem{Base: base, Disp: offset} }
