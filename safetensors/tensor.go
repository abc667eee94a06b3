package safetensors

import (
	"fmt"
	"io"
	"math"
	"math/bits"
	"sync"

	"github.com/tensmith/tensmith/internal/memory"
)

// An Info is what a header says of a tensor.
type Info struct {
	Name  string
	DType DType
	Shape []uint64 // elements along each dimension; empty for a scalar
}

// DataSize returns the size of the tensor's data in bytes, or an error if it
// overflows or is no whole number of bytes. The product is taken from left to
// right as the reference implementation takes it, so that a dimension of 0
// does not excuse an overflow before it.
func (i Info) DataSize() (int64, error) {
	n := uint64(1)
	for _, dim := range i.Shape {
		hi, lo := bits.Mul64(n, dim)
		if hi != 0 {
			return 0, fmt.Errorf("%s %d: %w", i.DType, i.Shape, ErrOverflow)
		}
		n = lo
	}
	hi, n := bits.Mul64(n, uint64(i.DType.Bits()))
	switch {
	case !i.DType.valid():
		return 0, fmt.Errorf("%w %d", ErrDType, uint8(i.DType))
	case hi != 0:
		return 0, fmt.Errorf("%s %d: %w", i.DType, i.Shape, ErrOverflow)
	case n%8 != 0:
		return 0, fmt.Errorf("%s %d: %w", i.DType, i.Shape, ErrMisaligned)
	}
	return int64(n / 8), nil
}

// A Tensor is a handle on a tensor of a [File]: nothing of its data is read
// until a method asks for it. It is valid until the file is closed, and safe
// for concurrent use.
type Tensor struct {
	Info
	file       *File
	begin, end int64 // in the file
}

// Size returns the size of the data in bytes.
func (t *Tensor) Size() int64 { return t.end - t.begin }

// Offset returns the offset of the data in its file.
func (t *Tensor) Offset() int64 { return t.begin }

// File returns the file that holds the tensor.
func (t *Tensor) File() *File { return t.file }

// ReadAt reads data from offset off of the tensor, little-endian as it is
// stored. It implements [io.ReaderAt].
func (t *Tensor) ReadAt(p []byte, off int64) (int, error) {
	size := t.Size()
	if off < 0 {
		return 0, fmt.Errorf("tensor %s: negative offset", quote(t.Name))
	}
	if off >= size {
		return 0, io.EOF
	}
	short := int64(len(p)) > size-off
	if short {
		p = p[:size-off]
	}
	n, err := t.file.r.ReadAt(p, t.begin+off)
	switch {
	case n == len(p) && short:
		return n, io.EOF
	case n == len(p):
		return n, nil
	case err == io.EOF:
		err = io.ErrUnexpectedEOF // the file has shrunk since it was opened
	}
	return n, fmt.Errorf("tensor %s: %w", quote(t.Name), err)
}

// Bytes returns the data. Of a file opened by [Map] it is the mapped memory
// itself: not to be written to, nor to be used after the file is closed. Of
// any other file it is a new slice, or an error if the read fails.
func (t *Tensor) Bytes() ([]byte, error) {
	if mapped := t.file.Mapped(); mapped != nil {
		return mapped[t.begin:t.end:t.end], nil
	}
	return readAll(t, t.Name, t.Size())
}

// readAll returns the size bytes of r in new memory.
func readAll(r io.ReaderAt, name string, size int64) ([]byte, error) {
	if size > math.MaxInt {
		return nil, fmt.Errorf("tensor %s: %d bytes are more than fit an address space: %w", quote(name), size, ErrOverflow)
	}
	p := memory.Unset(int(size))
	if n, err := r.ReadAt(p, 0); n < len(p) {
		return nil, err
	}
	return p, nil
}

// WriteTo writes the data to w. It implements [io.WriterTo].
func (t *Tensor) WriteTo(w io.Writer) (int64, error) {
	if mapped := t.file.Mapped(); mapped != nil {
		n, err := w.Write(mapped[t.begin:t.end])
		return int64(n), err
	}
	return copyAt(w, t, t.Size())
}

// buffers holds buffers of copyAt and of slices, which are short-lived.
var buffers = sync.Pool{New: func() any { return new([1 << 20]byte) }}

// copyAt writes the first size bytes of r to w.
func copyAt(w io.Writer, r io.ReaderAt, size int64) (written int64, err error) {
	buf := buffers.Get().(*[1 << 20]byte)
	defer buffers.Put(buf)
	for written < size {
		p := buf[:min(int64(len(buf)), size-written)]
		if n, err := r.ReadAt(p, written); n < len(p) {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return written, err
		}
		n, err := w.Write(p)
		written += int64(n)
		if err != nil {
			return written, err
		}
	}
	return written, nil
}
