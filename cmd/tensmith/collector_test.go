package main

import (
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"
)

// The percentage is that of the first heap up to the first collection, then
// what was asked for, and in the end what it was before.
func TestCollector(t *testing.T) {
	t.Setenv("GOGC", "")
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(math.MaxInt64))
	percent := func() int {
		read := []metrics.Sample{{Name: "/gc/gogc:percent"}}
		metrics.Read(read)
		return int(read[0].Value.Uint64())
	}
	before := percent()
	c := collect(50)
	if got := percent(); got != firstHeap {
		t.Errorf("%d at first", got)
	}
	back := c.to(25, 32<<20)
	if got := percent(); got != firstHeap {
		t.Errorf("%d before anything was collected", got)
	}
	for end := time.Now().Add(10 * time.Second); percent() == firstHeap && time.Now().Before(end); time.Sleep(time.Millisecond) {
		runtime.GC()
	}
	if got := percent(); got != 25 {
		t.Errorf("%d after a collection", got)
	}
	read := []metrics.Sample{{Name: "/gc/heap/goal:bytes"}}
	runtime.GC()
	metrics.Read(read)
	goal := read[0].Value.Uint64()
	if goal < 40<<20 {
		t.Errorf("collected at %d bytes: a quarter of 32 MiB may lie around", goal)
	}
	back()
	if got := percent(); got != 50 {
		t.Errorf("%d in the end of what asked for less", got)
	}
	runtime.GC()
	if metrics.Read(read); read[0].Value.Uint64() >= goal {
		t.Errorf("collected at %d bytes, before at %d: what was idle is held", read[0].Value.Uint64(), goal)
	}
	debug.SetMemoryLimit(1 << 40)
	back = c.to(25, 32<<20)
	if len(c.idle) > 0 {
		t.Error("idle memory, which counts towards the limit that is set")
	}
	back()
	debug.SetMemoryLimit(math.MaxInt64)
	c.end()
	if got := percent(); got != before {
		t.Errorf("%d behind all of it, %d before", got, before)
	}

	t.Setenv("GOGC", "70")
	c = collect(50)
	back = c.to(25, 32<<20)
	if got := percent(); got != before {
		t.Errorf("%d, though the environment says how much", got)
	}
	back()
	c.end()
}
