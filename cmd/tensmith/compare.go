package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/tensmith/tensmith/safetensors"
)

// A pair is two tensors of the same size.
type pair struct{ a, b *safetensors.Tensor }

// comparePiece is how many bytes of a tensor a worker compares at a time. The
// workers share out pieces and not tensors, of which one may be most of a model.
const comparePiece = 1 << 20

// compare reads both tensors of each pair and returns the offset of the first
// byte in which they differ, -1 for none.
func (a *app) compare(ctx context.Context, pairs []pair) ([]int64, error) {
	total, pieces := int64(0), int64(0)
	ends := make([]int64, len(pairs)) // of each pair, in pieces
	result := make([]int64, len(pairs))
	for i, p := range pairs {
		total += p.a.Size()
		pieces += (p.a.Size() + comparePiece - 1) / comparePiece
		ends[i], result[i] = pieces, -1
	}
	m := a.meter("comparing", total)
	defer m.end()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var mu sync.Mutex // of result
	var wg sync.WaitGroup
	for range min(int64(a.jobs), pieces) {
		wg.Go(func() {
			buf := make([]byte, 2*comparePiece)
			for k := next.Add(1) - 1; k < pieces && ctx.Err() == nil; k = next.Add(1) - 1 {
				i := sort.Search(len(ends), func(i int) bool { return ends[i] > k })
				p := pairs[i]
				first := ends[i] - (p.a.Size()+comparePiece-1)/comparePiece
				off := (k - first) * comparePiece
				n := min(comparePiece, p.a.Size()-off)
				m.add(n)
				mu.Lock()
				known := result[i] >= 0 && result[i] < off
				mu.Unlock()
				if known {
					continue
				}
				at, err := p.compare(buf[:n], buf[comparePiece:comparePiece+n], off)
				if err != nil {
					cancel(err)
					return
				}
				mu.Lock()
				if at >= 0 && (result[i] < 0 || at < result[i]) {
					result[i] = at
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return result, context.Cause(ctx)
}

// compare compares the bytes of both tensors from off on, as many as x and y
// have room for, and returns the offset of the first that differs, or -1.
func (p pair) compare(x, y []byte, off int64) (int64, error) {
	if err := readFull(p.a, x, off); err != nil {
		return 0, err
	}
	if err := readFull(p.b, y, off); err != nil {
		return 0, err
	}
	if bytes.Equal(x, y) {
		return -1, nil
	}
	at := 0
	for x[at] == y[at] {
		at++
	}
	return off + int64(at), nil
}

// readFull reads all of p from a tensor, which is known to have it: a file
// that has shrunk since it was opened is an error.
func readFull(t *safetensors.Tensor, p []byte, off int64) error {
	n, err := t.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("%s: %s: %w", t.File().Name(), shorten(safe(t.Name), 80), err)
}

// alike reports whether two tensors have the same dtype and shape.
func alike(x, y safetensors.Info) bool {
	if x.DType != y.DType || len(x.Shape) != len(y.Shape) {
		return false
	}
	for i := range x.Shape {
		if x.Shape[i] != y.Shape[i] {
			return false
		}
	}
	return true
}
