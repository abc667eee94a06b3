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
	plan *plan
	head []byte // the length, the brace, the metadata
	size int64  // with the padding
}

// header returns the header, padded so that its end is a multiple of align,
// and its length before it. It puts the groups at their places.
func (p *plan) header(metadata map[string]string, align, slack int) (text, error) {
	h := &headerText{plan: p, head: append(make([]byte, prefixLen, 64), '{')}
	if metadata != nil {
		h.head = appendMetadata(h.head, metadata)
		if len(p.all) > 0 {
			h.head = append(h.head, ',')
		}
	}
	end, longest := int64(len(h.head)), int64(0)
	last := len(p.groups) - 1
	for g := range p.groups[:last] {
		n := p.groups[g].text + p.offsetDigits(g)
		p.groups[g].text = end
		longest = max(longest, n)
		end += n
	}
	p.groups[last].text = end
	end = max(end, int64(len(h.head))+1) // the last comma's place is the brace's
	h.size = (end + int64(slack) + int64(align) - 1) / int64(align) * int64(align)
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

// offsetDigits returns how many digits the offsets of group g have.
func (p *plan) offsetDigits(g int) int64 {
	from, to := p.bounds(g)
	begin, end := p.groups[g].begin, p.groups[g+1].begin
	if n := digits(uint64(begin)); n == digits(uint64(end)) {
		return 2 * n * int64(to-from)
	}
	sum := int64(0)
	for i := from; i < to; i++ {
		size := p.entry(i).size()
		sum += digits(uint64(begin)) + digits(uint64(begin+size))
		begin += size
	}
	return sum
}

func (h *headerText) Size() int64 { return h.size }

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
	groups := h.plan.groups
	g := max(0, sort.Search(len(groups), func(g int) bool { return groups[g].text > off+int64(n) })-1)
	for g < len(groups)-1 && n < len(b) {
		last := g
		for last < len(groups)-1 && groups[g].text == off+int64(n) && groups[last+1].text-off <= int64(len(b)) {
			last++
		}
		if last > g {
			end := int(groups[last].text - off)
			h.plan.spell(b[n:end:end], g, last)
			n, g = end, last
			continue
		}
		apart := make([]byte, groups[g+1].text-groups[g].text)
		h.plan.spell(apart, g, g+1)
		n += copy(b[n:], apart[off+int64(n)-groups[g].text:])
		g++
	}
	// Over the last comma, and behind it.
	end := groups[len(groups)-1].text
	if len(h.plan.all) > 0 {
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

// WriteTo writes the whole. Several workers spell a block each, and write them
// in turn.
func (h *headerText) WriteTo(out io.Writer) (n int64, err error) {
	const block = 256 << 10 // which stays in the second-level cache
	parts := partsOf(len(h.plan.all))
	turns := make([]chan struct{}, parts)
	for w := range turns {
		turns[w] = make(chan struct{}, 1)
	}
	turns[0] <- struct{}{}
	parallel(parts, func(w int) {
		b := make([]byte, min(block, h.size))
		for at := int64(w) * block; at < h.size; at += int64(parts) * block {
			b = b[:min(block, h.size-at)]
			h.ReadAt(b, at)
			<-turns[w]
			if err == nil { // n and err belong to who has the turn
				var written int
				written, err = out.Write(b)
				n += int64(written)
			}
			turns[(w+1)%parts] <- struct{}{}
		}
	})
	return n, err
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

// spell fills b with the entries of some groups, each with a comma behind it.
//
// Most of an entry is what the one before it has, too: the text between name
// and shape, the shape itself, the offset where they meet. Such pieces are kept
// and stored whole, longer than they are, which takes a few instructions; the
// next piece covers what is too much. Near the end of b, where nothing comes to
// cover it, an entry is spelled in the plain way.
func (p *plan) spell(b []byte, first, last int) {
	var infos [groupLen]*Info
	var (
		dtype              DType
		dtypeText          [40]byte // from behind the name to the shape
		dtypeLen, shapeLen int
		shape              []uint64
		shapeText          [64]byte   // and on to the offsets
		offset             offsetText // where the entry begins
		size               int64
	)
	const longest = len(dtypeText) + len(shapeText) + 2*24 + len(`"",]},`)
	begin := p.groups[first].begin
	for g := first; g < last; g++ {
		from, to := p.bounds(g)
		for i := from; i < to; i++ {
			infos[i-from] = &p.entry(i).Info
		}
		if p.order != nil {
			touch(infos[:to-from])
		}
		for _, info := range infos[:to-from] {
			sameDType, sameShape := info.DType == dtype, shapeLen != 0 && slices.Equal(shape, info.Shape)
			if !sameDType {
				dtype = info.DType
				dtypeLen = copy(dtypeText[:], `"`+behindName)
				dtypeLen += copy(dtypeText[dtypeLen:], dtypes[dtype].name)
				dtypeLen += copy(dtypeText[dtypeLen:], behindDType)
			}
			if !sameShape {
				shape, shapeLen = info.Shape, 0
				if len(shape) <= 8 { // longer ones hardly fit
					text := append(appendShape(shapeText[:0], shape), behindShape...)
					if len(text) <= len(shapeText) {
						shapeLen = len(text)
					}
				}
			}
			if !sameDType || !sameShape {
				size, _ = info.DataSize()
			}
			end := begin + size
			if shapeLen == 0 || len(b) < len(info.Name)+longest || p.groups[g].escaped && !isPlain(info.Name) {
				b = b[len(appendEntry(b[:0], info, begin, end)):]
				begin, offset = end, offsetText{}
				continue
			}
			if offset.digits == 0 {
				offset = offsetTextOf(begin)
			}
			b[0] = '"'
			at := 1 + copy(b[1:], info.Name)
			*(*[40]byte)(b[at:]) = dtypeText
			at += dtypeLen
			*(*[64]byte)(b[at:]) = shapeText
			at += shapeLen
			at += offset.put(b[at:])
			b[at] = ','
			offset = offsetTextOf(end)
			at += 1 + offset.put(b[at+1:])
			b[at], b[at+1], b[at+2] = behindOffsets[0], behindOffsets[1], behindOffsets[2]
			b = b[at+len(behindOffsets):]
			begin = end
		}
	}
}

// appendEntry appends an entry and a comma.
func appendEntry(b []byte, info *Info, begin, end int64) []byte {
	b = appendString(b, info.Name)
	b = append(b, behindName...)
	b = append(b, dtypes[info.DType].name...)
	b = append(b, behindDType...)
	b = appendShape(b, info.Shape)
	b = append(b, behindShape...)
	b = strconv.AppendInt(b, begin, 10)
	b = append(b, ',')
	b = strconv.AppendInt(b, end, 10)
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
