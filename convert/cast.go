package convert

import (
	"errors"
	"fmt"
	"io"

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

// A cast is data whose elements are rounded to another type as it is read.
type cast struct {
	*numeric.Cast
	from, to safetensors.DType
	before   *sum // of what is read, or nil
	src      io.ReaderAt
	size     int64 // of src
}

// Casts are those of the entries, nil for one that stays as it is; or nil.
type casts []*cast

func (c casts) of(i int) *cast {
	if c == nil {
		return nil
	}
	return c[i]
}

// numbers returns the cast itself, at each call one that counts for itself.
func (c *cast) numbers() (*numeric.Cast, error) {
	return numeric.NewCast(numeric.Data{DType: c.from, Source: c.src, Size: c.size}, c.to, numeric.ToSpecial)
}

var errOrder = errors.New("data is not read in order")

// castTo returns the data as another type. What can only stream will stream.
func castTo(src sized, from, to safetensors.DType) (sized, *cast, error) {
	c := &cast{from: from, to: to, size: src.Size()}
	var f *feed
	var ok bool
	if c.src, ok = src.(io.ReaderAt); !ok {
		f = &feed{c: c}
		c.src = f
	}
	var err error
	if c.Cast, err = c.numbers(); err != nil {
		return nil, nil, err
	}
	if f != nil {
		return streamed{c, src, f}, c, nil
	}
	return c, c, nil
}

// A streamed is a cast of data that cannot be read at offsets, and cannot be
// either.
type streamed struct {
	c    *cast
	src  sized
	feed *feed
}

// Size returns the size in bytes after the cast.
func (s streamed) Size() int64 { return s.c.Size() }

// WriteTo implements io.WriterTo.
func (s streamed) WriteTo(w io.Writer) (int64, error) {
	r, in := io.Pipe()
	s.feed.r, s.feed.at = r, 0
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, err := s.src.WriteTo(in)
		in.CloseWithError(err)
	}()
	defer func() {
		r.Close()
		<-ended
	}()
	n, err := s.c.WriteTo(w)
	if err != nil {
		return n, err
	}
	if more, err := r.Read(make([]byte, 1)); more > 0 {
		return n, fmt.Errorf("%w: there is more data than dtype and shape take", safetensors.ErrSize)
	} else if err != io.EOF {
		return n, err
	}
	return n, nil
}

// A feed is data in order that a cast reads as if at offsets.
type feed struct {
	c  *cast
	r  io.Reader
	at int64
}

// ReadAt implements io.ReaderAt for the offset that is next.
func (f *feed) ReadAt(p []byte, off int64) (int, error) {
	if off != f.at {
		return 0, fmt.Errorf("%w: offset %d after %d", errOrder, off, f.at)
	}
	n, err := io.ReadFull(f.r, p)
	f.at += int64(n)
	if f.c.before != nil && n > 0 {
		f.c.before.take(p[:n])
	}
	return n, err
}
