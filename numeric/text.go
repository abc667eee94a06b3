package numeric

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"

	"github.com/tensmith/tensmith/safetensors"
)

// AppendText appends element i of the packed little-endian elements src of type
// d as text, and returns the longer slice. i counts elements, for C64 as well.
// An i outside src is ErrSize.
//
// A float is the shortest text that [Encode] turns back into the same element
// of its own type, and of equally short ones the nearest: 0.1 in BF16 is 0.1,
// not 0.10009765625. (2^-127 in F8_E8M0 alone is longer than it need be, as
// 5.877e-39: everything below reads back as that.) The form is that of strconv's 'g': 1e-05, 65504, 1e+06,
// NaN, +Inf. A C64 is (re+imi). A Bool is true or false, or its number if that
// is neither 1 nor 0, which the format allows.
func AppendText(b []byte, d safetensors.DType, src []byte, i int) ([]byte, error) {
	bits := d.Bits()
	if bits == 0 {
		return b, fmt.Errorf("%w: %s", safetensors.ErrDType, d)
	}
	if i < 0 || uint64(i) >= uint64(len(src))*8/uint64(bits) {
		return b, fmt.Errorf("%w: element %d of %s in %d bytes", ErrSize, i, d, len(src))
	}
	word := element(src, bits, i)
	switch d {
	case safetensors.Bool:
		if word > 1 {
			return strconv.AppendUint(b, word, 10), nil
		}
		return strconv.AppendBool(b, word == 1), nil
	case safetensors.U8, safetensors.U16, safetensors.U32, safetensors.U64:
		return strconv.AppendUint(b, word, 10), nil
	case safetensors.I8, safetensors.I16, safetensors.I32, safetensors.I64:
		return strconv.AppendInt(b, int64(word<<(64-bits))>>(64-bits), 10), nil
	case safetensors.F32:
		return appendF32(b, uint32(word)), nil
	case safetensors.F64:
		return strconv.AppendFloat(b, math.Float64frombits(word), 'g', -1, 64), nil
	case safetensors.C64:
		b = appendF32(append(b, '('), uint32(word))
		at := len(b)
		b = appendF32(b, uint32(word>>32))
		if b[at] != '-' && b[at] != '+' {
			b = append(b, 0)
			copy(b[at+1:], b[at:])
			b[at] = '+'
		}
		return append(b, "i)"...), nil
	}
	return appendNarrow(b, d, uint32(word)), nil
}

// element returns the bits of element i, for any size from 4 to 64. An F6
// element may lie in two bytes.
func element(src []byte, bits, i int) uint64 {
	switch bits {
	case 4:
		return uint64(src[i/2]>>(i%2*4)) & 15
	case 6:
		at := i / 4 * 3 // in whole groups, as i*6 may not fit an int
		group := uint32(src[at])
		if i%4 != 0 {
			group |= uint32(src[at+1]) << 8
		}
		if i%4 >= 2 {
			group |= uint32(src[at+2]) << 16
		}
		return uint64(group>>(i%4*6)) & 63
	case 8:
		return uint64(src[i])
	case 16:
		return uint64(binary.LittleEndian.Uint16(src[2*i:]))
	case 32:
		return uint64(binary.LittleEndian.Uint32(src[4*i:]))
	}
	return binary.LittleEndian.Uint64(src[8*i:])
}

func appendF32(b []byte, word uint32) []byte {
	return strconv.AppendFloat(b, float64(math.Float32frombits(word)), 'g', -1, 32)
}

// appendNarrow appends a float of at most 16 bits, which strconv does not know.
func appendNarrow(b []byte, d safetensors.DType, word uint32) []byte {
	value, code := narrow(d, word)
	if value == 0 || math.IsInf(value, 0) || math.IsNaN(value) {
		return strconv.AppendFloat(b, value, 'g', -1, 64)
	}
	if math.Signbit(value) {
		b, value = append(b, '-'), -value
	}
	same := func(text []byte) bool {
		// No error: the text was made here, far from the range of a float64.
		v, _ := strconv.ParseFloat(string(text), 64)
		return code(v) == code(value)
	}
	// Digits are counted after the point in both forms: the digits before it
	// have to be written anyway, so they may as well be right.
	form := byte('f')
	if value < 1e-4 || value >= 1e6 {
		form = 'e'
	}
	start := len(b)
	for digits := 0; ; digits++ {
		b = strconv.AppendFloat(b[:start], value, form, digits, 64)
		// The nearest text of this length may be outside where one on the
		// other side is inside: above a power of two values lie farther apart.
		if same(b[start:]) || nextText(b[start:]) && same(b[start:]) {
			return b
		}
	}
}

// nextText adds one to the last digit of a decimal text's mantissa. It reports
// false when that would make the text longer, where fewer digits serve as well.
func nextText(text []byte) bool {
	end := len(text)
	for i, c := range text {
		if c == 'e' {
			end = i
			break
		}
	}
	for i := end - 1; i >= 0; i-- {
		switch text[i] {
		case '.':
		case '9':
			text[i] = '0'
		default:
			text[i]++
			return true
		}
	}
	return false
}

// narrow returns the value of a code of at most 16 bits, and the function from
// magnitudes to codes of its type.
func narrow(d safetensors.DType, word uint32) (float64, func(float64) uint32) {
	if d == safetensors.F8E8M0 {
		return scaleValue(uint8(word)), func(v float64) uint32 { return uint32(scaleCode(v, ToSpecial)) }
	}
	l, _ := layoutOf(d)
	most := l.value(l.top())
	return l.value(word), func(v float64) uint32 {
		if l.special == finite && v > most {
			return l.sign() // no magnitude: 8 would come back as 7.5, but reads as a lie
		}
		return l.code(v, ToSpecial)
	}
}
