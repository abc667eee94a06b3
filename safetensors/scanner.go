package safetensors

import (
	"math"
	"math/bits"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

// maxDepth is how many arrays and objects may be open at once, the header's
// own object included. It is the limit of serde_json, on which the reference
// implementation stands.
const maxDepth = 127

// A scanner reads JSON text strictly: RFC 8259 without a byte more, with the
// limits of the reference implementation where the RFC leaves them open. It
// holds no position; its methods take an offset and return the next one.
//
// It does not check UTF-8. It notes whether that is left to do: the text of a
// header is nearly always ASCII, and a second pass over it would cost more
// than the first.
type scanner struct {
	text     []byte
	nonASCII bool
	err      *FormatError // set when a method returns -1
}

// fail records err at offset i of the text and returns -1.
func (s *scanner) fail(i int, err error, detail string) int {
	s.err = &FormatError{Offset: int64(i) + prefixLen, Err: err, Detail: detail}
	return -1
}

func (s *scanner) unexpected(i int, want string) int {
	if i >= len(s.text) {
		return s.fail(i, ErrSyntax, "ends where "+want+" is due")
	}
	return s.fail(i, ErrSyntax, "found "+quoteByte(s.text[i])+" where "+want+" is due")
}

func (s *scanner) space(i int) int {
	for i < len(s.text) {
		switch s.text[i] {
		case ' ', '\t', '\n', '\r':
			i++
		default:
			return i
		}
	}
	return i
}

// at returns the byte at offset i, and 0 (which no JSON token begins with)
// beyond the end.
func (s *scanner) at(i int) byte {
	if i < len(s.text) {
		return s.text[i]
	}
	return 0
}

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
	// In ASCII no sum below carries into the next byte, and its high bit says
	// that the byte is at least 0x20, no quote, no backslash.
	x := load(s, len(s)-8)
	some := x
	all := (x + ones*0x60) & (x ^ ones*'"' + ones*0x7f) & (x ^ ones*'\\' + ones*0x7f)
	for ; len(s) > 8; s = s[8:] {
		x := load(s, 0)
		some |= x
		all &= (x + ones*0x60) & (x ^ ones*'"' + ones*0x7f) & (x ^ ones*'\\' + ones*0x7f)
	}
	return all&^some&highs == highs
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

// is reports whether t spells want.
func (s *scanner) is(t token, want string) bool {
	raw := s.text[t.pos : t.pos+t.len]
	if !t.escaped {
		return string(raw) == want
	}
	// An escape takes up to six bytes for one of want's.
	return len(raw) <= 6*len(want) && s.string(t) == want
}

// value checks one value of any type at offset i, which has open arrays and
// objects around it, and returns the offset behind it. It does not recurse.
func (s *scanner) value(i, open int) int {
	// One bit for each level that value itself opened: set for an object.
	var objects [2]uint64
	depth := 0
	for {
		// A value begins at i.
		switch c := s.at(i); {
		case c == '"':
			_, i = s.str(i)
		case c == '{' || c == '[':
			if open+depth == maxDepth {
				return s.fail(i, ErrSyntax, "nested deeper than 127 levels")
			}
			objects[depth/64] &^= 1 << (depth % 64)
			if c == '{' {
				objects[depth/64] |= 1 << (depth % 64)
			}
			depth++
			i = s.space(i + 1)
			if s.at(i) == c+2 { // '{'+2 is '}', '['+2 is ']'
				depth--
				i++
				break
			}
			if c == '{' {
				i = s.key(i)
			}
			if i < 0 {
				return -1
			}
			continue
		case c == '-' || '0' <= c && c <= '9':
			i = s.number(i)
		case c == 't':
			i = s.literal(i, "true")
		case c == 'f':
			i = s.literal(i, "false")
		case c == 'n':
			i = s.literal(i, "null")
		default:
			return s.unexpected(i, "a value")
		}
		if i < 0 {
			return -1
		}
		// A value ends before i: close what it completes.
		for {
			if depth == 0 {
				return i
			}
			object := objects[(depth-1)/64]>>((depth-1)%64)&1 == 1
			i = s.space(i)
			c := s.at(i)
			if c == ',' {
				if i = s.space(i + 1); object {
					i = s.key(i)
				}
				break
			}
			if object && c != '}' {
				return s.unexpected(i, "',' or '}'")
			}
			if !object && c != ']' {
				return s.unexpected(i, "',' or ']'")
			}
			depth--
			i++
		}
		if i < 0 {
			return -1
		}
	}
}

// key reads a key and its colon at offset i and returns the offset of the
// value.
func (s *scanner) key(i int) int {
	_, i = s.member(i)
	return i
}

// member reads a key and its colon at offset i and returns the key and the
// offset of the value.
func (s *scanner) member(i int) (token, int) {
	if s.at(i) != '"' {
		return token{}, s.unexpected(i, "a key")
	}
	t, i := s.str(i)
	if i < 0 {
		return t, -1
	}
	if i = s.space(i); s.at(i) != ':' {
		return t, s.unexpected(i, "':'")
	}
	return t, s.space(i + 1)
}

func (s *scanner) literal(i int, want string) int {
	if len(s.text)-i < len(want) || string(s.text[i:i+len(want)]) != want {
		return s.unexpected(i, "a value")
	}
	return i + len(want)
}

// number checks the number at offset i. A number that is no 64-bit float is
// refused as serde_json does, and by its arithmetic: digits that fit 64 bits
// are kept, the rest only counted, and the power of ten is applied last.
func (s *scanner) number(i int) int {
	start := i
	if s.text[i] == '-' {
		i++
	}
	first := i
	for isDigit(s.at(i)) {
		i++
	}
	switch {
	case i == first:
		return s.unexpected(i, "a digit")
	case s.text[first] == '0' && i > first+1:
		return s.fail(start, ErrSyntax, "number begins with 0")
	}
	c := s.at(i)
	if c != '.' && c != 'e' && c != 'E' && i-first < 20 {
		return i // at most 19 digits: nothing to compute
	}
	d := decimal{whole: true}
	for _, c := range s.text[first:i] {
		d.push(c, 1)
	}
	if c == '.' {
		i++
		// The reference fills its 64 bits anew from the fraction on.
		d.full, d.whole = false, false
		for first = i; isDigit(s.at(i)); i++ {
			d.push(s.text[i], 0)
		}
		if i == first {
			return s.unexpected(i, "a digit")
		}
		c = s.at(i)
	}
	if c == 'e' || c == 'E' {
		i++
		d.whole = false
		negative := s.at(i) == '-'
		if negative || s.at(i) == '+' {
			i++
		}
		var e int64
		for first = i; isDigit(s.at(i)); i++ {
			e = min(e*10+int64(s.text[i]-'0'), math.MaxInt32+1)
		}
		switch {
		case i == first:
			return s.unexpected(i, "a digit")
		case negative:
			d.exponent -= e
		default:
			d.exponent += e
		}
	}
	if !d.finite() {
		return s.fail(start, ErrSyntax, "number out of range")
	}
	return i
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// A decimal is mantissa × 10^exponent, in as many digits as the mantissa has
// room for.
type decimal struct {
	mantissa uint64
	exponent int64
	full     bool // the mantissa takes no more digits
	whole    bool // an integer that, unless full, is exact
}

// push adds the digit c, or, when the mantissa is full, shift to the exponent.
func (d *decimal) push(c byte, shift int64) {
	n := uint64(c - '0')
	if !d.full && (d.mantissa > math.MaxUint64/10 || d.mantissa*10 > math.MaxUint64-n) {
		d.full = true
	}
	if !d.full {
		d.mantissa = d.mantissa*10 + n
		shift--
	}
	d.exponent += shift
}

// finite reports whether d, computed as serde_json does, is below infinity.
func (d *decimal) finite() bool {
	f := float64(d.mantissa)
	switch {
	case d.whole && !d.full, f == 0, d.exponent <= 0:
		return true
	case d.exponent > 308:
		return false
	}
	// Not math.Pow10, which multiplies two factors and may be an ulp off.
	pow, err := strconv.ParseFloat("1e"+strconv.FormatInt(d.exponent, 10), 64)
	return err == nil && !math.IsInf(f*pow, 0)
}

// uint reads the JSON integer at offset i of a text that value has accepted.
// It fails on any other value and on integers over 64 bits.
func (s *scanner) uint(i int) (uint64, int) {
	start := i
	var n uint64
	for ; i < len(s.text) && isDigit(s.text[i]); i++ {
		c := uint64(s.text[i] - '0')
		if n > math.MaxUint64/10 || n*10 > math.MaxUint64-c {
			return 0, s.fail(start, ErrType, "integer over 2^64-1")
		}
		n = n*10 + c
	}
	if c := s.at(i); i == start || c == '.' || c == 'e' || c == 'E' {
		return 0, s.fail(start, ErrType, "not an integer from 0 to 2^64-1")
	}
	return n, i
}

func quoteByte(c byte) string {
	const hex = "0123456789abcdef"
	if c > 0x20 && c < 0x7f {
		return "'" + string(rune(c)) + "'"
	}
	return "byte 0x" + string(hex[c>>4]) + string(hex[c&15])
}
