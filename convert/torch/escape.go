package torch

import (
	"bufio"
	"io"
	"strconv"
)

// An escapedReader reads what text with escapes stands for. It is for long
// text alone: what is short, package pickle has decoded.
type escapedReader struct {
	r    *bufio.Reader
	next func(r *bufio.Reader, p []byte) ([]byte, error) // appends a byte, or a few
	left []byte
	buf  [8]byte
}

func (e *escapedReader) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(e.left) == 0 {
			if e.left, err = e.next(e.r, e.buf[:0]); err != nil {
				return n, err
			}
		}
		k := copy(p[n:], e.left)
		e.left, n = e.left[k:], n+k
	}
	return n, nil
}

// rawUnicode reads a character of raw-unicode-escape (UNICODE of protocol 0)
// that is one of Latin-1.
func rawUnicode(r *bufio.Reader, p []byte) ([]byte, error) {
	c, err := r.ReadByte()
	if err != nil || c != '\\' {
		return append(p, c), err
	}
	digits := 4
	switch c, err = r.ReadByte(); {
	case err == io.EOF:
		return append(p, '\\'), nil
	case err != nil:
		return p, err
	case c == 'U':
		digits = 8
	case c != 'u':
		return append(p, '\\', c), nil
	}
	v, err := number16(r, digits)
	if err == nil && v > 0xff {
		err = errLatin1
	}
	return append(p, byte(v)), err
}

// escaped reads a byte of what Python 2's repr writes (STRING of protocol 0).
func escaped(r *bufio.Reader, p []byte) ([]byte, error) {
	c, err := r.ReadByte()
	if err != nil || c != '\\' {
		return append(p, c), err
	}
	if c, err = r.ReadByte(); err != nil {
		return p, noEOF(err)
	}
	switch c {
	case '\\', '\'', '"':
		return append(p, c), nil
	case 'n':
		return append(p, '\n'), nil
	case 'r':
		return append(p, '\r'), nil
	case 't':
		return append(p, '\t'), nil
	case 'a':
		return append(p, '\a'), nil
	case 'b':
		return append(p, '\b'), nil
	case 'f':
		return append(p, '\f'), nil
	case 'v':
		return append(p, '\v'), nil
	case 'x':
		v, err := number16(r, 2)
		return append(p, byte(v)), err
	case '0', '1', '2', '3', '4', '5', '6', '7':
		v := c - '0'
		for range 2 {
			next, err := r.Peek(1)
			if err != nil || next[0] < '0' || next[0] > '7' {
				break
			}
			v = v<<3 | (next[0] - '0')
			_, _ = r.Discard(1)
		}
		return append(p, v), nil
	}
	return append(p, '\\', c), nil // Python keeps the backslash of an unknown escape
}

// number16 reads hexadecimal digits.
func number16(r *bufio.Reader, digits int) (uint64, error) {
	var b [8]byte
	if _, err := io.ReadFull(r, b[:digits]); err != nil {
		return 0, noEOF(err)
	}
	v, err := strconv.ParseUint(string(b[:digits]), 16, 32)
	if err != nil {
		return 0, errEscape
	}
	return v, nil
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
