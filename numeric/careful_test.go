package numeric

import (
	"encoding/json"
	"math"
	"os"
	"testing"

	"github.com/tensmith/tensmith/safetensors"
)

// An extreme is a row of testdata/extreme.json, which make_extreme.py writes.
type extreme struct {
	DType          string
	Base, Step     float64
	Count          int
	Mean, Std, L2  float64
	Factor         float64
	Cosine, SQNR   float64
	DifferenceNorm float64 `json:"diff_l2"`
}

func (e *extreme) data(t *testing.T, factor float64) Data {
	t.Helper()
	d, err := safetensors.ParseDType(e.DType)
	if err != nil {
		t.Fatal(err)
	}
	values := make([]float64, e.Count)
	for i := range values {
		values[i] = (e.Base + float64(e.Step*float64(i*7919%1000-500))) * factor
	}
	raw := make([]byte, bytesOf(d, int64(e.Count)))
	if err := Encode(raw, d, values, ToSpecial); err != nil {
		t.Fatal(err)
	}
	return Data{d, Memory(raw), int64(len(raw))}
}

// TestExtremes holds sums to exact fractions, where numbers are alike but for
// their last bits, and where their squares are beyond float64.
func TestExtremes(t *testing.T) {
	text, err := os.ReadFile("testdata/extreme.json")
	if err != nil {
		t.Fatal(err)
	}
	var rows []extreme
	if err := json.Unmarshal(text, &rows); err != nil {
		t.Fatal(err)
	}
	near := func(got, want, relative float64) bool {
		return math.Abs(got-want) <= relative*math.Abs(want) || math.Abs(got-want) < 0x1p-1060
	}
	for _, e := range rows {
		s, err := Scan{}.Stats(t.Context(), e.data(t, 1))
		if err != nil {
			t.Fatal(err)
		}
		scale := max(math.Abs(e.Base), math.Abs(e.Step*500))
		if math.Abs(s.Mean()/scale-e.Mean/scale) > 0x1p-42 || !near(s.Std(), e.Std, 1e-9) || !near(s.L2(), e.L2, 1e-12) {
			t.Errorf("%+v: mean %v, std %v, L2 %v", e, s.Mean(), s.Std(), s.L2())
		}
		if e.Factor == 0 {
			continue
		}
		d, err := Scan{}.Compare(t.Context(), e.data(t, 1), e.data(t, e.Factor), Tolerance{})
		if err != nil {
			t.Fatal(err)
		}
		if !near(d.L2(), e.DifferenceNorm, 1e-12) || !near(d.Cosine(), e.Cosine, 1e-12) || math.Abs(d.SQNR()-e.SQNR) > 1e-6 {
			t.Errorf("%+v: L2 %v, cosine %v, SQNR %v", e, d.L2(), d.Cosine(), d.SQNR())
		}
		var twice Diff
		twice.Merge(d)
		twice.Merge(d)
		if !near(twice.L2()/math.Sqrt2, e.DifferenceNorm, 1e-12) || !near(twice.Cosine(), e.Cosine, 1e-12) {
			t.Errorf("%+v: merged: L2 %v, cosine %v", e, twice.L2(), twice.Cosine())
		}
		var both Stats
		both.Merge(s)
		both.Merge(s)
		if !near(both.L2()/math.Sqrt2, e.L2, 1e-12) || !near(both.Std(), e.Std, 1e-9) {
			t.Errorf("%+v: merged: L2 %v, std %v", e, both.L2(), both.Std())
		}
	}
}

// TestExtremeLoss: of what becomes zero all is lost, which are 0 decibels.
func TestExtremeLoss(t *testing.T) {
	for _, test := range []struct {
		value, maxAbs, sqnr float64
		mode                Overflow
	}{
		{1e-200, 1e-200, 0, ToSpecial},
		{1e300, 1e300 - math.MaxFloat32, 0, Saturate},
		{1.5e-40, 1.5e-40 - float64(float32(1.5e-40)), 20 * math.Log10(1.5e-40/math.Abs(1.5e-40-float64(float32(1.5e-40)))), ToSpecial},
	} {
		raw := make([]byte, 8*100)
		values := make([]float64, 100)
		for i := range values {
			values[i] = test.value
		}
		if err := Encode(raw, safetensors.F64, values, ToSpecial); err != nil {
			t.Fatal(err)
		}
		c, err := NewCast(Data{safetensors.F64, Memory(raw), int64(len(raw))}, safetensors.F32, test.mode)
		if err != nil {
			t.Fatal(err)
		}
		l, err := Scan{}.Loss(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if l.MaxAbs != math.Abs(test.maxAbs) || math.Abs(l.SQNR-test.sqnr) > 1e-9 {
			t.Errorf("%v: %+v", test.value, l)
		}
	}
}
