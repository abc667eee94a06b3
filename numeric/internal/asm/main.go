// Command asm writes the kernels of package numeric for amd64 and arm64:
//
//	go run . -out ../../kernel_amd64.s
//	go run . -arm64 ../../kernel_arm64.s
//
// It is a module of its own so that the library does not depend on its
// generator. The Go prototypes are in numeric's kernel_amd64.go, and so is what
// each kernel has to do; here is how. Go's order of operands holds: the
// destination is last.
//
// Every kernel takes whole steps of 16 or 64 numbers and leaves the rest to the
// plain loop. There are two of most for amd64: AVX2 with FMA and F16C, and
// AVX-512 with F, BW, DQ and VL. Those called VNNI also need VBMI, VBMI2 and GFNI.
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
			if k.wide {
				pairsNarrow("pairs"+e.name+k.name, e, e)
			} else {
				k.pairs(e)
			}
			k.loss(e)
		}
		k.pairs(element{"F64", 8})
		for _, stream := range []bool{false, true} {
			k.narrow(stream)
			k.widen(stream)
		}
		k.copyF32()
		k.beyond()
	}
	pairsNarrow("pairsCodesVNNI", element{"Codes", 1}, element{"Codes", 1})
	closePairs("closeHalves", true)
	closePairs("closeQuarters", false)
	for _, e := range elements[1:] {
		pairsNarrow("pairs"+e.name+"F32AVX512", e, elements[0])
		pairsNarrow("pairsF32"+e.name+"AVX512", elements[0], e)
	}
	for _, stream := range []bool{false, true} {
		narrowBytes(stream)
		narrowWords(stream)
		widenWords("fromCode", "func(dst, src []byte, n int, p *uint32)", true, stream)
		widenWords("wordsOfCode", "func(dst, src []byte, n int, p *uint32)", false, stream)
		widenWords2(stream)
	}
	classes("codesHalves", true)
	classes("codesQuarters", false)
	classes2("codesHalves", true)
	classes2("codesQuarters", false)
	codes()
	wholeBytes()
	wholeBytes2()
	wide()
	wide2()
	Generate()
}

// A kind is an instruction set.
type kind struct {
	name  string
	wide  bool
	high  VecVirtual // of the kernel that is being written: highest magnitudes
	order map[string]Mem
}

var (
	avx2   = &kind{name: "AVX2", order: map[string]Mem{}}
	avx512 = &kind{name: "AVX512", wide: true, order: map[string]Mem{}}
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

	TEXT("skew", NOSPLIT, "func(p []byte) (bytes int)")
	p := Load(Param("p").Base(), GP64())
	ANDQ(Imm(63), p)
	Store(p, ReturnIndex(0))
	RET()
}

// alias gives a kernel a second name with other types of slices, whose lengths
// it does not use.
func (k *kind) alias(name, second, signature string) {
	TEXT(second+k.name, NOSPLIT, signature)
	jump(name + k.name)
}

// jump leaves for another kernel.
func jump(name string) {
	Instruction(&ir.Instruction{Opcode: "JMP", Operands: []Op{LabelRef("·" + name + "(SB)")}, IsTerminal: true})
}

// loop runs body once for every step of numbers, a power of two. n counts
// numbers.
func loop(name string, n GPVirtual, step uint64, body func()) {
	shift := uint64(0)
	for 1<<shift < step {
		shift++
	}
	SHRQ(Imm(shift), n)
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

func (k *kind) bytes() int {
	if k.wide {
		return 64
	}
	return 32
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

func (k *kind) broadcast16(r GPVirtual) VecVirtual {
	v := k.vector()
	if k.wide {
		VPBROADCASTW(r, v)
		return v
	}
	x := XMM()
	VMOVD(r, x)
	VPBROADCASTW(x, v)
	return v
}

func (k *kind) constant16(v uint16) VecVirtual {
	r := GP32()
	MOVL(U32(v), r)
	return k.broadcast16(r)
}

// filled fills a register with a parameter of 32 bits.
func (k *kind) filled(p Register, offset int) VecVirtual {
	v := k.vector()
	VPBROADCASTD(at(p, offset), v)
	return v
}

// lazy does so once for all where there are 32 registers, and anew for each use
// where there are 16.
func (k *kind) lazy(p Register, offset int) func() VecVirtual {
	if k.wide {
		v := k.filled(p, offset)
		return func() VecVirtual { return v }
	}
	return func() VecVirtual { return k.filled(p, offset) }
}

// lazy32 is a lazy constant.
func (k *kind) lazy32(name string, v uint32) func() VecVirtual {
	load := func() VecVirtual {
		r := k.vector()
		k.load32(k.data(name, func(int) uint32 { return v }), r)
		return r
	}
	if k.wide {
		r := k.constant32(v)
		return func() VecVirtual { return r }
	}
	return load
}

// count loads a parameter by which to shift.
func (k *kind) count(p Register, offset int) VecVirtual {
	x := XMM()
	VMOVD(at(p, offset), x)
	return x
}

func (k *kind) zero(v VecVirtual) {
	if k.wide {
		VPXORD(v, v, v)
	} else {
		VPXOR(v, v, v)
	}
}

// highest returns the highest of the numbers in k.high, of 16 or 32 bits.
func (k *kind) highest(words bool) GPVirtual {
	most := func(a, b, c Op) { VPMAXUD(a, b, c) }
	if words {
		most = func(a, b, c Op) { VPMAXUW(a, b, c) }
	}
	y, x, other := k.high, XMM(), XMM()
	if k.wide {
		y = YMM()
		VEXTRACTI64X4(Imm(1), k.high, y)
		most(k.high.AsY(), y, y)
	}
	VEXTRACTI128(Imm(1), y, x)
	most(y.AsX(), x, x)
	VPSHUFD(Imm(0x4E), x, other)
	most(other, x, x)
	VPSHUFD(Imm(0xB1), x, other)
	most(other, x, x)
	r := GP32()
	VMOVD(x, r)
	if words {
		upper := GP32()
		MOVL(r, upper)
		SHRL(Imm(16), upper)
		ANDL(U32(0xFFFF), r)
		CMPL(upper, r)
		CMOVLHI(upper, r)
	}
	return r
}

func (k *kind) load32(m Mem, v VecVirtual) {
	if k.wide {
		VMOVDQU32(m, v)
	} else {
		VMOVDQU(m, v)
	}
}

func (k *kind) and(a, b, c VecVirtual) {
	if k.wide {
		VPANDD(a, b, c)
	} else {
		VPAND(a, b, c)
	}
}

// quarters is the order in which the 64 bits of packed words belong.
func (k *kind) quarters() VecVirtual {
	v := k.vector()
	k.load32(k.data("quarters", func(i int) uint32 {
		if i%2 != 0 {
			return 0
		}
		q := i / 2
		return uint32(q*2%8 + q/4)
	}), v)
	return v
}

// fours is the order in which the 32 bits of bytes packed twice belong.
func (k *kind) fours() VecVirtual {
	n := k.bytes() / 16 // lanes of 128 bits
	v := k.vector()
	k.load32(k.data("fours", func(i int) uint32 { return uint32(i%n*4 + i/n) }), v)
	return v
}

// data places words that fill a register in the program.
func (k *kind) data(name string, word func(i int) uint32) Mem {
	name += k.name
	if m, ok := k.order[name]; ok {
		return m
	}
	m := GLOBL(name, RODATA|NOPTR)
	for i := range k.bytes() / 4 {
		DATA(4*i, U32(word(i)))
	}
	k.order[name] = m
	return m
}

func at(base Register, offset int) Mem { return Mem{Base: base, Disp: offset} }
