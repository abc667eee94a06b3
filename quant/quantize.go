package quant

import (
	"context"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/tensmith/tensmith/numeric"
	"github.com/tensmith/tensmith/safetensors"
)

// A Scaling is how scales are laid over a weight, and what they are called.
type Scaling string

const (
	// Unscaled rounds numbers as they are.
	Unscaled Scaling = "none"

	// PerTensor is one F32 for all, by which the largest magnitude becomes the
	// largest value of the type: NAME.weight_scale of shape [1], as the format
	// float-quantized of compressed-tensors and vLLM have it.
	PerTensor Scaling = "tensor"

	// Block128 is an F32 for each block of 128 by 128 weights of a matrix:
	// NAME.weight_scale_inv, as DeepSeek V3 has it (arXiv 2412.19437, section
	// 3.3). Weights are multiplied by it, whatever its name says.
	Block128 Scaling = "block128"

	// MX is a power of two for each 32 weights along the last dimension, after
	// the OCP Microscaling Formats Specification v1.0, section 6.3:
	// NAME.weight_scale of U8, as the formats mxfp8-quantized and
	// mxfp4-pack-quantized of compressed-tensors have it. F4 is NAME.weight_packed
	// of U8, two a byte.
	MX Scaling = "mx"
)

// Fits tells whether weights of a shape can be scaled so, and why not.
func (s Scaling) Fits(shape []uint64, to safetensors.DType) (ok bool, why string) {
	n := len(shape)
	switch {
	case s == Unscaled:
		return true, ""
	case n < 2:
		return false, "it has fewer than two dimensions"
	case slices.Contains(shape, 0):
		return false, "it is empty"
	case s == Block128 && n > 3:
		return false, "blocks are for matrices and stacks of them"
	case s == MX && shape[n-1]%mxBlock != 0:
		return false, "its rows are no multiple of 32"
	}
	return true, ""
}

// Types returns the types that weights can be scaled to, and nil for Unscaled.
func (s Scaling) Types() []safetensors.DType {
	switch s {
	case PerTensor, Block128:
		return []safetensors.DType{safetensors.F8E4M3, safetensors.F8E5M2, safetensors.F8E4M3FNUZ, safetensors.F8E5M2FNUZ}
	case MX:
		return []safetensors.DType{safetensors.F8E4M3, safetensors.F8E5M2, safetensors.F4}
	}
	return nil
}

const mxBlock, block128 = 32, 128

// A Quantized is a tensor of floats as it is in another type, with its scales
// if it has some. Its methods are safe for concurrent use.
type Quantized struct {
	from *safetensors.Info
	cast *numeric.Cast // Unscaled
	q    *scaled       // else
}

// Quantize returns a tensor of floats in the type to, which for any Scaling but
// Unscaled is to be one of its Types, and its shape one that Fits. Numbers that
// do not fit go the way of mode; with MX they always saturate, as its
// specification has it. The entry's Data is to be an [io.ReaderAt].
//
// Scales are those of the largest finite magnitude. Where all numbers are zero
// the scale is 1, with MX 2^-127.
//
// Reading a NaN as F4 or F6 gives a *numeric.ValueError.
func Quantize(e safetensors.Entry, to safetensors.DType, scaling Scaling, mode numeric.Overflow) (*Quantized, error) {
	p, err := newPart(e)
	if err != nil {
		return nil, err
	}
	size, err := e.DataSize()
	if err != nil {
		return nil, fault(e.Name, ErrShape, "%v", err)
	}
	z := &Quantized{from: infoOf(e)}
	if scaling == Unscaled {
		if z.cast, err = numeric.NewCast(numeric.Data{DType: e.DType, Source: p.at, Size: size}, to, mode); err != nil {
			return nil, fault(e.Name, err, "")
		}
		return z, nil
	}
	if ok, why := scaling.Fits(e.Shape, to); !ok {
		return nil, fault(e.Name, ErrShape, "%s", why)
	}
	if !slices.Contains(scaling.Types(), to) {
		return nil, fault(e.Name, ErrDType, "nothing is scaled to %s by %s", to, scaling)
	}
	if !isFloat(e.DType) {
		return nil, fault(e.Name, ErrDType, "%s is not scaled", e.DType)
	}
	if _, _, ok := dims(e.Shape); !ok {
		return nil, fault(e.Name, ErrShape, "%d", e.Shape)
	}
	z.q = &scaled{from: z.from, at: p.at, to: to, mode: mode}
	switch scaling {
	case PerTensor:
		z.q.laid = byTensor
	case Block128:
		z.q.laid = byBlock
	case MX:
		z.q.laid, z.q.mode = by32, numeric.Saturate
	}
	return z, nil
}

// infoOf returns an entry's Info: that of its tensor if they are the same, for
// there may be a hundred thousand of them.
func infoOf(e safetensors.Entry) *safetensors.Info {
	if t, ok := e.Data.(*safetensors.Tensor); ok && t.Name == e.Name && t.DType == e.DType && slices.Equal(t.Shape, e.Shape) {
		return &t.Info
	}
	return &e.Info
}

// Entries returns the tensors to store: the weight, and then its scales. They
// are computed as they are read.
//
// Scales of PerTensor and Block128 are had from numbers that are read anyway if
// codes are read first, as an Encoder does.
func (z *Quantized) Entries() []safetensors.Entry {
	if z.q != nil {
		return z.q.entries()
	}
	e := safetensors.Entry{Info: *z.from, Data: z.cast}
	e.DType = z.cast.Data().DType
	if limits, _ := numeric.LimitsOf(e.DType); !limits.NaN {
		e.Data = refusing{z}
	}
	return []safetensors.Entry{e}
}

// Prepare looks for the largest magnitudes, which PerTensor and Block128 need
// to know before a number can be read: of all that is not known yet, by several
// workers, ended by the context. Reading does it otherwise, of as much as it
// takes: of the whole tensor, or of 128 rows.
func (z *Quantized) Prepare(ctx context.Context, workers int) error {
	if z.q == nil {
		return nil
	}
	if err := z.q.prepare(ctx, workers); err != nil {
		return z.explain(err)
	}
	return nil
}

// Data returns the numbers that the quantised tensor stands for, as F32, or in
// its own type if it is Unscaled.
func (z *Quantized) Data() numeric.Data {
	if z.q == nil {
		return z.cast.Data()
	}
	return numeric.Data{DType: safetensors.F32, Source: &view{q: z.q}, Size: 4 * countOf(z.from)}
}

// Measure has Loss known from what is read of the entries from now on, which
// makes reading a little slower.
func (z *Quantized) Measure() {
	if z.cast != nil {
		z.cast.Measure()
	} else {
		z.q.measures.Store(true)
	}
}

// Loss tells what quantising the tensor has cost. It reads all of it unless all
// is known from Measure. Overflow counts numbers as they are scaled.
func (z *Quantized) Loss(ctx context.Context, scan numeric.Scan) (*numeric.Loss, error) {
	if z.cast != nil {
		l, err := scan.Loss(ctx, z.cast)
		if err != nil {
			return nil, z.explain(err)
		}
		return l, nil
	}
	if l := z.q.lost(); l != nil {
		return l, nil
	}
	if err := z.Prepare(ctx, scan.Workers); err != nil {
		return nil, err
	}
	v := &view{q: z.q}
	after := numeric.Data{DType: safetensors.F32, Source: v, Size: 4 * countOf(z.from)}
	diff, err := scan.Compare(ctx, z.q.source(), after, numeric.Tolerance{})
	if err != nil {
		return nil, z.explain(err)
	}
	return lossOf(diff, v.over.Load()), nil
}

// explain makes an error name the tensor, and a number that has no place in
// the type more than the piece of data that it was in.
func (z *Quantized) explain(err error) error {
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	if v, ok := errors.AsType[*numeric.ValueError](err); ok {
		err = v
	}
	return &Error{Tensor: z.from.Name, Err: err}
}

// A refusing is a cast to a type without NaN, whose error for one names the
// tensor.
type refusing struct{ *Quantized }

// Size returns the size in bytes.
func (r refusing) Size() int64 { return r.cast.Size() }

// ReadAt implements [io.ReaderAt].
func (r refusing) ReadAt(p []byte, off int64) (int, error) {
	n, err := r.cast.ReadAt(p, off)
	if _, ok := errors.AsType[*numeric.ValueError](err); ok {
		err = r.explain(err)
	}
	return n, err
}

// WriteTo implements [io.WriterTo].
func (r refusing) WriteTo(w io.Writer) (int64, error) { return writeTo(w, r, r.Size()) }

// A bound is the magnitude from which on numbers round beyond the largest
// value of a type.
type bound struct {
	from float64
	even bool // the magnitude itself does not: the last bit of the largest value is zero
	inf  bool // infinities stay what they are
}

func boundOf(d safetensors.DType, l numeric.Limits, mode numeric.Overflow) bound {
	return bound{l.Max + l.Epsilon/2*math.Ldexp(1, math.Ilogb(l.Max)), d == safetensors.F8E4M3, l.Inf && mode == numeric.ToSpecial}
}

func (b bound) beyond(x float64) bool {
	x = math.Abs(x)
	return (x > b.from || x == b.from && !b.even) && (!b.inf || x <= math.MaxFloat64)
}

// scaled is a tensor that is divided by scales, and rounded. There may be a
// hundred thousand of them, so that it keeps nothing that can be worked out.
type scaled struct {
	from *safetensors.Info
	at   io.ReaderAt
	laid laying
	to   safetensors.DType
	mode numeric.Overflow
	told bool // loss is known

	measures atomic.Bool
	one      atomic.Uint32 // the scale if there is one, as bits; 0 before it is known
	mu       sync.Mutex
	large    *large // nil if the tensor is small

	// As of numeric.Loss.
	maxAbs, sqnr float64
	over         uint64
}

// A laying is a Scaling but Unscaled.
type laying uint8

const (
	byTensor laying = iota
	byBlock
	by32
)

// A large is what only a large tensor has.
type large struct {
	scales []atomic.Uint32 // of blocks, where there are several; 0 of what is not known
	losses *losses         // nil before there are any, and when all are known
}

// countOf returns how many numbers there are.
func countOf(i *safetensors.Info) int64 {
	n := int64(1)
	for _, d := range i.Shape {
		n *= int64(d) // which dims has allowed
	}
	return n
}

// part is the tensor as it is read.
func (q *scaled) part() part { return part{*q.from, q.at, countOf(q.from)} }

func (q *scaled) source() numeric.Data {
	return numeric.Data{DType: q.from.DType, Source: q.at, Size: countOf(q.from) * int64(q.from.DType.Bits()) / 8}
}

// entries names the weight and its scales.
func (q *scaled) entries() []safetensors.Entry {
	name := q.from.Name
	base, named := strings.CutSuffix(name, ".weight")
	weight := safetensors.Entry{Info: safetensors.Info{Name: name, DType: q.to, Shape: q.from.Shape}, Data: (*codesOf)(q)}
	// What is not called weight is taken for a stack of experts.
	scale := safetensors.Entry{Info: safetensors.Info{Name: name + "_scale", DType: safetensors.F32, Shape: []uint64{1}}, Data: (*scalesOf)(q)}
	n := len(q.from.Shape)
	switch q.laid {
	case byBlock:
		scale.Name = name + "_scale_inv"
		scale.Shape = slices.Clone(q.from.Shape)
		for d := n - 2; d < n; d++ {
			scale.Shape[d] = uint64(ceil(int64(scale.Shape[d]), block128))
		}
	case by32:
		scale.DType, scale.Data = safetensors.U8, (*powersOf)(q)
		scale.Shape = slices.Clone(q.from.Shape)
		scale.Shape[n-1] /= mxBlock
		if q.to == safetensors.F4 {
			weight.DType = safetensors.U8
			weight.Shape = slices.Clone(q.from.Shape)
			weight.Shape[n-1] /= 2
			if named {
				weight.Name = base + ".weight_packed"
			}
		}
	}
	return []safetensors.Entry{weight, scale}
}

// codesOf is the stored weight of what is scaled, scalesOf its scales, and
// powersOf those of MX.
type (
	codesOf  scaled
	scalesOf scaled
	powersOf scaled
)

// Size returns the size in bytes.
func (c *codesOf) Size() int64 { return countOf(c.from) * int64(c.to.Bits()) / 8 }

// ReadAt implements [io.ReaderAt].
func (c *codesOf) ReadAt(p []byte, off int64) (int, error) {
	return readAt(p, off, c.Size(), (*scaled)(c).codes)
}

// WriteTo implements [io.WriterTo].
func (c *codesOf) WriteTo(w io.Writer) (int64, error) { return writeTo(w, c, c.Size()) }

// Size returns the size in bytes.
func (c *scalesOf) Size() int64 {
	f := (*scaled)(c).frame()
	return 4 * f.scales()
}

// ReadAt implements [io.ReaderAt].
func (c *scalesOf) ReadAt(p []byte, off int64) (int, error) {
	return readAt(p, off, c.Size(), (*scaled)(c).scales)
}

// WriteTo implements [io.WriterTo].
func (c *scalesOf) WriteTo(w io.Writer) (int64, error) { return writeTo(w, c, c.Size()) }

// Later has an Encoder write codes first, of which scales are known then.
func (c *scalesOf) Later() {}

// Size returns the size in bytes.
func (c *powersOf) Size() int64 { return countOf(c.from) / mxBlock }

// ReadAt implements [io.ReaderAt].
func (c *powersOf) ReadAt(p []byte, off int64) (int, error) {
	return readAt(p, off, c.Size(), (*scaled)(c).powers)
}

// WriteTo implements [io.WriterTo].
func (c *powersOf) WriteTo(w io.Writer) (int64, error) { return writeTo(w, c, c.Size()) }

// readAt is ReadAt of data of a size that a function computes at offsets.
func readAt(p []byte, off, size int64, read func(p []byte, off int64) error) (int, error) {
	switch {
	case off < 0:
		return 0, numeric.ErrRange
	case off >= size:
		return 0, io.EOF
	}
	var end error
	if int64(len(p)) > size-off {
		p, end = p[:size-off], io.EOF
	}
	if err := read(p, off); err != nil {
		return 0, err
	}
	return len(p), end
}
