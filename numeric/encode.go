package numeric

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/tensmith/tensmith/safetensors"
)

// Overflow says what becomes of a number that rounds beyond the largest finite
// value of a float type. F4 and F6 have nothing beyond it and always saturate.
type Overflow uint8

const (
	// ToSpecial makes it infinite, or NaN where the type has no infinity
	// (F8_E4M3, F8_E8M0 and both FNUZ). It is what ml_dtypes does, and PyTorch
	// for every type but F8_E4M3, where its version 2.15 saturates.
	// It is the zero value because it hides nothing: what did not fit can be
	// found in the result.
	ToSpecial Overflow = iota
	// Saturate makes it the largest finite value of its sign, and an infinity
	// too, as OCP's FP8 specification has it. NaN stays NaN. Zero in F8_E8M0
	// becomes the smallest value, 2^-127.
	Saturate
)

// Encode rounds numbers into packed little-endian elements of type d, to
// nearest even. The lengths are those of [Decode].
//
// An integer type and Bool take whole numbers in their range and refuse others
// with a [ValueError] for ErrFraction, ErrRange or ErrNaN; for F4 and F6, which
// have no NaN, a NaN is refused in the same way. (ml_dtypes stores a zero there,
// of the opposite sign: a NaN that silently becomes a weight.) Elements before
// the one at fault may have been written. The other errors are those of Decode.
func Encode[T float32 | float64](dst []byte, d safetensors.DType, src []T, mode Overflow) error {
	if err := checkSize(d, len(src), len(dst)); err != nil {
		return err
	}
	switch src := any(src).(type) {
	case []float64:
		if narrowsFirst(d) {
			return encodeWide(dst, d, src, mode)
		}
	case []float32:
		done := encodeKernel(dst, d, src, mode)
		dst, src = dst[done*d.Bits()/8:], src[done:]
		if narrowsFirst(d) {
			return refusedAfter(done, encodeNarrow(dst, d, src, mode))
		}
		return refusedAfter(done, encodeRest(dst, d, src, mode))
	}
	return encodeRest(dst, d, src, mode)
}

// refusedAfter adds the numbers before to the index of a ValueError.
func refusedAfter(before int, err error) error {
	var refused *ValueError
	if errors.As(err, &refused) {
		refused.Index += before
	}
	return err
}

// encodeNarrow is the plain form of the kernels.
func encodeNarrow(dst []byte, d safetensors.DType, src []float32, mode Overflow) error {
	if d.Bits() < 8 {
		return encodePacked(dst, d, src)
	}
	l, _ := layoutOf(d)
	r := newRounder(l, mode)
	for i, v := range src {
		if d.Bits() == 8 {
			dst[i] = uint8(r.round(v))
		} else {
			binary.LittleEndian.PutUint16(dst[2*i:], uint16(r.round(v)))
		}
	}
	return nil
}

// encodeRest encodes types that are no narrow floats.
func encodeRest[T float32 | float64](dst []byte, d safetensors.DType, src []T, mode Overflow) error {
	switch d {
	case safetensors.F8E8M0:
		for i, v := range src {
			dst[i] = scaleCode(float64(v), mode)
		}
	case safetensors.F32, safetensors.C64:
		encodeF32(dst, src, mode)
	case safetensors.F64:
		for i, v := range src {
			f := float64(v)
			if mode == Saturate && math.IsInf(f, 0) {
				f = math.Copysign(math.MaxFloat64, f)
			}
			binary.LittleEndian.PutUint64(dst[8*i:], math.Float64bits(f))
		}
	default:
		return encodeWhole(dst, d, src)
	}
	return nil
}

// narrowsFirst tells whether a float64 becomes a float of type d by way of a
// float32 with a last bit that tells of what was cut off: a float32 has more than
// two bits more than d has, subnormal numbers too.
func narrowsFirst(d safetensors.DType) bool {
	_, ok := layoutOf(d)
	return ok && d.Bits() <= 16 && d != safetensors.F8E8M0
}

// encodeWide is Encode of float64, as many at a time as stay in the nearest
// cache.
func encodeWide(dst []byte, d safetensors.DType, src []float64, mode Overflow) error {
	var narrow [1024]float32
	for first := 0; first < len(src); first += len(narrow) {
		part := src[first:min(len(src), first+len(narrow))]
		for i, v := range part {
			narrow[i] = cutOff(v)
		}
		size := len(part) * d.Bits() / 8
		if err := Encode(dst[:size], d, narrow[:len(part)], mode); err != nil {
			return refusedAfter(first, err)
		}
		dst = dst[size:]
	}
	return nil
}

// cutOff rounds a float64 to odd: what does not fit a float32 is cut off, and the
// last bit set if that was not zero. To round the result to fewer bits is to round
// the float64 once (Boldo and Melquiond, "Emulation of FMA and correctly rounded
// sums: proved algorithms using rounding to odd", 2008).
func cutOff(v float64) float32 {
	bits := math.Float64bits(v)
	sign := uint32(bits >> 32 & (1 << 31))
	if exponent := bits >> 52 & 0x7FF; exponent-897 < 254 { // a normal float32
		rest := bits & (1<<29 - 1)
		return math.Float32frombits(sign | uint32((bits>>29-896<<23)&(1<<31-1)) | uint32((rest+1<<29-1)>>29))
	}
	f := float32(v)
	switch {
	case v != v || float64(f) == v:
		return f
	case math.Abs(float64(f)) > math.Abs(v):
		f = math.Float32frombits(math.Float32bits(f) - 1)
	}
	return math.Float32frombits(math.Float32bits(f) | 1)
}

// encodeF32 leaves the rounding to the processor, which is IEEE 754's.
func encodeF32[T float32 | float64](dst []byte, src []T, mode Overflow) {
	_, wide := any(T(0)).(float64)
	for i, v := range src {
		f := float32(v)
		switch {
		case mode == Saturate && math.IsInf(float64(f), 0):
			f = float32(math.Copysign(math.MaxFloat32, float64(f)))
		case f != f && wide:
			// One quiet NaN, whatever the payload and the processor.
			bits := uint32(math.Float64bits(float64(v))>>63)<<31 | 0x7FC00000
			f = math.Float32frombits(bits)
		}
		binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(f))
	}
}

// encodePacked encodes F4 and F6.
func encodePacked(dst []byte, d safetensors.DType, src []float32) error {
	l, _ := layoutOf(d)
	r := newRounder(l, Saturate)
	group, width := 4, 6
	if d == safetensors.F4 {
		group, width = 2, 4
	}
	size := group * width / 8
	for i := 0; i+group <= len(src); i += group {
		var packed uint32
		for j, v := range src[i : i+group] {
			if v != v {
				return &ValueError{Index: i + j, DType: d, Value: "NaN", Err: ErrNaN}
			}
			packed |= r.round(v) << (j * width)
		}
		for j := range size {
			dst[j] = byte(packed >> (8 * j))
		}
		dst = dst[size:]
	}
	return nil
}

// bounds are the least value and the first one beyond the greatest, both exact
// in a float64; bytes is the size of an element.
type bounds struct {
	low, beyond float64
	bytes       int
}

// wholeRange returns the bounds of an integer type or Bool.
func wholeRange(d safetensors.DType) (bounds, bool) {
	switch d {
	case safetensors.Bool:
		return bounds{0, 2, 1}, true
	case safetensors.U8:
		return bounds{0, 0x1p8, 1}, true
	case safetensors.I8:
		return bounds{-0x1p7, 0x1p7, 1}, true
	case safetensors.U16:
		return bounds{0, 0x1p16, 2}, true
	case safetensors.I16:
		return bounds{-0x1p15, 0x1p15, 2}, true
	case safetensors.U32:
		return bounds{0, 0x1p32, 4}, true
	case safetensors.I32:
		return bounds{-0x1p31, 0x1p31, 4}, true
	case safetensors.U64:
		return bounds{0, 0x1p64, 8}, true
	case safetensors.I64:
		return bounds{-0x1p63, 0x1p63, 8}, true
	}
	return bounds{}, false
}

func encodeWhole[T float32 | float64](dst []byte, d safetensors.DType, src []T) error {
	b, _ := wholeRange(d)
	for i, v := range src {
		f := float64(v)
		var reason error
		switch {
		case f != f:
			reason = ErrNaN
		case f < b.low || f >= b.beyond:
			reason = ErrRange
		case f != math.Trunc(f):
			reason = ErrFraction
		}
		if reason != nil {
			return &ValueError{Index: i, DType: d, Value: strconv.FormatFloat(f, 'g', -1, 64), Err: reason}
		}
		word := uint64(int64(f))
		if f >= 0x1p63 {
			word = uint64(f)
		}
		putWord(dst[i*b.bytes:], b.bytes, word)
	}
	return nil
}

// EncodeInt stores integers as elements of an integer type, or Bool (which
// takes 0 and 1). A number that does not fit is a [ValueError] for ErrRange;
// elements before it have been written. Other errors are those of [DecodeInt].
func EncodeInt[T int64 | uint64](dst []byte, d safetensors.DType, src []T) error {
	if err := checkSize(d, len(src), len(dst)); err != nil {
		return err
	}
	b, ok := wholeRange(d)
	if !ok {
		return fmt.Errorf("%w: %s", ErrKind, d)
	}
	low, high := int64(b.low), uint64(math.MaxUint64)
	if b.beyond < 0x1p64 {
		high = uint64(b.beyond) - 1
	}
	for i, v := range src {
		if v < 0 && int64(v) < low || v > 0 && uint64(v) > high {
			return &ValueError{Index: i, DType: d, Value: fmt.Sprint(v), Err: ErrRange}
		}
		putWord(dst[i*b.bytes:], b.bytes, uint64(v))
	}
	return nil
}

// putWord stores the low bytes of word.
func putWord(dst []byte, size int, word uint64) {
	switch size {
	case 1:
		dst[0] = byte(word)
	case 2:
		binary.LittleEndian.PutUint16(dst, uint16(word))
	case 4:
		binary.LittleEndian.PutUint32(dst, uint32(word))
	case 8:
		binary.LittleEndian.PutUint64(dst, word)
	}
}
