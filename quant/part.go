package quant

import (
	"io"
	"math"
	"math/bits"

	"github.com/tensmith/tensmith/numeric"
	"github.com/tensmith/tensmith/safetensors"
)

// A part is a tensor that a weight is made of: the packed one or a companion.
type part struct {
	safetensors.Info
	at    io.ReaderAt
	count int64 // of elements
}

// newPart checks that an entry can be read at offsets.
func newPart(e safetensors.Entry) (*part, error) {
	size, err := e.DataSize()
	if err != nil {
		return nil, fault(e.Name, ErrShape, "%v", err)
	}
	p := &part{Info: e.Info, count: size * 8 / int64(e.DType.Bits())}
	if sized, ok := e.Data.(interface{ Size() int64 }); ok && sized.Size() != size {
		return nil, fault(e.Name, ErrShape, "%s %d takes %d bytes, the data is %d", e.DType, e.Shape, size, sized.Size())
	}
	at, ok := e.Data.(io.ReaderAt)
	if !ok && size > 0 {
		return nil, fault(e.Name, ErrMissing, "its data cannot be read at offsets")
	}
	p.at = at
	return p, nil
}

// bytes reads size bytes at an offset, which lie within the data.
func (p *part) bytes(buf *[]byte, off, size int64) ([]byte, error) {
	if int64(cap(*buf)) < size {
		*buf = make([]byte, size)
	}
	b := (*buf)[:size]
	if err := p.readFull(b, off); err != nil {
		return nil, err
	}
	return b, nil
}

func (p *part) readFull(b []byte, off int64) error {
	if len(b) == 0 {
		return nil
	}
	n, err := p.at.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return &Error{Tensor: p.Name, Err: err}
}

// numbers reads the elements from first on into dst. Both ends are whole bytes.
func (p *part) numbers(buf *[]byte, dst []float32, first int64) error {
	width := int64(p.DType.Bits())
	raw, err := p.bytes(buf, first*width/8, int64(len(dst))*width/8)
	if err != nil {
		return err
	}
	if err := numeric.Decode(dst, p.DType, raw); err != nil {
		return &Error{Tensor: p.Name, Err: err}
	}
	return nil
}

// strided reads n runs of width bytes, the first at off and each stride bytes
// behind the one before, one after the other into dst. Runs that lie close are
// read at once.
func (p *part) strided(buf *[]byte, dst []byte, off, width, stride int64) error {
	const most, close = 256 << 10, 2 << 10
	if width == stride {
		return p.readFull(dst, off)
	}
	for len(dst) > 0 {
		if stride > width+close {
			if err := p.readFull(dst[:width], off); err != nil {
				return err
			}
			dst, off = dst[width:], off+stride
			continue
		}
		n := min(int64(len(dst))/width, max(1, most/stride))
		raw, err := p.bytes(buf, off, (n-1)*stride+width)
		if err != nil {
			return err
		}
		for i := range n {
			copy(dst[i*width:(i+1)*width], raw[i*stride:])
		}
		dst, off = dst[n*width:], off+n*stride
	}
	return nil
}

// single reads the one number of a part.
func (p *part) single() (float32, error) {
	if p.count != 1 {
		return 0, fault(p.Name, ErrShape, "%d holds %d numbers in the place of one", p.Shape, p.count)
	}
	var buf []byte
	var one [1]float32
	err := p.numbers(&buf, one[:], 0)
	return one[0], err
}

// isFloat tells whether a type can be one of scales.
func isFloat(d safetensors.DType) bool {
	_, ok := numeric.LimitsOf(d)
	return ok && d.Bits() >= 8 && d != safetensors.C64
}

// dims returns a shape as int64, and their product, which is below 2^60.
func dims(shape []uint64) (list []int64, n int64, ok bool) {
	n = 1
	for _, d := range shape {
		hi, lo := bits.Mul64(uint64(n), d)
		if hi != 0 || lo > math.MaxInt64>>3 || d > math.MaxInt64>>3 {
			return nil, 0, false
		}
		n = int64(lo)
		list = append(list, int64(d))
	}
	return list, n, true
}

// ceil is a/b, rounded up.
func ceil(a, b int64) int64 {
	if a == 0 {
		return 0
	}
	return (a-1)/b + 1
}
