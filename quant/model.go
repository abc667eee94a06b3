package quant

import (
	"io"
	"slices"
	"sort"
	"strings"

	"github.com/tensmith/tensmith/describe"
	"github.com/tensmith/tensmith/safetensors"
)

// A Model is the tensors of a model, some of them packed.
type Model struct {
	// Summary is what describe says of it.
	Summary describe.Summary

	entries []safetensors.Entry // by name, as Summary.Tensors
	set     settings
}

// Open finds the packed weights among entries, whose Data is to be an
// [io.ReaderAt]; the model keeps the list, which is not to change. The config is the text of config.json, or nil: some schemes
// cannot be told apart, or read, without it.
func Open(entries []safetensors.Entry, metadata map[string]string, config []byte) *Model {
	m := &Model{
		Summary: describe.Entries(entries, metadata, config),
		entries: entries,
		set:     parseSettings(config),
	}
	byName := func(x, y safetensors.Entry) int { return strings.Compare(x.Name, y.Name) }
	if !slices.IsSortedFunc(entries, byName) {
		m.entries = slices.Clone(entries)
		slices.SortStableFunc(m.entries, byName)
	}
	return m
}

// entry returns the entry of a name, the last if there are several, or none.
func (m *Model) entry(name string) (e safetensors.Entry) {
	i := sort.Search(len(m.entries), func(i int) bool { return m.entries[i].Name > name })
	if i > 0 && m.entries[i-1].Name == name {
		e = m.entries[i-1]
	}
	return e
}

// tensor returns what describe says of a tensor, or nil.
func (m *Model) tensor(name string) *describe.Tensor {
	all := m.Summary.Tensors
	i := sort.Search(len(all), func(i int) bool { return all[i].Name > name })
	if i > 0 && all[i-1].Name == name {
		return &all[i-1]
	}
	return nil
}

// Packed returns the tensors in which weights are packed, by name.
func (m *Model) Packed() []describe.Tensor {
	var list []describe.Tensor
	for _, t := range m.Summary.Tensors {
		if t.Role == describe.Packed {
			list = append(list, t)
		}
	}
	return list
}

// Weight returns the weight that is packed in the named tensor, as floats of
// type to: F64, F32, F16 or BF16, or 0 for the type that its scales or its
// settings have, BF16 if they have none of these. The errors are an [*Error].
func (m *Model) Weight(name string, to safetensors.DType) (*Weight, error) {
	t := m.tensor(name)
	if t == nil || t.Role != describe.Packed {
		return nil, fault(name, ErrScheme, "no weights are packed in it")
	}
	c := &companions{m: m, t: t}
	for _, part := range t.Packing.Companions {
		if part.Purpose == "quant state" && strings.HasSuffix(part.Name, ".comfy_quant") && t.DType != safetensors.F8E4M3 && t.DType != safetensors.F8E5M2 {
			return nil, fault(name, ErrScheme, "ComfyUI stores its scales as a kernel wants them")
		}
	}
	make := makers[t.Packing.Scheme]
	if make == nil {
		return nil, fault(name, ErrScheme, "nothing here reads %s", t.Packing.Scheme)
	}
	dec, shape, err := make(c)
	if err != nil {
		return nil, err
	}
	if to == 0 {
		to = c.natural()
	}
	return newWeight(safetensors.Info{Name: t.Packing.Weight, DType: to, Shape: shape}, c, dec)
}

// Unpacked returns the tensors of the model with every packed weight as floats
// of type to, as in [Model.Weight], and without the companions and marks of
// those. What keep returns true for stays as it is; nil keeps nothing. It fails
// if a weight cannot be unpacked, if one has the name of another tensor then,
// and if a tensor is named and typed like packed ones and has no companions:
// it would be taken for plain integers.
func (m *Model) Unpacked(to safetensors.DType, keep func(name string) bool) ([]safetensors.Entry, error) {
	if keep == nil {
		keep = func(string) bool { return false }
	}
	var list []safetensors.Entry
	names := map[string]string{}
	kept := false
	for _, t := range m.Summary.Tensors {
		kept = kept || t.Role == describe.Packed && keep(t.Name)
	}
	kinds := map[kind]string{} // of packed tensors, with the first of each
	for i := range m.Summary.Tensors {
		t := &m.Summary.Tensors[i]
		// What floats of 16 bits and more are is not told by others of their type.
		if k := kindOf(t); t.Role == describe.Packed && !keep(t.Name) && kinds[k] == "" && !(isFloat(t.DType) && t.DType.Bits() > 8) {
			kinds[k] = t.Name
		}
	}
	for i := range m.Summary.Tensors {
		t := &m.Summary.Tensors[i]
		e := m.entry(t.Name)
		if like := kinds[kindOf(t)]; t.Role == describe.Plain && like != "" && !keep(t.Name) {
			return nil, fault(t.Name, ErrMissing, "it is %s like %q, and has no scales", t.DType, like)
		}
		switch {
		case t.Role == describe.Companion && !keep(t.Of), !kept && isMark(t):
			continue
		case t.Role == describe.Packed && !keep(t.Name):
			w, err := m.Weight(t.Name, to)
			if err != nil {
				return nil, err
			}
			e = safetensors.Entry{Info: w.Info, Data: w}
		}
		if other, ok := names[e.Name]; ok {
			return nil, fault(t.Name, ErrScheme, "its weight %q would be there twice, as %q has it", e.Name, other)
		}
		names[e.Name] = t.Name
		list = append(list, e)
	}
	return list, nil
}

// A kind is how a tensor is named, by the end of its name, and typed.
type kind struct {
	end   string
	dtype safetensors.DType
}

func kindOf(t *describe.Tensor) kind {
	if strings.HasSuffix(t.Name, "_blocks") {
		return kind{"_blocks", t.DType}
	}
	return kind{t.Name[strings.LastIndexByte(t.Name, '.')+1:], t.DType}
}

// isMark tells whether a tensor does no more than say that others are packed.
func isMark(t *describe.Tensor) bool {
	return t.Role == describe.Buffer && (t.Name == "scaled_fp8" || strings.HasSuffix(t.Name, ".scaled_fp8"))
}

// companions are those of one packed tensor, and itself.
type companions struct {
	m *Model
	t *describe.Tensor
}

// packed returns the packed tensor.
func (c *companions) packed() (*part, error) { return newPart(c.m.entry(c.t.Name)) }

// find returns the first companion of a purpose, if there is one.
func (c *companions) find(purpose string) (*part, bool, error) {
	for _, p := range c.t.Packing.Companions {
		if p.Purpose == purpose {
			found, err := newPart(c.m.entry(p.Name))
			return found, err == nil, err
		}
	}
	return nil, false, nil
}

// need returns the first companion of a purpose.
func (c *companions) need(purpose string) (*part, error) {
	p, ok, err := c.find(purpose)
	if err == nil && !ok {
		return nil, fault(c.t.Name, ErrMissing, "%s of %s", purpose, c.t.Packing.Scheme)
	}
	return p, err
}

// natural returns the type that the weights had before, as far as can be told.
func (c *companions) natural() safetensors.DType {
	for _, p := range c.t.Packing.Companions {
		e := c.m.entry(p.Name)
		if p.Purpose == "scale" && (e.DType == safetensors.F16 || e.DType == safetensors.BF16) {
			return e.DType
		}
		if _, ok := e.Data.(io.ReaderAt); ok && p.Purpose == "quant state" {
			part, err := newPart(e)
			if err != nil {
				continue
			}
			if s, err := readState(part); err == nil {
				switch s.DType {
				case "float16":
					return safetensors.F16
				case "float32":
					return safetensors.F32
				}
			}
		}
	}
	return safetensors.BF16
}

// shape returns the shape of the weight, as describe has it, and the matrices
// that it is cut into.
func (c *companions) shape() ([]uint64, matrix, error) {
	shape := slices.Clone(c.t.Packing.Shape)
	list, n, ok := dims(shape)
	if !ok || len(shape) == 0 {
		return nil, matrix{}, fault(c.t.Name, ErrShape, "%s %d tells no shape of its weight", c.t.DType, c.t.Shape)
	}
	if n == 0 {
		return nil, matrix{}, fault(c.t.Name, ErrShape, "%d holds no weights", c.t.Shape)
	}
	return shape, newMatrix(list), nil
}
