package quant_test

import (
	"bytes"
	"testing"

	"github.com/tensmith/tensmith/numeric"
	"github.com/tensmith/tensmith/quant"
	"github.com/tensmith/tensmith/safetensors"
)

// filled is an entry of pseudo-random bytes.
func filled(name string, d safetensors.DType, shape ...uint64) safetensors.Entry {
	e := entry(name, d, shape...)
	size, _ := e.DataSize()
	data := make([]byte, size)
	state := uint32(1)
	for i := range data {
		state = state*1664525 + 1013904223
		data[i] = byte(state >> 24)
	}
	e.Data = bytes.NewReader(data)
	return e
}

// benchmarked are weights of 4096 by 4096 in each scheme.
func benchmarked() map[string][]safetensors.Entry {
	const n = 4096
	return map[string][]safetensors.Entry{
		"fp8 128x128":    {filled("a.weight", e4m3, n, n), entry("a.weight_scale_inv", f32, n/128, n/128)},
		"int8 rows":      {filled("a.weight", i8, n, n), entry("a.weight_scale", f32, n, 1)},
		"mxfp4":          {filled("a.weight_packed", u8, n, n/2), filled("a.weight_scale", u8, n, n/32)},
		"nvfp4":          {filled("a.weight", u8, n, n/2), filled("a.weight_scale", e4m3, n, n/16), entry("a.weight_scale_2", f32)},
		"gpt-oss":        {filled("a_blocks", u8, 1, n, n/32, 16), filled("a_scales", u8, 1, n, n/32)},
		"gptq":           {filled("a.qweight", i32, n/8, n), filled("a.scales", f16, n/128, n), filled("a.qzeros", i32, n/128, n/8)},
		"awq":            {filled("a.qweight", i32, n, n/8), filled("a.scales", f16, n/128, n), filled("a.qzeros", i32, n/128, n/8)},
		"pack-quantized": {filled("a.weight_packed", i32, n, n/8), filled("a.weight_scale", f16, n, n/128)},
		"nf4": {filled("a.weight", u8, n*n/2, 1), entry("a.weight.absmax", f32, n*n/64),
			holds("a.weight.quant_state.bitsandbytes__nf4", u8, []byte(`{"shape":[4096,4096],"blocksize":64}`), 36)},
		"mlx": {filled("a.weight", safetensors.U32, n, n/8), filled("a.scales", safetensors.BF16, n, n/64), filled("a.biases", safetensors.BF16, n, n/64)},
	}
}

// BenchmarkWeight reads weights in pieces of 2 MiB, as an Encoder does; the
// rate is that of the BF16 that come out.
func BenchmarkWeight(b *testing.B) {
	for name, entries := range benchmarked() {
		b.Run(name, func(b *testing.B) {
			m := quant.Entries(entries, nil, nil)
			w, err := m.Weight(m.Packed()[0].Name, safetensors.BF16)
			if err != nil {
				b.Fatal(err)
			}
			piece := make([]byte, 2<<20)
			b.SetBytes(int64(len(piece)))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				// An Encoder's pieces are cut by the file, not the tensor.
				off := (int64(i)*int64(len(piece)) + 1234*2) % (w.Size() - int64(len(piece)))
				if _, err := w.ReadAt(piece, off&^1); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkQuantize reads the quantised weight; the rate is that of the BF16
// that go in.
func BenchmarkQuantize(b *testing.B) {
	const n = 4096
	e := entry("a.weight", safetensors.BF16, n, n)
	raw := make([]byte, 2*n*n)
	values := make([]float32, n*n)
	state := uint32(1)
	for i := range values {
		state = state*1664525 + 1013904223
		values[i] = float32(int32(state)) / (1 << 31)
	}
	if err := numeric.Encode(raw, safetensors.BF16, values, numeric.ToSpecial); err != nil {
		b.Fatal(err)
	}
	e.Data = bytes.NewReader(raw)
	for _, test := range []struct {
		scaling quant.Scaling
		to      safetensors.DType
	}{{quant.PerTensor, e4m3}, {quant.Block128, e4m3}, {quant.MX, e4m3}, {quant.MX, safetensors.F4}} {
		b.Run(string(test.scaling)+" "+test.to.String(), func(b *testing.B) {
			q, err := quant.Quantize(e, test.to, test.scaling, numeric.Saturate)
			if err != nil {
				b.Fatal(err)
			}
			if err := q.Prepare(b.Context(), 1); err != nil {
				b.Fatal(err)
			}
			data := q.Entries()[0].Data.(interface {
				ReadAt(p []byte, off int64) (int, error)
				Size() int64
			})
			piece := make([]byte, 1<<20)
			b.SetBytes(int64(len(piece)) * 2 * 8 / int64(test.to.Bits()))
			for i := 0; b.Loop(); i++ {
				off := int64(i) * int64(len(piece)) % data.Size()
				if _, err := data.ReadAt(piece, off); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
