package numeric

import (
	"context"
	"math"

	"github.com/tensmith/tensmith/safetensors"
)

// A Loss is what a cast has cost: the differences of numbers and what has become
// of them, of those that are finite before and after.
type Loss struct {
	Count  uint64  // of numbers
	MaxAbs float64 // the largest magnitude of a difference
	SQNR   float64 // signal to noise in decibels, as of [Diff.SQNR]

	// Overflow counts the numbers that had no place in the type: they have
	// become the largest value, or infinite, or NaN.
	Overflow uint64
}

// losses are sums over the blocks that have been measured. They are of no
// order, so that it does not matter who reads what of a cast.
type losses struct {
	seen            []uint64 // a bit for each block
	left            int64    // blocks
	maxAbs          float64
	errors, squares exact
	over            uint64
}

// Measure has [Scan.Loss] known from what is read from now on: each block of
// 16384 numbers is measured as it is cast for the first time. That makes
// reading a little slower. A block that a call of ReadAt has only the beginning
// of is cast to its end, so that calls are best for many blocks.
func (c *Cast) Measure() { c.measures.Store(true) }

// Loss tells what a cast costs. It reads only what has not been measured while it
// was read; see [Cast.Measure]. Both ways give the same, to the last bit.
func (s Scan) Loss(ctx context.Context, c *Cast) (*Loss, error) {
	if l := c.known(); l != nil {
		return l, nil
	}
	blocks := max(1, castBytes/bytesOf(c.from.DType, blockNumbers))
	size := func(n int64) int64 { return bytesOf(c.from.DType, n) }
	err := s.run(ctx, c.numbers(), blocks*blockNumbers, size, func(_ int, first, n int64) error {
		b := freeCasts.Get().(*castBuffers)
		defer freeCasts.Put(b)
		for at := first; at < first+n; at += blockNumbers {
			if err := c.measureAgain(b, at); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return c.known(), nil
}

// known returns the loss once all blocks are measured, and nil before.
func (c *Cast) known() *Loss {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.loss == nil && c.size == 0 {
		c.loss = &Loss{SQNR: math.Inf(1)}
	}
	if c.loss == nil {
		return nil
	}
	l := *c.loss
	return &l
}

// lacks tells whether a block is still to be measured.
func (c *Cast) lacks(block int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.loss == nil && (c.losses == nil || c.losses.seen[block/64]>>(block%64)&1 == 0)
}

// A blockLoss is what has been found in a block.
type blockLoss struct {
	maxAbs, errors, squares float64
	over                    uint64
	far                     *Diff // the sums where they are too large or too small for a float64
}

// add adds a block, unless another goroutine has been faster.
func (c *Cast) add(block int64, found blockLoss) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.loss != nil {
		return
	}
	if c.losses == nil {
		blocks := (c.numbers() + blockNumbers - 1) / blockNumbers
		c.losses = &losses{seen: make([]uint64, (blocks+63)/64), left: blocks}
	}
	l := c.losses
	if l.seen[block/64]>>(block%64)&1 != 0 {
		return
	}
	l.seen[block/64] |= 1 << (block % 64)
	l.maxAbs = max(l.maxAbs, found.maxAbs)
	if found.far != nil {
		l.errors.merge(&found.far.errors)
		l.squares.merge(&found.far.a)
	} else {
		l.errors.add(found.errors)
		l.squares.add(found.squares)
	}
	l.over += found.over
	if l.left--; l.left == 0 {
		// The sums go: there may be a hundred thousand casts.
		all := Diff{errors: l.errors, a: l.squares}
		c.loss = &Loss{Count: uint64(c.numbers()), MaxAbs: l.maxAbs, SQNR: all.SQNR(), Overflow: l.over}
		c.losses = nil
	}
}

// measure measures the block that begins with a number, if one does. What was
// cast and what it was cast to may end before the block; then it is cast again.
func (c *Cast) measure(b *castBuffers, dst, raw []byte, first int64) {
	if first%blockNumbers != 0 || !c.lacks(first/blockNumbers) {
		return
	}
	if n := min(blockNumbers, c.numbers()-first); int64(len(dst)) == bytesOf(c.to, n) {
		if found, err := c.compare(b, raw, dst); err == nil {
			c.add(first/blockNumbers, found)
		}
		return
	}
	// The caller asked for less than the block, and has it: an error is for who
	// asks for the rest.
	_ = c.measureAgain(b, first)
}

// measureAgain casts the block that begins with a number to measure it.
func (c *Cast) measureAgain(b *castBuffers, first int64) error {
	if !c.lacks(first / blockNumbers) {
		return nil
	}
	n := min(blockNumbers, c.numbers()-first)
	raw, err := c.from.read(&b.raw, bytesOf(c.from.DType, first), bytesOf(c.from.DType, n))
	if err != nil {
		return err
	}
	if b.cast == nil {
		b.cast = make([]byte, 8*blockNumbers)
	}
	dst := b.cast[:bytesOf(c.to, n)]
	b.quiet = true
	err = c.convert(b, dst, raw, first, false)
	b.quiet = false
	if err != nil {
		return err
	}
	found, err := c.compare(b, raw, dst)
	if err != nil {
		return err
	}
	c.add(first/blockNumbers, found)
	return nil
}

// compare compares a block with what convert has just made of it.
func (c *Cast) compare(b *castBuffers, raw, dst []byte) (found blockLoss, err error) {
	p := pairs{bound: 4} // no relative difference is looked for
	g := groupOf(c.from.DType)
	numbers := int64(len(raw)) / g.bytes * g.numbers
	fits := int64(0)
	if !b.beyond && c.to.Bits() <= 16 {
		fits = b.rounded // which are the first: plain loops do the end
	}
	at := int64(p.loss(c.to, raw[:4*fits], dst))
	for ; at < numbers; at += castNumbers {
		n := min(castNumbers, numbers-at)
		x := raw[bytesOf(c.from.DType, at):][:bytesOf(c.from.DType, n)]
		y := dst[bytesOf(c.to, at):][:bytesOf(c.to, n)]
		if exact32(c.from.DType) && exact32(c.to) {
			err = compareNarrow(&p, b, c, x, y, min(n, max(0, fits-at)))
		} else {
			err = compareWide(&p, b, c, x, y, n)
		}
		if err != nil {
			return found, err
		}
	}
	found = blockLoss{errors: tree(&p.errors), squares: tree(&p.a), over: p.special}
	for _, v := range p.maxAbs {
		found.maxAbs = max(found.maxAbs, v)
	}
	if sum := found.errors + found.squares; c.from.DType == safetensors.F64 &&
		(sum-sum != 0 || found.maxAbs > 0 && found.errors < smallSquares || vanishes(found.squares, raw)) {
		if found.far, err = c.careful(b, raw, dst); err != nil {
			return found, err
		}
	}
	// Of a number and infinity, or NaN, are special pairs.
	limits, _ := LimitsOf(c.to)
	if (c.mode != ToSpecial || !limits.NaN) && c.to.Bits() <= 32 {
		found.over, err = c.placeless(b, raw, fits)
	}
	return found, err
}

// compareNarrow compares numbers that are float32, the first of which are known
// to fit.
func compareNarrow(p *pairs, b *castBuffers, c *Cast, raw, cast []byte, fits int64) error {
	g := groupOf(c.to)
	n := int64(len(cast)) / g.bytes * g.numbers
	x, y := b.narrow[:n], b.castNarrow[:n]
	if err := Decode(y, c.to, cast); err != nil {
		return err
	}
	done := 0
	if fits > 0 {
		done = p.lossFloats(raw, y[:fits])
	}
	if done == int(n) {
		return nil
	}
	if err := Decode(x, c.from.DType, raw); err != nil {
		return err
	}
	if done == 0 {
		done = p.kernel(x, y)
	}
	addLoss(p, x[done:], y[done:])
	return nil
}

func compareWide(p *pairs, b *castBuffers, c *Cast, raw, cast []byte, n int64) error {
	x, y := b.wide[:n], b.castWide[:n]
	if err := Decode(x, c.from.DType, raw); err != nil {
		return err
	}
	if err := Decode(y, c.to, cast); err != nil {
		return err
	}
	addLoss(p, x, y)
	return nil
}

// addLoss is what addPairs finds that a loss is made of, and the plain form of
// the kernels. It takes any numbers; its index in a block is to be a multiple of
// width.
func addLoss[T float32 | float64](p *pairs, a, b []T) {
	b = b[:len(a)]
	for i := range a {
		j := i % width
		x, y := float64(a[i]), float64(b[i])
		if x-x != 0 || y-y != 0 {
			if x != y && (x == x || y == y) {
				p.special++
			}
			continue
		}
		difference := x - y
		p.a[j] += float64(x * x)
		p.errors[j] += float64(difference * difference)
		p.maxAbs[j] = max(p.maxAbs[j], math.Abs(difference))
	}
}

// careful sums up a block of F64 and what it has become.
func (c *Cast) careful(b *castBuffers, raw, dst []byte) (*Diff, error) {
	d := new(Diff)
	return d, d.addCareful(func(use func(i int, x, y float64)) error {
		numbers := int64(len(raw) / 8)
		for at := int64(0); at < numbers; at += castNumbers {
			n := min(castNumbers, numbers-at)
			x, y := b.wide[:n], b.castWide[:n]
			if err := Decode(x, c.from.DType, raw[8*at:8*(at+n)]); err != nil {
				return err
			}
			if err := Decode(y, c.to, dst[bytesOf(c.to, at):][:bytesOf(c.to, n)]); err != nil {
				return err
			}
			for i := range x {
				if x[i]-x[i] == 0 && y[i]-y[i] == 0 {
					use(int(at)+i, x[i], y[i])
				}
			}
		}
		return nil
	})
}

// placeless counts the numbers that round beyond the largest value of the type.
// The first are known to fit.
func (c *Cast) placeless(b *castBuffers, raw []byte, fits int64) (count uint64, err error) {
	limits, _ := LimitsOf(c.to)
	from := limits.Max + limits.Epsilon/2*math.Ldexp(1, math.Ilogb(limits.Max))
	// From the middle a number goes to the largest value if that is even.
	even := c.to == safetensors.F8E4M3
	kept := limits.Inf && c.mode == ToSpecial // infinities stay what they are
	for raw = raw[bytesOf(c.from.DType, fits):]; len(raw) > 0; {
		size := min(int64(len(raw)), bytesOf(c.from.DType, castNumbers))
		g := groupOf(c.from.DType)
		values := b.wide[:size/g.bytes*g.numbers]
		if err := Decode(values, c.from.DType, raw[:size]); err != nil {
			return 0, err
		}
		for _, x := range values {
			x = math.Abs(x)
			if (x > from || x == from && !even) && (!kept || x <= math.MaxFloat64) {
				count++
			}
		}
		raw = raw[size:]
	}
	return count, nil
}
