package scan

import (
	"math/big"

	"github.com/tensmith/tensmith/pickle"
)

// pythonPrime is the modulus of the hash of a number in Python, on 64 bits.
var pythonPrime = big.NewInt(1<<61 - 1)

const (
	hashBuckets = 1 << 14
	mostAlike   = 1024 // in a bucket: few enough to be compared in no time
	uncounted   = 64   // numbers for which no buckets are made: each tensor that was pickled whole begins with one
)

// hashes counts integers by their hash in Python, which is not salted as that of
// text is: a dict or a set of 100,000 of one hash takes a minute to load, of a
// million hours. Only those of more than 64 bits are counted, for below there are
// but eight of each hash.
type hashes struct {
	total   int
	buckets *[hashBuckets]struct{ last, count uint32 }
	rest    big.Int
}

// add counts n, and tells whether it makes one hash stand out.
func (h *hashes) add(n *big.Int) bool {
	if h.total < uncounted {
		h.total++
		return false
	}
	if h.buckets == nil {
		h.buckets = new([hashBuckets]struct{ last, count uint32 })
	}
	h.rest.Mod(h.rest.Abs(n), pythonPrime)
	hash := h.rest.Uint64()
	// Multiplied, for there are numbers of which the lower digits are all the same.
	b := &h.buckets[hash*0x9e3779b97f4a7c15>>50]
	// The same number again is one key.
	low := uint32(n.Bits()[0]) | 1
	if b.last == low {
		return false
	}
	b.last = low
	b.count++
	h.total++
	return int(b.count) == mostAlike+h.total/mostAlike
}

// number counts v, if it is a long one.
func (w *watcher) number(v pickle.Value) {
	if n, ok := v.(*big.Int); ok && w.hashes.add(n) {
		w.t.note("ST344", w.at, -1, "", "numbers of one hash by the thousand: as keys, they are compared each with each")
	}
}
