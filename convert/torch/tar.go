package torch

import (
	"archive/tar"
	"encoding/binary"
	"errors"
	"io"
	"maps"
	"path"
	"slices"

	"github.com/tensmith/tensmith/pickle"
)

// tar opens the archives of torch before 0.1.10: "storages" and "tensors" are
// pickles with numbers between them, and "pickle" is the object, whose
// persistent ids are the keys of tensors. Members are read where they lie.
func (r *reader) tar(src span, at place, depth int) (*content, error) {
	members := make(map[string]span)
	section := io.NewSectionReader(src, 0, src.size)
	archive := tar.NewReader(section)
	for range 1 << 16 {
		h, err := archive.Next()
		if err == io.EOF {
			break
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			return nil, at.malformed("tar", "%v", err)
		}
		if h.Typeflag != tar.TypeReg {
			if h.Typeflag == tar.TypeLink || h.Typeflag == tar.TypeSymlink {
				r.trace.add(at.in(h.Name), "link", pickle.Dangerous, "a link in a checkpoint leads torch's own extraction astray")
			}
			continue
		}
		off, err := section.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, at.wrap(err)
		}
		name := path.Clean(h.Name)
		data, ok := src.sub(off, h.Size)
		if !ok {
			return nil, at.in(name).malformed("truncated", "%d bytes, %d are left", h.Size, src.size-off)
		}
		if _, twice := members[name]; twice {
			return nil, at.in(name).malformed("duplicate", "a second member of that name")
		}
		members[name] = data
	}
	object, isTorch := members["pickle"]
	if !isTorch {
		return r.bundle(members, at, depth)
	}
	objectAt := at.in("pickle")
	value, next, err := r.decode(object, 0, objectAt)
	if info, ok := members["sys_info"]; ok {
		if _, _, err := r.decode(info, 0, at.in("sys_info")); err != nil {
			return nil, err
		}
	}
	if err != nil {
		return nil, err
	}
	r.trailing(object, next, objectAt)
	t := &tarFile{r: r, at: at, storages: make(map[string]*storageRef), tensors: make(map[string]*tensor)}
	for _, part := range []struct {
		name string
		read func(*cursor, int64) error
	}{{"storages", t.readStorages}, {"tensors", t.readTensors}} {
		data, ok := members[part.name]
		if !ok {
			return nil, at.malformed("missing", "there is no member %q", part.name)
		}
		c := &cursor{r, data, 0, at.in(part.name)}
		n, err := c.pickle()
		if err != nil {
			return nil, err
		}
		count, ok := n.(int64)
		if !ok || count < 0 {
			return nil, c.at.malformed("count", "the number of %s is %v", part.name, n)
		}
		if err := part.read(c, count); err != nil {
			return nil, err
		}
	}
	b := r.builder(object, objectAt, nil)
	b.tar = func(key string) (*tensor, error) {
		if t := t.tensors[key]; t != nil {
			return t, nil
		}
		return nil, objectAt.malformed("missing", "there is no tensor %q", key)
	}
	return &content{container: "torch-tar", framework: "pt", value: value, b: b}, nil
}

// bundle opens a tar archive that other programs make, NeMo first of all, with
// one checkpoint among its members.
func (r *reader) bundle(members map[string]span, at place, depth int) (*content, error) {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(members)) {
		switch path.Ext(name) {
		case ".ckpt", ".pt", ".pth", ".bin":
			names = append(names, name)
		}
	}
	if len(names) != 1 {
		return nil, at.fail(ErrUnknown, "unknown", "a tar archive with %d checkpoints among its members: %q", len(names), names[:min(len(names), 10)])
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if name != names[0] {
			r.leave(LeftOut{Path: name, Kind: "member"})
		}
	}
	r.note("container", "", "", "the member "+names[0]+" of a tar archive")
	return r.content(members[names[0]], at.in(names[0]), depth+1)
}

// tarTensor is the tensor of a persistent id.
func (b *builder) tarTensor(p *pickle.Persistent) (any, error) {
	key, ok := keyText(p.ID)
	if !ok {
		return nil, b.at.at(p.Offset).malformed("key", "a persistent id that is no key")
	}
	return orNil(b.tar(key))
}

// A tarFile is what the members hold.
type tarFile struct {
	r        *reader
	at       place
	storages map[string]*storageRef
	tensors  map[string]*tensor
}

// A cursor reads pickles and numbers in turn.
type cursor struct {
	r    *reader
	data span
	off  int64
	at   place
}

func (c *cursor) pickle() (pickle.Value, error) {
	v, next, err := c.r.decode(c.data, c.off, c.at)
	c.off = next
	return v, err
}

// numbers reads n little-endian integers of 8 bytes.
func (c *cursor) numbers(n int) ([]int64, error) {
	b := make([]byte, 8*n)
	if m, err := c.data.ReadAt(b, c.off); m < len(b) {
		return nil, c.at.at(c.off).wrap(errors.Join(err, io.ErrUnexpectedEOF))
	}
	c.off += int64(len(b))
	list := make([]int64, n)
	for i := range list {
		list[i] = int64(binary.LittleEndian.Uint64(b[8*i:]))
	}
	return list, nil
}

// entry reads a pickled tuple of three.
func (c *cursor) entry() (items []pickle.Value, at place, err error) {
	at = c.at.at(c.off)
	v, err := c.pickle()
	if err != nil {
		return nil, at, err
	}
	t, ok := v.(*pickle.Tuple)
	if !ok || len(t.Items) != 3 {
		return nil, at, at.malformed("entry", "no tuple of three")
	}
	return t.Items, at, nil
}

func (t *tarFile) readStorages(c *cursor, count int64) error {
	for range count {
		items, at, err := c.entry()
		if err != nil {
			return err
		}
		key, ok := keyText(items[0])
		class, isClass := items[2].(*pickle.Symbol)
		if !ok || !isClass {
			return at.malformed("storage", "no key and class of a storage")
		}
		e := elemOfClass(class.Module, class.Name, "Storage")
		if e == nil {
			return at.fail(ErrUnsupported, "storage", "storage of the unknown class %s", class)
		}
		numel, err := c.numbers(1)
		if err != nil {
			return err
		}
		if numel[0] < 0 {
			return at.malformed("bounds", "storage %q of %d elements", key, numel[0])
		}
		size, ok := product(numel[0], int64(e.size))
		data, inside := c.data.sub(c.off, size)
		if !ok || !inside {
			return at.malformed("truncated", "storage %q has %d elements, %d bytes are left", key, numel[0], c.data.size-c.off)
		}
		c.off += size
		t.storages[key] = &storageRef{s: &storage{data: data}, elem: e, size: size}
	}
	at := c.at.at(c.off)
	v, err := c.pickle()
	if err != nil {
		return err
	}
	views, ok := v.(*pickle.List)
	if !ok {
		return at.malformed("views", "the views of storages are no list")
	}
	for _, v := range views.Items {
		tuple, ok := v.(*pickle.Tuple)
		if !ok || len(tuple.Items) != 4 {
			return at.malformed("views", "a view that is no tuple of four")
		}
		key, okKey := keyText(tuple.Items[0])
		root, okRoot := keyText(tuple.Items[1])
		off, okOff := tuple.Items[2].(int64)
		numel, okSize := tuple.Items[3].(int64)
		of := t.storages[root]
		if !okKey || !okRoot || !okOff || !okSize || of == nil {
			return at.malformed("views", "a view of no storage")
		}
		all := of.size / int64(of.elem.size)
		if off < 0 || numel < 0 || off > all || numel > all-off {
			return at.malformed("bounds", "view %q is beyond its storage", key)
		}
		part := *of
		part.base, part.size = of.base+off*int64(of.elem.size), numel*int64(of.elem.size)
		t.storages[key] = &part
	}
	return nil
}

func (t *tarFile) readTensors(c *cursor, count int64) error {
	for range count {
		items, at, err := c.entry()
		if err != nil {
			return err
		}
		key, okKey := keyText(items[0])
		of, okOf := keyText(items[1])
		ref := t.storages[of]
		if !okKey || !okOf {
			return at.malformed("key", "no keys of a tensor and its storage")
		}
		if ref == nil {
			return at.malformed("missing", "there is no storage %q", of)
		}
		rank, err := c.numbers(1) // of 4 bytes, and 4 that mean nothing
		if err != nil {
			return err
		}
		n := int(int32(rank[0]))
		if n < 0 || n > maxRank {
			return at.malformed("shape", "rank %d", n)
		}
		list, err := c.numbers(2*n + 1)
		if err != nil {
			return err
		}
		view, err := view(at, ref, ref.elem, list[2*n], list[:n:n], list[n:2*n:2*n])
		if err != nil {
			return err
		}
		t.tensors[key] = view
	}
	return nil
}
