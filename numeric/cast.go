package numeric

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"
	"sync/atomic"

	"github.com/tensmith/tensmith/safetensors"
)

// A Cast is a tensor of floats as it is in another float type: a Source itself,
// computed as it is read. As the Data of a safetensors.Entry it is written by
// several workers. Its methods are safe for concurrent use.
//
// What a Cast loses is told by [Scan.Compare] of its source with [Cast.Data].
type Cast struct {
	from Data
	to   safetensors.DType
	mode Overflow
	size int64

	narrows bool // whether there are numbers of from.DType beyond those of to
	over    atomic.Int64
}

// castBuffers are what one call of ReadAt works in.
type castBuffers struct {
	raw    []byte
	narrow [castNumbers]float32
	wide   [castNumbers]float64
}

// freeCasts are buffers of casts that are done: there may be a cast for each of
// a hundred thousand tensors, and hardly any of them at work.
var freeCasts = sync.Pool{New: func() any { return new(castBuffers) }}

// castBytes is about what a cast reads at once.
const castBytes = 256 << 10

// NewCast returns the numbers of data in the float type to. A number that does
// not fit goes the way of mode. For integers and Bool the error is ErrFloat, and
// for C64 unless both types are. A cast to the same type copies, unless it has
// to saturate.
//
// Reading a NaN as F4 or F6, which have none, is a [ValueError] whose Index is
// the number's in the whole tensor.
func NewCast(data Data, to safetensors.DType, mode Overflow) (*Cast, error) {
	numbers, err := data.numbers()
	if err != nil {
		return nil, err
	}
	for _, d := range []safetensors.DType{data.DType, to} {
		if _, ok := LimitsOf(d); !ok || d == safetensors.C64 && data.DType != to {
			return nil, fmt.Errorf("cast of %s to %s: %s: %w", data.DType, to, d, ErrFloat)
		}
	}
	if numbers%groupOf(to).numbers != 0 {
		return nil, fmt.Errorf("%w: %d numbers as %s", ErrSize, numbers, to)
	}
	wide, _ := LimitsOf(data.DType)
	narrow, _ := LimitsOf(to)
	return &Cast{from: data, to: to, mode: mode, size: bytesOf(to, numbers), narrows: wide.Max > narrow.Max}, nil
}

// Size returns the size of the cast data in bytes.
func (c *Cast) Size() int64 { return c.size }

// Overflows returns how many numbers ReadAt and WriteTo have met that are finite
// and of a magnitude beyond the largest of the type that they were cast to. What
// was read twice counts twice.
func (c *Cast) Overflows() int64 { return c.over.Load() }

// Data returns the cast data.
func (c *Cast) Data() Data { return Data{DType: c.to, Source: c, Size: c.size} }

// castNumbers is what is decoded and encoded at a time. It stays in the nearest
// cache, and is a multiple of every group.
const castNumbers = 4096

// ReadAt computes from offset off of the cast data. It implements [io.ReaderAt].
// Eight MiB and more at once go past the caches where a kernel can do that.
func (c *Cast) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fmt.Errorf("offset %d: %w", off, ErrRange)
	}
	if off >= c.size {
		return 0, io.EOF
	}
	short := int64(len(p)) > c.size-off
	if short {
		p = p[:c.size-off]
	}
	b := freeCasts.Get().(*castBuffers)
	defer freeCasts.Put(b)
	if n, err = c.read(b, p, off); err == nil && short {
		err = io.EOF
	}
	return n, err
}

// read fills p, which lies within the data.
func (c *Cast) read(b *castBuffers, p []byte, off int64) (n int, err error) {
	// Four numbers are whole bytes in every type.
	const unit = 4
	stream := len(p) >= streamBytes
	unitBytes := bytesOf(c.to, unit)
	total := c.size / groupOf(c.to).bytes * groupOf(c.to).numbers
	for n < len(p) {
		at := off + int64(n)
		first, skip := at/unitBytes*unit, at%unitBytes
		whole := int64(len(p)-n) / unitBytes * unit
		whole = min(whole, castBytes/bytesOf(c.from.DType, unit)*unit, total-first)
		inside := skip == 0 && whole > 0
		count := whole
		if !inside {
			count = min(unit, total-first)
		}
		raw, err := c.from.read(&b.raw, bytesOf(c.from.DType, first), bytesOf(c.from.DType, count))
		if err != nil {
			return n, err
		}
		if c.narrows {
			if err := c.count(b, raw); err != nil {
				return n, err
			}
		}
		if inside {
			size := int(bytesOf(c.to, count))
			if err := c.convert(b, p[n:n+size], raw, first, stream); err != nil {
				return n, err
			}
			n += size
			continue
		}
		var edge [8 * unit]byte
		size := bytesOf(c.to, count)
		if err := c.convert(b, edge[:size], raw, first, false); err != nil {
			return n, err
		}
		n += copy(p[n:], edge[skip:size])
	}
	return n, nil
}

// count adds to the overflows those of raw.
func (c *Cast) count(b *castBuffers, raw []byte) error {
	limits, _ := LimitsOf(c.to)
	most, n := limits.Max, int64(0)
	switch from := c.from.DType; from {
	case safetensors.F64:
		// Magnitudes are in the order of their bits.
		most := math.Float64bits(most)
		for ; len(raw) >= 8; raw = raw[8:] {
			if bits := binary.LittleEndian.Uint64(raw) &^ (1 << 63); bits > most && bits < 0x7FF<<52 {
				n++
			}
		}
	case safetensors.F32:
		most := math.Float32bits(float32(most))
		for ; len(raw) >= 4; raw = raw[4:] {
			if bits := binary.LittleEndian.Uint32(raw) &^ (1 << 31); bits > most && bits < 0xFF<<23 {
				n++
			}
		}
	default:
		for len(raw) > 0 {
			size := min(int64(len(raw)), bytesOf(from, castNumbers))
			values := b.narrow[:size/groupOf(from).bytes*groupOf(from).numbers]
			if err := Decode(values, from, raw[:size]); err != nil {
				return err
			}
			for _, v := range values {
				if v := math.Abs(float64(v)); v > most && v <= math.MaxFloat64 {
					n++
				}
			}
			raw = raw[size:]
		}
	}
	if n > 0 {
		c.over.Add(n)
	}
	return nil
}

// streamBytes is from where results are written past the caches: no more of them
// would be there when they are read again, and memory is spared being read
// before it is overwritten. Buffers that go to a file right away are smaller.
const streamBytes = 8 << 20

// convert casts raw, which begins with the number given, to dst.
func (c *Cast) convert(b *castBuffers, dst, raw []byte, first int64, stream bool) error {
	from := c.from.DType
	if from == c.to && c.mode == ToSpecial {
		copy(dst, raw)
		return nil
	}
	if from == safetensors.F32 {
		done := int64(encodeKernelBytes(dst, c.to, raw, c.mode, stream))
		dst, raw, first = dst[bytesOf(c.to, done):], raw[4*done:], first+done
	}
	if c.to == safetensors.F32 && c.mode == ToSpecial {
		done := int64(decodeKernelBytes(dst, from, raw, stream))
		dst, raw, first = dst[4*done:], raw[bytesOf(from, done):], first+done
	}
	for len(raw) > 0 {
		size := min(int64(len(raw)), bytesOf(from, castNumbers))
		count := size / groupOf(from).bytes * groupOf(from).numbers
		out := bytesOf(c.to, count)
		var err error
		if exact32(from) {
			err = castStep(dst[:out], c.to, raw[:size], from, b.narrow[:count], c.mode)
		} else {
			err = castStep(dst[:out], c.to, raw[:size], from, b.wide[:count], c.mode)
		}
		var refused *ValueError
		if errors.As(err, &refused) {
			whole := *refused
			whole.Index += int(first)
			return &whole
		}
		if err != nil {
			return err
		}
		dst, raw, first = dst[out:], raw[size:], first+count
	}
	return nil
}

func castStep[T float32 | float64](dst []byte, to safetensors.DType, src []byte, from safetensors.DType, values []T, mode Overflow) error {
	if err := Decode(values, from, src); err != nil {
		return err
	}
	return Encode(dst, to, values, mode)
}

// WriteTo writes the cast data to w. It implements [io.WriterTo].
func (c *Cast) WriteTo(w io.Writer) (written int64, err error) {
	buf := make([]byte, min(c.size, pieceBytes))
	for written < c.size {
		p := buf[:min(int64(len(buf)), c.size-written)]
		if _, err := c.ReadAt(p, written); err != nil {
			return written, err
		}
		n, err := w.Write(p)
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
