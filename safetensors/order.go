package safetensors

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"slices"
	"strings"
)

// A sortItem is an entry while it is being sorted.
type sortItem struct {
	key   [2]uint64 // sixteen bytes of the name
	rank  int32
	index int32 // of the entry
}

func (a *sortItem) compare(b *sortItem) int {
	return cmp.Or(cmp.Compare(a.key[0], b.key[0]), cmp.Compare(a.key[1], b.key[1]))
}

// A sorter sorts entries by rank and then by the bytes of their names.
//
// Names of one model begin alike, so comparing them whole is slow: a range of
// items is sorted by the sixteen bytes that follow what all its names have in
// common, and what is still equal then is a range of its own. Looking at a
// name costs more than all that is done with it, so the first keys are taken
// when the entries are looked at anyway.
type sorter struct {
	entries []Entry
	items   []sortItem
	prefix  string // what all names are thought to have in common
	stale   bool   // a name has turned out to begin otherwise
}

// samplePrefix guesses what all names have in common from some of them.
func samplePrefix(entries []Entry) string {
	if len(entries) == 0 {
		return ""
	}
	prefix := entries[0].Name
	for i := 0; i < len(entries); i += len(entries)/16 + 1 {
		prefix = prefix[:commonPrefix(prefix, entries[i].Name, 0)]
	}
	return prefix
}

func newSorter(entries []Entry) *sorter {
	return &sorter{entries: entries, items: make([]sortItem, len(entries)), prefix: samplePrefix(entries)}
}

func (s *sorter) add(i int, rank int32) {
	item := sortItem{rank: rank, index: int32(i)}
	name := s.entries[i].Name
	if s.stale = s.stale || !strings.HasPrefix(name, s.prefix); !s.stale {
		item.setKey(name[len(s.prefix):])
	}
	s.items[i] = item
}

func (a *sortItem) setKey(rest string) {
	if len(rest) >= 16 {
		a.key = [2]uint64{bits.ReverseBytes64(load(rest, 0)), bits.ReverseBytes64(load(rest, 8))}
		return
	}
	var key [16]byte
	copy(key[:], rest)
	a.key = [2]uint64{binary.BigEndian.Uint64(key[:]), binary.BigEndian.Uint64(key[8:])}
}

// sort sorts the items and reports whether all have one rank. Equal names
// have equal keys then.
func (s *sorter) sort() (one bool) {
	type span struct {
		from, to, skip int
		keyed          bool // the keys are those behind skip
	}
	var todo []span
	// split appends a range for each run of items that equal tells.
	split := func(part span, skip int, keyed bool, equal func(a, b *sortItem) bool) {
		for i := part.from; i < part.to; {
			j := i + 1
			for j < part.to && equal(&s.items[i], &s.items[j]) {
				j++
			}
			if j-i > 1 {
				todo = append(todo, span{i, j, skip, keyed})
			}
			i = j
		}
	}
	one = !slices.ContainsFunc(s.items, func(i sortItem) bool { return i.rank != s.items[0].rank })
	if !one {
		slices.SortFunc(s.items, func(a, b sortItem) int {
			return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.index, b.index))
		})
	}
	all := span{to: len(s.items)}
	if s.stale {
		split(all, 0, false, func(a, b *sortItem) bool { return a.rank == b.rank })
	} else {
		split(all, len(s.prefix), true, func(a, b *sortItem) bool { return a.rank == b.rank })
	}
	var spare []sortItem
	for len(todo) > 0 {
		r := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		part := s.items[r.from:r.to]
		common := r.skip
		if !r.keyed {
			if common = s.rekey(part, r.skip); common < r.skip {
				continue // the names end within equal keys, so they are equal
			}
		}
		switch {
		case rising(part):
			continue // as the tensors of a file that is written again are
		case s.ambiguous(part, common):
			slices.SortFunc(part, func(a, b sortItem) int {
				return cmp.Compare(s.entries[a.index].Name[common:], s.entries[b.index].Name[common:])
			})
			continue
		case len(part) < 256:
			slices.SortFunc(part, func(a, b sortItem) int { return a.compare(&b) })
		default:
			if spare == nil {
				spare = make([]sortItem, len(s.items))
			}
			radixSort(part, spare[:len(part)])
		}
		split(r, common+16, false, func(a, b *sortItem) bool { return a.key == b.key })
	}
	return one
}

// rekey sets the keys of items whose names are known to share skip bytes, and
// returns how many they do share.
func (s *sorter) rekey(items []sortItem, skip int) int {
	first := s.entries[items[0].index].Name
	common := len(first)
	if common < skip {
		return common
	}
	for i := range items[1:] {
		common = commonPrefix(first[:common], s.entries[items[i+1].index].Name, skip)
	}
	for i := range items {
		items[i].setKey(s.entries[items[i].index].Name[common:])
	}
	return common
}

// rising reports whether each key is above the one before it.
func rising(items []sortItem) bool {
	for i := range items[1:] {
		if items[i].compare(&items[i+1]) >= 0 {
			return false
		}
	}
	return true
}

// ambiguous reports whether a key may stand for a name that ends within it as
// well as for another that goes on with a zero byte.
func (s *sorter) ambiguous(items []sortItem, common int) bool {
	return slices.ContainsFunc(items, func(i sortItem) bool {
		if !hasZero(i.key[0]) && !hasZero(i.key[1]) {
			return false
		}
		rest := s.entries[i.index].Name[common:]
		return strings.IndexByte(rest[:min(len(rest), 16)], 0) >= 0
	})
}

func hasZero(x uint64) bool { return (x-ones)&^x&highs != 0 }

// commonPrefix returns how many bytes a and b have in common, the first skip
// of which are known to be.
func commonPrefix(a, b string, skip int) int {
	n, most := skip, min(len(a), len(b))
	for n+8 <= most && load(a, n) == load(b, n) {
		n += 8
	}
	for n < most && a[n] == b[n] {
		n++
	}
	return n
}

// radixSort sorts by key, a byte at a time from the last to the first. It
// needs as much memory again.
func radixSort(items, spare []sortItem) {
	var differ [2]uint64
	for i := range items {
		differ[0] |= items[i].key[0] ^ items[0].key[0]
		differ[1] |= items[i].key[1] ^ items[0].key[1]
	}
	from, to := items, spare
	for word := 1; word >= 0; word-- {
		for shift := 0; shift < 64; shift += 8 {
			if differ[word]>>shift&0xff == 0 {
				continue
			}
			var at [256]int
			for i := range from {
				at[byte(from[i].key[word]>>shift)]++
			}
			sum := 0
			for b, n := range at {
				at[b] = sum
				sum += n
			}
			for i := range from {
				b := byte(from[i].key[word] >> shift)
				to[at[b]] = from[i]
				at[b]++
			}
			from, to = to, from
		}
	}
	if &from[0] != &items[0] {
		copy(items, from)
	}
}
