//go:build amd64 && !purego

package numeric

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tensmith/tensmith/safetensors"
)

var (
	closeTypes = []safetensors.DType{safetensors.F8E4M3, safetensors.F8E4M3FNUZ, safetensors.F8E5M2, safetensors.F8E5M2FNUZ}

	// knownDiffs have the greatest differences that there may have been.
	knownDiffs = []Diff{
		{}, {MaxAbs: 0x1p-16, MaxRel: 0.125}, {MaxAbs: 0.75, MaxRel: 0.3}, {MaxAbs: 1e6, MaxRel: 0x1.fffp-1},
		{MaxAbs: 0x1p-4, MaxRel: 1}, {MaxAbs: 3, MaxRel: 1.25}, {MaxAbs: 1e6, MaxRel: 2},
	}
)

// inClasses tells whether all codes are finite and none is too large for a class.
func inClasses(d safetensors.DType, codes []byte) bool {
	below := math.Inf(1)
	switch d {
	case safetensors.F8E5M2:
		below = 2
	case safetensors.F8E5M2FNUZ:
		below = 1
	}
	return !slices.ContainsFunc(codes, func(code byte) bool { return !(math.Abs(value8(d, code)) < below) })
}

// isTight tells of every two numbers of a type whether they differ by more than the
// tolerance, unless they are equal.
func isTight(d safetensors.DType, t Tolerance) bool {
	for x := range 256 {
		for y := range 256 {
			v, w := value8(d, byte(x)), value8(d, byte(y))
			if v != w && v-v == 0 && w-w == 0 && math.Abs(v-w) <= t.Abs+float64(t.Rel*math.Abs(w)) {
				return false
			}
		}
	}
	return true
}

// TestKernelClose asks of every two codes, after differences of all kinds, whether
// that of these is a greater one.
func TestKernelClose(t *testing.T) {
	if best < vnni {
		t.Skip("no VBMI")
	}
	for _, d := range closeTypes {
		for _, known := range knownDiffs[1:] {
			c := newCloseness(d, Tolerance{})
			c.know(known.MaxAbs, known.MaxRel)
			for x := range 256 {
				for from := 0; from < 256; from += 64 {
					a, b := bytes.Repeat([]byte{byte(x)}, 64), make([]byte, 64)
					for i := range b {
						b[i] = byte(from + i)
					}
					s, unsure := c.start, uint64(0)
					if c.layout.exp == 4 {
						unsure = closeHalvesVNNI(&s, a, b, 64)
					} else {
						unsure = closeQuartersVNNI(&s, a, b, 64)
					}
					for i, y := range b {
						if !inClasses(d, []byte{byte(x), y}) {
							continue
						}
						v, w := value8(d, byte(x)), value8(d, y)
						difference := math.Abs(v - w)
						want := difference > known.MaxAbs || difference/max(math.Abs(v), math.Abs(w)) > known.MaxRel
						if got := unsure>>i&1 != 0; got != want {
							t.Fatalf("%s: %v and %v after %v and %v: got %v, want %v", d, v, w, known.MaxAbs, known.MaxRel, got, want)
						}
					}
				}
			}
		}
	}
}

// checkClose holds what compares floats of a byte that are close to the plain loop,
// and to when it is to do so.
func checkClose(t *testing.T, v level, one, other []byte) {
	t.Helper()
	n := min(len(one), len(other), 3*64+17)
	if n == 0 {
		return
	}
	for _, d := range closeTypes {
		a, b := bytes.Clone(one[:n]), bytes.Clone(other[:n])
		for _, codes := range [][]byte{a, b} {
			for i := range codes {
				if !inClasses(d, codes[i:i+1]) && one[0]&1 != 0 {
					codes[i] &= 0x3E
				}
			}
		}
		few := bytes.Clone(a)
		for i := int(one[0]); i < n; i += 37 {
			few[i] ^= 1
		}
		for _, b := range [][]byte{b, few} {
			for i, tolerance := range []Tolerance{{1e-5, 1e-8}, {0.01, 0}, {-1, 0}, {0, math.NaN()}, {1, 0}} {
				known := knownDiffs[(int(one[0])/2+i)%len(knownDiffs)]
				checkCloseOne(t, v, d, tolerance, known, a, b)
			}
		}
	}
}

// TestCompareClose compares blocks of floats of a byte one after the other, with numbers
// too large for classes, and NaNs, in some of them.
func TestCompareClose(t *testing.T) {
	const n = 6*blockNumbers + 77
	for _, d := range closeTypes {
		for kind, change := range map[string]func(i int) byte{
			"few":  func(i int) byte { return byte(1 / (1 + i%128)) },
			"all":  func(i int) byte { return 1 },
			"wild": func(i int) byte { return byte(splitmix64(uint64(i)) >> 20 % 256 & 0xBF) },
		} {
			a, b := make([]byte, n), make([]byte, n)
			for i := range a {
				a[i] = byte(splitmix64(uint64(i))) &^ 0x41
				b[i] = a[i] ^ change(i)
				if d == safetensors.F8E4M3FNUZ || d == safetensors.F8E5M2FNUZ {
					a[i], b[i] = a[i]|1, b[i]|2 // no NaN
				}
			}
			a[3*blockNumbers+5], b[5*blockNumbers+7] = 0x7D, 0x7F // large, or not finite
			want := new(Diff)
			for from := 0; from < n; from += blockNumbers {
				one, other := a[from:min(from+blockNumbers, n)], b[from:min(from+blockNumbers, n)]
				x, y := make([]float64, len(one)), make([]float64, len(one))
				if err := errors.Join(Decode(x, d, one), Decode(y, d, other)); err != nil {
					t.Fatal(err)
				}
				p := pairs{relative: 1e-5, absolute: 1e-8}
				addPairs(&p, x, y)
				block := wholeDiff(&p, len(x))
				first, most := true, block.MaxAbs > 0
				for i := range x {
					if first && x[i] != y[i] && (x[i] == x[i] || y[i] == y[i]) {
						block.First, first = uint64(i), false
					}
					if most && math.Abs(x[i]-y[i]) == block.MaxAbs {
						block.MaxAbsAt, most = uint64(i), false
					}
				}
				want.Merge(&block)
			}
			data := func(p []byte) Data { return Data{d, Memory(p), int64(len(p))} }
			got, err := Scan{}.Compare(t.Context(), data(a), data(b), Tolerance{Rel: 1e-5, Abs: 1e-8})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(Diff{}, exact{})); diff != "" {
				t.Errorf("%s, %s: %s", d, kind, diff)
			}
		}
	}
}

// tolerances tells of those of checkClose whether they are tight, for all types of a
// byte alike. That is not worth it where one is NaN.
var tolerances = map[Tolerance]bool{{1e-5, 1e-8}: true, {0.01, 0}: true, {-1, 0}: true, {1, 0}: false}

func TestTolerances(t *testing.T) {
	for tolerance, want := range tolerances {
		for _, d := range closeTypes {
			if isTight(d, tolerance) != want {
				t.Errorf("%s, %v: not %v", d, tolerance, want)
			}
			if got := newCloseness(d, tolerance).tight; got != want {
				t.Errorf("%s, %v: got %v", d, tolerance, got)
			}
		}
	}
}

func checkCloseOne(t *testing.T, v level, d safetensors.DType, tolerance Tolerance, known Diff, a, b []byte) {
	t.Helper()
	x, y := make([]float32, len(a)), make([]float32, len(a))
	for i := range x {
		x[i], y[i] = float32(value8(d, a[i])), float32(value8(d, b[i]))
	}
	whole := len(a) &^ 63
	want := pairs{relative: tolerance.Rel, absolute: tolerance.Abs}
	got := want
	addPairs(&want, x[:whole], y[:whole])
	wantDiff := wholeDiff(&want, whole)
	w := &differ{a: d, b: d, tolerance: tolerance, diff: known}
	done := v.pairsClose(&got, w, a, b)
	gotDiff := wholeDiff(&got, done)
	can := v >= vnni && whole > 0 && tolerances[tolerance] && known.MaxRel > 0 && inClasses(d, a) && inClasses(d, b) &&
		wantDiff.MaxAbs <= known.MaxAbs && wantDiff.MaxRel <= known.MaxRel
	switch {
	case can && done != whole, !can && done != 0:
		t.Fatalf("level %d, %s, %v after %v and %v: did %d of %d\n%v\n%v", v, d, tolerance, known.MaxAbs, known.MaxRel, done, whole, a, b)
	case !can:
		wantDiff = wholeDiff(new(pairs), 0)
	}
	wantDiff.MaxAbs, wantDiff.MaxRel = 0, 0 // known already
	if wantDiff != gotDiff {
		diff := cmp.Diff(wantDiff, gotDiff, cmp.AllowUnexported(Diff{}, exact{}))
		t.Fatalf("level %d, %s, %v after %v and %v: %s\n%v\n%v", v, d, tolerance, known.MaxAbs, known.MaxRel, diff, a, b)
	}
}
