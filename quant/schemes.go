package quant

import (
	"slices"
	"strings"

	"github.com/tensmith/tensmith/describe"
	"github.com/tensmith/tensmith/safetensors"
)

// A maker holds a packed tensor against its companions, and returns what
// computes the weight, and its shape.
type maker func(c *companions) (decoder, []uint64, error)

// makers are those of the schemes that are known.
var makers = map[describe.Scheme]maker{
	describe.FP8:       newScaled,
	describe.INT8:      newScaled,
	describe.Quanto:    newScaled,
	describe.BnB8:      newScaled,
	describe.MXFP4:     newScaled,
	describe.NVFP4:     newScaled,
	describe.MLX:       newMLX,
	describe.PackedInt: newPackQuantized,
	describe.GPTQ:      newGPTQ,
	describe.AWQ:       newGPTQ,
	describe.NF4:       newFourBit,
	describe.FP4:       newFourBit,
	describe.BitNet:    newBitNet,
	describe.AQLM:      newAQLM,
}

// newScaled is a scheme of elements that have a type of their own: FP8, INT8,
// and FP4 two a byte.
func newScaled(c *companions) (decoder, []uint64, error) {
	shape, m, err := c.shape()
	if err != nil {
		return nil, nil, err
	}
	weight, err := c.packed()
	if err != nil {
		return nil, nil, err
	}
	scale, err := c.need("scale")
	if err != nil {
		return nil, nil, err
	}
	if c.t.Packing.Scheme == describe.MXFP4 && weight.DType == safetensors.U8 && len(weight.Shape) == 4 && strings.HasSuffix(c.t.Name, "_blocks") {
		return newExperts(weight, scale, shape)
	}
	if c.t.Packing.Scheme == describe.MXFP4 || c.t.Packing.Scheme == describe.NVFP4 {
		if weight.DType != safetensors.U8 || m.cols%2 != 0 {
			return nil, nil, fault(weight.Name, ErrShape, "%s %d is no bytes of two weights", weight.DType, weight.Shape)
		}
		if c.t.Packing.Block == nil {
			return nil, nil, fault(scale.Name, ErrScheme, "scales of shape %d for weights of %d lie as a kernel wants them", scale.Shape, shape)
		}
		weight.DType, weight.Shape, weight.count = safetensors.F4, shape, 2*weight.count
	}
	r := &rows{matrix: m, codes: &plainRows{weight, m.cols}}
	if total, n, ok := dims(shape); !ok || n != weight.count {
		return nil, nil, fault(weight.Name, ErrShape, "%d elements for %d", weight.count, total)
	}
	if r.scale, err = newScales(scale, m, c.t.Packing.Block); err != nil {
		return nil, nil, err
	}
	if c.t.Packing.Scheme == describe.BnB8 {
		if r.scale.bcol != m.cols || r.scale.brow != 1 && m.rows != 1 {
			return nil, nil, fault(scale.Name, ErrShape, "%d is no scale for each row of %d", scale.Shape, shape)
		}
		r.factor = 7.874015718698502e-3 // 1/127, as bitsandbytes spells it
	}
	global, ok, err := c.find("global scale")
	if err != nil {
		return nil, nil, err
	}
	if ok {
		if r.global, err = newScales(global, m, nil); err != nil {
			return nil, nil, err
		}
		if r.global.bcol != m.cols || r.global.brow != m.rows {
			return nil, nil, fault(global.Name, ErrShape, "%d is no scale for all of %d", global.Shape, shape)
		}
		// compressed-tensors stores what scales have been multiplied by.
		r.divide = strings.HasSuffix(global.Name, "_global_scale")
	} else if c.t.Packing.Scheme == describe.NVFP4 {
		return nil, nil, fault(c.t.Name, ErrMissing, "global scale of NVFP4")
	}
	zero, ok, err := c.find("zero point")
	if err != nil {
		return nil, nil, err
	}
	if ok {
		if zero.DType.Bits() > 16 && !isFloat(zero.DType) {
			return nil, nil, fault(zero.Name, ErrDType, "%s holds no zero points", zero.DType)
		}
		if r.zero, err = newGrid(zero, m, c.t.Packing.Block); err != nil {
			return nil, nil, err
		}
		if !sameBlocks(r.zero, r.scale) {
			return nil, nil, fault(zero.Name, ErrShape, "%d, where scales are %d", zero.Shape, scale.Shape)
		}
	}
	return r, shape, nil
}

// sameBlocks tells whether a number of one grid goes with one of the other.
func sameBlocks(a, b *grid) bool {
	return a.brow == b.brow && a.bcol == b.bcol && a.share == b.share && a.cols == b.cols
}

// newExperts is MXFP4 of gpt-oss: _blocks [experts, outputs, groups, 16].
func newExperts(blocks, scale *part, shape []uint64) (decoder, []uint64, error) {
	stored, _, ok := dims(blocks.Shape)
	if !ok || stored[3] < 1 || stored[3] > 1<<20 || !slices.Equal(blocks.Shape[:3], scale.Shape) {
		return nil, nil, fault(scale.Name, ErrShape, "%d for blocks of %d", scale.Shape, blocks.Shape)
	}
	if scale.DType != safetensors.U8 && scale.DType != safetensors.F8E8M0 {
		return nil, nil, fault(scale.Name, ErrDType, "%s holds no powers of two", scale.DType)
	}
	powers := *scale
	powers.DType = safetensors.F8E8M0
	width := 2 * stored[3]
	e := &experts{blocks: blocks, scale: &powers, rows: stored[2] * width, cols: stored[1], width: width}
	out := []uint64{shape[0], uint64(e.rows), uint64(e.cols)}
	return &columns{count: stored[0], rows: e.rows, cols: e.cols, tile: e}, out, nil
}

// newMLX is MLX: integers with scales and biases, or its floating-point modes.
func newMLX(c *companions) (decoder, []uint64, error) {
	shape, m, err := c.shape()
	if err != nil {
		return nil, nil, err
	}
	weight, err := c.packed()
	if err != nil {
		return nil, nil, err
	}
	scale, err := c.need("scale")
	if err != nil {
		return nil, nil, err
	}
	all := m.rows
	for _, d := range m.lead {
		all *= d
	}
	r := &rows{matrix: m}
	bias, affine, err := c.find("bias")
	if err != nil {
		return nil, nil, err
	}
	switch bits := int64(c.t.Packing.Bits); {
	case affine:
		packed, err := newPackedRows(weight, all, m.cols, bits)
		if err != nil {
			return nil, nil, err
		}
		packed.each = 0 // where both readings fit, this is the one
		r.codes = packed
		if r.bias, err = newGrid(bias, m, c.t.Packing.Block); err != nil {
			return nil, nil, err
		}
	case bits == 4 && m.cols%8 == 0:
		weight.DType, weight.Shape, weight.count = safetensors.F4, shape, 8*weight.count
		r.codes = &plainRows{weight, m.cols}
	case bits == 8 && m.cols%4 == 0:
		weight.DType, weight.Shape, weight.count = safetensors.F8E4M3, shape, 4*weight.count
		r.codes = &plainRows{weight, m.cols}
	default:
		return nil, nil, fault(weight.Name, ErrScheme, "%d-bit floats of MLX", bits)
	}
	block := c.t.Packing.Block
	if !affine && scale.DType == safetensors.U8 && len(block) > 0 && block[len(block)-1] == 16 {
		e4m3 := *scale // of its mode nvfp4
		e4m3.DType = safetensors.F8E4M3
		scale = &e4m3
	}
	if r.scale, err = newScales(scale, m, block); err != nil {
		return nil, nil, err
	}
	if r.bias != nil && !sameBlocks(r.bias, r.scale) {
		return nil, nil, fault(bias.Name, ErrShape, "%d, where scales are %d", bias.Shape, scale.Shape)
	}
	if !affine && (r.codes.(*plainRows).count != all*m.cols) {
		return nil, nil, fault(weight.Name, ErrShape, "%d for %d", weight.Shape, shape)
	}
	return r, shape, nil
}

// newPackQuantized is pack-quantized of compressed-tensors: [rows, words], the
// columns packed; zero points packed along the rows; both with half of the
// range added.
func newPackQuantized(c *companions) (decoder, []uint64, error) {
	shape, m, err := c.shape()
	if err != nil {
		return nil, nil, err
	}
	weight, err := c.packed()
	if err != nil {
		return nil, nil, err
	}
	scale, err := c.need("scale")
	if err != nil {
		return nil, nil, err
	}
	bits := int64(c.t.Packing.Bits)
	half := float32(int64(1) << (bits - 1))
	r := &rows{matrix: m}
	codes, err := newPackedRows(weight, m.rows, m.cols, bits)
	if err != nil {
		return nil, nil, err
	}
	codes.offset = half
	r.codes = codes
	if r.index, _, err = c.find("group index"); err != nil {
		return nil, nil, err
	}
	block := c.t.Packing.Block
	if r.index != nil {
		block = nil // groups are where the index says
		if r.index.DType != safetensors.I32 || r.index.count != m.cols {
			return nil, nil, fault(r.index.Name, ErrShape, "%s %d for %d columns", r.index.DType, r.index.Shape, m.cols)
		}
		if len(scale.Shape) != 2 || scale.Shape[0] != uint64(m.rows) || scale.Shape[1] == 0 || scale.Shape[1] > uint64(m.cols) {
			return nil, nil, fault(scale.Name, ErrShape, "%d for %d and a group index", scale.Shape, shape)
		}
		block = []uint64{1, uint64(ceil(m.cols, int64(scale.Shape[1])))}
	}
	if r.scale, err = newScales(scale, m, block); err != nil {
		return nil, nil, err
	}
	zero, ok, err := c.find("zero point")
	if err != nil {
		return nil, nil, err
	}
	switch {
	case !ok:
	case zero.DType == safetensors.I32:
		groups := r.scale.cols
		z := &packedRows{part: zero, rows: m.rows, cols: groups, bits: bits, offset: half, words: ceil(m.rows*bits, 32), each: codes.each}
		if codes.each != 0 {
			z.words = ceil(m.rows, codes.each)
		}
		if !slices.Equal(zero.Shape, []uint64{uint64(z.words), uint64(groups)}) || r.scale.brow != 1 && m.rows != 1 {
			return nil, nil, fault(zero.Name, ErrShape, "%d, where scales are %d", zero.Shape, scale.Shape)
		}
		r.packedZero = z
	case zero.DType == safetensors.I8:
		if r.zero, err = newGrid(zero, m, block); err != nil {
			return nil, nil, err
		}
		if !sameBlocks(r.zero, r.scale) {
			return nil, nil, fault(zero.Name, ErrShape, "%d, where scales are %d", zero.Shape, scale.Shape)
		}
	default:
		return nil, nil, fault(zero.Name, ErrDType, "%s holds no zero points", zero.DType)
	}
	return r, shape, nil
}

// newGPTQ is GPTQ and AWQ.
func newGPTQ(c *companions) (decoder, []uint64, error) {
	shape, m, err := c.shape()
	if err != nil {
		return nil, nil, err
	}
	g := &gptq{rows: m.rows, cols: m.cols, bits: int64(c.t.Packing.Bits), awq: c.t.Packing.Scheme == describe.AWQ}
	if g.weight, err = c.packed(); err != nil {
		return nil, nil, err
	}
	if g.scale, err = c.need("scale"); err != nil {
		return nil, nil, err
	}
	if g.zero, _, err = c.find("zero point"); err != nil {
		return nil, nil, err
	}
	if g.index, _, err = c.find("group index"); err != nil {
		return nil, nil, err
	}
	name := g.weight.Name
	switch {
	case len(g.scale.Shape) != 2 || g.scale.Shape[1] != uint64(g.rows) || g.scale.Shape[0] == 0 || g.scale.Shape[0] > uint64(g.cols):
		return nil, nil, fault(g.scale.Name, ErrShape, "%d for %d", g.scale.Shape, shape)
	case !isFloat(g.scale.DType):
		return nil, nil, fault(g.scale.Name, ErrDType, "%s holds no scales", g.scale.DType)
	case g.awq && g.bits != 4:
		return nil, nil, fault(name, ErrScheme, "AWQ of %d bits", g.bits)
	case g.awq && c.m.set.method == "awq" && c.m.set.format != "" && !strings.EqualFold(c.m.set.format, "gemm"):
		return nil, nil, fault(name, ErrScheme, "AWQ for kernels called %q", c.m.set.format)
	case !g.awq && c.m.set.method == "gptq" && c.m.set.format != "" && c.m.set.format != "gptq" && c.m.set.format != "gptq_v2":
		return nil, nil, fault(name, ErrScheme, "GPTQ in the format %q", c.m.set.format)
	}
	words := []uint64{uint64(ceil(g.cols*g.bits, 32)), uint64(g.rows)}
	if g.awq {
		words = []uint64{uint64(g.cols), uint64(ceil(g.rows*g.bits, 32))}
	}
	if !slices.Equal(g.weight.Shape, words) || g.awq && g.rows%8 != 0 {
		return nil, nil, fault(name, ErrShape, "%d for %d of %d bits", g.weight.Shape, shape, g.bits)
	}
	g.groups = int64(g.scale.Shape[0])
	g.group = ceil(g.cols, g.groups)
	if g.index == nil && ceil(g.cols, g.group) != g.groups {
		return nil, nil, fault(g.scale.Name, ErrShape, "%d groups of %d columns", g.groups, g.cols)
	}
	if g.index != nil && (g.index.DType != safetensors.I32 || g.index.count != g.cols) {
		return nil, nil, fault(g.index.Name, ErrShape, "%s %d for %d columns", g.index.DType, g.index.Shape, g.cols)
	}
	if g.zero != nil {
		want := []uint64{uint64(g.groups), uint64(ceil(g.rows*g.bits, 32))}
		if isFloat(g.zero.DType) {
			want[1] = uint64(g.rows)
		} else if g.zero.DType != safetensors.I32 {
			return nil, nil, fault(g.zero.Name, ErrDType, "%s holds no zero points", g.zero.DType)
		}
		if !slices.Equal(g.zero.Shape, want) {
			return nil, nil, fault(g.zero.Name, ErrShape, "%d, where scales are %d", g.zero.Shape, g.scale.Shape)
		}
	}
	if !g.awq && c.m.set.subtract {
		g.add = 1
	}
	return &columns{count: 1, rows: g.rows, cols: g.cols, tile: g}, shape, nil
}

// newBitNet is BitNet: [rows/4, columns] and one scale. Its layers in
// transformers divide by it, but for those called autobitlinear.
func newBitNet(c *companions) (decoder, []uint64, error) {
	shape, _, err := c.shape()
	if err != nil {
		return nil, nil, err
	}
	weight, err := c.packed()
	if err != nil {
		return nil, nil, err
	}
	scale, err := c.need("scale")
	if err != nil {
		return nil, nil, err
	}
	if !isFloat(scale.DType) {
		return nil, nil, fault(scale.Name, ErrDType, "%s holds no scale", scale.DType)
	}
	if len(weight.Shape) != 2 {
		return nil, nil, fault(weight.Name, ErrShape, "%d", weight.Shape)
	}
	q := &bitNet{weight: weight, rows: int64(weight.Shape[0]), cols: int64(weight.Shape[1]), divide: c.m.set.linear != "autobitlinear"}
	if q.scale, err = scale.single(); err != nil {
		return nil, nil, err
	}
	return q, shape, nil
}
