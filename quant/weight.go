package quant

import (
	"errors"
	"fmt"
	"io"

	"github.com/tensmith/tensmith/describe"
	"github.com/tensmith/tensmith/numeric"
	"github.com/tensmith/tensmith/safetensors"
)

// A Weight is a packed weight as the floats it stands for: an [io.ReaderAt]
// and an [io.WriterTo], computed as it is read. As the Data of a
// safetensors.Entry it is written by several workers. Its methods are safe for
// concurrent use.
//
// Its name and shape are those that the unpacked model has: output, input for a
// linear layer. The experts of gpt-oss (four-dimensional _blocks) are turned
// over, to [experts, input, output], as transformers has them.
type Weight struct {
	safetensors.Info
	Packed *describe.Tensor // what it is packed in

	from *reading
}

// A reading is what a weight is computed by.
type reading struct {
	m   *Model
	dec decoder // nil of weights that are small: it is made again when they are read
}

// smallWeight is up to how many bytes a weight keeps no decoder, which is larger than
// all else that is known of it. Of so small ones there may be a hundred thousand,
// and they are read at once.
const smallWeight = 64 << 10

// A decoder computes elements of a weight.
type decoder interface {
	// decode computes the elements from first on, which is a multiple of
	// align. There are at most step of them, a multiple of align unless the
	// weight ends.
	decode(b *buffers, dst []float32, first int64) error
	// step is how many elements are worth to be computed at a time.
	step() int64
}

// align is where computing begins: whole bytes of every packing.
const align = 64

// maxStep bounds the buffers of a reader.
const maxStep = 1 << 19

// buffers are what one reader works in.
type buffers struct {
	values, scale, zero, bias, lead []float32
	books                           []float32 // code books, of readers that keep them
	kept                            *part     // what they are read from
	raw, scratch, band              []byte
	index                           []int32
}

// grow returns n elements of a buffer.
func grow[T any](buf *[]T, n int64) []T {
	if int64(cap(*buf)) < n {
		*buf = make([]T, n)
	}
	return (*buf)[:n]
}

func newWeight(info safetensors.Info, of *companions, dec decoder) (*Weight, error) {
	switch info.DType {
	case safetensors.F64, safetensors.F32, safetensors.F16, safetensors.BF16:
	default:
		return nil, fault(info.Name, ErrDType, "%s is not F32, F16, BF16 or F64", info.DType)
	}
	size, err := info.DataSize()
	if err != nil {
		return nil, fault(info.Name, ErrShape, "%v", err)
	}
	w := &Weight{Info: info, Packed: of.t, from: of.m.remade}
	if size > smallWeight {
		w.from = &reading{of.m, dec}
	}
	return w, nil
}

// Size returns the size of the floats in bytes.
func (w *Weight) Size() int64 {
	size, _ := w.DataSize() // which newWeight has asked for
	return size
}

// Data returns the floats as package numeric reads them.
func (w *Weight) Data() numeric.Data {
	return numeric.Data{DType: w.DType, Source: w, Size: w.Size()}
}

// ReadAt computes from offset off on. It implements [io.ReaderAt].
func (w *Weight) ReadAt(p []byte, off int64) (n int, err error) {
	size := w.Size()
	switch {
	case off < 0:
		return 0, fmt.Errorf("offset %d: %w", off, numeric.ErrRange)
	case off >= size:
		return 0, io.EOF
	}
	short := int64(len(p)) > size-off
	if short {
		p = p[:size-off]
	}
	b := freeBuffers.Get().(*buffers)
	defer freeBuffers.Put(b)
	dec := w.from.dec
	if dec == nil {
		if dec, _, err = makers[w.Packed.Packing.Scheme](&companions{w.from.m, w.Packed}); err != nil {
			return 0, w.explain(err)
		}
	}
	for n < len(p) {
		m, err := w.read(b, dec, p[n:], off+int64(n))
		if err != nil {
			return n, w.explain(err)
		}
		n += m
	}
	if short {
		err = io.EOF
	}
	return n, err
}

// read computes some of p, which lies within the data.
func (w *Weight) read(b *buffers, dec decoder, p []byte, off int64) (int, error) {
	width := int64(w.DType.Bits() / 8)
	wanted, skip := off/width, off%width
	first := wanted &^ (align - 1)
	end := min((off+int64(len(p))+width-1)/width, first+dec.step())
	whole := min(w.Size()/width, (end+align-1)&^(align-1))
	values := grow(&b.values, whole-first)
	if err := dec.decode(b, values, first); err != nil {
		return 0, err
	}
	values = values[wanted-first : end-first]
	size := int64(len(values)) * width
	if skip == 0 && size <= int64(len(p)) {
		return int(size), numeric.Encode(p[:size], w.DType, values, numeric.ToSpecial)
	}
	// The piece begins or ends inside of an element.
	edge := grow(&b.band, size)
	if err := numeric.Encode(edge, w.DType, values, numeric.ToSpecial); err != nil {
		return 0, err
	}
	return copy(p, edge[skip:]), nil
}

// explain makes an error name the weight if it names no tensor.
func (w *Weight) explain(err error) error {
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	return &Error{Tensor: w.Name, Err: err}
}

// WriteTo writes the floats to dst. It implements [io.WriterTo].
func (w *Weight) WriteTo(dst io.Writer) (int64, error) { return writeTo(dst, w, w.Size()) }

// writeTo copies what is computed at offsets.
func writeTo(dst io.Writer, src io.ReaderAt, size int64) (written int64, err error) {
	buf := make([]byte, min(size, 1<<20))
	for written < size {
		p := buf[:min(int64(len(buf)), size-written)]
		if n, err := src.ReadAt(p, written); n < len(p) {
			return written, err
		}
		n, err := dst.Write(p)
		written += int64(n)
		if err != nil {
			return written, err
		}
		if n < len(p) {
			return written, io.ErrShortWrite
		}
	}
	return written, nil
}
