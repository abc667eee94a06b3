package quant_test

import (
	"bytes"
	"testing"

	"github.com/tensmith/tensmith/quant"
	"github.com/tensmith/tensmith/safetensors"
)

// TestConfigs holds that the settings that tell the versions of GPTQ's format
// apart are found wherever publishers have them.
func TestConfigs(t *testing.T) {
	for _, test := range []struct{ sample, config string }{
		{"gptq-v1", ``},
		{"gptq-v1", `{"quantization_config":{"quant_method":"gptq"}}`},
		{"gptq-v1", `{"quantization_config":{"quant_method":"auto-round"}}`},
		{"gptq-v1", `{"quantization_config":{"quant_method":"auto-round","packing_format":"auto_round:auto_gptq"}}`},
		{"gptq-v1", `{"quantization_config":{"quant_method":"intel/auto-round","packing_format":"auto_round:gptq:exllamav2"}}`},
		{"gptq-v1", `{"quantization_config":{"quant_method":"gptq","packing_format":"auto_round:gptqmodel"}}`},
		{"gptq-v2", `{"quantization_config":{"quant_method":"auto-round","packing_format":"auto_round"}}`},
		{"gptq-v2", `{"quantization_config":{"quant_method":"auto-round","packing_format":"auto_round:gptqmodel"}}`},
		{"gptq-v2", `{"text_config":{"quantization_config":{"quant_method":"gptq","checkpoint_format":"gptq_v2"}}}`},
	} {
		for _, s := range samples(t) {
			if s.name != test.sample {
				continue
			}
			m := quant.Entries(s.packed, nil, []byte(test.config))
			for _, p := range m.Packed() {
				want := s.want[p.Weight()]
				w, err := m.Weight(p.Name, want.DType)
				if err != nil {
					t.Fatal(err)
				}
				var got bytes.Buffer
				if _, err := w.WriteTo(&got); err != nil {
					t.Fatal(err)
				}
				if expected, err := want.Bytes(); err != nil || !bytes.Equal(got.Bytes(), expected) {
					t.Errorf("%s with %s: %s differs (%v)", s.name, test.config, p.Name, err)
				}
			}
		}
	}
}

// TestStorage holds that codes in the bytes of a float are no reason to ask
// other floats for scales, and that what only looks like them stays.
func TestStorage(t *testing.T) {
	for _, s := range samples(t) {
		if s.name != "nf4-storage" {
			continue
		}
		m := quant.Entries(s.packed, nil, s.config)
		if got, want := m.Summary.Parameters, uint64(64+3*24*64); got != want {
			t.Errorf("%d parameters, want %d", got, want)
		}
		list, err := m.Unpacked(0, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(list) != 4 {
			t.Errorf("%d tensors, want 4", len(list))
		}
		for _, e := range list {
			if e.DType != safetensors.BF16 {
				t.Errorf("%s is %s", e.Name, e.DType)
			}
		}
		return
	}
	t.Error("no sample")
}
