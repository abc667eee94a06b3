package torch

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/big"
	"slices"

	"github.com/tensmith/tensmith/pickle"
	"github.com/tensmith/tensmith/safetensors"
)

// A tensor is a view of a storage, or says why it is none.
type tensor struct {
	at            place
	s             *storage
	begin         int64 // of the first element, in bytes of s
	whole         bool  // covers the whole storage: for what the reference converter does
	elem          *elem
	shape, stride []int64 // in elements, none negative
	conj, neg     bool

	space  *workspace
	made   sized  // the data, where it is no view of one storage
	refuse string // why it has no data that could be written: meta, object, …
	state  int    // tensors among its Python attributes, which have no place in the output
	quant  *quantized
	sparse *sparse
}

// A quantized is what integers stand for.
type quantized struct {
	scheme        string
	scale         float64
	zero          int64
	scales, zeros *tensor // per channel
	axis          int64
	channels      bool
}

// maxRank is the rank up to which torch itself makes tensors.
const maxRank = 64

// maxDim is what a dimension may be: torch counts bytes in an int64.
const maxDim = math.MaxInt64 / 16

// ints reads a size or stride: a tuple or list of integers, or a torch.Size.
func ints(v pickle.Value) ([]int64, bool) {
	if o, ok := v.(*pickle.Object); ok && o.Symbol().Is("torch", "Size") {
		if args := o.ArgList(); len(args) == 1 {
			v = args[0]
		}
	}
	var items []pickle.Value
	switch v := v.(type) {
	case *pickle.Tuple:
		items = v.Items
	case *pickle.List:
		items = v.Items
	default:
		return nil, false
	}
	if len(items) > maxRank {
		return nil, false
	}
	out := make([]int64, len(items))
	for i, item := range items {
		switch n := item.(type) {
		case int64:
			out[i] = n
		case *big.Int:
			out[i] = math.MaxInt64
			if n.Sign() < 0 {
				out[i] = math.MinInt64
			}
		default:
			return nil, false
		}
	}
	return out, true
}

// rowMajor returns the strides of a contiguous tensor.
func rowMajor(shape []int64) []int64 {
	stride := make([]int64, len(shape))
	at := int64(1)
	for i := len(shape) - 1; i >= 0; i-- {
		stride[i] = at
		at *= max(shape[i], 1) // may overflow; check refuses such shapes
	}
	return stride
}

// view makes a tensor of a storage and checks that all its elements are there.
func view(at place, ref *storageRef, e *elem, off int64, shape, stride []int64) (*tensor, error) {
	if len(shape) != len(stride) {
		return nil, at.malformed("shape", "%d sizes and %d strides", len(shape), len(stride))
	}
	numel := int64(1)
	for i, n := range shape {
		if n < 0 {
			return nil, at.malformed("shape", "size %d", n)
		}
		if stride[i] < 0 {
			return nil, at.malformed("stride", "stride %d", stride[i])
		}
		if n > 0 && numel > 0 {
			var ok bool
			if numel, ok = product(numel, n); !ok || numel > maxDim {
				return nil, at.malformed("too-large", "shape %d", shape)
			}
		} else if n > maxDim {
			return nil, at.malformed("too-large", "shape %d", shape)
		} else {
			numel = 0
		}
	}
	t := &tensor{at: at, s: ref.s, elem: e, shape: shape, stride: stride}
	if off < 0 {
		return nil, at.malformed("bounds", "offset %d", off)
	}
	if numel == 0 {
		t.begin = ref.base
		return t, nil
	}
	size := int64(e.size)
	room := ref.size / size // elements
	last := off
	for i, n := range shape {
		step, ok := product(n-1, stride[i])
		if !ok || last >= room || step >= room-last {
			return nil, at.malformed("bounds", "the last element lies beyond the storage of %d bytes", ref.size)
		}
		last += step
	}
	if last >= room {
		return nil, at.malformed("bounds", "element %d of a storage of %d bytes", last, ref.size)
	}
	t.begin = ref.base + off*size
	t.whole = off == 0 && ref.base == 0 && numel*size == ref.s.data.size
	return t, nil
}

// numel returns the number of elements.
func (t *tensor) numel() int64 {
	n := int64(1)
	for _, d := range t.shape {
		n *= d
	}
	return n
}

// bytes returns the size of the elements in bytes.
func (t *tensor) bytes() int64 {
	if t.elem == nil || t.s == nil && t.made == nil {
		return 0
	}
	n, ok := product(t.numel(), int64(t.elem.size))
	if !ok {
		return math.MaxInt64
	}
	return n
}

// contiguous tells whether the elements lie in row-major order without gaps.
func (t *tensor) contiguous() bool {
	if slices.Contains(t.shape, 0) {
		return true // strides lead to nothing
	}
	at := int64(1)
	for i := len(t.shape) - 1; i >= 0; i-- {
		if t.shape[i] != 1 && t.stride[i] != at {
			return false
		}
		at *= t.shape[i]
	}
	return true
}

// flattens tells whether one stride walks all elements, in row-major order:
// what torch's view(-1) asks for.
func (t *tensor) flattens() bool {
	next := int64(-1) // stride that the dimension before is to have
	for i := len(t.shape) - 1; i >= 0; i-- {
		if t.shape[i] == 1 {
			continue
		}
		if next >= 0 && t.stride[i] != next {
			return false
		}
		next = t.stride[i] * t.shape[i]
	}
	return true
}

// end returns the offset in bytes behind the last element.
func (t *tensor) end() int64 {
	if t.numel() == 0 {
		return t.begin
	}
	last := int64(0)
	for i, n := range t.shape {
		last += (n - 1) * t.stride[i]
	}
	return t.begin + (last+1)*int64(t.elem.size)
}

// changes returns what is to be done to the stored elements, or nil.
func (t *tensor) changes() (func([]byte), error) {
	e := t.elem
	var apply func([]byte)
	if t.s.big && e.word > 1 {
		apply = swapped(e.word)
	}
	if t.conj && e.kind == cplx {
		apply = both(apply, flipped(e.size, e.word, e.word))
	}
	if t.neg {
		switch e.name {
		case "float64", "float32", "float16", "bfloat16":
			apply = both(apply, flipped(e.size, 0, e.size))
		case "complex64", "complex128", "complex32", "bcomplex32":
			apply = both(apply, flipped(e.word, 0, e.word))
		case "int64", "int32", "int16", "int8", "uint8":
			apply = both(apply, negated(e.size))
		default:
			return nil, t.at.fail(ErrUnsupported, "neg", "a negative view of %s", e.name)
		}
	}
	return apply, nil
}

// A sized is data that knows its size.
type sized interface {
	io.WriterTo
	Size() int64
}

// data returns the elements in row-major order, little-endian.
func (t *tensor) data() (sized, error) {
	if t.made != nil {
		return t.made, nil
	}
	if t.numel() == 0 {
		return memory(nil), nil
	}
	apply, err := t.changes()
	if err != nil {
		return nil, err
	}
	if !t.contiguous() {
		return t.gather(apply), nil
	}
	s, ok := t.s.data.sub(t.begin, t.bytes())
	if !ok {
		return nil, t.at.malformed("bounds", "elements beyond the storage")
	}
	if apply == nil {
		return s, nil
	}
	return changed{s, t.elem.size, apply}, nil
}

func (t *tensor) gather(apply func([]byte)) gather {
	s, _ := t.s.data.sub(t.begin, t.end()-t.begin)
	return gather{src: s, elem: t.elem.size, shape: t.shape, stride: t.stride, apply: apply, space: t.space}
}

// A piece is a tensor of the output.
type piece struct {
	name  string
	dtype safetensors.DType
	shape []uint64
	data  sized
	view  *tensor // what it is a view of, if it is one
}

func unsigned(shape []int64) []uint64 {
	out := make([]uint64, len(shape))
	for i, n := range shape {
		out[i] = uint64(n)
	}
	return out
}

// pieces returns what is to be written for the tensor.
func (r *reader) pieces(name string, t *tensor) ([]piece, error) {
	t.space = &r.space
	refuse := func(reason, hint, format string, args ...any) ([]piece, error) {
		e := t.at.fail(ErrUnsupported, reason, format, args...)
		e.Tensor, e.Hint = name, hint
		return nil, e
	}
	switch {
	case t.refuse == "meta":
		return refuse("meta", "", "a meta tensor, which has no data")
	case t.refuse == "uninitialized":
		return refuse(t.refuse, "", "a parameter of a lazy module, which has no data yet")
	case t.refuse == "wrapper":
		return refuse(t.refuse, "", "a subclass whose data are other tensors, its attributes")
	case t.refuse == "nested-tensor":
		return refuse(t.refuse, "", "a nested tensor")
	case t.refuse != "":
		return refuse(t.refuse, "", "an array of type %s", t.refuse)
	case t.sparse != nil:
		switch r.opts.Sparse {
		case "parts":
			return r.sparseParts(name, t)
		case "dense":
			d, err := t.sparse.dense(t)
			if err != nil {
				if e, ok := err.(*Error); ok && e.Err == ErrUnsupported {
					e.Hint = `Sparse: "parts"`
				}
				return nil, named1(err, name)
			}
			return []piece{{name: name, dtype: t.sparse.values.elem.home, shape: unsigned(t.shape), data: d}}, nil
		}
		return refuse("sparse", `Sparse: "parts" or "dense"`, "a sparse tensor")
	case t.quant != nil:
		if r.opts.Quantized == "parts" {
			return r.quantParts(name, t)
		}
		return refuse("quantized", `Quantized: "parts"`, "a quantised tensor (%s)", t.elem.name)
	case t.elem.kind == cplx && t.elem.home == 0 && t.made == nil:
		if r.opts.Complex == "split" {
			return r.complexParts(name, t)
		}
		return refuse(t.elem.name, `Complex: "split"`, "a tensor of %s", t.elem.name)
	case t.elem.home == 0:
		return refuse(t.elem.name, "", "a tensor of %s", t.elem.name)
	}
	shape := unsigned(t.shape)
	if t.elem.kind == packed {
		if len(shape) == 0 {
			return refuse(t.elem.name, "", "a scalar of %s, which is two values", t.elem.name)
		}
		shape[len(shape)-1] *= 2
	}
	data, err := t.data()
	if err != nil {
		return nil, named1(err, name)
	}
	p := piece{name, t.elem.home, shape, data, t}
	if t.made != nil && t.s == nil {
		p.view = nil
	}
	return []piece{p}, nil
}

// named1 gives an error the tensor it is about.
func named1(err error, name string) error {
	if e, ok := err.(*Error); ok && e.Tensor == "" {
		e.Tensor = name
	}
	return err
}

// parts are the pieces of several tensors, by suffix.
func (r *reader) parts(name string, list []named) ([]piece, error) {
	var all []piece
	for _, part := range list {
		p, err := r.pieces(name+"."+part.name, part.t)
		if err != nil {
			return nil, err
		}
		all = append(all, p...)
	}
	return all, nil
}

// number makes a scalar.
func number(at place, e *elem, bits uint64) *tensor {
	b := binary.LittleEndian.AppendUint64(nil, bits)
	return &tensor{at: at, s: &storage{data: memory(b)}, elem: e}
}

func (r *reader) quantParts(name string, t *tensor) ([]piece, error) {
	q, repr := t.quant, *t
	repr.quant = nil
	if repr.elem = elems[map[string]string{"qint8": "int8", "quint8": "uint8", "qint32": "int32"}[t.elem.name]]; repr.elem == nil {
		e := t.at.fail(ErrUnsupported, "quantized", "integers of type %s", t.elem.name)
		e.Tensor = name
		return nil, e
	}
	list := []named{{name: "int_repr", t: &repr}}
	if q.channels {
		list = append(list, named{name: "scale", t: q.scales}, named{name: "zero_point", t: q.zeros})
		r.note("metadata", name, "", fmt.Sprintf("%s, axis %d", q.scheme, q.axis))
	} else {
		list = append(list, named{name: "scale", t: number(t.at, elems["float64"], math.Float64bits(q.scale))},
			named{name: "zero_point", t: number(t.at, elems["int64"], uint64(q.zero))})
		r.note("metadata", name, "", q.scheme)
	}
	return r.parts(name, list)
}

// complexParts cuts each element in two.
func (r *reader) complexParts(name string, t *tensor) ([]piece, error) {
	e := elems[map[string]string{"complex128": "float64", "complex32": "float16", "bcomplex32": "bfloat16"}[t.elem.name]]
	re := *t
	re.elem, re.conj = e, false
	re.stride = slices.Clone(t.stride)
	for i, n := range t.shape {
		if n > 1 { // the others may be anything
			re.stride[i] *= 2
		}
	}
	im := re
	im.begin += int64(e.size)
	im.neg = t.neg != t.conj
	r.note("copy", name, "", "split into real and imaginary part")
	return r.parts(name, []named{{name: "real", t: &re}, {name: "imag", t: &im}})
}
