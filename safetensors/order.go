package safetensors

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// A sortItem is an entry while it is being sorted.
type sortItem struct {
	key   uint64 // eight bytes of the name
	rank  int32
	index int32 // of the entry
	size  int64
}

// sortEntries sorts by rank and then by the bytes of the names. Names of one
// model begin alike, so comparing them whole is slow: a range of items is
// sorted by the eight bytes that follow what all its names have in common,
// and what is still equal then is a range of its own.
func sortEntries(items []sortItem, entries []Entry) {
	slices.SortFunc(items, func(a, b sortItem) int { return cmp.Compare(a.rank, b.rank) })
	type span struct{ from, to, skip int }
	var todo []span
	// split appends a range for each run of items that equal tells.
	split := func(from, to, skip int, equal func(a, b *sortItem) bool) {
		for i := from; i < to; {
			j := i + 1
			for j < to && equal(&items[i], &items[j]) {
				j++
			}
			if j-i > 1 {
				todo = append(todo, span{i, j, skip})
			}
			i = j
		}
	}
	split(0, len(items), 0, func(a, b *sortItem) bool { return a.rank == b.rank })
	for len(todo) > 0 {
		s := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		part := items[s.from:s.to]
		name := func(i int) string { return entries[part[i].index].Name }

		first, common := name(0), len(name(0))
		for i := 1; i < len(part) && common > s.skip; i++ {
			n, other := s.skip, name(i)
			for n < common && n < len(other) && other[n] == first[n] {
				n++
			}
			common = n
		}
		short := false // a name ends within its key, which then says too little
		for i := range part {
			rest := name(i)[common:]
			var key [8]byte
			copy(key[:], rest)
			part[i].key = binary.BigEndian.Uint64(key[:])
			short = short || len(rest) < len(key)
		}
		if short || len(part) < 8 {
			slices.SortFunc(part, func(a, b sortItem) int {
				if a.key != b.key {
					return cmp.Compare(a.key, b.key)
				}
				return cmp.Compare(entries[a.index].Name[common:], entries[b.index].Name[common:])
			})
			continue
		}
		slices.SortFunc(part, func(a, b sortItem) int { return cmp.Compare(a.key, b.key) })
		split(s.from, s.to, common+8, func(a, b *sortItem) bool { return a.key == b.key })
	}
}
