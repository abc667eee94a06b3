package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/tensmith/tensmith/safetensors"
)

// namesOf returns tensors of one byte each with the names given.
func namesOf(t testing.TB, names []string) []*safetensors.Tensor {
	var entries []safetensors.Entry
	for _, name := range names {
		entries = append(entries, safetensors.Entry{
			Info: safetensors.Info{Name: name, DType: safetensors.U8, Shape: []uint64{1}},
			Data: bytes.NewReader([]byte{0}),
		})
	}
	var b bytes.Buffer
	if err := new(safetensors.Encoder).Encode(&b, entries); err != nil {
		t.Fatal(err)
	}
	f, err := safetensors.NewFile(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	var list []*safetensors.Tensor
	for x := range f.All() {
		list = append(list, x)
	}
	return list
}

// leaves counts the tensors that the lines of a tree tell of, and fails if the
// tree has more lines than it may.
func leaves(t testing.TB, root *node, tensors int) (n int) {
	lines := 0
	root.lines(0, func(l treeLine) {
		if lines++; l.DType == "" {
			return
		}
		// A line with a dtype is a tensor, or as many as its part repeats; the
		// lines below it are told of on their own.
		n++
	})
	if lines > 2*tensors {
		t.Errorf("%d lines of %d tensors", lines, tensors)
	}
	return n
}

// FuzzTree states that the tree counts every tensor once and never has more
// than two nodes a tensor, whatever the names.
func FuzzTree(f *testing.F) {
	f.Add("a\na.b\na-b\na.b.c\n.\n..\n/\na/b")
	f.Add("h.0.w\nh.1.w\nh.2.w\nh.10.w\nh.01.w")
	f.Add(strings.Repeat("x.", 300) + "\n" + strings.Repeat("x.", 299) + "y")
	f.Add("0\n1\n2\n3\n0.0\n1.0\n2.0\n3.0")
	f.Fuzz(func(t *testing.T, text string) {
		seen := map[string]bool{}
		var names []string
		for _, name := range strings.Split(strings.ToValidUTF8(text, ""), "\n") {
			if !seen[name] && name != "__metadata__" {
				seen[name] = true
				names = append(names, name)
			}
		}
		tensors := namesOf(t, names)
		root := grow(tensors)
		if root.tensors != len(names) || root.bytes != int64(len(names)) {
			t.Fatalf("%d tensors and %d bytes, want %d of both", root.tensors, root.bytes, len(names))
		}
		if n := leaves(t, root, len(names)); n > len(names) {
			t.Errorf("%d lines are tensors, of %d", n, len(names))
		}
		sum := 0
		root.lines(1, func(l treeLine) { sum += l.Tensors })
		if sum != len(names) {
			t.Errorf("the first level tells of %d tensors, want %d", sum, len(names))
		}
	})
}

// A chain of names each of which is the beginning of the next is as deep as
// names are many: neither the stack nor the drawing may grow with its square.
func TestTreeChain(t *testing.T) {
	const n = 2000
	names := make([]string, n)
	for i := range names {
		names[i] = strings.Repeat("a.", i) + "a"
	}
	root := grow(namesOf(t, names))
	lines, width := 0, 0
	root.lines(0, func(l treeLine) {
		lines++
		width = max(width, len(l.stem))
		if l.Depth != lines || l.Tensors != n+1-lines {
			t.Fatalf("line %d is of depth %d and %d tensors", lines, l.Depth, l.Tensors)
		}
	})
	if lines != n || width > 200 {
		t.Errorf("%d lines, the widest stem %d bytes", lines, width)
	}
}

func TestRanges(t *testing.T) {
	for _, c := range []struct{ numbers, want string }{
		{"0", "0"},
		{"0 1 2", "0..2"},
		{"0 2 4", "0,2,4"},
		{"0 1 5 7 8 9", "0..1,5,7..9"},
		{"0 2 4 6 8 10", "0,2,4,6,…,10"},
		{"1 01 2", "1,01..2"},
		{"18446744073709551615 18446744073709551616", "18446744073709551615,18446744073709551616"},
	} {
		if got := ranges(strings.Fields(c.numbers)); got != c.want {
			t.Errorf("ranges(%s) = %s, want %s", c.numbers, got, c.want)
		}
	}
}

func BenchmarkTree(b *testing.B) {
	var names []string
	for i := range 100_000 {
		names = append(names, fmt.Sprintf("model.layers.%d.mlp.experts.%d.up_proj.weight", i/256, i%256))
	}
	tensors := namesOf(b, names)
	for b.Loop() {
		grow(tensors).lines(0, func(treeLine) {})
	}
}
