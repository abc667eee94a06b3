package torch

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/tensmith/tensmith/pickle"
)

// distributed opens a directory of torch.distributed.checkpoint: .metadata
// says which chunks make a tensor, and in which file, at which offset, each
// chunk is, as a torch.save file of its own.
func (r *reader) distributed(dir string) (*content, error) {
	name := path.Join(dir, ".metadata")
	at := place{file: name, offset: -1}
	src, err := r.open(name)
	if err != nil {
		return nil, err
	}
	v, next, err := r.decode(src, 0, at)
	if err != nil {
		return nil, err
	}
	r.trailing(src, next, at)
	d := &distributed{r: r, dir: dir, at: at, b: r.builder(src, at, nil), files: make(map[string]span), where: make(map[string]stored)}
	o, ok := v.(*pickle.Object)
	if !ok || o.Symbol() == nil || o.Symbol().Name != "Metadata" {
		return nil, at.fail(ErrUnknown, "unknown", ".metadata is no metadata of torch.distributed.checkpoint")
	}
	attrs := &pickle.Dict{Pairs: attributes(o)}
	names, _ := attrs.Get("state_dict_metadata")
	places, _ := attrs.Get("storage_data")
	if err := d.readPlaces(places); err != nil {
		return nil, err
	}
	c := &content{container: "dcp", framework: "pt"}
	for _, item := range mapping(names) {
		meta, ok := item.value.(*pickle.Object)
		if !ok || meta.Symbol() == nil {
			return nil, at.malformed("metadata", "what %q is", item.key)
		}
		if meta.Symbol().Name == "BytesStorageMetadata" {
			if err := d.judge(item.key); err != nil {
				return nil, err
			}
			r.leave(LeftOut{Path: item.key, Kind: "bytes"})
			continue
		}
		t, err := d.tensor(item.key, &pickle.Dict{Pairs: attributes(meta)}, at.at(meta.Offset))
		if err != nil {
			return nil, named1(err, item.key)
		}
		c.tensors = append(c.tensors, named{name: item.key, t: t})
	}
	return c, nil
}

// A distributed is such a directory.
type distributed struct {
	r     *reader
	dir   string
	at    place
	b     *builder
	files map[string]span
	where map[string]stored // by name and offset of the chunk
}

// A stored is where a chunk is.
type stored struct {
	file      string
	off, size int64
}

func chunkKey(name string, offsets []int64) string { return fmt.Sprintf("%q%d", name, offsets) }

// dictOf returns the pairs of a dict; its keys may be objects.
func dictOf(v pickle.Value) []pickle.Pair {
	if d, ok := v.(*pickle.Dict); ok {
		return d.Pairs
	}
	if o, ok := v.(*pickle.Object); ok {
		return o.Pairs()
	}
	return nil
}

func (d *distributed) readPlaces(v pickle.Value) error {
	for _, p := range dictOf(v) {
		index, okKey := p.Key.(*pickle.Object)
		info, okValue := p.Value.(*pickle.Object)
		if !okKey || !okValue {
			return d.at.malformed("metadata", "storage_data of another form")
		}
		key := &pickle.Dict{Pairs: attributes(index)}
		value := &pickle.Dict{Pairs: attributes(info)}
		name, _ := key.Get("fqn")
		offsets, _ := key.Get("offset")
		file, _ := value.Get("relative_path")
		off, _ := value.Get("offset")
		size, _ := value.Get("length")
		fqn, okName := pickle.Text(name)
		list, _ := ints(offsets) // None for bytes
		rel, okFile := pickle.Text(file)
		from, okOff := off.(int64)
		n, okSize := size.(int64)
		at := d.at.at(index.Offset)
		if !okName || !okFile || !okOff || !okSize {
			return at.malformed("metadata", "storage_data of another form")
		}
		if !fs.ValidPath(rel) || rel == "." {
			return at.malformed("name", "a chunk in %q, which is no file of the directory", rel)
		}
		d.where[chunkKey(fqn, list)] = stored{rel, from, n}
	}
	return nil
}

// open returns the bytes of a chunk.
func (d *distributed) open(w stored, at place) (span, place, error) {
	s, ok := d.files[w.file]
	if !ok {
		var err error
		if s, err = d.r.open(path.Join(d.dir, w.file)); err != nil {
			return span{}, at, err
		}
		d.files[w.file] = s
	}
	part, ok := s.sub(w.off, w.size)
	if !ok {
		return span{}, at, at.malformed("truncated", "%d bytes at %d of %s, which has %d", w.size, w.off, w.file, s.size)
	}
	return part, place{file: path.Join(d.dir, w.file), record: fmt.Sprintf("bytes@%d", w.off), offset: -1}, nil
}

// judge looks at what is no tensor, for what loading it would do.
func (d *distributed) judge(name string) error {
	w, ok := d.where[chunkKey(name, nil)]
	if !ok {
		return nil
	}
	s, at, err := d.open(w, d.at)
	if err != nil {
		return err
	}
	if _, err := d.r.content(s, at, 1); err != nil {
		d.r.trace.add(at, "unread bytes", pickle.Suspicious, err.Error())
	}
	return nil
}

// maxChunks is the number of chunks of one tensor.
const maxChunks = 1 << 12

// A chunk is a box of a tensor.
type chunk struct {
	off []int64
	t   *tensor
}

// tensor assembles a tensor of its chunks.
func (d *distributed) tensor(name string, attrs *pickle.Dict, at place) (*tensor, error) {
	size, _ := attrs.Get("size")
	shape, ok := ints(size)
	if !ok {
		return nil, at.malformed("shape", "the size is no list of at most %d numbers", maxRank)
	}
	total := int64(1)
	for _, n := range shape {
		if n < 0 {
			return nil, at.malformed("shape", "size %d", n)
		}
		if total, ok = product(total, n); !ok || n > maxDim || total > maxDim {
			return nil, at.malformed("too-large", "shape %d", shape)
		}
	}
	list, _ := attrs.Get("chunks")
	items := itemsOf(list)
	if len(items) == 0 && total > 0 {
		return nil, at.malformed("missing", "no chunks")
	}
	if len(items) > maxChunks {
		return nil, at.fail(ErrLimit, "chunks", "%d chunks", len(items))
	}
	var chunks []chunk
	for _, item := range items {
		c, err := d.chunk(name, item, shape, at)
		if err != nil {
			return nil, err
		}
		chunks = append(chunks, c)
	}
	if len(chunks) == 1 && slices.Equal(chunks[0].t.shape, shape) {
		return chunks[0].t, nil
	}
	if len(chunks) == 0 {
		return nil, at.malformed("missing", "no chunks, so no type")
	}
	return d.r.cover(name, shape, chunks, at)
}

func overlap(a, b chunk) bool {
	for i := range a.off {
		if a.off[i] >= b.off[i]+b.t.shape[i] || b.off[i] >= a.off[i]+a.t.shape[i] {
			return false
		}
	}
	return true
}

// chunk opens one chunk and checks it against what the metadata say.
func (d *distributed) chunk(name string, v pickle.Value, shape []int64, at place) (c chunk, err error) {
	o, ok := v.(*pickle.Object)
	if !ok {
		return c, at.malformed("metadata", "a chunk of another form")
	}
	at = at.at(o.Offset)
	attrs := &pickle.Dict{Pairs: attributes(o)}
	offsets, _ := attrs.Get("offsets")
	sizes, _ := attrs.Get("sizes")
	off, okOff := ints(offsets)
	size, okSize := ints(sizes)
	if !okOff || !okSize || len(off) != len(shape) || len(size) != len(shape) {
		return c, at.malformed("shape", "offsets and sizes of a chunk")
	}
	for i := range shape {
		if off[i] < 0 || size[i] < 0 || off[i] > shape[i] || size[i] > shape[i]-off[i] {
			return c, at.malformed("bounds", "a chunk of %d at %d of a tensor of %d", size, off, shape)
		}
	}
	w, ok := d.where[chunkKey(name, off)]
	if !ok {
		return c, at.malformed("missing", "the chunk at %d is in no file", off)
	}
	src, inAt, err := d.open(w, at)
	if err != nil {
		return c, err
	}
	list, err := d.r.nestedTensors(src, inAt, 0)
	if err != nil {
		return c, err
	}
	if len(list) != 1 || strings.Contains(list[0].name, ".") {
		return c, inAt.malformed("chunk", "%d tensors in the place of one", len(list))
	}
	t := list[0].t
	if !slices.Equal(t.shape, size) {
		return c, inAt.malformed("shape", "a chunk of %d is of shape %d", size, t.shape)
	}
	if t.elem == nil || t.s == nil || t.quant != nil || t.sparse != nil {
		return c, inAt.fail(ErrUnsupported, "chunk", "a chunk that is no plain tensor")
	}
	return chunk{off, t}, nil
}
