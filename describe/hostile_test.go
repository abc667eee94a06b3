package describe_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tensmith/tensmith/describe"
	"github.com/tensmith/tensmith/safetensors"
)

func info(name string, dtype safetensors.DType, shape ...uint64) safetensors.Entry {
	return safetensors.Entry{Info: safetensors.Info{Name: name, DType: dtype, Shape: shape}}
}

// TestMillion holds time and memory to bounds, with names that are made to
// cost: all candidates for a layout, all different, all long.
func TestMillion(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	const n = 1_000_000
	tests := []struct {
		name  string
		entry func(i int) safetensors.Entry
	}{
		{"experts", func(i int) safetensors.Entry {
			suffix, dtype, shape := ".weight", safetensors.F8E4M3, []uint64{128, 128}
			if i%2 == 1 {
				suffix, dtype, shape = ".weight_scale_inv", safetensors.F32, []uint64{1, 1}
			}
			return info(fmt.Sprintf("model.layers.%d.mlp.experts.%d.up_proj%s", i/2%61, i/2/61, suffix), dtype, shape...)
		}},
		{"all different", func(i int) safetensors.Entry {
			return info(fmt.Sprintf("x%dy.lora_unet.layers.%d.attn2.to_k", i*7919%n, i), safetensors.U8, 1)
		}},
		{"scales of scales", func(i int) safetensors.Entry {
			return info(fmt.Sprintf("%07d", i/100)+strings.Repeat("_scale", i%100), safetensors.F8E4M3, 2, 2)
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			entries := make([]safetensors.Entry, n)
			for i := range entries {
				entries[i] = test.entry(i)
			}
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			start := time.Now()
			s := describe.Entries(entries, nil, nil)
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			each := (after.TotalAlloc - before.TotalAlloc) / n
			t.Logf("%v, %d bytes a tensor, %s", took, each, s.Kind)
			if each > 700 {
				t.Errorf("%d bytes allocated for each tensor", each)
			}
			// A step that is quadratic would take hours; a busy machine takes seconds more.
			if took > 2*time.Minute {
				t.Errorf("took %v", took)
			}
			if len(s.Tensors) != n {
				t.Errorf("%d tensors", len(s.Tensors))
			}
		})
	}
}

func TestOverflow(t *testing.T) {
	s := describe.Entries([]safetensors.Entry{
		info("a", safetensors.U8, 1<<40, 1<<40), info("b", safetensors.U8, 0, math.MaxUint64), info("c", safetensors.U8, math.MaxUint64, math.MaxUint64, 0),
		info("d.qweight", safetensors.I32, math.MaxUint64, math.MaxUint64), info("d.scales", safetensors.F16, 1, math.MaxUint64),
	}, nil, nil)
	if s.Parameters != math.MaxUint64 || s.Stored != math.MaxUint64 {
		t.Errorf("%d parameters, %d stored", s.Parameters, s.Stored)
	}
	consistent(t, s)
}

// TestLies holds that tensors which only bear the names of a packing stay what
// they are, and that a tiny tensor cannot blow up a count.
func TestLies(t *testing.T) {
	shape := func(name string, n ...uint64) safetensors.Entry {
		e := info(name, safetensors.I64, uint64(len(n)))
		var b []byte
		for _, v := range n {
			for range 8 {
				b, v = append(b, byte(v)), v>>8
			}
		}
		e.Data = bytes.NewReader(b)
		return e
	}
	tests := []struct {
		name    string
		want    uint64
		entries []safetensors.Entry
	}{
		{"weight_shape too large", 2 * 32, []safetensors.Entry{
			info("a.weight_packed", safetensors.I32, 2, 4), info("a.weight_scale", safetensors.F16, 2, 1), shape("a.weight_shape", 2, 1<<60)}},
		{"weight_shape too large to multiply", 2 * 32, []safetensors.Entry{
			info("a.weight_packed", safetensors.I32, 2, 4), info("a.weight_scale", safetensors.F16, 2, 1), shape("a.weight_shape", 2, math.MaxUint64)}},
		{"codes of giant books", 2*3*1 + 1*2*4096*4096, []safetensors.Entry{
			info("a.codes", safetensors.I16, 2, 3, 1), info("a.codebooks", safetensors.F16, 1, 2, 4096, 4096)}},
		{"scale without weight", 4, []safetensors.Entry{info("a.weight_scale", safetensors.F32, 4)}},
		{"I8 without scale", 4, []safetensors.Entry{info("a.weight", safetensors.I8, 4)}},
		{"U8 whose scales do not fit", 8 + 3, []safetensors.Entry{info("a.weight", safetensors.U8, 2, 4), info("a.weight_scale", safetensors.F8E4M3, 3)}},
		{"MXFP4 whose scales do not fit", 32 + 3, []safetensors.Entry{info("a_blocks", safetensors.U8, 2, 16), info("a_scales", safetensors.U8, 3)}},
		{"duplicate names", 8, []safetensors.Entry{info("a", safetensors.F32, 4), info("a", safetensors.F32, 4)}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if s := describe.Entries(test.entries, nil, nil); s.Parameters != test.want {
				t.Errorf("%d parameters, want %d", s.Parameters, test.want)
			}
		})
	}
}

// TestNotReadUp holds that Entries leaves data for the encoder to write.
func TestNotReadUp(t *testing.T) {
	text := `{"quant_type":"fp4","shape":[3,5]}`
	state := info("w.quant_state.bitsandbytes__fp4", safetensors.U8, uint64(len(text)))
	data := strings.NewReader(text)
	state.Data = data
	s := describe.Entries([]safetensors.Entry{info("w", safetensors.U8, 8, 1), info("w.absmax", safetensors.F32, 1), state}, nil, nil)
	if diff := cmp.Diff(verdict{Kind: "unknown", Packing: "bitsandbytes fp4", Parameters: 15}, judged(s)); diff != "" {
		t.Error(diff)
	}
	if left, err := io.ReadAll(data); err != nil || string(left) != text {
		t.Errorf("left %q, %v", left, err)
	}
}

func TestConfigs(t *testing.T) {
	entries := []safetensors.Entry{info("x", safetensors.F32, 1)}
	tests := []struct{ config, kind, architecture string }{
		{``, "unknown", ""},
		{`null`, "unknown", ""},
		{`[1]`, "unknown", ""},
		{`{"architectures":"LlamaForCausalLM"}`, "unknown", ""},
		{`{"architectures":[]}`, "unknown", ""},
		{`{"architectures":[1]}`, "unknown", ""},
		{`{"architectures":["LlamaForCausalLM"],"num_hidden_layers":"x","quantization_config":[1]}`, "language model (decoder)", "LlamaForCausalLM"},
		{`{"architectures":["Llama\u001b[31mForCausalLM"]}`, "unknown", ""},
		{`{"architectures":["` + strings.Repeat("a", 300) + `ForCausalLM"]}`, "unknown", ""},
		{`{"_class_name":"AutoencoderKL","num_hidden_layers":1e99}`, "VAE", "AutoencoderKL"},
		{`{"peft_type":"LORA"}`, "adapter", ""},
		{`{"quantization_config":{"bits":18446744073709551615,"weight_block_size":[0,0],"config_groups":{"a":{"weights":3}}}}`, "unknown", ""},
		{strings.Repeat("[", 20000), "unknown", ""},
		{`{"architectures":["XForCausalLM"],"y":"` + strings.Repeat(" ", 16<<20) + `"}`, "unknown", ""},
	}
	for _, test := range tests {
		s := describe.Entries(entries, nil, []byte(test.config))
		if s.Kind != test.kind || s.Architecture != test.architecture {
			t.Errorf("%.60s: %q, %q; want %q, %q", test.config, s.Kind, s.Architecture, test.kind, test.architecture)
		}
	}
}

// FuzzDescribe states that no file and no config break a Summary's promises,
// nor does the order of tensors change it.
func FuzzDescribe(f *testing.F) {
	for _, m := range models(f) {
		if len(m.Tensors) > 12 {
			m.Tensors = m.Tensors[:12]
		}
		text := &strings.Builder{}
		for _, tensor := range m.Tensors {
			fmt.Fprintf(text, "%s\t%s", tensor.name, tensor.dtype)
			for _, d := range tensor.shape {
				fmt.Fprintf(text, "\t%d", d)
			}
			text.WriteByte('\n')
		}
		config, err := json.Marshal(m.Config)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text.String(), []byte(config), m.Metadata["modelspec.architecture"], []byte("\x10\x00\x00\x00\x00\x00\x00\x00"))
	}
	f.Fuzz(func(t *testing.T, text string, config []byte, architecture string, data []byte) {
		var entries []safetensors.Entry
		seen := map[string]bool{}
		for line := range strings.Lines(text) {
			fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
			if len(fields) < 2 || seen[fields[0]] {
				continue
			}
			seen[fields[0]] = true
			e := safetensors.Entry{Info: safetensors.Info{Name: fields[0]}, Data: bytes.NewReader(data)}
			var err error
			if e.DType, err = safetensors.ParseDType(fields[1]); err != nil {
				continue
			}
			for _, field := range fields[2:] {
				var d uint64
				if _, err := fmt.Sscan(field, &d); err != nil {
					break
				}
				e.Shape = append(e.Shape, d)
			}
			entries = append(entries, e)
		}
		metadata := map[string]string{"modelspec.architecture": architecture}
		s := describe.Entries(entries, metadata, config)
		consistent(t, s)
		if s.Parameters != math.MaxUint64 && s.Stored != math.MaxUint64 && s.Parameters/1024 > s.Stored {
			t.Errorf("%d parameters in %d elements", s.Parameters, s.Stored)
		}
		for i, j := 0, len(entries)-1; i < j; i, j = i+1, j-1 {
			entries[i], entries[j] = entries[j], entries[i]
		}
		if diff := cmp.Diff(flat(s), flat(describe.Entries(entries, metadata, config))); diff != "" {
			t.Errorf("reversed:\n%s", diff)
		}
	})
}

// BenchmarkDescribe is about a checkpoint of 91,991 tensors, DeepSeek V3's.
func BenchmarkDescribe(b *testing.B) {
	for _, m := range models(b) {
		if m.Name != "deepseek-v3" {
			continue
		}
		entries := m.entries(b)
		b.ReportAllocs()
		for b.Loop() {
			if s := describe.Entries(entries, nil, m.Config); s.Layers != 61 {
				b.Fatal(s.Layers)
			}
		}
	}
}

// TestUnreadable holds that a file whose data cannot be read is described
// without it.
func TestUnreadable(t *testing.T) {
	text := bytes.NewReader([]byte{2, 0, 0, 0, 0, 0, 0, 0, 30, 0, 0, 0, 0, 0, 0, 0})
	entries := []safetensors.Entry{
		{Info: safetensors.Info{Name: "a.weight_packed", DType: safetensors.I32, Shape: []uint64{2, 4}}, Data: bytes.NewReader(make([]byte, 32))},
		{Info: safetensors.Info{Name: "a.weight_scale", DType: safetensors.F16, Shape: []uint64{2, 1}}, Data: bytes.NewReader(make([]byte, 4))},
		{Info: safetensors.Info{Name: "a.weight_shape", DType: safetensors.I64, Shape: []uint64{2}}, Data: text},
	}
	name := filepath.Join(t.TempDir(), "m.safetensors")
	if err := new(safetensors.Encoder).WriteFile(t.Context(), name, entries); err != nil {
		t.Fatal(err)
	}
	c, err := safetensors.OpenCheckpoint(name)
	if err != nil {
		t.Fatal(err)
	}
	if s := describe.Describe(c, nil); s.Parameters != 60 {
		t.Errorf("%d parameters, want 60", s.Parameters)
	}
	c.Close()
	if s := describe.Describe(c, nil); s.Parameters != 64 {
		t.Errorf("%d parameters of a closed file, want 64", s.Parameters)
	}
}
