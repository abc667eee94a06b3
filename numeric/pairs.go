package numeric

import (
	"bytes"
	"encoding/binary"
	"math"
	"sync"

	"github.com/tensmith/tensmith/safetensors"
)

// pairs summarise two blocks side by side, by the lanes of a block; kernels
// write to it. Special pairs are no part of the arrays.
type pairs struct {
	errors, dot, a, b [width]float64
	maxAbs, maxRel    [width]float64
	changed, beyond   uint64
	relative          float64 // the tolerance
	absolute          float64
	// bound is a little less than the greatest relative difference met so far.
	// Kernels may leave out of maxRel what is not above it.
	bound   float64
	special uint64

	// A kernel's own: limits as float32, the relative and the absolute part, that
	// no difference is below, or above, by accident of rounding; the bound, likewise;
	// and of floats of a byte all magnitudes as BF16, the lower bytes first.
	low, high   [2]float32
	narrowBound float32
	words       *[256]byte
}

// addPairs is the plain form of the kernel, and takes any numbers.
func addPairs[T float32 | float64](p *pairs, a, b []T) {
	b = b[:len(a)]
	for i := range a {
		j := i % width
		x, y := float64(a[i]), float64(b[i])
		if x-x != 0 || y-y != 0 {
			if x != y && (x == x || y == y) {
				p.special++
				p.changed++
				p.beyond++
			}
			continue
		}
		p.dot[j] += float64(x * y)
		p.a[j] += float64(x * x)
		p.b[j] += float64(y * y)
		if x == y {
			continue
		}
		p.changed++
		difference := x - y
		p.errors[j] += float64(difference * difference)
		difference = math.Abs(difference)
		if !(difference <= p.absolute+float64(p.relative*math.Abs(y))) {
			p.beyond++
		}
		p.maxAbs[j] = max(p.maxAbs[j], difference)
		p.maxRel[j] = max(p.maxRel[j], difference/max(math.Abs(x), math.Abs(y)))
	}
}

// diff returns what was found in count pairs, but for the indices and the sums.
func (p *pairs) diff(count int) (d Diff) {
	d = Diff{Count: uint64(count), Changed: p.changed, Beyond: p.beyond, Special: p.special}
	for j := range width {
		d.MaxAbs = max(d.MaxAbs, p.maxAbs[j])
		d.MaxRel = max(d.MaxRel, p.maxRel[j])
	}
	return d
}

// addTo adds the sums to those of d, or returns false if one is too large for a
// float64. To merge sums that have a form of their own would take as long as
// comparing a thousand numbers.
func (p *pairs) addTo(d *Diff) bool {
	errors, dot, a, b := tree(&p.errors), tree(&p.dot), tree(&p.a), tree(&p.b)
	if sum := errors + a + b; sum-sum != 0 || dot-dot != 0 {
		return false
	}
	d.errors.add(errors)
	d.dot.add(dot)
	d.a.add(a)
	d.b.add(b)
	return true
}

// vanish tells whether squares of F64s may be missing in the sums, for being too
// small; a and b are what the sums are of.
func (p *pairs) vanish(a, b []byte) bool {
	return p.changed > p.special && tree(&p.errors) < smallSquares || vanishes(tree(&p.a), a) || vanishes(tree(&p.b), b)
}

// stretch is how many numbers are decoded at a time to be compared. They stay in
// the nearest cache.
const stretch = 2048

// A differ is a worker's part of [Scan.Compare].
type differ struct {
	a, b        safetensors.DType
	tolerance   Tolerance
	diff        Diff
	equal       *counter // of blocks that are the same bytes
	left, right []byte   // buffers
	narrow      [2][stretch]float32
	wide        [2][stretch]float64
	words       *[256]byte // of pairs
	close       *closeness // a kernel's
}

// freeDiffers are those that are done: models have a hundred thousand tensors of
// few numbers.
var freeDiffers = sync.Pool{New: func() any { return new(differ) }}

// begin makes a differ ready for other tensors. It keeps its buffers.
func (w *differ) begin(a, b safetensors.DType, t Tolerance) {
	if w.a != a {
		w.words = nil
	}
	w.a, w.b, w.tolerance, w.diff, w.equal, w.close = a, b, t, Diff{}, nil, nil
}

// add compares pieces of equally many numbers, the first of which has the index
// given. The indices grow from call to call.
func (w *differ) add(first uint64, left, right []byte) error {
	sizeA, sizeB := int(bytesOf(w.a, blockNumbers)), int(bytesOf(w.b, blockNumbers))
	for len(left) > 0 {
		a, b := left[:min(sizeA, len(left))], right[:min(sizeB, len(right))]
		left, right = left[len(a):], right[len(b):]
		var err error
		switch {
		case w.a == w.b && bytes.Equal(a, b):
			if w.equal == nil {
				w.equal = newCounter(w.a, false)
			}
			err = w.equal.add(a)
		case exact32(w.a) && exact32(w.b):
			err = addBlock(w, &w.narrow, first, a, b)
		default:
			err = addBlock(w, &w.wide, first, a, b)
		}
		if err != nil {
			return err
		}
		first += blockNumbers
	}
	return nil
}

// exact32 tells whether every value of the type is a float32.
func exact32(d safetensors.DType) bool {
	return d.Bits() <= 16 || d == safetensors.F32 || d == safetensors.C64
}

// stretches decodes two blocks, from a number on that is a multiple of stretch,
// and calls use with a part of them until it returns false.
func stretches[T float32 | float64](w *differ, buffers *[2][stretch]T, from int, a, b []byte, use func(at int, x, y []T) bool) error {
	g := groupOf(w.a)
	numbers := int(int64(len(a)) / g.bytes * g.numbers)
	for at := from; at < numbers; at += stretch {
		n := int64(min(stretch, numbers-at))
		x, y := buffers[0][:n], buffers[1][:n]
		offset := bytesOf(w.a, int64(at))
		if err := Decode(x, w.a, a[offset:offset+bytesOf(w.a, n)]); err != nil {
			return err
		}
		offset = bytesOf(w.b, int64(at))
		if err := Decode(y, w.b, b[offset:offset+bytesOf(w.b, n)]); err != nil {
			return err
		}
		if !use(at, x, y) {
			break
		}
	}
	return nil
}

// hasWords tells whether kernels compare floats of the type by table.
func hasWords(d safetensors.DType) bool {
	switch d {
	case safetensors.F8E4M3, safetensors.F8E4M3FNUZ, safetensors.F8E5M2, safetensors.F8E5M2FNUZ:
		return true
	}
	return false
}

// newWords returns pairs.words of a type, whose values are BF16 all.
func newWords(d safetensors.DType) *[256]byte {
	words := new([256]byte)
	for code := range 128 {
		bits := math.Float32bits(float32(value8(d, uint8(code))))
		words[code], words[128+code] = byte(bits>>16), byte(bits>>24)
	}
	return words
}

// addBlock compares two blocks.
func addBlock[T float32 | float64](w *differ, buffers *[2][stretch]T, first uint64, a, b []byte) error {
	g := groupOf(w.a)
	numbers := int(int64(len(a)) / g.bytes * g.numbers)
	p := pairs{
		relative: w.tolerance.Rel, absolute: w.tolerance.Abs,
		bound: w.diff.MaxRel * (1 - 0x1p-50),
	}
	if hasWords(w.a) && w.words == nil {
		w.words = newWords(w.a)
	}
	p.words = w.words
	done := p.kernelClose(w, a, b)
	if done == 0 {
		done = p.kernelBytes(w.a, w.b, a, b)
	}
	from := done / stretch * stretch
	err := stretches(w, buffers, from, a, b, func(at int, x, y []T) bool {
		skip := max(0, done-at)
		x, y = x[skip:], y[skip:]
		switch x := any(x).(type) {
		case []float32:
			skip = p.kernel(x, any(y).([]float32))
		case []float64:
			skip = p.kernelWide(x, any(y).([]float64))
		}
		x, y = x[skip:], y[skip:]
		addPairs(&p, x, y)
		return true
	})
	if err != nil {
		return err
	}
	if (w.a == safetensors.F64 || w.b == safetensors.F64) && p.vanish(a, b) || !p.addTo(&w.diff) {
		if err := w.careful(a, b); err != nil {
			return err
		}
	}
	found := p.diff(numbers)

	// A place is looked for only where it can be the one: indices grow.
	found.First = first
	seek, changed := found.MaxAbs > w.diff.MaxAbs, found.Changed > 0 && w.diff.Changed == 0
	if !seek {
		found.MaxAbs = 0
	}
	if seek || changed {
		err := stretches(w, buffers, 0, a, b, func(at int, x, y []T) bool {
			for i := range x {
				if changed && x[i] != y[i] && (x[i] == x[i] || y[i] == y[i]) {
					found.First += uint64(at + i)
					changed = false
				}
				if seek && x[i]-x[i] == 0 && y[i]-y[i] == 0 && math.Abs(float64(x[i])-float64(y[i])) == found.MaxAbs {
					found.MaxAbsAt = first + uint64(at+i)
					seek = false
				}
				if !seek && !changed {
					break
				}
			}
			return seek || changed
		})
		if err != nil {
			return err
		}
	}
	if w.a == w.b && (w.a == safetensors.I64 || w.a == safetensors.U64) {
		w.hidden(&found, first, a, b)
	}
	w.diff.join(&found)
	return nil
}

// hidden adds pairs of 64-bit integers that are the same float64 and still not
// equal. The differences are less than 2^11, and exact.
func (w *differ) hidden(found *Diff, first uint64, a, b []byte) {
	for i := range len(a) / 8 {
		x, y := binary.LittleEndian.Uint64(a[8*i:]), binary.LittleEndian.Uint64(b[8*i:])
		value, same := float64(x), float64(x) == float64(y)
		if w.a == safetensors.I64 {
			value, same = float64(int64(x)), float64(int64(x)) == float64(int64(y))
		}
		if x == y || !same {
			continue
		}
		difference := float64(int64(max(x, y) - min(x, y)))
		index := first + uint64(i)
		one := Diff{Changed: 1, First: index, MaxAbs: difference, MaxAbsAt: index, MaxRel: difference / math.Abs(value)}
		if !(difference <= w.tolerance.Abs+float64(w.tolerance.Rel*math.Abs(value))) {
			one.Beyond = 1
		}
		w.diff.errors.add(difference * difference)
		if found.Changed == 0 || index < found.First {
			found.First = index
		}
		found.join(&one)
	}
}

// finish returns the differences, complete.
func (w *differ) finish() *Diff {
	if w.equal == nil {
		return &w.diff
	}
	same := w.equal.finish()
	equal := Diff{Count: same.Count, dot: same.squares, a: same.squares, b: same.squares}
	w.diff.union(&equal)
	return &w.diff
}
