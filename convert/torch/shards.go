package torch

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

// shards opens the files of an index of Hugging Face: "weight_map" tells which
// tensor is in which file of the same directory.
func (r *reader) shards(name string) (*content, error) {
	src, err := r.open(name)
	if err != nil {
		return nil, err
	}
	at := place{file: name, offset: -1}
	var index struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	if err := readJSON(src, at, &index); err != nil {
		return nil, err
	}
	if len(index.WeightMap) == 0 {
		return nil, at.fail(ErrUnknown, "unknown", "JSON without a weight_map")
	}
	wanted := make(map[string]map[string]bool)
	for tensor, file := range index.WeightMap {
		if !fs.ValidPath(file) || path.Base(file) != file || file == "." {
			return nil, at.malformed("name", "tensor %q is in %q, which is no file of the directory", tensor, file)
		}
		if wanted[file] == nil {
			wanted[file] = make(map[string]bool)
		}
		wanted[file][tensor] = true
	}
	c := &content{container: "hf-shards", framework: "pt"}
	in := make(map[string]string)
	for _, file := range slices.Sorted(maps.Keys(wanted)) {
		full := path.Join(path.Dir(name), file)
		part, err := r.file(full)
		if err != nil {
			return nil, err
		}
		list := part.tensors
		if part.b != nil {
			if list, err = part.b.grow(part.value).names(part.value); err != nil {
				return nil, err
			}
		}
		size := int64(0)
		for _, n := range list {
			if other, twice := in[n.name]; twice {
				return nil, at.malformed("duplicate", "tensor %q is in %s and in %s", n.name, other, file)
			}
			in[n.name] = file
			if index.WeightMap[n.name] != file {
				r.note("container", n.name, "", fmt.Sprintf("is in %s, which the index does not say", file))
			}
			t, err := n.tensor(true)
			if err != nil {
				return nil, err
			}
			size += t.bytes()
			delete(wanted[file], n.name)
		}
		if left := slices.Sorted(maps.Keys(wanted[file])); len(left) > 0 {
			return nil, at.malformed("missing", "%s has no tensor %q", file, left[0])
		}
		c.tensors = append(c.tensors, list...)
		c.shard = max(c.shard, size)
	}
	r.beside(name, wanted)
	return c, nil
}

// beside notes the checkpoints in the directory of an index that it does not
// name: who gave the directory may have meant one of them.
func (r *reader) beside(index string, shards map[string]map[string]bool) {
	list, err := fs.ReadDir(r.fsys, path.Dir(index))
	if err != nil {
		return // the index is open, and names all that is needed
	}
	var others []string
	for _, e := range list {
		_, named := shards[e.Name()]
		switch path.Ext(e.Name()) {
		case ".bin", ".pt", ".pth", ".ckpt", ".safetensors":
			if !named && e.Type().IsRegular() {
				others = append(others, e.Name())
			}
		}
	}
	if n := len(others); n > 0 {
		more := ""
		if n > 5 {
			more = fmt.Sprintf(" and %d more", n-5)
		}
		r.note("container", "", "", fmt.Sprintf("left unread, for %s does not name them: %s%s", path.Base(index), strings.Join(others[:min(n, 5)], ", "), more))
	}
}
