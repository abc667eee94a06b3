package quant_test

import (
	"bytes"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tensmith/tensmith/numeric"
	"github.com/tensmith/tensmith/quant"
	"github.com/tensmith/tensmith/safetensors"
)

// TestQuantizers holds Quantize to what testdata/make_quantized.py has got from
// others: the same tensors, bit by bit, and the same values when read back.
func TestQuantizers(t *testing.T) {
	for _, test := range []struct {
		file    string
		scaling quant.Scaling
		to      safetensors.DType
	}{
		{"tensor", quant.PerTensor, safetensors.F8E4M3},
		{"block128", quant.Block128, safetensors.F8E4M3},
		{"mxfp8", quant.MX, safetensors.F8E4M3},
		{"mxfp8-e5m2", quant.MX, safetensors.F8E5M2},
		{"mxfp4", quant.MX, safetensors.F4},
	} {
		t.Run(test.file, func(t *testing.T) {
			f, err := safetensors.Open(filepath.Join("testdata/quantized", test.file+".safetensors"))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			var all []safetensors.Entry
			names := 0
			for source := range f.All() {
				name, ok := strings.CutPrefix(source.Name, "from:")
				if !ok {
					continue
				}
				names++
				e := safetensors.Entry{Info: source.Info, Data: source}
				e.Name = name
				q, err := quant.Quantize(e, test.to, test.scaling, numeric.ToSpecial)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, q.Entries...)
				for _, got := range q.Entries {
					want, err := f.Tensor(got.Name)
					if err != nil {
						t.Error(err)
						continue
					}
					same(t, got, want)
				}
				same(t, safetensors.Entry{Info: safetensors.Info{Name: "value:" + name, DType: safetensors.F32, Shape: source.Shape}, Data: view{q.Data()}}, tensor(t, f, "value:"+name))
			}
			if names < 2 {
				t.Fatalf("%d tensors", names)
			}
			// What has been written is recognised, and read to the same values.
			m := quant.Open(all, nil, nil)
			packed := m.Packed()
			if len(packed) != names {
				t.Errorf("%d recognised, want %d", len(packed), names)
			}
			for _, p := range packed {
				w, err := m.Weight(p.Name, safetensors.F32)
				if err != nil {
					t.Error(err)
					continue
				}
				same(t, safetensors.Entry{Info: w.Info, Data: w}, tensor(t, f, "value:"+w.Name))
			}
		})
	}
}

func tensor(t *testing.T, f *safetensors.File, name string) *safetensors.Tensor {
	t.Helper()
	found, err := f.Tensor(name)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// view is data for an entry.
type view struct{ numeric.Data }

// WriteTo implements io.WriterTo.
func (v view) WriteTo(w io.Writer) (int64, error) {
	raw := make([]byte, v.Size)
	if _, err := v.Source.ReadAt(raw, 0); err != nil {
		return 0, err
	}
	n, err := w.Write(raw)
	return int64(n), err
}

func same(t *testing.T, got safetensors.Entry, want *safetensors.Tensor) {
	t.Helper()
	if got.DType != want.DType {
		t.Errorf("%s: %s, want %s", got.Name, got.DType, want.DType)
	}
	if diff := cmp.Diff(want.Shape, got.Shape); diff != "" {
		t.Errorf("%s: shape (-want +got):\n%s", got.Name, diff)
	}
	expected, err := want.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := got.Data.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b.Bytes(), expected) {
		t.Errorf("%s: %d of %d bytes differ", got.Name, differ(b.Bytes(), expected), len(expected))
	}
}
