package numeric

import (
	"encoding/binary"
	"math"
	"math/big"
)

// An exact is a sum of float64 without rounding: a fixed-point number whose
// lowest bit is the smallest float64, 2^-1074. Adding to it is associative, so
// that sums may be merged in any order; after Kulisch, "Computer Arithmetic and
// Validity", 2013. It has room for 2^63 of the largest numbers.
type exact struct {
	limbs   [69]int64 // 32 bits each, and carries not yet taken
	pending uint32    // additions since carries were taken

	// far are sums of what is too large, in units of 2^1200, and too small for a
	// float64, in units of 2^-1200; nil of other numbers, which are nearly all.
	far *[2]exact
}

const (
	farBits = 1200
	// exactBits is twice the digits of a sum, so that a product is exact as well.
	exactBits = 5000
)

// add adds x, which is finite.
func (e *exact) add(x float64) {
	bits := math.Float64bits(x)
	exponent := uint(bits >> 52 & 0x7FF)
	mantissa := bits & (1<<52 - 1)
	if exponent == 0 {
		exponent = 1
	} else {
		mantissa |= 1 << 52
	}
	place, shift := (exponent-1)/32, (exponent-1)%32
	low := mantissa << shift
	high := mantissa >> (64 - shift) // 0 if shift is
	parts := [3]int64{int64(low & (1<<32 - 1)), int64(low >> 32), int64(high)}
	for i, part := range parts {
		if bits>>63 != 0 {
			part = -part
		}
		e.limbs[place+uint(i)] += part
	}
	if e.pending++; e.pending == 1<<30 {
		e.carry()
	}
}

// addScaled adds x·2^k, for a finite x and a k between -2200 and 2200.
func (e *exact) addScaled(x float64, k int) {
	if x == 0 {
		return
	}
	_, size := math.Frexp(x)
	at := 0
	switch size += k; {
	case size > 1023:
	case size < -960: // the last bit would be below that of a float64
		at = 1
	default:
		e.add(math.Ldexp(x, k))
		return
	}
	if e.far == nil {
		e.far = new([2]exact)
	}
	e.far[at].add(math.Ldexp(x, k-farBits+2*farBits*at))
}

// addProduct adds n·x·2^k, for an x that is finite and large enough for the last
// bit of the product to be that of a float64.
func (e *exact) addProduct(n uint64, x float64, k int) {
	for _, part := range []float64{float64(n >> 32 << 32), float64(n & (1<<32 - 1))} {
		product := part * x
		e.addScaled(product, k)
		e.addScaled(math.FMA(part, x, -product), k)
	}
}

// carry leaves every limb but the highest between 0 and 2^32, which makes equal
// sums the same limbs.
func (e *exact) carry() {
	e.pending = 0
	for i := range len(e.limbs) - 1 {
		e.limbs[i+1] += e.limbs[i] >> 32
		e.limbs[i] &= 1<<32 - 1
	}
}

func (e *exact) merge(o *exact) {
	other := *o
	other.carry()
	e.carry()
	for i, limb := range other.limbs {
		e.limbs[i] += limb
	}
	e.carry()
	if o.far != nil {
		far := new([2]exact) // copies of e may have the old one
		if e.far != nil {
			*far = *e.far
		}
		for i := range far {
			far[i].merge(&o.far[i])
		}
		e.far = far
	}
}

// big returns the sum, without rounding.
func (e *exact) big() *big.Float {
	own := *e // readers of a sum may be several at a time
	own.carry()
	// All limbs but the highest are digits now, and the sum has its sign. Most
	// of them are zero: numbers of a tensor lie within a few powers of two.
	negative := own.limbs[len(own.limbs)-1] < 0
	if negative {
		for i := range own.limbs {
			own.limbs[i] = -own.limbs[i]
		}
		own.carry()
	}
	first, end := 0, len(own.limbs)
	for first < end && own.limbs[first] == 0 {
		first++
	}
	for end > first && own.limbs[end-1] == 0 {
		end--
	}
	digits := make([]byte, 0, 4*len(own.limbs)+8)
	for i := end - 1; i >= first; i-- {
		if i == len(own.limbs)-1 {
			digits = binary.BigEndian.AppendUint64(digits, uint64(own.limbs[i])) // may have more than 32 bits
			continue
		}
		digits = binary.BigEndian.AppendUint32(digits, uint32(own.limbs[i]))
	}
	sum := new(big.Int).SetBytes(digits)
	if negative {
		sum.Neg(sum)
	}
	f := new(big.Float).SetPrec(exactBits).SetInt(sum)
	f.SetMantExp(f, 32*first-1074)
	if e.far != nil {
		for i := range e.far {
			far := e.far[i].big()
			f.Add(f, far.SetMantExp(far, farBits-2*farBits*i))
		}
	}
	return f
}

// float64 returns the sum, rounded once, which may make it infinite.
func (e *exact) float64() float64 {
	f, _ := e.big().Float64()
	return f
}

// root returns the square root of the sum, which is not negative.
func (e *exact) root() float64 {
	if e.far == nil {
		return math.Sqrt(e.float64())
	}
	f, _ := new(big.Float).Sqrt(e.short()).Float64()
	return f
}

// short returns the sum with more digits than a float64 has.
func (e *exact) short() *big.Float { return e.big().SetPrec(128) }

// areNear tells whether all sums are those of float64.
func areNear(sums ...*exact) bool {
	for _, e := range sums {
		if e.far != nil {
			return false
		}
	}
	return true
}

// over returns e / √(a·b), NaN if one of them is zero.
func (e *exact) over(a, b *exact) float64 {
	if areNear(e, a, b) {
		return e.float64() / math.Sqrt(a.float64()) / math.Sqrt(b.float64())
	}
	product := a.short()
	product.Mul(product, b.short())
	if product.Sign() == 0 {
		return math.NaN()
	}
	q, _ := product.Quo(e.short(), product.Sqrt(product)).Float64()
	return q
}

// decibels returns 10·log10(e/noise), +Inf if there is no noise.
func (e *exact) decibels(noise *exact) float64 {
	if areNear(e, noise) {
		n := noise.float64()
		if n == 0 {
			return math.Inf(1)
		}
		return 10 * math.Log10(e.float64()/n)
	}
	ratio := noise.short()
	if ratio.Sign() == 0 {
		return math.Inf(1)
	}
	ratio.Quo(e.short(), ratio)
	power := ratio.MantExp(ratio)
	mantissa, _ := ratio.Float64()
	return 10 * (math.Log10(mantissa) + float64(power)*math.Log10(2))
}
