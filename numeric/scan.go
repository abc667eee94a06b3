package numeric

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
)

// A Scan reads data in pieces of about one MiB, by several workers. What it
// finds depends neither on their number nor on the pieces nor on the processor.
//
// The zero Scan is ready for use.
type Scan struct {
	// Workers is the number of goroutines; 0 means as many as may run at once.
	// Each takes at most eight MiB of memory, usually two.
	Workers int

	// Quantiles asks Stats for quantiles and histograms, at a third of the speed
	// or less. They keep half a MiB for a type of 16 bits, usually a tenth of it
	// for others, and next to nothing for smaller types.
	Quantiles bool

	// Progress, if set, is called after each piece with the number of bytes
	// read so far, by Compare of both sides, from one goroutine at a time.
	Progress func(read int64)
}

const (
	// blockNumbers is the unit of summation, see lanes. It is a multiple of
	// every group.
	blockNumbers = 16384
	// pieceBytes is about what a worker reads at once. Blocks of no type are
	// larger.
	pieceBytes = 1 << 20
)

func (s Scan) workers(pieces int64) int {
	n := s.Workers
	if n <= 0 {
		n = runtime.GOMAXPROCS(0)
	}
	return int(max(1, min(int64(n), pieces)))
}

// run cuts total numbers into pieces of at most each, a multiple of
// blockNumbers, and calls work for each of them, on several goroutines; worker
// tells which. It returns the error of the first piece that had one. For Progress,
// size is the bytes of so many numbers.
func (s Scan) run(ctx context.Context, total, each int64, size func(n int64) int64, work func(worker int, first, n int64) error) error {
	pieces := (total + each - 1) / each
	var next, failed atomic.Int64
	failed.Store(pieces)
	var mu sync.Mutex
	var failure error
	var read int64
	fail := func(piece int64, err error) {
		mu.Lock()
		defer mu.Unlock()
		if piece < failed.Load() {
			failed.Store(piece)
			failure = err
		}
	}
	loop := func(worker int) {
		for {
			piece := next.Add(1) - 1
			if piece >= failed.Load() {
				return
			}
			if err := ctx.Err(); err != nil {
				fail(piece, context.Cause(ctx))
				return
			}
			first := piece * each
			n := min(each, total-first)
			if err := work(worker, first, n); err != nil {
				fail(piece, err)
				return
			}
			if s.Progress != nil {
				mu.Lock()
				read += size(n)
				s.Progress(read)
				mu.Unlock()
			}
		}
	}
	var group sync.WaitGroup
	for worker := range s.workers(pieces) - 1 {
		group.Go(func() { loop(worker + 1) })
	}
	loop(0)
	group.Wait()
	return failure
}
