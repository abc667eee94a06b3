package numeric

import (
	"bytes"
	"math"
)

// closeTogether is how many bits sums of squares may lose to the mean before a
// block is summed up about its mean instead: 2^-52·2^20 is what is left of the
// precision of a variance, at worst.
const closeTogether = 0x1p-20

// smallSquares is the sum of squares below which the squares of some numbers may
// have vanished.
const smallSquares = 0x1p-900

// isCareless tells whether the sums of a block are not what they should be: too
// large or too small for a float64, or about numbers that are alike but for their
// last bits. It depends on nothing but the numbers.
func (b *block) isCareless() bool {
	if b.finite == 0 || b.least == 0 && b.greatest == 0 {
		return false
	}
	if b.sum-b.sum != 0 || b.squares-b.squares != 0 || b.squares < smallSquares {
		return true
	}
	n := float64(b.finite)
	mean := b.sum / n
	return b.squares/n-float64(mean*mean) <= closeTogether*(b.squares/n)
}

// addCareful takes a block of numbers in that isCareless: scaled by a power of
// two, and summed up about their mean, from which all sums follow without any
// further rounding.
func (s *Stats) addCareful(b *block, values []float64) {
	shift := exponent(max(-b.least, b.greatest))
	n := b.finite
	var center, sum, squares float64
	if b.least == b.greatest {
		center = math.Ldexp(b.least, -shift)
	} else {
		center, _ = about(values, 0, shift)
		center /= float64(n)
		sum, squares = about(values, center, shift)
	}
	s.sum.addProduct(n, center, shift)
	s.sum.addScaled(sum, shift)
	// Σ(c+d)² = n·c² + 2c·Σd + Σd²
	square := center * center
	s.squares.addProduct(n, square, 2*shift)
	s.squares.addProduct(n, math.FMA(center, center, -square), 2*shift)
	twice := 2 * center * sum
	s.squares.addScaled(twice, 2*shift)
	s.squares.addScaled(math.FMA(2*center, sum, -twice), 2*shift)
	s.squares.addScaled(squares, 2*shift)
	rest := *b
	rest.sum, rest.squares = 0, 0
	s.add(&rest)
}

// about returns the sums of the differences of finite numbers, scaled by
// 2^-shift, from center, and of their squares.
func about(values []float64, center float64, shift int) (sum, squares float64) {
	var sums, all [width]float64
	half, rest := math.Ldexp(1, -shift/2), math.Ldexp(1, -shift+shift/2) // one factor may be too large
	for i, v := range values {
		if v-v != 0 {
			continue
		}
		d := float64(v*half*rest) - center
		sums[i%width] += d
		all[i%width] += float64(d * d)
	}
	return tree(&sums), tree(&all)
}

// exponent returns the power of two just above a finite magnitude.
func exponent(x float64) int {
	_, e := math.Frexp(x)
	return e
}

// addCareful adds the sums of pairs, which each calls its argument with, as
// pairs.addTo would, each side scaled by a power of two, and differences by
// another.
func (d *Diff) addCareful(each func(use func(i int, x, y float64)) error) error {
	var mostA, mostB, widest float64
	err := each(func(_ int, x, y float64) { mostA, mostB = max(mostA, math.Abs(x)), max(mostB, math.Abs(y)) })
	if err != nil {
		return err
	}
	left, right := exponent(mostA), exponent(mostB)
	both := exponent(max(mostA, mostB))
	difference := func(x, y float64) float64 { return math.Ldexp(x, -both) - math.Ldexp(y, -both) }
	if err := each(func(_ int, x, y float64) { widest = max(widest, math.Abs(difference(x, y))) }); err != nil {
		return err
	}
	small := exponent(widest)
	var errors, dot, a, b [width]float64
	err = each(func(i int, x, y float64) {
		j := i % width
		u, v, e := math.Ldexp(x, -left), math.Ldexp(y, -right), math.Ldexp(difference(x, y), -small)
		dot[j] += float64(u * v)
		a[j] += float64(u * u)
		b[j] += float64(v * v)
		errors[j] += float64(e * e)
	})
	if err != nil {
		return err
	}
	d.errors.addScaled(tree(&errors), 2*(both+small))
	d.dot.addScaled(tree(&dot), left+right)
	d.a.addScaled(tree(&a), 2*left)
	d.b.addScaled(tree(&b), 2*right)
	return nil
}

// careful is Diff.addCareful of two blocks.
func (w *differ) careful(a, b []byte) error {
	return w.diff.addCareful(func(use func(i int, x, y float64)) error {
		return stretches(w, &w.wide, 0, a, b, func(at int, x, y []float64) bool {
			for i := range x {
				if x[i]-x[i] == 0 && y[i]-y[i] == 0 {
					use(at+i, x[i], y[i])
				}
			}
			return true
		})
	})
}

// vanishes tells whether squares of some numbers may be missing in their sum.
func vanishes(squares float64, raw []byte) bool {
	return squares < smallSquares && (squares > 0 || bytes.ContainsFunc(raw, func(r rune) bool { return r != 0 }))
}
