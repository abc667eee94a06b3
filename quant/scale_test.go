package quant

import (
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
)

// TestDivide holds what divides by multiplying to division, for the numbers of
// every exponent, and quotients that lie next to the middle of two neighbours.
func TestDivide(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	number := func() float32 {
		v := math.Float32frombits(random.Uint32())
		switch random.IntN(4) {
		case 0: // few bits, and so quotients of few
			v = math.Float32frombits(math.Float32bits(v) &^ (1<<20 - 1))
		case 1: // all of them
			v = math.Float32frombits(math.Float32bits(v) | (1<<12 - 1))
		}
		return v
	}
	for range 20_000 {
		scale := float32(math.Abs(float64(number())))
		if !(scale >= 0x1p-126) {
			continue
		}
		values, was := make([]float32, 64), make([]float32, 64)
		for i := range values {
			values[i] = number()
			if i%2 == 0 {
				// The product of a scale and a middle, rounded.
				middle := float64(math.Float32frombits(random.Uint32()&(1<<23-1)|127<<23)) + 0x1p-24
				values[i] = float32(float64(scale) * middle)
			}
			was[i] = values[i]
		}
		divide(values, scale)
		for i, v := range was {
			want, got := v/scale, values[i]
			if want != want && got != got {
				continue
			}
			if want != got && (math.Abs(float64(want)) >= 0x1p-126 || math.Abs(float64(got)) > 0x1p-126) || math.Signbit(float64(want)) != math.Signbit(float64(got)) {
				t.Fatalf("%v / %v is %v, not %v", v, scale, want, got)
			}
		}
	}
}

// TestLargest: NaNs and infinities are no magnitudes, wherever they stand.
func TestLargest(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, test := range []struct {
		values []float32
		want   float32
	}{
		{nil, 0},
		{[]float32{1, -2, 0.5}, 2},
		{[]float32{1, 2, 3, -4, 5}, 5},
		{[]float32{-7, 1, 1, 1, nan}, 7},
		{[]float32{inf, 1, -3, 1, 1, -inf}, 3},
		{[]float32{inf, nan}, 0},
		{[]float32{0, -0x1p-149}, 0x1p-149},
	} {
		if got := largest(test.values); got != test.want {
			t.Errorf("of %v: %v, want %v", test.values, got, test.want)
		}
	}
}

// TestExponent holds the exponents of numbers, subnormal ones among them, to
// the logarithm.
func TestExponent(t *testing.T) {
	for e := -149; e <= 127; e++ {
		for _, v := range []float32{float32(math.Ldexp(1, e)), math.Nextafter32(float32(math.Ldexp(1, e)), 0)} {
			want := -127
			if v > 0 {
				want = min(127, max(-127, int(math.Floor(math.Log2(float64(v))))-8))
			}
			if got := exponent([]float32{0, -v}, 8); got != want {
				t.Errorf("of %v: %d, want %d", v, got, want)
			}
		}
	}
	for e := -127; e <= 127; e++ {
		if got := power(e); float64(got) != math.Ldexp(1, e) {
			t.Errorf("2^%d is %v", e, got)
		}
	}
}

// There may be a hundred thousand of these, for which 128 MiB are to do.
func TestKept(t *testing.T) {
	if n := reflect.TypeFor[scaled]().Size(); n > 80 {
		t.Errorf("what is known of a tensor that is scaled takes %d bytes", n)
	}
	if n := reflect.TypeFor[Quantized]().Size(); n > 24 {
		t.Errorf("and %d besides", n)
	}
}
