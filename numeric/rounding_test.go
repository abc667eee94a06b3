package numeric

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/tensmith/tensmith/safetensors"
)

// TestRounding states what holds of every float type, of all its numbers of at most
// 16 bits, the middles between neighbours and what is next to these: rounding never
// changes an order, rounds to a neighbour that is no farther than the other, leaves
// alone what is rounded, and does with a negative number what it does with a
// positive one.
func TestRounding(t *testing.T) {
	for _, d := range floats {
		if d.Bits() > 16 {
			continue
		}
		limits, _ := LimitsOf(d)
		own := make([]float64, 1<<d.Bits())
		raw := make([]byte, len(own)*d.Bits()/8)
		codes := make([]uint64, len(own))
		for i := range codes {
			codes[i] = uint64(i)
		}
		copy(raw, pack(d, codes))
		if err := Decode(own, d, raw); err != nil {
			t.Fatal(err)
		}
		own = slices.DeleteFunc(own, func(v float64) bool { return v-v != 0 })
		slices.Sort(own)
		own = slices.Compact(own)
		inputs := slices.Clone(own)
		for i, v := range own[1:] {
			middle := (own[i] + v) / 2
			inputs = append(inputs, middle, math.Nextafter(middle, own[i]), math.Nextafter(middle, v), float64(math.Nextafter32(float32(middle), float32(v))))
		}
		slices.Sort(inputs)
		inputs = slices.Compact(inputs)
		for len(inputs)%8 != 0 {
			inputs = append(inputs, inputs[len(inputs)-1])
		}
		for _, mode := range []Overflow{ToSpecial, Saturate} {
			out, again, minus := rounded(t, d, inputs, mode), []float64(nil), []float64(nil)
			again = rounded(t, d, out, mode)
			if limits.Signed {
				negative := make([]float64, len(inputs))
				for i, v := range inputs {
					negative[i] = -v
				}
				minus = rounded(t, d, negative, mode)
			}
			for i, v := range inputs {
				at, exact := slices.BinarySearch(own, v)
				low, high := own[max(at-1, 0)], own[min(at, len(own)-1)]
				if exact {
					low = high
				}
				if d == safetensors.F8E8M0 && v > own[0] && v < own[1] {
					low = high // as both references have it, see the package's documentation
				}
				far := math.Abs(v - out[i])
				switch {
				case i > 0 && out[i-1] > out[i]:
					t.Fatalf("%s mode %d: %v became %v, and %v became %v", d, mode, inputs[i-1], out[i-1], v, out[i])
				case out[i] != low && out[i] != high || far > math.Abs(v-low) && low != high || far > math.Abs(v-high):
					t.Fatalf("%s mode %d: %v, between %v and %v, became %v", d, mode, v, low, high, out[i])
				case again[i] != out[i]:
					t.Fatalf("%s mode %d: %v became %v, and then %v", d, mode, v, out[i], again[i])
				case limits.Signed && minus[i] != -out[i]:
					t.Fatalf("%s mode %d: %v became %v, and the negative number %v", d, mode, v, out[i], minus[i])
				}
			}
		}
	}
}

// rounded casts numbers to d and back.
func rounded(t *testing.T, d safetensors.DType, values []float64, mode Overflow) []float64 {
	t.Helper()
	raw, back := make([]byte, bytesOf(d, int64(len(values)))), make([]float64, len(values))
	if err := errors.Join(Encode(raw, d, values, mode), Decode(back, d, raw)); err != nil {
		t.Fatal(err)
	}
	return back
}

// TestRefusedAt: the index of what is refused counts what kernels have done.
func TestRefusedAt(t *testing.T) {
	for _, d := range []safetensors.DType{safetensors.F4, safetensors.F6E2M3, safetensors.F6E3M2} {
		for _, at := range []int{0, 5, 64, 1025, 5000, 8191} {
			narrow, wide := make([]float32, 8192), make([]float64, 8192)
			narrow[at], wide[at] = float32(math.NaN()), math.NaN()
			dst := make([]byte, len(narrow)*d.Bits()/8)
			for _, err := range []error{Encode(dst, d, narrow, Saturate), Encode(dst, d, wide, Saturate)} {
				var refused *ValueError
				if !errors.As(err, &refused) || refused.Index != at {
					t.Errorf("%s: NaN at %d: %v", d, at, err)
				}
			}
		}
	}
}

// TestCutOff: to round a float64 to odd and then to a type is to round it once.
func TestCutOff(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 200_000 {
		v := math.Ldexp(random.Float64()*2-1, random.IntN(330)-170)
		switch i % 4 {
		case 0: // ties, and what is next to them
			v = math.Float64frombits(math.Float64bits(v)&^(1<<random.UintN(53)-1) + random.Uint64N(3) - 1)
		case 1:
			v = math.Float64frombits(random.Uint64())
		}
		if v != v {
			continue
		}
		for _, d := range []safetensors.DType{safetensors.BF16, safetensors.F16, safetensors.F8E4M3, safetensors.F8E5M2FNUZ, safetensors.F6E3M2, safetensors.F4} {
			l, _ := layoutOf(d)
			for _, mode := range []Overflow{ToSpecial, Saturate} {
				if d.Bits() < 8 {
					mode = Saturate
				}
				r := newRounder(l, mode)
				if got, want := r.round(cutOff(v)), l.code(v, mode); got != want {
					t.Fatalf("%s, mode %d: %v became %#x, want %#x", d, mode, v, got, want)
				}
			}
		}
	}
}
