package pickle

import (
	"bytes"
	"io"
)

// window is the size of the buffer through which a file is read. Only a line
// longer than it makes it grow. It begins smaller, for much that is read is no
// pickle, and ends after a few opcodes: the numbers of tensors, in a scan.
const (
	window      = 64 << 10
	firstWindow = 4 << 10
)

// scanner reads opcodes and their operands from a file, in order. It knows no
// stack: the machine and the disassembler both stand on it.
type scanner struct {
	r        io.ReaderAt
	end      int64  // of the input
	base     int64  // offset of buf[0]
	buf      []byte // bytes read
	pos      int    // next byte of buf
	lim      Limits
	mem      *budget
	work     *int64 // what is left, or nil
	ahead    int64  // bytes to read next, or 0
	frameEnd int64  // 0 outside of a frame
	first    []byte // the module of a pair of lines, which the second may push out of buf
}

func (s *scanner) offset() int64 { return s.base + int64(s.pos) }

func (s *scanner) left() int64 { return s.end - s.offset() }

// need makes n bytes available at pos.
func (s *scanner) need(n int) error {
	if len(s.buf)-s.pos >= n {
		return nil
	}
	return s.fill(n)
}

func (s *scanner) fill(n int) error {
	left := s.left()
	if int64(n) > left {
		return errShort
	}
	size := cap(s.buf)
	switch {
	case size < window:
		size = max(n, int(min(max(8*int64(size), firstWindow), window, left)))
	case n > size:
		size = max(2*size, n)
	}
	if size > cap(s.buf) {
		if size > window {
			if err := s.mem.take(int64(size)); err != nil {
				return err
			}
		}
		grown := make([]byte, len(s.buf)-s.pos, size)
		copy(grown, s.buf[s.pos:])
		s.base, s.pos, s.buf = s.offset(), 0, grown
	}
	have := copy(s.buf[:cap(s.buf)], s.buf[s.pos:])
	s.base, s.pos = s.offset(), 0
	want := int(min(int64(cap(s.buf)), left))
	if s.ahead > 0 {
		want = min(want, max(have+n, int(s.ahead)))
		s.ahead *= 4
	}
	s.buf = s.buf[:want]
	k, err := s.r.ReadAt(s.buf[have:], s.base+int64(have))
	s.buf = s.buf[:have+k]
	if !spend(s.work, workRead+int64(k)/perWork) && s.work != nil {
		return workLimit(0)
	}
	if have+k >= n {
		return nil
	}
	return readError(err)
}

// readError is for a read that gave less than the size of the input promises.
func readError(err error) error {
	if err == nil || err == io.EOF {
		return errShort
	}
	return err
}

// skip moves over n bytes, which must be left.
func (s *scanner) skip(n int64) {
	if n <= int64(len(s.buf)-s.pos) {
		s.pos += int(n)
		return
	}
	// Behind what was skipped little is read, for the next thing may be skipped too.
	s.base, s.pos, s.buf, s.ahead = s.offset()+n, 0, s.buf[:0], firstWindow
}

// counted reads the n bytes of a string into o.
func (s *scanner) counted(o *operand, n uint64) error {
	if n > uint64(s.left()) {
		return errShort
	}
	switch {
	case n > uint64(s.lim.String):
		o.long = Range{o.op, s.offset(), int64(n)}
		s.skip(int64(n))
	case n <= window:
		if err := s.need(int(n)); err != nil {
			return err
		}
		o.data = s.buf[s.pos : s.pos+int(n)]
		s.pos += int(n)
	default:
		if err := s.mem.take(rounded(int(n))); err != nil {
			return err
		}
		o.data, o.own = make([]byte, n), true
		off := s.offset()
		if k, err := s.r.ReadAt(o.data, off); k < len(o.data) {
			return readError(err)
		}
		s.skip(int64(n))
	}
	return nil
}

// line reads up to a newline, which it drops. A line over the limit becomes a
// range if o may have one.
func (s *scanner) line(o *operand, mayBeLong bool) ([]byte, error) {
	limit := s.lim.String
	for scanned := 0; ; {
		if i := bytes.IndexByte(s.buf[s.pos+scanned:], '\n'); i >= 0 && int64(scanned+i) <= limit {
			b := s.buf[s.pos : s.pos+scanned+i]
			s.pos += scanned + i + 1
			return b, nil
		}
		scanned = len(s.buf) - s.pos
		if int64(scanned) > limit {
			if !mayBeLong {
				return nil, &LimitError{"String", limit}
			}
			return nil, s.longLine(o)
		}
		if err := s.fill(scanned + 1); err != nil {
			return nil, err
		}
	}
}

func (s *scanner) longLine(o *operand) error {
	start := s.offset()
	for {
		if i := bytes.IndexByte(s.buf[s.pos:], '\n'); i >= 0 {
			s.pos += i
			o.long = Range{o.op, start, s.offset() - start}
			s.pos++
			return nil
		}
		s.pos = len(s.buf)
		if err := s.fill(1); err != nil {
			return err
		}
	}
}
