package safetensors

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"slices"
	"sort"
	"strconv"
)

// This file spells a header as the reference implementation does, to the byte.

const (
	behindName    = `:{"dtype":"`
	behindDType   = `","shape":[`
	behindShape   = `],"data_offsets":[`
	behindOffsets = `]},`
)

// A headerText is a header and its length, spelled when it is read.
type headerText struct {
	plan  *plan
	head  []byte  // the length, the brace, the metadata
	marks []int64 // where each markEvery-th entry begins, and the end of the last
	size  int64   // with the padding
}

const markEvery = 64

// header returns the header, padded so that its end is a multiple of align,
// and its length before it.
func (p *plan) header(metadata map[string]string, align int) (text, error) {
	h := &headerText{plan: p, head: append(make([]byte, prefixLen, 64), '{')}
	if metadata != nil {
		h.head = appendMetadata(h.head, metadata)
		if len(p.entries) > 0 {
			h.head = append(h.head, ',')
		}
	}
	groups := (len(p.entries) + markEvery - 1) / markEvery
	h.marks = make([]int64, groups+1)
	parts := partsOf(len(p.entries))
	parallel(parts, func(w int) {
		from, to := share(groups, parts, w)
		for g := from; g < to; g++ {
			entries := h.group(g)
			for i := range entries {
				e := &entries[i]
				h.marks[g+1] += int64(e.text) + digits(uint64(e.begin)) + digits(uint64(e.end()))
			}
		}
	})
	end, longest := int64(len(h.head)), int64(0)
	for g := range h.marks {
		longest = max(longest, h.marks[g])
		end += h.marks[g]
		h.marks[g] = end
	}
	end = max(end, int64(len(h.head))+1) // the last comma's place is the brace's
	h.size = (end + int64(align) - 1) / int64(align) * int64(align)
	if h.size-prefixLen > maxHeaderLen {
		return nil, fmt.Errorf("header of %d bytes %w: %w", h.size-prefixLen, ErrEntry, ErrHeaderTooLarge)
	}
	binary.LittleEndian.PutUint64(h.head, uint64(h.size-prefixLen))
	if longest > blockSize/2 {
		// Spelling it again for every block that reads a part would cost more
		// than keeping it.
		whole := make([]byte, h.size)
		h.ReadAt(whole, 0)
		return bytes.NewReader(whole), nil
	}
	return h, nil
}

func (h *headerText) Size() int64 { return h.size }

// group returns the entries from mark g to the next.
func (h *headerText) group(g int) []placed {
	return h.plan.entries[g*markEvery : min((g+1)*markEvery, len(h.plan.entries))]
}

// ReadAt spells the bytes from offset off on.
func (h *headerText) ReadAt(b []byte, off int64) (int, error) {
	if off < 0 || off > h.size {
		return 0, io.EOF
	}
	var err error
	if int64(len(b)) > h.size-off {
		b, err = b[:h.size-off], io.EOF
	}
	n := 0
	if off < int64(len(h.head)) {
		n = copy(b, h.head[off:])
	}
	// Groups that lie within b are spelled there, those at its edges apart.
	g := max(0, sort.Search(len(h.marks), func(g int) bool { return h.marks[g] > off+int64(n) })-1)
	for g < len(h.marks)-1 && n < len(b) {
		last := g
		for last < len(h.marks)-1 && h.marks[g] == off+int64(n) && h.marks[last+1]-off <= int64(len(b)) {
			last++
		}
		if last > g {
			entries := h.plan.entries[g*markEvery : min(last*markEvery, len(h.plan.entries))]
			spellEntries(b[n:h.marks[last]-off:h.marks[last]-off], h.plan.all, entries)
			n, g = int(h.marks[last]-off), last
			continue
		}
		apart := make([]byte, h.marks[g+1]-h.marks[g])
		spellEntries(apart, h.plan.all, h.group(g))
		n += copy(b[n:], apart[off+int64(n)-h.marks[g]:])
		g++
	}
	// Over the last comma, and behind it.
	end := h.marks[len(h.marks)-1]
	if len(h.plan.entries) > 0 {
		end--
	}
	for i := max(end, off); i < off+int64(len(b)); i++ {
		b[i-off] = ' '
	}
	if i := end - off; i >= 0 && i < int64(len(b)) {
		b[i] = '}'
	}
	return len(b), err
}

// WriteTo writes the whole, several blocks of which are spelled at once.
func (h *headerText) WriteTo(w io.Writer) (int64, error) {
	const block = 256 << 10 // which stays in the second-level cache
	parts := partsOf(len(h.plan.entries))
	blocks := make([][]byte, parts)
	for i := range blocks {
		blocks[i] = make([]byte, min(block, h.size))
	}
	for at := int64(0); at < h.size; {
		parallel(parts, func(w int) {
			from := min(at+int64(w)*block, h.size)
			blocks[w] = blocks[w][:min(block, h.size-from)]
			h.ReadAt(blocks[w], from)
		})
		for _, b := range blocks {
			n, err := w.Write(b)
			if at += int64(n); err != nil {
				return at, err
			}
		}
	}
	return h.size, nil
}

// jsonLen returns the length of an entry with its comma, but without the
// numbers of its offsets, and at most one more than a header may have; and
// whether the name is to be escaped.
func (e *Entry) jsonLen() (n int32, escaped bool) {
	name := len(e.Name) + len(`""`)
	if !isPlain(e.Name) {
		name, escaped = stringLen(e.Name), true
	}
	length := int64(name) + int64(max(0, len(e.Shape)-1)) +
		int64(len(behindName)+len(dtypes[e.DType].name)+len(behindDType)+len(behindShape)+len(",")+len(behindOffsets))
	for _, dim := range e.Shape {
		length += digits(dim)
	}
	return int32(min(length, maxHeaderLen+1)), escaped
}

// digits returns how many decimal digits n has.
func digits(n uint64) int64 {
	d := int64(1)
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

// spellEntries fills b with entries that lie one behind the other, each with a
// comma behind it.
//
// Most of an entry is what the one before it has, too: the text between name
// and shape, the shape itself, the offset where they meet. Such pieces are kept
// and stored whole, longer than they are, which takes a few instructions; the
// next piece covers what is too much. Near the end of b,
// where nothing comes to cover it, an entry is spelled in the plain way.
func spellEntries(b []byte, all []Entry, entries []placed) {
	var infos [touched]*Info
	var (
		dtype              DType
		dtypeText          [40]byte // from behind the name to the shape
		dtypeLen, shapeLen int
		shape              []uint64
		shapeText          [64]byte   // and on to the offsets
		offset             offsetText // where the entry begins
	)
	const longest = len(dtypeText) + len(shapeText) + 2*24 + len(`"",]},`)
	for len(entries) > 0 {
		n := min(touched, len(entries))
		for i := range n {
			infos[i] = &all[entries[i].index].Info
		}
		touch(infos[:n])
		for i := range n {
			info, p := infos[i], &entries[i]
			if info.DType != dtype {
				dtype = info.DType
				dtypeLen = copy(dtypeText[:], `"`+behindName)
				dtypeLen += copy(dtypeText[dtypeLen:], dtypes[dtype].name)
				dtypeLen += copy(dtypeText[dtypeLen:], behindDType)
			}
			if shapeLen == 0 || !slices.Equal(shape, info.Shape) {
				shape, shapeLen = info.Shape, 0
				if len(shape) <= 8 { // longer ones hardly fit
					text := append(appendShape(shapeText[:0], shape), behindShape...)
					if len(text) <= len(shapeText) {
						shapeLen = len(text)
					}
				}
			}
			if offset.digits == 0 {
				offset = offsetTextOf(p.begin)
			}
			if shapeLen == 0 || p.escaped || len(b) < len(info.Name)+longest {
				b = b[len(appendEntry(b[:0], info, p)):]
				offset = offsetText{}
				continue
			}
			b[0] = '"'
			at := 1 + copy(b[1:], info.Name)
			*(*[40]byte)(b[at:]) = dtypeText
			at += dtypeLen
			*(*[64]byte)(b[at:]) = shapeText
			at += shapeLen
			at += offset.put(b[at:])
			b[at] = ','
			offset = offsetTextOf(p.end())
			at += 1 + offset.put(b[at+1:])
			b[at], b[at+1], b[at+2] = behindOffsets[0], behindOffsets[1], behindOffsets[2]
			b = b[at+len(behindOffsets):]
		}
		entries = entries[n:]
	}
}

// appendEntry appends an entry and a comma.
func appendEntry(b []byte, info *Info, p *placed) []byte {
	b = appendString(b, info.Name)
	b = append(b, behindName...)
	b = append(b, dtypes[info.DType].name...)
	b = append(b, behindDType...)
	b = appendShape(b, info.Shape)
	b = append(b, behindShape...)
	b = strconv.AppendInt(b, p.begin, 10)
	b = append(b, ',')
	b = strconv.AppendInt(b, p.end(), 10)
	return append(b, behindOffsets...)
}

func appendShape(b []byte, shape []uint64) []byte {
	for i, n := range shape {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, n, 10)
	}
	return b
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
