package torch

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"github.com/tensmith/tensmith/numeric"
	"github.com/tensmith/tensmith/pickle"
	"github.com/tensmith/tensmith/safetensors"
)

// A sparse is a tensor of which not all elements are stored.
type sparse struct {
	layout  string // sparse_coo, sparse_csr, …
	indices *tensor
	second  *tensor // column indices of csr and the like
	values  *tensor
}

// sparseNames are what the layouts call their indices.
var sparseNames = map[string][2]string{
	"sparse_coo": {"indices", ""},
	"sparse_csr": {"crow_indices", "col_indices"}, "sparse_bsr": {"crow_indices", "col_indices"},
	"sparse_csc": {"ccol_indices", "row_indices"}, "sparse_bsc": {"ccol_indices", "row_indices"},
}

// rebuildSparse is _rebuild_sparse_tensor(layout, data) and the older function
// for csr, with the data (indices, values, size[, coalesced]) or (compressed
// indices, plain indices, values, size).
func rebuildSparse(b *builder, o *pickle.Object, depth int) (any, error) {
	at := b.place(o)
	args, err := b.args(o, 2)
	if err != nil {
		return nil, err
	}
	sp := &sparse{}
	switch layout := args[0].(type) {
	case *pickle.Symbol:
		sp.layout = layout.Name
	case *pickle.Object:
		if list := layout.ArgList(); layout.Symbol().Is("torch.serialization", "_get_layout") && len(list) == 1 {
			name, _ := pickle.Text(list[0])
			if len(name) > 6 && name[:6] == "torch." {
				sp.layout = name[6:]
			}
		}
	}
	names, ok := sparseNames[sp.layout]
	if !ok {
		return nil, at.fail(ErrUnsupported, "sparse", "an unknown layout")
	}
	data := itemsOf(args[1])
	n := 2
	if names[1] != "" {
		n = 3
	}
	if len(data) < n+1 {
		return nil, at.malformed("sparse", "%d parts of a sparse tensor", len(data))
	}
	tensors := []**tensor{&sp.indices, &sp.values}
	if n == 3 {
		tensors = []**tensor{&sp.indices, &sp.second, &sp.values}
	}
	for i, to := range tensors {
		if *to, err = b.tensorArg(o, data[i], depth); err != nil {
			return nil, err
		}
		if (*to).elem == nil || (*to).s == nil {
			return nil, at.malformed("sparse", "a part without data")
		}
	}
	shape, ok := ints(data[n])
	if !ok {
		return nil, at.malformed("shape", "the size of a sparse tensor")
	}
	size := int64(1)
	for _, d := range shape {
		if d < 0 {
			return nil, at.malformed("shape", "size %d", d)
		}
		if size, ok = product(size, d); !ok || size > maxDim || d > maxDim {
			return nil, at.malformed("too-large", "shape %d", shape)
		}
	}
	return &tensor{at: at, shape: shape, sparse: sp}, nil
}

func (r *reader) sparseParts(name string, t *tensor) ([]piece, error) {
	names := sparseNames[t.sparse.layout]
	// Of the indices alone one cannot tell how large the tensor was.
	shape := strings.ReplaceAll(fmt.Sprint(t.shape), " ", ",")
	r.note("layout", name, "", fmt.Sprintf("torch.%s, shape %s", t.sparse.layout, shape))
	list := []named{{name: names[0], t: t.sparse.indices}}
	if t.sparse.second != nil {
		list = append(list, named{name: names[1], t: t.sparse.second})
	}
	return r.parts(name, append(list, named{name: "values", t: t.sparse.values}))
}

// A dense is all elements of a sparse tensor. It is written in blocks; the
// indices are read anew for each.
type dense struct {
	t          *tensor
	indices    func(yield func(row int64, value int64) bool) error // row is in units of inner elements
	values     *tensor
	batch      int   // leading dimensions of the values that are those of a batch
	blocks     bool  // a value is a block, of bsr and bsc
	high       int64 // rows of a block, else 1
	inner      int64 // elements of a row
	size, elem int64
}

// dense checks the parts and all indices.
func (sp *sparse) dense(t *tensor) (*dense, error) {
	at := t.at
	v := sp.values
	if v.elem.home == 0 || v.elem.kind == packed || v.conj || v.neg || v.elem.size > 8 {
		return nil, at.fail(ErrUnsupported, "sparse", "values of type %s", v.elem.name)
	}
	d := &dense{t: t, values: v, high: 1, inner: 1, elem: int64(v.elem.size)}
	numel := int64(1)
	for _, n := range t.shape {
		numel *= n // checked
	}
	var ok bool
	if d.size, ok = product(numel, d.elem); !ok {
		return nil, at.malformed("too-large", "shape %d", t.shape)
	}
	i := sp.indices
	for _, part := range []*tensor{i, sp.second} {
		if part != nil && part.elem.name != "int64" && (part.elem.name != "int32" || sp.layout == "sparse_coo") {
			return nil, at.fail(ErrUnsupported, "sparse", "indices of type %s", part.elem.name)
		}
	}
	switch {
	case sp.layout == "sparse_coo" && len(i.shape) == 2 && len(v.shape) >= 1:
		dims, nnz := i.shape[0], i.shape[1]
		if dims > int64(len(t.shape)) || nnz != v.shape[0] || int(dims)+len(v.shape)-1 != len(t.shape) {
			return nil, at.malformed("shape", "indices of shape %d, values of shape %d", i.shape, v.shape)
		}
		for k, n := range v.shape[1:] {
			if n != t.shape[int(dims)+k] {
				return nil, at.malformed("shape", "values of shape %d in a tensor of shape %d", v.shape, t.shape)
			}
			if d.inner *= n; d.inner*d.elem > blockBuffer {
				return nil, at.fail(ErrUnsupported, "sparse", "values of more than %d bytes each", blockBuffer)
			}
		}
		d.indices = func(yield func(int64, int64) bool) error { return coordinates(i, t.shape[:dims], nnz, yield, at) }
	case sp.second != nil:
		g, err := sp.grid(t, at)
		if err != nil {
			return nil, err
		}
		d.blocks, d.high, d.batch = g.blocks, g.block[0], g.batch
		if d.inner, ok = product(g.block[1], g.dense); !ok {
			return nil, at.malformed("too-large", "shape %d", t.shape)
		}
		if d.inner > blockBuffer {
			d.inner = blockBuffer + 1 // too many, whatever the type
		}
		if d.inner*d.elem > blockBuffer {
			return nil, at.fail(ErrUnsupported, "sparse", "blocks of more than %d bytes a row", blockBuffer)
		}
		d.indices = func(yield func(int64, int64) bool) error { return g.places(yield, at) }
	default:
		return nil, at.fail(ErrUnsupported, "sparse", "layout %s of rank %d as a dense tensor", sp.layout, len(t.shape))
	}
	return d, d.indices(func(int64, int64) bool { return true })
}

// Size returns the size of all elements in bytes.
func (d *dense) Size() int64 { return d.size }

// A column reads a contiguous tensor of int64 or int32, or one row of it, in
// pieces.
type column struct {
	t   *tensor
	buf []byte
	at  int64 // index of the first element in buf
}

func (c *column) get(i int64) (int64, error) {
	size := int64(c.t.elem.size)
	if i < c.at || i >= c.at+int64(len(c.buf))/size || c.buf == nil {
		n := min(int64(4096), c.t.numel()-i)
		c.buf = append(c.buf[:0], make([]byte, size*n)...)
		c.at = i
		s, ok := c.t.s.data.sub(c.t.begin+size*i, size*n)
		if !ok {
			return 0, io.ErrUnexpectedEOF
		}
		if m, err := s.ReadAt(c.buf, 0); m < len(c.buf) {
			return 0, err
		}
		if c.t.s.big {
			swapped(int(size))(c.buf)
		}
	}
	if size == 4 {
		return int64(int32(binary.LittleEndian.Uint32(c.buf[4*(i-c.at):]))), nil
	}
	return int64(binary.LittleEndian.Uint64(c.buf[8*(i-c.at):])), nil
}

// coordinates yields the places of a COO tensor.
func coordinates(t *tensor, shape []int64, nnz int64, yield func(int64, int64) bool, at place) error {
	if !t.contiguous() {
		return at.fail(ErrUnsupported, "sparse", "indices that are not contiguous")
	}
	columns := make([]column, len(shape))
	for k := range columns {
		columns[k].t = t
	}
	for n := range nnz {
		row := int64(0)
		for k, size := range shape {
			i, err := columns[k].get(int64(k)*nnz + n)
			if err != nil {
				return at.wrap(err)
			}
			if i < 0 || i >= size {
				return at.malformed("bounds", "index %d in a dimension of %d", i, size)
			}
			row = row*size + i
		}
		if !yield(row, n) {
			return nil
		}
	}
	return nil
}

// WriteTo implements io.WriterTo. Values for the same place are added, as
// torch's to_dense does.
func (d *dense) WriteTo(w io.Writer) (written int64, err error) {
	row := d.inner * d.elem
	if d.size == 0 || row == 0 {
		return 0, nil
	}
	rows := max(blockBuffer/row, 1)
	block := make([]byte, min(rows*row, d.size))
	set := make([]bool, min(rows, d.size/row))
	value := make([]byte, row)
	f := &filler{src: d.values.s.data, elem: int(d.elem), scratch: make([]byte, scratchBuffer)}
	for first := int64(0); first*row < d.size; first += rows {
		part := block[:min(int64(len(block)), d.size-first*row)]
		clear(part)
		clear(set)
		var failed error
		err := d.indices(func(at, n int64) bool {
			if at < first || (at-first)*row >= int64(len(part)) {
				return true
			}
			if failed = d.value(f, n, value); failed != nil {
				return false
			}
			to := part[(at-first)*row : (at-first+1)*row]
			if !set[at-first] {
				set[at-first] = true
				copy(to, value)
				return true
			}
			failed = add(to, value, d.values.elem.home)
			return failed == nil
		})
		if err == nil {
			err = failed
		}
		if err != nil {
			return written, err
		}
		n, err := w.Write(part)
		written += int64(n)
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// value reads the n-th row of values.
func (d *dense) value(f *filler, n int64, to []byte) error {
	v := d.values
	axes := make([]axis, 0, len(v.shape))
	at, off, last := int64(1), int64(0), d.batch
	if d.blocks {
		last++
		off = n % d.high * v.stride[last]
	}
	n /= d.high
	for k := d.batch; k >= 0; k-- {
		off += n % v.shape[k] * v.stride[k]
		n /= v.shape[k]
	}
	for k := len(v.shape) - 1; k > last; k-- {
		axes = append(axes, axis{v.shape[k], v.stride[k], at})
		at *= v.shape[k]
	}
	f.src, _ = v.s.data.sub(v.begin, v.end()-v.begin)
	if err := f.fill(to, 0, off, axes); err != nil {
		return err
	}
	if v.s.big && v.elem.word > 1 {
		swapped(v.elem.word)(to)
	}
	return nil
}

// add adds elements of a type.
func add(to, value []byte, d safetensors.DType) error {
	size := d.Bits() / 8
	if d == safetensors.C64 {
		d, size = safetensors.F32, 4
	}
	n := len(to) / size
	switch d {
	case safetensors.Bool:
		for i := range to {
			to[i] |= value[i]
		}
		return nil
	case safetensors.I64, safetensors.U64, safetensors.I32, safetensors.U32, safetensors.I16, safetensors.U16, safetensors.I8, safetensors.U8:
		for i := range n { // with carry: two's complement wraps around
			carry := 0
			for k := i * size; k < (i+1)*size; k++ {
				carry += int(to[k]) + int(value[k])
				to[k], carry = byte(carry), carry>>8
			}
		}
		return nil
	}
	x, y := make([]float64, n), make([]float64, n)
	if err := numeric.Decode(x, d, to); err != nil {
		return err
	}
	if err := numeric.Decode(y, d, value); err != nil {
		return err
	}
	for i := range x {
		x[i] += y[i]
	}
	return numeric.Encode(to, d, x, numeric.ToSpecial)
}
