package torch

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/tensmith/tensmith/pickle"
)

// numpyElems are NumPy's codes of kind and size.
var numpyElems = map[string]string{
	"b1": "bool", "i1": "int8", "i2": "int16", "i4": "int32", "i8": "int64", "u1": "uint8", "u2": "uint16", "u4": "uint32",
	"u8": "uint64", "f2": "float16", "f4": "float32", "f8": "float64", "c8": "complex64", "c16": "complex128",
	"?": "bool", "b": "int8", "h": "int16", "i": "int32", "q": "int64", "B": "uint8", "H": "uint16", "I": "uint32",
	"Q": "uint64", "e": "float16", "f": "float32", "d": "float64", "F": "complex64", "D": "complex128",
}

// An arrayType is a dtype of NumPy.
type arrayType struct {
	elem   *elem // nil if there are no numbers that we know
	size   int64 // of an element in bytes, 0 if unknown
	big    bool
	refuse string // how NumPy calls a type that has no elem
}

// arrayTypeOf reads a code such as "<f4".
func arrayTypeOf(code string) arrayType {
	var t arrayType
	if code != "" && strings.IndexByte("<>|=", code[0]) >= 0 {
		t.big = code[0] == '>'
		code = code[1:]
	}
	if name, ok := numpyElems[code]; ok {
		t.elem = elems[name]
		t.size = int64(t.elem.size)
		return t
	}
	t.refuse = "dtype " + code
	if code == "" {
		return t
	}
	n, err := strconv.ParseInt(strings.TrimRight(code[1:], "[]0123456789abcdefghijklmnopqrstuvwxyz"), 10, 32)
	if err != nil {
		n, _ = strconv.ParseInt(code[1:], 10, 32)
	}
	n = max(n, 0)
	t.size = n
	switch code[0] {
	case 'O':
		t.refuse, t.size = "object", 0
	case 'U':
		t.refuse, t.size = fmt.Sprintf("str%d", 32*n), 4*n
	case 'S', 'a':
		t.refuse = fmt.Sprintf("bytes%d", 8*n)
	case 'V':
		t.refuse = fmt.Sprintf("void%d", 8*n)
	case 'f':
		t.refuse = fmt.Sprintf("float%d", 8*n)
	case 'c':
		t.refuse = fmt.Sprintf("complex%d", 8*n)
	case 'M', 'm':
		t.refuse, t.size = map[byte]string{'M': "datetime64", 'm': "timedelta64"}[code[0]], 8
	}
	return t
}

// arrayType reads a dtype object: numpy.dtype('f4', False, True) with the
// state (version, byte order, subtype, names, fields, size, alignment, flags).
func (b *builder) arrayType(v pickle.Value) (t arrayType, ok bool) {
	o, isObject := v.(*pickle.Object)
	if !isObject {
		return t, false
	}
	sym := o.Symbol()
	if sym != nil && sym.Module == "numpy.dtypes" {
		name := strings.ToLower(strings.TrimSuffix(sym.Name, "DType"))
		if e := elems[name]; e != nil {
			t = arrayType{elem: e, size: int64(e.size)}
		} else {
			t.refuse = name
		}
	} else {
		args := o.ArgList()
		if !sym.Is("numpy", "dtype") || len(args) == 0 {
			return t, false
		}
		code, isText := pickle.Text(args[0])
		if !isText {
			return arrayType{refuse: "dtype"}, true
		}
		t = arrayTypeOf(code)
	}
	for _, state := range o.States() {
		tuple, ok := state.(*pickle.Tuple)
		if !ok || len(tuple.Items) < 5 {
			return t, false
		}
		if order, ok := pickle.Text(tuple.Items[1]); ok {
			t.big = order == ">"
		}
		if tuple.Items[3] != nil && tuple.Items[4] != nil {
			t.elem, t.refuse = nil, "structured"
		} else if tuple.Items[2] != nil {
			t.elem, t.refuse = nil, "subarray"
		}
		if t.elem == nil && len(tuple.Items) > 5 {
			if size, ok := tuple.Items[5].(int64); ok && size > 0 {
				t.size = size
			}
		}
	}
	return t, true
}

// array makes a tensor of the bytes of a NumPy array. The data may be larger
// than it needs.
func array(at place, t arrayType, shape []int64, fortran bool, data span) (*tensor, error) {
	if t.elem == nil {
		return &tensor{at: at, shape: shape, refuse: t.refuse}, nil
	}
	stride := rowMajor(shape)
	if fortran {
		n := int64(1)
		for i, d := range shape {
			stride[i] = n
			n *= max(d, 1)
		}
	}
	// Strides of shapes that overflow are nonsense, and negative ones
	// among them are found as such; the shape is what is at fault.
	for _, n := range stride {
		if n < 0 {
			return nil, at.malformed("too-large", "shape %d", shape)
		}
	}
	s := &storage{data: data, big: t.big && t.elem.word > 1}
	return view(at, &storageRef{s: s, elem: t.elem, size: data.size}, t.elem, 0, shape, stride)
}

// reconstructArray is numpy's _reconstruct(class, (0,), b'b') with the state
// (version, shape, dtype, fortran, data).
func reconstructArray(b *builder, o *pickle.Object, depth int) (any, error) {
	at := b.place(o)
	states := o.States()
	if len(states) == 0 {
		return nil, at.malformed("array", "an array without state")
	}
	tuple, ok := states[len(states)-1].(*pickle.Tuple)
	if !ok || len(tuple.Items) < 5 {
		return nil, at.malformed("array", "the state of an array")
	}
	items := tuple.Items[len(tuple.Items)-5:]
	shape, okShape := ints(items[1])
	t, okType := b.arrayType(items[2])
	fortran, _ := items[3].(bool)
	if n, ok := items[3].(int64); ok {
		fortran = n != 0
	}
	if !okShape || !okType {
		return nil, at.malformed("array", "the shape or type of an array")
	}
	if t.elem == nil {
		return &tensor{at: at, shape: shape, refuse: t.refuse}, nil
	}
	data, ok, err := b.bytesOf(items[4], depth)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, at.malformed("array", "the data of an array are no bytes")
	}
	return orNil(array(at, t, shape, fortran, data))
}

// arrayFromBuffer is _frombuffer(buffer, dtype, shape, order).
func arrayFromBuffer(b *builder, o *pickle.Object, depth int) (any, error) {
	args, err := b.args(o, 4)
	if err != nil {
		return nil, err
	}
	at := b.place(o)
	t, okType := b.arrayType(args[1])
	shape, okShape := ints(args[2])
	order, okOrder := pickle.Text(args[3])
	if !okType || !okShape || !okOrder {
		return nil, at.malformed("array", "the shape or type of an array")
	}
	if t.elem == nil {
		return &tensor{at: at, shape: shape, refuse: t.refuse}, nil
	}
	data, ok, err := b.bytesOf(args[0], depth)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, at.malformed("array", "the data of an array are no bytes")
	}
	return orNil(array(at, t, shape, order == "F", data))
}

// wrapped reads the state of joblib's NumpyArrayWrapper.
func (b *builder) wrapped(o *pickle.Object) (t arrayType, shape []int64, fortran, padded bool, err error) {
	at := b.place(o)
	states := o.States()
	var state *pickle.Dict
	if len(states) > 0 {
		state, _ = states[len(states)-1].(*pickle.Dict)
	}
	if state == nil {
		return t, nil, false, false, at.malformed("array", "an array of joblib without state")
	}
	kind, _ := state.Get("dtype")
	size, _ := state.Get("shape")
	order, _ := state.Get("order")
	align, _ := state.Get("numpy_array_alignment_bytes")
	t, okType := b.arrayType(kind)
	shape, okShape := ints(size)
	if !okType || !okShape {
		return t, nil, false, false, at.malformed("array", "the shape or type of an array")
	}
	text, _ := pickle.Text(order)
	return t, shape, text == "F", align != nil, nil
}

// rawArray tells how many bytes of an array follow the state of o: joblib puts
// them between the opcodes. An array of objects is a pickle of its own.
func (r *reader) rawArray(o *pickle.Object, src span, off int64, at place) (int64, error) {
	if !isJoblib(o.Symbol(), "NumpyArrayWrapper") {
		return 0, nil
	}
	b := r.builder(src, at, nil)
	t, shape, _, padded, err := b.wrapped(o)
	if err != nil {
		return 0, err
	}
	if t.refuse == "object" {
		if r.rawDepth++; r.rawDepth > maxNested {
			return 0, at.at(off).fail(ErrLimit, "nested", "pickles within pickles")
		}
		_, next, err := r.decode(src, off, at)
		r.rawDepth--
		return next - off, err
	}
	if t.size <= 0 {
		return 0, at.at(off).fail(ErrUnsupported, t.refuse, "an array whose size is not known")
	}
	size := t.size
	for _, n := range shape {
		var ok bool
		if n < 0 {
			return 0, at.at(off).malformed("shape", "shape %d", shape)
		}
		if size, ok = product(size, n); !ok {
			return 0, at.at(off).malformed("too-large", "shape %d", shape)
		}
	}
	pad := int64(0)
	if padded {
		var n [1]byte
		if _, err := src.ReadAt(n[:], off); err != nil {
			return 0, err
		}
		pad = 1 + int64(n[0])
	}
	if size > src.size-off-pad {
		return 0, at.at(off).malformed("truncated", "an array of %d bytes, %d are left", size, src.size-off-pad)
	}
	return pad + size, nil
}

// joblibArray is an array whose bytes rawArray has found.
func joblibArray(b *builder, o *pickle.Object, depth int) (any, error) {
	t, shape, fortran, padded, err := b.wrapped(o)
	if err != nil {
		return nil, err
	}
	at := b.place(o)
	if t.elem == nil {
		return &tensor{at: at, shape: shape, refuse: t.refuse}, nil
	}
	off, n := o.Raw()
	if padded && n > 0 {
		var pad [1]byte
		if _, err := b.src.ReadAt(pad[:], off); err != nil {
			return nil, at.wrap(err)
		}
		off, n = off+1+int64(pad[0]), n-1-int64(pad[0])
	}
	data, ok := b.src.sub(off, n)
	if !ok {
		return nil, at.malformed("bounds", "an array beyond the file")
	}
	return orNil(array(at, t, shape, fortran, data))
}
