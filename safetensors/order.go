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

// sortEntries sorts by rank and then by the bytes of the names, and reports
// whether all items have one rank.
//
// Names of one model begin alike, so comparing them whole is slow: a range of
// items is sorted by the eight bytes that follow what all its names have in
// common, and what is still equal then is a range of its own.
func sortEntries(items []sortItem, entries []Entry) (one bool) {
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
	one = !slices.ContainsFunc(items, func(i sortItem) bool { return i.rank != items[0].rank })
	if !one {
		slices.SortFunc(items, func(a, b sortItem) int { return cmp.Compare(a.rank, b.rank) })
	}
	split(0, len(items), 0, func(a, b *sortItem) bool { return a.rank == b.rank })
	var spare []sortItem
	for len(todo) > 0 {
		s := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		part := items[s.from:s.to]
		name := func(i int) string { return entries[part[i].index].Name }

		first, common, sorted := name(0), len(name(0)), true
		last := first
		for i := 1; i < len(part); i++ {
			n, other := s.skip, name(i)
			for n < common && n < len(other) && other[n] == first[n] {
				n++
			}
			common = n
			sorted = sorted && last[common:] < other[common:]
			last = other
		}
		if sorted {
			continue
		}
		short := false // a name ends within its key, which then says too little
		for i := range part {
			rest := name(i)[common:]
			var key [8]byte
			copy(key[:], rest)
			part[i].key = binary.BigEndian.Uint64(key[:])
			short = short || len(rest) < len(key)
		}
		switch {
		case short || len(part) < 8:
			slices.SortFunc(part, func(a, b sortItem) int {
				if a.key != b.key {
					return cmp.Compare(a.key, b.key)
				}
				return cmp.Compare(entries[a.index].Name[common:], entries[b.index].Name[common:])
			})
			continue
		case len(part) < 256:
			slices.SortFunc(part, func(a, b sortItem) int { return cmp.Compare(a.key, b.key) })
		default:
			if spare == nil {
				spare = make([]sortItem, len(items))
			}
			radixSort(part, spare[:len(part)])
		}
		split(s.from, s.to, common+8, func(a, b *sortItem) bool { return a.key == b.key })
	}
	return one
}

// radixSort sorts by key, a byte at a time from the last to the first. It
// needs as much memory again.
func radixSort(items, spare []sortItem) {
	differ := uint64(0)
	for i := range items {
		differ |= items[i].key ^ items[0].key
	}
	from, to := items, spare
	for shift := 0; shift < 64; shift += 8 {
		if differ>>shift&0xff == 0 {
			continue
		}
		var at [256]int
		for i := range from {
			at[byte(from[i].key>>shift)]++
		}
		sum := 0
		for b, n := range at {
			at[b] = sum
			sum += n
		}
		for i := range from {
			b := byte(from[i].key >> shift)
			to[at[b]] = from[i]
			at[b]++
		}
		from, to = to, from
	}
	if &from[0] != &items[0] {
		copy(items, from)
	}
}
