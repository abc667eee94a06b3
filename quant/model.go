package quant

import (
	"cmp"
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

	data func(name string) io.WriterTo // of a tensor
	set  settings

	remade *reading // of weights that keep no decoder
}

// Open finds the packed weights of a checkpoint, which is not to be closed before
// they are read. The config is the text of config.json, or nil: some schemes
// cannot be told apart, or read, without it.
func Open(c *safetensors.Checkpoint, config []byte) *Model {
	return newModel(describe.Describe(c, config), config, func(name string) io.WriterTo {
		t, err := c.Tensor(name)
		if err != nil {
			return nil
		}
		return t
	})
}

// Entries is [Open] for tensors that are not stored yet, whose Data is to be an
// [io.ReaderAt]; the model keeps the list, which is not to change.
func Entries(entries []safetensors.Entry, metadata map[string]string, config []byte) *Model {
	byName := func(x, y safetensors.Entry) int { return strings.Compare(x.Name, y.Name) }
	if !slices.IsSortedFunc(entries, byName) {
		entries = slices.Clone(entries)
		slices.SortStableFunc(entries, byName)
	}
	return newModel(describe.Entries(entries, metadata, config), config, func(name string) io.WriterTo {
		i := sort.Search(len(entries), func(i int) bool { return entries[i].Name > name })
		if i == 0 || entries[i-1].Name != name {
			return nil
		}
		return entries[i-1].Data // the last of that name
	})
}

func newModel(s describe.Summary, config []byte, data func(string) io.WriterTo) *Model {
	m := &Model{Summary: s, data: data, set: parseSettings(config)}
	m.remade = &reading{m: m}
	return m
}

// entry returns a tensor as it is stored.
func (m *Model) entry(t *describe.Tensor) safetensors.Entry {
	return safetensors.Entry{Info: t.Info, Data: m.data(t.Name)}
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
	return m.weight(t, to)
}

func (m *Model) weight(t *describe.Tensor, to safetensors.DType) (*Weight, error) {
	for part := range t.Companions() {
		if part.Purpose() == "quant state" && strings.HasSuffix(part.Name, ".comfy_quant") && t.DType != safetensors.F8E4M3 && t.DType != safetensors.F8E5M2 {
			return nil, fault(t.Name, ErrScheme, "ComfyUI stores its scales as a kernel wants them")
		}
	}
	make := makers[t.Packing.Scheme]
	if make == nil {
		return nil, fault(t.Name, ErrScheme, "nothing here reads %s", t.Packing.Scheme)
	}
	c := &companions{m, t}
	dec, shape, err := make(c)
	if err != nil {
		return nil, err
	}
	if to == 0 {
		to = c.natural()
	}
	return newWeight(safetensors.Info{Name: t.Weight(), DType: to, Shape: shape}, c, dec)
}

// Unpacked returns the tensors of the model with every packed weight as floats
// of type to, as in [Model.Weight], and without the companions and marks of
// those. What keep returns true for stays as it is; nil keeps nothing. The Data
// of an entry that was packed is a [*Weight]. It fails if a weight cannot be
// unpacked, if one has the name of another tensor then, and if a tensor is named
// and typed like packed ones and has no companions: it would be taken for plain
// integers.
func (m *Model) Unpacked(to safetensors.DType, keep func(name string) bool) ([]safetensors.Entry, error) {
	if keep == nil {
		keep = func(string) bool { return false }
	}
	list, err := m.unpack(to, keep)
	if i, j := twice(list); j > 0 {
		return nil, fault(packedName(list[j]), ErrScheme, "its weight %q would be there twice, as %q has it", list[j].Name, packedName(list[i]))
	}
	return list, err
}

// unpack is Unpacked, which may give a name twice. With an error it returns what
// comes before.
func (m *Model) unpack(to safetensors.DType, keep func(name string) bool) (list []safetensors.Entry, err error) {
	all := m.Summary.Tensors
	kept, n := false, 0
	kinds := map[kind]string{} // of packed tensors, with the first of each
	for i := range all {
		t := &all[i]
		if t.Role != describe.Companion || keep(t.Of().Name) {
			n++
		}
		if t.Role != describe.Packed {
			continue
		}
		// What floats of 16 bits and more are is not told by others of their type.
		if keep(t.Name) {
			kept = true
		} else if k := kindOf(t); kinds[k] == "" && !(isFloat(t.DType) && t.DType.Bits() > 8) {
			kinds[k] = t.Name
		}
	}
	list = make([]safetensors.Entry, 0, n)
	for i := range all {
		t := &all[i]
		switch t.Role {
		case describe.Plain:
			if like := kinds[kindOf(t)]; like != "" && !keep(t.Name) {
				return list, fault(t.Name, ErrMissing, "it is %s like %q, and has no scales", t.DType, like)
			}
		case describe.Packed:
			if keep(t.Name) {
				break
			}
			w, err := m.weight(t, to)
			if err != nil {
				return list, err
			}
			list = append(list, safetensors.Entry{Info: w.Info, Data: w})
			continue
		case describe.Companion:
			if !keep(t.Of().Name) {
				continue
			}
		case describe.Buffer:
			if !kept && isMark(t) {
				continue
			}
		}
		list = append(list, m.entry(t))
	}
	return list, nil
}

// twice returns the first entry whose name another before it has, and that one;
// 0, 0 if there is none. Sorting takes less memory than a map of the names, and
// is hardly ever needed.
func twice(list []safetensors.Entry) (before, at int) {
	byName := func(a, b safetensors.Entry) int { return strings.Compare(a.Name, b.Name) }
	rising := true
	for i := 1; i < len(list) && rising; i++ {
		rising = byName(list[i-1], list[i]) < 0
	}
	if rising {
		return 0, 0
	}
	order := make([]int, len(list))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Or(byName(list[i], list[j]), cmp.Compare(i, j)) })
	for k := 1; k < len(order); k++ {
		if i, j := order[k-1], order[k]; list[i].Name == list[j].Name && (at == 0 || j < at) {
			before, at = i, j
		}
	}
	return before, at
}

// packedName returns the name of the tensor that an entry comes from.
func packedName(e safetensors.Entry) string {
	if w, ok := e.Data.(*Weight); ok {
		return w.Packed.Name
	}
	return e.Name
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
func (c *companions) packed() (*part, error) { return newPart(c.m.entry(c.t)) }

// find returns the first companion of a purpose, if there is one.
func (c *companions) find(purpose string) (*part, bool, error) {
	for t := range c.t.Companions() {
		if t.Purpose() == purpose {
			found, err := newPart(c.m.entry(t))
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
	for t := range c.t.Companions() {
		if t.Purpose() == "scale" && (t.DType == safetensors.F16 || t.DType == safetensors.BF16) {
			return t.DType
		}
		if t.Purpose() == "quant state" {
			part, err := newPart(c.m.entry(t))
			if err != nil || part.at == nil {
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
	shape := c.t.Packing.Shape
	list, n, ok := dims(shape)
	if !ok || len(shape) == 0 {
		return nil, matrix{}, fault(c.t.Name, ErrShape, "%s %d tells no shape of its weight", c.t.DType, c.t.Shape)
	}
	if n == 0 {
		return nil, matrix{}, fault(c.t.Name, ErrShape, "%d holds no weights", c.t.Shape)
	}
	return shape, newMatrix(list), nil
}
