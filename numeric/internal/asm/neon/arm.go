package main

import (
	"bytes"
	"fmt"
	"log"
	"slices"
	"strings"
)

// A form says where the operands of a word go.
type form uint8

const (
	three   form = iota // Vd, Vn, Vm
	two                 // Vd, Vn
	general             // Vd, Rn
	scalar              // Rd, Vn
	left                // Vd, Vn, #shift, from 0 up in the immediate
	right               // Vd, Vn, #shift, from twice the size down
)

// words are the instructions that Go's assembler does not know, or not in this
// arrangement: Arm Architecture Reference Manual for A-profile, C7.
var words = map[string]struct {
	word uint32
	form form
	base uint32 // of the shift, in bits 16 and up
}{
	"add.4s":    {0x4EA08400, three, 0},
	"sub.4s":    {0x6EA08400, three, 0},
	"cmhi.4s":   {0x6EA03400, three, 0},
	"cmhs.4s":   {0x6EA03C00, three, 0},
	"cmeq.4s":   {0x6EA08C00, three, 0},
	"umin.4s":   {0x6EA06C00, three, 0},
	"umax.4s":   {0x6EA06400, three, 0},
	"ushl.4s":   {0x6EA04400, three, 0},
	"and.16b":   {0x4E201C00, three, 0},
	"bic.16b":   {0x4E601C00, three, 0},
	"orr.16b":   {0x4EA01C00, three, 0},
	"bit.16b":   {0x6EA01C00, three, 0}, // Vd where Vm is not, Vn where it is
	"fadd.4s":   {0x4E20D400, three, 0},
	"fadd.2d":   {0x4E60D400, three, 0},
	"fsub.4s":   {0x4EA0D400, three, 0},
	"fmul.4s":   {0x6E20DC00, three, 0},
	"fmla.2d":   {0x4E60CC00, three, 0},
	"fsub.2d":   {0x4EE0D400, three, 0},
	"fmul.2d":   {0x6E60DC00, three, 0},
	"fdiv.2d":   {0x6E60FC00, three, 0},
	"fmax.2d":   {0x4E60F400, three, 0},
	"fmaxnm.2d": {0x4E60C400, three, 0},
	"fcmge.2d":  {0x6E60E400, three, 0},
	"fcmgt.2d":  {0x6EE0E400, three, 0},
	"fcmeq.2d":  {0x4E60E400, three, 0},
	"sub.2d":    {0x6EE08400, three, 0},
	"fabs.2d":   {0x4EE0F800, two, 0},
	"not.16b":   {0x6E205800, two, 0},
	"addp.d":    {0x5EF1B800, two, 0},
	"dup.2d":    {0x4E080C00, general, 0},
	"fmov.d":    {0x9E660000, scalar, 0},
	"fmin.4s":   {0x4EA0F400, three, 0},
	"fmax.4s":   {0x4E20F400, three, 0},
	"fcmeq.4s":  {0x4E20E400, three, 0},
	"cmeq0.4s":  {0x4EA09800, two, 0},
	"fcvtn.4h":  {0x0E216800, two, 0},
	"fcvtl.4s":  {0x0E217800, two, 0},
	"fcvtl2.4s": {0x4E217800, two, 0},
	"fcvtl.2d":  {0x0E617800, two, 0},
	"fcvtl2.2d": {0x4E617800, two, 0},
	"ucvtf.4s":  {0x6E21D800, two, 0},
	"xtn.4h":    {0x0E612800, two, 0},
	"xtn2.8h":   {0x4E612800, two, 0},
	"xtn.8b":    {0x0E212800, two, 0},
	"xtn2.16b":  {0x4E212800, two, 0},
	"shll.4s":   {0x2E613800, two, 0}, // by 16
	"shll2.4s":  {0x6E613800, two, 0},
	"addv.4s":   {0x4EB1B800, two, 0},
	"umaxv.4s":  {0x6EB0A800, two, 0},
	"dup.4s":    {0x4E040C00, general, 0},
	"fmov.s":    {0x1E260000, scalar, 0},
	"ushll.4s":  {0x2F00A400, left, 16},
	"ushll2.4s": {0x6F00A400, left, 16},
	"ushll.8h":  {0x2F00A400, left, 8},
	"ushll2.8h": {0x6F00A400, left, 8},
	"ushr.4s":   {0x6F000400, right, 64},
	"ushr.16b":  {0x6F000400, right, 16},

	"sshll.4s":  {0x0F00A400, left, 16},
	"sshll2.4s": {0x4F00A400, left, 16},
	"sshll.2d":  {0x0F00A400, left, 32},
	"sshll2.2d": {0x4F00A400, left, 32},
	"ushll.2d":  {0x2F00A400, left, 32},
	"ushll2.2d": {0x6F00A400, left, 32},
	"scvtf.2d":  {0x4E61D800, two, 0},
	"ucvtf.2d":  {0x6E61D800, two, 0},
	"fmin.2d":   {0x4EE0F400, three, 0},
	"cmhi.2d":   {0x6EE03400, three, 0},
	"cmeq0.2d":  {0x4EE09800, two, 0},

	"dup.16b":   {0x4E010C00, general, 0},
	"eor.16b":   {0x6E201C00, three, 0},
	"umin.16b":  {0x6E206C00, three, 0},
	"umax.16b":  {0x6E206400, three, 0},
	"smax.16b":  {0x4E206400, three, 0},
	"cmeq.16b":  {0x6E208C00, three, 0},
	"cmeq0.16b": {0x4E209800, two, 0},
	"cmtst.16b": {0x4E208C00, three, 0},
	"tbl.16b":   {0x4E000000, three, 0}, // Vd, table, index
	"smull.8h":  {0x0E20C000, three, 0},
	"smlal2.8h": {0x4E208000, three, 0},
	"uaddlp.8h": {0x6E202800, two, 0},
	"uadalp.4s": {0x6E606800, two, 0},
	"sadalp.4s": {0x4E606800, two, 0},
	"sadalp.8h": {0x4E206800, two, 0},
	"saddlv.s":  {0x4E703800, two, 0}, // of 8 words
}

// An assembler writes Go assembly.
type assembler struct{ text bytes.Buffer }

func (a *assembler) line(format string, operands ...any) {
	fmt.Fprintf(&a.text, format+"\n", operands...)
}

func (a *assembler) op(name string, operands ...uint32) {
	w, ok := words[name]
	if !ok {
		log.Fatalf("neon: no instruction %s", name)
	}
	word := w.word | operands[0] | operands[1]<<5
	switch w.form {
	case three:
		word |= operands[2] << 16
	case left:
		word |= (w.base + operands[2]) << 16
	case right:
		word |= (w.base - operands[2]) << 16
	}
	a.line("\tWORD $0x%08X // %s %s", word, name, strings.Trim(fmt.Sprint(operands), "[]"))
}

// fill fills a vector with a number of 32 bits.
func (a *assembler) fill(v, number uint32) {
	a.line("\tMOVW $0x%X, R9", number)
	a.op("dup.4s", v, 9)
}

// field fills a vector with a field of 32 bits.
func (a *assembler) field(v uint32, base string, offset int) {
	a.line("\tMOVWU %d(%s), R9", offset, base)
	a.op("dup.4s", v, 9)
}

// begin opens a kernel of which src, dst and n are in R1, R0 and R2; n are steps
// of 16 numbers then.
func (a *assembler) begin(name, signature string, arguments int, moves ...string) {
	a.line("\n// %s", signature)
	a.line("TEXT ·%s(SB), NOSPLIT, $0-%d", name, arguments)
	for i := 0; i < len(moves); i += 2 {
		a.line("\tMOVD %s(FP), %s", moves[i], moves[i+1])
	}
	a.line("\tLSR $4, R2, R2")
	a.line("\tCBZ R2, done")
}

func (a *assembler) loop(body func()) {
	a.line("loop:")
	body()
	a.line("\tSUB $1, R2, R2")
	a.line("\tCBNZ R2, loop")
	a.line("done:")
}

// load and store move registers that follow each other, of 16 bytes.
func (a *assembler) load(base string, registers ...uint32) {
	a.line("\tVLD1.P %d(%s), %s", 16*len(registers), base, list(registers))
}

func (a *assembler) store(base string, registers ...uint32) {
	a.line("\tVST1.P %s, %d(%s)", list(registers), 16*len(registers), base)
}

func list(registers []uint32) string {
	var names []string
	for _, r := range registers {
		names = append(names, fmt.Sprintf("V%d.B16", r))
	}
	return "[" + strings.Join(slices.Clip(names), ", ") + "]"
}
