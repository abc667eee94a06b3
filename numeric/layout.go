package numeric

import (
	"math"

	"github.com/tensmith/tensmith/safetensors"
)

// special says what a layout does with its extreme codes.
type special uint8

const (
	ieee   special = iota // top exponent: infinity, and NaN with any mantissa
	fn                    // NaN at all ones, no infinity (E4M3)
	fnuz                  // NaN at the place of negative zero, no infinity
	finite                // neither
)

// A layout is a binary float: sign, exponent, mantissa from the top. F8_E8M0
// has neither sign nor mantissa and does not fit one.
type layout struct {
	exp, man uint8
	bias     int16
	special  special
}

// layoutOf returns the layout of a float type of at most 32 bits.
func layoutOf(d safetensors.DType) (layout, bool) {
	switch d {
	case safetensors.F4:
		return layout{2, 1, 1, finite}, true
	case safetensors.F6E2M3:
		return layout{2, 3, 1, finite}, true
	case safetensors.F6E3M2:
		return layout{3, 2, 3, finite}, true
	case safetensors.F8E5M2:
		return layout{5, 2, 15, ieee}, true
	case safetensors.F8E4M3:
		return layout{4, 3, 7, fn}, true
	case safetensors.F8E4M3FNUZ:
		return layout{4, 3, 8, fnuz}, true
	case safetensors.F8E5M2FNUZ:
		return layout{5, 2, 16, fnuz}, true
	case safetensors.F16:
		return layout{5, 10, 15, ieee}, true
	case safetensors.BF16:
		return layout{8, 7, 127, ieee}, true
	case safetensors.F32, safetensors.C64:
		return layout{8, 23, 127, ieee}, true
	}
	return layout{}, false
}

// sign returns the sign bit.
func (l layout) sign() uint32 { return 1 << (l.exp + l.man) }

// top returns the code of the largest finite value.
func (l layout) top() uint32 {
	switch l.special {
	case ieee:
		return l.sign() - 1<<l.man - 1
	case fn:
		return l.sign() - 2
	}
	return l.sign() - 1
}

// nan returns the quiet NaN with the given sign; a finite layout has none.
func (l layout) nan(sign uint32) uint32 {
	switch l.special {
	case ieee:
		return sign | (l.sign() - 1<<(l.man-1))
	case fn:
		return sign | (l.sign() - 1)
	}
	return l.sign()
}

// overflow returns what a magnitude above the largest finite value becomes.
func (l layout) overflow(sign uint32, mode Overflow) uint32 {
	switch {
	case mode == Saturate || l.special == finite:
		return sign | l.top()
	case l.special == ieee:
		return sign | (l.top() + 1)
	}
	return l.nan(sign)
}

// value returns what a code stands for. Every code of 32 bits or less is exact
// in a float64.
func (l layout) value(code uint32) float64 {
	negative := code&l.sign() != 0
	magnitude := code & (l.sign() - 1)
	switch {
	case l.special == ieee && magnitude > l.top()+1,
		l.special == fn && magnitude > l.top(),
		l.special == fnuz && negative && magnitude == 0:
		return math.Copysign(math.NaN(), float64(1-2*int(code>>(l.exp+l.man)&1)))
	case l.special == ieee && magnitude == l.top()+1:
		return math.Inf(1 - 2*int(code>>(l.exp+l.man)&1))
	}
	// The code is moved to where a float64 has its exponent and mantissa; one
	// multiplication by a power of two then corrects the bias. It is exact, and
	// serves subnormal codes like all others.
	v := math.Float64frombits(uint64(magnitude)<<(52-l.man)) *
		math.Float64frombits(uint64(2046-int(l.bias))<<52)
	if negative {
		v = -v
	}
	return v
}

// code returns the code nearest to x, ties to even. x is not NaN where the
// layout is finite.
func (l layout) code(x float64, mode Overflow) uint32 {
	bits := math.Float64bits(x)
	sign := uint32(bits>>63) << (l.exp + l.man)
	bits &^= 1 << 63
	exponent := int(bits>>52) - 1023
	if exponent == 1024 {
		if bits<<12 != 0 {
			return l.nan(sign)
		}
		return l.overflow(sign, mode)
	}
	// Below the smallest normal number the grid stays as wide as it is there.
	// A subnormal float64 is far below half of any layout's smallest value,
	// so that its missing hidden bit makes no difference.
	smallest := 1 - int(l.bias)
	shift := 52 - int(l.man)
	base := uint32(0)
	if exponent < smallest {
		shift = min(shift+smallest-exponent, 54)
	} else {
		if exponent-smallest > 1<<l.exp {
			return l.overflow(sign, mode)
		}
		base = uint32(exponent-smallest) << l.man
	}
	mantissa := bits&(1<<52-1) | 1<<52
	code := base + uint32(mantissa>>shift)
	rest, half := mantissa&(1<<shift-1), uint64(1)<<(shift-1)
	if rest > half || rest == half && code&1 != 0 {
		code++ // may carry into the exponent, which is the right code
	}
	if code > l.top() {
		return l.overflow(sign, mode)
	}
	if code == 0 && l.special == fnuz {
		return 0
	}
	return sign | code
}

// scaleValue returns the power of two that an F8_E8M0 code stands for.
func scaleValue(code uint8) float64 {
	if code == 0xFF {
		return math.NaN()
	}
	return math.Float64frombits(uint64(int(code)-127+1023) << 52)
}

// scaleCode returns the F8_E8M0 code for x; see the package documentation.
func scaleCode(x float64, mode Overflow) uint8 {
	switch {
	case x == 0 && mode == Saturate:
		return 0
	case !(x > 0):
		return 0xFF
	case x <= 0x1p-127:
		return 0
	case x < 0x1p-126:
		return 1
	case x >= 0x1.8p127:
		if mode == Saturate {
			return 0xFE
		}
		return 0xFF
	}
	// Half a unit of the exponent, added to the mantissa, carries into it.
	return uint8((math.Float64bits(x)+1<<51)>>52 - 1023 + 127)
}
