package safetensors

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// sortPlainly is the plain twin of sorter.sort.
func sortPlainly(items []sortItem, entries []Entry) {
	slices.SortFunc(items, func(a, b sortItem) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(entries[a.index].Name, entries[b.index].Name))
	})
}

// sameOrder fails unless both sorts give the same order.
func sameOrder(t *testing.T, names []string, rank func(i int) int32) {
	t.Helper()
	entries := make([]Entry, len(names))
	for i, name := range names {
		entries[i].Name = name
	}
	s := newSorter(entries)
	var plain []sortItem
	for i := range entries {
		s.add(i, rank(i))
		plain = append(plain, sortItem{rank: rank(i), index: int32(i)})
	}
	one := s.sort()
	sortPlainly(plain, entries)
	ranks := map[int32]bool{}
	twice := false
	for i := range plain {
		got, want := s.items[i], plain[i]
		if entries[got.index].Name != entries[want.index].Name || got.rank != want.rank {
			t.Fatalf("place %d: %q of rank %d, want %q of rank %d", i, entries[got.index].Name, got.rank, entries[want.index].Name, want.rank)
		}
		twice = twice || i > 0 && plain[i-1].rank == want.rank && entries[plain[i-1].index].Name == entries[want.index].Name
		ranks[got.rank] = true
	}
	if twice != (s.twice >= 0) {
		t.Fatalf("a name occurs twice: %v, found entry %d", twice, s.twice)
	}
	if one != (len(ranks) <= 1) {
		t.Fatalf("one rank: %v, of %d", one, len(ranks))
	}
}

func TestOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	letters := []string{"\x00", "\x00\x00", "a", "b", ".", "0", "9", "é", "\xff", "weight", strings.Repeat("x", 15), strings.Repeat("x", 16), strings.Repeat("x", 17)}
	for round := range 300 {
		n := rng.IntN(40)
		if round%20 == 0 {
			n = 300 + rng.IntN(2000) // for the radix sort
		}
		prefix := strings.Repeat("model.", rng.IntN(4))
		names := make([]string, n)
		for i := range names {
			names[i] = prefix
			for range rng.IntN(6) {
				names[i] += letters[rng.IntN(len(letters))]
			}
			if rng.IntN(50) == 0 {
				names[i] = letters[rng.IntN(len(letters))] // begins otherwise
			}
		}
		ranks := rng.IntN(3) + 1
		sameOrder(t, names, func(i int) int32 { return int32(i*7919%ranks) - 1 })
	}
	var layers []string
	for i := range 3000 {
		layers = append(layers, fmt.Sprintf("model.layers.%d.weight", i*7%3000))
	}
	sameOrder(t, layers, func(int) int32 { return 0 })
	// For several workers, and with runs of names that differ late.
	var many []string
	for i := range 30_000 {
		many = append(many, fmt.Sprintf("model.layers.%d.mlp.experts.%d.weight", i*7919%30_000/500, i*7919%500))
	}
	sameOrder(t, many, func(int) int32 { return 0 })
	sameOrder(t, append(many, many[12345]), func(int) int32 { return 0 })
	sameOrder(t, many, func(i int) int32 { return int32(i % 3) })
}

// TestSortKeys compares the sorts by keys with the plain one, on keys in which
// some bits never differ.
func TestSortKeys(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for round := range 60 {
		masks := [2]uint64{rng.Uint64() & rng.Uint64(), rng.Uint64() | rng.Uint64()}
		if round%3 == 0 {
			masks = [2]uint64{0x1f1f00ff000f1f1f, uint64(round)}
		}
		items := make([]sortItem, []int{1, 2, 300, 9000, 12_345}[round%5])
		for i := range items {
			items[i] = sortItem{key: [2]uint64{rng.Uint64()&masks[0] | 0x30<<56, rng.Uint64() & masks[1]}, index: int32(i)}
		}
		want := slices.Clone(items)
		// Of equal keys, some sorts keep the order and some do not.
		slices.SortStableFunc(want, func(a, b sortItem) int { return cmp.Or(a.compare(&b), cmp.Compare(a.index, b.index)) })
		byIndex := func(items []sortItem) {
			for i := 0; i < len(items); {
				j := i + 1
				for j < len(items) && items[j].key == items[i].key {
					j++
				}
				slices.SortFunc(items[i:j], func(a, b sortItem) int { return cmp.Compare(a.index, b.index) })
				i = j
			}
		}
		one, two := slices.Clone(items), slices.Clone(items)
		radixSort(one, make([]sortItem, len(one)))
		sortKeys(two, make([]sortItem, len(two)))
		byIndex(one)
		byIndex(two)
		if !slices.Equal(one, want) {
			t.Fatalf("round %d: radixSort of %d items is wrong", round, len(items))
		}
		if !slices.Equal(two, want) {
			t.Fatalf("round %d: sortKeys of %d items is wrong", round, len(items))
		}
	}
}

func FuzzOrder(f *testing.F) {
	f.Add("model.a|model.b|model.a|", uint8(1))
	f.Add("a|a\x00|a\x00\x00|aaaaaaaaaaaaaaaa|aaaaaaaaaaaaaaaab|", uint8(2))
	f.Fuzz(func(t *testing.T, names string, ranks uint8) {
		sameOrder(t, strings.Split(names, "|"), func(i int) int32 { return int32(i % (int(ranks%4) + 1)) })
	})
}
