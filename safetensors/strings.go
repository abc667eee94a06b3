package safetensors

import (
	"math/bits"
	"slices"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

// A token is a string of the text: the bytes between its quotes.
type token struct {
	pos     int
	len     int
	escaped bool
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// plain returns the offset of the first byte at or after i that ends the
// plain part of a string: a quote, a backslash, a control character or
// anything that is not ASCII; len(text) if there is none.
func plain[T string | []byte](text T, i int) int {
	// Eight bytes at a time. A false positive of the borrow trick can only
	// stand above a true one, so the lowest set bit is exact.
	for i+8 <= len(text) {
		if hit := notPlain(load(text, i)) & highs; hit != 0 {
			return i + bits.TrailingZeros64(hit)/8
		}
		i += 8
	}
	for i < len(text) && text[i] >= 0x20 && text[i] < 0x80 && text[i] != '"' && text[i] != '\\' {
		i++
	}
	return i
}

// isPlain reports whether all of s is plain, as plain has it. It is faster for
// names, which nearly always are: nothing waits for the outcome of a word.
func isPlain(s string) bool {
	if len(s) < 8 {
		return plain(s, 0) == len(s)
	}
	x := load(s, len(s)-8)
	some, all := x, asciiPlain(x)
	for ; len(s) > 8; s = s[8:] {
		x := load(s, 0)
		some |= x
		all &= asciiPlain(x)
	}
	return all&^some&highs == highs
}

// asciiPlain sets the high bit of each byte that is at least 0x20, no quote and
// no backslash, if all are ASCII: then no sum carries into the next byte.
func asciiPlain(x uint64) uint64 {
	return (x + ones*0x60) & (x ^ ones*'"' + ones*0x7f) & (x ^ ones*'\\' + ones*0x7f)
}

// notPlain sets the high bit of the first byte that is not plain; what it says
// of those above it may be wrong.
func notPlain(x uint64) uint64 {
	quote := x ^ ones*'"'
	slash := x ^ ones*'\\'
	return ((quote - ones) &^ quote) | ((slash - ones) &^ slash) | (x-ones*0x20)&^x | x
}

// load reads eight bytes, little-endian, in a form that compilers know to be
// one instruction for strings as well as slices.
func load[T string | []byte](s T, i int) uint64 {
	s = s[i : i+8]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// str reads the string whose opening quote stands at offset i.
func (s *scanner) str(i int) (token, int) {
	t := token{pos: i + 1}
	for i = t.pos; ; {
		i = plain(s.text, i)
		if i >= len(s.text) {
			return t, s.fail(t.pos-1, ErrSyntax, "string has no end")
		}
		switch c := s.text[i]; {
		case c == '"':
			t.len = i - t.pos
			return t, i + 1
		case c == '\\':
			t.escaped = true
			if _, i = s.escape(i); i < 0 {
				return t, -1
			}
		case c < 0x20:
			return t, s.fail(i, ErrSyntax, "raw control character in a string")
		default:
			s.nonASCII = true
			i++
		}
	}
}

// escape decodes the escape sequence at offset i.
func (s *scanner) escape(i int) (rune, int) {
	switch c := s.at(i + 1); c {
	case '"', '\\', '/':
		return rune(c), i + 2
	case 'b':
		return '\b', i + 2
	case 'f':
		return '\f', i + 2
	case 'n':
		return '\n', i + 2
	case 'r':
		return '\r', i + 2
	case 't':
		return '\t', i + 2
	case 'u':
		r := s.hex4(i + 2)
		if r < 0 {
			return 0, s.fail(i, ErrSyntax, "\\u without four hexadecimal digits")
		}
		if !utf16.IsSurrogate(r) {
			return r, i + 6
		}
		if s.at(i+6) == '\\' && s.at(i+7) == 'u' {
			if r = utf16.DecodeRune(r, s.hex4(i+8)); r != utf8.RuneError {
				return r, i + 12
			}
		}
		return 0, s.fail(i, ErrSyntax, "lone surrogate")
	default:
		return 0, s.fail(i, ErrSyntax, "unknown escape sequence")
	}
}

// hex4 returns the value of four hexadecimal digits, or -1.
func (s *scanner) hex4(i int) rune {
	if i+4 > len(s.text) {
		return -1
	}
	var r rune
	for _, c := range s.text[i : i+4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}

// unescape appends the value of t, which str has accepted, to dst.
func (s *scanner) unescape(dst []byte, t token) []byte {
	dst = slices.Grow(dst, t.len) // at once: a name may be as long as the text
	for i, end := t.pos, t.pos+t.len; i < end; {
		if s.text[i] == '\\' {
			var r rune
			r, i = s.escape(i)
			dst = utf8.AppendRune(dst, r)
			continue
		}
		j := i + 1
		for j < end && s.text[j] != '\\' {
			j++
		}
		dst = append(dst, s.text[i:j]...)
		i = j
	}
	return dst
}

// string returns the value of t.
func (s *scanner) string(t token) string {
	b := s.unescape(nil, t)
	return unsafe.String(unsafe.SliceData(b), len(b)) // nobody else has b
}

// view is string for a text that is never written to: what needs no unescaping
// shares its memory.
func (s *scanner) view(t token) string {
	if t.len == 0 || t.escaped {
		return s.string(t)
	}
	return unsafe.String(&s.text[t.pos], t.len)
}

// is reports whether t spells want.
func (s *scanner) is(t token, want string) bool {
	raw := s.text[t.pos : t.pos+t.len]
	if !t.escaped {
		return string(raw) == want
	}
	// An escape takes up to six bytes for one of want's.
	return len(raw) <= 6*len(want) && s.string(t) == want
}
