package numeric

import "math"

// width is the number of partial sums of a block. Number i of a block goes to
// sum i%width, and the sums are added up as a tree: the same additions in every
// implementation, so that all give the same bits.
const width = 16

// lanes summarise a block of finite float32 in one pass; kernels write to it,
// so its layout is theirs too. The squares of float32 are exact in a float64,
// with a fused multiplication or without, and their sums finite.
type lanes struct {
	sum, squares [width]float64
	min, max     [width]float32
	zeros        uint64
	tiny         uint64 // numbers whose magnitude has bits below normal: zeros too
	normal       uint32
	words        [3]uint32 // a kernel's own
}

func newLanes(normal uint32) (l lanes) {
	for i := range width {
		l.min[i], l.max[i] = float32(math.Inf(1)), float32(math.Inf(-1))
	}
	l.normal = normal
	return l
}

// add is the plain form of the kernels. len(values) is a multiple of width, but
// for the last call.
func (l *lanes) add(values []float32) {
	for i, v := range values {
		j := i % width
		wide := float64(v)
		l.sum[j] += wide
		l.squares[j] += float64(wide * wide)
		if v < l.min[j] {
			l.min[j] = v
		}
		if v > l.max[j] {
			l.max[j] = v
		}
		// The borrow of a subtraction: a jump would often be foretold wrong.
		magnitude := uint64(math.Float32bits(v) &^ (1 << 31))
		l.zeros += (magnitude - 1) >> 63
		l.tiny += (magnitude - uint64(l.normal)) >> 63
	}
}

// tree adds up partial sums.
func tree(s *[width]float64) float64 {
	t := *s
	for half := width / 2; half > 0; half /= 2 {
		for i := range half {
			t[i] += t[i+half]
		}
	}
	return t[0]
}

// A block is the summary of at most blockNumbers numbers. Least and greatest
// are those of finite ones.
type block struct {
	sum, squares                              float64
	least, greatest                           float64
	finite                                    uint64
	zeros, subnormals, nans, posInfs, negInfs uint64
}

// block adds the lanes up, or returns false if the numbers were not all finite.
func (l *lanes) block(numbers int) (b block, ok bool) {
	least, greatest := l.min[0], l.max[0]
	for i := 1; i < width; i++ {
		// The builtin min orders zeros, which the processor's does not; see below.
		if l.min[i] < least {
			least = l.min[i]
		}
		if l.max[i] > greatest {
			greatest = l.max[i]
		}
	}
	b = block{
		sum: tree(&l.sum), squares: tree(&l.squares), finite: uint64(numbers),
		zeros: l.zeros, subnormals: l.tiny - l.zeros,
		// Which zero was met first is an accident: 0 is added to make it positive.
		least: float64(least) + 0, greatest: float64(greatest) + 0,
	}
	return b, b.squares-b.squares == 0
}

// addWide summarises any numbers. normal is the smallest normal value of their
// type.
func (b *block) addWide(values []float64, normal float64) {
	var sum, squares [width]float64
	b.least, b.greatest = math.Inf(1), math.Inf(-1)
	for i, v := range values {
		magnitude := math.Abs(v)
		switch {
		case v != v:
			b.nans++
			continue
		case magnitude > math.MaxFloat64:
			if v > 0 {
				b.posInfs++
			} else {
				b.negInfs++
			}
			continue
		case v == 0:
			b.zeros++
		case magnitude < normal:
			b.subnormals++
		}
		b.finite++
		sum[i%width] += v
		// Explicit, or a compiler may fuse: not every square is exact here.
		squares[i%width] += float64(v * v)
		b.least, b.greatest = min(b.least, v), max(b.greatest, v)
	}
	b.sum, b.squares = tree(&sum), tree(&squares)
	b.least, b.greatest = b.least+0, b.greatest+0
}

// wideLanes are lanes of float64, of which squares may be infinite. Kernels write
// to them.
type wideLanes struct {
	sum, squares [width]float64
	min, max     [width / 2]float64 // in any order
	high         [width / 2]uint64  // greatest bits without the sign
	zeros, tiny  uint64
	normal       uint64 // tiny are those with bits below, at least 1
}

func newWideLanes(normal float64) (l wideLanes) {
	for i := range l.min {
		l.min[i], l.max[i] = math.Inf(1), math.Inf(-1)
	}
	l.normal = max(1, math.Float64bits(normal))
	return l
}

// add is the plain form of the kernels. len(values) is a multiple of width, but
// for the last call.
func (l *wideLanes) add(values []float64) {
	least, greatest, high := l.min[0], l.max[0], l.high[0]
	for i, v := range values {
		l.sum[i%width] += v
		// Explicit, or a compiler may fuse: not every square is exact here.
		l.squares[i%width] += float64(v * v)
		if v < least {
			least = v
		}
		if v > greatest {
			greatest = v
		}
		magnitude := math.Float64bits(v) &^ (1 << 63)
		high = max(high, magnitude)
		l.zeros += (magnitude - 1) >> 63
		l.tiny += (magnitude - l.normal) >> 63
	}
	l.min[0], l.max[0], l.high[0] = least, greatest, high
}

// block adds the lanes up, or returns false if the numbers were not all finite.
func (l *wideLanes) block(numbers int) (b block, ok bool) {
	least, greatest, high := math.Inf(1), math.Inf(-1), uint64(0)
	for i := range l.min {
		if l.min[i] < least {
			least = l.min[i]
		}
		if l.max[i] > greatest {
			greatest = l.max[i]
		}
		high = max(high, l.high[i])
	}
	b = block{
		sum: tree(&l.sum), squares: tree(&l.squares), finite: uint64(numbers),
		zeros: l.zeros, subnormals: l.tiny - l.zeros,
		least: least + 0, greatest: greatest + 0,
	}
	return b, high < 0x7FF<<52
}
