package safetensors

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"maps"
	"math/bits"
	"slices"
	"strconv"
	"unicode/utf8"
)

// An Entry is a tensor to be stored. Its data is what Data writes: the
// elements in row-major order, little-endian, sub-byte elements packed. A
// [Tensor], a [Slice] and a [bytes.Reader] are such data.
//
// Data that has a method Size() int64 is checked before anything is written.
// If it is also an [io.ReaderAt] it is read at offsets, by several workers
// when it goes to a file.
type Entry struct {
	Info
	Data io.WriterTo
}

// An Encoder writes tensors as a safetensors file. Same entries, same bytes:
// tensors stand in the order of the reference implementation (dtype, largest
// first, then name), so for at most one metadata key the file is, byte for
// byte, the reference's. With more keys the reference's order is random; ours
// is sorted.
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
	if _, err := w.Write(plan.prefix); err != nil {
		return err
	}
	return plan.stream(context.Background(), w, e.Progress)
}

// A plan is the layout of a file to be written.
type plan struct {
	prefix  []byte // the header and its length
	entries []placed
	size    int64 // of the data
}

// A placed is an entry at its place in the data.
type placed struct {
	*Entry
	begin, size int64
}

func (p *placed) end() int64 { return p.begin + p.size }

func entryError(name string, err error) error {
	return fmt.Errorf("tensor %s %w: %w", quote(name), ErrEntry, err)
}

// plan checks the entries and lays them out.
func (e *Encoder) plan(entries []Entry) (*plan, error) {
	align := cmp.Or(e.Align, 8)
	if align < 8 || align&(align-1) != 0 || align > maxHeaderLen {
		return nil, fmt.Errorf("%w: alignment %d is no power of two from 8 up", ErrEntry, e.Align)
	}
	if err := checkMetadata(e.Metadata); err != nil {
		return nil, err
	}
	p := &plan{entries: make([]placed, len(entries))}
	order := make([]sortItem, len(entries))
	text := 2 + 8
	for i := range entries {
		entry := &entries[i]
		size, err := entry.check()
		if err != nil {
			return nil, entryError(entry.Name, err)
		}
		if p.size += size; p.size < 0 {
			return nil, entryError(entry.Name, fmt.Errorf("%w: all tensors together", ErrOverflow))
		}
		// The dtype that comes first has the lowest rank. With alignment, what
		// keeps up a larger power of two comes before all that does not.
		kept := 0
		if align > 8 {
			kept = bits.TrailingZeros64(uint64(size) | uint64(align))
		}
		order[i] = sortItem{rank: -int32(kept<<8 | int(entry.DType)), index: int32(i), size: size}
		text += len(entry.Name) + 90 + 6*len(entry.Shape)
	}
	one := sortEntries(order, entries)
	at := int64(0)
	for i, item := range order {
		p.entries[i] = placed{Entry: &entries[item.index], begin: at, size: item.size}
		at += item.size
		if one && i > 0 && p.entries[i-1].Name == p.entries[i].Name {
			return nil, entryError(p.entries[i].Name, ErrDuplicate)
		}
	}
	if !one { // else equal names have become neighbours
		if name, twice := duplicate(entries); twice {
			return nil, entryError(name, ErrDuplicate)
		}
	}
	b := make([]byte, prefixLen, text)
	b = append(b, '{')
	if e.Metadata != nil {
		b = appendMetadata(b, e.Metadata)
		if len(p.entries) > 0 {
			b = append(b, ',')
		}
	}
	for i := range p.entries {
		if i > 0 {
			b = append(b, ',')
		}
		b = p.entries[i].appendJSON(b)
	}
	b = append(b, '}')
	for len(b)%align != 0 {
		b = append(b, ' ')
	}
	if len(b)-prefixLen > maxHeaderLen {
		return nil, fmt.Errorf("header of %d bytes %w: %w", len(b)-prefixLen, ErrEntry, ErrHeaderTooLarge)
	}
	binary.LittleEndian.PutUint64(b, uint64(len(b)-prefixLen))
	p.prefix = b
	return p, nil
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

// check returns the size of the entry's data.
func (e *Entry) check() (int64, error) {
	switch {
	case e.Name == reservedName:
		return 0, errReserved
	case !utf8.ValidString(e.Name):
		return 0, errUTF8
	}
	size, err := e.DataSize()
	if err != nil {
		return 0, err
	}
	if sized, ok := e.Data.(interface{ Size() int64 }); ok && sized.Size() != size {
		return 0, fmt.Errorf("%w: %s %d takes %d bytes, the data is %d", ErrSize, e.DType, e.Shape, size, sized.Size())
	}
	if e.Data == nil && size > 0 {
		return 0, errors.New("it has no data")
	}
	return size, nil
}

// duplicate returns a name that two entries share.
func duplicate(entries []Entry) (string, bool) {
	if len(entries) == 0 {
		return "", false
	}
	seed := maphash.MakeSeed()
	slots := make([]slot, 1<<bits.Len(uint(len(entries)*4/3)))
	mask := uint32(len(slots) - 1)
	for n := range entries {
		name := entries[n].Name
		hash := uint32(maphash.String(seed, name))
		i := hash & mask
		for ; slots[i].entry != 0; i = (i + 1) & mask {
			if slots[i].hash == hash && entries[slots[i].entry-1].Name == name {
				return name, true
			}
		}
		slots[i] = slot{hash, uint32(n + 1)}
	}
	return "", false
}

func (p *placed) appendJSON(b []byte) []byte {
	b = appendString(b, p.Name)
	b = append(b, `:{"dtype":"`...)
	b = append(b, dtypes[p.DType].name...)
	b = append(b, `","shape":[`...)
	for i, n := range p.Shape {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, n, 10)
	}
	b = append(b, `],"data_offsets":[`...)
	b = strconv.AppendInt(b, p.begin, 10)
	b = append(b, ',')
	b = strconv.AppendInt(b, p.end(), 10)
	return append(b, `]}`...)
}

// appendMetadata appends the member __metadata__, its keys sorted.
func appendMetadata(b []byte, metadata map[string]string) []byte {
	b = append(b, `"__metadata__":`...)
	return appendObject(b, metadata)
}

// appendObject appends an object of strings, its keys sorted.
func appendObject(b []byte, object map[string]string) []byte {
	b = append(b, '{')
	for i, key := range slices.Sorted(maps.Keys(object)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, key)
		b = append(b, ':')
		b = appendString(b, object[key])
	}
	return append(b, '}')
}

// appendString appends s as a JSON string in the reference's spelling, which
// escapes only what the grammar demands. Package encoding/json escapes more.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	done := 0
	for i := plain(s, 0); i < len(s); i = plain(s, i+1) {
		c := s[i]
		if c >= 0x80 {
			continue
		}
		b = append(b, s[done:i]...)
		done = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\b':
			b = append(b, `\b`...)
		case '\t':
			b = append(b, `\t`...)
		case '\n':
			b = append(b, `\n`...)
		case '\f':
			b = append(b, `\f`...)
		case '\r':
			b = append(b, `\r`...)
		default:
			const hex = "0123456789abcdef"
			b = append(b, `\u00`...)
			b = append(b, hex[c>>4], hex[c&15])
		}
	}
	b = append(b, s[done:]...)
	return append(b, '"')
}
