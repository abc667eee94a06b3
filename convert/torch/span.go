package torch

import (
	"bytes"
	"io"
)

// A span is a range of bytes that can be read at offsets: the data of most
// tensors. It has what the encoder asks for to copy with several workers.
type span struct {
	r         io.ReaderAt
	off, size int64
}

func memory(b []byte) span { return span{bytes.NewReader(b), 0, int64(len(b))} }

// Size returns the number of bytes.
func (s span) Size() int64 { return s.size }

// ReadAt implements io.ReaderAt.
func (s span) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off > s.size {
		return 0, io.EOF
	}
	if int64(len(p)) <= s.size-off {
		if len(p) == 0 {
			return 0, nil
		}
		n, err := s.r.ReadAt(p, s.off+off)
		if n == len(p) {
			err = nil
		}
		return n, err
	}
	n, err := s.ReadAt(p[:s.size-off], off)
	if err == nil {
		err = io.EOF
	}
	return n, err
}

// WriteTo implements io.WriterTo.
func (s span) WriteTo(w io.Writer) (int64, error) {
	return copyAt(w, s, s.size)
}

func copyAt(w io.Writer, r io.ReaderAt, size int64) (written int64, err error) {
	buf := make([]byte, min(size, 1<<20))
	for written < size {
		part := buf[:min(int64(len(buf)), size-written)]
		if n, err := r.ReadAt(part, written); n < len(part) {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return written, err
		}
		n, err := w.Write(part)
		written += int64(n)
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// sub returns a part, if it lies within.
func (s span) sub(off, size int64) (span, bool) {
	if off < 0 || size < 0 || off > s.size || size > s.size-off {
		return span{}, false
	}
	return span{s.r, s.off + off, size}, true
}

// bytes reads the whole, which the caller knows to be small.
func (s span) bytes() ([]byte, error) {
	b := make([]byte, s.size)
	if n, err := s.ReadAt(b, 0); n < len(b) {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return b, nil
}

// head reads up to n bytes of the beginning.
func (s span) head(n int64) ([]byte, error) {
	s.size = min(s.size, n)
	return s.bytes()
}
