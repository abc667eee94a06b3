package describe

import (
	"encoding/binary"
	"encoding/json"
	"slices"
	"strings"

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

// A companion is a tensor called base + suffix. One of those that are needed
// must be present.
type companion struct {
	suffix, purpose string
	needed          bool
}

var (
	i32s   = []st.DType{st.I32}
	u8s    = []st.DType{st.U8}
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
	{NF4, "", "", u8s, []companion{
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

// gptq: qweight [in·bits/32, out], scales [groups, out], qzeros [groups, out·bits/32].
func gptq(m *matcher, p *Packing) (uint64, bool) {
	rows, out, ok := matrix(&m.t.Info)
	groups, columns, ok2 := matrix(m.part("scale"))
	if !ok || !ok2 || columns != out {
		return 0, false
	}
	bits := uint64(0)
	if _, z, ok := matrix(m.part("zero point")); ok && m.part("zero point").DType == st.I32 {
		bits = ratio(z, 32, out)
	}
	if g := m.part("group index"); bits == 0 && g != nil {
		bits = ratio(rows, 32, product(g.Shape))
	}
	if bits == 0 {
		bits = m.bits(4)
	}
	in := ratio(rows, 32, bits)
	if in == 0 || bits > 8 {
		return 0, false
	}
	p.Block = []uint64{1, groupSize(in, groups)}
	return p.finish(m, int(bits), out, in)
}

// awq: qweight [in, out·bits/32], scales [groups, out].
func awq(m *matcher, p *Packing) (uint64, bool) {
	in, packed, ok := matrix(&m.t.Info)
	groups, out, ok2 := matrix(m.part("scale"))
	bits := ratio(packed, 32, out)
	if !ok || !ok2 || bits == 0 || bits > 8 {
		return 0, false
	}
	p.Block = []uint64{1, groupSize(in, groups)}
	return p.finish(m, int(bits), out, in)
}

// opaque counts integers by the config's width.
func opaque(m *matcher, p *Packing) (uint64, bool) {
	p.Bits = int(m.bits(4))
	return mul(product(m.t.Shape), 32) / uint64(p.Bits), true
}

// bits is the config's width of a weight.
func (m *matcher) bits(otherwise uint64) uint64 {
	if m.cfg.bits >= 1 && m.cfg.bits <= 8 {
		return uint64(m.cfg.bits)
	}
	return otherwise
}

// exl2: q_weight [words, out], q_invperm [in].
func exl2(m *matcher, p *Packing) (uint64, bool) {
	_, out, ok := matrix(&m.t.Info)
	perm := m.part("group index")
	if !ok || perm == nil || len(perm.Shape) != 1 {
		return 0, false
	}
	return p.finish(m, 0, out, perm.Shape[0])
}

// exl3: trellis [in/16, out/16, 16·bits].
func exl3(m *matcher, p *Packing) (uint64, bool) {
	s := m.t.Shape
	if len(s) != 3 || s[2] == 0 || s[2]%16 != 0 || s[2]/16 > 8 {
		return 0, false
	}
	return p.finish(m, int(s[2]/16), mul(s[1], 16), mul(s[0], 16))
}

// aqlm: codes [out/outSize, in/inSize, books], codebooks [books, entries, outSize, inSize].
func aqlm(m *matcher, p *Packing) (uint64, bool) {
	s, book := m.t.Shape, m.part("code book").Shape
	if len(s) != 3 || len(book) != 4 || s[2] != book[0] {
		return 0, false
	}
	shape := []uint64{mul(s[0], book[2]), mul(s[1], book[3])}
	p.Bits, p.Shape = 0, shape
	// One code may stand for many weights, though not for thousands.
	return product(shape), mul(book[2], book[3]) <= 1024
}

// twoAByte: the last dimension holds two weights a byte.
func twoAByte(m *matcher, p *Packing) (uint64, bool) {
	if len(m.t.Shape) < 2 {
		return 0, false
	}
	shape := slices.Clone(m.t.Shape)
	last := len(shape) - 1
	shape[last] = mul(shape[last], 2)
	return p.finish(m, 4, shape...)
}

// bitsAndBytes: U8 [n/2, 1]; only the quant_state knows the shape. Its blocks
// run over the weights in order, whatever their shape, so there is no Block.
func bitsAndBytes(m *matcher, p *Packing) (uint64, bool) {
	n := mul(product(m.t.Shape), 2)
	p.Bits = 4
	var state struct {
		Type  string   `json:"quant_type"`
		Shape []uint64 `json:"shape"`
	}
	for c, j := range m.found {
		if j < 0 || m.lay.companions[c].purpose != "quant state" {
			continue
		}
		t := &m.tensors[j]
		if strings.HasSuffix(t.Name, "fp4") {
			p.Scheme = FP4
		}
		if t.DType == st.U8 && json.Unmarshal(m.read(t.Name), &state) == nil && state.Type == "fp4" {
			p.Scheme = FP4
		}
	}
	// An odd number of weights leaves half of the last byte unused.
	if have := product(state.Shape); len(state.Shape) > 0 && n > 0 && (have == n || have == n-1) {
		p.Shape = state.Shape
		return have, true
	}
	return n, true
}

// blocks: _blocks […, groups, 16], _scales […, groups].
func blocks(m *matcher, p *Packing) (uint64, bool) {
	s, scales := m.t.Shape, m.part("scale").Shape
	n := len(scales)
	if n < 2 || len(s) != n+1 || !slices.Equal(s[:n], scales) || s[n] == 0 {
		return 0, false
	}
	shape := slices.Clone(s[:n])
	width := mul(s[n], 2)
	shape[n-1] = mul(shape[n-1], width)
	p.Block = lastBlock(n, width)
	return p.finish(m, 4, shape...)
}

// lastBlock is a block along the last of n dimensions.
func lastBlock(n int, width uint64) []uint64 {
	b := slices.Repeat([]uint64{1}, n)
	b[n-1] = width
	return b
}

// fp4: U8 […, in/2], scales […, in/16] of F8_E4M3 or […, in/32] of powers of two.
func fp4(m *matcher, p *Packing) (uint64, bool) {
	scale := m.part("scale")
	n := len(m.t.Shape)
	if n < 2 || len(scale.Shape) != n || scale.Shape[n-1] == 0 {
		return 0, false
	}
	switch width := ratio(m.t.Shape[n-1], 2, scale.Shape[n-1]); {
	case scale.DType == st.F8E4M3 && width == 16:
		p.Scheme, p.Block = NVFP4, lastBlock(n, 16)
	case (scale.DType == st.U8 || scale.DType == st.F8E8M0) && width == 32:
		p.Scheme, p.Block = MXFP4, lastBlock(n, 32)
	default:
		return 0, false
	}
	if !slices.Equal(m.t.Shape[:n-1], scale.Shape[:n-1]) {
		p.Block = nil // padded or swizzled for a kernel
	}
	return twoAByte(m, p)
}

// bitNet: U8 [out/4, in], one scale. The same shapes could be anything, so the
// config has to say so.
func bitNet(m *matcher, p *Packing) (uint64, bool) {
	rows, in, ok := matrix(&m.t.Info)
	if !ok || m.cfg.method != "bitnet" {
		return 0, false
	}
	shape := []uint64{mul(rows, 4), in}
	if product(m.part("scale").Shape) == 1 {
		p.Block = shape
	}
	return p.finish(m, 2, shape...)
}

// packQuantized: I32 [out, ceil(in / (32/bits))], or [out, ceil(in·bits/32)];
// weight_shape holds [out, in].
func packQuantized(m *matcher, p *Packing) (uint64, bool) {
	rows, packed, ok := matrix(&m.t.Info)
	if !ok {
		return 0, false
	}
	in, bits := uint64(0), uint64(0)
	if t := m.part("shape"); t != nil {
		if shape := numbers(*t, m.read(t.Name)); len(shape) == 2 && shape[0] == rows {
			in = shape[1]
		}
	}
	for _, b := range []uint64{m.bits(4), 4, 8, 2, 3, 1, 5, 6, 7} {
		each := 32 / b
		// Words hold whole integers in older files, and are filled to the last
		// bit in newer ones. The division comes first: in may be anything.
		if in > 0 && ((in-1)/each+1 == packed || in <= 1<<40 && (in*b-1)/32+1 == packed) {
			bits = b
			break
		}
	}
	if bits == 0 {
		bits = m.bits(4)
		in = mul(packed, 32/bits)
	}
	if groups, n, ok := matrix(m.part("scale")); ok && groups == rows {
		p.Block = []uint64{1, groupSize(in, n)}
	}
	return p.finish(m, int(bits), rows, in)
}

// numbers decodes a tiny vector of integers.
func numbers(t st.Info, data []byte) (n []uint64) {
	width := t.DType.Bits() / 8
	if t.DType != st.I64 && t.DType != st.I32 || len(data)%width != 0 || len(data) > 64 {
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

// scaled: one element a weight, and scales for blocks of any size.
func scaled(m *matcher, p *Packing) (uint64, bool) {
	p.Block = m.block(m.t.Shape, m.part("scale"))
	return p.finish(m, m.t.DType.Bits(), m.t.Shape...)
}

// block tells from the shape of the scales which weights share one. A scale
// for every 3 of 8 columns would read as one for every 4; the config settles
// that, and then the sizes in use.
func (m *matcher) block(shape []uint64, scale *st.Info) []uint64 {
	n, s := len(shape), scale.Shape
	switch {
	case product(shape) == 0 || product(s) == 0:
		return nil
	case product(s) == 1:
		return slices.Clone(shape)
	case len(s) < n && slices.Equal(s, shape[:len(s)]): // one for each row
		return append(slices.Repeat([]uint64{1}, len(s)), shape[len(s):]...)
	case len(s) != n:
		return nil
	}
	b := make([]uint64, n)
	for d := range b {
		if b[d] = m.side(shape[d], s[d], d-(n-2)); b[d] == 0 {
			return nil
		}
	}
	// A side that one block covers is as long as the other one, if it could be.
	if n >= 2 && s[n-1] > 1 && s[n-2] == 1 && b[n-1] > 32 && shape[n-2] <= b[n-1] && shape[n-2] > 1 {
		b[n-2] = b[n-1]
	} else if n >= 2 && s[n-2] > 1 && s[n-1] == 1 && b[n-2] > 32 && shape[n-1] <= b[n-2] {
		b[n-1] = b[n-2]
	}
	return b
}

// side is the length of a block of which n cover a dimension, or 0. The last
// two dimensions are called 0 and 1.
func (m *matcher) side(dim, n uint64, which int) uint64 {
	switch {
	case n == dim:
		return 1
	case n == 1:
		return dim
	}
	sizes := []uint64{0, 128, 32, 16, 64, 256, 512, 1024, 2048, 4096}
	if which >= 0 {
		sizes[0] = m.cfg.block[which]
	}
	for _, b := range sizes {
		if b > 0 && (dim-1)/b+1 == n {
			return b
		}
	}
	if dim%n == 0 {
		return dim / n
	}
	return 0
}

// mlx: U32 [out, in·bits/32], scales [out, in/group]. Only the config knows the
// size of a group, and with it the width; without it the usual 64 is tried first.
func mlx(m *matcher, p *Packing) (uint64, bool) {
	n, scale := len(m.t.Shape), m.part("scale")
	if n < 2 || len(scale.Shape) != n || product(m.t.Shape) == 0 || !slices.Equal(m.t.Shape[:n-1], scale.Shape[:n-1]) {
		return 0, false
	}
	groups := []uint64{m.cfg.groupOf[m.base], m.cfg.group, 64, 32, 128, 16, 256}
	if m.part("bias") == nil { // its floating-point modes, which have fixed groups
		groups = []uint64{32}
		if scale.DType == st.U8 && m.cfg.group == 16 {
			groups = []uint64{16}
		}
	}
	for _, group := range groups {
		in := mul(scale.Shape[n-1], group)
		bits := ratio(m.t.Shape[n-1], 32, in)
		if !slices.Contains([]uint64{2, 3, 4, 5, 6, 8}, bits) {
			continue
		}
		shape := slices.Clone(m.t.Shape)
		shape[n-1] = in
		p.Block = lastBlock(n, group)
		return p.finish(m, int(bits), shape...)
	}
	return 0, false
}
