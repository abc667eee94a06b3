package main

import (
	"math"
	"runtime/debug"

	"github.com/tensmith/tensmith/safetensors"
)

// sparingMemory is how much Go may use of 128 MiB: the rest is the program
// itself, of which some 24 MB are resident.
const sparingMemory = 96 << 20

// sparing has what lies around collected sooner when memory comes near to
// 128 MiB, until back is called. Each tensor is known to take so many bytes and
// its name some times over: where that alone is more, there is more, for all the
// time would go into collecting. What the environment says goes before it.
func sparing(each, names int64, models ...*safetensors.Checkpoint) (back func()) {
	known := int64(0)
	for _, m := range models {
		for t := range m.All() {
			known += each + names*int64(len(t.Name))
		}
	}
	return spare(known)
}

// spare is sparing for what is known to take so many bytes.
func spare(known int64) (back func()) {
	was := debug.SetMemoryLimit(-1)
	if was != math.MaxInt64 {
		return func() {}
	}
	debug.SetMemoryLimit(max(sparingMemory, known))
	return func() { debug.SetMemoryLimit(was) }
}
