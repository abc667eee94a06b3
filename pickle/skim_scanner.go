package pickle

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
)

// skimmed is an opcode with as much of its operand as a name or a key of the
// memo needs.
type skimmed struct {
	op          Op
	off, n      int64
	first, data []byte
	long        bool // data was left out
}

// skimScanner is a scanner that decodes no operands.
type skimScanner struct {
	r     io.ReaderAt
	base  int64 // offset of buf[0]
	end   int64
	pos   int
	buf   []byte
	lent  bool // buf is a scanner's
	first []byte
	work  *int64 // what is left
	ended int64  // where a line begins that has no end, or 0
	ahead int64  // bytes to read next
}

func (s *skimScanner) offset() int64 { return s.base + int64(s.pos) }

// need makes n bytes available, of which there are fewer than half a window.
func (s *skimScanner) need(n int) error {
	if len(s.buf)-s.pos >= n {
		return nil
	}
	left := s.end - s.offset()
	if int64(n) > left {
		return errShort
	}
	rest := s.buf[s.pos:]
	s.base, s.pos = s.offset(), 0
	// Behind what was skipped little is read, for the next thing may be skipped too.
	size := int(min(left, max(s.ahead, int64(n), firstWindow)))
	s.ahead = min(4*int64(size), window)
	if room := int(min(left, window)); s.lent || cap(s.buf) < room {
		s.buf, s.lent = make([]byte, 0, room), false
	}
	have := copy(s.buf[:cap(s.buf)], rest)
	s.buf = s.buf[:max(size, have)]
	m, err := s.r.ReadAt(s.buf[have:], s.base+int64(have))
	s.buf = s.buf[:have+m]
	if *s.work -= workRead + int64(m)/perRead; *s.work < 0 {
		return workLimit(0)
	}
	if len(s.buf) >= n {
		return nil
	}
	return readError(err)
}

func (s *skimScanner) skip(n int64) {
	if n <= int64(len(s.buf)-s.pos) {
		s.pos += int(n)
		return
	}
	s.base, s.pos, s.buf, s.ahead = s.offset()+n, 0, s.buf[:0], firstWindow
}

func (s *skimScanner) next(o *skimmed) error {
	if s.pos == len(s.buf) {
		if err := s.need(1); err != nil {
			return err
		}
	}
	o.op, o.off, o.data, o.long = Op(s.buf[s.pos]), s.offset(), nil, false
	*s.work -= workSkim
	info := &opcodes[o.op]
	if info.arg == argNone {
		if info.name == "" {
			return malformed("no opcode 0x%02x", byte(o.op))
		}
		s.pos++
		return nil
	}
	s.pos++
	return s.operand(o, info.arg)
}

func (s *skimScanner) operand(o *skimmed, kind argKind) (err error) {
	size := [...]int{argU8: 1, argU16: 2, argI32: 4, argU32: 4, argU64: 8, argF64: 8, argLong1: 1, argLong4: 4,
		argStr1: 1, argStr4: 4, argStr8: 8, argUTF1: 1, argUTF4: 4, argUTF8: 8}[kind]
	if size == 0 {
		return s.lines(o, kind)
	}
	if err := s.need(size); err != nil {
		return err
	}
	b := s.buf[s.pos:]
	s.pos += size
	switch size {
	case 1:
		o.n = int64(b[0])
	case 2:
		o.n = int64(binary.LittleEndian.Uint16(b))
	case 4:
		o.n = int64(binary.LittleEndian.Uint32(b))
	case 8:
		o.n = int64(binary.LittleEndian.Uint64(b))
	}
	switch kind {
	case argU8, argU16, argI32, argU32, argU64, argF64:
		return nil
	}
	if o.n < 0 || o.n > s.end-s.offset() {
		return errShort
	}
	if o.n > skimText {
		o.long = true
		s.skip(o.n)
		return nil
	}
	if err := s.need(int(o.n)); err != nil {
		return err
	}
	o.data = s.buf[s.pos : s.pos+int(o.n)]
	s.pos += int(o.n)
	return nil
}

// lines reads the operands that are lines.
func (s *skimScanner) lines(o *skimmed, kind argKind) error {
	line, whole, err := s.line()
	if err != nil {
		return err
	}
	*s.work -= workLine + int64(len(line))/2
	o.long = !whole
	switch kind {
	case argLines:
		s.first = append(s.first[:0], line...)
		o.first = s.first
		if o.data, _, err = s.line(); err != nil {
			return err
		}
	case argIntLine:
		if o.op != opInt {
			if o.n, _, err = parseMemoKey(line, 4300); errors.Is(err, ErrLimit) {
				o.n, err = skimKeys, nil // a key that is not remembered
			}
		}
	case argStringLine, argUnicodeLine:
		o.data = line
	}
	return err
}

// skimLine is how much is known of a line that does not fit the window. What a name
// is, its first parts tell.
const skimLine = 4 << 10

// line reads a line, or the beginning of one that does not fit the window.
func (s *skimScanner) line() (line []byte, whole bool, err error) {
	if s.ended != 0 && s.offset() >= s.ended {
		return nil, false, errShort
	}
	begin := s.offset()
	for searched := 0; ; {
		if i := bytes.IndexByte(s.buf[s.pos+searched:], '\n'); i >= 0 {
			b := s.buf[s.pos : s.pos+searched+i : s.pos+searched+i]
			s.pos += searched + i + 1
			return b, true, nil
		}
		searched = len(s.buf) - s.pos
		if searched >= window {
			b := bytes.Clone(s.buf[s.pos : s.pos+skimLine])
			s.pos = len(s.buf)
			if err := s.restOfLine(); err != nil {
				s.ended = max(begin, 1)
				return nil, false, err
			}
			return b, false, nil
		}
		if err := s.need(searched + 1); err != nil {
			s.ended = max(begin, 1) // or all lines that begin here would be read to the end
			return nil, false, err
		}
	}
}

func (s *skimScanner) restOfLine() error {
	for {
		if i := bytes.IndexByte(s.buf[s.pos:], '\n'); i >= 0 {
			s.pos += i + 1
			return nil
		}
		s.pos = len(s.buf)
		if err := s.need(1); err != nil {
			return err
		}
	}
}
