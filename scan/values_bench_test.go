package scan

import (
	"bytes"
	"context"
	"testing"
	"testing/fstest"

	"github.com/tensmith/tensmith/safetensors"
)

// BenchmarkValues reads 32 MiB of weights of each kind.
func BenchmarkValues(b *testing.B) {
	for _, d := range []safetensors.DType{safetensors.F32, safetensors.F64, safetensors.BF16, safetensors.I8, safetensors.I32} {
		b.Run(d.String(), func(b *testing.B) {
			const size = 32 << 20
			raw := numbers(d, "trained", 1, size*8/d.Bits())
			var file bytes.Buffer
			entry := safetensors.Entry{Info: safetensors.Info{Name: "x", DType: d, Shape: []uint64{1, uint64(size * 8 / d.Bits())}}, Data: bytes.NewReader(raw)}
			if err := (&safetensors.Encoder{}).Encode(&file, []safetensors.Entry{entry}); err != nil {
				b.Fatal(err)
			}
			c, err := safetensors.OpenCheckpointFS(fstest.MapFS{"m.safetensors": {Data: file.Bytes()}}, "m.safetensors")
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			b.SetBytes(size)
			for b.Loop() {
				report, err := Values(context.Background(), c, ValueOptions{Jobs: 1})
				if err != nil || len(report.Findings) > 0 {
					b.Fatalf("%v, %+v", err, report.Findings)
				}
			}
		})
	}
}
