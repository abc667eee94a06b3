package describe_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tensmith/tensmith/describe"
	"github.com/tensmith/tensmith/safetensors"
)

// A model is a row of testdata/models.json, which make_models.py writes.
type model struct {
	Name     string
	Config   json.RawMessage
	Metadata map[string]string
	Want     verdict
	Tensors  []tensor
}

type verdict struct {
	Kind, Base, Packing string
	Parameters          uint64
	Layers              int
}

func judged(s describe.Summary) verdict {
	return verdict{s.Kind, s.Base, s.Packing, s.Parameters, s.Layers}
}

// A tensor is [name, dtype, shape] and, for a tiny one, its data.
type tensor struct {
	name  string
	dtype safetensors.DType
	shape []uint64
	data  []byte
}

func (t *tensor) UnmarshalJSON(text []byte) error {
	var fields []json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return err
	}
	var dtype, data string
	var numbers []uint64
	if err := json.Unmarshal(fields[0], &t.name); err != nil {
		return err
	}
	if err := json.Unmarshal(fields[1], &dtype); err != nil {
		return err
	}
	if err := json.Unmarshal(fields[2], &t.shape); err != nil {
		return err
	}
	if len(fields) > 3 && json.Unmarshal(fields[3], &data) == nil {
		t.data = []byte(data)
	} else if len(fields) > 3 && json.Unmarshal(fields[3], &numbers) == nil {
		for _, n := range numbers {
			t.data = binary.LittleEndian.AppendUint64(t.data, n)
		}
	}
	var err error
	t.dtype, err = safetensors.ParseDType(dtype)
	return err
}

// expand writes out the {a-b} of a name.
func expand(t testing.TB, name string) []string {
	before, rest, ok := strings.Cut(name, "{")
	if !ok {
		return []string{name}
	}
	span, after, _ := strings.Cut(rest, "}")
	first, last, _ := strings.Cut(span, "-")
	a, err := strconv.Atoi(first)
	if err != nil {
		t.Fatal(name, err)
	}
	b, err := strconv.Atoi(last)
	if err != nil {
		t.Fatal(name, err)
	}
	var names []string
	for _, end := range expand(t, after) {
		for i := a; i <= b; i++ {
			names = append(names, before+strconv.Itoa(i)+end)
		}
	}
	return names
}

func (m model) entries(t testing.TB) (entries []safetensors.Entry) {
	for _, tensor := range m.Tensors {
		for _, name := range expand(t, tensor.name) {
			e := safetensors.Entry{Info: safetensors.Info{Name: name, DType: tensor.dtype, Shape: tensor.shape}}
			if tensor.data != nil {
				e.Data = bytes.NewReader(tensor.data)
			}
			entries = append(entries, e)
		}
	}
	return entries
}

func models(t testing.TB) (all []model) {
	text, err := os.ReadFile("testdata/models.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	if len(all) < 75 {
		t.Fatalf("only %d models", len(all))
	}
	return all
}

func TestModels(t *testing.T) {
	for _, m := range models(t) {
		t.Run(m.Name, func(t *testing.T) {
			s := describe.Entries(m.entries(t), m.Metadata, m.Config)
			if diff := cmp.Diff(m.Want, judged(s)); diff != "" {
				t.Errorf("verdict (-want +got), evidence %s:\n%s", s.Evidence, diff)
			}
			if (s.Evidence == "") != (s.Kind == "unknown") {
				t.Errorf("evidence %q for %q", s.Evidence, s.Kind)
			}
			consistent(t, s)
		})
	}
}

// consistent checks what holds for any Summary.
func consistent(t testing.TB, s describe.Summary) {
	t.Helper()
	companions := 0
	for i, tensor := range s.Tensors {
		if i > 0 && s.Tensors[i-1].Name > tensor.Name {
			t.Fatalf("%q stands before %q", s.Tensors[i-1].Name, tensor.Name)
		}
		if tensor.Role == describe.Companion {
			companions++
		}
		if (tensor.Role == describe.Companion) != (tensor.Of() != nil) || (tensor.Of() != nil) != (tensor.Purpose() != "") {
			t.Fatalf("%s %q is there for %q", tensor.Role, tensor.Name, tensor.Purpose())
		}
	}
	sum, saturated := uint64(0), false
	for i := range s.Tensors {
		tensor := &s.Tensors[i]
		elements := tensor.Elements()
		if sum += elements; sum < elements || elements == math.MaxUint64 {
			saturated = true
		}
		switch tensor.Role {
		case describe.Packed:
			if tensor.Packing == nil || len(slices.Collect(tensor.Companions())) == 0 {
				t.Fatalf("%q is packed without companions", tensor.Name)
			}
			if b := tensor.Packing.Block; b != nil && len(b) != len(tensor.Packing.Shape) {
				t.Fatalf("%q has blocks %v of %v", tensor.Name, b, tensor.Packing.Shape)
			}
			for part := range tensor.Companions() {
				if companions--; part.Of() != tensor {
					t.Fatalf("%q is a companion of %q that does not know it", part.Name, tensor.Name)
				}
			}
		case describe.Companion, describe.Buffer:
			if elements != 0 || tensor.Packing != nil || tensor.Weight() != "" {
				t.Fatalf("%s %q counts", tensor.Role, tensor.Name)
			}
		}
	}
	if companions != 0 {
		t.Fatalf("%d companions are in no list, or in several", companions)
	}
	if !saturated && sum != s.Parameters || saturated && s.Parameters != math.MaxUint64 {
		t.Fatalf("%d parameters, tensors sum up to %d (overflow %t)", s.Parameters, sum, saturated)
	}
	for _, text := range []string{s.Kind, s.Evidence, s.Architecture, s.Base, s.Packing} {
		for _, r := range text {
			if !strconv.IsPrint(r) {
				t.Fatalf("%q is not printable", text)
			}
		}
	}
}

// A flatTensor is all that a Tensor says of itself.
type flatTensor struct {
	Name, Weight, Of, Purpose string
	Role                      describe.Role
	Elements                  uint64
	Scheme                    describe.Scheme
	Bits                      int
	Shape, Block              []uint64
	Companions                []string
}

// flat is a Summary without pointers, and its tensors in full.
func flat(s describe.Summary) any {
	var list []flatTensor
	for i := range s.Tensors {
		t := &s.Tensors[i]
		f := flatTensor{Name: t.Name, Weight: t.Weight(), Purpose: t.Purpose(), Role: t.Role, Elements: t.Elements()}
		if of := t.Of(); of != nil {
			f.Of = of.Name
		}
		if p := t.Packing; p != nil {
			f.Scheme, f.Bits, f.Shape, f.Block = p.Scheme, p.Bits, p.Shape, p.Block
		}
		for c := range t.Companions() {
			f.Companions = append(f.Companions, c.Name)
		}
		list = append(list, f)
	}
	s.Tensors = nil
	return struct {
		describe.Summary
		All []flatTensor
	}{s, list}
}

// TestOrder is the property that no Summary depends on the order of tensors.
func TestOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, m := range models(t) {
		entries := m.entries(t)
		if len(entries) > 5000 {
			continue // DeepSeek V3 shows nothing that others do not
		}
		want := describe.Entries(entries, m.Metadata, m.Config)
		random.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
		if diff := cmp.Diff(flat(want), flat(describe.Entries(entries, m.Metadata, m.Config))); diff != "" {
			t.Errorf("%s, shuffled (-sorted +shuffled):\n%s", m.Name, diff)
		}
	}
}

// TestReal describes the files that reference programs wrote.
func TestReal(t *testing.T) {
	const decoder, moe = "language model (decoder)", "language model (decoder, Mixture of Experts)"
	tests := []struct {
		name, config string
		want         verdict
		architecture string
	}{
		{"gptq", "config.json", verdict{decoder, "", "GPTQ 4-bit", 2*32*32 + 8*32, 1}, "LlamaForCausalLM"},
		{"gptq", "", verdict{decoder, "", "GPTQ 4-bit", 2*32*32 + 8*32, 1}, ""},
		{"mxfp4", "config.json", verdict{moe, "", "MXFP4", 2*(2*8*64) + 2*2*8 + 2*8, 1}, "GptOssForCausalLM"},
		{"sharded", "config.json", verdict{decoder, "", "", 2*16*8 + 8 + 3*(4*64+3*96+16), 3}, "LlamaForCausalLM"},
		{"sharded_tied", "config.json", verdict{decoder, "", "", 16*8 + 8 + (4*64 + 3*96 + 16), 1}, "LlamaForCausalLM"},
		{"mistral", "config.json", verdict{decoder, "", "", 2*16*8 + 8 + (4*64 + 3*96 + 16), 1}, "MistralForCausalLM"},
		{"mistral/consolidated.safetensors", "", verdict{decoder, "", "", 2*16*8 + 8 + (4*64 + 3*96 + 16), 1}, ""},
		{"lora_peft", "adapter_config.json", verdict{"LoRA adapter", "example/tiny-llama", "", 8 * 2 * 8, 2}, ""},
		{"lora_kohya.safetensors", "", verdict{"LoRA adapter for Stable Diffusion 1", "Stable Diffusion 1", "", 4 * 2 * 8, 0}, "sd_v1"},
		{"diffusers", "model_index.json", verdict{"diffusers pipeline", "", "", 4*4*9 + 4 + 16 + 4*2*9 + 4*3*9 + 64, 0}, "StableDiffusionPipeline"},
		{"diffusers/vae", "config.json", verdict{"VAE", "", "", 4*2*9 + 4*3*9, 0}, "AutoencoderKL"},
		{"diffusers/unet", "config.json", verdict{"diffusion UNet", "", "", 4*4*9 + 4 + 16, 0}, "UNet2DConditionModel"},
		{"diffusers/text_encoder", "config.json", verdict{"text encoder (CLIP)", "", "", 64, 0}, "CLIPTextModel"},
		{"metadata_only.safetensors", "", verdict{"unknown", "", "", 0, 0}, ""},
		{"mlx_like.safetensors", "", verdict{"unknown", "", "", 3 + 6 + 4 + 5, 1}, ""},
		{"torch_f4.safetensors", "", verdict{"unknown", "", "", 4*32 + 8 + 4, 0}, ""},
		{"numpy.safetensors", "", verdict{"unknown", "", "", 13*6 + 1, 13}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			name := filepath.Join("..", "safetensors", "testdata", "real", filepath.FromSlash(test.name))
			var config []byte
			if test.config != "" {
				var err error
				if config, err = os.ReadFile(filepath.Join(name, test.config)); err != nil {
					t.Fatal(err)
				}
			}
			c, err := safetensors.OpenCheckpoint(name)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			s := describe.Describe(c, config)
			if diff := cmp.Diff(test.want, judged(s)); diff != "" {
				t.Errorf("verdict (-want +got), evidence %s:\n%s", s.Evidence, diff)
			}
			if s.Architecture != test.architecture {
				t.Errorf("architecture %q, want %q", s.Architecture, test.architecture)
			}
			consistent(t, s)
		})
	}
}

func TestPipelineComponents(t *testing.T) {
	c, err := safetensors.OpenCheckpoint("../safetensors/testdata/real/diffusers")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	want := []describe.Component{
		{"text_encoder", "text encoder (CLIP)", `tensor "text_encoder/text_model.embeddings.token_embedding.weight"`, 64, 2},
		{"unet", "diffusion UNet", "folder unet", 164, 3},
		{"vae", "VAE", `tensor "vae/decoder.conv_in.weight"`, 180, 2},
	}
	if diff := cmp.Diff(want, describe.Describe(c, nil).Components); diff != "" {
		t.Errorf("components (-want +got):\n%s", diff)
	}
}

// TestSplit is the property that no Summary depends on how tensors are split
// into files: small models, written whole, in some shards, and a file a tensor.
func TestSplit(t *testing.T) {
	tested := 0
	for _, m := range models(t) {
		if !strings.HasPrefix(m.Name, "small ") {
			continue
		}
		tested++
		entries := m.entries(t)
		for i := range entries {
			if e := &entries[i]; e.Data == nil {
				n, err := e.DataSize()
				if err != nil {
					t.Fatal(err)
				}
				e.Data = bytes.NewReader(make([]byte, n))
			}
		}
		encoder := safetensors.Encoder{Metadata: m.Metadata}
		var want describe.Summary
		for i, size := range []int64{1 << 40, 300_000, 1} {
			dir := t.TempDir()
			if _, err := encoder.WriteShards(t.Context(), filepath.Join(dir, "model.safetensors"), size, entries); err != nil {
				t.Fatal(m.Name, err)
			}
			c, err := safetensors.OpenCheckpoint(dir)
			if err != nil {
				t.Fatal(m.Name, err)
			}
			got := describe.Describe(c, m.Config)
			c.Close()
			if i == 0 {
				want = got
			} else if diff := cmp.Diff(flat(want), flat(got)); diff != "" {
				t.Fatalf("%s in shards of %d bytes (-whole +shards):\n%s", m.Name, size, diff)
			}
			if diff := cmp.Diff(m.Want, judged(got)); diff != "" {
				t.Fatalf("%s (-want +got):\n%s", m.Name, diff)
			}
		}
	}
	if tested < 10 {
		t.Errorf("only %d models", tested)
	}
}

func ExampleEntries() {
	s := describe.Entries([]safetensors.Entry{
		{Info: safetensors.Info{Name: "model.layers.0.self_attn.q_proj.qweight", DType: safetensors.I32, Shape: []uint64{512, 4096}}},
		{Info: safetensors.Info{Name: "model.layers.0.self_attn.q_proj.qzeros", DType: safetensors.I32, Shape: []uint64{32, 512}}},
		{Info: safetensors.Info{Name: "model.layers.0.self_attn.q_proj.scales", DType: safetensors.F16, Shape: []uint64{32, 4096}}},
		{Info: safetensors.Info{Name: "model.embed_tokens.weight", DType: safetensors.F16, Shape: []uint64{32000, 4096}}},
	}, nil, nil)
	fmt.Println(s.Kind)
	fmt.Println(s.Parameters, "parameters,", s.Packing)
	for _, t := range s.Tensors {
		fmt.Println(t.Name, t.Role)
		if p := t.Packing; p != nil {
			fmt.Println("  is", t.Weight(), p.Shape, "in blocks of", p.Block)
		}
	}
	// Output:
	// language model (decoder)
	// 147849216 parameters, GPTQ 4-bit
	// model.embed_tokens.weight plain
	// model.layers.0.self_attn.q_proj.qweight packed
	//   is model.layers.0.self_attn.q_proj.weight [4096 4096] in blocks of [1 128]
	// model.layers.0.self_attn.q_proj.qzeros companion
	// model.layers.0.self_attn.q_proj.scales companion
}

// TestQuanto: shapes are those of optimum-quanto 0.2.7 for a weight of 128 by
// 128 in qint4 and qint2. Its rows are not told, its numbers are counted.
func TestQuanto(t *testing.T) {
	for bits, rows := range map[int]uint64{4: 64, 2: 32} {
		s := describe.Entries([]safetensors.Entry{
			{Info: safetensors.Info{Name: "l.weight._data._data", DType: safetensors.U8, Shape: []uint64{rows, 128}}},
			{Info: safetensors.Info{Name: "l.weight._scale", DType: safetensors.BF16, Shape: []uint64{128, 1}}},
			{Info: safetensors.Info{Name: "l.weight._shift", DType: safetensors.BF16, Shape: []uint64{128, 1}}},
		}, nil, nil)
		if s.Parameters != 128*128 || s.Packing != fmt.Sprintf("Quanto %d-bit", bits) {
			t.Errorf("%d bits: %d parameters, packing %q", bits, s.Parameters, s.Packing)
		}
	}
}
