package quant_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
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
				all = append(all, q.Entries()...)
				for _, got := range q.Entries() {
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
			m := quant.Entries(all, nil, nil)
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

// What is measured while entries are read is what a reading of all finds, to the
// last bit, whoever reads what first.
func TestMeasure(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	tests := []struct {
		scaling quant.Scaling
		to      safetensors.DType
		shape   []uint64
	}{
		{quant.Unscaled, safetensors.F4, []uint64{130, 256}},
		{quant.PerTensor, safetensors.F8E4M3, []uint64{300, 131}},
		{quant.Block128, safetensors.F8E5M2, []uint64{2, 129, 257}},
		{quant.Block128, safetensors.F8E4M3, []uint64{3, 5}},
		{quant.MX, safetensors.F8E4M3, []uint64{513, 96}},
		{quant.MX, safetensors.F4, []uint64{1100, 64}},
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%s %s %d", test.scaling, test.to, test.shape), func(t *testing.T) {
			n := uint64(1)
			for _, d := range test.shape {
				n *= d
			}
			raw := make([]byte, 4*n)
			for i := range n {
				binary.LittleEndian.PutUint32(raw[4*i:], math.Float32bits(float32(random.NormFloat64()*400)))
			}
			make := func() *quant.Quantized {
				q, err := quant.Quantize(safetensors.Entry{Info: safetensors.Info{Name: "a.weight", DType: safetensors.F32, Shape: test.shape}, Data: bytes.NewReader(raw)}, test.to, test.scaling, numeric.Saturate)
				if err != nil {
					t.Fatal(err)
				}
				return q
			}
			want, err := make().Loss(t.Context(), numeric.Scan{})
			if err != nil {
				t.Fatal(err)
			}
			q := make()
			q.Measure()
			data := q.Entries()[0].Data.(interface {
				io.ReaderAt
				Size() int64
			})
			var cuts []int64
			for range 4 {
				cuts = append(cuts, random.Int64N(data.Size()+1))
			}
			cuts = append(cuts, 0, data.Size())
			slices.Sort(cuts)
			for _, i := range random.Perm(len(cuts) - 1) {
				p := bytes.Repeat([]byte{0}, int(cuts[i+1]-cuts[i]))
				if n, err := data.ReadAt(p, cuts[i]); n < len(p) {
					t.Fatal(err)
				}
			}
			clear(raw) // what is known is not read again
			got, err := q.Loss(t.Context(), numeric.Scan{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-read again +measured):\n%s", diff)
			}
		})
	}
}

// What codes have been read of is not read again for its scales, and the other way
// round the scales are those of codes that are read in any pieces.
func TestScalesFromCodes(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for _, scaling := range []quant.Scaling{quant.PerTensor, quant.Block128} {
		for _, test := range []struct {
			dtype safetensors.DType
			shape []uint64
		}{
			{safetensors.F32, []uint64{3, 5}},             // one scale
			{safetensors.F32, []uint64{1, 300}},           // small, and three blocks
			{safetensors.F64, []uint64{3, 5}},             // small
			{safetensors.BF16, []uint64{2, 300, 131}},     // of which no band is a whole number of what is read at a time
			{safetensors.F64, []uint64{130, 200}},         // likewise
			{safetensors.F16, []uint64{1000, 40, 3}},      // bands of few numbers
			{safetensors.F32, []uint64{129, 3 * 1 << 14}}, // rows longer than what is read at a time
		} {
			t.Run(fmt.Sprintf("%s %s %d", scaling, test.dtype, test.shape), func(t *testing.T) {
				n := uint64(1)
				for _, d := range test.shape {
					n *= d
				}
				values := make([]float32, n)
				for i := range values {
					values[i] = float32(random.NormFloat64() * math.Exp(float64(i%7)))
				}
				raw := make([]byte, int(n)*test.dtype.Bits()/8)
				if err := numeric.Encode(raw, test.dtype, values, numeric.ToSpecial); err != nil {
					t.Fatal(err)
				}
				e := safetensors.Entry{Info: safetensors.Info{Name: "a.weight", DType: test.dtype, Shape: test.shape}, Data: bytes.NewReader(raw)}
				read := func(order ...int) [2][]byte {
					q, err := quant.Quantize(e, safetensors.F8E4M3, scaling, numeric.Saturate)
					if err != nil {
						t.Fatal(err)
					}
					var all [2][]byte
					for i, which := range order {
						var b bytes.Buffer
						if _, err := q.Entries()[which].Data.WriteTo(&b); err != nil {
							t.Fatal(err)
						}
						if all[which] = b.Bytes(); i == 0 && which == 0 {
							defer copy(raw, bytes.Clone(raw))
							clear(raw)
						}
					}
					return all
				}
				want, got := read(1, 0), read(0, 1)
				for i, name := range []string{"codes", "scales"} {
					if !bytes.Equal(want[i], got[i]) {
						t.Errorf("%s: %d of %d bytes differ", name, differ(want[i], got[i]), len(want[i]))
					}
				}
			})
		}
	}
}
