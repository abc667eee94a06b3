package safetensors

import "fmt"

// A DType is the type of a tensor's elements. Its values are in the order of
// the reference implementation, which is also the order, reversed, in which
// a canonical file stores its tensors.
//
// The zero DType is no type; it is what a struct holds that nobody filled in.
type DType uint8

// The 22 types of the format. A type whose elements are smaller than a byte
// is packed: four F6 elements take three bytes, two F4 elements take one.
// Shapes always count elements, never packed bytes.
const (
	Bool       DType = iota + 1 // one byte, 0 or 1 by convention (never checked)
	F4                          // 4-bit float, E2M1 of OCP Microscaling Formats v1.0
	F6E2M3                      // 6-bit float, E2M3 of OCP Microscaling Formats v1.0
	F6E3M2                      // 6-bit float, E3M2 of OCP Microscaling Formats v1.0
	U8                          // unsigned 8-bit integer
	I8                          // signed 8-bit integer
	F8E5M2                      // 8-bit float with infinities, arXiv 2209.05433
	F8E4M3                      // 8-bit float, finite (torch.float8_e4m3fn), arXiv 2209.05433
	F8E8M0                      // 8-bit power-of-two scale of OCP Microscaling Formats v1.0
	F8E4M3FNUZ                  // 8-bit float, finite, unsigned zero, arXiv 2206.02915
	F8E5M2FNUZ                  // 8-bit float, finite, unsigned zero, arXiv 2206.02915
	I16                         // signed 16-bit integer
	U16                         // unsigned 16-bit integer
	F16                         // IEEE 754 binary16
	BF16                        // upper half of an IEEE 754 binary32
	I32                         // signed 32-bit integer
	U32                         // unsigned 32-bit integer
	F32                         // IEEE 754 binary32
	C64                         // complex number of two F32: real part, imaginary part
	F64                         // IEEE 754 binary64
	I64                         // signed 64-bit integer
	U64                         // unsigned 64-bit integer
)

var dtypes = [...]struct {
	name string
	bits uint8
}{
	Bool: {"BOOL", 8}, F4: {"F4", 4}, F6E2M3: {"F6_E2M3", 6}, F6E3M2: {"F6_E3M2", 6},
	U8: {"U8", 8}, I8: {"I8", 8}, F8E5M2: {"F8_E5M2", 8}, F8E4M3: {"F8_E4M3", 8},
	F8E8M0: {"F8_E8M0", 8}, F8E4M3FNUZ: {"F8_E4M3FNUZ", 8}, F8E5M2FNUZ: {"F8_E5M2FNUZ", 8},
	I16: {"I16", 16}, U16: {"U16", 16}, F16: {"F16", 16}, BF16: {"BF16", 16},
	I32: {"I32", 32}, U32: {"U32", 32}, F32: {"F32", 32},
	C64: {"C64", 64}, F64: {"F64", 64}, I64: {"I64", 64}, U64: {"U64", 64},
}

// ParseDType returns the type that a header spells s. The spelling is exact:
// there are no aliases and case matters.
func ParseDType(s string) (DType, error) {
	if d := lookupDType(s); d != 0 {
		return d, nil
	}
	return 0, fmt.Errorf("%w %q", ErrDType, s)
}

// lookupDType is a switch and not a map: the compiler turns it into a search
// by length and content, and the header scanner calls it once a tensor.
func lookupDType(s string) DType {
	switch s {
	case "F32":
		return F32
	case "BF16":
		return BF16
	case "F16":
		return F16
	case "U8":
		return U8
	case "I8":
		return I8
	case "I64":
		return I64
	case "U64":
		return U64
	case "F64":
		return F64
	case "I32":
		return I32
	case "U32":
		return U32
	case "I16":
		return I16
	case "U16":
		return U16
	case "C64":
		return C64
	case "BOOL":
		return Bool
	case "F4":
		return F4
	case "F6_E2M3":
		return F6E2M3
	case "F6_E3M2":
		return F6E3M2
	case "F8_E5M2":
		return F8E5M2
	case "F8_E4M3":
		return F8E4M3
	case "F8_E8M0":
		return F8E8M0
	case "F8_E4M3FNUZ":
		return F8E4M3FNUZ
	case "F8_E5M2FNUZ":
		return F8E5M2FNUZ
	}
	return 0
}

// String returns the spelling of the format, such as "F8_E4M3".
func (d DType) String() string {
	if d.valid() {
		return dtypes[d].name
	}
	return fmt.Sprintf("DType(%d)", uint8(d))
}

// Bits returns the size of one element in bits: 4, 6, 8, 16, 32 or 64,
// or 0 if d is none of the 22 types.
func (d DType) Bits() int {
	if d.valid() {
		return int(dtypes[d].bits)
	}
	return 0
}

func (d DType) valid() bool { return d >= 1 && int(d) < len(dtypes) }
