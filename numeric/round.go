package numeric

import "math"

// A rounder is a layout made ready to round float32, which is what most
// weights are. It says the same as layout.code, in fewer steps.
type rounder struct {
	layout
	shift  uint8     // mantissa bits of a float32 to drop
	rebias uint32    // difference of the biases, in the exponent of a float32
	normal uint32    // bits of the layout's smallest normal value
	magic  float32   // the power of two whose last bit is the smallest value
	top    uint32    // layout.top
	over   [2]uint32 // layout.overflow for both signs
}

func newRounder(l layout, mode Overflow) rounder {
	return rounder{
		layout: l,
		shift:  23 - l.man,
		rebias: uint32(127-l.bias) << 23,
		normal: uint32(128-l.bias) << 23,
		magic:  math.Float32frombits(uint32(151-l.bias-int16(l.man)) << 23),
		top:    l.top(),
		over:   [2]uint32{l.overflow(0, mode), l.overflow(l.sign(), mode)},
	}
}

// round returns the code of x, as layout.code does; x is not NaN where the
// layout is finite.
func (r *rounder) round(x float32) uint32 {
	bits := math.Float32bits(x)
	negative := bits >> 31
	bits &^= 1 << 31
	var code uint32
	if bits < r.normal {
		// The sum's last bit is one unit of the subnormal grid: the processor
		// rounds to it.
		code = math.Float32bits(math.Float32frombits(bits)+r.magic) - math.Float32bits(r.magic)
	} else {
		// Just under half a unit, or half where the unit's bit is one: a carry
		// is the rounding up, also into the exponent.
		code = (bits - r.rebias + 1<<(r.shift-1) - 1 + bits>>r.shift&1) >> r.shift
	}
	switch {
	case code > r.top:
		if bits > 0xFF<<23 {
			return r.nan(negative << (r.exp + r.man))
		}
		return r.over[negative]
	case code == 0 && r.special == fnuz:
		return 0
	}
	return negative<<(r.exp+r.man) | code
}
