package digest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"testing/iotest"
)

// A tracked reader tells how many of its kind are open.
type tracked struct {
	io.Reader
	open *atomic.Int64
	err  error // of Close
}

func (r *tracked) Close() error {
	r.open.Add(-1)
	return r.err
}

// TestEach hashes so many sources, of sizes that are alike or far apart, and
// holds the sums to crypto/sha256.
func TestEach(t *testing.T) {
	data := random(5<<20, 3)
	r := rand.New(rand.NewPCG(5, 6))
	even := func(n, size int) []int { return slices.Repeat([]int{size}, n) }
	for i, sizes := range [][]int{
		nil, {0}, {1}, {chunk}, {0, 0, 5}, {3 << 20}, even(2, share+1), even(3, 700_001), even(5, 2*share), even(6, 1<<20), even(9, chunk+3),
		even(33, 300_000), even(40, 64), {4 << 20, 5, 100, 3 << 20, chunk, 1 << 20, 7}, append(even(200, 5000), 4<<20), append(even(17, 100_000), even(17, 99_999)...),
	} {
		for _, workers := range []int{0, 1, 2, 3, 100} {
			var open, most atomic.Int64
			var sources []*Source
			var want [][sha256.Size]byte
			for _, n := range sizes {
				off := r.IntN(len(data) - n + 1)
				part := data[off : off+n]
				want = append(want, sha256.Sum256(part))
				sources = append(sources, &Source{Size: int64(n), Open: func() (io.ReadCloser, error) {
					most.Store(max(most.Load(), open.Add(1)))
					return &tracked{Reader: iotest.HalfReader(bytes.NewReader(part)), open: &open}, nil
				}})
			}
			read, all := int64(0), int64(0)
			for _, s := range sources {
				all += s.Size
			}
			report := func(done, total int64) {
				if done <= read || total != all {
					t.Errorf("%d, %d workers: %d bytes of %d after %d of %d", i, workers, done, total, read, all)
				}
				read = done
			}
			if err := Each(t.Context(), sources, workers, Progress(report, all)); err != nil {
				t.Fatalf("%d, %d workers: %v", i, workers, err)
			}
			if read != all {
				t.Errorf("%d, %d workers: %d bytes of %d are told of", i, workers, read, all)
			}
			for j, s := range sources {
				if s.Sum != want[j] {
					t.Errorf("%d, %d workers, source %d of %d bytes: %x, not %x", i, workers, j, s.Size, s.Sum, want[j])
				}
			}
			if open.Load() != 0 || most.Load() > Lanes*int64(max(workers, 1)) {
				t.Errorf("%d, %d workers: %d sources were left open, and %d were at once", i, workers, open.Load(), most.Load())
			}
		}
	}
}

// TestEachDone goes on where Done says so.
func TestEachDone(t *testing.T) {
	wrong := errors.New("wrong")
	data := random(2<<20, 7)
	want := sha256.Sum256(data)
	for _, n := range []int{1, 4, 40} {
		var open atomic.Int64
		got := make([]error, n)
		var sources []*Source
		for i := range n {
			s := &Source{Size: int64(len(data)), Done: func(err error) error { got[i] = err; return nil }}
			s.Open = func() (io.ReadCloser, error) {
				if i%4 == 1 {
					return nil, wrong
				}
				open.Add(1)
				r := &tracked{Reader: bytes.NewReader(data), open: &open}
				switch i % 4 {
				case 2:
					r.Reader = io.MultiReader(bytes.NewReader(data[:1<<20]), iotest.ErrReader(wrong))
				case 3:
					r.err = wrong
				}
				return r, nil
			}
			sources = append(sources, s)
		}
		if err := Each(t.Context(), sources, 2, nil); err != nil || open.Load() != 0 {
			t.Fatalf("%v, %d open", err, open.Load())
		}
		for i, s := range sources {
			if i%4 == 0 && (got[i] != nil || s.Sum != want) || i%4 != 0 && got[i] != wrong {
				t.Errorf("source %d of %d: %v, %x", i, n, got[i], s.Sum)
			}
		}
	}
	s := &Source{Size: 5, Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }, Done: func(error) error { return wrong }}
	if err := Each(t.Context(), []*Source{s}, 1, nil); err != wrong {
		t.Errorf("what Done returns ends in %v", err)
	}
}

// TestEachFails ends with what went wrong first, and closes all that it has
// opened.
func TestEachFails(t *testing.T) {
	wrong := errors.New("wrong")
	data := random(3<<20, 4)
	for _, n := range []int{1, 2, 5, 40} {
		for name, test := range map[string]struct {
			source func(open *atomic.Int64, cancel func()) (io.ReadCloser, error)
			want   error
		}{
			"open": {func(*atomic.Int64, func()) (io.ReadCloser, error) { return nil, wrong }, wrong},
			"read": {func(open *atomic.Int64, _ func()) (io.ReadCloser, error) {
				open.Add(1)
				return &tracked{Reader: io.MultiReader(bytes.NewReader(data[:1<<20]), iotest.ErrReader(wrong)), open: open}, nil
			}, wrong},
			"short": {func(open *atomic.Int64, _ func()) (io.ReadCloser, error) {
				open.Add(1)
				return &tracked{Reader: bytes.NewReader(data[:len(data)-1]), open: open}, nil
			}, io.ErrUnexpectedEOF},
			"close": {func(open *atomic.Int64, _ func()) (io.ReadCloser, error) {
				open.Add(1)
				return &tracked{Reader: bytes.NewReader(data), open: open, err: wrong}, nil
			}, wrong},
			"cancelled": {func(open *atomic.Int64, cancel func()) (io.ReadCloser, error) {
				open.Add(1)
				cancel()
				return &tracked{Reader: bytes.NewReader(data), open: open}, nil
			}, context.Canceled},
		} {
			t.Run(fmt.Sprintf("%s of %d", name, n), func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var open atomic.Int64
				var sources []*Source
				for i := range n {
					s := &Source{Size: int64(len(data)), Open: func() (io.ReadCloser, error) {
						open.Add(1)
						return &tracked{Reader: bytes.NewReader(data), open: &open}, nil
					}}
					if i == n/2 {
						s.Open = func() (io.ReadCloser, error) { return test.source(&open, cancel) }
					}
					sources = append(sources, s)
				}
				if err := Each(ctx, sources, 2, nil); !errors.Is(err, test.want) {
					t.Errorf("%v, not %v", err, test.want)
				}
				if open.Load() != 0 {
					t.Errorf("%d sources are still open", open.Load())
				}
			})
		}
	}
}
