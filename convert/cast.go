package convert

import (
	"io"
	"math"
	"sync/atomic"

	"github.com/tensmith/tensmith/numeric"
	"github.com/tensmith/tensmith/safetensors"
)

// sized is data that can be had in order and knows its size.
type sized interface {
	io.WriterTo
	Size() int64
}

// castable tells whether a cast makes of a type another: weights are floats
// of 16 bits or more. Integers and smaller floats mean something by their bits.
func castable(d safetensors.DType) bool {
	switch d {
	case safetensors.F64, safetensors.F32, safetensors.F16, safetensors.BF16:
		return true
	}
	return false
}

// targets are the types to cast to.
func target(d safetensors.DType) bool {
	switch d {
	case safetensors.F8E4M3, safetensors.F8E5M2, safetensors.F8E4M3FNUZ, safetensors.F8E5M2FNUZ:
		return true
	}
	return castable(d)
}

// exact tells whether every value of from is one of to.
func exact(from, to safetensors.DType) bool {
	f, _ := numeric.LimitsOf(from)
	t, _ := numeric.LimitsOf(to)
	return f.Max <= t.Max && f.MinPositive >= t.MinPositive && f.Epsilon >= t.Epsilon && (t.Inf || !f.Inf)
}

// castPiece is how many elements are cast at a time.
const castPiece = 1 << 14

// A cast is data whose elements are rounded to another type as it is written.
type cast struct {
	src      sized
	from, to safetensors.DType
	over     atomic.Int64 // finite numbers that became infinite, or NaN
}

func (c *cast) sizes() (from, to int64) { return int64(c.from.Bits() / 8), int64(c.to.Bits() / 8) }

// Size returns the size in bytes after the cast.
func (c *cast) Size() int64 {
	from, to := c.sizes()
	return c.src.Size() / from * to
}

// round casts whole elements.
func (c *cast) round(dst, src []byte) error {
	from, _ := c.sizes()
	n := len(src) / int(from)
	limits, _ := numeric.LimitsOf(c.to)
	if c.from == safetensors.F64 {
		values := make([]float64, n)
		if err := numeric.Decode(values, c.from, src); err != nil {
			return err
		}
		c.count64(values, limits.Max)
		return numeric.Encode(dst, c.to, values, numeric.ToSpecial)
	}
	values := make([]float32, n)
	if err := numeric.Decode(values, c.from, src); err != nil {
		return err
	}
	if limits.Max < math.MaxFloat32 {
		most, over := float32(limits.Max), int64(0)
		for _, v := range values {
			if (v > most || v < -most) && v-v == 0 {
				over++
			}
		}
		if over > 0 {
			c.over.Add(over)
		}
	}
	return numeric.Encode(dst, c.to, values, numeric.ToSpecial)
}

func (c *cast) count64(values []float64, most float64) {
	over := int64(0)
	for _, v := range values {
		if (v > most || v < -most) && v-v == 0 {
			over++
		}
	}
	if over > 0 {
		c.over.Add(over)
	}
}

// WriteTo implements io.WriterTo.
func (c *cast) WriteTo(w io.Writer) (int64, error) {
	c.over.Store(0)
	cw := &castWriter{c: c, w: w}
	if _, err := c.src.WriteTo(cw); err != nil {
		return cw.n, err
	}
	err := cw.flush()
	return cw.n, err
}

// A castWriter takes bytes as they come.
type castWriter struct {
	c       *cast
	w       io.Writer
	in, out []byte
	n       int64
}

func (w *castWriter) Write(p []byte) (n int, err error) {
	from, _ := w.c.sizes()
	for len(p) > 0 {
		part := p[:min(len(p), castPiece*int(from)-len(w.in))]
		w.in = append(w.in, part...)
		n, p = n+len(part), p[len(part):]
		if len(w.in) == castPiece*int(from) {
			if err := w.flush(); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

func (w *castWriter) flush() error {
	from, to := w.c.sizes()
	size := int64(len(w.in)) / from * to
	w.out = append(w.out[:0], make([]byte, size)...)
	if err := w.c.round(w.out, w.in[:int64(len(w.in))/from*from]); err != nil {
		return err
	}
	w.in = w.in[:0]
	n, err := w.w.Write(w.out)
	w.n += int64(n)
	return err
}

// A castAt is a cast of data that can be read at offsets, so that it can too.
type castAt struct {
	*cast
	at io.ReaderAt
}

// ReadAt implements io.ReaderAt.
func (c castAt) ReadAt(p []byte, off int64) (n int, err error) {
	from, to := c.sizes()
	size := c.Size()
	if off < 0 || off > size {
		return 0, io.EOF
	}
	if int64(len(p)) > size-off {
		p, err = p[:size-off], io.EOF
	}
	in := make([]byte, 0, castPiece*from)
	for len(p) > 0 {
		first := off / to
		count := min(int64(castPiece), (off+int64(len(p))+to-1)/to-first)
		in = in[:count*from]
		if m, err := c.at.ReadAt(in, first*from); m < len(in) {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return n, err
		}
		var m int
		if skip := off - first*to; skip == 0 && int64(len(p)) >= count*to {
			m = int(count * to)
			if err := c.round(p[:m], in); err != nil {
				return n, err
			}
		} else {
			out := make([]byte, count*to)
			if err := c.round(out, in); err != nil {
				return n, err
			}
			m = copy(p, out[skip:])
		}
		n, p, off = n+m, p[m:], off+int64(m)
	}
	return n, err
}

// castTo returns the data as another type.
func castTo(src sized, from, to safetensors.DType) (sized, *cast) {
	c := &cast{src: src, from: from, to: to}
	if at, ok := src.(io.ReaderAt); ok {
		return castAt{c, at}, c
	}
	return c, c
}
