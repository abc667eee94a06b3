//go:build linux

package load

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tensmith/tensmith/safetensors"
)

// benchEntries are a model of some 512 MB: layers of a few matrices of 6 MB
// and vectors of 2 KiB.
func benchEntries(b *testing.B) (entries []safetensors.Entry) {
	b.Helper()
	data := random(1, 3072*1024*2)
	add := func(name string, shape ...uint64) {
		info := safetensors.Info{Name: name, DType: safetensors.BF16, Shape: shape}
		n, err := info.DataSize()
		if err != nil {
			b.Fatal(err)
		}
		entries = append(entries, safetensors.Entry{Info: info, Data: bytes.NewReader(data[:n])})
	}
	for i := range 20 {
		for j := range 4 {
			add(fmt.Sprintf("layers.%d.matrix.%d", i, j), 3072, 1024)
		}
		add(fmt.Sprintf("layers.%d.norm", i), 1024)
	}
	return entries
}

// benchFile writes it to a file.
func benchFile(b *testing.B) string {
	b.Helper()
	name := filepath.Join(b.TempDir(), "model.safetensors")
	if err := new(safetensors.Encoder).WriteFile(b.Context(), name, benchEntries(b)); err != nil {
		b.Fatal(err)
	}
	return name
}

// A measured case is run in every round, in random order.
type measured struct {
	name   string
	limit  string // the case it is compared with
	before func()
	run    func() error
	after  func()
	best   time.Duration
}

// rounds runs all cases b.N times, after a round that does not count, and
// reports each one's best time and, in percent, its limit's best time of it.
func rounds(b *testing.B, cases []*measured) {
	order := slices.Clone(cases)
	for round := range b.N + 1 {
		rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, c := range order {
			if c.before != nil {
				c.before()
			}
			start := time.Now()
			err := c.run()
			took := time.Since(start)
			if err != nil {
				b.Fatalf("%s: %v", c.name, err)
			}
			if c.after != nil {
				c.after()
			}
			if round == 1 || round > 0 && took < c.best {
				c.best = took
			}
		}
	}
	for _, c := range cases {
		b.ReportMetric(float64(c.best.Microseconds())/1000, c.name+"-ms")
		for _, limit := range cases {
			if limit.name == c.limit {
				b.ReportMetric(100*limit.best.Seconds()/c.best.Seconds(), c.name+"-%")
			}
		}
	}
	b.ReportMetric(0, "ns/op") // of all cases together it says nothing
}

// preads reads a file into memory that is as large, in blocks, with so many
// workers: what any reader into owned memory takes at least.
func preads(f *os.File, p []byte, workers int) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, workers)
	for i := range errs {
		wg.Go(func() {
			for {
				off := (next.Add(1) - 1) * blockSize
				if off >= int64(len(p)) {
					return
				}
				if _, err := f.ReadAt(p[off:min(off+blockSize, int64(len(p)))], off); err != nil && err != io.EOF {
					errs[i] = err
					return
				}
			}
		})
	}
	wg.Wait()
	return errs[0]
}

// touch reads a byte of every page.
func touch(p []byte) (sum int) {
	for i := 0; i < len(p); i += page {
		sum += int(p[i])
	}
	return sum
}

var sink int

// all loads everything, and touches it if it is mapped.
func all(l *Loader, requests []Request) error {
	for t, err := range l.Load(context.Background(), requests) {
		if err != nil {
			return err
		}
		if t.Way.maps() {
			data, err := t.Bytes()
			if err != nil {
				return err
			}
			sink += touch(data)
		}
	}
	return nil
}

// BenchmarkWarm loads a file that is in the page cache.
func BenchmarkWarm(b *testing.B) {
	name := benchFile(b)
	f, err := os.Open(name)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		b.Fatal(err)
	}
	// The page cache as reading leaves it, not as the writer did.
	evict(b, f)
	faulted, err := host().region(info.Size())
	if err != nil {
		b.Fatal(err)
	}
	defer unix.Munmap(faulted.raw)
	mem := faulted.mem[:info.Size()]
	if err := preads(f, mem, 2); err != nil {
		b.Fatal(err)
	}

	c := checkpoint(b, name)
	requests := Tensors(c.All())
	reused, fresh, bounded, maps := arena(b), new(Arena), arena(b), arena(b)
	into := slices.Clone(requests)
	for i := range into {
		n, _ := into[i].DataSize()
		into[i].Into, mem = mem[:n:n], mem[n:]
	}
	mem = faulted.mem[:info.Size()]
	limit := func(populate bool) func() error {
		return func() error {
			p, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
			if err != nil {
				return err
			}
			defer unix.Munmap(p)
			if populate {
				if err := unix.Madvise(p, unix.MADV_POPULATE_READ); err != nil {
					return err
				}
			}
			sink += touch(p)
			return nil
		}
	}
	reset := func() { maps.Reset() }
	var unneeded []byte
	rounds(b, []*measured{
		{name: "limit-pread", run: func() error { return preads(f, mem, 2) }},
		{name: "limit-new", limit: "limit-pread", run: func() error {
			r, err := host().region(info.Size())
			if err != nil {
				return err
			}
			unneeded = r.raw
			return preads(f, r.mem[:info.Size()], 2)
		}, after: func() { unix.Munmap(unneeded) }},
		{name: "limit-touch", run: limit(false)},
		{name: "limit-populate", run: limit(true)},
		{name: "reused", limit: "limit-pread", run: func() error {
			reused.Reset()
			return all(&Loader{Arena: reused}, requests)
		}},
		{name: "fresh", limit: "limit-pread", run: func() error { return all(&Loader{Arena: fresh}, requests) },
			after: func() { fresh.Free(); fresh = new(Arena) }},
		{name: "bounded", limit: "limit-pread", run: func() error {
			return all(&Loader{Arena: bounded, Budget: 64 << 20}, requests)
		}},
		{name: "into", limit: "limit-pread", run: func() error { return all(new(Loader), into) }},
		{name: "heap", limit: "limit-pread", run: func() error { return all(new(Loader), requests) }},
		{name: "map", limit: "limit-populate", run: func() error { return all(&Loader{Arena: maps, Way: Map}, requests) }, after: reset},
		{name: "populate", limit: "limit-populate", run: func() error { return all(&Loader{Arena: maps, Way: Populate}, requests) }, after: reset},
		{name: "private", limit: "limit-populate", run: func() error { return all(&Loader{Arena: maps, Way: Private}, requests) }, after: reset},
	})
}

// evict drops a file from the page cache.
func evict(b *testing.B, f *os.File) {
	b.Helper()
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		b.Skip(err)
	}
	if n, err := host().cached(int(f.Fd()), 0, 1<<40); err != nil || n > 1<<20 {
		b.Skipf("%d bytes stay in the page cache (%v)", n, err)
	}
}

// BenchmarkCold loads a file that is not in the page cache. The host of a
// virtual machine may have it in its own.
func BenchmarkCold(b *testing.B) {
	name := benchFile(b)
	f, err := os.Open(name)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		b.Fatal(err)
	}
	faulted, err := host().region(info.Size())
	if err != nil {
		b.Fatal(err)
	}
	defer unix.Munmap(faulted.raw)
	mem := faulted.mem[:info.Size()]
	requests := Tensors(checkpoint(b, name).All())
	memory := arena(b)
	by := func(way Way) func() error {
		return func() error {
			evict(b, f)
			return all(&Loader{Arena: memory, Way: way}, requests)
		}
	}
	reset := func() { memory.Reset() } // pages that are mapped stay in the page cache
	past, err := os.OpenFile(name, os.O_RDONLY|unix.O_DIRECT, 0)
	if err != nil {
		b.Skip(err)
	}
	defer past.Close()
	rounds(b, []*measured{
		{name: "limit-pread", run: func() error { evict(b, f); return preads(f, mem, 2) }},
		{name: "limit-direct", run: func() error { return preads(past, faulted.mem, 8) }},
		{name: "auto", limit: "limit-direct", run: by(Auto), after: reset},
		{name: "read", limit: "limit-direct", run: by(Read), after: reset},
		{name: "direct", limit: "limit-direct", run: by(Direct), after: reset},
		{name: "populate", limit: "limit-direct", run: by(Populate), after: reset},
		{name: "heap", limit: "limit-direct", run: func() error { evict(b, f); return all(new(Loader), requests) }},
	})
}

// BenchmarkShards loads the same tensors from one file and from eight: that
// there are more files is to cost nothing.
func BenchmarkShards(b *testing.B) {
	one, dir := benchFile(b), b.TempDir()
	e := new(safetensors.Encoder)
	if _, err := e.WriteShards(b.Context(), filepath.Join(dir, "model.safetensors"), 64<<20, benchEntries(b)); err != nil {
		b.Fatal(err)
	}
	memory := arena(b)
	var cases []*measured
	for _, cold := range []bool{false, true} {
		var limit string
		for name, c := range map[string]*safetensors.Checkpoint{"one": checkpoint(b, one), "shards": checkpoint(b, dir)} {
			requests := Tensors(c.All())
			if cold {
				name += "-cold"
			}
			if limit = "one"; cold {
				limit += "-cold"
			}
			cases = append(cases, &measured{name: name, limit: limit, run: func() error { return all(&Loader{Arena: memory}, requests) },
				before: func() {
					memory.Reset()
					for _, file := range c.Files() {
						f, err := os.Open(file.Name())
						if err != nil {
							b.Fatal(err)
						}
						if cold {
							evict(b, f)
						} else if _, err := io.Copy(io.Discard, f); err != nil {
							b.Fatal(err)
						}
						f.Close()
					}
				}})
		}
	}
	rounds(b, cases)
}
