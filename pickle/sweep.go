package pickle

import "io"

// sweepResumed is how often a sweep goes on at the byte behind what it cannot read.
const sweepResumed = 64

// Sweep calls visit for names that can be [Dangerous] among the opcodes from offset
// on, as [Skim] does, where these are no whole pickle: behind the place where one
// breaks off for some readers and not for others. There is no stack, so the two
// strings before STACK_GLOBAL are taken for its operands. What is no opcode, or has no
// whole operand, is passed over byte by byte, but not for long. The error is a
// [LimitError] if nothing is left of work before that.
func Sweep(r io.ReaderAt, offset, end int64, work *int64, visit func(*Symbol)) error {
	most := *work
	k := skimmer{skimScanner: skimScanner{r: r, base: offset, end: max(end, offset), work: work}, visit: visit}
	var texts [2]uint16
	o := &k.o
	for resumed := 0; resumed < sweepResumed && k.offset() < k.end; {
		if *work <= 0 {
			return workLimit(most)
		}
		if err := k.next(o); err != nil {
			*work -= workResume
			resumed++
			k.rewind(o.off + 1)
			continue
		}
		switch o.op {
		case opProto:
			k.proto = uint8(o.n)
		case opGlobal, opInst:
			k.name(o.first, o.data)
		case opStackGlobal:
			k.join(texts[0], texts[1])
		case opString, opUnicode, opBinstring, opShortBinstring, opBinunicode, opShortBinunicode, opBinunicode8:
			texts[0], texts[1] = texts[1], k.text(k.decoded())
		}
	}
	return nil
}

// rewind goes back to an offset.
func (s *skimScanner) rewind(offset int64) {
	if offset < s.base {
		s.base, s.pos, s.buf = offset, 0, s.buf[:0]
		return
	}
	s.pos = int(offset - s.base)
}
