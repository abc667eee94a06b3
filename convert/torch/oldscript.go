package torch

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/tensmith/tensmith/pickle"
)

// oldScript opens TorchScript of torch 1.0 to 1.2, where model.json describes
// the modules and the tensors, and attributes.pkl, since 1.1, has what is no
// parameter (caffe2/proto/torch.proto of those versions). The code is not read.
func (a *archive) oldScript() (*content, error) {
	if err := a.pickles(nil); err != nil {
		return nil, err
	}
	if err := a.doubt(); err != nil {
		return nil, err
	}
	src, at, _, err := a.read("model.json")
	if err != nil {
		return nil, err
	}
	var model oldModel
	if err := readJSON(src, at, &model); err != nil {
		return nil, err
	}
	a.r.trace.add(a.at, "TorchScript", pickle.Suspicious, "code that torch.jit.load compiles and that can open files")
	a.r.note("container", "", "", "TorchScript: its code is left out")
	s := &oldScript{a: a, at: at, model: &model, open: make(map[string]*storage)}
	if s.attributes, err = a.attributes(); err != nil {
		return nil, err
	}
	c := &content{container: "torchscript", framework: "pt"}
	type module struct {
		*oldModule
		path  string
		depth int
	}
	// Of a module the parameters come first, then the modules below, in order.
	stack := []module{{&model.Main, "", 0}}
	for len(stack) > 0 {
		m := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if m.depth > maxDepth {
			return nil, at.fail(ErrLimit, "depth", "modules nested more than %d deep", maxDepth)
		}
		if c.tensors, err = s.module(m.oldModule, m.path, c.tensors); err != nil {
			return nil, err
		}
		for _, sub := range slices.Backward(m.Submodules) {
			stack = append(stack, module{sub, join(m.path, sub.Name), m.depth + 1})
		}
	}
	return c, nil
}

// An oldModel is model.json. Its 64-bit numbers are strings, and 0 is left out.
type oldModel struct {
	Main    oldModule `json:"mainModule"`
	Tensors []struct {
		Dims      []json.Number `json:"dims"`
		Strides   []json.Number `json:"strides"`
		Offset    json.Number   `json:"offset"`
		DataType  string        `json:"dataType"`
		Quantized bool          `json:"isQuantized"`
		Data      struct {
			Key string `json:"key"`
		} `json:"data"`
	} `json:"tensors"`
}

type oldModule struct {
	Name       string `json:"name"`
	Parameters []struct {
		Name string      `json:"name"`
		ID   json.Number `json:"tensorId"`
	} `json:"parameters"`
	Attributes []struct {
		Name string      `json:"name"`
		Type string      `json:"type"`
		ID   json.Number `json:"id"`
	} `json:"attributes"`
	Submodules []*oldModule `json:"submodules"`
}

// oldTypes are the names of caffe2's types.
var oldTypes = map[string]string{
	"FLOAT": "float32", "DOUBLE": "float64", "FLOAT16": "float16", "BFLOAT16": "bfloat16", "INT64": "int64", "INT32": "int32",
	"INT16": "int16", "INT8": "int8", "UINT8": "uint8", "BYTE": "uint8", "BOOL": "bool",
}

// attributes returns the items of attributes.pkl.
func (a *archive) attributes() ([]pickle.Value, error) {
	src, at, ok, err := a.read("attributes.pkl")
	if !ok || err != nil {
		return nil, err
	}
	v, _, err := a.r.decode(src, 0, at)
	return itemsOf(v), err
}

type oldScript struct {
	a          *archive
	at         place
	model      *oldModel
	attributes []pickle.Value
	open       map[string]*storage
}

// module names the tensors of one module.
func (s *oldScript) module(m *oldModule, path string, list []named) ([]named, error) {
	add := func(name string, id int64) error {
		t, err := s.tensor(id)
		if err != nil {
			return named1(err, name)
		}
		list = append(list, named{name: name, t: t})
		return nil
	}
	for _, p := range m.Parameters {
		id, ok := number64(p.ID)
		if !ok {
			return nil, s.at.malformed("shape", "the number %q", p.ID)
		}
		if err := add(join(path, p.Name), id); err != nil {
			return nil, err
		}
	}
	for _, p := range m.Attributes {
		name := join(path, p.Name)
		i, ok := number64(p.ID)
		if !ok || i < 0 || i >= int64(len(s.attributes)) {
			return nil, s.at.malformed("missing", "attribute %q is number %s of %d", name, p.ID, len(s.attributes))
		}
		id, ok := tensorID(s.attributes[i])
		if !ok {
			s.a.r.leave(LeftOut{Path: name, Kind: p.Type})
			continue
		}
		if err := add(name, id); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// tensorID reads what stands for a tensor in attributes.pkl: since 1.2
// build_tensor_from_id(n), in 1.1 an object of a class TensorID with the state n.
func tensorID(v pickle.Value) (int64, bool) {
	o, ok := v.(*pickle.Object)
	if !ok {
		return 0, false
	}
	list := o.ArgList()
	switch sym := o.Symbol(); {
	case sym.Is("torch.jit._pickle", "build_tensor_from_id"):
	case sym != nil && sym.Name == "TensorID":
		list = o.States()
	default:
		return 0, false
	}
	if len(list) != 1 {
		return 0, false
	}
	id, ok := list[0].(int64)
	return id, ok
}

// tensor opens one of the tensors of the model.
func (s *oldScript) tensor(id int64) (*tensor, error) {
	if id < 0 || id >= int64(len(s.model.Tensors)) {
		return nil, s.at.malformed("missing", "tensor %d of %d", id, len(s.model.Tensors))
	}
	d := &s.model.Tensors[id]
	shape, okShape := numbers64(d.Dims)
	stride, okStride := numbers64(d.Strides)
	off, okOff := number64(d.Offset)
	if !okShape || !okStride || !okOff || len(shape) > maxRank {
		return nil, s.at.malformed("shape", "dims %q, strides %q, offset %q of tensor %d", d.Dims, d.Strides, d.Offset, id)
	}
	e := elems[oldTypes[d.DataType]]
	if e == nil || d.Quantized {
		return nil, s.at.fail(ErrUnsupported, "dtype", "tensor %d of type %s, quantised: %v", id, strings.ToLower(d.DataType), d.Quantized)
	}
	if s.open[d.Data.Key] == nil {
		data, _, ok, err := s.a.read(d.Data.Key)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, s.at.malformed("missing", "there is no record %q", s.a.top+d.Data.Key)
		}
		s.open[d.Data.Key] = &storage{data: data}
	}
	data := s.open[d.Data.Key]
	return view(s.at, &storageRef{s: data, elem: e, size: data.data.size}, e, off, shape, stride)
}

// number64 reads a number, which is left out if it is 0.
func number64(n json.Number) (int64, bool) {
	if n == "" {
		return 0, true
	}
	v, err := strconv.ParseInt(string(n), 10, 64)
	return v, err == nil
}

func numbers64(list []json.Number) ([]int64, bool) {
	out := make([]int64, len(list))
	for i, n := range list {
		var ok bool
		if out[i], ok = number64(n); !ok {
			return nil, false
		}
	}
	return out, true
}
