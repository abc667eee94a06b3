package safetensors

import (
	"bytes"
	"hash/maphash"
)

// A keySet is a set of keys of one text that costs 4 bytes a slot, since a
// text may hold millions of them: it keeps where a key stands, not the key.
type keySet struct {
	*scanner
	seed  maphash.Seed
	slots []uint32 // offset of the key, behind its quote; 0 is free
	n     int

	wanted, met []byte // values of escaped keys
}

// add adds key and reports whether it is new.
func (k *keySet) add(key token) bool {
	if k.n >= len(k.slots)*3/4 {
		old := k.slots
		k.slots = make([]uint32, max(16, 2*len(old)))
		for _, pos := range old {
			if pos != 0 {
				t, _ := k.str(int(pos) - 1)
				i, _ := k.find(t)
				k.slots[i] = pos
			}
		}
	}
	i, found := k.find(key)
	if !found {
		k.slots[i] = uint32(key.pos)
		k.n++
	}
	return !found
}

// find returns the slot that holds key or is free for it.
func (k *keySet) find(key token) (int, bool) { return k.findBytes(k.bytes(key, &k.wanted)) }

// findBytes is find for the value of a key.
func (k *keySet) findBytes(want []byte) (int, bool) {
	mask := len(k.slots) - 1
	i := int(maphash.Bytes(k.seed, want)>>1) & mask
	for ; k.slots[i] != 0; i = (i + 1) & mask {
		t, _ := k.str(int(k.slots[i]) - 1)
		if bytes.Equal(k.bytes(t, &k.met), want) {
			return i, true
		}
	}
	return i, false
}

// bytes returns the value of t, in scratch if it is not in the text.
func (k *keySet) bytes(t token, scratch *[]byte) []byte {
	if t.escaped {
		*scratch = k.unescape((*scratch)[:0], t)
		return *scratch
	}
	return k.text[t.pos : t.pos+t.len]
}
