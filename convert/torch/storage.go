package torch

import (
	"math/bits"
	"strconv"
	"strings"

	"github.com/tensmith/tensmith/pickle"
)

// A storage is the bytes that tensors are views of. Two tensors share memory
// if they have the same *storage.
type storage struct {
	data span
	big  bool // big-endian
	kept bool // others may have views of it
}

// A storageRef is a storage, or a part of it, as elements of a type.
type storageRef struct {
	s          *storage
	elem       *elem
	base, size int64 // in bytes
}

// A storageID is a persistent id of the kind ('storage', class, key,
// location, numel[, view]), checked as far as it can be without the container.
type storageID struct {
	at    place
	key   string
	elem  *elem
	numel int64
	size  int64 // in bytes
	view  *viewID
}

// A viewID is the part of a storage that files of torch before 0.4 name, in
// elements.
type viewID struct {
	key       string
	off, size int64
}

// product multiplies what is not negative.
func product(a, b int64) (int64, bool) {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	return int64(lo), hi == 0 && lo < 1<<63
}

// storageIDOf reads a persistent id.
func storageIDOf(p *pickle.Persistent, at place) (id storageID, err error) {
	at = at.at(p.Offset)
	if _, text := pickle.Text(p.ID); text {
		return id, at.malformed("storage", "a persistent id in text: protocol 0 has no others, and torch cannot read what it writes so")
	}
	t, ok := p.ID.(*pickle.Tuple)
	if !ok || len(t.Items) < 5 || len(t.Items) > 6 {
		return id, at.malformed("storage", "a persistent id that names no storage")
	}
	kind, _ := pickle.Text(t.Items[0])
	class, isClass := t.Items[1].(*pickle.Symbol)
	numel, isInt := t.Items[4].(int64)
	if kind != "storage" || !isClass || !isInt {
		return id, at.malformed("storage", "a persistent id that names no storage")
	}
	id = storageID{at: at, elem: elemOfClass(class.Module, class.Name, "Storage"), numel: numel}
	if id.elem == nil {
		return id, at.fail(ErrUnsupported, "storage", "storage of the unknown class %s", class)
	}
	if id.key, ok = keyText(t.Items[2]); !ok {
		return id, at.malformed("key", "the key of a storage is neither text nor a number")
	}
	if id.numel < 0 {
		return id, at.malformed("bounds", "storage %q of %d elements", id.key, id.numel)
	}
	if id.size, ok = product(id.numel, int64(id.elem.size)); !ok {
		return id, at.malformed("bounds", "storage %q of %d elements", id.key, id.numel)
	}
	if len(t.Items) == 6 {
		if view, ok := t.Items[5].(*pickle.Tuple); ok && len(view.Items) == 3 {
			v := viewID{}
			var isKey, isOff, isSize bool
			v.key, isKey = keyText(view.Items[0])
			v.off, isOff = view.Items[1].(int64)
			v.size, isSize = view.Items[2].(int64)
			if !isKey || !isOff || !isSize || v.off < 0 || v.size < 0 || v.off > id.numel || v.size > id.numel-v.off {
				return id, at.malformed("bounds", "a view beyond storage %q", id.key)
			}
			id.view = &v
		} else if t.Items[5] != nil {
			// Hand-made files have a tuple of one None.
			if ok && len(view.Items) == 1 && view.Items[0] == nil {
				return id, nil
			}
			return id, at.malformed("storage", "view metadata of storage %q", id.key)
		}
	}
	return id, nil
}

// ref returns the part of the storage that the id asks for.
func (id storageID) ref(s *storage) (*storageRef, error) {
	if s.data.size < id.size {
		return nil, id.at.malformed("bounds", "storage %q has %d bytes, %d are announced", id.key, s.data.size, id.size)
	}
	ref := &storageRef{s: s, elem: id.elem, size: id.size}
	if id.view != nil {
		ref.base, ref.size = id.view.off*int64(id.elem.size), id.view.size*int64(id.elem.size)
	}
	return ref, nil
}

func keyText(v pickle.Value) (string, bool) {
	if n, ok := v.(int64); ok {
		return strconv.FormatInt(n, 10), true
	}
	return pickle.Text(v)
}

// builder returns a builder whose storages are records of the archive.
func (a *archive) builder(src span, at place, prefix, suffix string) (*builder, error) {
	order, err := a.text("byteorder")
	if err != nil {
		return nil, err
	}
	big := false
	switch order {
	case "", "little":
	case "big":
		big = true
		a.r.note("copy", "", "", "the file is big-endian; bytes are swapped")
	default:
		return nil, a.at.in("byteorder").malformed("byteorder", "%q", order)
	}
	open := make(map[string]*storage)
	return a.r.builder(src, at, func(id storageID, brief bool) (*storageRef, error) {
		if s, ok := open[id.key]; ok {
			return id.ref(s) // which is kept
		}
		if id.key == "" || len(id.key) > 1<<10 || strings.Trim(id.key, ".") == "" || strings.ContainsAny(id.key, "/\\\x00") {
			return nil, id.at.malformed("key", "the storage key %q is no name of a record", id.key)
		}
		data, _, ok, err := a.read(prefix + id.key + suffix)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, id.at.malformed("missing", "there is no record %q", a.top+prefix+id.key+suffix)
		}
		s := &storage{data: data, big: big, kept: !brief}
		if s.kept {
			open[id.key] = s
		}
		return id.ref(s)
	}), nil
}
