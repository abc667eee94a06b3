package main

import (
	"reflect"
	"testing"
)

// What verbs keep of each tensor until they print, of which there may be a
// hundred thousand, stays small: memory of 128 MiB is to do for them.
func TestKept(t *testing.T) {
	for _, test := range []struct {
		kept any
		most uintptr // bytes
	}{
		{statsUnit{}, 144},
		{binned{}, 96},
		{compared{}, 112},
		{castRow{}, 48},
	} {
		if of := reflect.TypeOf(test.kept); of.Size() > test.most {
			t.Errorf("%s takes %d bytes, more than %d", of, of.Size(), test.most)
		}
	}
}

// A listing is printed as the list that it stands for.
func TestListing(t *testing.T) {
	numbers := []int{3, 1, 2}
	type list struct {
		Schema  string `json:"schema"`
		Numbers []int  `json:"numbers"`
	}
	type made struct {
		Schema  string  `json:"schema"`
		Numbers listing `json:"numbers"`
	}
	for n := range len(numbers) + 1 {
		want, got := printed(t, list{"x", numbers[:n]}), printed(t, made{"x", listing{n, func(i int) any { return numbers[i] }}})
		if got != want {
			t.Errorf("%d elements:\n%s\nwant\n%s", n, got, want)
		}
	}
}

func printed(t *testing.T, v any) string {
	t.Helper()
	var out, lines sink
	for _, a := range []*app{{stdout: &out, format: "json"}, {stdout: &lines, format: "jsonl"}} {
		if err := a.printJSON(v); err != nil {
			t.Fatal(err)
		}
	}
	return string(out) + string(lines)
}

// sink keeps what is written to it.
type sink []byte

func (s *sink) Write(p []byte) (int, error) {
	*s = append(*s, p...)
	return len(p), nil
}
