package main

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"sync"

	"github.com/tensmith/tensmith/internal/memory"
)

// A collector has Go's let less lie around than it does by default, but not
// before there is something to collect: what starts this command up would be
// collected at once, and most runs end with less than that.
type collector struct {
	mu       sync.Mutex
	percent  int // of what is in use that may lie around, once there is more than firstHeap
	was      int
	at, over bool
	idle     []byte // memory that is asked for and never touched
	idleSize int
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
		if len(c.idle) != c.idleSize {
			c.idle = memory.Unset(c.idleSize)
		}
		debug.SetGCPercent(c.percent)
	}
}

// to changes the percentage until back is called, and has it be one of idle bytes
// more than are in use: a small heap would be collected hundreds of times a second.
// The collector counts memory that was asked for, and what nobody has touched
// takes none. It counts towards a limit that the environment sets, too, and is left
// out then.
func (c *collector) to(percent, idle int) (back func()) {
	if debug.SetMemoryLimit(-1) != math.MaxInt64 {
		idle = 0
	}
	set := func(percent, idle int) (int, int) {
		c.mu.Lock()
		defer c.mu.Unlock()
		wasPercent, wasIdle := c.percent, c.idleSize
		c.percent, c.idleSize = percent, idle
		c.apply()
		return wasPercent, wasIdle
	}
	wasPercent, wasIdle := set(percent, idle)
	return func() { set(wasPercent, wasIdle) }
}

// end leaves the process as it was.
func (c *collector) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		c.over, c.idle = true, nil
		debug.SetGCPercent(c.was)
	}
}
