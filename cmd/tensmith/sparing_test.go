package main

import (
	"math"
	"reflect"
	"runtime/debug"
	"testing"

	"github.com/tensmith/tensmith/safetensors"
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
		{castJob{}, 16},
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

// The limit of memory grows with what is known of tensors, is left to who has
// set one, and is nobody's business afterwards.
func TestSparing(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(math.MaxInt64))
	c, err := safetensors.OpenCheckpoint(realDir + "mlx_like.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	tensors := int64(c.Len())
	for _, test := range []struct {
		set, each, want int64
	}{
		{math.MaxInt64, 1000, sparingMemory},
		{math.MaxInt64, sparingMemory, 2 * tensors * sparingMemory},
		{1 << 40, 1000, 1 << 40},
	} {
		debug.SetMemoryLimit(test.set)
		back := sparing(test.each, 0, c, c)
		if got := debug.SetMemoryLimit(-1); got != test.want {
			t.Errorf("%d bytes each, of a limit of %d: %d, want %d", test.each, test.set, got, test.want)
		}
		back()
		if got := debug.SetMemoryLimit(-1); got != test.set {
			t.Errorf("afterwards the limit is %d, not %d", got, test.set)
		}
	}
}
