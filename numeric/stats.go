package numeric

import (
	"context"
	"math"
	"math/big"
)

// Stats are what a [Scan] found out about numbers: a tensor's, or after Merge
// those of a layer, a dtype or a model. Both parts of a complex number count,
// as numbers of their own. Infinities and NaN are counted and otherwise left
// out: everything else is about the finite numbers.
//
// The zero Stats are those of nothing.
type Stats struct {
	Count      uint64 // of all numbers
	Zeros      uint64 // of either sign
	Subnormals uint64 // by the type they are stored in
	NaNs       uint64
	PosInfs    uint64
	NegInfs    uint64

	least, greatest float64 // valid if there is a finite number
	sum, squares    exact   // of blocks, which are summed in float64
	tally           *tally  // nil if there is none
}

// Finite returns the number of finite numbers.
func (s *Stats) Finite() uint64 { return s.Count - s.NaNs - s.PosInfs - s.NegInfs }

// Min returns the least finite number, NaN if there is none. An I64 or U64 is
// rounded to a float64 here and below.
func (s *Stats) Min() float64 { return s.orNaN(s.least) }

// Max returns the greatest finite number, NaN if there is none.
func (s *Stats) Max() float64 { return s.orNaN(s.greatest) }

// AbsMax returns the largest magnitude of a finite number, NaN if there is none.
func (s *Stats) AbsMax() float64 { return s.orNaN(max(-s.least, s.greatest)) }

// Mean returns the mean, NaN if there are no finite numbers.
func (s *Stats) Mean() float64 {
	if s.Finite() == 0 {
		return math.NaN()
	}
	// More than enough digits to be rounded once more.
	mean, _ := new(big.Float).SetPrec(256).Quo(s.sum.big(), s.total()).Float64()
	return mean
}

// Std returns the standard deviation of the population, that is with Finite and
// not one less as the divisor; NaN if there are no finite numbers. Its square has
// a relative error of at most about 2^-32, of numbers that are alike but for their
// last bits, too, and usually of 2^-50.
func (s *Stats) Std() float64 {
	if s.Finite() == 0 {
		return math.NaN()
	}
	// (n·Σx² - (Σx)²) / n², whose difference must not be rounded before.
	n := s.total()
	v := new(big.Float).Mul(n, s.squares.big())
	sum := s.sum.big()
	v.Sub(v, new(big.Float).Mul(sum, sum))
	if v.Sign() <= 0 {
		return 0
	}
	v.SetPrec(128) // from here on relative errors are what counts
	v.Quo(v.Quo(v, n), n)
	std, _ := v.Sqrt(v).Float64()
	return std
}

// L2 returns the square root of the sum of squares, which itself may be beyond
// float64.
func (s *Stats) L2() float64 { return s.squares.root() }

func (s *Stats) total() *big.Float { return new(big.Float).SetPrec(exactBits).SetUint64(s.Finite()) }

func (s *Stats) orNaN(x float64) float64 {
	if s.Finite() == 0 {
		return math.NaN()
	}
	return x
}

// Merge adds the numbers of o to s. The order of merging does not matter. There
// are quantiles after it only if both had them, or one was empty.
func (s *Stats) Merge(o *Stats) {
	switch {
	case o.Count == 0:
		return
	case s.Count == 0:
		s.tally = o.tally.clone()
	case s.tally == nil || o.tally == nil:
		s.tally = nil
	default:
		s.tally.merge(o.tally)
	}
	if o.Finite() > 0 {
		if s.Finite() == 0 {
			s.least, s.greatest = o.least, o.greatest
		}
		s.least, s.greatest = min(s.least, o.least), max(s.greatest, o.greatest)
	}
	s.Count += o.Count
	s.Zeros += o.Zeros
	s.Subnormals += o.Subnormals
	s.NaNs += o.NaNs
	s.PosInfs += o.PosInfs
	s.NegInfs += o.NegInfs
	s.sum.merge(&o.sum)
	s.squares.merge(&o.squares)
}

// add takes a block of numbers in.
func (s *Stats) add(b *block) {
	if b.finite > 0 {
		if s.Finite() == 0 {
			s.least, s.greatest = b.least, b.greatest
		}
		s.least, s.greatest = min(s.least, b.least), max(s.greatest, b.greatest)
		s.sum.add(b.sum)
		s.squares.add(b.squares)
	}
	s.Count += b.finite + b.nans + b.posInfs + b.negInfs
	s.Zeros += b.zeros
	s.Subnormals += b.subnormals
	s.NaNs += b.nans
	s.PosInfs += b.posInfs
	s.NegInfs += b.negInfs
}

// addCode takes in n numbers that are all v.
func (s *Stats) addCode(n uint64, v, normal float64) {
	if n == 0 {
		return
	}
	var b block
	b.addWide([]float64{v}, normal)
	sum, squares := b.sum, b.squares
	b.sum, b.squares = 0, 0
	for _, count := range []*uint64{&b.finite, &b.zeros, &b.subnormals, &b.nans, &b.posInfs, &b.negInfs} {
		*count *= n
	}
	s.add(&b)
	s.sum.addProduct(n, sum, 0)
	s.squares.addProduct(n, squares, 0)
}

// Stats reads the data once and returns what it finds. It takes memory in
// proportion to the workers only.
func (s Scan) Stats(ctx context.Context, data Data) (*Stats, error) {
	total, err := data.numbers()
	if err != nil {
		return nil, err
	}
	d := data.DType
	piece := pieceBytes / bytesOf(d, blockNumbers) * blockNumbers
	counters := make([]*counter, s.workers((total+piece-1)/piece))
	for i := range counters {
		counters[i] = newCounter(d, s.Quantiles)
	}
	buffers := make([][]byte, len(counters))
	size := func(n int64) int64 { return bytesOf(d, n) }
	err = s.run(ctx, total, piece, size, func(worker int, first, n int64) error {
		src, err := data.read(&buffers[worker], bytesOf(d, first), bytesOf(d, n))
		if err != nil {
			return err
		}
		return counters[worker].add(src)
	})
	if err != nil {
		return nil, err
	}
	all := *counters[0].finish() // of a small tensor there are no others
	for _, c := range counters[1:] {
		all.Merge(c.finish())
	}
	if all.Count == 0 {
		return new(Stats), nil // nor has it quantiles
	}
	return &all, nil
}
