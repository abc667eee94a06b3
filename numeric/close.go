//go:build amd64 && !purego

package numeric

import (
	"bytes"
	"slices"
	"sort"

	"github.com/tensmith/tensmith/safetensors"
)

// closeSums are what a kernel finds in pairs of floats of a byte; its layout is the
// kernel's too. Numbers are in classes of four exponents, as in codeTables, here with
// a table for each; squares, of a and of b, are sums by class, and products by the sum
// of two. A pair of the same sign is no news unless the smaller magnitude is less than
// near has it for the larger one, and one of two signs unless it is at least far.
type closeSums struct {
	squares   [2][4][16]int32
	products  [7][16]int32
	top       [64]uint8
	classes   [4][64]uint8
	near, far [128]uint8
	changed   uint64
}

// closeness is what [pairs.kernelClose] knows of a type and a tolerance, and of the
// differences so far.
type closeness struct {
	start          closeSums
	layout         layout
	tight          bool // numbers that differ do so by more than the tolerance
	large          bool // there have been numbers that classes have no place for
	maxAbs, maxRel float64
}

func newCloseness(d safetensors.DType, t Tolerance) *closeness {
	l, _ := layoutOf(d)
	c := &closeness{layout: l, tight: true}
	for code := range l.top() + 1 {
		v, nearest := l.value(code), l.value(1)
		if code > 0 {
			nearest = v - l.value(code-1) // that above is as far away, or farther
		}
		c.tight = c.tight && t.Abs+float64(t.Rel*v) < nearest
	}
	classes, tables := &newClassTables(d).classes, &c.start.classes
	for i := range 64 {
		tables[0][i], tables[1][i] = classes.low[i]-classes.lowOdd[i], classes.lowOdd[i]
		tables[2][i], tables[3][i] = classes.high[i]-classes.highOdd[i], classes.highOdd[i]
	}
	return c
}

// know makes the tables those of the greatest differences so far.
func (c *closeness) know(maxAbs, maxRel float64) {
	if c.maxAbs == maxAbs && c.maxRel == maxRel {
		return
	}
	c.maxAbs, c.maxRel = maxAbs, maxRel
	for code := range 128 {
		v := c.layout.value(uint32(code))
		news := func(difference float64) bool { return difference > maxAbs || difference/v > maxRel }
		c.start.near[code] = uint8(sort.Search(code, func(i int) bool { return !news(v - c.layout.value(uint32(i))) }))
		c.start.far[code] = 0xFF
		if i := sort.Search(code+1, func(i int) bool { return news(v + c.layout.value(uint32(i))) }); i <= code {
			c.start.far[code] = uint8(i)
		}
	}
}

// kernelClose takes the bytes of two blocks of floats of a byte, or returns 0 and
// leaves p as it was. Sums of whole numbers of so few bits are exact, in any order,
// and so they are those of the plain loop. It leaves out of maxAbs and maxRel what is
// not above those that w has already.
func (p *pairs) kernelClose(w *differ, a, b []byte) int { return best.pairsClose(p, w, a, b) }

func (v level) pairsClose(p *pairs, w *differ, a, b []byte) int {
	n := len(a) &^ 63
	if v < vnni || w.a != w.b || !hasWords(w.a) || n == 0 || w.diff.MaxRel == 0 {
		return 0
	}
	if w.close == nil {
		w.close = newCloseness(w.a, w.tolerance)
	}
	c, l := w.close, w.close.layout
	top := uint8(l.top())
	if l.exp == 5 {
		top = 0x3F
	}
	isLarge := func(code byte) bool { return code&0x7F > top }
	switch {
	case !c.tight || c.large:
		return 0
	case slices.ContainsFunc(a[n:], isLarge) || slices.ContainsFunc(b[n:], isLarge):
		return 0 // the sums that these are added to would not be exact
	case l.special == fnuz && (bytes.IndexByte(a, 0x80) >= 0 || bytes.IndexByte(b, 0x80) >= 0):
		return 0 // a NaN, which is looked up as a zero
	}
	c.know(w.diff.MaxAbs, w.diff.MaxRel)
	s, unsure := c.start, uint64(0)
	if l.exp == 4 {
		unsure = closeHalvesVNNI(&s, a, b, n)
	} else {
		unsure = closeQuartersVNNI(&s, a, b, n)
	}
	if slices.Max(s.top[:]) > top {
		c.large = l.exp == 5
		return 0
	}
	if unsure != 0 {
		return 0
	}
	total := func(lanes *[16]int32) (sum int64) {
		for _, v := range lanes {
			sum += int64(v)
		}
		return sum
	}
	var squares [2]int64
	product := int64(0)
	for i := range 4 {
		squares[0] += total(&s.squares[0][i]) << (8 * i)
		squares[1] += total(&s.squares[1][i]) << (8 * i)
	}
	for i := range s.products {
		product += total(&s.products[i]) << (4 * i)
	}
	unit := l.value(1) / 2
	unit *= unit
	p.a[0] += float64(squares[0]) * unit
	p.b[0] += float64(squares[1]) * unit
	p.dot[0] += float64(product) * unit
	p.errors[0] += float64(squares[0]+squares[1]-2*product) * unit
	p.changed += s.changed
	p.beyond += s.changed
	return n
}
