package convert

import (
	"os"
	"testing"
)

// TestParts opens directories that hold tensors in parts as what they are.
func TestParts(t *testing.T) {
	for name, want := range map[string]struct {
		format  string
		tensors int
	}{
		"dcp215/hf_1":                     {"dcp-safetensors", 7},
		"dcp215/hf_3":                     {"dcp-safetensors", 7},
		"dcp25/two_ranks":                 {"dcp", 7},
		"deepspeed019/zero0":              {"torch-zip", 8},
		"deepspeed019/zero2":              {"deepspeed", 8},
		"deepspeed019/zero3":              {"deepspeed", 8},
		"deepspeed019/zero1/global_step1": {"deepspeed", 7},
	} {
		f, err := Open(os.DirFS("torch/testdata"), name, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if f.Format != want.format || len(f.Entries) != want.tensors {
			t.Errorf("%s: %s of %d tensors, want %s of %d", name, f.Format, len(f.Entries), want.format, want.tensors)
		}
		f.Close()
	}
	// One file of slices is converted as it is, and says so.
	f, err := Open(os.DirFS("torch/testdata"), "dcp215/hf_3/shard-00001-model-00001-of-00002.safetensors", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if len(f.Notes) != 1 || f.Notes[0].Kind != "container" {
		t.Errorf("notes %v", f.Notes)
	}
}
