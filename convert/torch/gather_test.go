package torch

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// naive is the slow twin of gather.
func naive(g gather) []byte {
	var out []byte
	data, _ := g.src.bytes()
	total := g.Size() / int64(g.elem)
	index := make([]int64, len(g.shape))
	for range total {
		at := g.off
		for i, n := range index {
			at += n * g.stride[i]
		}
		out = append(out, data[at*int64(g.elem):(at+1)*int64(g.elem)]...)
		for i := len(index) - 1; i >= 0; i-- {
			if index[i]++; index[i] < g.shape[i] {
				break
			}
			index[i] = 0
		}
	}
	if g.apply != nil {
		g.apply(out)
	}
	return out
}

func random(n int64) span {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return memory(b)
}

func checkGather(t *testing.T, g gather) {
	t.Helper()
	var got bytes.Buffer
	n, err := g.WriteTo(&got)
	if err != nil || n != g.Size() {
		t.Fatalf("%v %v: %d bytes of %d, %v", g.shape, g.stride, n, g.Size(), err)
	}
	if !bytes.Equal(got.Bytes(), naive(g)) {
		t.Fatalf("%v %v off %d elem %d: differs from the slow twin", g.shape, g.stride, g.off, g.elem)
	}
}

func TestGather(t *testing.T) {
	for _, g := range []gather{
		{elem: 4, shape: nil, stride: nil, off: 3},
		{elem: 4, shape: []int64{5, 3}, stride: []int64{1, 5}},
		{elem: 2, shape: []int64{3, 0, 2}, stride: []int64{0, 2, 1}},
		{elem: 8, shape: []int64{3, 4}, stride: []int64{1, 0}},
		{elem: 16, shape: []int64{7}, stride: []int64{3}, off: 2},
		{elem: 1, shape: []int64{4, 3, 5}, stride: []int64{1, 20, 4}},
		{elem: 4, shape: []int64{2, 1, 3, 1}, stride: []int64{3, 99, 1, 7}},
		{elem: 4, shape: []int64{3000, 2500}, stride: []int64{1, 3000}},       // more than a buffer, transposed
		{elem: 4, shape: []int64{2500, 1500}, stride: []int64{3001, 2}},       // thinned
		{elem: 8, shape: []int64{3, 1000, 1100}, stride: []int64{1, 3, 3000}}, // permuted
		{elem: 1, shape: []int64{9_000_000}, stride: []int64{0}, off: 5},      // expanded
		{elem: 2, shape: []int64{2, 5_000_000}, stride: []int64{1, 0}},        // expanded rows
		{elem: 4, shape: []int64{100_000}, stride: []int64{61}, off: 7},       // a column
		{elem: 2, shape: []int64{1 << 11, 1 << 12}, stride: []int64{1, 1 << 11}, apply: swapped(2)},
	} {
		last := g.off
		for i, n := range g.shape {
			last += (n - 1) * g.stride[i]
		}
		g.src = random((max(last, g.off) + 1) * int64(g.elem))
		checkGather(t, g)
	}
}

func FuzzGather(f *testing.F) {
	f.Add([]byte{4, 3, 1, 5, 3, 2, 0}, uint8(1), uint8(2))
	f.Add([]byte{1, 0, 9, 1, 2, 9, 3, 27}, uint8(4), uint8(0))
	f.Fuzz(func(t *testing.T, dims []byte, elem, off uint8) {
		g := gather{elem: []int{1, 2, 4, 8, 16}[elem%5], off: int64(off)}
		last, total := g.off, int64(1)
		for i := 0; i+1 < len(dims) && len(g.shape) < 8; i += 2 {
			n, stride := int64(dims[i]%17), int64(dims[i+1])
			if total *= max(n, 1); total > 1<<16 {
				break
			}
			g.shape, g.stride = append(g.shape, n), append(g.stride, stride)
			last += max(n-1, 0) * stride
		}
		g.src = random((last + 1) * int64(g.elem))
		checkGather(t, g)
	})
}

func TestChanged(t *testing.T) {
	src := random(1 << 10)
	whole, _ := src.bytes()
	want := bytes.Clone(whole)
	swapped(4)(want)
	c := changed{src, 4, swapped(4)}
	for off := int64(0); off < 40; off++ {
		for n := 0; n < 20; n++ {
			p := make([]byte, n)
			if m, err := c.ReadAt(p, off); m != n || err != nil || !bytes.Equal(p, want[off:off+int64(n)]) {
				t.Fatalf("%d bytes at %d: %d, %v", n, off, m, err)
			}
		}
	}
	var b bytes.Buffer
	if _, err := c.WriteTo(&b); err != nil || !bytes.Equal(b.Bytes(), want) {
		t.Fatalf("WriteTo differs, %v", err)
	}
}
