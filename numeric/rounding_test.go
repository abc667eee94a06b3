package numeric

import (
	"errors"
	"math"
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
