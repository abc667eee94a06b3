package scan

import (
	"bytes"
	"math/big"
	"slices"
	"testing"
)

// Python takes 0.26 s to load 8,000 keys of one hash, and four times that of
// twice as many.
func TestCollisions(t *testing.T) {
	prime := new(big.Int).SetUint64(1<<61 - 1)
	multiple := func(i int) *big.Int { return new(big.Int).Mul(prime, big.NewInt(int64(i+8))) }
	step := func(shift uint) func(int) *big.Int {
		return func(i int) *big.Int {
			n := new(big.Int).SetUint64(1 << 63)
			return n.Add(n, new(big.Int).Lsh(big.NewInt(int64(i)), shift))
		}
	}
	pickled := func(n int, open, value, end string, key func(int) *big.Int) []byte {
		b := bytes.NewBufferString("\x80\x02" + open + "(")
		for i := range n {
			be := key(i).FillBytes(make([]byte, 12))
			slices.Reverse(be)
			b.WriteString("\x8a\x0c")
			b.Write(be)
			b.WriteString(value)
		}
		b.WriteString(end + ".")
		return b.Bytes()
	}
	for name, tt := range map[string]struct {
		data []byte
		want bool
	}{
		"keys":            {pickled(5000, "}", "N", "u", multiple), true},
		"items":           {pickled(5000, "]", "", "e", multiple), true}, // for a set to be made of
		"few":             {pickled(500, "}", "N", "u", multiple), false},
		"one number":      {pickled(5000, "]", "", "e", func(int) *big.Int { return multiple(1) }), false},
		"one after other": {pickled(50_000, "}", "N", "u", step(0)), false},
		"in large steps":  {pickled(50_000, "}", "N", "u", step(22)), false},
	} {
		f, err := Reader(t.Context(), bytes.NewReader(tt.data), int64(len(tt.data)), "x.pkl", Options{})
		if err != nil {
			t.Fatal(err)
		}
		got := slices.ContainsFunc(f.Findings, func(f Finding) bool { return f.ID == "ST344" })
		if got != tt.want || got != (f.Verdict == VerdictSuspicious) {
			t.Errorf("%s: %v, %s: %v", name, got, f.Verdict, f.Findings)
		}
	}
}
