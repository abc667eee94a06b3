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
// What a Cast loses is told by [Scan.Loss].
type Cast struct {
	from Data
	to   safetensors.DType
	mode Overflow
	size int64

	narrows bool    // whether there are numbers of from.DType beyond those of to
	most    float64 // the greatest of to
	over    atomic.Int64

	measures atomic.Bool
	mu       sync.Mutex
	losses   *losses // nil before there are any, and when loss is known
	loss     *Loss
}

// castBuffers are what one call of ReadAt works in.
type castBuffers struct {
	raw    []byte
	narrow [castNumbers]float32
	wide   [castNumbers]float64

	// What measuring takes besides. A call of convert leaves how many numbers
	// kernels have rounded, and whether one may have been too large for the type.
	rounded    int64
	beyond     bool
	quiet      bool // it is not to count overflows
	cast       []byte
	castNarrow [castNumbers]float32
	castWide   [castNumbers]float64
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
	return &Cast{from: data, to: to, mode: mode, size: bytesOf(to, numbers), narrows: wide.Max > narrow.Max, most: narrow.Max}, nil
}

// Size returns the size of the cast data in bytes.
func (c *Cast) Size() int64 { return c.size }

// Overflows returns how many numbers ReadAt and WriteTo have met that are finite
// and of a magnitude beyond the largest of the type that they were cast to. What
// was read twice counts twice.
func (c *Cast) Overflows() int64 { return c.over.Load() }

// numbers returns how many there are.
func (c *Cast) numbers() int64 { return c.size / groupOf(c.to).bytes * groupOf(c.to).numbers }

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
	measures := c.measures.Load()
	stream := len(p) >= streamBytes && !measures
	unitBytes := bytesOf(c.to, unit)
	total := c.numbers()
	for n < len(p) {
		at := off + int64(n)
		first, skip := at/unitBytes*unit, at%unitBytes
		whole := int64(len(p)-n) / unitBytes * unit
		whole = min(whole, castBytes/bytesOf(c.from.DType, unit)*unit, total-first)
		if measures {
			whole = min(whole, blockNumbers-first%blockNumbers)
		}
		inside := skip == 0 && whole > 0
		count := whole
		if !inside {
			count = min(unit, total-first)
		}
		raw, err := c.from.read(&b.raw, bytesOf(c.from.DType, first), bytesOf(c.from.DType, count))
		if err != nil {
			return n, err
		}
		if inside {
			size := int(bytesOf(c.to, count))
			if err := c.convert(b, p[n:n+size], raw, first, stream); err != nil {
				return n, err
			}
			if measures {
				c.measure(b, p[n:n+size], raw, first)
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
		if measures && skip == 0 {
			c.measure(b, nil, nil, first)
		}
	}
	return n, nil
}

// streamBytes is from where results are written past the caches: no more of them
// would be there when they are read again, and memory is spared being read
// before it is overwritten. Buffers that go to a file right away are smaller.
const streamBytes = 8 << 20

// convert casts raw, which begins with the number given, to dst. Kernels do what
// they can of it; the rest is decoded and encoded.
func (c *Cast) convert(b *castBuffers, dst, raw []byte, first int64, stream bool) error {
	from := c.from.DType
	b.rounded, b.beyond = 0, false
	if from == c.to && c.mode == ToSpecial {
		copy(dst, raw)
		return nil
	}
	each := int64(castNumbers)
	if stream {
		each *= 8 // a kernel waits at its end for what it has streamed
	}
	for len(raw) > 0 {
		left := min(int64(len(raw)), bytesOf(from, each)) / groupOf(from).bytes * groupOf(from).numbers
		done := c.kernel(b, dst[:bytesOf(c.to, left)], raw[:bytesOf(from, left)], stream)
		dst, raw, first, left = dst[bytesOf(c.to, done):], raw[bytesOf(from, done):], first+done, left-done
		if left = min(left, castNumbers); left == 0 {
			continue
		}
		size, out := bytesOf(from, left), bytesOf(c.to, left)
		err := c.step(b, dst[:out], raw[:size], left)
		var refused *ValueError
		if errors.As(err, &refused) {
			whole := *refused
			whole.Index += int(first)
			return &whole
		}
		if err != nil {
			return err
		}
		dst, raw, first = dst[out:], raw[size:], first+left
	}
	return nil
}

// kernel returns how many numbers it has cast.
func (c *Cast) kernel(b *castBuffers, dst, raw []byte, stream bool) int64 {
	switch from := c.from.DType; {
	case from == safetensors.F32:
		done, over := encodeKernelBytes(dst, c.to, raw, c.mode, stream)
		b.rounded += int64(done)
		b.beyond = b.beyond || over
		if c.narrows && over && !b.quiet {
			c.counted(beyondF32(raw[:4*done], c.most))
		}
		return int64(done)
	case c.to == safetensors.F32 && c.mode == ToSpecial && !c.narrows:
		return int64(decodeKernelBytes(dst, from, raw, stream))
	case (c.to == safetensors.BF16 || c.to == safetensors.F16) && c.mode == ToSpecial && !c.narrows:
		return int64(halvesKernel(dst, c.to, from, raw, stream))
	case from == safetensors.BF16 || from == safetensors.F16:
		done, over := encodeHalvesKernel(dst, c.to, from, raw, c.mode, stream)
		if c.narrows && over && !b.quiet {
			c.counted(beyondHalves(b, from, raw[:2*done], float32(c.most)))
		}
		return int64(done)
	}
	return 0
}

// step casts count numbers, at most castNumbers.
func (c *Cast) step(b *castBuffers, dst, raw []byte, count int64) error {
	if from := c.from.DType; !exact32(from) {
		values := b.wide[:count]
		if err := Decode(values, from, raw); err != nil {
			return err
		}
		if c.narrows && !b.quiet {
			c.counted(beyondWide(values, c.most))
		}
		return Encode(dst, c.to, values, c.mode)
	}
	values := b.narrow[:count]
	if err := Decode(values, c.from.DType, raw); err != nil {
		return err
	}
	if c.narrows && !b.quiet {
		c.counted(beyondFloats(values, float32(c.most)))
	}
	return Encode(dst, c.to, values, c.mode)
}

// counted adds to the overflows. Hardly ever are there some.
func (c *Cast) counted(n uint64) {
	if n > 0 {
		c.over.Add(int64(n))
	}
}

// beyondF32 counts finite float32 of a magnitude above most.
func beyondF32(raw []byte, most float64) uint64 {
	limit := math.Float32bits(float32(most))
	count, seen := beyondBytes(raw, limit)
	for raw = raw[4*seen:]; len(raw) >= 4; raw = raw[4:] {
		count += above(binary.LittleEndian.Uint32(raw), limit)
	}
	return count
}

func beyondFloats(values []float32, most float32) uint64 {
	limit := math.Float32bits(most)
	count, seen := beyondKernel(values, limit)
	for _, v := range values[seen:] {
		count += above(math.Float32bits(v), limit)
	}
	return count
}

// beyondHalves counts numbers of BF16 or F16.
func beyondHalves(b *castBuffers, from safetensors.DType, raw []byte, most float32) (count uint64) {
	for len(raw) > 0 {
		part := raw[:min(len(raw), 2*castNumbers)]
		values := b.narrow[:len(part)/2]
		if err := Decode(values, from, part); err != nil {
			return count // the lengths fit
		}
		count += beyondFloats(values, most)
		raw = raw[len(part):]
	}
	return count
}

// above returns 1 for the bits of a finite float32 of a magnitude above limit.
func above(bits, limit uint32) uint64 {
	if bits &^= 1 << 31; bits > limit && bits < 0xFF<<23 {
		return 1
	}
	return 0
}

func beyondWide(values []float64, most float64) (count uint64) {
	for _, v := range values {
		if v := math.Abs(v); v > most && v <= math.MaxFloat64 {
			count++
		}
	}
	return count
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
