package safetensors

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"math/bits"
	"slices"
	"unicode/utf8"
)

// parseHeader reads a header's text and the layout it gives to dataLen bytes.
// It hands every error to report, and what is legal but unusual ([NoteField],
// [NoteNull]) too, and gives up when report says so or when there is no way
// to go on; then, and when there was an error, it returns nil.
func parseHeader(text []byte, dataLen uint64, report func(*FormatError) bool) *header {
	return parseWith(&parser{}, text, dataLen, report)
}

func parseWith(p *parser, text []byte, dataLen uint64, report func(*FormatError) bool) *header {
	p.text, p.report, p.inOrder = text, report, true
	p.h = &header{text: text, seed: maphash.MakeSeed()}
	ok := p.object()
	if p.unknown > 0 && !p.stopped {
		detail := quote(p.string(p.unknownKey))
		if p.unknown > 1 {
			detail += fmt.Sprintf(", the first of %d", p.unknown)
		}
		p.say(int64(p.unknownAt), p.unknownIn, NoteField, detail)
		ok = ok && !p.stopped
	}
	if e := p.err; e != nil && !p.stopped {
		p.problem(int(e.Offset)-prefixLen, token{}, e.Err, e.Detail)
	}
	// Outside of strings the grammar lets nothing through that is not ASCII.
	ok = ok && !(p.nonASCII && !p.failed && !p.utf8())
	if !ok || !p.index() || !p.layout(dataLen) {
		return nil
	}
	return p.h
}

// A parser builds a header.
type parser struct {
	scanner
	h       *header
	report  func(*FormatError) bool
	failed  bool   // an error was reported
	stopped bool   // report wants no more
	broken  bool   // an entry is missing from h for its errors
	inOrder bool   // so far each tensor begins where the one before it ends
	next    uint64 // where that is
	scratch []byte

	// Unknown fields make one note, the first with the count of them all: a
	// note for each could cost many times the text.
	unknown               int
	unknownAt             int
	unknownKey, unknownIn token
	slow                  bool // without canonical, to test it
}

// problem reports an error at offset i of the text.
func (p *parser) problem(i int, tensor token, err error, detail string) {
	if !p.failed && !p.utf8() {
		return // a text that is no text is the cause of whatever else it is
	}
	p.failed = true
	p.say(int64(i), tensor, err, detail)
}

func (p *parser) say(i int64, tensor token, err error, detail string) {
	e := &FormatError{Offset: i + prefixLen, Err: err, Detail: detail}
	if tensor.pos > 0 {
		e.Tensor = p.string(tensor)
	}
	p.stopped = p.stopped || !p.report(e)
}

// utf8 reports the first byte that is not UTF-8, and ends the parse there.
func (p *parser) utf8() bool {
	if utf8.Valid(p.text) {
		return true
	}
	i := 0
	for {
		r, n := utf8.DecodeRune(p.text[i:])
		if r == utf8.RuneError && n == 1 {
			p.failed, p.err = true, nil
			p.say(int64(i), token{}, ErrUTF8, quoteByte(p.text[i]))
			p.stopped = true
			return false
		}
		i += n
	}
}

// object reads the header's object. It returns false when it cannot go on:
// with p.err set if the text is at fault, without if report wants no more.
func (p *parser) object() bool {
	i := p.space(0)
	switch c := p.at(i); c {
	case '{':
	case '"', '[', '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 't', 'f', 'n':
		if p.value(i, 0) >= 0 {
			p.fail(i, ErrType, "the header is "+jsonKind(c)+", not an object")
		}
		return false
	default:
		p.unexpected(i, "'{'")
		return false
	}
	i = p.space(i + 1)
	if p.at(i) == '}' {
		i++
	} else {
		for {
			if !p.slow {
				i = p.canonical(i)
			}
			if i = p.entry(i); i < 0 {
				return false
			}
			i = p.space(i)
			if c := p.at(i); c == '}' {
				i++
				break
			} else if c != ',' {
				p.unexpected(i, "',' or '}'")
				return false
			}
			i = p.space(i + 1)
		}
	}
	if i = p.space(i); i < len(p.text) {
		p.fail(i, ErrSyntax, "found "+quoteByte(p.text[i])+" behind the object")
		return false
	}
	return true
}

// metadata reads the value of __metadata__ at offset v.
func (p *parser) metadata(i int, key token, v int) int {
	h := p.h
	if h.metaKey.to != 0 {
		if p.problem(i, token{}, ErrDuplicate, reservedName); p.stopped {
			return -1
		}
		return p.value(v, 1)
	}
	end := -1
	switch c := p.at(v); c {
	case '{':
		set := keySet{scanner: &p.scanner, seed: h.seed}
		end = p.strings(v, func(k, value token) bool {
			if !set.add(k) {
				p.problem(k.pos-1, token{}, ErrDuplicate, "metadata key "+quote(p.string(k)))
			}
			return !p.stopped
		})
	case 'n':
		if end = p.literal(v, "null"); end > 0 {
			p.say(int64(v), token{}, NoteNull, "")
		}
	default:
		if end = p.value(v, 1); end > 0 {
			p.problem(v, token{}, ErrType, reservedName+" is "+jsonKind(c)+", not an object of strings")
		}
	}
	if p.stopped {
		return -1
	}
	h.meta, h.metaKey = span{v, end}, span{i, end}
	return end
}

// strings reads the object of strings at offset i and calls yield for each
// member. Values of another type are reported.
func (p *parser) strings(i int, yield func(key, value token) bool) int {
	i = p.space(i + 1)
	if p.at(i) == '}' {
		return i + 1
	}
	for {
		key, v := p.member(i)
		if v < 0 {
			return -1
		}
		if c := p.at(v); c == '"' {
			var value token
			if value, i = p.str(v); i < 0 || !yield(key, value) {
				return -1
			}
		} else {
			if i = p.value(v, 2); i < 0 {
				return -1
			}
			detail := "value of key " + quote(p.string(key)) + " is " + jsonKind(c) + ", not a string"
			if p.problem(v, token{}, ErrType, detail); p.stopped {
				return -1
			}
		}
		i = p.space(i)
		switch p.at(i) {
		case '}':
			return i + 1
		case ',':
			i = p.space(i + 1)
		default:
			return p.unexpected(i, "',' or '}'")
		}
	}
}

// index fills the slots and reports names that come twice.
func (p *parser) index() bool {
	h := p.h
	if !p.inOrder {
		slices.SortFunc(h.entries, func(a, b entry) int {
			return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.end, b.end), cmp.Compare(a.name, b.name))
		})
	}
	if len(h.entries) == 0 {
		return true
	}
	h.slots = make([]slot, 1<<bits.Len(uint(len(h.entries)*4/3)))
	mask := uint32(len(h.slots) - 1)
	for n := range h.entries {
		e := &h.entries[n]
		i := e.hash & mask
		for ; h.slots[i].entry != 0; i = (i + 1) & mask {
			if h.slots[i].hash != e.hash {
				continue
			}
			first := &h.entries[h.slots[i].entry-1]
			if h.name(first) == h.name(e) {
				at := max(first.name, e.name)
				if p.problem(int(at)-1, h.token(e), ErrDuplicate, "tensor name"); p.stopped {
					return false
				}
				break
			}
		}
		if h.slots[i].entry == 0 {
			h.slots[i] = slot{e.hash, uint32(n + 1)}
		}
	}
	return true
}

// layout checks that the tensors' data stand one behind the other, without a
// gap, and fill dataLen bytes.
func (p *parser) layout(dataLen uint64) bool {
	end := p.next
	if !p.inOrder {
		end = 0
		for i := range p.h.entries {
			e := &p.h.entries[i]
			if p.place(e, end); p.stopped {
				return false
			}
			if e.end >= e.begin {
				end = max(end, e.end)
			}
		}
	}
	at := int64(len(p.text))
	switch {
	case end > dataLen:
		p.failed = true
		p.say(at+int64(dataLen), token{}, ErrTruncated, fmt.Sprintf("%d bytes of data, %d missing", dataLen, end-dataLen))
	case end < dataLen && !p.broken:
		p.failed = true
		p.say(at+int64(end), token{}, ErrTrailing, fmt.Sprintf("%d of them", dataLen-end))
	}
	return !p.failed
}

// place reports what is wrong with the place and size of e's data, where the
// data of the tensors before it ends at end.
func (p *parser) place(e *entry, end uint64) {
	key := p.h.token(e)
	wrong := func(err error, format string, args ...any) {
		p.problem(int(e.offsets), key, err, fmt.Sprintf("data_offsets [%d,%d] ", e.begin, e.end)+fmt.Sprintf(format, args...))
	}
	shape := func() string { return e.dtype.String() + " " + p.h.shapeText(e) }
	switch {
	case e.end < e.begin:
		wrong(ErrOffset, "run backwards")
		return
	case e.begin < end:
		wrong(ErrOffset, "overlap the data before, which ends at %d", end)
	case e.begin > end && !p.broken: // else the gap may be another's
		wrong(ErrOffset, "begin %d past the end of the data before", e.begin-end)
	}
	switch {
	case p.stopped:
	case e.flags&overflows != 0:
		p.problem(int(e.shape)-1, key, ErrOverflow, shape())
	case e.flags&misaligned != 0:
		p.problem(int(e.shape)-1, key, ErrMisaligned, shape())
	case e.flags&wrongSize != 0:
		elements := uint64(1)
		p.integers(int(e.shape)-1, func(n uint64) bool { elements *= n; return true })
		need := elements * uint64(dtypes[e.dtype].bits) / 8
		wrong(ErrSize, "are %d bytes, %s takes %d", e.end-e.begin, shape(), need)
	}
}

// jsonKind names the type of value that begins with c.
func jsonKind(c byte) string {
	switch c {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}
