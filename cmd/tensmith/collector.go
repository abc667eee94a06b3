package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"sync"
)

// A collector has Go's let less lie around than it does by default, but not
// before there is something to collect: what starts this command up would be
// collected at once, and most runs end with less than that.
type collector struct {
	mu       sync.Mutex
	percent  int // of what is in use that may lie around, once there is more than firstHeap
	was      int
	at, over bool
}

// firstHeap is the percentage at which nothing is collected up to 8 MiB.
const firstHeap = 200

// collect begins with percent. What the environment says goes before it.
func collect(percent int) *collector {
	c := &collector{percent: percent}
	if os.Getenv("GOGC") != "" {
		c.over = true
		return c
	}
	c.was = debug.SetGCPercent(firstHeap)
	runtime.AddCleanup(new(*collector), (*collector).first, c) // with the first collection
	return c
}

func (c *collector) first() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = true
	c.apply()
}

func (c *collector) apply() {
	if c.at && !c.over {
		debug.SetGCPercent(c.percent)
	}
}

// to changes the percentage until back is called.
func (c *collector) to(percent int) (back func()) {
	set := func(percent int) (was int) {
		c.mu.Lock()
		defer c.mu.Unlock()
		was, c.percent = c.percent, percent
		c.apply()
		return was
	}
	was := set(percent)
	return func() { set(was) }
}

// end leaves the process as it was.
func (c *collector) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		c.over = true
		debug.SetGCPercent(c.was)
	}
}
