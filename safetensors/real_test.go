package safetensors_test

import (
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tensmith/tensmith/safetensors"
)

// expected is what the Python package read from a file or a folder: see
// testdata/real/README.md.
type expected struct {
	Folder   string
	Index    string
	Metadata map[string]string
	Tensors  []struct {
		Name, DType, SHA256, Shard string
		Shape                      []uint64
	}
}

// expectations calls yield with each file or folder that has an expectation.
func expectations(t *testing.T, yield func(t *testing.T, path string, want expected)) {
	const root = "testdata/real"
	count := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		name, ok := strings.CutSuffix(path, ".expected.json")
		if err != nil || !ok {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var want expected
		if err := json.Unmarshal(text, &want); err != nil {
			return err
		}
		count++
		t.Run(strings.TrimPrefix(filepath.ToSlash(name), root+"/"), func(t *testing.T) { yield(t, name, want) })
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if count < 30 {
		t.Errorf("%d expectations, there were 31 when this was written", count)
	}
}

// TestReal reads what the Python package wrote, and finds what it finds.
func TestReal(t *testing.T) {
	expectations(t, func(t *testing.T, path string, want expected) {
		open := map[string]func() (tensors, error){
			"OpenCheckpoint": func() (tensors, error) { return safetensors.OpenCheckpoint(path) },
		}
		if want.Folder == "" {
			open["Open"] = func() (tensors, error) { return safetensors.Open(path) }
			open["Map"] = func() (tensors, error) { return safetensors.Map(path) }
		} else if strings.HasSuffix(want.Index, ".index.json") {
			open["OpenCheckpoint of the index"] = func() (tensors, error) {
				return safetensors.OpenCheckpoint(filepath.Join(path, want.Index))
			}
		}
		for name, open := range open {
			f, err := open()
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			defer f.Close()
			if f.Len() != len(want.Tensors) {
				t.Errorf("%s: %d tensors, want %d", name, f.Len(), len(want.Tensors))
			}
			if got := f.Metadata(); want.Folder == "" && (!maps.Equal(got, want.Metadata) || (got == nil) != (want.Metadata == nil)) {
				t.Errorf("%s: metadata %q, want %q", name, got, want.Metadata)
			}
			for _, w := range want.Tensors {
				full := w.Name
				if want.Index == "model_index.json" { // a diffusers folder
					full = filepath.Dir(w.Shard) + "/" + w.Name
				}
				tensor, err := f.Tensor(full)
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				sameTensor(t, tensor, full, w.DType, w.Shape, w.SHA256)
				if w.Shard != "" && tensor.File().Name() != filepath.Join(path, w.Shard) {
					t.Errorf("%s: tensor %q is in %s, want %s", name, full, tensor.File().Name(), w.Shard)
				}
			}
		}
	})
}

// TestRealNotes states that the real files give no error, and which of them
// give a note.
func TestRealNotes(t *testing.T) {
	want := map[string]string{
		"mlx_like.safetensors": "mlx_like.safetensors: " + safetensors.NoteNull.Error(),
		"mistral":              "consolidated.safetensors: " + safetensors.NoteFile.Error(),
	}
	expectations(t, func(t *testing.T, path string, e expected) {
		var got []string
		c, err := safetensors.CheckCheckpoint(os.DirFS(filepath.Dir(path)), filepath.Base(path), func(e *safetensors.FormatError) bool {
			got = append(got, filepath.Base(e.File)+": "+e.Err.Error())
			return true
		})
		if err != nil || c == nil {
			t.Fatalf("%v, reports %q", err, got)
		}
		c.Close()
		if note := want[filepath.Base(path)]; strings.Join(got, "\n") != note {
			t.Errorf("reports %q, want %q", got, note)
		}
	})
}
