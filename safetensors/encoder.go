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
	"runtime"
	"slices"
	"strconv"
	"sync"
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

	// NoSync leaves it to the system when a file that is written reaches the
	// disk. It still appears whole or not at all, but after a crash of the
	// system it may be lost or incomplete.
	NoSync bool

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
	rank        int32 // lower comes first
	text        int   // see Entry.jsonLen
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
	sorted, err := p.check(entries, align)
	if err != nil {
		return nil, err
	}
	one := len(entries) == 0 || p.entries[0].rank == p.entries[len(entries)-1].rank
	if !sorted {
		one = p.sort(entries)
	}
	at := int64(0)
	for i := range p.entries {
		e := &p.entries[i]
		if e.begin, at = at, at+e.size; at < 0 {
			return nil, entryError(e.Name, fmt.Errorf("%w: all tensors together", ErrOverflow))
		}
	}
	p.size = at
	if !one { // else equal names would have become neighbours
		if name, twice := duplicate(entries); twice {
			return nil, entryError(name, ErrDuplicate)
		}
	}
	p.prefix, err = prefix(e.Metadata, p.entries, align)
	return p, err
}

// check checks the entries, in several parts at once, and takes them into the
// plan as they come. It reports whether they are in order, without a name
// that occurs twice among those of one rank.
func (p *plan) check(entries []Entry, align int) (sorted bool, err error) {
	parts := partsOf(len(entries))
	errs, orders := make([]error, parts), make([]bool, parts)
	parallel(parts, func(w int) {
		orders[w] = true
		from, to := share(len(entries), parts, w)
		for i := from; i < to; i++ {
			e := &entries[i]
			size, err := e.check()
			if err != nil {
				errs[w] = entryError(e.Name, err)
				return
			}
			// The dtype that comes first has the lowest rank. With alignment,
			// what keeps up a larger power of two comes before all that does
			// not.
			kept := 0
			if align > 8 {
				kept = bits.TrailingZeros64(uint64(size) | uint64(align))
			}
			p.entries[i] = placed{Entry: e, size: size, rank: -int32(kept<<8 | int(e.DType)), text: e.jsonLen()}
			orders[w] = orders[w] && (i == from || p.entries[i-1].before(&p.entries[i]))
		}
	})
	for w, err := range errs {
		if err != nil {
			return false, err
		}
		from, to := share(len(entries), parts, w)
		orders[0] = orders[0] && orders[w] && (from == 0 || from == to || p.entries[from-1].before(&p.entries[from]))
	}
	return orders[0], nil
}

func (p *placed) before(q *placed) bool {
	return p.rank < q.rank || p.rank == q.rank && p.Name < q.Name
}

// sort puts the entries in order and reports whether all have one rank.
func (p *plan) sort(entries []Entry) (one bool) {
	s := newSorter(entries)
	for i := range p.entries {
		s.add(i, p.entries[i].rank)
	}
	one = s.sort()
	ordered := make([]placed, len(entries))
	for i, item := range s.items {
		ordered[i] = p.entries[item.index]
		if one && i > 0 && s.items[i-1].key == item.key && ordered[i-1].Name == ordered[i].Name {
			one = false // it is for duplicate to say which name it is
		}
	}
	p.entries = ordered
	return one
}

// prefix returns the header, padded so that its end is a multiple of align,
// and its length before it.
func prefix(metadata map[string]string, entries []placed, align int) ([]byte, error) {
	head := append(make([]byte, prefixLen, 64), '{')
	if metadata != nil {
		head = appendMetadata(head, metadata)
		if len(entries) > 0 {
			head = append(head, ',')
		}
	}
	// The lengths of entries are known before they are written, so that several
	// parts can be written at once to one place.
	parts := partsOf(len(entries))
	at := make([]int, parts+1) // where parts begin
	at[0] = len(head)
	for w := range parts {
		at[w+1] = at[w]
		from, to := share(len(entries), parts, w)
		for _, e := range entries[from:to] {
			at[w+1] += e.text + digits(uint64(e.begin)) + digits(uint64(e.end()))
			if at[w+1] > maxHeaderLen+prefixLen {
				return nil, fmt.Errorf("header of %d bytes and more %w: %w", at[w+1]-prefixLen, ErrEntry, ErrHeaderTooLarge)
			}
		}
	}
	end := max(at[parts], len(head)+1) // the last comma's place is the brace's
	size := (end + align - 1) / align * align
	if size-prefixLen > maxHeaderLen {
		return nil, fmt.Errorf("header of %d bytes %w: %w", size-prefixLen, ErrEntry, ErrHeaderTooLarge)
	}
	b := make([]byte, size)
	copy(b, head)
	parallel(parts, func(w int) {
		from, to := share(len(entries), parts, w)
		appendEntries(b[at[w]:at[w]:at[w+1]], entries[from:to])
	})
	b[end-1] = '}'
	for i := end; i < size; i++ {
		b[i] = ' '
	}
	binary.LittleEndian.PutUint64(b, uint64(size-prefixLen))
	return b, nil
}

// partsOf returns into how many parts n entries are cut, for as many workers.
func partsOf(n int) int {
	const least = 4096 // entries that are worth a worker
	return min(runtime.GOMAXPROCS(0), n/least+1)
}

// share returns the bounds of part w.
func share(n, parts, w int) (from, to int) { return w * n / parts, (w + 1) * n / parts }

// parallel calls f with 0 to n-1, each in its own goroutine.
func parallel(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := 1; i < n; i++ {
		wg.Go(func() { f(i) })
	}
	f(0)
	wg.Wait()
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
	case plain(e.Name, 0) < len(e.Name) && !utf8.ValidString(e.Name):
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

const (
	behindName    = `:{"dtype":"`
	behindDType   = `","shape":[`
	behindShape   = `],"data_offsets":[`
	behindOffsets = `]},`
)

// jsonLen returns the length of an entry with its comma, but without the
// numbers of its offsets.
func (e *Entry) jsonLen() int {
	n := min(stringLen(e.Name), maxHeaderLen) + len(behindName) + len(dtypes[e.DType].name) + len(behindDType) +
		max(0, len(e.Shape)-1) + len(behindShape) + len(",") + len(behindOffsets)
	for _, dim := range e.Shape {
		n += digits(dim)
	}
	return n
}

// digits returns how many decimal digits n has.
func digits(n uint64) int {
	d := 1
	for ; n >= 10_000; n /= 10_000 {
		d += 4
	}
	switch {
	case n >= 1000:
		return d + 3
	case n >= 100:
		return d + 2
	case n >= 10:
		return d + 1
	}
	return d
}

// appendEntries appends entries that lie one behind the other, each with a
// comma behind it. Neighbours share an offset, and often a shape: what they
// share is copied, for the conversion of numbers is much of the work.
//
// Sorted entries are strewn over memory, and waiting for it would be the rest
// of the work. So a batch is looked at before it is written, which lets the
// processor wait for many entries at once.
func appendEntries(b []byte, entries []placed) []byte {
	const batch = 64
	var infos [batch]*Info
	var shape []uint64
	var shapeText, offset []byte
	for len(entries) > 0 {
		n := min(batch, len(entries))
		touch(infos[:n], entries)
		for i := range n {
			info, p := infos[i], &entries[i]
			b = appendString(b, info.Name)
			b = append(b, behindName...)
			b = append(b, dtypes[info.DType].name...)
			b = append(b, behindDType...)
			if shapeText != nil && slices.Equal(shape, info.Shape) {
				b = append(b, shapeText...)
			} else {
				at := len(b)
				for i, n := range info.Shape {
					if i > 0 {
						b = append(b, ',')
					}
					b = strconv.AppendUint(b, n, 10)
				}
				shape, shapeText = info.Shape, b[at:]
			}
			b = append(b, behindShape...)
			if offset == nil {
				b = strconv.AppendInt(b, p.begin, 10)
			} else {
				b = append(b, offset...)
			}
			b = append(b, ',')
			at := len(b)
			b = strconv.AppendInt(b, p.begin+p.size, 10)
			offset = b[at:]
			b = append(b, behindOffsets...)
		}
		entries = entries[n:]
	}
	return b
}

// touch sets infos to those of the first entries, and brings into the cache
// what they point to. It returns a number that depends on all it has read, so
// that no compiler finds it useless.
//
//go:noinline
func touch(infos []*Info, entries []placed) (read uint64) {
	var names [64]string
	for i := range infos {
		infos[i] = &entries[i].Info
		names[i] = infos[i].Name
	}
	for i := range infos {
		if name := names[i]; len(name) > 0 {
			read += uint64(name[0]) + uint64(name[len(name)-1])
		}
		if shape := infos[i].Shape; len(shape) > 0 {
			read += shape[0]
		}
	}
	return read
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

// stringLen returns the length of s as appendString writes it.
func stringLen(s string) int {
	n := len(s) + 2
	for i := plain(s, 0); i < len(s); i = plain(s, i+1) {
		if c := s[i]; c < 0x80 {
			n += len(escapes[c]) - 1
		}
	}
	return n
}

// appendString appends s as a JSON string in the reference's spelling, which
// escapes only what the grammar demands. Package encoding/json escapes more.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	done := 0
	for i := plain(s, 0); i < len(s); i = plain(s, i+1) {
		if c := s[i]; c < 0x80 {
			b = append(b, s[done:i]...)
			b = append(b, escapes[c]...)
			done = i + 1
		}
	}
	b = append(b, s[done:]...)
	return append(b, '"')
}

// escapes has the spelling of each byte that a JSON string cannot hold.
var escapes = [...]string{
	0x00: `\u0000`, 0x01: `\u0001`, 0x02: `\u0002`, 0x03: `\u0003`,
	0x04: `\u0004`, 0x05: `\u0005`, 0x06: `\u0006`, 0x07: `\u0007`,
	'\b': `\b`, '\t': `\t`, '\n': `\n`, 0x0b: `\u000b`,
	'\f': `\f`, '\r': `\r`, 0x0e: `\u000e`, 0x0f: `\u000f`,
	0x10: `\u0010`, 0x11: `\u0011`, 0x12: `\u0012`, 0x13: `\u0013`,
	0x14: `\u0014`, 0x15: `\u0015`, 0x16: `\u0016`, 0x17: `\u0017`,
	0x18: `\u0018`, 0x19: `\u0019`, 0x1a: `\u001a`, 0x1b: `\u001b`,
	0x1c: `\u001c`, 0x1d: `\u001d`, 0x1e: `\u001e`, 0x1f: `\u001f`,
	'"': `\"`, '\\': `\\`,
}
