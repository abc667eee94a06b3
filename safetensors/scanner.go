package safetensors

import (
	"math"
	"strconv"
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
