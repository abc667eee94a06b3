package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/tensmith/tensmith/safetensors"
)

// writeLlama writes the model of docs/quantised.md, which make_model.py of
// quant/testdata writes, too: the page has the SHA-256 of what that has written.
func writeLlama(t *testing.T, dir string) {
	t.Helper()
	const hidden, intermediate, vocabulary, layers = 256, 640, 1000, 2
	var entries []safetensors.Entry
	made := uint64(0)
	add := func(name string, shape ...uint64) {
		e := safetensors.Entry{Info: safetensors.Info{Name: name, DType: safetensors.BF16, Shape: shape}}
		var data []byte
		if len(shape) == 1 { // of a norm: ones
			data = bytes.Repeat([]byte{0x80, 0x3f}, int(shape[0]))
		} else {
			for range shape[0] * shape[1] {
				made++
				z := made * 0x9e3779b97f4a7c15 // SplitMix64
				z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
				z = (z ^ z>>27) * 0x94d049bb133111eb
				z ^= z >> 31
				sum := z&0xffff + z>>16&0xffff + z>>32&0xffff + z>>48
				bits := math.Float32bits(float32(int64(sum)-2*0xffff) / (1 << 20))
				data = binary.LittleEndian.AppendUint16(data, uint16((bits+0x7fff+bits>>16&1)>>16))
			}
		}
		e.Data = bytes.NewReader(data)
		entries = append(entries, e)
	}
	add("lm_head.weight", vocabulary, hidden)
	add("model.embed_tokens.weight", vocabulary, hidden)
	for n := range layers {
		layer := fmt.Sprintf("model.layers.%d.", n)
		add(layer+"input_layernorm.weight", hidden)
		add(layer+"mlp.down_proj.weight", hidden, intermediate)
		add(layer+"mlp.gate_proj.weight", intermediate, hidden)
		add(layer+"mlp.up_proj.weight", intermediate, hidden)
		add(layer+"post_attention_layernorm.weight", hidden)
		for _, part := range []string{"k", "o", "q", "v"} {
			add(layer+"self_attn."+part+"_proj.weight", hidden, hidden)
		}
	}
	add("model.norm.weight", hidden)
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	enc := safetensors.Encoder{Metadata: map[string]string{"format": "pt"}, NoSync: true}
	if err := enc.WriteFile(t.Context(), filepath.Join(dir, "model.safetensors"), entries); err != nil {
		t.Fatal(err)
	}
	config := `{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 256}`
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o666); err != nil {
		t.Fatal(err)
	}
}
