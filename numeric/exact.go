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
	inf     bool      // an addend was infinite; the sign does not matter here
}

// add adds x, which is not NaN.
func (e *exact) add(x float64) {
	bits := math.Float64bits(x)
	exponent := uint(bits >> 52 & 0x7FF)
	mantissa := bits & (1<<52 - 1)
	switch exponent {
	case 0x7FF:
		e.inf = true
		return
	case 0:
		exponent = 1
	default:
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

// addProduct adds n times x, for a finite x.
func (e *exact) addProduct(n uint64, x float64) {
	for _, part := range []float64{float64(n >> 32 << 32), float64(n & (1<<32 - 1))} {
		product := part * x
		e.add(product)
		e.add(math.FMA(part, x, -product))
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
	e.inf = e.inf || o.inf
}

// big returns the sum, which must not be infinite, without rounding.
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
	// Twice the digits of a sum, so that a product is exact as well.
	f := new(big.Float).SetPrec(5000).SetInt(sum)
	return f.SetMantExp(f, 32*first-1074)
}

// float64 returns the sum, rounded once, or +Inf.
func (e *exact) float64() float64 {
	if e.inf {
		return math.Inf(1)
	}
	f, _ := e.big().Float64()
	return f
}
