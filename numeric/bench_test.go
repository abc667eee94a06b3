package numeric

import (
	"bytes"
	"encoding/binary"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tensmith/tensmith/safetensors"
)

// Benchmarks count the packed bytes, of a chunk that fits the second cache.

func BenchmarkDecode(b *testing.B) {
	for _, d := range append([]safetensors.DType{safetensors.U8, safetensors.F32}, floats...) {
		src := make([]byte, 96<<10)
		for i := range src {
			src[i] = byte(i * 31 >> 3)
		}
		dst := make([]float32, len(src)*8/d.Bits())
		b.Run(d.String(), func(b *testing.B) {
			b.SetBytes(int64(len(src)))
			for b.Loop() {
				if err := Decode(dst, d, src); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	src := make([]float32, 64<<10)
	for i := range src {
		src[i] = float32(math.Sin(float64(i)))
	}
	for _, d := range floats {
		dst := make([]byte, len(src)*d.Bits()/8)
		b.Run(d.String(), func(b *testing.B) {
			b.SetBytes(int64(4 * len(src)))
			for b.Loop() {
				if err := Encode(dst, d, src, Saturate); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// The benchmarks below are of data that no cache holds. Those of a Copy move
// the same bytes, and Read adds up the words of them: the limits.

const benchNumbers = 32 << 20

// benchData has numbers near zero, as weights are.
func benchData(b *testing.B, d safetensors.DType) Data {
	b.Helper()
	raw := make([]byte, benchNumbers*d.Bits()/8)
	values := make([]float32, 1<<16)
	for i := range values {
		values[i] = float32(int64(splitmix64(uint64(i))>>40)-1<<23) / (1 << 26)
	}
	step := len(values) * d.Bits() / 8
	if err := Encode(raw[:step], d, values, Saturate); err != nil {
		b.Fatal(err)
	}
	for at := step; at < len(raw); at += step {
		copy(raw[at:], raw[:step])
	}
	return Data{DType: d, Source: Memory(raw), Size: int64(len(raw))}
}

// workers runs f on parts of total, as many as may run at once.
func workers(total int, f func(first, last int)) {
	var group sync.WaitGroup
	n := runtime.GOMAXPROCS(0)
	for i := range n {
		group.Go(func() { f(total/n*i, total/n*(i+1)) })
	}
	group.Wait()
}

// BenchmarkCopy copies 128 MiB, as a cast of F32 to F32 would; bytes/s are read.
func BenchmarkCopy(b *testing.B) {
	src, dst := benchData(b, safetensors.F32).Source.(Memory), make([]byte, 4*benchNumbers)
	copy(dst, src)
	b.SetBytes(int64(len(src)))
	for b.Loop() {
		workers(len(src), func(first, last int) { copy(dst[first:last], src[first:last]) })
	}
}

// BenchmarkCast casts between memories; bytes/s are those read. moved/s counts
// those written too, as a copy of n bytes moves 2n.
func BenchmarkCast(b *testing.B) {
	for _, c := range [][2]safetensors.DType{
		{safetensors.F32, safetensors.BF16}, {safetensors.F32, safetensors.F16}, {safetensors.F32, safetensors.F8E4M3},
		{safetensors.BF16, safetensors.F32}, {safetensors.F16, safetensors.F32},
		{safetensors.BF16, safetensors.F16}, {safetensors.BF16, safetensors.F8E4M3}, {safetensors.F8E4M3, safetensors.BF16},
	} {
		b.Run(c[0].String()+"-"+c[1].String(), func(b *testing.B) {
			data := benchData(b, c[0])
			cast, err := NewCast(data, c[1], ToSpecial)
			if err != nil {
				b.Fatal(err)
			}
			dst := make([]byte, cast.Size())
			if _, err := cast.ReadAt(dst, 0); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(data.Size)
			for b.Loop() {
				workers(len(dst), func(first, last int) {
					if _, err := cast.ReadAt(dst[first:last], int64(first)); err != nil {
						b.Error(err)
					}
				})
			}
			b.ReportMetric(float64(data.Size+cast.Size())*float64(b.N)/b.Elapsed().Seconds()/1e6, "moved-MB/s")
		})
		b.Run(c[0].String()+"-"+c[1].String()+"-copy", func(b *testing.B) {
			// As many bytes read as written, together as many as moved above.
			half := benchNumbers * (c[0].Bits() + c[1].Bits()) / 16
			from := bytes.Repeat(benchData(b, c[0]).Source.(Memory), 2)[:half]
			to := bytes.Clone(from)
			b.SetBytes(benchNumbers * int64(c[0].Bits()) / 8)
			for b.Loop() {
				workers(half, func(first, last int) { copy(to[first:last], from[first:last]) })
			}
			b.ReportMetric(2*float64(half)*float64(b.N)/b.Elapsed().Seconds()/1e6, "moved-MB/s")
		})
	}
}

// BenchmarkRead adds up words of 64 bits, in Go: no reader of Stats can be
// faster than memory, though a vector's sum may be faster than this one.
func BenchmarkRead(b *testing.B) {
	src := benchData(b, safetensors.F32).Source.(Memory)
	b.SetBytes(int64(len(src)))
	var total atomic.Uint64
	for b.Loop() {
		workers(len(src), func(first, last int) {
			var sums [4]uint64
			for part := src[first:last]; len(part) >= 32; part = part[32:] {
				sums[0] += binary.LittleEndian.Uint64(part)
				sums[1] += binary.LittleEndian.Uint64(part[8:])
				sums[2] += binary.LittleEndian.Uint64(part[16:])
				sums[3] += binary.LittleEndian.Uint64(part[24:])
			}
			total.Add(sums[0] + sums[1] + sums[2] + sums[3])
		})
	}
}

func BenchmarkStats(b *testing.B) {
	for _, d := range []safetensors.DType{safetensors.F32, safetensors.BF16, safetensors.F16, safetensors.F8E4M3, safetensors.F64, safetensors.I32} {
		for _, quantiles := range []bool{false, true} {
			name := d.String()
			if quantiles {
				name += "-quantiles"
			}
			b.Run(name, func(b *testing.B) {
				var data Data
				if d == safetensors.I32 {
					data = benchData(b, safetensors.F32)
					data.DType = d
				} else {
					data = benchData(b, d)
				}
				b.SetBytes(data.Size)
				b.ReportAllocs()
				for b.Loop() {
					if _, err := (Scan{Quantiles: quantiles}).Stats(b.Context(), data); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkCompare counts the bytes of both sides.
func BenchmarkCompare(b *testing.B) {
	for _, c := range [][2]safetensors.DType{
		{safetensors.F32, safetensors.F32}, {safetensors.BF16, safetensors.BF16},
		{safetensors.F8E4M3, safetensors.F8E4M3}, {safetensors.F64, safetensors.F64},
		{safetensors.F32, safetensors.BF16}, {safetensors.F32, safetensors.F8E4M3},
	} {
		one, other := benchData(b, c[0]), benchData(b, c[1])
		for _, kind := range []string{"same", "changed"} {
			if kind == "changed" {
				raw := other.Source.(Memory)
				for i := 0; i < len(raw); i += 512 {
					raw[i] ^= 1
				}
			} else if c[0] != c[1] {
				continue
			}
			b.Run(c[0].String()+"-"+c[1].String()+"/"+kind, func(b *testing.B) {
				b.SetBytes(one.Size + other.Size)
				for b.Loop() {
					if _, err := (Scan{}).Compare(b.Context(), one, other, Tolerance{Rel: 1e-5, Abs: 1e-8}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkCore measures what one core computes of numbers that its second cache
// holds, through all but the memory: what is not well above a core's share of
// memory's speed holds it up. Bytes are those read, and of casts those written.
func BenchmarkCore(b *testing.B) {
	const n = 64 << 10
	raw := func(d safetensors.DType) Data {
		data := benchData(b, d)
		data.Size = int64(n * d.Bits() / 8)
		data.Source = data.Source.(Memory)[:data.Size]
		return data
	}
	for _, d := range []safetensors.DType{
		safetensors.F32, safetensors.BF16, safetensors.F16, safetensors.F8E4M3, safetensors.F8E5M2, safetensors.F64, safetensors.I8,
	} {
		b.Run("statistics/"+d.String(), func(b *testing.B) {
			data := raw(safetensors.F64)
			if d != safetensors.I8 {
				data = raw(d)
			}
			c := newCounter(d, false)
			b.SetBytes(data.Size)
			for b.Loop() {
				if err := c.add(data.Source.(Memory)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	for _, c := range [][2]safetensors.DType{
		{safetensors.F32, safetensors.F32}, {safetensors.BF16, safetensors.BF16}, {safetensors.F16, safetensors.F16},
		{safetensors.F64, safetensors.F64}, {safetensors.F8E4M3, safetensors.F8E4M3}, {safetensors.F8E5M2, safetensors.F8E5M2},
		{safetensors.F32, safetensors.BF16},
	} {
		for _, kind := range []string{"few", "all", "same"} {
			if c[0] != c[1] && kind != "all" {
				continue
			}
			b.Run("compare-"+kind+"/"+c[0].String()+"-"+c[1].String(), func(b *testing.B) {
				one, other := raw(c[0]).Source.(Memory), bytes.Clone(raw(c[1]).Source.(Memory))
				every := map[string]int{"few": 128, "all": 1, "same": n}[kind] * c[1].Bits() / 8
				for i := 0; i < len(other) && kind != "same"; i += every {
					other[i] ^= byte(1 + splitmix64(uint64(i))%3)
				}
				w := &differ{a: c[0], b: c[1], tolerance: Tolerance{Rel: 1e-5, Abs: 1e-8}, equal: newCounter(c[0], false)}
				b.SetBytes(int64(len(one) + len(other)))
				for b.Loop() {
					if err := w.add(0, one, other); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
	for _, c := range [][2]safetensors.DType{
		{safetensors.F32, safetensors.BF16}, {safetensors.F32, safetensors.F16}, {safetensors.F32, safetensors.F8E4M3}, {safetensors.F32, safetensors.F8E5M2},
		{safetensors.BF16, safetensors.F32}, {safetensors.F16, safetensors.F32}, {safetensors.F8E4M3, safetensors.F32},
		{safetensors.BF16, safetensors.F16}, {safetensors.BF16, safetensors.F8E4M3}, {safetensors.F8E4M3, safetensors.BF16},
	} {
		b.Run("cast/"+c[0].String()+"-"+c[1].String(), func(b *testing.B) {
			cast, err := NewCast(raw(c[0]), c[1], ToSpecial)
			if err != nil {
				b.Fatal(err)
			}
			dst := make([]byte, cast.Size())
			b.SetBytes(cast.Size() + cast.from.Size)
			for b.Loop() {
				if _, err := cast.ReadAt(dst, 0); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
