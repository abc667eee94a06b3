package safetensors

import (
	"bytes"
	"encoding/binary"
	"fmt"
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
