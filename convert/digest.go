package convert

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/tensmith/tensmith/internal/digest"
	"github.com/tensmith/tensmith/safetensors"
)

// A sum is data whose SHA-256 is computed while it is written.
type sum struct {
	sized
	pool   *digest.Pool
	stream *digest.Stream // of what is being written
	left   int64
	alone  bool // among all tensors, see digest.Longest
	sum    [sha256.Size]byte
}

// A sumAt is the same of data that can be read at offsets.
type sumAt struct{ sum }

// ReadAt implements io.ReaderAt.
func (s *sumAt) ReadAt(p []byte, off int64) (int, error) {
	n, err := s.sized.(io.ReaderAt).ReadAt(p, off)
	if _, named := s.sized.(*safetensors.Tensor); named && n < len(p) {
		// The encoder names the tensor of an error, too.
		err = cmp.Or(errors.Unwrap(err), err)
	}
	return n, err
}

// Written takes what is written, as the encoder wants it.
func (s *sum) Written(p []byte, done func()) {
	if s.left -= int64(len(p)); s.left > 0 || s.stream != nil {
		if s.stream == nil {
			s.stream = &digest.Stream{Alone: s.alone}
		}
		last := done
		if s.left == 0 {
			last = func() {
				s.sum, s.stream = s.stream.Sum(), nil
				done()
			}
		}
		s.pool.Write(s.stream, p, last)
		return
	}
	s.sum = sha256.Sum256(p)
	done()
}

// newSum returns the sum of data, of size bytes. Longest is digest.Longest of all.
func newSum(pool *digest.Pool, data sized, size, longest int64) sum {
	s := sum{sized: data, pool: pool, left: size, alone: size > longest}
	if size == 0 {
		s.sum = sha256.Sum256(nil)
	}
	return s
}

// take hashes what is next and waits for it.
func (s *sum) take(p []byte) {
	var seen sync.WaitGroup
	seen.Add(1)
	s.Written(p, seen.Done)
	seen.Wait()
}

// watch returns entries with sums around their data: after are those of the
// bytes that are written. Casts get sums of what they read.
func watch(entries []safetensors.Entry, casts map[int]*cast) (watching []safetensors.Entry, after []sumAt, err error) {
	pool := new(digest.Pool)
	entries = slices.Clone(entries)
	after = make([]sumAt, len(entries))
	longest := digest.Longest(func(yield func(int64) bool) {
		for i := range entries {
			if size, _ := entries[i].DataSize(); !yield(size) {
				return
			}
		}
	})
	for i := range entries {
		e, s := &entries[i], &after[i]
		data, ok := e.Data.(sized)
		if !ok {
			return nil, nil, fmt.Errorf("tensor %q: data of unknown size", e.Name)
		}
		s.sum = newSum(pool, data, data.Size(), longest)
		if e.Data = s; !canReadAt(data) {
			e.Data = &s.sum
		}
		if c := casts[i]; c != nil {
			before := newSum(pool, nil, c.size, longest)
			before.alone = s.alone // they advance together
			c.before = &before
		}
	}
	return entries, after, nil
}

// sums takes the digests into the report, as one long string: there may be a
// hundred thousand.
func (r *Report) sums(after []sumAt, casts map[int]*cast) {
	text := make([]byte, 0, 2*sha256.Size*(len(after)+len(casts)))
	for i := range after {
		text = hex.AppendEncode(text, after[i].sum.sum[:])
		if c := casts[i]; c != nil {
			text = hex.AppendEncode(text, c.before.sum[:])
		}
	}
	all := string(text)
	next := func() (sum string) {
		sum, all = all[:2*sha256.Size], all[2*sha256.Size:]
		return sum
	}
	for i := range after {
		t := &r.Tensors[i]
		t.After = next()
		if t.Before = t.After; casts[i] != nil {
			t.Before = next()
		}
	}
}

func canReadAt(data sized) bool {
	_, ok := data.(io.ReaderAt)
	return ok
}

// digests hashes tensors, many at a time, and calls set for each.
func digests(ctx context.Context, tensors []*safetensors.Tensor, progress func(done, total int64), set func(i int, sum [sha256.Size]byte)) error {
	total := int64(0)
	for _, t := range tensors {
		total += t.Size()
	}
	longest := digest.Longest(func(yield func(int64) bool) {
		for _, t := range tensors {
			if !yield(t.Size()) {
				return
			}
		}
	})
	var (
		pool   digest.Pool
		mu     sync.Mutex
		next   atomic.Int64
		done   int64
		failed error
		wg     sync.WaitGroup
	)
	work := func(buf []byte, i int) error {
		data := tensors[i]
		s := newSum(&pool, data, data.Size(), longest)
		for off := int64(0); off < data.Size(); off += int64(len(buf)) {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			part := buf[:min(int64(len(buf)), data.Size()-off)]
			if n, err := data.ReadAt(part, off); n < len(part) {
				return err // which names the tensor
			}
			s.take(part)
			mu.Lock()
			if done += int64(len(part)); progress != nil {
				progress(done, total)
			}
			mu.Unlock()
		}
		mu.Lock()
		defer mu.Unlock()
		set(i, s.sum)
		return nil
	}
	for range min(digest.Lanes, len(tensors)) {
		wg.Go(func() {
			buf := make([]byte, 256<<10)
			for {
				i := int(next.Add(1)) - 1
				if i >= len(tensors) {
					return
				}
				if err := work(buf, i); err != nil {
					mu.Lock()
					if failed == nil {
						failed = err
					}
					mu.Unlock()
					return
				}
			}
		})
	}
	wg.Wait()
	return failed
}
