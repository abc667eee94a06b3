package numeric

import (
	"context"
	"math"
	"sort"
)

// Histogram reads the data and counts its finite numbers between edges, at least
// two, which ascend: as [Stats.Histogram], but exactly for every type, and for
// edges that are known before.
func (s Scan) Histogram(ctx context.Context, data Data, edges []float64) ([]uint64, error) {
	return s.histogram(ctx, data, edges, false)
}

// Magnitudes is a Histogram of magnitudes.
func (s Scan) Magnitudes(ctx context.Context, data Data, edges []float64) ([]uint64, error) {
	return s.histogram(ctx, data, edges, true)
}

func (s Scan) histogram(ctx context.Context, data Data, edges []float64, magnitudes bool) ([]uint64, error) {
	total, err := data.numbers()
	if err != nil || len(edges) < 2 {
		return nil, err
	}
	piece := pieceBytes / bytesOf(data.DType, blockNumbers) * blockNumbers
	workers := make([]*binner, s.workers((total+piece-1)/piece))
	for i := range workers {
		workers[i] = newBinner(edges, magnitudes)
		workers[i].values = make([]float64, min(castNumbers, total))
	}
	buffers := make([][]byte, len(workers))
	size := func(n int64) int64 { return bytesOf(data.DType, n) }
	err = s.run(ctx, total, piece, size, func(worker int, first, n int64) error {
		src, err := data.read(&buffers[worker], bytesOf(data.DType, first), bytesOf(data.DType, n))
		if err != nil {
			return err
		}
		b := workers[worker]
		for at := int64(0); at < n; at += castNumbers {
			count := min(castNumbers, n-at)
			values := b.values[:count]
			if err := Decode(values, data.DType, src[bytesOf(data.DType, at):][:bytesOf(data.DType, count)]); err != nil {
				return err
			}
			b.add(values)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	counts := workers[0].counts
	for _, b := range workers[1:] {
		for i, n := range b.counts {
			counts[i] += n
		}
	}
	return counts, nil
}

// A binner is a worker's part of a histogram. It guesses the bin of a number, as
// if edges were of equal width, or, of magnitudes, of equal ratio.
type binner struct {
	edges      []float64
	counts     []uint64
	magnitudes bool
	low, scale float64
	values     []float64
}

func newBinner(edges []float64, magnitudes bool) *binner {
	b := &binner{edges: edges, counts: make([]uint64, len(edges)-1), magnitudes: magnitudes}
	b.low = b.place(edges[0])
	if width := b.place(edges[len(edges)-1]) - b.low; width > 0 {
		b.scale = float64(len(edges)-1) / width
	}
	return b
}

// place returns a number that grows with v about as bins do. It is halved, so
// that no difference of two is infinite.
func (b *binner) place(v float64) float64 {
	if b.magnitudes {
		return float64(int64(math.Float64bits(v))) // about its logarithm
	}
	return v / 2
}

func (b *binner) add(values []float64) {
	first, last, top := b.edges[0], b.edges[len(b.edges)-1], len(b.counts)-1
	for _, v := range values {
		if b.magnitudes {
			v = math.Abs(v)
		}
		if !(v >= first && v <= last) || v-v != 0 {
			continue
		}
		i := top
		if guess := (b.place(v) - b.low) * b.scale; guess < float64(top) {
			i = int(guess)
		}
		if v < b.edges[i] || i < top && v >= b.edges[i+1] {
			// The first edge above v ends its bin; the last bin has its end, too.
			i = min(sort.Search(len(b.edges), func(i int) bool { return b.edges[i] > v })-1, top)
		}
		b.counts[i]++
	}
}
