// Package numeric reads, judges, compares and casts the values of tensors, of
// all 22 dtypes of safetensors.
//
// Begin with [Decode], which turns packed little-endian elements into float32
// or float64, and [Encode], which rounds such numbers into any dtype.
//
//	values := make([]float32, len(raw)/2)
//	err := numeric.Decode(values, safetensors.BF16, raw)
//
// Both work on chunks a caller chose, allocate nothing, and are safe to call
// from several goroutines on different chunks. [DecodeInt] and [EncodeInt] do
// the same for integers, which a float64 does not hold beyond 2^53.
//
// A [Scan] reads whole tensors, of any size, in bounded memory: [Scan.Stats]
// says what is in one and [Scan.Compare] how two differ. Both results merge, to
// those of a layer or a model. A [Cast] is a tensor in another float type,
// computed when it is read.
//
//	data := numeric.Data{DType: t.DType, Source: t, Size: t.Size()}
//	stats, err := numeric.Scan{}.Stats(ctx, data)
//
// # Formats
//
// F16, BF16 (the upper half of an F32), F32 and F64 are those of IEEE 754.
// F8_E4M3 and F8_E5M2 are those of Micikevicius et al., "FP8 Formats for Deep
// Learning", arXiv 2209.05433: E5M2 has infinities, E4M3 has none and one NaN
// of each sign. The two FNUZ types are those of Noune et al., "8-bit Numerical
// Formats for Deep Neural Networks", arXiv 2206.02915: no infinities, no
// negative zero, and the one NaN at 0x80. F4, F6_E2M3, F6_E3M2 and F8_E8M0 are
// those of the OCP Microscaling Formats (MX) Specification v1.0: the first
// three have neither infinity nor NaN, the last holds powers of two from 2^-127
// to 2^127, no zero, no sign, and NaN at 0xFF.
//
// # Packing
//
// The safetensors format does not say how elements smaller than a byte are
// packed. Here the first of two F4 elements is in the low half of its byte, as
// PyTorch's float4_e2m1fn_x2 and ONNX's FLOAT4E2M1 have it. Four F6 elements
// are 24 bits in three bytes, the first element in the lowest six bits of the
// first byte: the same rule applied to six bits. No framework that we know of
// writes F6 tensors yet, so that order is our choice.
//
// A C64 element is two F32: its real part, then its imaginary part. Decode and
// Encode treat n elements as 2n numbers.
//
// # Rounding
//
// A number between two representable ones goes to the nearer, and from the
// middle to the one whose last bit is zero. A float64 is rounded once.
// (ml_dtypes 0.6 and PyTorch 2.15 go through float32 and so round a float64
// twice: 1+2^-4+2^-50 becomes 1 in their E4M3, and 1.125 here.) What happens
// above the largest finite value is the caller's choice of [Overflow]; there
// ml_dtypes and PyTorch differ, for F8_E4M3 alone.
//
// NaN keeps its sign, where the format has a sign for it, and loses its
// payload: all NaNs of a sign become one quiet NaN. F32 from float32 and F64
// from float64 are copies, bit by bit.
//
// F8_E8M0 is a scale and follows both references: the middle of two powers
// goes to the upper one, and everything above 2^-127 and below 2^-126 to
// 2^-126. Zero and negative numbers have no place in it. ml_dtypes makes NaN of
// them, and so does this package; PyTorch stores 2^-127 for zero and drops a
// sign, which turns a wrong scale into a plausible one.
//
// # Sums
//
// The same data give the same results, to the last bit, on every processor and
// with any number of workers. Numbers are summed in float64, in blocks of 16384
// that begin where the data begin, in each of which 16 partial sums take turns;
// the sums of blocks are added without any rounding. A sum of numbers is then
// off by less than 2^-42 of the sum of their magnitudes, and usually by 2^-50.
// For types of at most eight bits it is exact. Blocks of numbers that are alike
// but for their last bits are summed up about their mean, and F64s whose squares
// no float64 holds are scaled first.
//
// # Kernels
//
// On amd64, AVX-512 or AVX2 does the work where the processor has it: casts
// between F32 and every float of at most 16 bits (but to F8_E8M0), of BF16 and F16
// to F8, and with AVX-512 back; statistics of floats and integers of eight bits
// and more; comparison of F32, BF16, F16 and F64, to which integers are converted.
// On arm64, NEON casts between F32 and those floats, makes the same statistics,
// and compares F32, BF16, F16 and F64. The results are those of the loops in Go,
// which do all the rest, and which the build tag purego selects.
//
// # Security
//
// The bytes of a tensor come from anywhere. Every bit pattern of every dtype
// decodes to something, nothing here panics on one, and no call allocates in
// proportion to a number it was given. Lengths are checked before any element
// is touched. A Scan takes at most eight MiB a worker, and each result about
// four MiB at most.
package numeric

import (
	"errors"
	"fmt"

	"github.com/tensmith/tensmith/safetensors"
)

// Errors that a [ValueError] wraps, and those that stand alone: ErrSize, ErrKind
// and ErrFloat.
var (
	ErrRange    = errors.New("out of range")
	ErrFraction = errors.New("not a whole number")
	ErrNaN      = errors.New("the type has no NaN")
	ErrSize     = errors.New("lengths do not fit")
	ErrKind     = errors.New("not an integer type")
	ErrFloat    = errors.New("not a float type")
)

// A ValueError says that a number has no place in a type.
type ValueError struct {
	Index int               // of the number in the slice given
	DType safetensors.DType // the type it was to be stored in or read from
	Value string            // the number, as text
	Err   error             // ErrRange, ErrFraction or ErrNaN
}

func (e *ValueError) Error() string {
	return fmt.Sprintf("value %d: %s as %s: %v", e.Index, e.Value, e.DType, e.Err)
}

func (e *ValueError) Unwrap() error { return e.Err }

// checkSize holds that numbers values of type d are exactly size bytes.
// In uint64, because eight times the length of a slice may not fit an int.
func checkSize(d safetensors.DType, numbers, size int) error {
	bits := uint64(d.Bits())
	if bits == 0 {
		return fmt.Errorf("%w: %s", safetensors.ErrDType, d)
	}
	if d == safetensors.C64 {
		bits /= 2 // two numbers an element
	}
	if uint64(numbers)*bits != uint64(size)*8 || d == safetensors.C64 && numbers%2 != 0 {
		return fmt.Errorf("%w: %d values of %s, %d bytes", ErrSize, numbers, d, size)
	}
	return nil
}
