package torch

import (
	"hash/maphash"
	"math/bits"
)

// An index finds things by their names, of which there may be hundreds of
// thousands: it keeps their numbers alone, a tenth of what a map takes.
type index struct {
	seed  maphash.Seed
	slots []uint32 // number and 1; 0 is free
}

// newIndex returns an index with room for n names.
func newIndex(n int) *index {
	return &index{maphash.MakeSeed(), make([]uint32, 1<<bits.Len(uint(n)*4/3+1))}
}

// slot returns where the thing of that name is, of which is can tell the
// number, or a free slot.
func (x *index) slot(name string, is func(i int) bool) *uint32 {
	mask := uint64(len(x.slots) - 1)
	for at := maphash.String(x.seed, name) & mask; ; at = (at + 1) & mask {
		if s := &x.slots[at]; *s == 0 || is(int(*s-1)) {
			return s
		}
	}
}

// find returns the number of the thing of that name, or -1.
func (x *index) find(name string, is func(i int) bool) int {
	return int(*x.slot(name, is)) - 1
}

// add gives the name the number i unless it has one, and returns the one it
// has.
func (x *index) add(name string, i int, is func(i int) bool) int {
	s := x.slot(name, is)
	if *s == 0 {
		*s = uint32(i + 1)
	}
	return int(*s) - 1
}
