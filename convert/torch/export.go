package torch

import (
	"encoding/json"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/tensmith/tensmith/pickle"
)

// export opens torch.export's .pt2 in its three layouts: torch.save files at
// the top (2.1 to 2.6), below data/ (2.7, 2.8), and raw bytes that a JSON
// config describes (since 2.9; torch/export/pt2_archive/_package.py).
func (a *archive) export(depth int) (*content, error) {
	if err := a.doubt(); err != nil {
		return nil, err
	}
	c := &content{container: "pt2", framework: "pt"}
	var weights, constants []*record // torch.save files
	var configs []*record
	objects := make(map[string]LeftOut) // by record; configs have their names
	for i := range a.records {
		rec := &a.records[i]
		name := a.name(rec)
		dir, base := path.Split(name)
		switch {
		case name == "serialized_state_dict.pt", dir == "data/weights/" && strings.HasSuffix(base, ".pt"):
			weights = append(weights, rec)
		case name == "serialized_constants.pt", dir == "data/constants/" && strings.HasSuffix(base, ".pt"):
			constants = append(constants, rec)
		case (dir == "data/weights/" || dir == "data/constants/") && strings.HasSuffix(base, "_config.json"):
			configs = append(configs, rec)
		case strings.HasPrefix(name, "data/aotinductor/") && slices.Contains([]string{".so", ".cpp", ".o", ".cubin", ".json"}, path.Ext(base)):
			a.r.trace.add(a.at.in(rec.path), "native code", pickle.Dangerous, "torch compiles or loads it as a library")
		case strings.HasSuffix(base, ".pt"):
			l, err := a.judged(rec, depth)
			if err != nil {
				return nil, err
			}
			a.r.leave(l)
		case strings.HasPrefix(base, "custom_obj_"), strings.HasPrefix(base, "opaque_obj_"):
			l, err := a.judged(rec, depth)
			if err != nil {
				return nil, err
			}
			objects[name] = l
		}
	}
	// Weights before constants: of two of a name the first counts.
	slices.SortStableFunc(configs, func(x, y *record) int {
		return strings.Compare(path.Dir(a.name(y)), path.Dir(a.name(x)))
	})
	models := make(map[string]bool)
	for _, rec := range append(slices.Clone(weights), configs...) {
		if dir := path.Dir(a.name(rec)); dir == "data/weights" {
			models[modelOf(a.name(rec))] = true
		}
	}
	seen := make(map[string]bool)
	add := func(rec *record, list []named) {
		for _, n := range list {
			if len(models) > 1 {
				n.name = modelOf(a.name(rec)) + "." + n.name
			}
			if seen[n.name] {
				a.r.leave(LeftOut{Path: a.name(rec) + ":" + n.name, Kind: "tensor", Tensors: 1, Bytes: n.t.bytes()})
				continue
			}
			seen[n.name] = true
			if constant(a.name(rec)) {
				n.name = "constants/" + n.name
			}
			c.tensors = append(c.tensors, n)
		}
	}
	for _, rec := range append(weights, constants...) {
		src, err := a.open(rec)
		if err != nil {
			return nil, err
		}
		list, err := a.r.nestedTensors(src, a.at.in(rec.path), depth)
		if err != nil {
			return nil, err
		}
		add(rec, list)
	}
	open := make(map[string]*storage)
	for _, rec := range configs {
		list, err := a.configured(rec, open, objects, depth)
		if err != nil {
			return nil, err
		}
		add(rec, list)
	}
	for _, name := range slices.Sorted(maps.Keys(objects)) {
		a.r.leave(objects[name])
	}
	return c, nil
}

// constant tells whether a record is of the constants. These are no part of
// the program's state_dict, so their names are set apart.
func constant(name string) bool {
	return strings.HasPrefix(name, "data/constants/") || name == "serialized_constants.pt"
}

// modelOf returns the name of the model that a record of weights belongs to.
func modelOf(name string) string {
	name = strings.TrimSuffix(path.Base(name), ".pt")
	for _, end := range []string{"_weights_config.json", "_model_param_config.json", "_constants_config.json"} {
		name = strings.TrimSuffix(name, end)
	}
	return name
}

// nestedTensors names the tensors of a checkpoint within another.
func (r *reader) nestedTensors(src span, at place, depth int) ([]named, error) {
	c, err := r.content(src, at, depth+1)
	if err != nil {
		return nil, err
	}
	if c.b == nil {
		return c.tensors, nil
	}
	return c.b.grow(c.value).flatten(c.value)
}

// judged looks at a record that is not taken, for what it would do, and says
// what it holds.
func (a *archive) judged(rec *record, depth int) (LeftOut, error) {
	l := LeftOut{Path: a.name(rec), Kind: "record"}
	src, err := a.open(rec)
	if err != nil {
		return l, err
	}
	c, err := a.r.content(src, a.at.in(rec.path), depth+1)
	if err != nil {
		a.r.trace.add(a.at.in(rec.path), "unread record", pickle.Suspicious, err.Error())
		return l, nil
	}
	if c.b != nil {
		l.Tensors, l.Bytes, err = c.b.grow(c.value).weigh(c.value, nil)
	}
	return l, err
}

// A payloadConfig is the JSON beside raw weights.
type payloadConfig struct {
	Config map[string]struct {
		PathName   string `json:"path_name"`
		UsePickle  bool   `json:"use_pickle"`
		TensorMeta *struct {
			DType         int64    `json:"dtype"`
			Sizes         []symInt `json:"sizes"`
			Strides       []symInt `json:"strides"`
			StorageOffset symInt   `json:"storage_offset"`
			Layout        int64    `json:"layout"`
		} `json:"tensor_meta"`
	} `json:"config"`
}

// A symInt is an integer, or an expression, which weights have none of.
type symInt struct {
	AsInt *int64 `json:"as_int"`
}

func known(list []symInt) ([]int64, bool) {
	out := make([]int64, len(list))
	for i, n := range list {
		if n.AsInt == nil {
			return nil, false
		}
		out[i] = *n.AsInt
	}
	return out, len(list) <= maxRank
}

// maxJSON is the size up to which an index or config is read.
const maxJSON = 64 << 20

func readJSON(src span, at place, to any) error {
	if src.size > maxJSON {
		return at.fail(ErrLimit, "json", "%d bytes of JSON", src.size)
	}
	b, err := src.bytes()
	if err != nil {
		return at.wrap(err)
	}
	if err := json.Unmarshal(b, to); err != nil {
		return at.malformed("json", "%v", err)
	}
	return nil
}

func (a *archive) configured(rec *record, open map[string]*storage, objects map[string]LeftOut, depth int) ([]named, error) {
	src, err := a.open(rec)
	if err != nil {
		return nil, err
	}
	at := a.at.in(rec.path)
	var config payloadConfig
	if err := readJSON(src, at, &config); err != nil {
		return nil, err
	}
	order, err := a.text("byteorder")
	if err != nil {
		return nil, err
	}
	var list []named
	for _, name := range slices.Sorted(maps.Keys(config.Config)) {
		entry := config.Config[name]
		if strings.Contains(entry.PathName, "/") || entry.PathName == "" {
			return nil, at.malformed("key", "%q has the path %q", name, entry.PathName)
		}
		record := path.Dir(a.name(rec)) + "/" + entry.PathName
		data, dataAt, ok, err := a.read(record)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, at.malformed("missing", "%q: there is no record %q", name, record)
		}
		if l, ok := objects[record]; ok {
			l.Kind, l.Path = "object in "+record, name
			if constant(a.name(rec)) {
				l.Path = "constants/" + name
			}
			a.r.leave(l)
			delete(objects, record)
			continue
		}
		if entry.UsePickle {
			more, err := a.r.nestedTensors(data, dataAt, depth)
			if err != nil {
				return nil, named1(err, name)
			}
			for _, n := range more {
				if n.name == "tensor" {
					n.name = name
				} else {
					n.name = name + "." + n.name
				}
				list = append(list, n)
			}
			continue
		}
		meta := entry.TensorMeta
		if meta == nil { // an object of another kind
			a.r.leave(LeftOut{Path: name, Kind: "record " + record})
			continue
		}
		shape, okShape := known(meta.Sizes)
		stride, okStride := known(meta.Strides)
		if !okShape || !okStride || meta.StorageOffset.AsInt == nil {
			return nil, at.malformed("shape", "%q has no plain size, stride and offset", name)
		}
		e := elems[scalarTypes[meta.DType]]
		if e == nil || meta.Layout != 7 {
			return nil, named1(at.fail(ErrUnsupported, "dtype", "type %d, layout %d", meta.DType, meta.Layout), name)
		}
		if open[record] == nil {
			open[record] = &storage{data: data, big: order == "big", kept: true}
		}
		s := open[record]
		t, err := view(at, &storageRef{s: s, elem: e, size: s.data.size}, e, *meta.StorageOffset.AsInt, shape, stride)
		if err != nil {
			return nil, named1(err, name)
		}
		list = append(list, named{name: name, t: t})
	}
	return list, nil
}
