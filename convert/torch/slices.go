package torch

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/tensmith/tensmith/safetensors"
)

// slicesKey is the metadata in which torch.distributed.checkpoint says where
// the tensors of a safetensors file lie in those of the model
// (torch/distributed/checkpoint/_hf_utils.py, since 2.8).
const slicesKey = "DCP_SHARDING_INFO"

// sliced opens a directory of the HuggingFaceStorageWriter with
// save_distributed: each process has written a safetensors file with its
// slices of the tensors. A tensor reaches as far as its last slice does, for
// nothing else tells its size; torch reads gaps as what was in memory before.
func (r *reader) sliced(dir string, list []fs.DirEntry) (*content, error) {
	s := &sliceSet{r: r, chunks: make(map[string][]chunk)}
	for _, e := range list { // sorted by name
		if strings.HasSuffix(e.Name(), ".safetensors") {
			if err := s.add(path.Join(dir, e.Name())); err != nil {
				return nil, err
			}
		}
	}
	c := &content{container: "dcp-safetensors", framework: "pt"}
	for _, name := range s.names {
		t, err := s.tensor(name)
		if err != nil {
			return nil, named1(err, name)
		}
		c.tensors = append(c.tensors, named{name: name, t: t})
	}
	return c, nil
}

// A sliceSet is the slices of all files by the tensors they are of.
type sliceSet struct {
	r      *reader
	names  []string // in the order of files
	chunks map[string][]chunk
}

// add reads the header of a file.
func (s *sliceSet) add(name string) error {
	at := place{file: name, offset: -1}
	src, err := s.r.open(name)
	if err != nil {
		return err
	}
	f, err := safetensors.NewFile(src, src.size)
	if err != nil {
		return at.fail(ErrMalformed, "safetensors", "%v", err)
	}
	var where map[string]struct {
		Offsets []int64 `json:"saved_offsets"`
	}
	text, ok := f.Metadata()[slicesKey]
	if !ok {
		return at.malformed("missing", "the files beside it say in %s which slices they hold, this one does not", slicesKey)
	}
	if err := json.Unmarshal([]byte(text), &where); err != nil {
		return at.malformed("json", "%s: %v", slicesKey, err)
	}
	for t := range f.All() {
		slice, ok := where[t.Name]
		at := at.at(t.Offset())
		if !ok {
			return named1(at.malformed("missing", "%s does not say where it lies", slicesKey), t.Name)
		}
		c, err := sliceOf(t, slice.Offsets, src, at)
		if err != nil {
			return named1(err, t.Name)
		}
		if s.chunks[t.Name] == nil {
			s.names = append(s.names, t.Name)
		}
		s.chunks[t.Name] = append(s.chunks[t.Name], c)
	}
	return nil
}

// sliceOf makes a chunk of a tensor of a file.
func sliceOf(t *safetensors.Tensor, off []int64, src span, at place) (c chunk, err error) {
	if len(off) != len(t.Shape) || len(off) > maxRank {
		return c, at.malformed("shape", "offsets %d of a slice of shape %d", off, t.Shape)
	}
	shape := make([]int64, len(off))
	for i, n := range t.Shape {
		if n > maxDim || off[i] < 0 || off[i] > maxDim {
			return c, at.malformed("bounds", "offsets %d of a slice of shape %d", off, t.Shape)
		}
		shape[i] = int64(n)
	}
	data, ok := src.sub(t.Offset(), t.Size())
	if !ok {
		return c, at.malformed("bounds", "elements beyond the file")
	}
	e := elemOfHome(t.DType)
	return chunk{off, &tensor{at: at, s: &storage{data: data}, elem: e, shape: shape, stride: rowMajor(shape), whole: true}}, nil
}

// tensor puts the slices of a tensor together.
func (s *sliceSet) tensor(name string) (*tensor, error) {
	chunks := s.chunks[name]
	first := chunks[0]
	shape := slices.Clone(first.t.shape)
	for i, c := range chunks {
		if len(c.off) != len(shape) {
			return nil, c.t.at.malformed("shape", "a slice of rank %d, and one of rank %d in %s", len(c.off), len(shape), first.t.at)
		}
		if c.t.elem.home != first.t.elem.home {
			return nil, c.t.at.malformed("dtype", "a slice of %s, and one of %s in %s", c.t.elem.name, first.t.elem.name, first.t.at)
		}
		for k := range shape {
			shape[k] = max(shape[k], c.off[k]+c.t.shape[k])
		}
		if i == maxChunks {
			return nil, c.t.at.fail(ErrLimit, "chunks", "more than %d slices", maxChunks)
		}
	}
	if len(chunks) == 1 && slices.Equal(first.t.shape, shape) {
		if first.t.elem.size == 0 { // less than a byte: as it is
			first.t.made = first.t.s.data
		}
		return first.t, nil
	}
	if first.t.elem.size == 0 {
		return nil, first.t.at.fail(ErrUnsupported, first.t.elem.name, "slices of elements that are no whole bytes")
	}
	return s.r.cover(name, shape, chunks, first.t.at)
}

// cover assembles a tensor of chunks, which must fill it and share nothing.
func (r *reader) cover(name string, shape []int64, chunks []chunk, at place) (*tensor, error) {
	total := int64(1)
	for _, n := range shape {
		var ok bool
		if total, ok = product(total, n); !ok || n > maxDim || total > maxDim {
			return nil, at.malformed("too-large", "shape %d", shape)
		}
	}
	// Boxes that are disjoint and have as many elements as the tensor cover it.
	covered := int64(0)
	for i, a := range chunks {
		covered += a.t.numel()
		for _, b := range chunks[:i] {
			if a.t.numel() > 0 && b.t.numel() > 0 && overlap(a, b) {
				return nil, a.t.at.malformed("overlap", "a chunk at %d, and one at %d in %s", a.off, b.off, b.t.at)
			}
		}
		if a.t.elem != chunks[0].t.elem || a.t.elem.home == 0 || a.t.elem.kind == packed {
			return nil, at.fail(ErrUnsupported, a.t.elem.name, "chunks of type %s", a.t.elem.name)
		}
	}
	if covered != total {
		return nil, at.malformed("missing", "the chunks have %d elements, the tensor of shape %d has %d", covered, shape, total)
	}
	r.note("copy", name, "", fmt.Sprintf("assembled of %d chunks", len(chunks)))
	t := &tensor{at: at, elem: chunks[0].t.elem, shape: shape, stride: rowMajor(shape)}
	return t, t.assemble(chunks)
}
