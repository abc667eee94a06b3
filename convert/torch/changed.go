package torch

import "io"

// A changed is a range of bytes whose elements are changed as they are read:
// other byte order, conjugated, negated. It keeps what the encoder needs to
// copy with several workers.
type changed struct {
	span
	elem  int // bytes that apply needs whole
	apply func([]byte)
}

// ReadAt implements io.ReaderAt.
func (c changed) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= c.size {
		if off == c.size && len(p) == 0 {
			return 0, nil
		}
		return 0, io.EOF
	}
	e := int64(c.elem)
	end := min(off+int64(len(p)), c.size)
	first, last := off/e*e, min((end+e-1)/e*e, c.size)
	if first == off && last == end {
		part := p[:end-off]
		n, err := c.span.ReadAt(part, off)
		if n < len(part) {
			return 0, err
		}
		c.apply(part)
		if n < len(p) {
			return n, io.EOF
		}
		return n, nil
	}
	// At most an element more on either side.
	buf := make([]byte, last-first)
	if n, err := c.span.ReadAt(buf, first); n < len(buf) {
		return 0, err
	}
	c.apply(buf)
	n := copy(p, buf[off-first:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteTo implements io.WriterTo.
func (c changed) WriteTo(w io.Writer) (int64, error) { return copyAt(w, c, c.size) }

// swapped reverses the bytes of each word.
func swapped(word int) func([]byte) {
	return func(p []byte) {
		for ; len(p) >= word; p = p[word:] {
			for i, j := 0, word-1; i < j; i, j = i+1, j-1 {
				p[i], p[j] = p[j], p[i]
			}
		}
	}
}

// flipped flips the sign of the little-endian number of that size which
// begins at first in each element: IEEE 754 negation, of zeros and NaN too.
func flipped(elem, first, size int) func([]byte) {
	return func(p []byte) {
		for at := first + size - 1; at < len(p); at += elem {
			p[at] ^= 0x80
		}
	}
}

// negated negates two's complement integers.
func negated(size int) func([]byte) {
	return func(p []byte) {
		for ; len(p) >= size; p = p[size:] {
			carry := 1
			for i := range size {
				v := int(^p[i]) + carry
				p[i], carry = byte(v), v>>8
			}
		}
	}
}

// both applies a, then b; either may be nil.
func both(a, b func([]byte)) func([]byte) {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return func(p []byte) { a(p); b(p) }
}
