package main

import (
	"context"
	"encoding/binary"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tensmith/tensmith/numeric"
	"github.com/tensmith/tensmith/safetensors"
)

// castPairs are the casts that are measured, scanned the types of statistics.
var (
	castPairs = [][2]safetensors.DType{
		{safetensors.F32, safetensors.BF16}, {safetensors.F32, safetensors.F16},
		{safetensors.F32, safetensors.F8E4M3}, {safetensors.BF16, safetensors.F32},
	}
	scanned = []safetensors.DType{safetensors.F32, safetensors.BF16, safetensors.F16, safetensors.F8E4M3, safetensors.F8E5M2}
)

func castName(from, to safetensors.DType) string {
	return "cast " + from.String() + " to " + to.String()
}

func statsName(d safetensors.DType) string { return "statistics of " + d.String() }

// compared are the comparisons of a type with itself that are measured: of numbers
// of which the last bit of every so manieth differs, none if it is 0.
var compared = []struct {
	dtype safetensors.DType
	every int
	what  string
}{
	{safetensors.F32, 128, "1 of 128 changed"},
	{safetensors.BF16, 128, "1 of 128 changed"},
	{safetensors.BF16, 1, "all changed"},
	{safetensors.BF16, 0, "the same bytes"},
	{safetensors.F8E4M3, 128, "1 of 128 changed"},
	{safetensors.F8E4M3, 1, "all changed"},
}

// memoryCases are what numeric does with numbers in memory.
func memoryCases(numbers []byte) (cases []*benchCase, err error) {
	f32 := numeric.Data{DType: safetensors.F32, Source: numeric.Memory(numbers), Size: int64(len(numbers))}
	as := map[safetensors.DType]numeric.Data{safetensors.F32: f32}
	for _, d := range scanned[1:] {
		c, err := numeric.NewCast(f32, d, numeric.Saturate)
		if err != nil {
			return nil, err
		}
		p := make([]byte, c.Size())
		if err := castAll(c, p); err != nil {
			return nil, err
		}
		as[d] = numeric.Data{DType: d, Source: numeric.Memory(p), Size: int64(len(p))}
	}
	// One place for all results: it has been touched, and no case has an advantage.
	dst := make([]byte, len(numbers))
	clear(dst)
	spare := slices.Clone(numbers)
	add := func(what, who string, size int64, run func() error) {
		cases = append(cases, &benchCase{what: what, who: who, bytes: size, run: timed(run)})
	}
	for _, pair := range castPairs {
		c, err := numeric.NewCast(as[pair[0]], pair[1], numeric.ToSpecial)
		if err != nil {
			return nil, err
		}
		moved := as[pair[0]].Size + c.Size()
		add(castName(pair[0], pair[1]), ours, moved, func() error { return castAll(c, dst[:c.Size()]) })
		add(castName(pair[0], pair[1]), limit+"copy of the bytes moved", moved, func() error {
			share(int(moved/2), func(first, last int) { copy(dst[first:last], spare[first:last]) })
			return nil
		})
		from, to := pair[0].Bits(), pair[1].Bits()
		if mix := mixOf(from, to); mix != nil {
			read := as[pair[0]].Source.(numeric.Memory)
			add(castName(pair[0], pair[1]), limit+"as much read, as much written", moved, func() error {
				share(len(read), func(first, last int) { mix(&dst[first/from*to], &read[first], last-first) })
				return nil
			})
		}
	}
	for _, d := range scanned {
		add(statsName(d), ours, as[d].Size, func() error {
			_, err := numeric.Scan{}.Stats(context.Background(), as[d])
			return err
		})
		add(statsName(d), limit+"sum of its words", as[d].Size, func() error {
			readSum(as[d].Source.(numeric.Memory))
			return nil
		})
	}
	for _, c := range compared {
		one := as[c.dtype].Source.(numeric.Memory)
		raw := changed(one, c.every*c.dtype.Bits()/8)
		other := numeric.Data{DType: c.dtype, Source: numeric.Memory(raw), Size: int64(len(raw))}
		name := "compare " + c.dtype.String() + " with " + c.dtype.String() + ", " + c.what
		add(name, ours, 2*other.Size, func() error {
			_, err := numeric.Scan{}.Compare(context.Background(), as[c.dtype], other, numeric.Tolerance{Rel: 1e-5, Abs: 1e-8})
			return err
		})
		add(name, limit+"sum of both's words", 2*other.Size, func() error {
			readSum(one)
			readSum(raw)
			return nil
		})
	}
	return cases, nil
}

func timed(run func() error) func() (time.Duration, error) {
	return func() (time.Duration, error) {
		start := time.Now()
		err := run()
		return time.Since(start), err
	}
}

// piece is what a thread takes at a time: nobody waits for the slower of two.
const piece = 8 << 20

// share has every thread do its pieces of n bytes.
func share(n int, part func(first, last int)) {
	var group sync.WaitGroup
	var next atomic.Int64
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for {
				first := int(next.Add(1)-1) * piece
				if first >= n {
					return
				}
				part(first, min(first+piece, n))
			}
		})
	}
	group.Wait()
}

// castAll has every thread cast its pieces.
func castAll(c *numeric.Cast, dst []byte) error {
	var failed atomic.Pointer[error]
	share(len(dst), func(first, last int) {
		if _, err := c.ReadAt(dst[first:last], int64(first)); err != nil {
			failed.Store(&err)
		}
	})
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

var total atomic.Uint64 // so that no sum is left out

// readSum adds up words of 64 bits in plain Go, which memory is too slow for
// already.
func readSum(p []byte) {
	share(len(p), func(first, last int) { total.Add(sumOf(p[first:last])) })
}

// sumOf is no part of readSum: in a closure the compiler does not inline Uint64.
// The sums are variables, for an array would be in memory itself.
func sumOf(p []byte) uint64 {
	var a, b, c, d uint64
	for ; len(p) >= 32; p = p[32:] {
		a += binary.LittleEndian.Uint64(p)
		b += binary.LittleEndian.Uint64(p[8:])
		c += binary.LittleEndian.Uint64(p[16:])
		d += binary.LittleEndian.Uint64(p[24:])
	}
	return a + b + c + d
}
