package pickle

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestWalkOrder(t *testing.T) {
	// An object with every part a call can have: keyword arguments, two
	// states, items, pairs; a set, a persistent id, a shared list.
	in := "\x80\x04ca\nb\nK\x01\x85}K\x02K\x03s\x92K\x04bK\x05bK\x06aK\x07K\x08s(K\x09K\x0ae\x94" +
		"0]\x94(\x8f(K\x0b\x90K\x0cQh\x00h\x01h\x00e."
	v, err := Unmarshal([]byte(in))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	Walk(v, nil, func(v Value) bool {
		got = append(got, strings.TrimPrefix(fmt.Sprintf("%T", v), "*pickle."))
		if n, ok := v.(int64); ok {
			got[len(got)-1] = fmt.Sprint(n)
		}
		return true
	})
	want := strings.Fields("List Set 11 Persistent 12 Object Symbol Tuple 1 Dict 2 3 4 5 6 9 10 7 8")
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	n := 0
	Walk(v, nil, func(Value) bool { n++; return false })
	if n != 1 {
		t.Errorf("visited %d values below a false", n-1)
	}
}

func TestGet(t *testing.T) {
	v, err := Unmarshal([]byte("}(U\x01aK\x01X\x01\x00\x00\x00aK\x02U\x01\xe9K\x03u."))
	if err != nil {
		t.Fatal(err)
	}
	d := v.(*Dict)
	if got, ok := d.Get("a"); !ok || got != Value(int64(2)) {
		t.Errorf("a is %v", got)
	}
	if got, ok := d.Get("é"); !ok || got != Value(int64(3)) {
		t.Errorf("é is %v", got)
	}
	if _, ok := d.Get("b"); ok {
		t.Error("b was found")
	}
}
