package torch

import (
	"encoding/binary"
	"math/big"

	"github.com/tensmith/tensmith/pickle"
)

// isMagic tells whether v is the number that begins a legacy stream.
func isMagic(v pickle.Value) bool {
	n, ok := v.(*big.Int)
	if !ok {
		return false
	}
	return n.Text(16) == "1950a86a20f9469cfc6c"
}

// legacy opens the stream of torch.save before 1.6, off bytes behind its
// magic number: pickles of the protocol, the system, the object and the keys
// of the storages, and then the storages, each headed by its number of
// elements. The sizes of elements are known from the ids in the object alone.
func (r *reader) legacy(src span, off int64, at place, depth int) (*content, error) {
	var values [4]pickle.Value
	var shared func(pickle.Value) bool
	for i := range values {
		var v pickle.Value
		var next int64
		var err error
		if i == 2 {
			v, next, shared, err = r.decodePacked(src, off, at)
		} else {
			v, next, err = r.decode(src, off, at)
		}
		if err != nil {
			return nil, err
		}
		if i == 0 {
			if n, ok := v.(int64); !ok || n != 1001 {
				if _, isObject := v.(*pickle.Object); !isObject { // an attack that is reported as one
					return nil, at.at(off).malformed("protocol", "protocol %v of torch, not 1001", v)
				}
			}
		}
		values[i], off = v, next
	}
	// Measured: torch 2.15 does not look at little_endian when it loads.
	if info, ok := values[1].(*pickle.Dict); ok {
		if little, _ := info.Get("little_endian"); little == false {
			r.note("container", "", "", "the file says it was written on a big-endian machine; torch stores little-endian all the same")
		}
	}
	list, ok := values[3].(*pickle.List)
	if !ok {
		return nil, at.at(off).malformed("keys", "the keys of the storages are no list")
	}
	// One pass over the object's ids.
	ids := make(map[string]storageID)
	var bad error
	b := r.builder(src, at, nil)
	b.nest, b.shared = depth, shared
	pickle.Walk(values[2], b.shared, func(v pickle.Value) bool {
		if bad != nil {
			return false
		}
		var id storageID
		if p := packedOf(v); p != "" {
			id, _ = p.storage(at)
		} else if p, ok := v.(*pickle.Persistent); !ok {
			return true
		} else if _, module := moduleClass(p); module {
			return true
		} else {
			var err error
			if id, err = storageIDOf(p, at); err != nil {
				bad = err
				return false
			}
		}
		// Keys are addresses, and empty storages of all types are at address 0.
		if old, ok := ids[id.key]; ok && (old.size != id.size || id.size > 0 && old.elem.size != id.elem.size) {
			bad = id.at.malformed("bounds", "storage %q has two sizes", id.key)
		}
		ids[id.key] = id
		return true
	})
	if bad != nil {
		return nil, bad
	}
	open := make(map[string]*storage, len(ids))
	for _, item := range list.Items {
		key, ok := keyText(item)
		if !ok {
			return nil, at.at(off).malformed("keys", "a key that is neither text nor a number")
		}
		id, ok := ids[key]
		if !ok {
			return nil, at.at(off).malformed("keys", "no tensor has the storage %q, so its type is not known", key)
		}
		if open[key] != nil {
			return nil, at.at(off).malformed("duplicate", "storage %q is there twice", key)
		}
		var count [8]byte
		if _, err := src.ReadAt(count[:], off); err != nil {
			return nil, at.at(off).wrap(err)
		}
		numel := int64(binary.LittleEndian.Uint64(count[:]))
		if numel != id.numel {
			return nil, at.at(off).malformed("bounds", "storage %q has %d elements, %d are announced", key, numel, id.numel)
		}
		off += 8
		data, ok := src.sub(off, id.size)
		if !ok {
			return nil, at.at(off).malformed("truncated", "storage %q has %d bytes, %d are left", key, id.size, src.size-off)
		}
		open[key] = &storage{data: data}
		off += id.size
	}
	r.trailing(src, off, at)
	b.open = func(id storageID, brief bool) (*storageRef, error) {
		s := open[id.key]
		if s == nil {
			// torch 2.15 loads such a file, the tensor being whatever was in
			// its memory: missing data is an error here, never made up.
			return nil, id.at.malformed("missing", "there is no storage %q", id.key)
		}
		s.kept = s.kept || !brief
		return id.ref(s)
	}
	return &content{container: "torch-legacy", framework: "pt", value: values[2], b: b}, nil
}
