package pickle

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
)

// TestSlowFloat holds that numbers which take long to round count as many
// opcodes, that they keep their values, and that what Python writes of others
// counts as one.
func TestSlowFloat(t *testing.T) {
	decode := func(text string) (Value, int64, error) {
		d := NewDecoder(strings.NewReader(text), 0, int64(len(text)))
		d.Limits.Opcodes = 2000
		v, err := d.Decode()
		return v, d.opcodes + d.slow, err
	}
	for text, want := range map[string]struct {
		value float64
		cost  int64
	}{
		"1.5":                      {1.5, 2},
		"-2.2250738585072014e-308": {-0x1p-1022, 2}, // the least normal number
		"0.0":                      {0, 2},
		"5e-324":                   {math.SmallestNonzeroFloat64, 257},
		"2.2250738585072011e-308":  {0x0.fffffffffffffp-1022, 257},
		// One half of the last place beyond 1, and a little more.
		"1.00000000000000011102230246251565404236316680908203125":  {1, 257},
		"1.000000000000000111022302462515654042363166809082031251": {0x1.0000000000001p0, 257},
	} {
		v, cost, err := decode("F" + text + "\n.")
		if v != want.value || cost != want.cost || err != nil {
			t.Errorf("%s: %v, %d opcodes, %v; want %v, %d", text, v, cost, err, want.value, want.cost)
		}
	}
	for _, n := range []int{7, 8} {
		_, _, err := decode(fmt.Sprintf("(%st.", strings.Repeat("F5e-324\n", n)))
		if errors.Is(err, ErrLimit) != (n == 8) {
			t.Errorf("%d numbers: %v", n, err)
		}
	}
}
