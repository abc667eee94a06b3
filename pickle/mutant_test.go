package pickle

import (
	"encoding/base64"
	"regexp"
	"testing"
)

// TestMutants compares what is accepted, and what it means, with CPython's C
// machine on thousands of broken pickles; see testdata/mutate.py.
func TestMutants(t *testing.T) {
	cases := mutants(t)
	if len(cases) < 5000 {
		t.Fatalf("only %d cases", len(cases))
	}
	// Blanks behind the quotes of STRING are refused since Python 3.4.
	older := regexp.MustCompile(`['"][\x00-\x09\x0b-\x20]+\n`)
	for _, c := range cases {
		data, err := base64.StdEncoding.DecodeString(*c[0])
		if err != nil {
			t.Fatal(err)
		}
		v, err := Unmarshal(data)
		if err != nil {
			if c[1] != nil {
				t.Errorf("%q: %v, and CPython reads %s", data, err, *c[1])
			}
			continue
		}
		r := renderer{seen: map[any]int{}, asPython: true}
		if got := r.text(v); c[1] == nil && older.Match(data) {
			continue
		} else if c[1] == nil {
			t.Errorf("%q: got %s, which CPython refuses", data, got)
		} else if got != *c[1] {
			t.Errorf("%q: got %s, want %s", data, got, *c[1])
		}
	}
}

// mutants are broken pickles, in base64, and what CPython reads of them, nil if it
// refuses.
func mutants(t *testing.T) (cases [][2]*string) {
	t.Helper()
	readCases(t, "testdata/mutants.json.gz", &cases)
	return cases
}
