package quant_test

import (
	"bytes"
	"encoding/json"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tensmith/tensmith/quant"
	"github.com/tensmith/tensmith/safetensors"
)

// A sample is a file of testdata, which testdata/make.py makes: packed
// tensors, and what their own library makes of them.
type sample struct {
	name    string
	packed  []safetensors.Entry
	want    map[string]*safetensors.Tensor
	config  []byte
	library string
}

func samples(t testing.TB) (list []sample) {
	t.Helper()
	files, err := filepath.Glob("testdata/*.safetensors")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, name := range files {
		f, err := safetensors.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		var about struct {
			Config string `json:"config"`
			MadeBy string `json:"made_by"`
			Call   string `json:"call"`
		}
		if err := json.Unmarshal([]byte(f.Metadata()["case"]), &about); err != nil {
			t.Fatal(err)
		}
		s := sample{name: strings.TrimSuffix(filepath.Base(name), ".safetensors"), want: map[string]*safetensors.Tensor{},
			config: []byte(about.Config), library: about.MadeBy + " " + about.Call}
		for tensor := range f.All() {
			if weight, ok := strings.CutPrefix(tensor.Name, "expected:"); ok {
				s.want[weight] = tensor
			} else {
				s.packed = append(s.packed, safetensors.Entry{Info: tensor.Info, Data: tensor})
			}
		}
		list = append(list, s)
	}
	return list
}

// TestLibraries holds every scheme to the library that made it, bit by bit.
func TestLibraries(t *testing.T) {
	for _, s := range samples(t) {
		t.Run(s.name, func(t *testing.T) {
			m := quant.Entries(s.packed, nil, s.config)
			packed := m.Packed()
			if len(packed) != len(s.want) {
				t.Errorf("%d packed tensors, want %d", len(packed), len(s.want))
			}
			for _, p := range packed {
				want := s.want[p.Weight()]
				if want == nil {
					t.Errorf("%s: no weight is called %q", p.Name, p.Weight())
					continue
				}
				w, err := m.Weight(p.Name, want.DType)
				if err != nil {
					t.Error(err)
					continue
				}
				if diff := cmp.Diff(want.Shape, w.Shape); diff != "" {
					t.Errorf("%s: shape (-want +got):\n%s", p.Name, diff)
				}
				var got bytes.Buffer
				if _, err := w.WriteTo(&got); err != nil {
					t.Error(err)
					continue
				}
				expected, err := want.Bytes()
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got.Bytes(), expected) {
					t.Errorf("%s: %d of %d bytes differ from %s", p.Name, differ(got.Bytes(), expected), len(expected), s.library)
				}
			}
		})
	}
}

func differ(a, b []byte) (n int) {
	for i := range b {
		if i >= len(a) || a[i] != b[i] {
			n++
		}
	}
	return n
}

// TestPieces holds that a weight is the same whatever pieces it is read in.
func TestPieces(t *testing.T) {
	for _, s := range samples(t) {
		m := quant.Entries(s.packed, nil, s.config)
		for _, p := range m.Packed() {
			for _, to := range []safetensors.DType{safetensors.F16, safetensors.F32} {
				w, err := m.Weight(p.Name, to)
				if err != nil {
					t.Fatal(err)
				}
				whole := make([]byte, w.Size())
				if n, err := w.ReadAt(whole, 0); n != len(whole) || err != nil {
					t.Fatalf("%s %s: %d, %v", s.name, p.Name, n, err)
				}
				for off := int64(0); off < w.Size(); off += 1 + w.Size()/17 {
					for _, size := range []int64{1, 2, 3, 7, 64, 1000, 5001} {
						piece := make([]byte, size)
						n, err := w.ReadAt(piece, off)
						want := whole[off:min(w.Size(), off+size)]
						if (err != nil) != (n < len(piece)) || err != nil && err != io.EOF {
							t.Fatalf("%s %s: %d at %d: %d, %v", s.name, p.Name, size, off, n, err)
						}
						if !bytes.Equal(piece[:n], want) {
							t.Fatalf("%s %s: %d bytes at %d differ", s.name, p.Name, size, off)
						}
					}
				}
			}
		}
	}
}
