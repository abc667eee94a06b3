package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/tensmith/tensmith/safetensors"
)

// A pair is two tensors of the same size.
type pair struct{ a, b *safetensors.Tensor }

// compare reads both tensors of each pair and returns the offset of the first
// byte in which they differ, -1 for none.
func (a *app) compare(ctx context.Context, pairs []pair) ([]int64, error) {
	total := int64(0)
	for _, p := range pairs {
		total += p.a.Size()
	}
	m := a.meter("comparing", total)
	defer m.end()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	result := make([]int64, len(pairs))
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(a.jobs, len(pairs)) {
		wg.Go(func() {
			buf := make([]byte, 2<<20)
			for i := next.Add(1) - 1; i < int64(len(pairs)); i = next.Add(1) - 1 {
				at, err := pairs[i].compare(ctx, buf, m)
				if err != nil {
					cancel(err)
					return
				}
				result[i] = at
			}
		})
	}
	wg.Wait()
	return result, context.Cause(ctx)
}

func (p pair) compare(ctx context.Context, buf []byte, m *meter) (int64, error) {
	half := int64(len(buf) / 2)
	for off, size := int64(0), p.a.Size(); off < size; off += half {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		n := min(half, size-off)
		x, y := buf[:n], buf[half:half+n]
		if err := readFull(p.a, x, off); err != nil {
			return 0, err
		}
		if err := readFull(p.b, y, off); err != nil {
			return 0, err
		}
		if !bytes.Equal(x, y) {
			at := 0
			for x[at] == y[at] {
				at++
			}
			m.add(size - off)
			return off + int64(at), nil
		}
		m.add(n)
	}
	return -1, nil
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
