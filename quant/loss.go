package quant

import (
	"context"

	"github.com/tensmith/tensmith/numeric"
	"github.com/tensmith/tensmith/safetensors"
)

// losses are what has been found of the blocks of quantStep numbers that have
// been measured. The sums are of no order, so that it does not matter who reads
// what; they go when all is known.
type losses struct {
	seen []uint64 // a bit for each block
	left int64    // blocks
	diff numeric.Diff
	over uint64
}

// lost returns the loss once all blocks are measured, and nil before.
func (q *scaled) lost() *numeric.Loss {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.told {
		return nil
	}
	return &numeric.Loss{Count: uint64(countOf(q.from)), MaxAbs: q.maxAbs, SQNR: q.sqnr, Overflow: q.over}
}

// lacks tells whether a block is still to be measured.
func (q *scaled) lacks(block int64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return !q.told && (q.large == nil || q.large.losses == nil || q.large.losses.seen[block/64]>>(block%64)&1 == 0)
}

// measure compares a block that quantise has just read with what it stands for
// now, as a Scan of all would: the block is one of its sums, too.
func (q *scaled) measure(b *buffers, f *frame, first, n int64, over uint64) error {
	back := grow(&b.scratch, 4*n)
	putFloats(back, b.values[:n])
	raw := b.raw[:n*int64(q.from.DType.Bits())/8]
	was := numeric.Data{DType: q.from.DType, Source: numeric.Memory(raw), Size: int64(len(raw))}
	is := numeric.Data{DType: safetensors.F32, Source: numeric.Memory(back), Size: 4 * n}
	diff, err := numeric.Scan{Workers: 1}.Compare(context.Background(), was, is, numeric.Tolerance{})
	if err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.told {
		return nil
	}
	blocks := ceil(f.count, quantStep)
	if blocks == 1 { // as of most tensors where there are many
		q.lose(diff, over)
		return nil
	}
	if q.large == nil {
		q.large = new(large)
	}
	if q.large.losses == nil {
		q.large.losses = &losses{seen: make([]uint64, ceil(blocks, 64)), left: blocks}
	}
	l, block := q.large.losses, first/quantStep
	if l.seen[block/64]>>(block%64)&1 != 0 {
		return nil // another goroutine has been faster
	}
	l.seen[block/64] |= 1 << (block % 64)
	l.diff.Merge(diff)
	l.over += over
	if l.left--; l.left == 0 {
		q.lose(&l.diff, l.over)
		q.large.losses = nil
	}
	return nil
}

// lose takes note of the loss. All numbers have been counted by then.
func (q *scaled) lose(diff *numeric.Diff, over uint64) {
	q.told, q.maxAbs, q.sqnr, q.over = true, diff.MaxAbs, diff.SQNR(), over
}

func lossOf(diff *numeric.Diff, over uint64) *numeric.Loss {
	return &numeric.Loss{Count: diff.Count, MaxAbs: diff.MaxAbs, SQNR: diff.SQNR(), Overflow: over}
}
