//go:build linux

package load

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tensmith/tensmith/safetensors"
)

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
