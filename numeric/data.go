package numeric

import (
	"fmt"
	"io"

	"github.com/tensmith/tensmith/safetensors"
)

// Data are the elements of a tensor, packed and little-endian, where they lie.
// A Tensor or Slice of package safetensors is a Source; so are a [Cast] and, for
// what is in memory already, [Memory].
type Data struct {
	DType  safetensors.DType
	Source io.ReaderAt // read at offsets, by several goroutines at a time
	Size   int64       // in bytes
}

// Memory is a Source that is read without being copied. It suits what
// Tensor.Bytes returns of a file that safetensors.Map opened.
type Memory []byte

// ReadAt implements [io.ReaderAt].
func (m Memory) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("offset %d: %w", off, ErrRange)
	}
	if off >= int64(len(m)) {
		return 0, io.EOF
	}
	n := copy(p, m[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// A group is the least run of elements that fills whole bytes.
type group struct{ numbers, bytes int64 }

// groupOf returns the group of a type. A C64 element is two numbers.
func groupOf(d safetensors.DType) group {
	switch d {
	case safetensors.F4:
		return group{2, 1}
	case safetensors.F6E2M3, safetensors.F6E3M2:
		return group{4, 3}
	case safetensors.C64:
		return group{2, 8}
	}
	return group{1, int64(d.Bits() / 8)}
}

// numbers returns how many there are.
func (d Data) numbers() (int64, error) {
	if d.DType.Bits() == 0 {
		return 0, fmt.Errorf("%w: %s", safetensors.ErrDType, d.DType)
	}
	g := groupOf(d.DType)
	if d.Size < 0 || d.Size%g.bytes != 0 || d.Size>>61 != 0 {
		return 0, fmt.Errorf("%w: %d bytes of %s", ErrSize, d.Size, d.DType)
	}
	if m, ok := d.Source.(Memory); ok && d.Size > int64(len(m)) {
		return 0, fmt.Errorf("%w: %d bytes in a Memory of %d", ErrSize, d.Size, len(m))
	}
	return d.Size / g.bytes * g.numbers, nil
}

// bytesOf returns the size in bytes of n numbers that fill whole bytes.
func bytesOf(d safetensors.DType, n int64) int64 {
	g := groupOf(d)
	return n / g.numbers * g.bytes
}

// read returns size bytes from offset off on. They are in *buf, which grows to
// hold them, unless they are in memory already.
func (d Data) read(buf *[]byte, off, size int64) ([]byte, error) {
	if m, ok := d.Source.(Memory); ok {
		return m[off : off+size], nil
	}
	if int64(cap(*buf)) < size {
		*buf = make([]byte, size)
	}
	p := (*buf)[:size]
	n, err := d.Source.ReadAt(p, off)
	switch {
	case n == len(p):
		return p, nil
	case err == nil || err == io.EOF:
		err = io.ErrUnexpectedEOF
	}
	return nil, fmt.Errorf("reading %d bytes at %d: %w", size, off, err)
}
