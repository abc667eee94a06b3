package numeric

import (
	"math"
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
