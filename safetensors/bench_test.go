package safetensors

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// heavyHeader returns the file that the speed of a parser is measured on: n
// tensors with names as large models have them, their header in the
// reference's spelling, about 115 bytes each, and hardly any data.
func heavyHeader(n int) []byte {
	var h bytes.Buffer
	h.WriteString(`{"__metadata__":{"format":"pt"}`)
	parts := []string{"self_attn.q_proj.weight", "self_attn.k_proj.weight", "mlp.experts.gate_proj.weight", "mlp.experts.down_proj.weight", "input_layernorm.weight"}
	at := 0
	for i := range n {
		size := 40
		fmt.Fprintf(&h, `,"model.layers.%d.block.%d.%s":{"dtype":"BF16","shape":[%d,%d],"data_offsets":[%d,%d]}`,
			i/1000, i%1000, parts[i%len(parts)], 4, 5, at, at+size)
		at += size
	}
	h.WriteByte('}')
	for h.Len()%8 != 0 {
		h.WriteByte(' ')
	}
	file := binary.LittleEndian.AppendUint64(nil, uint64(h.Len()))
	file = append(file, h.Bytes()...)
	return append(file, make([]byte, at)...)
}

func BenchmarkParse(b *testing.B) {
	for _, n := range []int{300, 100_000} {
		file := heavyHeader(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.SetBytes(int64(binary.LittleEndian.Uint64(file)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := NewFile(bytes.NewReader(file), int64(len(file))); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// heavyEntries returns the tensors of heavyHeader as they lie in a file, and
// shuffled.
func heavyEntries(b *testing.B) (inOrder, shuffled []Entry) {
	all := func(name string) (entries []Entry) {
		f, err := Open(name)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { f.Close() })
		for t := range f.All() {
			entries = append(entries, Entry{t.Info, t})
		}
		return entries
	}
	dir := b.TempDir()
	made, sorted := filepath.Join(dir, "made.safetensors"), filepath.Join(dir, "sorted.safetensors")
	if err := os.WriteFile(made, heavyHeader(100_000), 0o666); err != nil {
		b.Fatal(err)
	}
	if err := new(Encoder).WriteFile(b.Context(), sorted, all(made)); err != nil {
		b.Fatal(err)
	}
	inOrder = all(sorted)
	for _, i := range rand.New(rand.NewPCG(1, 2)).Perm(len(inOrder)) {
		shuffled = append(shuffled, inOrder[i])
	}
	return inOrder, shuffled
}

func BenchmarkEncodeHeader(b *testing.B) {
	inOrder, shuffled := heavyEntries(b)
	for _, c := range []struct {
		name    string
		entries []Entry
	}{{"in order", inOrder}, {"shuffled", shuffled}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p, err := new(Encoder).plan(c.entries)
				if err != nil {
					b.Fatal(err)
				}
				n, err := p.prefix.WriteTo(io.Discard)
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(n)
			}
		})
	}
}

func BenchmarkSave(b *testing.B) {
	inOrder, _ := heavyEntries(b)
	large := []Entry{{Info{Name: "large", DType: U8, Shape: []uint64{64 << 20}}, bytes.NewReader(make([]byte, 64<<20))}}
	for _, c := range []struct {
		name    string
		entries []Entry
	}{{"100000 tensors", inOrder}, {"64 MiB", large}} {
		b.Run(c.name, func(b *testing.B) {
			name := filepath.Join(b.TempDir(), "out.safetensors")
			b.ReportAllocs()
			for b.Loop() {
				if err := (&Encoder{NoSync: true}).WriteFile(b.Context(), name, c.entries); err != nil {
					b.Fatal(err)
				}
				info, err := os.Stat(name)
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(info.Size())
			}
		})
	}
}

// largeFile writes a file of 64 MiB in 16 tensors of F32 [1024, 1024].
func largeFile(b *testing.B) string {
	name := filepath.Join(b.TempDir(), "large.safetensors")
	var entries []Entry
	for i := range 16 {
		entries = append(entries, Entry{Info{Name: fmt.Sprint("layer.", i), DType: F32, Shape: []uint64{1024, 1024}}, bytes.NewReader(make([]byte, 4<<20))})
	}
	if err := (&Encoder{NoSync: true}).WriteFile(b.Context(), name, entries); err != nil {
		b.Fatal(err)
	}
	return name
}

func BenchmarkOpen(b *testing.B) {
	small := filepath.Join(b.TempDir(), "small.safetensors")
	if err := os.WriteFile(small, heavyHeader(300), 0o666); err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name string
		open func(string) (*File, error)
	}{{"Open", Open}, {"Map", Map}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f, err := c.open(small)
				if err != nil {
					b.Fatal(err)
				}
				f.Close()
			}
		})
	}
}

func BenchmarkLoad(b *testing.B) {
	name := largeFile(b)
	into := make([]byte, 4<<20)
	b.SetBytes(64 << 20)
	b.ReportAllocs()
	for b.Loop() {
		f, err := Open(name)
		if err != nil {
			b.Fatal(err)
		}
		for t := range f.All() {
			if _, err := t.ReadAt(into, 0); err != nil {
				b.Fatal(err)
			}
		}
		f.Close()
	}
}

func BenchmarkSlice(b *testing.B) {
	f, err := Open(largeFile(b))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	t, err := f.Tensor("layer.3")
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		ranges []Range
	}{{"[:512]", []Range{Span(0, 512)}}, {"[:, :512]", []Range{Span(0, 1024), Span(0, 512)}}} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(2 << 20)
			b.ReportAllocs()
			for b.Loop() {
				s, err := t.Slice(c.ranges...)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := s.WriteTo(io.Discard); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
