package scan

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/tensmith/tensmith/numeric"
	"github.com/tensmith/tensmith/safetensors"
)

// numbers returns n elements as they are met in models:
//
//   - "trained": normal, with a spread that differs by groups, so that all bits
//     are used;
//   - "normal": a normal distribution as random generators give it;
//   - "cast": what came from a narrower type: F64 from F32, F32 and F16 from
//     BF16, BF16 from F8_E4M3;
//   - "quantised": 15 levels with a scale for each 64;
//   - "tiny": "trained" with numbers that are subnormal in F16.
//
// Integers are the numbers, quantised to seven deviations.
func numbers(d safetensors.DType, kind string, seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 7))
	values := make([]float64, n)
	scale := 0.02
	_, float := numeric.LimitsOf(d)
	for i := range values {
		if i%64 == 0 && kind != "normal" {
			scale = 0.02 * math.Exp(r.NormFloat64()/4)
			if kind == "tiny" {
				scale /= 1000
			}
		}
		v := r.NormFloat64() * scale
		if kind == "quantised" {
			v = math.Round(max(-7, min(v/scale*3, 7))) * scale / 3
		}
		if values[i] = v; !float {
			if values[i] = math.Round(v / scale * 18); d == safetensors.U8 || d == safetensors.U16 {
				values[i] += 128
			}
		}
	}
	through := map[safetensors.DType]safetensors.DType{safetensors.F64: safetensors.F32, safetensors.F32: safetensors.BF16, safetensors.F16: safetensors.BF16, safetensors.BF16: safetensors.F8E4M3}
	if from, ok := through[d]; ok && kind == "cast" {
		if d == safetensors.BF16 {
			for i := range values {
				values[i] *= 1000 // as scales do
			}
		}
		narrow := make([]byte, n*from.Bits()/8)
		if err := numeric.Encode(narrow, from, values, numeric.Saturate); err != nil {
			panic(err)
		}
		if err := numeric.Decode(values, from, narrow); err != nil {
			panic(err)
		}
	}
	raw := make([]byte, n*d.Bits()/8)
	if d == safetensors.C64 {
		raw = make([]byte, n*4)
		d = safetensors.F32
	}
	if err := numeric.Encode(raw, d, values, numeric.Saturate); err != nil {
		panic(err)
	}
	return raw
}

// matrixOf is a model of one matrix, with elements of as many bytes.
func matrixOf(d safetensors.DType, raw []byte) *values {
	n := uint64(len(raw) * 8 / d.Bits())
	return (&values{}).add("w", d, []uint64{n / 256, 256}, raw)
}

// hideIn is hide for elements of width bytes.
func hideIn(raw []byte, width int, payload []byte, at, take int, reverse bool) []byte {
	raw = slices.Clone(raw)
	if take >= 8 {
		for i, b := range payload {
			k := i % (take / 8)
			if reverse {
				k = take/8 - 1 - k
			}
			raw[width*(at+i/(take/8))+k] = b
		}
		return raw
	}
	each, mask := 8/take, byte(1)<<take-1
	for i, b := range payload {
		for k := range each {
			shift := take * k
			if reverse {
				shift = 8 - take*(k+1)
			}
			e := width * (at + i*each + k)
			raw[e] = raw[e]&^mask | b>>shift&mask
		}
	}
	return raw
}

// lowTypes are the dtypes whose low bits are looked at.
var lowTypes = []safetensors.DType{safetensors.F64, safetensors.F32, safetensors.C64, safetensors.F16, safetensors.BF16, safetensors.F8E4M3, safetensors.F8E5M2,
	safetensors.I8, safetensors.U8, safetensors.I16, safetensors.U16, safetensors.I32, safetensors.I64}

// TestLow hides files in the low bits of weights of every type, in every way
// that is documented, at an element that nothing is aligned to and across two
// pieces that are read apart. What is hidden is packed or small, so that no
// count of bits can tell.
func TestLow(t *testing.T) {
	names := []string{"an archive", "a program", "gzip", "a pickle"}
	files := [][]byte{archive(t), append(elf(), random(9, 1000)...), zipped1(t), []byte("\x80\x02cposix\nsystem\nq\x00X\x04\x00\x00\x00echoq\x01\x85q\x02Rq\x03.")}
	turn := 0
	for i, d := range lowTypes {
		if testing.Short() && i%3 != 0 {
			continue
		}
		k, ok := lowKindOf(d)
		if !ok {
			t.Fatalf("nothing is known of %s", d)
		}
		raw := numbers(d, "trained", 3, (1<<20+1<<17)/k.width/256*256)
		takes := []int{1, 2, 4}
		if k.width > 1 {
			takes = append(takes, 8)
		}
		for _, take := range append(takes, k.takes()...) {
			for _, reverse := range []bool{false, true} {
				// Every file and every place comes with every take, if not with each other.
				turn++
				name, file := names[turn%4], files[turn%4]
				at := []int{1, 20_003, 1<<20/k.width - 5, 1 << 20 / k.width, 1<<20/k.width + 3}[turn%5]
				report := matrixOf(d, hideIn(raw, k.width, file, at, take, reverse && take != 8)).scan(t)
				if ids(report.Findings) != "ST213 w" {
					t.Errorf("%s: %s in %d bits, reverse %v, at element %d: %+v", d, name, take, reverse, at, report.Findings)
					continue
				}
				if header := report.Findings[0].Offset - int64(at*k.width); header < 8 || header > 256 {
					t.Errorf("%s: %s in %d bits at element %d is said to be at byte %d", d, name, take, at, report.Findings[0].Offset)
				}
			}
		}
	}
}

// TestLowCast hides what nobody can know, encrypted bytes, where a cast has left
// zeros.
func TestLowCast(t *testing.T) {
	secret := random(5, 3000)
	for _, test := range []struct {
		d    safetensors.DType
		take int
		want string
	}{
		{safetensors.F64, 1, "ST214 w"}, {safetensors.F64, 4, "ST214 w"}, {safetensors.F64, 8, "ST214 w"},
		{safetensors.F64, 16, "ST215 w"}, {safetensors.F64, 24, "ST215 w"},
		{safetensors.F32, 1, "ST214 w"}, {safetensors.F32, 8, "ST214 w"}, {safetensors.F32, 16, "ST215 w"},
		{safetensors.F16, 1, "ST215 w"}, {safetensors.F16, 2, "ST215 w"},
		{safetensors.BF16, 1, "ST215 w"}, {safetensors.BF16, 4, "ST215 w"},
	} {
		raw := numbers(test.d, "cast", 4, 1<<18)
		report := matrixOf(test.d, hideIn(raw, test.d.Bits()/8, secret, 70_000, test.take, false)).scan(t)
		if ids(report.Findings) != test.want {
			t.Errorf("%s, %d bits: %+v, want %s", test.d, test.take, report.Findings, test.want)
		}
	}
}

// TestLowFalse holds the rules about bytes and low bits to silence about
// weights of every type and kind that hide nothing.
func TestLowFalse(t *testing.T) {
	seeds, n := uint64(3), 1<<18
	if testing.Short() {
		seeds, n = 1, 1<<16
	}
	for _, d := range lowTypes {
		for _, kind := range []string{"trained", "normal", "cast", "quantised", "tiny"} {
			for seed := range seeds {
				raw := numbers(d, kind, seed, n)
				var got []string
				for _, f := range matrixOf(d, raw).scan(t).Findings {
					if f.ID >= "ST210" {
						got = append(got, fmt.Sprintf("%s %s", f.ID, f.Message))
					}
				}
				if len(got) > 0 {
					t.Errorf("%s, %s, %d: %v", d, kind, seed, got)
				}
			}
		}
	}
}
