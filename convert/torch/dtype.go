package torch

import (
	"strings"

	"github.com/tensmith/tensmith/safetensors"
)

// An elem is a type of torch's elements.
type elem struct {
	name string            // as torch spells it, or NumPy where torch has none
	size int               // of an element, in bytes
	home safetensors.DType // 0 if safetensors has none
	word int               // bytes that are swapped together; differs from size in complex numbers
	kind elemKind
}

type elemKind uint8

const (
	plain   elemKind = iota
	cplx             // two components
	quant            // integers that stand for numbers by a scale
	packed           // two values in an element: the shape counts elements
	foreign          // no numbers at all
)

// elems are torch's types by name.
var elems = map[string]*elem{
	"float64": {"float64", 8, safetensors.F64, 8, plain}, "float32": {"float32", 4, safetensors.F32, 4, plain},
	"float16": {"float16", 2, safetensors.F16, 2, plain}, "bfloat16": {"bfloat16", 2, safetensors.BF16, 2, plain},
	"int64": {"int64", 8, safetensors.I64, 8, plain}, "int32": {"int32", 4, safetensors.I32, 4, plain},
	"int16": {"int16", 2, safetensors.I16, 2, plain}, "int8": {"int8", 1, safetensors.I8, 1, plain},
	"uint8": {"uint8", 1, safetensors.U8, 1, plain}, "bool": {"bool", 1, safetensors.Bool, 1, plain},
	"uint16": {"uint16", 2, safetensors.U16, 2, plain}, "uint32": {"uint32", 4, safetensors.U32, 4, plain},
	"uint64":        {"uint64", 8, safetensors.U64, 8, plain},
	"complex64":     {"complex64", 8, safetensors.C64, 4, cplx},
	"complex128":    {"complex128", 16, 0, 8, cplx},
	"complex32":     {"complex32", 4, 0, 2, cplx},
	"bcomplex32":    {"bcomplex32", 4, 0, 2, cplx},
	"float8_e4m3fn": {"float8_e4m3fn", 1, safetensors.F8E4M3, 1, plain}, "float8_e5m2": {"float8_e5m2", 1, safetensors.F8E5M2, 1, plain},
	"float8_e4m3fnuz":  {"float8_e4m3fnuz", 1, safetensors.F8E4M3FNUZ, 1, plain},
	"float8_e5m2fnuz":  {"float8_e5m2fnuz", 1, safetensors.F8E5M2FNUZ, 1, plain},
	"float8_e8m0fnu":   {"float8_e8m0fnu", 1, safetensors.F8E8M0, 1, plain},
	"float4_e2m1fn_x2": {"float4_e2m1fn_x2", 1, safetensors.F4, 1, packed},
	"qint8":            {"qint8", 1, 0, 1, quant}, "quint8": {"quint8", 1, 0, 1, quant}, "qint32": {"qint32", 4, 0, 4, quant},
	"quint4x2": {"quint4x2", 1, 0, 1, foreign}, "quint2x4": {"quint2x4", 1, 0, 1, foreign},
	"bits8": {"bits8", 1, 0, 1, foreign}, "bits16": {"bits16", 2, 0, 2, foreign}, "bits1x8": {"bits1x8", 1, 0, 1, foreign},
	"bits2x4": {"bits2x4", 1, 0, 1, foreign}, "bits4x2": {"bits4x2", 1, 0, 1, foreign},
}

// elemAliases are further names of types, as attributes of torch.
var elemAliases = map[string]string{
	"double": "float64", "float": "float32", "half": "float16", "long": "int64", "int": "int32", "short": "int16",
	"cfloat": "complex64", "cdouble": "complex128", "chalf": "complex32",
}

// storageElems are the types of the storage and tensor classes, by what
// stands before "Storage" or "Tensor".
var storageElems = map[string]string{
	"Float": "float32", "Double": "float64", "Half": "float16", "BFloat16": "bfloat16", "Long": "int64", "Int": "int32",
	"Short": "int16", "Char": "int8", "Byte": "uint8", "Bool": "bool", "ComplexFloat": "complex64",
	"ComplexDouble": "complex128", "ComplexHalf": "complex32", "QInt8": "qint8", "QUInt8": "quint8", "QInt32": "qint32",
	"QUInt4x2": "quint4x2", "QUInt2x4": "quint2x4", "Float8_e4m3fn": "float8_e4m3fn", "Float8_e5m2": "float8_e5m2",
	"Float8_e4m3fnuz": "float8_e4m3fnuz", "Float8_e5m2fnuz": "float8_e5m2fnuz", "Untyped": "uint8",
}

// scalarTypes are the numbers that .pt2 files use: ScalarType of
// torch/_export/serde/schema.py.
var scalarTypes = map[int64]string{
	1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float16", 7: "float32", 8: "float64", 9: "complex32",
	10: "complex64", 11: "complex128", 12: "bool", 13: "bfloat16", 28: "uint16", 29: "float8_e4m3fn", 30: "float8_e5m2",
	31: "float8_e4m3fnuz", 32: "float8_e5m2fnuz", 33: "float8_e8m0fnu", 34: "uint32", 35: "uint64",
}

// elemOf returns the type that a name of the module torch stands for.
func elemOf(name string) *elem {
	if full, ok := elemAliases[name]; ok {
		name = full
	}
	return elems[name]
}

// elemOfHome returns the type whose elements a dtype is for. That of a dtype of
// less than a byte has no size.
func elemOfHome(d safetensors.DType) *elem {
	for _, e := range elems { // one for each dtype
		if e.home == d && e.kind != packed {
			return e
		}
	}
	return &elem{name: d.String(), home: d}
}

// elemOfClass returns the type of a class such as torch.cuda.FloatStorage,
// for the suffix Storage or Tensor.
func elemOfClass(module, name, suffix string) *elem {
	switch module {
	case "torch", "torch.cuda":
	case "torch.storage":
		if strings.HasPrefix(strings.TrimPrefix(name, "_"), "Untyped") {
			return elems["uint8"]
		}
		return nil
	default:
		return nil
	}
	kind, ok := strings.CutSuffix(name, suffix)
	if !ok {
		return nil
	}
	return elems[storageElems[kind]]
}
