//go:build linux

package load

import (
	"bytes"
	"context"
	"fmt"
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

// benchFile writes a model of some 512 MB: layers of a few matrices of 6 MB
// and vectors of 2 KiB.
func benchFile(b *testing.B) string {
	b.Helper()
	name := filepath.Join(b.TempDir(), "model.safetensors")
	data := random(1, 3072*1024*2)
	var entries []safetensors.Entry
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
	if err := new(safetensors.Encoder).WriteFile(b.Context(), name, entries); err != nil {
		b.Fatal(err)
	}
	return name
}

// A measured case is run in every round, in random order.
type measured struct {
	name  string
	limit string // the case it is compared with
	run   func() error
	after func()
	best  time.Duration
}

// rounds runs all cases b.N times, after a round that does not count, and
// reports each one's best time and, in percent, its limit's best time of it.
func rounds(b *testing.B, cases []*measured) {
	order := slices.Clone(cases)
	for round := range b.N + 1 {
		rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, c := range order {
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

// preads reads a file into memory that is as large, in blocks, with two
// workers: what any reader into owned memory takes at least.
func preads(f *os.File, p []byte) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, 2)
	for i := range errs {
		wg.Go(func() {
			for {
				off := (next.Add(1) - 1) * blockSize
				if off >= int64(len(p)) {
					return
				}
				if _, err := f.ReadAt(p[off:min(off+blockSize, int64(len(p)))], off); err != nil {
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
	if err := preads(f, mem); err != nil {
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
		{name: "limit-pread", run: func() error { return preads(f, mem) }},
		{name: "limit-new", limit: "limit-pread", run: func() error {
			r, err := host().region(info.Size())
			if err != nil {
				return err
			}
			unneeded = r.raw
			return preads(f, r.mem[:info.Size()])
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
	rounds(b, []*measured{
		{name: "limit-pread", run: func() error { evict(b, f); return preads(f, mem) }},
		{name: "read", limit: "limit-pread", run: by(Read), after: reset},
		{name: "direct", limit: "limit-pread", run: by(Direct), after: reset},
		{name: "populate", limit: "limit-pread", run: by(Populate), after: reset},
	})
}

// BenchmarkOne opens a file, loads one matrix of it and closes it.
func BenchmarkOne(b *testing.B) {
	name := benchFile(b)
	memory := arena(b)
	buf := make([]byte, 3072*1024*2)
	one := func(l *Loader, into []byte) func() error {
		return func() error {
			f, err := safetensors.Open(name)
			if err != nil {
				return err
			}
			defer f.Close()
			t, err := f.Tensor("layers.7.matrix.2")
			if err != nil {
				return err
			}
			return all(l, []Request{{Info: t.Info, Data: t, Into: into}})
		}
	}
	// The same bytes, through an open file, into memory that was used before.
	f, err := os.Open(name)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	c := checkpoint(b, name)
	t, err := c.Tensor("layers.7.matrix.2")
	if err != nil {
		b.Fatal(err)
	}
	many := func(do func() error) func() error {
		return func() error {
			for range 20 {
				if err := do(); err != nil {
					return err
				}
			}
			return nil
		}
	}
	rounds(b, []*measured{
		{name: "limit-pread", run: many(func() error {
			_, err := f.ReadAt(buf, t.Offset())
			return err
		})},
		{name: "limit-new", run: many(func() error {
			r, err := host().region(int64(len(buf)))
			if err != nil {
				return err
			}
			defer unix.Munmap(r.raw)
			_, err = f.ReadAt(r.mem[:len(buf)], t.Offset())
			return err
		})},
		{name: "arena", limit: "limit-pread", run: many(func() error { memory.Reset(); return one(&Loader{Arena: memory}, nil)() })},
		{name: "into", limit: "limit-pread", run: many(one(new(Loader), buf))},
		{name: "heap", limit: "limit-pread", run: many(one(new(Loader), nil))},
		{name: "fresh", limit: "limit-new", run: many(func() error {
			var a Arena
			defer a.Free()
			return one(&Loader{Arena: &a}, nil)()
		})},
	})
}

// BenchmarkSlice takes the left half of a matrix.
func BenchmarkSlice(b *testing.B) {
	name := benchFile(b)
	const rows, row = 3072, 2048
	buf := make([]byte, rows*row/2)
	half := func(f *safetensors.File, err error) []Request {
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { f.Close() })
		t, err := f.Tensor("layers.7.matrix.2")
		if err != nil {
			b.Fatal(err)
		}
		s, err := t.Slice(safetensors.Range{}, safetensors.Span(0, 512))
		if err != nil {
			b.Fatal(err)
		}
		return []Request{{Info: s.Info, Data: s, Into: buf}}
	}
	mapped, read, maps := half(safetensors.Map(name)), half(safetensors.Open(name)), arena(b)
	whole, err := mapped[0].Data.(*safetensors.Slice).File().Tensor("layers.7.matrix.2")
	if err != nil {
		b.Fatal(err)
	}
	data, err := whole.Bytes()
	if err != nil {
		b.Fatal(err)
	}
	many := func(do func() error) func() error {
		return func() error {
			for range 50 {
				if err := do(); err != nil {
					return err
				}
			}
			return nil
		}
	}
	rounds(b, []*measured{
		{name: "limit-copy", run: many(func() error {
			for i := range rows {
				copy(buf[i*row/2:(i+1)*row/2], data[i*row:])
			}
			return nil
		})},
		{name: "slice-mapped", limit: "limit-copy", run: many(func() error {
			_, err := mapped[0].Data.ReadAt(buf, 0)
			return err
		})},
		{name: "slice-pread", limit: "limit-copy", run: many(func() error {
			_, err := read[0].Data.ReadAt(buf, 0)
			return err
		})},
		{name: "mapped", limit: "limit-copy", run: many(func() error { return all(new(Loader), mapped) })},
		{name: "read", limit: "limit-copy", run: many(func() error { return all(new(Loader), read) })},
		{name: "gathered", limit: "limit-copy", run: many(func() error {
			defer maps.Reset()
			return all(&Loader{Arena: maps, Way: Map}, read)
		})},
	})
}

// BenchmarkMany loads many small tensors. Time and memory are to grow as their
// number does.
func BenchmarkMany(b *testing.B) {
	for _, n := range []int{10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var entries []safetensors.Entry
			data := random(1, 40)
			for i := range n {
				info := safetensors.Info{Name: fmt.Sprintf("model.layers.%d.block.%d", i/1000, i%1000), DType: safetensors.BF16, Shape: []uint64{4, 5}}
				entries = append(entries, safetensors.Entry{Info: info, Data: bytes.NewReader(data)})
			}
			name := filepath.Join(b.TempDir(), "model.safetensors")
			if err := (&safetensors.Encoder{NoSync: true}).WriteFile(b.Context(), name, entries); err != nil {
				b.Fatal(err)
			}
			requests := Tensors(checkpoint(b, name).All())
			for kind, l := range map[string]*Loader{"arena": {Arena: arena(b)}, "heap": {}} {
				b.Run(kind, func(b *testing.B) {
					b.ReportAllocs()
					for b.Loop() {
						if l.Arena != nil {
							l.Arena.Reset()
						}
						if err := all(l, requests); err != nil {
							b.Fatal(err)
						}
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/tensor")
				})
			}
		})
	}
}
