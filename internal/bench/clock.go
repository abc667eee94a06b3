package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"time"
)

// order is what a child is told on standard input.
type order struct {
	Setting
	Name string `json:"name"`
	Who  string `json:"who"`
}

// Child runs the one case that r names, and writes its Sample to w.
func Child(ctx context.Context, all func(Setting) []Case, r io.Reader, w io.Writer) error {
	var o order
	if err := json.NewDecoder(r).Decode(&o); err != nil {
		return fmt.Errorf("an order of bench: %w", err)
	}
	for _, c := range all(o.Setting) {
		if c.Name != o.Name || c.Who != o.Who || c.Run == nil {
			continue
		}
		clock := &Clock{Setting: o.Setting, Context: ctx}
		err := c.Run(clock)
		var absent errAbsent
		if errors.As(err, &absent) {
			clock.best.Absent = absent.why
		} else if err != nil {
			return err
		}
		clock.best.Bytes = clock.Bytes
		return json.NewEncoder(w).Encode(clock.best)
	}
	return fmt.Errorf("there is no case %s of %s", o.Name, o.Who)
}

// A Clock times one case in its process.
type Clock struct {
	Setting
	Context context.Context
	Bytes   int64 // that the timed work moves, set by the case

	ran  bool
	best Sample
}

// path returns the name of a file of the run.
func (c *Clock) path(name string) string { return filepath.Join(c.Dir, name) }

// Time times f. Of several calls the fastest counts.
func (c *Clock) Time(f func() error) error {
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	resetPeak()
	resting, _, _ := memory()
	read, cpu := bytesRead(), cpuTime()
	start := time.Now()
	err := f()
	wall := time.Since(start)
	s := Sample{Wall: max(1, int64(wall)), CPU: -1, Grown: -1, Mapped: -1, Read: -1}
	if cpu >= 0 {
		s.CPU = int64(cpuTime() - cpu)
	}
	if read >= 0 {
		s.Read = bytesRead() - read
	}
	_, s.Peak, s.Mapped = memory()
	if s.Peak >= 0 {
		s.Grown = max(0, s.Peak-resting)
	}
	if err != nil {
		return err
	}
	runtime.ReadMemStats(&after)
	s.Allocs = int64(after.Mallocs - before.Mallocs)
	s.Heap = int64(after.TotalAlloc - before.TotalAlloc)
	if !c.ran || s.Wall < c.best.Wall {
		c.best, c.ran = s, true
	}
	return nil
}
