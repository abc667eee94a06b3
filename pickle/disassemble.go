package pickle

import (
	"bufio"
	"fmt"
	"io"
	"iter"
	"strings"
)

// Instruction is an opcode as it stands in the file.
type Instruction struct {
	Offset int64
	Size   int64 // in bytes, with the operand
	Op     Op
	// Arg is the operand as pickletools has it, nil if there is none: an
	// integer, a float, text or bytes, a [Range] if it is long, and for GLOBAL
	// and INST the module and the name with a blank between.
	Arg Value
	// Irregular is the kind of what is odd about the bytes, such as
	// KindNumber or KindFrame; zero if nothing is.
	Irregular Kind
}

// String renders the opcode and its operand.
func (in Instruction) String() string {
	if opcodes[in.Op].arg == argNone {
		return in.Op.String()
	}
	return in.Op.String() + " " + string(appendRepr(nil, in.Arg))
}

// Disassemble lists the opcodes of r from offset to end, those of further
// pickles too. It needs no stack, so it also reads what no machine executes.
// At bytes that are no opcode it yields an [*Error] and ends.
func Disassemble(r io.ReaderAt, offset, end int64, lim Limits) iter.Seq2[Instruction, error] {
	return func(yield func(Instruction, error) bool) {
		end := max(end, offset)
		lim := lim.withDefaults(end - offset)
		s := scanner{r: r, base: offset, end: end, lim: lim, mem: &budget{max: lim.Memory}}
		var o operand
		for s.left() > 0 {
			s.mem.used = 0 // nothing is kept, so the budget is one operand's
			err := s.next(&o)
			if err != nil {
				yield(Instruction{Offset: o.off, Op: o.op}, &Error{Offset: o.off, Op: o.op, Err: err})
				return
			}
			if o.op == opStop {
				s.frameEnd = 0
			}
			if !yield(o.instruction(s.offset()-o.off), nil) {
				return
			}
		}
	}
}

func (o *operand) instruction(size int64) Instruction {
	in := Instruction{Offset: o.off, Size: size, Op: o.op}
	switch {
	case o.frame:
		in.Irregular = KindFrame
	case o.odd && (o.op == opString || o.op == opUnicode):
		in.Irregular = KindText
	case o.odd:
		in.Irregular = KindNumber
	}
	switch opcodes[o.op].arg {
	case argNone:
	case argF64, argFloatLine:
		in.Arg = o.f
	case argLines:
		in.Arg = string(o.first) + " " + string(o.data)
	case argU64:
		in.Arg = o.n // a frame's length, which fits
	case argStr1, argStr4, argStr8, argUTF1, argUTF4, argUTF8, argStringLine, argUnicodeLine, argLine:
		in.Arg, _ = o.stringValue()
	default:
		in.Arg = o.intValue()
	}
	return in
}

// Dump writes the opcodes of r from offset to end as Python's pickletools.dis
// does. A pickle that follows is headed by a line, and bytes that are no
// opcodes are told by a line too; offsets are absolute. The error is about
// the first pickle, or of w.
func Dump(w io.Writer, r io.ReaderAt, offset, end int64, lim Limits) error {
	out := bufio.NewWriter(w)
	l := listing{w: out, start: offset}
	var failed error
	for in, err := range Disassemble(r, offset, end, lim) {
		if err == nil {
			l.add(in)
			continue
		}
		fmt.Fprintf(out, "%5d: %d bytes not read: %v\n", in.Offset, end-in.Offset, err)
		if l.pickles == 0 {
			failed = err
		}
	}
	if failed == nil && l.pickles == 0 {
		failed = &Error{Offset: end, Err: errShort}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	return failed
}

// listing follows the marks, which the lines are indented by.
type listing struct {
	w       *bufio.Writer
	start   int64
	pickles int
	marks   []listMark
	depth   int // of the stack
	memo    int64
	keys    map[int64]bool
	proto   uint8
	inside  bool // of a pickle
}

type listMark struct {
	offset int64
	depth  int
}

func (l *listing) add(in Instruction) {
	if !l.inside {
		l.inside = true
		l.keys, l.memo, l.proto, l.depth, l.marks = map[int64]bool{}, 0, 0, 0, l.marks[:0]
		if l.pickles > 0 {
			fmt.Fprintf(l.w, "pickle %d at byte %d\n", l.pickles+1, in.Offset)
		}
	}
	info := &opcodes[in.Op]
	l.proto = max(l.proto, info.proto)
	// Indentation ends where it helps nobody; deep nesting would cost
	// quadratic space.
	indent := min(len(l.marks), 100)
	fmt.Fprintf(l.w, "%5d: %-4s %s%s", in.Offset, opByte(in.Op), strings.Repeat("    ", indent), info.name)
	note := l.note(in, info)
	if info.arg != argNone || note != "" {
		l.w.WriteString(strings.Repeat(" ", max(0, 10-len(info.name))))
	}
	if info.arg != argNone {
		l.w.WriteByte(' ')
		l.w.Write(appendRepr(nil, in.Arg))
	}
	if note != "" {
		l.w.WriteString(" " + note)
	}
	l.w.WriteByte('\n')
	if in.Op == opMark {
		l.marks = append(l.marks, listMark{in.Offset, l.depth})
	}
	if in.Op == opStop {
		fmt.Fprintf(l.w, "highest protocol among opcodes = %d\n", l.proto)
		l.inside = false
		l.pickles++
	}
}

// note applies the effect on the stack and returns what is said behind the
// operand.
func (l *listing) note(in Instruction, info *opInfo) (note string) {
	n := len(l.marks)
	onMark := in.Op == opPop && n > 0 && l.marks[n-1].depth == l.depth
	switch {
	case info.mark && n == 0:
		note = "no MARK exists on stack"
	case info.mark || onMark:
		note = fmt.Sprintf("(MARK at %d)", l.marks[n-1].offset)
		l.depth = l.marks[n-1].depth
		l.marks = l.marks[:n-1]
	}
	switch in.Op {
	case opMemoize:
		note = fmt.Sprintf("(as %d)", l.memo)
		l.define(l.memo)
	case opPut, opBinput, opLongBinput:
		if key, ok := in.Arg.(int64); ok {
			l.define(key)
		}
	}
	if !onMark {
		l.depth = max(0, l.depth-int(info.pops))
	}
	if in.Op != opMark {
		l.depth += int(info.push)
	}
	return note
}

func (l *listing) define(key int64) {
	if !l.keys[key] {
		l.keys[key] = true
		l.memo++
	}
}

// opByte renders the byte of an opcode as the inside of a Python string.
func opByte(op Op) string {
	if op < ' ' || op > '~' {
		return fmt.Sprintf(`\x%02x`, byte(op))
	}
	return string(rune(op))
}
