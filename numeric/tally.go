package numeric

import (
	"cmp"
	"encoding/binary"
	"iter"
	"math"
	"slices"
	"sort"

	"github.com/tensmith/tensmith/safetensors"
)

// A tally counts numbers by value: by code, for one type of at most 16 bits, or
// else in a sketch. The sketch's buckets are the numbers with the same sign,
// exponent and first seven bits of mantissa, so that the middle of a bucket is
// off by at most 2^-8 of any number in it. It is the idea of Masson et al.,
// "DDSketch", arXiv 1908.10693, with buckets that are cut rather than computed.
//
// Of a few numbers it keeps a list: models have a hundred thousand tensors of a
// few numbers each, and tables for them would be most of the work.
type tally struct {
	dtype safetensors.DType // whose codes are counted, 0 for a sketch
	few   []uint16          // codes, or upper halves of normal F32s for a sketch; in order once sorted; empty if there are tables
	codes []uint64
	pages []*[pageSize]uint64 // by sign and exponent, nil where there is nothing
	// middle is set when a number is not the lowest of its bucket. Before, the
	// sketch is exact.
	middle bool
}

const (
	sketchShift = 45 // bits of a float64 that a bucket does not see
	pageSize    = 128

	// fewNumbers is how many a list holds: sorting them takes less time than a
	// table does.
	fewNumbers = 1024
)

func newTally(d safetensors.DType) *tally {
	switch bits := d.Bits(); {
	case bits <= 8:
		return &tally{dtype: d, codes: make([]uint64, 1<<bits)}
	case bits == 16:
		return &tally{dtype: d}
	}
	return &tally{}
}

// hasTables tells whether numbers are counted in tables, and can be in a list
// no longer.
func (t *tally) hasTables() bool { return t.codes != nil || t.pages != nil }

// tables has numbers counted in tables from now on.
func (t *tally) tables() {
	if t.hasTables() {
		return
	}
	few := t.few
	t.few = nil
	if t.dtype != 0 {
		t.codes = make([]uint64, 1<<t.dtype.Bits())
		for _, code := range few {
			t.codes[code]++
		}
		return
	}
	t.pages = make([]*[pageSize]uint64, 1<<12)
	for _, upper := range few {
		t.sketch(upperValue(upper), 1)
	}
}

// upperValue returns the F32 that has these upper bits, and no others.
func upperValue(upper uint16) float64 { return float64(math.Float32frombits(uint32(upper) << 16)) }

// runs yields the codes of a list that is sorted, and how many there are of each.
func (t *tally) runs(yield func(code uint16, n uint64) bool) {
	for few := t.few; len(few) > 0; {
		n := 1
		for n < len(few) && few[n] == few[0] {
			n++
		}
		if !yield(few[0], uint64(n)) {
			return
		}
		few = few[n:]
	}
}

// mergeFew adds a list to a list, both sorted, if that is short enough.
func (t *tally) mergeFew(o *tally) bool {
	if t.hasTables() || o.hasTables() || t.dtype != o.dtype || len(t.few)+len(o.few) > fewNumbers {
		return false
	}
	// From the end, so that it needs no other memory.
	i, j := len(t.few)-1, len(o.few)-1
	t.few = slices.Grow(t.few, len(o.few))[:len(t.few)+len(o.few)]
	for k := len(t.few) - 1; j >= 0; k-- {
		if i >= 0 && t.few[i] > o.few[j] {
			t.few[k] = t.few[i]
			i--
		} else {
			t.few[k] = o.few[j]
			j--
		}
	}
	t.middle = t.middle || o.middle
	return true
}

func (t *tally) clone() *tally {
	if t == nil {
		return nil
	}
	c := *t
	c.few, c.codes, c.pages = slices.Clone(t.few), slices.Clone(t.codes), slices.Clone(t.pages)
	for i, page := range c.pages {
		if page != nil {
			own := *page
			c.pages[i] = &own
		}
	}
	return &c
}

// value returns what a code stands for.
func (t *tally) value(code uint16) float64 {
	if t.dtype.Bits() < 8 {
		return value8(t.dtype, uint8(code))
	}
	var raw [2]byte
	binary.LittleEndian.PutUint16(raw[:], code)
	var v [1]float64
	if err := Decode(v[:], t.dtype, raw[:t.dtype.Bits()/8]); err != nil {
		return math.NaN() // cannot be: a tally with codes has a type
	}
	return v[0]
}

// sketch counts n times v, unless it is not finite.
func (t *tally) sketch(v float64, n uint64) {
	bits := math.Float64bits(v)
	if bits>>52&0x7FF == 0x7FF {
		return
	}
	t.tables()
	t.middle = t.middle || bits<<(64-sketchShift) != 0
	t.page(bits >> 52)[bits>>sketchShift%pageSize] += n
}

func (t *tally) page(i uint64) *[pageSize]uint64 {
	if t.pages[i] == nil {
		t.pages[i] = new([pageSize]uint64)
	}
	return t.pages[i]
}

func (t *tally) sketchAll(values []float64) {
	for _, v := range values {
		t.sketch(v, 1)
	}
}

// merge adds the counts of o.
func (t *tally) merge(o *tally) {
	if t.mergeFew(o) {
		return
	}
	if t.dtype == o.dtype {
		t.tables()
		for _, code := range o.few {
			if t.dtype != 0 {
				t.codes[code]++
			} else {
				t.sketch(upperValue(code), 1)
			}
		}
		for code, n := range o.codes {
			t.codes[code] += n
		}
		for i, page := range o.pages {
			if page == nil {
				continue
			}
			own := t.page(uint64(i))
			for slot, n := range page {
				own[slot] += n
			}
		}
		t.middle = t.middle || o.middle
		return
	}
	if t.dtype != 0 {
		*t = *t.sketched()
	}
	if o.dtype != 0 {
		o = o.sketched()
	}
	t.merge(o)
}

// sketched returns a sketch of counts by code.
func (t *tally) sketched() *tally {
	s := new(tally)
	for code, n := range t.counts {
		s.sketch(t.value(code), n)
	}
	return s
}

// counts yields the codes that there are of a type, in order, and how many.
func (t *tally) counts(yield func(code uint16, n uint64) bool) {
	if !t.hasTables() {
		t.runs(yield)
		return
	}
	for code, n := range t.codes {
		if n > 0 && !yield(uint16(code), n) {
			return
		}
	}
}

// ascending yields finite numbers in order, and how many there are of each.
// What a sketch yields stands for its bucket.
func (t *tally) ascending() iter.Seq2[float64, uint64] {
	return func(yield func(float64, uint64) bool) {
		switch {
		case t.dtype != 0:
			t.ascendingCodes(yield)
			return
		case !t.hasTables():
			t.ascendingFew(yield)
			return
		}
		// Negative numbers, whose bits fall as they rise, come first.
		half := len(t.pages) / 2
		for i := range t.pages {
			number := i - half
			if i < half {
				number = len(t.pages) - 1 - i
			}
			page := t.pages[number]
			if page == nil {
				continue
			}
			for slot := range page {
				if i < half {
					slot = pageSize - 1 - slot
				}
				if page[slot] > 0 && !yield(t.middleOf(number, slot), page[slot]) {
					return
				}
			}
		}
	}
}

// middleOf returns the number that stands for a bucket. For the one that zero
// is in that is zero: zeros are many, and numbers below 2^-1029 are none.
func (t *tally) middleOf(page, slot int) float64 {
	bits := uint64(page)<<52 | uint64(slot)<<sketchShift
	if t.middle && bits<<1 != 0 {
		bits |= 1 << (sketchShift - 1)
	}
	return math.Float64frombits(bits)
}

// ascendingFew is ascending of the upper halves of F32s.
func (t *tally) ascendingFew(yield func(float64, uint64) bool) {
	negative, _ := slices.BinarySearch(t.few, 1<<15)
	one := func(code uint16, n uint64) bool {
		bits := math.Float64bits(upperValue(code))
		return bits>>52&0x7FF == 0x7FF || yield(t.middleOf(int(bits>>52), int(bits>>sketchShift%pageSize)), n)
	}
	// Negative numbers, whose bits fall as they rise, come first.
	for few := t.few[negative:]; len(few) > 0; {
		last := len(few) - 1
		n := 1
		for n <= last && few[last-n] == few[last] {
			n++
		}
		if !one(few[last], uint64(n)) {
			return
		}
		few = few[:len(few)-n]
	}
	(&tally{few: t.few[:negative]}).runs(one)
}

func (t *tally) ascendingCodes(yield func(float64, uint64) bool) {
	type run struct {
		v float64
		n uint64
	}
	var runs []run
	for code, n := range t.counts {
		if v := t.value(code); v-v == 0 {
			runs = append(runs, run{v, n})
		}
	}
	slices.SortFunc(runs, func(a, b run) int { return cmp.Compare(a.v, b.v) })
	for _, r := range runs {
		if !yield(r.v, r.n) {
			return
		}
	}
}

// Quantile returns the least finite number that at least the share q of the
// finite numbers does not exceed, which is numpy's method "inverted_cdf"; false
// if there is none, or if the Scan was not asked for quantiles.
//
// It is exact for one type of at most 16 bits. For others, and for types merged,
// it comes from a sketch and differs from the exact one by at most 2^-8 of it
// (0.4 %). The sketch is exact still where no number has more than eight
// significant bits, as in BF16 and F8 together. Numbers below 2^-1022 are off
// by less than 2^-1029, and zero is zero.
func (s *Stats) Quantile(q float64) (float64, bool) {
	if s.tally == nil || s.Finite() == 0 || !(q >= 0 && q <= 1) {
		return 0, false
	}
	rank := max(1, math.Ceil(q*float64(s.Finite())))
	var below uint64
	last := s.least
	for v, n := range s.tally.ascending() {
		last = v
		if below += n; float64(below) >= rank {
			break
		}
	}
	return min(max(last, s.least), s.greatest), true
}

// Histogram counts the finite numbers between edges, which ascend: number i of
// the result are those from edges[i] up to but not including edges[i+1], the
// last includes it, as numpy.histogram has it. Numbers beyond the edges are in
// none. Where Quantile is not exact, a number may be counted on the wrong side
// of an edge that is less than 2^-8 of it away. The result is nil where
// Quantile has none.
func (s *Stats) Histogram(edges []float64) []uint64 {
	return s.histogram(edges, func(v float64) float64 { return v })
}

// Magnitudes is a Histogram of magnitudes; with [LogEdges] it is logarithmic.
func (s *Stats) Magnitudes(edges []float64) []uint64 { return s.histogram(edges, math.Abs) }

func (s *Stats) histogram(edges []float64, of func(float64) float64) []uint64 {
	if s.tally == nil || len(edges) < 2 {
		return nil
	}
	bins := make([]uint64, len(edges)-1)
	for v, n := range s.tally.ascending() {
		v = of(min(max(v, s.least), s.greatest))
		// The first edge above v ends its bin.
		end := sort.Search(len(edges), func(i int) bool { return edges[i] > v })
		if end == len(edges) && v == edges[end-1] {
			end--
		}
		if end > 0 && end < len(edges) {
			bins[end-1] += n
		}
	}
	return bins
}

// LinearEdges returns the n+1 edges of n bins of equal width from low to high, n at
// least 1: those of numpy.linspace, where the width is a float64.
func LinearEdges(low, high float64, n int) []float64 {
	edges := make([]float64, n+1)
	step := (high - low) / float64(n)
	for i := range edges {
		if step-step == 0 && step != 0 {
			edges[i] = low + float64(float64(i)*step) // never fused
			continue
		}
		share := float64(i) / float64(n)
		edges[i] = float64(low*(1-share)) + float64(high*share)
	}
	edges[n] = high
	return edges
}

// LogEdges returns the n+1 edges of n bins of equal ratio from low to high, which
// are positive, n at least 1.
func LogEdges(low, high float64, n int) []float64 {
	edges := LinearEdges(math.Log2(low), math.Log2(high), n)
	for i := range edges {
		edges[i] = math.Exp2(edges[i])
	}
	edges[0], edges[n] = low, high
	return edges
}
