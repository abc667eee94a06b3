package torch

import "github.com/tensmith/tensmith/pickle"

// A builder gives the values of one pickle their meaning.
type builder struct {
	r     *reader
	src   span // what the pickle's offsets count in
	at    place
	open  func(id storageID, brief bool) (*storageRef, error) // nil if the pickle has no storages of its own
	made  map[*pickle.Object]any
	refs  map[*pickle.Persistent]*storageRef
	tar   func(key string) (*tensor, error) // tensors of the oldest format, by persistent id
	nest  int                               // containers around it
	spent int64                             // bytes made of text

	// shared tells whether a value may stand in several places; nil if nobody knows.
	shared func(pickle.Value) bool

	script bool // objects are modules of TorchScript
}

func (r *reader) builder(src span, at place, open func(id storageID, brief bool) (*storageRef, error)) *builder {
	return &builder{r: r, src: src, at: at, open: open,
		made: make(map[*pickle.Object]any), refs: make(map[*pickle.Persistent]*storageRef)}
}

// A constructor makes a value of the arguments in the pickle.
type constructor func(b *builder, o *pickle.Object, depth int) (any, error)

// constructorOf is the table of what is understood besides plain data. Where
// the name is of torch._utils or numpy the arguments are those of the function
// of that name.
func constructorOf(sym *pickle.Symbol) constructor {
	if sym == nil || sym.Computed {
		return nil
	}
	switch sym.Module {
	case "torch._utils":
		switch sym.Name {
		case "_rebuild_tensor", "_rebuild_tensor_v2":
			return rebuildTensor
		case "_rebuild_tensor_v3":
			return rebuildTensorV3
		case "_rebuild_parameter", "_rebuild_parameter_with_state":
			return rebuildFirst
		case "_rebuild_qtensor":
			return rebuildQuantized
		case "_rebuild_sparse_tensor", "_rebuild_sparse_csr_tensor":
			return rebuildSparse
		case "_rebuild_meta_tensor_no_storage":
			return rebuildMeta
		case "_rebuild_device_tensor_from_numpy", "_rebuild_device_tensor_from_cpu_tensor", "_rebuild_xla_tensor":
			return rebuildMoved
		case "_rebuild_wrapper_subclass":
			return refusal("wrapper")
		case "_rebuild_nested_tensor":
			return refusal("nested-tensor")
		}
	case "torch._tensor", "torch.tensor":
		if sym.Name == "_rebuild_from_type_v2" {
			return rebuildTyped
		}
	case "torch.storage":
		if sym.Name == "_load_from_bytes" {
			return loadFromBytes
		}
	case "torch.nn.parameter":
		switch sym.Name {
		case "Parameter", "Buffer":
			return rebuildFirst
		case "UninitializedParameter", "UninitializedBuffer":
			return refusal("uninitialized")
		}
	case "numpy.core.multiarray", "numpy._core.multiarray":
		if sym.Name == "_reconstruct" {
			return reconstructArray
		}
	case "numpy.core.numeric", "numpy._core.numeric":
		if sym.Name == "_frombuffer" {
			return arrayFromBuffer
		}
	case "joblib.numpy_pickle", "sklearn.externals.joblib.numpy_pickle":
		switch sym.Name {
		case "NumpyArrayWrapper":
			return joblibArray
		case "NDArrayWrapper":
			return besideArray
		case "ZNDArrayWrapper":
			return besidePacked
		}
	case "_codecs":
		if sym.Name == "encode" {
			return encoded
		}
	}
	return nil
}

// isTensor tells whether v is a value that becomes a tensor.
func isTensor(v pickle.Value) bool {
	switch v := v.(type) {
	case *pickle.Object:
		sym := v.Symbol()
		return constructorOf(sym) != nil && !sym.Is("_codecs", "encode")
	case *pickle.Persistent:
		_, module := moduleClass(v)
		return !module
	}
	return false
}

// maxArguments is how deep constructors may stand in the arguments of others:
// a parameter of a typed tensor of a storage is three.
const maxArguments = 16

// value returns what v means: a *tensor, a *storageRef, a *elem, a blob, or
// v itself if it is plain or unknown.
func (b *builder) value(v pickle.Value, depth int) (any, error) {
	switch v := v.(type) {
	case *pickle.Object:
		if got, ok := b.made[v]; ok {
			return got, nil
		}
		make := constructorOf(v.Symbol())
		if make == nil {
			return v, nil
		}
		if p, ok := v.Args.(packedView); ok {
			return orNil(p.tensor(b, false))
		}
		if depth > maxArguments {
			return nil, b.at.at(v.Offset).fail(ErrLimit, "nested", "constructors within constructors")
		}
		got, err := make(b, v, depth+1)
		if err != nil {
			return nil, err
		}
		b.made[v] = got
		return got, nil
	case *pickle.Persistent:
		if _, ok := moduleClass(v); ok {
			return v, nil
		}
		if b.tar != nil {
			return b.tarTensor(v)
		}
		return b.storage(v)
	case *pickle.Symbol:
		if v.Module == "torch" {
			if e := elemOf(v.Name); e != nil {
				return e, nil
			}
		}
	}
	return v, nil
}

const noStorages = "a persistent id in a pickle that has no storages"

func (b *builder) storage(p *pickle.Persistent) (*storageRef, error) {
	if ref, ok := b.refs[p]; ok {
		return ref, nil
	}
	if b.open == nil {
		return nil, b.at.at(p.Offset).malformed("storage", noStorages)
	}
	id, err := storageIDOf(p, b.at)
	if err != nil {
		return nil, err
	}
	ref, err := b.open(id, false)
	if err != nil {
		return nil, err
	}
	b.refs[p] = ref
	return ref, nil
}

// place returns where the object stands.
func (b *builder) place(o *pickle.Object) place { return b.at.at(o.Offset) }

// args returns the arguments, at least n.
func (b *builder) args(o *pickle.Object, n int) ([]pickle.Value, error) {
	args := o.ArgList()
	if len(args) < n {
		return nil, b.place(o).malformed("arguments", "%s with %d arguments", o.Symbol(), len(args))
	}
	return args, nil
}

// tensorArg returns an argument that must be a tensor.
func (b *builder) tensorArg(o *pickle.Object, v pickle.Value, depth int) (*tensor, error) {
	got, err := b.value(v, depth)
	if err != nil {
		return nil, err
	}
	t, ok := got.(*tensor)
	if !ok {
		return nil, b.place(o).malformed("arguments", "%s of what is no tensor", o.Symbol())
	}
	return t, nil
}

// strided reads storage, offset, size and stride.
func (b *builder) strided(o *pickle.Object, depth int) (args []pickle.Value, ref *storageRef, off int64, shape, stride []int64, err error) {
	at := b.place(o)
	if args, err = b.args(o, 4); err != nil {
		return
	}
	got, err := b.value(args[0], depth)
	if err != nil {
		return
	}
	ref, ok := got.(*storageRef)
	if !ok {
		err = at.malformed("storage", "%s of what is no storage", o.Symbol())
		return
	}
	off, okOff := args[1].(int64)
	shape, okShape := ints(args[2])
	stride, okStride := ints(args[3])
	switch {
	case !okOff:
		err = at.malformed("bounds", "the offset is no number")
	case !okShape || !okStride:
		err = at.malformed("shape", "size or stride are no lists of at most %d numbers", maxRank)
	}
	return
}

func rebuildTensor(b *builder, o *pickle.Object, depth int) (any, error) {
	args, ref, off, shape, stride, err := b.strided(o, depth)
	if err != nil {
		return nil, err
	}
	t, err := view(b.place(o), ref, ref.elem, off, shape, stride)
	if err == nil && len(args) > 6 {
		t.flags(args[6])
	}
	return orNil(t, err)
}

// orNil keeps a nil tensor from becoming a value.
func orNil(t *tensor, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return t, nil
}

// flags takes what torch calls the metadata of a tensor.
func (t *tensor) flags(v pickle.Value) {
	if d, ok := v.(*pickle.Dict); ok {
		conj, _ := d.Get("conj")
		neg, _ := d.Get("neg")
		t.conj, t.neg = conj == true, neg == true
	}
}

// rebuildTensorV3 has an untyped storage and the type as an argument.
func rebuildTensorV3(b *builder, o *pickle.Object, depth int) (any, error) {
	args, ref, off, shape, stride, err := b.strided(o, depth)
	if err != nil {
		return nil, err
	}
	at := b.place(o)
	if len(args) < 7 {
		return nil, at.malformed("arguments", "%s with %d arguments", o.Symbol(), len(args))
	}
	got, err := b.value(args[6], depth)
	if err != nil {
		return nil, err
	}
	e, ok := got.(*elem)
	if !ok {
		return nil, at.fail(ErrUnsupported, "dtype", "elements of type %s, which is not known here", kindOf(args[6]))
	}
	t, err := view(at, ref, e, off, shape, stride)
	if err == nil && len(args) > 7 {
		t.flags(args[7])
	}
	return orNil(t, err)
}

// rebuildFirst is for functions that only dress their first argument.
func rebuildFirst(b *builder, o *pickle.Object, depth int) (any, error) {
	args, err := b.args(o, 1)
	if err != nil {
		return nil, err
	}
	t, err := b.tensorArg(o, args[0], depth)
	if err != nil {
		return nil, err
	}
	if len(args) > 3 {
		return withState(t, args[3]), nil
	}
	return t, nil
}

// rebuildMoved has made an array or tensor of another device of its first
// argument.
func rebuildMoved(b *builder, o *pickle.Object, depth int) (any, error) {
	args, err := b.args(o, 2)
	if err != nil {
		return nil, err
	}
	t, err := b.tensorArg(o, args[0], depth)
	if err != nil {
		return nil, err
	}
	got, err := b.value(args[1], depth)
	if e, ok := got.(*elem); ok && t.elem != nil && e != t.elem {
		return nil, b.place(o).fail(ErrUnsupported, "cast", "stored as %s, to be cast to %s", t.elem.name, e.name)
	}
	return orNil(t, err)
}

// rebuildTyped is _rebuild_from_type_v2(function, type, arguments, state).
func rebuildTyped(b *builder, o *pickle.Object, depth int) (any, error) {
	args, err := b.args(o, 4)
	if err != nil {
		return nil, err
	}
	sym, ok := args[0].(*pickle.Symbol)
	if !ok || constructorOf(sym) == nil {
		return nil, b.place(o).fail(ErrUnsupported, "function", "a tensor that an unknown function makes: %s", kindOf(args[0]))
	}
	got, err := b.value(&pickle.Object{Callable: sym, Args: args[2], Offset: o.Offset, Op: o.Op}, depth)
	return withState(got, args[3]), err
}

// withState counts the tensors among a tensor's attributes.
func withState(got any, state pickle.Value) any {
	t, ok := got.(*tensor)
	if !ok {
		return got
	}
	n := 0
	pickle.Walk(state, nil, func(v pickle.Value) bool {
		if isTensor(v) {
			n++
			return false
		}
		return true
	})
	if n == 0 {
		return t
	}
	own := *t
	own.state += n
	return &own
}

func rebuildMeta(b *builder, o *pickle.Object, depth int) (any, error) {
	args, err := b.args(o, 2)
	if err != nil {
		return nil, err
	}
	shape, _ := ints(args[1])
	return &tensor{at: b.place(o), shape: shape, refuse: "meta"}, nil
}

func refusal(reason string) constructor {
	return func(b *builder, o *pickle.Object, depth int) (any, error) {
		return &tensor{at: b.place(o), refuse: reason}, nil
	}
}

func rebuildQuantized(b *builder, o *pickle.Object, depth int) (any, error) {
	args, ref, off, shape, stride, err := b.strided(o, depth)
	if err != nil {
		return nil, err
	}
	at := b.place(o)
	t, err := view(at, ref, ref.elem, off, shape, stride)
	if err != nil {
		return nil, err
	}
	var params []pickle.Value
	if len(args) > 4 {
		if p, ok := args[4].(*pickle.Tuple); ok {
			params = p.Items
		}
	}
	if len(params) < 3 {
		return nil, at.malformed("quantized", "no parameters of quantisation")
	}
	scheme, ok := params[0].(*pickle.Symbol)
	if !ok || ref.elem.kind == plain || ref.elem.kind == cplx {
		return nil, at.malformed("quantized", "no scheme of quantisation")
	}
	t.quant = &quantized{scheme: scheme.String()}
	q := t.quant
	var okScale, okZero bool
	if q.scale, okScale = params[1].(float64); okScale {
		if q.zero, okZero = params[2].(int64); !okZero {
			return nil, at.malformed("quantized", "the zero point is no number")
		}
		return t, nil
	}
	q.channels = true
	if q.scales, err = b.tensorArg(o, params[1], depth); err != nil {
		return nil, err
	}
	if q.zeros, err = b.tensorArg(o, params[2], depth); err != nil {
		return nil, err
	}
	if len(params) > 3 {
		q.axis, _ = params[3].(int64)
	}
	return t, nil
}
