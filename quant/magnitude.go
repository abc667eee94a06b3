package quant

import (
	"encoding/binary"
	"math"
)

const infinity = 0x7F800000 // as bits of a float32

// magnitude returns the largest magnitude as bits, those of NaNs and infinities
// included. Those of positive floats are in the order of their bits. Four at a
// time do not wait for each other.
func magnitude(values []float32) uint32 {
	const mask = 1<<31 - 1
	var a, b, c, d uint32
	for ; len(values) >= 4; values = values[4:] {
		a = max(a, math.Float32bits(values[0])&mask)
		b = max(b, math.Float32bits(values[1])&mask)
		c = max(c, math.Float32bits(values[2])&mask)
		d = max(d, math.Float32bits(values[3])&mask)
	}
	for _, v := range values {
		a = max(a, math.Float32bits(v)&mask)
	}
	return max(a, b, c, d)
}

// largest returns the largest finite magnitude.
func largest(values []float32) float32 {
	most := magnitude(values)
	if most >= infinity {
		most = 0
		for _, v := range values {
			if bits := math.Float32bits(v) &^ (1 << 31); bits > most && bits < infinity {
				most = bits
			}
		}
	}
	return math.Float32frombits(most)
}

// divide divides by a scale, which is normal. A product in float64 with what is
// within 2^-52 of the inverse is within 2^-51 of a quotient that is 2^-49 or more
// off from where float32 would round another way: so both round to the same, but
// for quotients below 2^-126, which are nothing in any type of eight bits.
//
// It returns the largest magnitude of the quotients, as magnitude does.
func divide(values []float32, scale float32) (most uint32) {
	const mask = 1<<31 - 1
	inverse := 1 / float64(scale)
	var a, b uint32
	for ; len(values) >= 2; values = values[2:] {
		x, y := float32(float64(values[0])*inverse), float32(float64(values[1])*inverse)
		values[0], values[1] = x, y
		a = max(a, math.Float32bits(x)&mask)
		b = max(b, math.Float32bits(y)&mask)
	}
	for i, v := range values {
		x := float32(float64(v) * inverse)
		values[i] = x
		a = max(a, math.Float32bits(x)&mask)
	}
	return max(a, b)
}

// putFloats stores numbers as F32.
func putFloats(dst []byte, values []float32) {
	for i, v := range values {
		binary.LittleEndian.PutUint32(dst[4*i:4*i+4], math.Float32bits(v))
	}
}

// exponent is the power of two for a block of 32, by section 6.3 of the
// specification: that of the largest magnitude less emax, that of the type's
// largest.
func exponent(block []float32, emax int) int {
	most := largest(block)
	if most == 0 {
		return -127
	}
	e := int(math.Float32bits(most)>>23) - 127
	if e == -127 {
		e = math.Ilogb(float64(most)) // subnormal
	}
	return min(127, max(-127, e-emax))
}

// power returns 2^e, of -127 to 127.
func power(e int) float32 {
	if e == -127 {
		return 0x1p-127
	}
	return math.Float32frombits(uint32(e+127) << 23)
}
