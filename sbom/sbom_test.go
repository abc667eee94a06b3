package sbom_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/go-cmp/cmp"
	"github.com/xeipuuv/gojsonschema"

	"github.com/tensmith/tensmith/sbom"
)

const sharded = "../safetensors/testdata/real/sharded"

const modelCard = `---
license: Apache-2.0
base_model:
- mistralai/Mistral-7B-v0.1
- a local folder
base_model_relation: finetune
datasets: [HuggingFaceH4/ultrachat_200k, "our own \u001b[31m"]
pipeline_tag: text-generation
library_name: transformers
language: en
tags: [a, b]
model-index:
- name: x
---
# A model
`

// model is the sharded model with a card.
func model(t testing.TB, card string) fs.FS {
	t.Helper()
	files := fstest.MapFS{"README.md": {Data: []byte(card)}}
	for _, name := range []string{"config.json", "model.safetensors.index.json", "model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors", "model-00003-of-00003.safetensors"} {
		text, err := os.ReadFile(filepath.Join(sharded, name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = &fstest.MapFile{Data: text}
	}
	return files
}

func write(t testing.TB, fsys fs.FS, name string, opts sbom.Options) []byte {
	t.Helper()
	bom, err := sbom.Make(t.Context(), fsys, name, opts)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := sbom.Write(&b, bom); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// schema is the official JSON schema of CycloneDX 1.6, which the module of
// the library has.
func schema(t testing.TB) *gojsonschema.Schema {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go").Output()
	dir := strings.TrimSpace(string(out))
	if err != nil || dir == "" {
		t.Skip("the module of cyclonedx-go is not here: ", err)
	}
	loader := gojsonschema.NewSchemaLoader()
	for _, name := range []string{"spdx.schema.json", "jsf-0.82.schemax.json"} {
		if err := loader.AddSchemas(loadSchema(t, dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	s, err := loader.Compile(loadSchema(t, dir, "bom-1.6.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func loadSchema(t testing.TB, dir, name string) gojsonschema.JSONLoader {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "schema", name))
	if err != nil {
		t.Fatal(err)
	}
	return gojsonschema.NewBytesLoader(text)
}

func holds(t testing.TB, s *gojsonschema.Schema, bom []byte) {
	t.Helper()
	result, err := s.Validate(gojsonschema.NewBytesLoader(bom))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range result.Errors() {
		t.Errorf("schema: %s", e)
	}
}

func TestSharded(t *testing.T) {
	opts := sbom.Options{
		Repo: "acme/zephyr", Commit: strings.Repeat("ab", 20), Hashes: []string{"blake2b", "blake3"}, Jobs: 3, Tool: "v1.2.3",
		Source: &sbom.Source{Name: "pytorch_model.bin", SHA256: strings.Repeat("0f", 32)},
		Time:   time.Date(2026, 11, 23, 1, 2, 3, 4, time.FixedZone("", 3600)), Serial: "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79",
	}
	text := write(t, model(t, modelCard), ".", opts)
	holds(t, schema(t), text)
	var got cdx.BOM
	if err := cdx.NewBOMDecoder(bytes.NewReader(text), cdx.BOMFileFormatJSON).Decode(&got); err != nil {
		t.Fatal(err)
	}
	if got.Metadata.Timestamp != "2026-11-23T00:02:03Z" || got.SerialNumber != opts.Serial || got.SpecVersion != cdx.SpecVersion1_6 {
		t.Errorf("%s %s %s", got.Metadata.Timestamp, got.SerialNumber, got.SpecVersion)
	}
	c := got.Metadata.Component
	files := *c.Components
	c.Components = nil
	license := cdx.Licenses{{License: &cdx.License{ID: "Apache-2.0"}}}
	want := &cdx.Component{
		BOMRef: "model", Type: "machine-learning-model", Group: "acme", Name: "zephyr", Version: opts.Commit, Licenses: &license,
		PackageURL:         "pkg:huggingface/acme/zephyr@" + opts.Commit,
		ExternalReferences: &[]cdx.ExternalReference{{Type: "distribution", URL: "https://huggingface.co/acme/zephyr/tree/" + opts.Commit}},
		Tags:               &[]string{"a", "b"},
		Pedigree: &cdx.Pedigree{Ancestors: &[]cdx.Component{
			{Type: "file", Name: "pytorch_model.bin", Hashes: &[]cdx.Hash{{Algorithm: "SHA-256", Value: opts.Source.SHA256}}},
			{Type: "machine-learning-model", Group: "mistralai", Name: "Mistral-7B-v0.1", PackageURL: "pkg:huggingface/mistralai/Mistral-7B-v0.1"},
			{Type: "machine-learning-model", Name: "a local folder"},
		}},
		ModelCard: &cdx.MLModelCard{ModelParameters: &cdx.MLModelParameters{
			Task: "text-generation", ArchitectureFamily: "llama", ModelArchitecture: "LlamaForCausalLM",
			Datasets: &[]cdx.MLDatasetChoice{
				{ComponentData: &cdx.ComponentData{Type: "dataset", Name: "HuggingFaceH4/ultrachat_200k",
					Contents: &cdx.ComponentDataContents{URL: "https://huggingface.co/datasets/HuggingFaceH4/ultrachat_200k"}}},
				{ComponentData: &cdx.ComponentData{Type: "dataset", Name: "our own \x1b[31m"}},
			},
		}},
		Properties: &[]cdx.Property{
			{Name: "tensmith:parameters", Value: "1944"}, {Name: "tensmith:elements", Value: "1944"}, {Name: "tensmith:tensors", Value: "30"},
			{Name: "tensmith:bytes", Value: "3888"}, {Name: "tensmith:dtype:BF16", Value: "1944"}, {Name: "tensmith:kind", Value: "language model (decoder)"},
			{Name: "tensmith:library", Value: "transformers"}, {Name: "tensmith:base-model-relation", Value: "finetune"}, {Name: "tensmith:language", Value: "en"},
		},
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Error(diff)
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Name)
	}
	if diff := cmp.Diff([]string{"README.md", "config.json", "model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors",
		"model-00003-of-00003.safetensors", "model.safetensors.index.json"}, names); diff != "" {
		t.Error(diff)
	}
	// By sha256sum and b2sum of coreutils, and the package blake3 of Python.
	wantFile := cdx.Component{BOMRef: "file:model-00001-of-00003.safetensors", Type: "file", Name: "model-00001-of-00003.safetensors", Hashes: &[]cdx.Hash{
		{Algorithm: "SHA-256", Value: "c3ed54b5ae7a490651973d216c9b0898efab202828fd795e6a11b065dbf4aa13"},
		{Algorithm: "BLAKE2b-512", Value: "1a680d55e09abcae2084f2217a6863936088e621e72014ba096ab21ea8a7f15738b0cd510ef9d8895be0caba5546bd6f0ca90eced6a8352f5cb03e3f121c5946"},
		{Algorithm: "BLAKE3", Value: "b3b6d00ddd0a2c51cf81f8192f58880c77ba011d6a1b20c35ff7583c6f1a8b8b"},
	}, Properties: &[]cdx.Property{{Name: "tensmith:bytes", Value: "2600"}, {Name: "tensmith:tensors", Value: "11"}}}
	if diff := cmp.Diff(wantFile, files[2]); diff != "" {
		t.Error(diff)
	}
}

// TestSame: the same model makes the same bill, with neither time nor number
// unless they are given.
func TestSame(t *testing.T) {
	one := write(t, model(t, modelCard), ".", sbom.Options{})
	for jobs := range 4 {
		if diff := cmp.Diff(string(one), string(write(t, model(t, modelCard), "model.safetensors.index.json", sbom.Options{Jobs: jobs}))); diff != "" {
			t.Error(diff)
		}
	}
	for _, member := range []string{`"timestamp"`, `"serialNumber"`} {
		if bytes.Contains(one, []byte(member)) {
			t.Errorf("the bill has %s", member)
		}
	}
}

// TestSingle: the digest of a model in one file is the file's.
func TestSingle(t *testing.T) {
	s := schema(t)
	for _, name := range []string{"numpy.safetensors", "unicode.safetensors", "gptq", "mxfp4", "lora_peft", "diffusers"} {
		text := write(t, os.DirFS("../safetensors/testdata/real"), name, sbom.Options{})
		holds(t, s, text)
		if name != "numpy.safetensors" {
			continue
		}
		var got cdx.BOM
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		c := got.Metadata.Component
		if c.Name != "numpy" || c.Hashes == nil || (*c.Hashes)[0].Value != "d0b2caca396c066a8de870e627147ba7e410dfbb2e4797c42c5dc1fc1110c21e" {
			t.Errorf("%+v", c)
		}
	}
}

func TestCards(t *testing.T) {
	s := schema(t)
	license := func(l ...cdx.License) *cdx.Licenses {
		var list cdx.Licenses
		for i := range l {
			list = append(list, cdx.LicenseChoice{License: &l[i]})
		}
		return &list
	}
	for _, test := range []struct {
		name, card string
		want       *cdx.Licenses
		fails      string
	}{
		{"none", "# A model\n", nil, ""},
		{"empty", "", nil, ""},
		{"lines of Windows", "\ufeff---\r\nlicense: mit\r\n---\r\n", license(cdx.License{ID: "MIT"}), ""},
		{"several", "---\nlicense: [mit, llama3]\n---\n", license(cdx.License{ID: "MIT"}, cdx.License{Name: "llama3"}), ""},
		{"other", "---\nlicense: other\nlicense_name: qwen\nlicense_link: https://example.org/LICENSE\n---\n",
			license(cdx.License{Name: "qwen", URL: "https://example.org/LICENSE"}), ""},
		{"link that is none", "---\nlicense: other\nlicense_link: LICENSE\n---\n", license(cdx.License{Name: "LICENSE"}), ""},
		{"link that is no IRI", "---\nlicense: mit\nlicense_link: 'https://a b/\"<'\n---\n", license(cdx.License{ID: "MIT"}), ""},
		{"members of other kinds", "---\nlicense: {a: b}\npipeline_tag: [1]\ntags: [[x], y, null]\n---\n", nil, ""},
		{"no end", "---\nlicense: mit\n", nil, "no end"},
		{"no YAML", "---\na: b: c\n---\n", nil, "front matter"},
		{"aliases without end", "---\na: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\n" +
			"e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\nlicense: mit\n---\n", license(cdx.License{ID: "MIT"}), ""},
	} {
		bom, err := sbom.Make(t.Context(), model(t, test.card), ".", sbom.Options{})
		if test.fails != "" {
			if err == nil || !strings.Contains(err.Error(), test.fails) {
				t.Errorf("%s: %v", test.name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if diff := cmp.Diff(test.want, bom.Metadata.Component.Licenses); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
		var b bytes.Buffer
		if err := sbom.Write(&b, bom); err != nil {
			t.Fatal(err)
		}
		holds(t, s, b.Bytes())
	}
}

// TestSPDX: every identifier that a Hub's name of a licence becomes is one that
// the schema has.
func TestSPDX(t *testing.T) {
	s := schema(t)
	text, err := os.ReadFile("licence.go")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, m := range regexp.MustCompile(`"([a-z0-9.-]+)": "`).FindAllStringSubmatch(string(text), -1) {
		n++
		holds(t, s, write(t, model(t, "---\nlicense: "+m[1]+"\n---\n"), ".", sbom.Options{}))
	}
	if n < 50 {
		t.Errorf("%d names found", n)
	}
}

func TestHub(t *testing.T) {
	commit := strings.Repeat("0a", 20)
	for path, want := range map[string][2]string{
		"/home/u/.cache/huggingface/hub/models--acme--zephyr-7b/snapshots/" + commit: {"acme/zephyr-7b", commit},
		"models--gpt2/snapshots/" + commit + "/model.safetensors":                    {"gpt2", commit},
		"models--a--b/snapshots/" + commit + "/unet/x.safetensors":                   {"a/b", commit},
		"models--a--b/snapshots/main":                                                {},
		"datasets--a--b/snapshots/" + commit:                                         {},
		"model":                                                                      {},
		"models--a--b/blobs/" + commit:                                               {},
		"models--a b/snapshots/" + commit:                                            {},
	} {
		repo, commit, ok := sbom.Hub(path)
		if got := [2]string{repo, commit}; got != want || ok != (want[0] != "") {
			t.Errorf("%s: %q, %t", path, got, ok)
		}
	}
}

func TestRefused(t *testing.T) {
	if _, err := sbom.Make(t.Context(), model(t, ""), ".", sbom.Options{Hashes: []string{"md5"}}); err == nil {
		t.Error("md5 is a digest")
	}
	if _, err := sbom.Make(t.Context(), fstest.MapFS{}, "gone.safetensors", sbom.Options{}); err == nil {
		t.Error("a bill of nothing")
	}
}

// FuzzCard: whatever a card and a config say, the bill can be read back, and
// is the same again.
func FuzzCard(f *testing.F) {
	f.Add(modelCard, `{"architectures":["A"],"model_type":"b"}`)
	f.Add("---\nlicense: &a [*a]\n---\n", "[")
	f.Add("---\nlibrary_name: !!binary /w==\nmodel_name: !!binary gA==\n---\n", "")
	f.Add("---\n? - a\n: b\n---", `{"architectures":{}}`)
	weights, err := os.ReadFile("../safetensors/testdata/real/numpy.safetensors")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, card, config string) {
		files := fstest.MapFS{"m.safetensors": {Data: weights}, "README.md": {Data: []byte(card)}, "config.json": {Data: []byte(config)}}
		bom, err := sbom.Make(t.Context(), files, "m.safetensors", sbom.Options{})
		if err != nil {
			return
		}
		var one, two bytes.Buffer
		if err := sbom.Write(&one, bom); err != nil {
			t.Fatal(err)
		}
		var again cdx.BOM
		if err := cdx.NewBOMDecoder(bytes.NewReader(one.Bytes()), cdx.BOMFileFormatJSON).Decode(&again); err != nil {
			t.Fatal(err)
		}
		if err := sbom.Write(&two, &again); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(one.String(), two.String()); diff != "" {
			t.Error(diff)
		}
	})
}

// TestChanged fails where a file gets longer or shorter while it is read.
func TestChanged(t *testing.T) {
	whole, err := os.ReadFile("../safetensors/testdata/real/numpy.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	long := append(bytes.Clone(whole), make([]byte, 1<<20)...)
	for name, now := range map[string][]byte{"longer": append(bytes.Clone(long), 0), "shorter": long[:len(long)-1], "the same": long} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range map[string][]byte{"m.safetensors": whole, "README.md": long} {
				if err := os.WriteFile(filepath.Join(dir, file), text, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			opts := sbom.Options{Hashes: []string{"blake2b"}, Progress: func(int64, int64) {
				if err := os.Truncate(filepath.Join(dir, "README.md"), int64(len(now))); err != nil {
					t.Error(err)
				}
			}}
			_, err := sbom.Make(t.Context(), os.DirFS(dir), ".", opts)
			if want := name != "the same"; (err != nil) != want || want && !strings.Contains(err.Error(), "it has changed from") {
				t.Errorf("%v", err)
			}
		})
	}
}

func ExampleMake() {
	files := os.DirFS("../safetensors/testdata/real")
	opts := sbom.Options{Repo: "acme/tiny", Commit: "0123456789abcdef0123456789abcdef01234567"}
	bom, err := sbom.Make(context.Background(), files, "sharded", opts)
	if err != nil {
		panic(err)
	}
	c := bom.Metadata.Component
	fmt.Println(c.Type, c.PackageURL)
	for _, p := range *c.Properties {
		fmt.Println(p.Name, p.Value)
	}
	// Output:
	// machine-learning-model pkg:huggingface/acme/tiny@0123456789abcdef0123456789abcdef01234567
	// tensmith:parameters 1944
	// tensmith:elements 1944
	// tensmith:tensors 30
	// tensmith:bytes 3888
	// tensmith:dtype:BF16 1944
	// tensmith:kind language model (decoder)
}
