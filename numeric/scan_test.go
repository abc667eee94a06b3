package numeric

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tensmith/tensmith/safetensors"
)

// unexported lets go-cmp look into results: equal results are equal bit by bit.
var unexported = cmp.AllowUnexported(Stats{}, Diff{}, exact{}, tally{})

// normalised takes the carries of the sums, so that equal sums look equal.
func normalised(s *Stats) *Stats {
	c := new(Stats)
	c.Merge(s)
	return c
}

func statsOf(t *testing.T, scan Scan, data Data) *Stats {
	t.Helper()
	s, err := scan.Stats(t.Context(), data)
	if err != nil {
		t.Fatal(err)
	}
	return normalised(s)
}

// large returns some MiB of any bits as d, so that there are several pieces.
func large(d safetensors.DType, size int) Data {
	raw := make([]byte, size/24*24)
	for i := 0; i+8 <= len(raw); i += 8 {
		binary.LittleEndian.PutUint64(raw[i:], splitmix64(uint64(i)))
	}
	if d == safetensors.Bool {
		for i := range raw {
			raw[i] &= 1
		}
	}
	return Data{DType: d, Source: Memory(raw), Size: int64(len(raw))}
}

// TestScanAlike holds that workers and the kind of source change nothing.
func TestScanAlike(t *testing.T) {
	for d := safetensors.Bool; d <= safetensors.U64; d++ {
		if thin > 1 && !slices.Contains([]safetensors.DType{safetensors.F4, safetensors.F8E4M3, safetensors.BF16, safetensors.F32, safetensors.I64}, d) {
			continue
		}
		t.Run(d.String(), func(t *testing.T) {
			data := large(d, 3<<20)
			other := data
			changed := bytes.Clone(data.Source.(Memory))
			for i := 0; i < len(changed); i += 100_003 {
				changed[i] ^= 1
			}
			other.Source = opaque{Memory(changed)}
			wantStats := statsOf(t, Scan{Workers: 1, Quantiles: true}, data)
			wantDiff, err := Scan{Workers: 1}.Compare(t.Context(), data, other, Tolerance{})
			if err != nil {
				t.Fatal(err)
			}
			for _, scan := range []Scan{{Workers: 2, Quantiles: true}, {Workers: 7, Quantiles: true}} {
				hidden := data
				hidden.Source = opaque{data.Source}
				if diff := cmp.Diff(wantStats, statsOf(t, scan, hidden), unexported); diff != "" {
					t.Errorf("%d workers: stats: %.500s", scan.Workers, diff)
				}
				got, err := scan.Compare(t.Context(), hidden, other, Tolerance{})
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(wantDiff, got, unexported); diff != "" {
					t.Errorf("%d workers: diff: %.500s", scan.Workers, diff)
				}
			}
			plain := statsOf(t, Scan{}, data)
			wantStats.tally = nil
			if diff := cmp.Diff(wantStats, plain, unexported); diff != "" {
				t.Errorf("without quantiles: %.500s", diff)
			}
		})
	}
}

// TestSameBits holds that results are the same, to the last bit, on every
// processor, with kernels and without. The numbers are those of amd64; that they
// are right is for TestStatsGolden to say.
func TestSameBits(t *testing.T) {
	var got []string
	for _, name := range []string{"F32", "BF16", "F16", "F64"} {
		a, b := series(t, name, "weights"), series(t, "F32", "noisy")
		s := statsOf(t, Scan{}, a)
		d, err := Scan{}.Compare(t.Context(), a, b, Tolerance{})
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s %x %x %x %x %x", name, s.Mean(), s.Std(), d.L2(), d.dot.float64(), d.MaxRel))
	}
	want := []string{
		"F32 -0x1.252bd96f272e1p-12 0x1.144232fcaa4dp-04 0x1.04839342eeaa4p-19 0x1.c71f2902b7d02p+07 0x1p+00",
		"BF16 -0x1.2542cc9eaf4e8p-12 0x1.14431083498e4p-04 0x1.6ed754dec33a6p-06 0x1.c7207542d97afp+07 0x1p+00",
		"F16 -0x1.25138ad427239p-12 0x1.144249b91f666p-04 0x1.6e260540d01cep-09 0x1.c71f4dca0ce26p+07 0x1p+00",
		"F64 -0x1.252bd96f272e1p-12 0x1.144232fcaa4dp-04 0x1.04839342eeaa4p-19 0x1.c71f2902b7d02p+07 0x1p+00",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestStatsMerge holds that merging is associative and commutative, over types.
func TestStatsMerge(t *testing.T) {
	var parts []*Stats
	for _, d := range []safetensors.DType{safetensors.F32, safetensors.BF16, safetensors.F8E4M3, safetensors.F16, safetensors.BF16, safetensors.I32, safetensors.U8, safetensors.F16} {
		parts = append(parts, statsOf(t, Scan{Quantiles: true}, large(d, 100_000)))
	}
	merge := func(parts ...*Stats) *Stats {
		all := new(Stats)
		for _, p := range parts {
			all.Merge(p)
		}
		return all
	}
	want := merge(parts...)
	before := normalised(parts[1])
	backwards := slices.Clone(parts)
	slices.Reverse(backwards)
	for name, got := range map[string]*Stats{
		"backwards":  merge(backwards...),
		"as a tree":  merge(merge(parts[:3]...), merge(merge(parts[3:5]...), merge(parts[5:]...))),
		"of nothing": merge(new(Stats), merge(parts...), new(Stats)),
	} {
		if diff := cmp.Diff(want, got, unexported); diff != "" {
			t.Errorf("merged %s: %.500s", name, diff)
		}
	}
	if diff := cmp.Diff(before, parts[1], unexported); diff != "" {
		t.Errorf("merging changed what was merged: %.500s", diff)
	}
	if _, ok := merge(parts[0], statsOf(t, Scan{}, large(safetensors.F32, 4800))).Quantile(0.5); ok {
		t.Error("quantiles of what was not tallied")
	}
}

// TestStatsParts holds that a tensor cut in two has the same stats as whole, if
// the cut is between blocks.
func TestStatsParts(t *testing.T) {
	for _, d := range []safetensors.DType{safetensors.F32, safetensors.F16, safetensors.F6E2M3, safetensors.F64} {
		data := large(d, 2<<20)
		raw := data.Source.(Memory)
		cut := bytesOf(d, 5*blockNumbers)
		all := statsOf(t, Scan{Quantiles: true}, Data{d, raw[:cut], cut})
		all.Merge(statsOf(t, Scan{Quantiles: true}, Data{d, raw[cut:], data.Size - cut}))
		if diff := cmp.Diff(statsOf(t, Scan{Quantiles: true}, data), all, unexported); diff != "" {
			t.Errorf("%s: %.500s", d, diff)
		}
	}
}

func TestDiffMerge(t *testing.T) {
	diffOf := func(d, e safetensors.DType, from, size int64) *Diff {
		a, b := large(d, 3<<20).Source.(Memory), bytes.Clone(large(e, 3<<20).Source.(Memory))
		for i := range b {
			b[i] ^= byte(splitmix64(uint64(i/40_000)) >> 60 / 15) // some stretches differ
		}
		got, err := Scan{}.Compare(t.Context(), Data{d, a[from:], size}, Data{e, Memory(b[from:]), size}, Tolerance{Rel: 0.1})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	whole := diffOf(safetensors.F32, safetensors.F32, 0, 40*4*blockNumbers)
	var parts []*Diff
	for i := range int64(4) {
		parts = append(parts, diffOf(safetensors.F32, safetensors.F32, i*10*4*blockNumbers, 10*4*blockNumbers))
	}
	if whole.Changed == 0 || whole.Changed == whole.Count {
		t.Fatalf("%d of %d changed: proves nothing", whole.Changed, whole.Count)
	}
	left, right, tail := new(Diff), new(Diff), new(Diff)
	for _, p := range parts {
		left.Merge(p)
	}
	tail.Merge(parts[1])
	tail.Merge(parts[2])
	tail.Merge(parts[3])
	right.Merge(parts[0])
	right.Merge(tail)
	for name, got := range map[string]*Diff{"one by one": left, "from the right": right} {
		if diff := cmp.Diff(whole, got, unexported); diff != "" {
			t.Errorf("%s: %.800s", name, diff)
		}
	}
}

// TestDiffSame compares data with itself: nothing differs, NaN included.
func TestDiffSame(t *testing.T) {
	for d := safetensors.Bool; d <= safetensors.U64; d++ {
		data := large(d, 1<<20)
		got, err := Scan{}.Compare(t.Context(), data, data, Tolerance{})
		if err != nil {
			t.Fatal(err)
		}
		if got.Changed != 0 || got.Beyond != 0 || got.MaxAbs != 0 || got.L2() != 0 || !math.IsInf(got.SQNR(), 1) || got.Share() != 0 {
			t.Errorf("%s differs from itself: %+v", d, got)
		}
		// Through another type that holds all its values it is the same, too.
		if d.Bits() > 16 || d == safetensors.Bool {
			continue
		}
		n, err := data.numbers()
		if err != nil {
			t.Fatal(err)
		}
		values, wide := make([]float64, n), make(Memory, 8*n)
		if err := errors.Join(Decode(values, d, data.Source.(Memory)), Encode(wide, safetensors.F64, values, ToSpecial)); err != nil {
			t.Fatal(err)
		}
		got, err = Scan{}.Compare(t.Context(), data, Data{safetensors.F64, wide, 8 * n}, Tolerance{})
		if err != nil {
			t.Fatal(err)
		}
		if got.Changed != 0 || got.L2() != 0 || math.Abs(got.Cosine()-1) > 1e-12 {
			t.Errorf("%s as F64 differs: %+v", d, got)
		}
	}
}

// TestDiffInts holds that integers no float64 tells apart are told apart.
func TestDiffInts(t *testing.T) {
	a, b := make([]byte, 32), make([]byte, 32)
	for i, v := range []uint64{1 << 62, 1<<62 + 1, 7, ^uint64(0)} {
		binary.LittleEndian.PutUint64(a[8*i:], v)
		binary.LittleEndian.PutUint64(b[8*i:], v)
	}
	b[8]++ // the second by one
	for _, d := range []safetensors.DType{safetensors.I64, safetensors.U64} {
		got, err := Scan{}.Compare(t.Context(), Data{d, Memory(a), 32}, Data{d, Memory(b), 32}, Tolerance{})
		if err != nil {
			t.Fatal(err)
		}
		if got.Changed != 1 || got.First != 1 || got.MaxAbs != 1 || got.MaxAbsAt != 1 || got.Beyond != 1 || got.L2() != 1 {
			t.Errorf("%s: %+v", d, got)
		}
	}
}

// TestTolerance holds that a difference as large as the tolerance is within it.
func TestTolerance(t *testing.T) {
	const n = 100 // some of them for a kernel
	a, b := make([]float32, n), make([]float32, n)
	for i := range a {
		b[i] = float32(i + 1)
		a[i] = b[i] * 1.5
	}
	one, other := make(Memory, 4*n), make(Memory, 4*n)
	if err := errors.Join(Encode(one, safetensors.F32, a, ToSpecial), Encode(other, safetensors.F32, b, ToSpecial)); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		tolerance Tolerance
		beyond    uint64
	}{
		{Tolerance{}, n}, {Tolerance{Rel: 0.5}, 0}, {Tolerance{Rel: math.Nextafter(0.5, 0)}, n},
		{Tolerance{Abs: 10}, n - 20}, {Tolerance{Abs: 0.5, Rel: 0.25}, n - 2}, {Tolerance{Abs: math.NaN()}, n},
	} {
		d, err := Scan{}.Compare(t.Context(), Data{safetensors.F32, one, 4 * n}, Data{safetensors.F32, other, 4 * n}, test.tolerance)
		if err != nil {
			t.Fatal(err)
		}
		if d.Beyond != test.beyond || d.Changed != n {
			t.Errorf("%+v: %d beyond of %d, want %d", test.tolerance, d.Beyond, d.Changed, test.beyond)
		}
	}
}

// TestProgress holds that what is read is told, never less than before, to the end.
func TestProgress(t *testing.T) {
	one, other := large(safetensors.F32, 6<<20), large(safetensors.F16, 3<<20)
	var told []int64
	scan := Scan{Workers: 2, Progress: func(read int64) { told = append(told, read) }}
	if _, err := scan.Compare(t.Context(), one, other, Tolerance{}); err != nil {
		t.Fatal(err)
	}
	if len(told) < 4 || !slices.IsSorted(told) || told[len(told)-1] != one.Size+other.Size {
		t.Errorf("compare: %v of %d", told, one.Size+other.Size)
	}
	told = nil
	if _, err := scan.Stats(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	if len(told) < 4 || !slices.IsSorted(told) || told[len(told)-1] != one.Size {
		t.Errorf("stats: %v of %d", told, one.Size)
	}
}

// TestScanErrors asks for what cannot be.
func TestScanErrors(t *testing.T) {
	raw := Memory(make([]byte, 24))
	broken := errors.New("broken")
	for name, test := range map[string]struct {
		a, b Data
		want error
	}{
		"no type":       {Data{0, raw, 24}, Data{safetensors.F32, raw, 24}, safetensors.ErrDType},
		"half a number": {Data{safetensors.F32, raw, 23}, Data{safetensors.F32, raw, 24}, ErrSize},
		"negative":      {Data{safetensors.F32, raw, -8}, Data{safetensors.F32, raw, 24}, ErrSize},
		"immense":       {Data{safetensors.F4, raw, math.MaxInt64}, Data{safetensors.F4, raw, 24}, ErrSize},
		"too few":       {Data{safetensors.F32, raw, 24}, Data{safetensors.F16, raw, 24}, ErrSize},
		"beyond memory": {Data{safetensors.F32, raw, 28}, Data{safetensors.F32, raw, 28}, ErrSize},
		"short":         {Data{safetensors.F32, opaque{raw}, 28}, Data{safetensors.F32, opaque{raw}, 28}, io.ErrUnexpectedEOF},
		"broken":        {Data{safetensors.F32, failing{broken}, 1 << 40}, Data{safetensors.F32, failing{broken}, 1 << 40}, broken},
	} {
		if _, err := (Scan{}).Compare(t.Context(), test.a, test.b, Tolerance{}); !errors.Is(err, test.want) {
			t.Errorf("%s: compare: %v, want %v", name, err, test.want)
		}
		if name == "too few" {
			continue
		}
		if _, err := (Scan{}).Stats(t.Context(), test.a); !errors.Is(err, test.want) {
			t.Errorf("%s: stats: %v, want %v", name, err, test.want)
		}
	}
}

type failing struct{ err error }

func (f failing) ReadAt([]byte, int64) (int, error) { return 0, f.err }

// TestNothing asks for stats of no numbers.
func TestNothing(t *testing.T) {
	s := statsOf(t, Scan{Quantiles: true}, Data{DType: safetensors.BF16, Source: Memory(nil)})
	if _, ok := s.Quantile(0.5); ok || s.Count != 0 || !math.IsNaN(s.Min()) || !math.IsNaN(s.Mean()) || !math.IsNaN(s.Std()) || s.L2() != 0 {
		t.Errorf("%+v", s)
	}
	d, err := Scan{}.Compare(t.Context(), Data{DType: safetensors.F32, Source: Memory(nil)}, Data{DType: safetensors.I8, Source: Memory(nil)}, Tolerance{})
	if err != nil || d.Count != 0 || d.Share() != 0 || !math.IsNaN(d.Cosine()) {
		t.Errorf("%+v, %v", d, err)
	}
}

// FuzzExact adds numbers to an exact sum, in two orders, and to a big.Float.
func FuzzExact(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\xf0\x3f\x01\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xef\x7f\xff\xff\xff\xff\xff\xff\xef\xff"), uint64(3))
	f.Fuzz(func(t *testing.T, raw []byte, times uint64) {
		var sum, back, product exact
		want := new(big.Float).SetPrec(4500)
		var values []float64
		for ; len(raw) >= 8; raw = raw[8:] {
			if v := math.Float64frombits(binary.LittleEndian.Uint64(raw)); v-v == 0 {
				values = append(values, v)
				sum.add(v)
				want.Add(want, big.NewFloat(v))
			}
		}
		for _, v := range slices.Backward(values) {
			var one exact
			one.add(v)
			back.merge(&one)
		}
		got, rounded := sum.float64(), 0.0
		rounded, _ = want.Float64()
		if got != rounded || back.float64() != rounded {
			t.Fatalf("%v: %v and %v, want %v", values, got, back.float64(), rounded)
		}
		if len(values) > 0 && math.Abs(values[0]) < 1e250 && math.Abs(values[0]) > 1e-250 {
			product.addProduct(times, values[0], 0)
			exactly := new(big.Float).SetPrec(500).Mul(new(big.Float).SetUint64(times), big.NewFloat(values[0]))
			if want, _ := exactly.Float64(); product.float64() != want {
				t.Fatalf("%d times %v: %v, want %v", times, values[0], product.float64(), want)
			}
		}
	})
}

// FuzzScan gives any bytes as any type: counts add up, extremes and quantiles
// are numbers of the data, and a block summarised slowly gives the same.
func FuzzScan(f *testing.F) {
	for d := safetensors.Bool; d <= safetensors.U64; d++ {
		f.Add(uint8(d), []byte("\x00\x01\x7f\x80\xff\xfe\x3c\x00\x7c\x00\xfc\x01\x80\x7f\x80\xff\xc0\x7f\x00\x00\x80\x3f\x55\xaa"))
	}
	// The greatest number that counts as zero in a sketch.
	f.Add(uint8(safetensors.F64), []byte("\xff\xff\xff\xff\xff\x1f\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff\xff\x1f\x00\x80"))
	f.Fuzz(func(t *testing.T, kind uint8, src []byte) {
		d := safetensors.DType(kind)
		src = src[:len(src)/24*24]
		data := Data{d, Memory(src), int64(len(src))}
		s, err := Scan{Quantiles: true}.Stats(t.Context(), data)
		if d.Bits() == 0 {
			if !errors.Is(err, safetensors.ErrDType) {
				t.Fatal(err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		n, err := data.numbers()
		if err != nil {
			t.Fatal(err)
		}
		values := make([]float64, n)
		if err := Decode(values, d, src); err != nil {
			t.Fatal(err)
		}
		limits, _ := LimitsOf(d)
		var want Stats
		b := new(block)
		b.addWide(values, limits.MinNormal)
		if b.isCareless() {
			want.addCareful(b, values)
		} else {
			want.add(b)
		}
		got := normalised(s)
		got.tally = nil
		if d.Bits() <= 8 { // whose sums are exact
			got.sum, got.squares = want.sum, want.squares
		}
		if diff := cmp.Diff(normalised(&want), normalised(got), unexported); diff != "" {
			t.Fatalf("%s: %s", d, diff)
		}
		checkQuantiles(t, d, s, values)
	})
}

func checkQuantiles(t *testing.T, d safetensors.DType, s *Stats, values []float64) {
	t.Helper()
	values = slices.DeleteFunc(values, func(v float64) bool { return v-v != 0 })
	slices.Sort(values)
	for _, q := range []float64{0, 0.1, 0.5, 0.99, 1} {
		got, ok := s.Quantile(q)
		if ok != (len(values) > 0) {
			t.Fatalf("%s: quantile is there: %v, of %d values", d, ok, len(values))
		}
		if !ok {
			return
		}
		want := values[max(int(math.Ceil(q*float64(len(values)))), 1)-1]
		slack := 0.0
		if d.Bits() > 16 {
			slack = max(math.Abs(want)/256, 0x1p-1029)
		}
		if !(math.Abs(got-want) <= slack) {
			t.Fatalf("%s: quantile %v: %v, want %v", d, q, got, want)
		}
	}
}
