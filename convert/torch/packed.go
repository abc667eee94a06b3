package torch

import (
	"encoding/binary"

	"github.com/tensmith/tensmith/pickle"
)

// A checkpoint of a hundred thousand tensors has twenty values for each of
// them, of 700 bytes together. While the pickle is decoded, the arguments of a
// call that makes a plain view of a storage become a packedView: some 25 bytes,
// which have all that is needed to make the tensor, or the error, when its turn
// comes. What is of any other form stays as it is.

// A packedView is the arguments of _rebuild_tensor or _rebuild_tensor_v2:
//
//	offset of the call, and how far before it the persistent id is
//	type and key of the storage: length and bytes
//	its number of elements
//	offset, sizes, strides of the view
type packedView string

// A packer makes them.
type packer struct {
	texts arena
	buf   []byte
	count int

	shared  func(pickle.Value) bool // of the decoder
	getattr bool                    // the pickle imports it
}

// pack is pickle.Decoder.Pack.
func (p *packer) pack(o *pickle.Object) int64 {
	sym := o.Symbol()
	if sym == nil || sym.Computed || sym.Module != "torch._utils" {
		return 0
	}
	args := o.ArgList()
	switch sym.Name {
	case "_rebuild_tensor", "_rebuild_tensor_v2":
	case "_rebuild_parameter": // dresses a tensor
		if len(args) != 3 {
			return 0
		}
		if inner, ok := args[0].(*pickle.Object); ok && len(inner.States()) == 0 {
			if same, ok := inner.Args.(packedView); ok {
				o.Args = same
				p.count++
				return 16
			}
		}
		return 0
	default:
		return 0
	}
	if len(args) < 4 || len(args) > 6 { // a seventh is about conjugated and negated views
		return 0
	}
	id, ok := args[0].(*pickle.Persistent)
	if !ok || len(args) == 6 && !noHooks(args[5]) {
		return 0
	}
	s, err := storageIDOf(id, place{})
	if err != nil || s.view != nil || id.Offset > o.Offset {
		return 0
	}
	off, ok := args[1].(int64)
	if !ok {
		return 0
	}
	b := binary.AppendUvarint(p.buf[:0], uint64(o.Offset))
	b = binary.AppendUvarint(b, uint64(o.Offset-id.Offset))
	b = appendText(appendText(b, s.elem.name), s.key)
	b = binary.AppendVarint(binary.AppendVarint(b, s.numel), off)
	for _, v := range args[2:4] {
		if _, ok := v.(*pickle.Tuple); !ok {
			return 0 // a list may change
		}
		list, ok := ints(v)
		if !ok {
			return 0
		}
		b = append(b, byte(len(list))) // at most maxRank
		for _, n := range list {
			b = binary.AppendVarint(b, n)
		}
	}
	p.buf = b
	o.Args = packedView(p.texts.cut(b))
	p.count++
	return int64(len(b)) + 16
}

// noHooks tells whether v is the empty OrderedDict that all tensors have for
// the hooks of their gradients.
func noHooks(v pickle.Value) bool {
	o, ok := v.(*pickle.Object)
	return v == nil || ok && len(o.ArgList()) == 0 && o.Symbol() != nil && len(o.Pairs()) == 0 && len(o.States()) == 0 && len(o.Items()) == 0
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// packedOf returns the packed arguments of a tensor, or "".
func packedOf(v pickle.Value) packedView {
	if o, ok := v.(*pickle.Object); ok {
		p, _ := o.Args.(packedView)
		return p
	}
	return ""
}

func (p *packedView) uvarint() uint64 {
	var n uint64
	for shift := 0; ; shift += 7 {
		c := (*p)[0]
		*p = (*p)[1:]
		n |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return n
		}
	}
}

func (p *packedView) varint() int64 {
	n := p.uvarint()
	return int64(n>>1) ^ -int64(n&1)
}

func (p *packedView) string() string {
	n := p.uvarint()
	s := (*p)[:n]
	*p = (*p)[n:]
	return string(s)
}

func (p *packedView) list() []int64 {
	list := make([]int64, (*p)[0])
	*p = (*p)[1:]
	for i := range list {
		list[i] = p.varint()
	}
	return list
}

// storage returns the id of the storage, and the offset of the call. What
// follows it is left.
func (p *packedView) storage(at place) (id storageID, call int64) {
	call = int64(p.uvarint())
	id.at = at.at(call - int64(p.uvarint()))
	id.elem = elems[p.string()]
	id.key = p.string()
	id.numel = p.varint()
	id.size = id.numel * int64(id.elem.size) // which was checked
	return id, call
}

// tensor does what rebuildTensor does. The storage need not be the same for
// all who have a view of it if brief is set.
func (p packedView) tensor(b *builder, brief bool) (*tensor, error) {
	id, call := p.storage(b.at)
	if b.open == nil {
		return nil, id.at.malformed("storage", noStorages)
	}
	ref, err := b.open(id, brief)
	if err != nil {
		return nil, err
	}
	off := p.varint()
	shape := p.list()
	return view(b.at.at(call), ref, ref.elem, off, shape, p.list())
}

// key returns the key of the storage.
func (p packedView) key() string {
	p.uvarint()
	p.uvarint()
	p.string()
	return p.string()
}

// sharing tells of which packed tensors others in the list have the storage.
func sharing(list []named) []bool {
	many := make([]bool, len(list))
	keys := newIndex(len(list))
	for i := range list {
		n := &list[i]
		if n.packed == "" {
			continue
		}
		key := n.packed.key()
		first := keys.add(key, i, func(j int) bool { return list[j].b == n.b && list[j].packed.key() == key })
		if first != i {
			many[first], many[i] = true, true
		}
	}
	return many
}

// place returns where the call stands.
func (p packedView) place(at place) place { return at.at(int64(p.uvarint())) }
