package safetensors

import (
	"cmp"
	"encoding/binary"
	"maps"
	"math/bits"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// A sortItem is an entry while it is being sorted.
type sortItem struct {
	key   [2]uint64 // sixteen bytes of the name
	rank  int32
	index int32 // of the entry
}

func (a *sortItem) compare(b *sortItem) int {
	if a.key[0] != b.key[0] {
		return cmp.Compare(a.key[0], b.key[0])
	}
	return cmp.Compare(a.key[1], b.key[1])
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
	prefix  string      // what all names are thought to have in common
	stale   atomic.Bool // a name has turned out to begin otherwise
	spare   []sortItem  // where items were before, for who needs as many again

	mu    sync.Mutex
	twice int32 // an entry that has the name and the rank of another, or -1
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

// likelySorted guesses from some of the entries whether all are in order, as
// those of a file are that is written again.
func likelySorted(entries []Entry) bool {
	last := 0
	for i := 0; i < len(entries); i += len(entries)/16 + 1 {
		a, b := &entries[last], &entries[i]
		if b.DType > a.DType || b.DType == a.DType && b.Name < a.Name {
			return false
		}
		last = i
	}
	return true
}

func newSorter(entries []Entry) *sorter {
	return &sorter{entries: entries, items: make([]sortItem, len(entries)), prefix: samplePrefix(entries), twice: -1}
}

// add takes entry i. Several goroutines may add different entries.
func (s *sorter) add(i int, rank int32) {
	item := &s.items[i]
	item.rank, item.index = rank, int32(i)
	name := s.entries[i].Name
	switch {
	case s.stale.Load():
	case strings.HasPrefix(name, s.prefix):
		item.setKey(name[len(s.prefix):])
	default:
		s.stale.Store(true)
	}
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

// A sortRange is a range of items of one rank whose names share skip bytes.
type sortRange struct {
	from, to, skip int
	keyed          bool // the keys are those behind skip
}

// sort sorts the items and reports whether all have one rank; an entry whose
// name occurs twice in one rank is then in s.twice.
func (s *sorter) sort() (one bool) {
	groups := s.group()
	for _, g := range groups {
		if !s.stale.Load() {
			g.skip, g.keyed = len(s.prefix), true
		}
		s.sortGroup(g)
	}
	return len(groups) <= 1
}

// group brings the items into the order of their ranks and returns the
// ranges that share one.
func (s *sorter) group() []sortRange {
	counts := map[int32]int{}
	for i := 0; i < len(s.items); {
		j := i + 1
		for j < len(s.items) && s.items[j].rank == s.items[i].rank {
			j++
		}
		counts[s.items[i].rank] += j - i
		i = j
	}
	var groups []sortRange
	at := make(map[int32]int, len(counts))
	n := 0
	for _, rank := range slices.Sorted(maps.Keys(counts)) {
		at[rank] = n
		groups = append(groups, sortRange{from: n, to: n + counts[rank]})
		n += counts[rank]
	}
	rising := func(a, b sortItem) int { return cmp.Compare(a.rank, b.rank) }
	if len(groups) > 1 && !slices.IsSortedFunc(s.items, rising) {
		grouped := make([]sortItem, len(s.items))
		for _, item := range s.items {
			grouped[at[item.rank]] = item
			at[item.rank]++
		}
		s.items, s.spare = grouped, s.items
	}
	return groups
}

// sortGroup sorts a range, in several parts at once if it is long.
func (s *sorter) sortGroup(g sortRange) {
	if !s.arrange(&g, true) {
		return
	}
	parts := partsOf(g.to - g.from)
	cuts := make([]int, parts+1) // between keys that differ
	for w := range cuts {
		cuts[w], _ = share(g.to-g.from, parts, w)
		for cuts[w] += g.from; cuts[w] > g.from && cuts[w] < g.to && s.items[cuts[w]].key == s.items[cuts[w]-1].key; {
			cuts[w]++
		}
	}
	parallel(parts, func(w int) { s.refine(sortRange{cuts[w], cuts[w+1], g.skip, true}) })
}

// arrange sorts the items of a range by their keys, and reports whether there
// may be names to compare beyond them. It sets g.skip to what the names have in
// common before the keys. The top range is sorted by several workers.
func (s *sorter) arrange(g *sortRange, top bool) bool {
	part := s.items[g.from:g.to]
	if !g.keyed {
		common := s.rekey(part, g.skip)
		if common < g.skip { // the names end within equal keys, so they are equal
			s.same(part)
			return false
		}
		g.skip = common
	}
	if s.rising(part, g.skip) {
		return false // as the tensors of a file that is written again are
	}
	switch {
	case s.ambiguous(part, g.skip):
		slices.SortFunc(part, func(a, b sortItem) int {
			return cmp.Compare(s.entries[a.index].Name[g.skip:], s.entries[b.index].Name[g.skip:])
		})
		for i := range part[1:] {
			if s.entries[part[i].index].Name == s.entries[part[i+1].index].Name {
				s.same(part[i : i+2])
			}
		}
		return false
	case len(part) < 256:
		slices.SortFunc(part, func(a, b sortItem) int { return a.compare(&b) })
	case top:
		if len(s.spare) < len(part) {
			s.spare = make([]sortItem, len(part))
		}
		sortKeys(part, s.spare[:len(part)])
	default:
		radixSort(part, make([]sortItem, len(part)))
	}
	return true
}

// refine goes on with each run of equal keys in g, and with the runs in it.
func (s *sorter) refine(g sortRange) {
	var todo []sortRange
	split := func(g sortRange) {
		for i := g.from; i < g.to; {
			j := i + 1
			for j < g.to && s.items[i].key == s.items[j].key {
				j++
			}
			if j-i > 1 {
				todo = append(todo, sortRange{from: i, to: j, skip: g.skip + 16})
			}
			i = j
		}
	}
	split(g)
	for len(todo) > 0 {
		r := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if s.arrange(&r, false) {
			split(r)
		}
	}
}

// same notes that items have one name.
func (s *sorter) same(items []sortItem) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range items {
		if s.twice < 0 || items[i].index < s.twice {
			s.twice = items[i].index
		}
	}
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

// rising reports whether each name is above the one before it.
func (s *sorter) rising(items []sortItem, common int) bool {
	for i := range items[1:] {
		a, b := &items[i], &items[i+1]
		if c := a.compare(b); c > 0 || c == 0 && s.entries[a.index].Name[common:] >= s.entries[b.index].Name[common:] {
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

// sortKeys sorts by key, with several workers: all are cut into buckets by
// the first bits that differ, and the buckets sorted, which fit in the caches.
func sortKeys(items, spare []sortItem) {
	differ := differing(items)
	word := 0
	if differ[0] == 0 {
		word = 1
	}
	parts := partsOf(len(items))
	if differ[word] == 0 || parts == 1 {
		radixSort(items, spare)
		return
	}
	first := bits.Len64(differ[word])
	d := keyDigit{low: uint(max(0, first-digitBits)), lowMask: 1<<digitBits - 1}
	ends := make([][1 << digitBits]int32, parts) // of what each worker has for each bucket
	parallel(parts, func(w int) {
		from, to := share(len(items), parts, w)
		for i := range items[from:to] {
			ends[w][d.of(items[from+i].key[word])]++
		}
	})
	sum := int32(0)
	var buckets [1<<digitBits + 1]int32
	for b := range 1 << digitBits {
		buckets[b] = sum
		for w := range ends {
			sum, ends[w][b] = sum+ends[w][b], sum
		}
	}
	buckets[1<<digitBits] = sum
	parallel(parts, func(w int) {
		from, to := share(len(items), parts, w)
		at := &ends[w]
		for i := range items[from:to] {
			item := &items[from+i]
			b := d.of(item.key[word])
			spare[at[b]] = *item
			at[b]++
		}
	})
	parallel(parts, func(w int) {
		from, to := share(len(items), parts, w) // a bucket is sorted by the worker in whose share it begins
		for b := range 1 << digitBits {
			if i, j := int(buckets[b]), int(buckets[b+1]); from <= i && i < to && i < j {
				radixSort(spare[i:j], items[i:j])
				copy(items[i:j], spare[i:j])
			}
		}
	})
}

// differing returns the bits that are not the same in all keys.
func differing(items []sortItem) (differ [2]uint64) {
	for i := range items {
		differ[0] |= items[i].key[0] ^ items[0].key[0]
		differ[1] |= items[i].key[1] ^ items[0].key[1]
	}
	return differ
}

// radixSort sorts by key, from the last bits to the first. It needs as much
// memory again.
//
// Bits that are the same in all keys are left out: digits differ in four bits,
// so that several bytes of a name are sorted by at once.
func radixSort(items, spare []sortItem) {
	if len(items) < 64 {
		slices.SortFunc(items, func(a, b sortItem) int { return a.compare(&b) })
		return
	}
	differ := differing(items)
	from, to := items, spare
	for word := 1; word >= 0; word-- {
		for left := differ[word]; left != 0; {
			d := nextDigit(&left)
			var at [1 << digitBits]int32
			for i := range from {
				at[d.of(from[i].key[word])]++
			}
			sum := int32(0)
			for b := range at[:1<<d.bits] {
				sum, at[b] = sum+at[b], sum
			}
			for i := range from {
				item := &from[i]
				b := d.of(item.key[word])
				to[at[b]] = *item
				at[b]++
			}
			from, to = to, from
		}
	}
	if &from[0] != &items[0] {
		copy(items, from)
	}
}

// digitBits is how many bits are sorted by at once: their counts fit in the
// first-level cache.
const digitBits = 11

// A keyDigit is two fields of a key, one above the other.
type keyDigit struct {
	low, high         uint // where the fields begin in the key
	lowMask, highMask uint64
	highShift         uint // where the upper field begins in the digit
	bits              uint
}

// nextDigit takes the lowest bits out of those that differ.
func nextDigit(left *uint64) keyDigit {
	var d keyDigit
	d.low, d.bits = nextField(left, digitBits)
	d.lowMask = 1<<d.bits - 1
	d.highShift = d.bits
	if *left != 0 {
		var n uint
		d.high, n = nextField(left, digitBits-d.bits)
		d.highMask = 1<<n - 1
		d.bits += n
	}
	return d
}

// nextField takes the lowest run of bits, at most most of them, out of left.
// It goes on over gaps of a bit or two, which costs less than another field.
func nextField(left *uint64, most uint) (at, n uint) {
	if most == 0 {
		return 0, 0
	}
	at = uint(bits.TrailingZeros64(*left))
	for rest := *left >> at; rest != 0 && n < most; {
		run := uint(bits.TrailingZeros64(^rest))
		if run == 0 {
			if run = uint(bits.TrailingZeros64(rest)); run > 2 {
				break
			}
		}
		run = min(run, most-n)
		n += run
		rest >>= run
	}
	*left &^= (1<<n - 1) << at
	return at, n
}

func (d keyDigit) of(key uint64) uint64 {
	return (key>>(d.low&63)&d.lowMask | key>>(d.high&63)&d.highMask<<(d.highShift&63)) & (1<<digitBits - 1)
}
