package describe

import (
	"encoding/json"
	"slices"
	"strings"

	st "github.com/tensmith/tensmith/safetensors"
)

// The functions of this file read the shapes of one layout each. Their comments
// give those shapes, as [rows, columns] of what the file stores.

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

// bitsAndBytes: U8 [n/2, 1], or as many bytes of a float; only the quant_state
// knows the shape. Its blocks run over the weights in order, whatever their
// shape, so there is no Block.
func bitsAndBytes(m *matcher, p *Packing) (uint64, bool) {
	n := mul(product(m.t.Shape), uint64(m.t.DType.Bits()/4))
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

// quantoBits: U8 [groups·bits/8, group], a scale for each group. Groups run over
// the weights as they lie, and nothing stored tells how long their rows are.
func quantoBits(m *matcher, p *Packing) (uint64, bool) {
	rows, group, ok := matrix(&m.t.Info)
	groups, one, ok2 := matrix(m.part("scale"))
	bits := ratio(rows, 8, groups)
	if !ok || !ok2 || one != 1 || bits != 2 && bits != 4 {
		return 0, false
	}
	p.Bits = int(bits)
	return mul(groups, group), true
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
		if shape := numbers(t.DType, m.read(t.Name)); len(shape) == 2 && shape[0] == rows {
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
