package numeric

import (
	"context"
	"fmt"
)

// A Tolerance is how far a number b may be from a: |a-b| <= Abs + Rel·|b|, as
// numpy.allclose and torch.allclose have it. b is the reference.
type Tolerance struct{ Rel, Abs float64 }

// A Diff is how two tensors of as many numbers differ, or after Merge two lists
// of tensors, compared by value: their types need not be the same. A NaN equals
// any other NaN, an infinity itself, and zeros of both signs each other.
//
// The zero Diff is that of nothing.
type Diff struct {
	Count   uint64 // of pairs of numbers
	Changed uint64 // pairs that are not equal
	Beyond  uint64 // pairs outside the Tolerance, and all Special ones
	Special uint64 // unequal pairs in which a number is not finite

	// First is the index of the first pair that is not equal; it is
	// meaningless if Changed is 0.
	First uint64

	// MaxAbs is the largest |a-b|, and MaxAbsAt the first index where it is.
	// MaxRel is the largest |a-b| / max(|a|, |b|), which is at most 2.
	// These, and what follows from sums, leave Special pairs out.
	MaxAbs, MaxRel float64
	MaxAbsAt       uint64

	errors, dot, a, b exact // sums of (a-b)², a·b, a² and b²
}

// Share returns the share of the pairs that are not equal, 0 if there are none.
func (d *Diff) Share() float64 { return float64(d.Changed) / float64(max(d.Count, 1)) }

// L2 returns the square root of the sum of squared differences.
func (d *Diff) L2() float64 { return d.errors.root() }

// Cosine returns the cosine of the angle between the two, Σab / √(Σa²·Σb²), NaN if one
// is zero.
func (d *Diff) Cosine() float64 {
	c := d.dot.over(&d.a, &d.b)
	return max(-1, min(c, 1))
}

// SQNR returns the ratio of signal to noise in decibels when b is what became of
// a: 10·log10(Σa² / Σ(a-b)²). It is +Inf if there is no noise.
func (d *Diff) SQNR() float64 {
	return d.a.decibels(&d.errors)
}

// Merge adds o to d as what comes after it: the indices of o grow by d.Count.
func (d *Diff) Merge(o *Diff) {
	later := *o
	later.First += d.Count
	later.MaxAbsAt += d.Count
	d.union(&later)
}

// union adds o, whose indices are already those of d, in any order.
func (d *Diff) union(o *Diff) {
	d.join(o)
	d.errors.merge(&o.errors)
	d.dot.merge(&o.dot)
	d.a.merge(&o.a)
	d.b.merge(&o.b)
}

// join is union of all but the sums.
func (d *Diff) join(o *Diff) {
	if o.Changed > 0 && (d.Changed == 0 || o.First < d.First) {
		d.First = o.First
	}
	if o.MaxAbs > d.MaxAbs || o.MaxAbs == d.MaxAbs && o.MaxAbs > 0 && o.MaxAbsAt < d.MaxAbsAt {
		d.MaxAbs, d.MaxAbsAt = o.MaxAbs, o.MaxAbsAt
	}
	d.MaxRel = max(d.MaxRel, o.MaxRel)
	d.Count += o.Count
	d.Changed += o.Changed
	d.Beyond += o.Beyond
	d.Special += o.Special
}

// Compare reads both once and compares number by number. They must have equally
// many, or the error is ErrSize. 64-bit integers of the same type are compared
// exactly, with others as float64.
func (s Scan) Compare(ctx context.Context, a, b Data, t Tolerance) (*Diff, error) {
	total, err := a.numbers()
	if err != nil {
		return nil, err
	}
	if n, err := b.numbers(); err != nil {
		return nil, err
	} else if n != total {
		return nil, fmt.Errorf("%w: %d numbers to compare with %d", ErrSize, total, n)
	}
	wider := max(bytesOf(a.DType, blockNumbers), bytesOf(b.DType, blockNumbers))
	piece := pieceBytes / wider * blockNumbers
	workers := make([]*differ, s.workers((total+piece-1)/piece))
	for i := range workers {
		workers[i] = freeDiffers.Get().(*differ)
		workers[i].begin(a.DType, b.DType, t)
		defer freeDiffers.Put(workers[i])
	}
	size := func(n int64) int64 { return bytesOf(a.DType, n) + bytesOf(b.DType, n) }
	err = s.run(ctx, total, piece, size, func(worker int, first, n int64) error {
		w := workers[worker]
		left, err := a.read(&w.left, bytesOf(a.DType, first), bytesOf(a.DType, n))
		if err != nil {
			return err
		}
		right, err := b.read(&w.right, bytesOf(b.DType, first), bytesOf(b.DType, n))
		if err != nil {
			return err
		}
		return w.add(uint64(first), left, right)
	})
	if err != nil {
		return nil, err
	}
	all := new(Diff)
	for i := range workers {
		all.union(workers[i].finish())
	}
	return all, nil
}
