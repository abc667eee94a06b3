package safetensors

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"unicode/utf8"
)

// An Entry is a tensor to be stored. Its data is what Data writes: the
// elements in row-major order, little-endian, sub-byte elements packed. A
// [Tensor], a [Slice] and a [bytes.Reader] are such data.
//
// Data that has a method Size() int64 is checked before anything is written.
// If it is also an [io.ReaderAt] it is read at offsets, by several workers
// when it goes to a file.
//
// Data that has a method Written(p []byte, done func()) sees what of it is
// written, to compute a digest on the way: all its bytes, in order, piece by
// piece. What goes to a file and can be read at offsets is read back from the
// file for that. Written may return early. It is not called again until it has
// called done, in whatever goroutine; until then p does not change.
//
// Data that has a method Later(), and can be read at offsets, is asked for when
// the other data of a file is being written or has been, wherever it stands: it
// may be known by then without more reading. A block of the file that it has a
// part in is written as late.
type Entry struct {
	Info
	Data io.WriterTo
}

// An Encoder writes tensors as a safetensors file. Same entries, same bytes:
// tensors stand in the order of the reference implementation (dtype, largest
// first, then name), so for at most one metadata key the file is, byte for
// byte, the reference's. With more keys the reference's order is random; ours
// is sorted. Of no tensors and an empty map of metadata the reference makes a
// file that it cannot read; ours is sound.
//
// The zero Encoder is ready for use.
type Encoder struct {
	// Metadata are the strings of __metadata__. Nil writes none, an empty map
	// an empty one.
	Metadata map[string]string

	// Align is the multiple of bytes at which the data begins in the file, a
	// power of two from 8 up; 0 means 8. With more than 8, tensors are ordered by the
	// alignment that their size keeps up before anything else, so that every
	// tensor whose size is a multiple of Align also begins at one: the format
	// allows no gap in which to pad the others.
	Align int

	// Slack is how many bytes of the header, at least, are spaces at its end: as
	// much may be added to the metadata later without writing the file anew, see
	// [EditMetadata].
	Slack int

	// NoSync leaves it to the system when a file that is written reaches the
	// disk. It still appears whole or not at all, but after a crash of the
	// system it may be lost or incomplete.
	NoSync bool

	// Direct lets a file be written past the page cache, as far as its data can
	// be read at offsets and system and file system allow it: that spares the
	// processor, and what others have in the page cache, but whoever reads the
	// file next reads it from the disk. Without it only a file of more than half
	// of the memory that is available is written so. The bytes are the same.
	Direct bool

	// Progress, if set, is called now and then with the number of bytes of
	// data written so far, from one goroutine at a time.
	Progress func(written int64)
}

// Encode writes the entries to w. It refuses, before it writes a byte, names
// that are not UTF-8, reserved or used twice, sizes that do not fit dtype and
// shape, and a header over 100,000,000 bytes; the error is an [ErrEntry]. Data
// that turns out longer or shorter than it should is an error halfway.
func (e *Encoder) Encode(w io.Writer, entries []Entry) error {
	plan, err := e.plan(entries)
	if err != nil {
		return err
	}
	if _, err := plan.prefix.WriteTo(w); err != nil {
		return err
	}
	return plan.stream(context.Background(), w, e.Progress)
}

// checkMetadata refuses what a header cannot hold.
func checkMetadata(metadata map[string]string) error {
	for _, key := range slices.Sorted(maps.Keys(metadata)) {
		if !utf8.ValidString(key) || !utf8.ValidString(metadata[key]) {
			return fmt.Errorf("metadata key %s %w: %w", quote(key), ErrEntry, errUTF8)
		}
	}
	return nil
}

var (
	errUTF8     = errors.New("it is not UTF-8")
	errReserved = errors.New("the name is reserved")
)

// check returns the size of the entry's data. The data itself says that it is
// sourceSize, or unsized.
func (e *Entry) check(sourceSize int64) (int64, error) {
	if e.Name == reservedName {
		return 0, errReserved
	}
	size, err := e.DataSize()
	if err != nil {
		return 0, err
	}
	if sourceSize != unsized && sourceSize != size {
		return 0, fmt.Errorf("%w: %s %d takes %d bytes, the data is %d", ErrSize, e.DType, e.Shape, size, sourceSize)
	}
	if e.Data == nil && size > 0 {
		return 0, errors.New("it has no data")
	}
	return size, nil
}

const unsized = math.MinInt64

// sourceSize returns what the data says its size is, or unsized.
func (e *Entry) sourceSize() int64 {
	switch data := e.Data.(type) {
	case *Tensor: // the common cases, sooner than an interface is looked up
		return data.Size()
	case *bytes.Reader:
		return data.Size()
	case interface{ Size() int64 }:
		return data.Size()
	}
	return unsized
}
