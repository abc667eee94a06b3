package numeric

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"

	"github.com/tensmith/tensmith/safetensors"
)

// Decode turns the packed little-endian elements src of type d into numbers.
// It accepts every type. len(dst) is the number of elements, twice that for
// C64, and src exactly their bytes: a chunk of F4 has an even number of
// elements, one of F6 a multiple of four.
//
// Everything but I32, U32, I64, U64 and F64 is exact in a float32, everything
// but I64 and U64 in a float64; what is not is rounded to nearest even, and an
// F64 beyond float32 becomes infinite. A Bool is its byte, usually 0 or 1. Use
// [DecodeInt] for exact integers.
//
// The errors are ErrSize, and safetensors.ErrDType for a d that is no type;
// nothing is written then.
func Decode[T float32 | float64](dst []T, d safetensors.DType, src []byte) error {
	if err := checkSize(d, len(dst), len(src)); err != nil {
		return err
	}
	if narrow, ok := any(dst).([]float32); ok {
		done := decodeKernel(narrow, d, src)
		dst, src = dst[done:], src[bytesOf(d, int64(done)):]
	}
	switch d {
	case safetensors.F4:
		decodeF4(dst, src)
	case safetensors.F6E2M3, safetensors.F6E3M2:
		decodeF6(dst, d, src)
	case safetensors.F8E5M2, safetensors.F8E4M3, safetensors.F8E8M0,
		safetensors.F8E4M3FNUZ, safetensors.F8E5M2FNUZ:
		decodeF8(dst, d, src)
	case safetensors.F16:
		for i := range dst {
			dst[i] = T(fromF16(binary.LittleEndian.Uint16(src[2*i:])))
		}
	case safetensors.BF16:
		for i := range dst {
			dst[i] = T(math.Float32frombits(uint32(binary.LittleEndian.Uint16(src[2*i:])) << 16))
		}
	case safetensors.F32, safetensors.C64:
		for i := range dst {
			dst[i] = T(math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:])))
		}
	case safetensors.F64:
		for i := range dst {
			dst[i] = T(math.Float64frombits(binary.LittleEndian.Uint64(src[8*i:])))
		}
	default:
		decodeWhole(dst, d, src)
	}
	return nil
}

// DecodeInt turns the packed little-endian elements src of an integer type, or
// Bool, into integers, len(dst) of them. Only two pairs can fail on a value,
// with a [ValueError] for ErrRange: a U64 beyond an int64, and a negative number
// as a uint64. Elements before the one at fault are in dst then.
// Other errors are ErrSize, ErrKind for a float type and safetensors.ErrDType.
func DecodeInt[T int64 | uint64](dst []T, d safetensors.DType, src []byte) error {
	if err := checkSize(d, len(dst), len(src)); err != nil {
		return err
	}
	if _, ok := wholeRange(d); !ok {
		return fmt.Errorf("%w: %s", ErrKind, d)
	}
	decodeWhole(dst, d, src)
	signed := d == safetensors.I8 || d == safetensors.I16 || d == safetensors.I32 || d == safetensors.I64
	if unsigned := ^T(0) > 0; unsigned != signed || !unsigned && d != safetensors.U64 {
		return nil
	}
	// A sign that changed between the two kinds is the top bit.
	for i, v := range dst {
		if uint64(v)>>63 == 0 {
			continue
		}
		text := strconv.FormatInt(int64(v), 10)
		if !signed {
			text = strconv.FormatUint(uint64(v), 10)
		}
		clear(dst[i:])
		return &ValueError{Index: i, DType: d, Value: text, Err: ErrRange}
	}
	return nil
}

// decodeWhole decodes Bool and the integer types by Go's own conversions.
func decodeWhole[T float32 | float64 | int64 | uint64](dst []T, d safetensors.DType, src []byte) {
	switch d {
	case safetensors.Bool, safetensors.U8:
		for i := range dst {
			dst[i] = T(src[i])
		}
	case safetensors.I8:
		for i := range dst {
			dst[i] = T(int8(src[i]))
		}
	case safetensors.U16:
		for i := range dst {
			dst[i] = T(binary.LittleEndian.Uint16(src[2*i:]))
		}
	case safetensors.I16:
		for i := range dst {
			dst[i] = T(int16(binary.LittleEndian.Uint16(src[2*i:])))
		}
	case safetensors.U32:
		for i := range dst {
			dst[i] = T(binary.LittleEndian.Uint32(src[4*i:]))
		}
	case safetensors.I32:
		for i := range dst {
			dst[i] = T(int32(binary.LittleEndian.Uint32(src[4*i:])))
		}
	case safetensors.U64:
		for i := range dst {
			dst[i] = T(binary.LittleEndian.Uint64(src[8*i:]))
		}
	case safetensors.I64:
		for i := range dst {
			dst[i] = T(int64(binary.LittleEndian.Uint64(src[8*i:])))
		}
	}
}

// fromF16 widens by the same multiplication as layout.value, in float32.
func fromF16(h uint16) float32 {
	bits := uint32(h&0x7FFF) << 13
	sign := uint32(h&0x8000) << 16
	if bits >= 0x7C00<<13 {
		return math.Float32frombits(sign | 0xFF<<23 | bits)
	}
	v := math.Float32frombits(bits) * 0x1p112
	return math.Float32frombits(sign | math.Float32bits(v))
}

// value8 returns what one code of a type of at most eight bits stands for.
func value8(d safetensors.DType, code uint8) float64 {
	if d == safetensors.F8E8M0 {
		return scaleValue(code)
	}
	l, _ := layoutOf(d)
	return l.value(uint32(code))
}

// tableWorth is the number of elements from which filling a table of 256
// values costs less than it saves.
const tableWorth = 512

func decodeF8[T float32 | float64](dst []T, d safetensors.DType, src []byte) {
	if len(dst) < tableWorth {
		for i := range dst {
			dst[i] = T(value8(d, src[i]))
		}
		return
	}
	var table [256]T
	for i := range table {
		table[i] = T(value8(d, uint8(i)))
	}
	for i := range dst {
		dst[i] = table[src[i]]
	}
}

func decodeF4[T float32 | float64](dst []T, src []byte) {
	var table [16]T
	for i := range table {
		table[i] = T(value8(safetensors.F4, uint8(i)))
	}
	for i, b := range src {
		dst[2*i] = table[b&15]
		dst[2*i+1] = table[b>>4]
	}
}

func decodeF6[T float32 | float64](dst []T, d safetensors.DType, src []byte) {
	var table [64]T
	for i := range table {
		table[i] = T(value8(d, uint8(i)))
	}
	for ; len(src) >= 3 && len(dst) >= 4; src, dst = src[3:], dst[4:] {
		dst[0] = table[src[0]&63]
		dst[1] = table[src[0]>>6|src[1]<<2&63]
		dst[2] = table[src[1]>>4|src[2]<<4&63]
		dst[3] = table[src[2]>>2]
	}
}
