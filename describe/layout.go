package describe

import (
	"encoding/binary"
	"slices"

	st "github.com/tensmith/tensmith/safetensors"
)

// A layout is a way to name and shape packed weights and what comes with them.
type layout struct {
	scheme     Scheme
	suffix     string // of the packed tensor; what precedes it is the base
	weight     string // base + weight is the name of the unpacked tensor
	dtypes     []st.DType
	companions []companion

	// read tells whether shapes and dtypes fit, fills in the packing, and
	// returns the number of weights. Nothing of the shapes may be taken for
	// granted: names alone have led here.
	read func(m *matcher, p *Packing) (weights uint64, ok bool)
}

// takes tells whether a tensor can be one of the layout, by its dtype. The four
// bits of bitsandbytes may be stored in the bytes of a float
// (bnb_4bit_quant_storage, which FSDP asks for), always as one column.
func (l *layout) takes(t *st.Info) bool {
	return slices.Contains(l.dtypes, t.DType) && (l.scheme != NF4 || t.DType == st.U8 || len(t.Shape) == 2 && t.Shape[1] == 1)
}

// A companion is a tensor called base + suffix. One of those that are needed
// must be present; they stand before the others.
type companion struct {
	suffix, purpose string
	needed          bool
}

var (
	i32s   = []st.DType{st.I32}
	u8s    = []st.DType{st.U8}
	fours  = []st.DType{st.U8, st.BF16, st.F16, st.F32} // see layout.takes
	i8s    = []st.DType{st.I8}
	floats = []st.DType{st.F8E4M3, st.F8E5M2, st.F8E4M3FNUZ, st.F8E5M2FNUZ}

	gptqParts = []companion{
		{".scales", "scale", true}, {".qzeros", "zero point", false}, {".g_idx", "group index", false},
	}
	// The names of vLLM's formats, ModelOpt, DeepSeek (weight_scale_inv, and
	// scale in its own releases) and ComfyUI (scale_weight).
	scaledParts = []companion{
		{".weight_scale", "scale", true}, {".weight_scale_inv", "scale", true}, {".scale", "scale", true}, {".scale_weight", "scale", true},
		{".weight_scale_2", "global scale", false}, {".weight_zero_point", "zero point", false},
		{".input_scale", "activation scale", false}, {".scale_input", "activation scale", false},
		{".input_zero_point", "activation scale", false}, {".comfy_quant", "quant state", false},
	}
	// Experts stacked into one tensor, which is not called weight.
	stackedParts = []companion{
		{"_scale", "scale", true}, {"_scale_inv", "scale", true}, {"_weight_scale", "scale", true}, {"_scale_2", "global scale", false},
		{"_weight_scale_2", "global scale", false}, {"_input_scale", "activation scale", false},
	}
)

// layouts are tried from top to bottom.
var layouts = []layout{
	{GPTQ, ".qweight", ".weight", i32s, gptqParts, gptq},
	{AWQ, ".qweight", ".weight", i32s, gptqParts, awq},
	{PackedOpaque, ".qweight", ".weight", i32s, gptqParts, opaque},
	{EXL2, ".q_weight", ".weight", i32s, []companion{
		{".q_scale", "scale", true}, {".q_scale_max", "global scale", false}, {".q_groups", "quant state", false},
		{".q_invperm", "group index", false}, {".q_perm", "group index", false}, {".q_group_map", "group index", false},
	}, exl2},
	{EXL3, ".trellis", ".weight", []st.DType{st.I16, st.U16}, []companion{
		{".svh", "transform", true}, {".suh", "transform", false}, {".sv", "transform", false}, {".su", "transform", false},
		{".mcg", "code book", false}, {".mul1", "code book", false},
	}, exl3},
	{AQLM, ".codes", ".weight", []st.DType{st.I8, st.I16, st.U8, st.U16}, []companion{
		{".codebooks", "code book", true}, {".scales", "scale", false},
	}, aqlm},
	{SVDQuant, ".qweight", ".weight", i8s, []companion{
		{".wscales", "scale", true}, {".wtscale", "global scale", false}, {".wcscales", "scale", false},
		{".smooth_factor", "transform", false}, {".smooth_factor_orig", "transform", false}, {".smooth", "transform", false},
	}, twoAByte},
	{NF4, "", "", fours, []companion{
		{".absmax", "absmax", true}, {".quant_map", "code book", false},
		{".nested_absmax", "nested absmax", false}, {".nested_quant_map", "nested code book", false},
		{".quant_state.bitsandbytes__nf4", "quant state", false}, {".quant_state.bitsandbytes__fp4", "quant state", false},
	}, bitsAndBytes},
	{BnB8, ".weight", ".weight", i8s, []companion{
		{".SCB", "scale", true}, {".weight_format", "quant state", false},
	}, scaled},
	{MXFP4, "_blocks", "", u8s, []companion{{"_scales", "scale", true}}, blocks},
	{NVFP4, ".weight_packed", ".weight", u8s, []companion{
		{".weight_scale", "scale", true}, {".weight_global_scale", "global scale", false}, {".input_global_scale", "activation scale", false},
	}, fp4},
	{PackedInt, ".weight_packed", ".weight", i32s, []companion{
		{".weight_scale", "scale", true}, {".weight_zero_point", "zero point", false},
		{".weight_shape", "shape", false}, {".weight_g_idx", "group index", false},
	}, packQuantized},
	{NVFP4, ".weight", ".weight", u8s, scaledParts, fp4},
	{NVFP4, "", "", u8s, stackedParts, fp4},
	{BitNet, ".weight", ".weight", u8s, scaledParts, bitNet},
	{FP8, ".weight", ".weight", floats, scaledParts, scaled},
	{FP8, "", "", floats, stackedParts, scaled},
	{INT8, ".weight", ".weight", i8s, scaledParts, scaled},
	{INT8, "", "", i8s, stackedParts, scaled},
	{MLX, ".weight", ".weight", []st.DType{st.U32}, []companion{
		{".scales", "scale", true}, {".biases", "bias", false},
	}, mlx},
	{Quanto, ".weight._data", ".weight", append(i8s[:1:1], floats...), []companion{
		{".weight._scale", "scale", true}, {".weight._shift", "zero point", false},
		{".input_scale", "activation scale", false}, {".output_scale", "activation scale", false},
	}, scaled},
	{Quanto, ".weight._data._data", ".weight", u8s, []companion{
		{".weight._scale", "scale", true}, {".weight._shift", "zero point", false},
		{".input_scale", "activation scale", false}, {".output_scale", "activation scale", false},
	}, quantoBits},
	{FP8, "._weight_qdata", ".weight", floats, torchAOParts, scaled},
	{INT8, "._weight_qdata", ".weight", i8s, torchAOParts, scaled},
	{TorchAO4, "._weight_qdata", ".weight", u8s, torchAOParts, twoAByte},
}

var torchAOParts = []companion{{"._weight_scale", "scale", true}, {"._weight_zero_point", "zero point", false}}

// finish ends a layout's read: it checks the weight's shape against what the
// bits of the packed tensor can hold, so that no count is out of proportion.
func (p *Packing) finish(m *matcher, bits int, shape ...uint64) (uint64, bool) {
	n := product(shape)
	p.Bits, p.Shape = bits, shape
	return n, n == 0 || n/uint64(m.t.DType.Bits()) <= product(m.t.Shape)
}

// matrix returns the dimensions of a matrix.
func matrix(t *st.Info) (rows, columns uint64, ok bool) {
	if t == nil || len(t.Shape) != 2 || t.Shape[0] == 0 || t.Shape[1] == 0 {
		return 0, 0, false
	}
	return t.Shape[0], t.Shape[1], true
}

// ratio is a·k/b if that is a whole number below 2^40, else 0.
func ratio(a, k, b uint64) uint64 {
	const limit = 1 << 40
	if b == 0 || a > limit || mul(a, k)%b != 0 || mul(a, k)/b > limit {
		return 0
	}
	return a * k / b
}

// groupSize is the length of n groups that cover a dimension.
func groupSize(dim, n uint64) uint64 {
	if n == 0 || n > dim {
		return dim
	}
	return (dim + n - 1) / n
}

// bits is the config's width of a weight.
func (m *matcher) bits(otherwise uint64) uint64 {
	if m.cfg.bits >= 1 && m.cfg.bits <= 8 {
		return uint64(m.cfg.bits)
	}
	return otherwise
}

// numbers decodes a tiny vector of integers.
func numbers(d st.DType, data []byte) (n []uint64) {
	width := d.Bits() / 8
	if d != st.I64 && d != st.I32 || len(data)%width != 0 || len(data) > 64 {
		return nil
	}
	for ; len(data) > 0; data = data[width:] {
		if width == 8 {
			n = append(n, binary.LittleEndian.Uint64(data))
		} else {
			n = append(n, uint64(binary.LittleEndian.Uint32(data)))
		}
	}
	return n
}
