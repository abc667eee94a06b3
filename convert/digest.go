package convert

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"runtime"
	"slices"
	"sync"

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

	cast   *cast       // if the data is one of a source that can be read again
	before int64       // how much of that has been hashed
	again  io.ReaderAt // what the data has to be when it is read again, if not nil
	parts  *sync.Pool  // of buffers for both
	failed error
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
	s.left -= int64(len(p))
	if s.again != nil {
		s.compare(p)
	}
	if s.cast != nil {
		s.readBefore()
	}
	if s.left > 0 || s.stream != nil {
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

// partSize is how many bytes are read at a time to be hashed. As much of each
// stream stays in the cache.
const partSize = 128 << 10

// compare looks whether the source still gives what was written last.
func (s *sum) compare(p []byte) {
	s.eachPart(s.again, s.Size()-s.left-int64(len(p)), int64(len(p)), func(part []byte) {
		if !bytes.Equal(part, p[:len(part)]) && s.failed == nil {
			s.failed = ErrVerify
		}
		p = p[len(part):]
	})
}

// readBefore hashes as large a part of the source of a cast as has been
// written of the cast.
func (s *sum) readBefore() {
	c := s.cast
	hi, lo := bits.Mul64(uint64(c.size), uint64(s.Size()-s.left))
	end, _ := bits.Div64(hi, lo, uint64(s.Size()))
	s.eachPart(c.src, s.before, int64(end)-s.before, c.before.take)
	s.before = int64(end)
}

// eachPart reads size bytes from offset off of r on, part by part.
func (s *sum) eachPart(r io.ReaderAt, off, size int64, do func(part []byte)) {
	buf := s.parts.Get().(*[]byte)
	defer s.parts.Put(buf)
	for end := off + size; off < end && s.failed == nil; {
		part := (*buf)[:min(partSize, end-off)]
		if n, err := r.ReadAt(part, off); n < len(part) {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			s.failed = fmt.Errorf("reading again: %w", err)
			return
		}
		do(part)
		off += int64(len(part))
	}
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
// bytes that are written. Casts get sums of what they read. To verify is to
// read the sources a second time, too.
func watch(entries []safetensors.Entry, casts map[int]*cast, verify bool) (watching []safetensors.Entry, after []sumAt, err error) {
	pool := new(digest.Pool)
	parts := &sync.Pool{New: func() any {
		buf := make([]byte, partSize)
		return &buf
	}}
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
		s.parts = parts
		c, at := casts[i], canReadAt(data)
		if c != nil {
			before := newSum(pool, nil, c.size, longest)
			before.alone = s.alone // they advance together
			c.before = &before
		}
		if e.Data = s; !at {
			e.Data = &s.sum
			continue
		}
		s.cast = c
		switch {
		case verify && c != nil:
			if s.again, err = c.numbers(); err != nil {
				return nil, nil, fmt.Errorf("tensor %q: %w", e.Name, err)
			}
		case verify:
			s.again = data.(io.ReaderAt)
		}
	}
	return entries, after, nil
}

// sums takes the digests into the report, as one long string: there may be a
// hundred thousand.
func (r *Report) sums(after []sumAt, casts map[int]*cast) error {
	for i := range after {
		if err := after[i].failed; err != nil {
			return fmt.Errorf("tensor %q: %w", r.Tensors[i].Name, err)
		}
	}
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
	return nil
}

func canReadAt(data sized) bool {
	_, ok := data.(io.ReaderAt)
	return ok
}

// digests hashes tensors, many at a time, and calls set for each.
func digests(ctx context.Context, tensors []*safetensors.Tensor, progress func(done, total int64), set func(i int, sum [sha256.Size]byte)) error {
	c := &counter{progress: progress}
	sources := make([]*digest.Source, len(tensors))
	for i, t := range tensors {
		c.total += t.Size()
		sources[i] = &digest.Source{Size: t.Size(), Open: func() (io.ReadCloser, error) {
			return io.NopCloser(io.TeeReader(io.NewSectionReader(t, 0, t.Size()), c)), nil
		}}
	}
	if err := digest.Each(ctx, sources, runtime.GOMAXPROCS(0)); err != nil {
		return err
	}
	for i, s := range sources {
		set(i, s.Sum)
	}
	return nil
}

// A counter tells how much of all tensors was read.
type counter struct {
	mu          sync.Mutex
	done, total int64
	progress    func(done, total int64)
}

// Write implements io.Writer.
func (c *counter) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done += int64(len(p)); c.progress != nil {
		c.progress(c.done, c.total)
	}
	return len(p), nil
}
