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

// prepare finds the scales that cannot be had from a piece alone.
func (q *scaled) prepare(ctx context.Context, workers int) error {
	if q.kind == MX {
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.known {
		return nil
	}
	var err error
	if q.kind == PerTensor {
		var stats *numeric.Stats
		if stats, err = (numeric.Scan{Workers: workers}).Stats(ctx, q.source()); err == nil {
			q.all = []float32{q.scaleFor(float32(stats.AbsMax()))}
		}
	} else {
		q.all, err = q.blocks(ctx, workers)
	}
	if err != nil {
		return err
	}
	q.known = true
	return nil
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

// blocks finds the largest magnitude of each block of 128 by 128. A band of
// them, 128 rows, is one worker's work.
func (q *scaled) blocks(ctx context.Context, workers int) ([]float32, error) {
	down, across := ceil(q.rows, block128), ceil(q.cols, block128)
	matrices := q.count / (q.rows * q.cols)
	all := make([]float32, matrices*down*across)
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	var next atomic.Int64
	var group sync.WaitGroup
	var mu sync.Mutex
	var failure error
	for range min(int64(workers), matrices*down) {
		group.Go(func() {
			b := new(buffers)
			for {
				band := next.Add(1) - 1
				if band >= matrices*down {
					return
				}
				err := context.Cause(ctx)
				if err == nil {
					err = q.band(b, all[band*across:(band+1)*across], band/down, band%down*block128)
				}
				if err != nil {
					mu.Lock()
					failure = errors.Join(failure, err)
					mu.Unlock()
					next.Store(matrices * down)
					return
				}
			}
		})
	}
	group.Wait()
	if failure != nil {
		return nil, failure
	}
	for i, most := range all {
		all[i] = q.scaleFor(most)
	}
	return all, nil
}

// band finds the largest magnitudes of the blocks that begin with a row.
func (q *scaled) band(b *buffers, most []float32, matrix, row int64) error {
	first := (matrix*q.rows + row) * q.cols
	end := (matrix*q.rows + min(q.rows, row+block128)) * q.cols
	for first < end {
		col := first % q.cols
		n := min(quantStep, end-first)
		if q.cols > quantStep {
			n = min(n, q.cols-col)
		} else {
			n = min(n, n/q.cols*q.cols)
		}
		values := grow(&b.values, n)
		if err := q.numbers(&b.raw, values, first); err != nil {
			return err
		}
		for len(values) > 0 {
			run := values[:min(int64(len(values)), block128-col%block128, q.cols-col)]
			most[col/block128] = max(most[col/block128], largest(run))
			values = values[len(run):]
			col = (col + int64(len(run))) % q.cols
		}
		first += n
	}
	return nil
}

// run returns how many numbers from one on share a scale, and which scale that
// is.
func (q *scaled) run(first int64) (n, scale int64) {
	switch q.kind {
	case PerTensor:
		return q.count - first, 0
	case MX:
		return mxBlock - first%mxBlock, first / mxBlock
	}
	col, row := first%q.cols, first/q.cols
	down, across := ceil(q.rows, block128), ceil(q.cols, block128)
	n = min(block128-col%block128, q.cols-col)
	return n, (row/q.rows*down+row%q.rows/block128)*across + col/block128
}

// largest returns the largest finite magnitude. Those of positive floats are in
// the order of their bits.
func largest(values []float32) float32 {
	const infinity = 0x7F800000
	most := uint32(0)
	for _, v := range values {
		if bits := math.Float32bits(v) &^ (1 << 31); bits > most && bits < infinity {
			most = bits
		}
	}
	return math.Float32frombits(most)
}

// exponent is the power of two for a block of 32, by section 6.3 of the
// specification: that of the largest magnitude less that of the type's largest.
func (q *scaled) exponent(block []float32) int {
	most := largest(block)
	if most == 0 {
		return -127
	}
	limits, _ := numeric.LimitsOf(q.to)
	return min(127, max(-127, math.Ilogb(float64(most))-math.Ilogb(limits.Max)))
}

// quantise reads numbers of the source from first on, which begins a block of
// 32 with MX, and stores their codes. What they stand for is in b.values then.
func (q *scaled) quantise(b *buffers, codes []byte, first, n int64, back bool) (over uint64, err error) {
	values := grow(&b.values, n)
	if err := q.numbers(&b.raw, values, first); err != nil {
		return 0, err
	}
	limits, _ := numeric.LimitsOf(q.to)
	bound := boundOf(q.to, limits, q.mode)
	scales := b.scale[:0]
	for at := int64(0); at < n; {
		size, i := q.run(first + at)
		run := values[at:min(n, at+size)]
		at += int64(len(run))
		var s float32
		if q.kind == MX {
			e := q.exponent(run)
			s = float32(math.Ldexp(1, e))
			multiply(run, float32(math.Ldexp(1, -e))) // exact, like the division
		} else {
			s = q.all[i]
			for i, v := range run {
				run[i] = v / s
			}
		}
		scales = append(scales, s)
		if back {
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
		return 0, &Error{Tensor: q.Name, Err: err}
	}
	if !back {
		return 0, nil
	}
	if err := numeric.Decode(values, q.to, codes); err != nil {
		return 0, err
	}
	for at, r := int64(0), 0; at < n; r++ {
		size, _ := q.run(first + at)
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
	if err := q.prepare(context.Background(), 0); err != nil {
		return err
	}
	b := freeBuffers.Get().(*buffers)
	defer freeBuffers.Put(b)
	per := int64(8 / q.to.Bits()) // numbers in a byte
	for len(p) > 0 {
		first := off * per &^ (mxBlock - 1)
		end := min(q.count, (first/quantStep+1)*quantStep, ((off+int64(len(p)))*per+mxBlock-1)&^(mxBlock-1))
		measured := first%quantStep == 0 && q.measures.Load() && q.lacks(first/quantStep)
		if measured {
			end = min(q.count, first+quantStep) // of which p may hold less
		}
		raw := grow(&b.band, (end-first)/per)
		over, err := q.quantise(b, raw, first, end-first, measured)
		if err != nil {
			return err
		}
		if measured {
			if err := q.measure(b, first, end-first, over); err != nil {
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
	if q.kind != MX {
		if err := q.prepare(context.Background(), 0); err != nil {
			return err
		}
		for len(p) > 0 {
			var raw [4]byte
			binary.LittleEndian.PutUint32(raw[:], math.Float32bits(q.all[off/4]))
			n := copy(p, raw[off%4:])
			p, off = p[n:], off+int64(n)
		}
		return nil
	}
	b := freeBuffers.Get().(*buffers)
	defer freeBuffers.Put(b)
	for len(p) > 0 {
		n := min(int64(len(p)), quantStep/mxBlock)
		values := grow(&b.values, n*mxBlock)
		if err := q.numbers(&b.raw, values, off*mxBlock); err != nil {
			return err
		}
		for i := range n {
			p[i] = byte(q.exponent(values[i*mxBlock:(i+1)*mxBlock]) + 127)
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
	if off%4 != 0 || len(p)%4 != 0 {
		return 0, numeric.ErrSize
	}
	for done := int64(0); done < int64(len(p)); {
		first := (off + done) / 4
		n := min((int64(len(p))-done)/4, quantStep)
		codes := grow(&b.band, ceil(n*int64(v.q.to.Bits()), 8))
		over, err := v.q.quantise(b, codes, first, n, true)
		v.over.Add(over)
		if err != nil {
			return 0, err
		}
		if err := numeric.Encode(p[done:done+4*n], safetensors.F32, b.values[:n], numeric.ToSpecial); err != nil {
			return 0, err
		}
		done += 4 * n
	}
	return len(p), nil
}
