package numeric

import (
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tensmith/tensmith/safetensors"
)

// goldenCount is COUNT of testdata/values.py.
const goldenCount = 50_024

// A goldenStats is what numpy says of one series.
type goldenStats struct {
	DType, Series                                    string
	Count, Zeros, NaNs, PosInfs, NegInfs, Subnormals uint64
	Min, Max, AbsMax, Mean, MeanAbs, Std, L2         float64
	Q, Quantiles, Edges, LogEdges                    []float64
	Histogram, Magnitudes                            []uint64
}

// A goldenPair is what torch says of two.
type goldenPair struct {
	A, B, Series                   string
	Count, Changed, Special, First uint64
	MaxAbs, MaxRel, L2, Cosine     float64
	MaxAbsAt                       uint64
	Tolerances                     [][3]float64
}

func goldenValues(t *testing.T) (values struct {
	Stats []goldenStats
	Pairs []goldenPair
}) {
	t.Helper()
	f, err := os.Open("testdata/values.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.NewDecoder(r).Decode(&values); err != nil {
		t.Fatal(err)
	}
	return values
}

func splitmix64(i uint64) uint64 {
	z := (i + 1) * 0x9E3779B97F4A7C15
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

// series makes the numbers of testdata/values.py.
func series(t testing.TB, name, kind string) Data {
	t.Helper()
	d, err := safetensors.ParseDType(name)
	if err != nil {
		t.Fatal(err)
	}
	raw := make([]byte, goldenCount*d.Bits()/8)
	if kind == "bits" {
		if d.Bits() < 8 {
			codes := make([]uint64, goldenCount)
			for i := range codes {
				codes[i] = splitmix64(uint64(i)) & (1<<d.Bits() - 1)
			}
			raw = pack(d, codes)
		} else {
			var word [8]byte
			for i := range goldenCount {
				binary.LittleEndian.PutUint64(word[:], splitmix64(uint64(i)))
				copy(raw[i*d.Bits()/8:], word[:d.Bits()/8])
			}
		}
	} else {
		values := make([]float32, goldenCount)
		for i := range values {
			w := splitmix64(uint64(i))
			if values[i] = float32(int64(w>>40)-1<<23) / (1 << 26); w&7 == 7 {
				values[i] = 0
			}
			if kind == "noisy" && w&0x18 == 0 {
				values[i] += float32(int64(w>>8&0xFF)-128) / (1 << 32)
			}
		}
		if err := Encode(raw, d, values, ToSpecial); err != nil {
			t.Fatal(err)
		}
	}
	return Data{DType: d, Source: Memory(raw), Size: int64(len(raw))}
}

// near tells whether two numbers agree to a relative error.
func near(got, want, within float64) bool {
	return got == want || math.Abs(got-want) <= within*math.Abs(want)
}

func TestStatsGolden(t *testing.T) {
	for _, want := range goldenValues(t).Stats {
		t.Run(want.DType+"/"+want.Series, func(t *testing.T) {
			s, err := Scan{Quantiles: true, Workers: 2}.Stats(t.Context(), series(t, want.DType, want.Series))
			if err != nil {
				t.Fatal(err)
			}
			counts := []uint64{s.Count, s.Zeros, s.NaNs, s.PosInfs, s.NegInfs, s.Subnormals}
			if diff := cmp.Diff([]uint64{want.Count, want.Zeros, want.NaNs, want.PosInfs, want.NegInfs, want.Subnormals}, counts); diff != "" {
				t.Errorf("counts: %s", diff)
			}
			for _, one := range []struct {
				name      string
				got, want float64
				within    float64
			}{
				{"min", s.Min(), want.Min, 0}, {"max", s.Max(), want.Max, 0}, {"abs-max", s.AbsMax(), want.AbsMax, 0},
				{"std", s.Std(), want.Std, 1e-14}, {"L2", s.L2(), want.L2, 1e-14},
				// The error of a sum is in proportion to the magnitudes.
				{"mean", s.Mean() + want.MeanAbs, want.Mean + want.MeanAbs, 1e-14},
			} {
				if !near(one.got, one.want, one.within) {
					t.Errorf("%s: got %v, want %v", one.name, one.got, one.want)
				}
			}
			within := 0.0
			if s.Count > 0 && series(t, want.DType, want.Series).DType.Bits() > 16 {
				within = 1.0 / 256
			}
			for i, q := range want.Q {
				if got, ok := s.Quantile(q); !ok || !near(got, want.Quantiles[i], within) {
					t.Errorf("quantile %v: got %v, want %v", q, got, want.Quantiles[i])
				}
			}
			// The edges of ours are numpy's, but for the last digits of logarithmic ones.
			if diff := cmp.Diff(want.Edges, LinearEdges(want.Edges[0], want.Edges[16], 16)); diff != "" {
				t.Errorf("linear edges: %s", diff)
			}
			for i, edge := range LogEdges(want.LogEdges[0], want.LogEdges[12], 12) {
				if !near(edge, want.LogEdges[i], 1e-13) {
					t.Errorf("logarithmic edge %d: %v, want %v", i, edge, want.LogEdges[i])
				}
			}
			exact, err := Scan{Workers: 2}.Histogram(t.Context(), series(t, want.DType, want.Series), want.Edges)
			if diff := cmp.Diff(want.Histogram, exact); diff != "" || err != nil {
				t.Errorf("histogram: %s, %v", diff, err)
			}
			exact, err = Scan{}.Magnitudes(t.Context(), series(t, want.DType, want.Series), want.LogEdges)
			if diff := cmp.Diff(want.Magnitudes, exact); diff != "" || err != nil {
				t.Errorf("magnitudes: %s, %v", diff, err)
			}
			if within > 0 {
				return // bins near an edge may differ; TestHistogramSketch bounds them
			}
			if diff := cmp.Diff(want.Histogram, s.Histogram(want.Edges)); diff != "" {
				t.Errorf("histogram: %s", diff)
			}
			if diff := cmp.Diff(want.Magnitudes, s.Magnitudes(want.LogEdges)); diff != "" {
				t.Errorf("magnitudes: %s", diff)
			}
		})
	}
}

// TestHistogramSketch holds a histogram of a sketch to numpy's: what is below
// an edge lies between numpy's counts for the edge moved by the stated error.
func TestHistogramSketch(t *testing.T) {
	data := series(t, "F32", "weights")
	s, err := Scan{Quantiles: true}.Stats(t.Context(), data)
	if err != nil {
		t.Fatal(err)
	}
	values := make([]float32, goldenCount)
	if err := Decode(values, data.DType, data.Source.(Memory)); err != nil {
		t.Fatal(err)
	}
	below := func(edge float64) (n uint64) {
		for _, v := range values {
			if float64(v) < edge {
				n++
			}
		}
		return n
	}
	for _, edge := range []float64{-0.1, -0.01, -1e-4, 0, 1e-4, 0.05, 0.12} {
		got := s.Histogram([]float64{-1, edge})
		slack := math.Abs(edge) / 128
		if low, high := below(edge-slack), below(edge+slack); got[0] < low || got[0] > max(high, below(math.Nextafter(edge, 1))) {
			t.Errorf("below %v: %d, not in %d to %d", edge, got[0], low, high)
		}
	}
}

func TestCompareGolden(t *testing.T) {
	for _, want := range goldenValues(t).Pairs {
		t.Run(fmt.Sprint(want.A, "-", want.B, "/", want.Series), func(t *testing.T) {
			second := want.Series
			if second == "weights" {
				second = "noisy"
			}
			a, b := series(t, want.A, want.Series), series(t, want.B, second)
			for _, tolerance := range want.Tolerances {
				d, err := Scan{Workers: 2}.Compare(t.Context(), a, b, Tolerance{Rel: tolerance[0], Abs: tolerance[1]})
				if err != nil {
					t.Fatal(err)
				}
				if d.Beyond != uint64(tolerance[2]) {
					t.Errorf("%v: %d beyond, want %v", tolerance[:2], d.Beyond, tolerance[2])
				}
				got := []any{d.Count, d.Changed, d.Special, d.First, d.MaxAbs, d.MaxAbsAt, d.MaxRel}
				if diff := cmp.Diff([]any{want.Count, want.Changed, want.Special, want.First, want.MaxAbs, want.MaxAbsAt, want.MaxRel}, got); diff != "" {
					t.Errorf("%s", diff)
				}
				if !near(d.L2(), want.L2, 1e-14) || !near(d.Cosine(), want.Cosine, 1e-9) {
					t.Errorf("L2 %v, want %v; cosine %v, want %v", d.L2(), want.L2, d.Cosine(), want.Cosine)
				}
			}
		})
	}
}
