package convert

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"
	"strings"
	"sync"

	"github.com/tensmith/tensmith/internal/digest"
	"github.com/tensmith/tensmith/safetensors"
)

// A sum is data whose SHA-256 is computed while it is written.
//
// There may be hundreds of thousands of them: what they have in common, and
// what most have not, stand elsewhere.
type sum struct {
	sized
	*tools
	stream *digest.Stream // of what is being written
	again  *reading       // or nil
	left   int64
	alone  bool // among all tensors, see digest.Longest
	sum    [sha256.Size]byte
}

// Tools are what all sums work with.
type tools struct {
	pool  *digest.Pool
	parts sync.Pool // of buffers for what is read again
}

// A reading is what is read again while data is written.
type reading struct {
	cast   *cast       // if the data is one of a source that can be read again
	before int64       // how much of that has been hashed
	verify bool        // the data has to be the same when it is read again
	same   io.ReaderAt // from this, which a cast has while it is being written
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
	if s.again != nil && s.again.verify {
		s.compare(p)
	}
	if s.again != nil && s.again.cast != nil {
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
	if s.again.same == nil {
		numbers, err := s.again.cast.numbers()
		if err != nil {
			s.again.failed = err
			return
		}
		s.again.same = numbers
	}
	s.eachPart(s.again.same, s.Size()-s.left-int64(len(p)), int64(len(p)), func(part []byte) {
		if !bytes.Equal(part, p[:len(part)]) && s.again.failed == nil {
			s.again.failed = ErrVerify
		}
		p = p[len(part):]
	})
	if s.left == 0 {
		s.again.same = nil
	}
}

// readBefore hashes as large a part of the source of a cast as has been
// written of the cast.
func (s *sum) readBefore() {
	c := s.again.cast
	hi, lo := bits.Mul64(uint64(c.size), uint64(s.Size()-s.left))
	end, _ := bits.Div64(hi, lo, uint64(s.Size()))
	s.eachPart(c.src, s.again.before, int64(end)-s.again.before, c.before.take)
	s.again.before = int64(end)
}

// eachPart reads size bytes from offset off of r on, part by part.
func (s *sum) eachPart(r io.ReaderAt, off, size int64, do func(part []byte)) {
	buf := s.parts.Get().(*[]byte)
	defer s.parts.Put(buf)
	for end := off + size; off < end && s.again.failed == nil; {
		part := (*buf)[:min(partSize, end-off)]
		if n, err := r.ReadAt(part, off); n < len(part) {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			s.again.failed = fmt.Errorf("reading again: %w", err)
			return
		}
		do(part)
		off += int64(len(part))
	}
}

// newSum returns the sum of data, of size bytes. Longest is digest.Longest of all.
func newSum(with *tools, data sized, size, longest int64) sum {
	s := sum{sized: data, tools: with, left: size, alone: size > longest}
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
func watch(entries []safetensors.Entry, casts casts, verify bool) (watching []safetensors.Entry, after []sumAt, err error) {
	with := &tools{pool: new(digest.Pool), parts: sync.Pool{New: func() any {
		buf := make([]byte, partSize)
		return &buf
	}}}
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
		s.sum = newSum(with, data, data.Size(), longest)
		c, at := casts.of(i), canReadAt(data)
		if c != nil {
			before := newSum(with, nil, c.size, longest)
			before.alone = s.alone // they advance together
			c.before = &before
		}
		if e.Data = s; !at {
			e.Data = &s.sum
			continue
		}
		if !verify && c == nil {
			continue
		}
		s.again = &reading{cast: c, verify: verify}
		if c == nil {
			s.again.same = data.(io.ReaderAt)
		}
	}
	return entries, after, nil
}

// failure returns what went wrong while something was read again.
func failure(after []sumAt, entries []safetensors.Entry) error {
	for i := range after {
		if again := after[i].again; again != nil && again.failed != nil {
			return fmt.Errorf("tensor %q: %w", entries[i].Name, again.failed)
		}
	}
	return nil
}

// texts are digests in hexadecimal, one behind the other in one long string:
// there may be hundreds of thousands.
type texts string

func textsOf(after []sumAt, casts casts) texts {
	var text strings.Builder
	text.Grow(2 * sha256.Size * (len(after) + len(casts)))
	var hexed [2 * sha256.Size]byte
	add := func(sum *sum) {
		hex.Encode(hexed[:], sum.sum[:])
		text.Write(hexed[:])
	}
	for i := range after {
		add(&after[i].sum)
		if c := casts.of(i); c != nil {
			add(c.before)
		}
	}
	return texts(text.String())
}

func (t *texts) next() string {
	sum := (*t)[:2*sha256.Size]
	*t = (*t)[2*sha256.Size:]
	return string(sum)
}

// sums takes the digests into the report.
func (r *Report) sums(sums texts, casts casts) {
	if sums == "" {
		return
	}
	for i := range r.Tensors {
		t := &r.Tensors[i]
		t.After = sums.next()
		if t.Before = t.After; casts.of(i) != nil {
			t.Before = sums.next()
		}
	}
}

func canReadAt(data sized) bool {
	_, ok := data.(io.ReaderAt)
	return ok
}
