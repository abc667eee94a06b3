package numeric

import (
	"math"

	"github.com/tensmith/tensmith/safetensors"
)

// Limits are the extremes of a float type.
type Limits struct {
	Max         float64 // largest finite value
	MinNormal   float64 // smallest positive normal value
	MinPositive float64 // smallest positive value; below MinNormal it is subnormal
	Epsilon     float64 // distance from 1 to the next value above
	Inf, NaN    bool    // whether the type has infinities, a NaN
	Signed      bool    // whether the type has negative values
}

// LimitsOf returns the limits of a float type, those of its parts for C64, and
// false for integers, Bool and anything that is no type.
func LimitsOf(d safetensors.DType) (Limits, bool) {
	switch d {
	case safetensors.F64:
		return Limits{Max: math.MaxFloat64, MinNormal: 0x1p-1022, MinPositive: math.SmallestNonzeroFloat64,
			Epsilon: 0x1p-52, Inf: true, NaN: true, Signed: true}, true
	case safetensors.F8E8M0:
		return Limits{Max: 0x1p127, MinNormal: 0x1p-127, MinPositive: 0x1p-127, Epsilon: 1, NaN: true}, true
	}
	l, ok := layoutOf(d)
	if !ok {
		return Limits{}, false
	}
	return Limits{
		Max: l.value(l.top()), MinNormal: l.value(1 << l.man), MinPositive: l.value(1),
		Epsilon: math.Ldexp(1, -int(l.man)),
		Inf:     l.special == ieee, NaN: l.special != finite, Signed: true,
	}, true
}
