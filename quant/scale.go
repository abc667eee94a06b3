package quant

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/tensmith/tensmith/numeric"
	"github.com/tensmith/tensmith/safetensors"
)

// quantStep is how many numbers are quantised at a time.
const quantStep = 1 << 14

// A frame is what a weight is and how it is cut into blocks with a scale each.
type frame struct {
	part
	laid         laying
	rows, cols   int64 // of one matrix
	down, across int64 // blocks of one matrix, of 128 by 128
}

func (q *scaled) frame() *frame {
	f := &frame{part: q.part(), laid: q.laid}
	n := len(f.Shape)
	f.rows, f.cols = int64(f.Shape[n-2]), int64(f.Shape[n-1])
	f.down, f.across = ceil(f.rows, block128), ceil(f.cols, block128)
	return f
}

// bands returns how many bands of 128 rows there are.
func (f *frame) bands() int64 { return f.count / (f.rows * f.cols) * f.down }

// band returns the band that a number is in.
func (f *frame) band(i int64) int64 {
	row := i / f.cols
	return row/f.rows*f.down + row%f.rows/block128
}

// scales returns how many scales there are, but with MX.
func (f *frame) scales() int64 {
	if f.laid == byTensor {
		return 1
	}
	return f.bands() * f.across
}

// small tells whether all numbers are quantised at once, and their scales found
// on the way. The magnitudes of F64 are those that a Scan finds.
func (f *frame) small() bool {
	return f.count <= quantStep && f.laid != by32 && (f.laid != byTensor || f.DType != safetensors.F64)
}

// known tells whether the scales of a small tensor are known.
func (q *scaled) known(f *frame) bool {
	if f.scales() == 1 {
		return q.one.Load() != 0
	}
	all := q.list(nil)
	return all != nil && all[len(all)-1].Load() != 0 // the last to be stored
}

// list returns the scales if there are several. It makes room for those of a
// frame, if that is not nil.
func (q *scaled) list(f *frame) []atomic.Uint32 {
	q.mu.Lock()
	defer q.mu.Unlock()
	if f != nil && q.large == nil {
		q.large = new(large)
	}
	if f != nil && q.large.scales == nil {
		q.large.scales = make([]atomic.Uint32, f.scales())
	}
	if q.large == nil {
		return nil
	}
	return q.large.scales
}

// prepare finds the scales that cannot be had from a piece alone.
func (q *scaled) prepare(ctx context.Context, workers int) error {
	f := q.frame()
	switch {
	case q.laid == by32:
		return nil
	case q.laid == byTensor || f.small():
		b := freeBuffers.Get().(*buffers)
		defer freeBuffers.Put(b)
		return q.find(ctx, b, f, 0, f.count, workers)
	}
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	bands := f.bands()
	var next atomic.Int64
	var group sync.WaitGroup
	var mu sync.Mutex
	var failure error
	for range min(int64(workers), bands) {
		group.Go(func() {
			b := freeBuffers.Get().(*buffers)
			defer freeBuffers.Put(b)
			for {
				band := next.Add(1) - 1
				if band >= bands {
					return
				}
				err := context.Cause(ctx)
				if err == nil {
					err = q.findBand(b, f, band)
				}
				if err != nil {
					mu.Lock()
					failure = errors.Join(failure, err)
					mu.Unlock()
					next.Store(bands)
					return
				}
			}
		})
	}
	group.Wait()
	return failure
}

// find finds the scales of some numbers, unless they are known.
func (q *scaled) find(ctx context.Context, b *buffers, f *frame, first, end int64, workers int) error {
	switch {
	case q.laid == by32:
	case f.small():
		if q.known(f) {
			return nil
		}
		values := grow(&b.values, f.count)
		if err := f.numbers(&b.raw, values, 0); err != nil {
			return err
		}
		q.learn(b, f, values)
	case q.laid == byTensor:
		q.mu.Lock() // others wait for what would be the same
		defer q.mu.Unlock()
		if q.one.Load() != 0 {
			return nil
		}
		stats, err := numeric.Scan{Workers: workers}.Stats(ctx, q.source())
		if err != nil {
			return err
		}
		q.one.Store(math.Float32bits(q.scaleFor(float32(stats.AbsMax()))))
	default:
		for band := f.band(first); band <= f.band(end-1); band++ {
			if err := q.findBand(b, f, band); err != nil {
				return err
			}
		}
	}
	return nil
}

// learn finds the scales of a small tensor, all numbers of which are at hand.
func (q *scaled) learn(b *buffers, f *frame, values []float32) {
	n := f.scales()
	if n == 1 {
		q.one.Store(math.Float32bits(q.scaleFor(largest(values))))
		return
	}
	most := grow(&b.scale, n)
	clear(most)
	for at := int64(0); at < f.count; {
		size, i := f.run(at)
		size = min(size, f.count-at)
		most[i] = max(most[i], largest(values[at:at+size]))
		at += size
	}
	q.store(q.list(f), most)
}

// store takes note of the scales for the largest magnitudes of blocks.
func (q *scaled) store(scales []atomic.Uint32, most []float32) {
	for i, m := range most {
		scales[i].Store(math.Float32bits(q.scaleFor(m)))
	}
}

// scaleFor makes a scale of the largest magnitude, which is NaN or 0 if there
// is none.
func (q *scaled) scaleFor(most float32) float32 {
	if !(most > 0) {
		return 1
	}
	limits, _ := numeric.LimitsOf(q.to)
	return max(most/float32(limits.Max), 0x1p-126)
}

// findBand finds the scales of the blocks of a band, unless they are known.
func (q *scaled) findBand(b *buffers, f *frame, band int64) error {
	scales := q.list(f)[band*f.across : (band+1)*f.across]
	if scales[f.across-1].Load() != 0 { // the last to be stored
		return nil
	}
	most := grow(&b.scale, f.across)
	clear(most)
	matrix, row := band/f.down, band%f.down*block128
	first := (matrix*f.rows + row) * f.cols
	end := (matrix*f.rows + min(f.rows, row+block128)) * f.cols
	for first < end {
		col := first % f.cols
		n := min(quantStep, end-first)
		if f.cols > quantStep {
			n = min(n, f.cols-col)
		} else {
			n = min(n, n/f.cols*f.cols)
		}
		values := grow(&b.values, n)
		if err := f.numbers(&b.raw, values, first); err != nil {
			return err
		}
		for len(values) > 0 {
			run := values[:min(int64(len(values)), block128-col%block128, f.cols-col)]
			most[col/block128] = max(most[col/block128], largest(run))
			values = values[len(run):]
			col = (col + int64(len(run))) % f.cols
		}
		first += n
	}
	q.store(scales, most)
	return nil
}

// run returns how many numbers from one on share a scale, and which scale that
// is.
func (f *frame) run(first int64) (n, scale int64) {
	switch f.laid {
	case byTensor:
		return f.count - first, 0
	case by32:
		return mxBlock - first%mxBlock, first / mxBlock
	}
	col := first % f.cols
	return min(block128-col%block128, f.cols-col), f.band(first)*f.across + col/block128
}

// quantise reads numbers of the source from first on, which begins a block of
// 32 with MX, and stores their codes. What they stand for is in b.values then.
func (q *scaled) quantise(b *buffers, f *frame, codes []byte, first, n int64, back bool) (over uint64, err error) {
	whole := n == f.count && f.small()
	if !whole {
		if err := q.find(context.Background(), b, f, first, first+n, 0); err != nil {
			return 0, err
		}
	}
	values := grow(&b.values, n)
	if err := f.numbers(&b.raw, values, first); err != nil {
		return 0, err
	}
	if whole && !q.known(f) {
		q.learn(b, f, values)
	}
	limits, _ := numeric.LimitsOf(q.to)
	emax := math.Ilogb(limits.Max)
	bound := boundOf(q.to, limits, q.mode)
	below := math.Float32bits(float32(limits.Max))
	all, one := q.list(nil), math.Float32frombits(q.one.Load())
	scales := b.scale[:0]
	for at := int64(0); at < n; {
		size, i := f.run(first + at)
		run := values[at:min(n, at+size)]
		at += int64(len(run))
		s, most := one, uint32(0)
		switch {
		case q.laid == by32:
			e := exponent(run, emax)
			s = power(e)
			multiply(run, power(-e)) // exact, like the division
			most = magnitude(run)
		case all != nil:
			s = math.Float32frombits(all[i].Load())
			fallthrough
		default:
			most = divide(run, s)
		}
		scales = append(scales, s)
		if back && most > below { // hardly ever
			for _, v := range run {
				if bound.beyond(float64(v)) {
					over++
				}
			}
		}
	}
	b.scale = scales
	if err := numeric.Encode(codes, q.to, values, q.mode); err != nil {
		if refused, ok := errors.AsType[*numeric.ValueError](err); ok {
			whole := *refused
			whole.Index += int(first)
			err = &whole
		}
		return 0, &Error{Tensor: q.from.Name, Err: err}
	}
	if !back {
		return 0, nil
	}
	if err := numeric.Decode(values, q.to, codes); err != nil {
		return 0, err
	}
	for at, r := int64(0), 0; at < n; r++ {
		size, _ := f.run(first + at)
		run := values[at:min(n, at+size)]
		multiply(run, scales[r])
		at += int64(len(run))
	}
	return over, nil
}

// freeBuffers are those of readers that are done: there may be a hundred
// thousand weights, and hardly any of them at work.
var freeBuffers = sync.Pool{New: func() any { return new(buffers) }}

// codes computes the stored weight at an offset.
func (q *scaled) codes(p []byte, off int64) error {
	f := q.frame()
	b := freeBuffers.Get().(*buffers)
	defer freeBuffers.Put(b)
	per := int64(8 / q.to.Bits()) // numbers in a byte
	for len(p) > 0 {
		first := off * per &^ (mxBlock - 1)
		end := min(f.count, (first/quantStep+1)*quantStep, ((off+int64(len(p)))*per+mxBlock-1)&^(mxBlock-1))
		if f.small() && !q.known(f) {
			first, end = 0, f.count // of which p may hold less
		}
		measured := first%quantStep == 0 && q.measures.Load() && q.lacks(first/quantStep)
		if measured {
			end = min(f.count, first+quantStep) // likewise
		}
		raw := grow(&b.band, (end-first)/per)
		over, err := q.quantise(b, f, raw, first, end-first, measured)
		if err != nil {
			return err
		}
		if measured {
			if err := q.measure(b, f, first, end-first, over); err != nil {
				return err
			}
		}
		n := copy(p, raw[off-first/per:])
		p, off = p[n:], off+int64(n)
	}
	return nil
}

// scales computes the stored scales at an offset.
func (q *scaled) scales(p []byte, off int64) error {
	if err := q.prepare(context.Background(), 0); err != nil {
		return err
	}
	all := q.list(nil)
	for len(p) > 0 {
		bits := q.one.Load()
		if all != nil {
			bits = all[off/4].Load()
		}
		var raw [4]byte
		binary.LittleEndian.PutUint32(raw[:], bits)
		n := copy(p, raw[off%4:])
		p, off = p[n:], off+int64(n)
	}
	return nil
}

// powers computes the stored scales of MX at an offset.
func (q *scaled) powers(p []byte, off int64) error {
	f := q.frame()
	b := freeBuffers.Get().(*buffers)
	defer freeBuffers.Put(b)
	limits, _ := numeric.LimitsOf(q.to)
	emax := math.Ilogb(limits.Max)
	for len(p) > 0 {
		n := min(int64(len(p)), quantStep/mxBlock)
		values := grow(&b.values, n*mxBlock)
		if err := f.numbers(&b.raw, values, off*mxBlock); err != nil {
			return err
		}
		for i := range n {
			p[i] = byte(exponent(values[i*mxBlock:(i+1)*mxBlock], emax) + 127)
		}
		p, off = p[n:], off+n
	}
	return nil
}

// A view is the numbers that a quantised tensor stands for, as F32. It counts
// those that had no place in the type.
type view struct {
	q    *scaled
	over atomic.Uint64
}

// ReadAt implements [io.ReaderAt] for whole numbers, as a Scan asks for them.
func (v *view) ReadAt(p []byte, off int64) (int, error) {
	b := freeBuffers.Get().(*buffers)
	defer freeBuffers.Put(b)
	f := v.q.frame()
	if off%4 != 0 || len(p)%4 != 0 {
		return 0, numeric.ErrSize
	}
	for done := int64(0); done < int64(len(p)); {
		first := (off + done) / 4
		n := min((int64(len(p))-done)/4, quantStep)
		codes := grow(&b.band, ceil(n*int64(v.q.to.Bits()), 8))
		over, err := v.q.quantise(b, f, codes, first, n, true)
		v.over.Add(over)
		if err != nil {
			return 0, err
		}
		putFloats(p[done:done+4*n], b.values[:n])
		done += 4 * n
	}
	return len(p), nil
}
