package pickle

import (
	"bytes"
	"strconv"
	"unicode/utf8"
)

func ascii(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// validUTF8 accepts what Python's "surrogatepass" does: surrogates in three
// bytes are let through.
func validUTF8(b []byte) bool {
	if utf8.Valid(b) {
		return true
	}
	for len(b) > 0 {
		if len(b) >= 3 && surrogate(b) {
			b = b[3:]
			continue
		}
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n <= 1 {
			return false
		}
		b = b[n:]
	}
	return true
}

// surrogate tells whether b, of three bytes at least, begins with one.
func surrogate(b []byte) bool {
	return b[0] == 0xed && b[1] >= 0xa0 && b[1] <= 0xbf && b[2] >= 0x80 && b[2] <= 0xbf
}

// appendRune appends r, in three bytes even if it is a surrogate.
func appendRune(b []byte, r rune) []byte {
	if r >= 0xd800 && r <= 0xdfff {
		return append(b, 0xed, byte(0x80|r>>6&0x3f), byte(0x80|r&0x3f))
	}
	return utf8.AppendRune(b, r)
}

// decodeString takes quotes and escapes off the line of STRING, as
// PyBytes_DecodeEscape does. It is odd if Python 2's repr does not write it so.
func decodeString(line []byte) (out []byte, odd bool, err error) {
	n := len(line)
	for n > 0 && (line[n-1] <= ' ' || line[n-1] >= 0x80) {
		n, odd = n-1, true // as Python 2 and 3.0 to 3.3 do, for which a char has a sign; later ones refuse
	}
	if n < 2 || line[0] != line[n-1] || line[0] != '\'' && line[0] != '"' {
		return nil, false, malformed("string is not quoted")
	}
	quote := line[0]
	b := line[1 : n-1]
	out = make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		c := b[i]
		if c != '\\' {
			odd = odd || c < ' ' || c > '~' || c == quote
			out = append(out, c)
			continue
		}
		if i++; i == len(b) {
			return nil, false, malformed("backslash at the end of a string")
		}
		c = b[i]
		switch c {
		case '\\':
			out = append(out, c)
		case '\'', '"':
			odd = odd || c != quote
			out = append(out, c)
		case 'n', 'r', 't':
			out = append(out, "\n\r\t"[bytes.IndexByte([]byte("nrt"), c)])
		case 'a', 'b', 'f', 'v':
			odd = true
			out = append(out, "\a\b\f\v"[bytes.IndexByte([]byte("abfv"), c)])
		case 'x':
			if i+2 >= len(b) {
				return nil, false, malformed(`incomplete \x`)
			}
			v, err := strconv.ParseUint(string(b[i+1:i+3]), 16, 8)
			if err != nil {
				return nil, false, malformed(`bad \x`)
			}
			odd = odd || v >= ' ' && v <= '~'
			out = append(out, byte(v))
			i += 2
		case '0', '1', '2', '3', '4', '5', '6', '7':
			odd = true
			v := 0
			end := min(i+3, len(b))
			for ; i < end && b[i] >= '0' && b[i] <= '7'; i++ {
				v = v<<3 | int(b[i]-'0')
			}
			i--
			out = append(out, byte(v))
		default:
			odd = true // Python keeps the backslash of an unknown escape
			out = append(out, '\\', c)
		}
	}
	return out, odd, nil
}

// decodeRawUnicode reads raw-unicode-escape: Latin-1 with \uXXXX and
// \UXXXXXXXX. It is odd if it writes a letter so that needs no escape.
func decodeRawUnicode(line []byte) (out []byte, odd bool, err error) {
	out = make([]byte, 0, len(line))
	for i := 0; i < len(line); i++ {
		c := line[i]
		if c != '\\' || i+1 == len(line) {
			out = appendRune(out, rune(c))
			continue
		}
		i++
		digits := 0
		switch line[i] {
		case 'u':
			digits = 4
		case 'U':
			digits = 8
		default:
			out = append(out, '\\')
			out = appendRune(out, rune(line[i]))
			continue
		}
		if i+digits >= len(line) {
			return nil, false, malformed(`incomplete \u`)
		}
		v, err := strconv.ParseUint(string(line[i+1:i+1+digits]), 16, 32)
		if err != nil || v > utf8.MaxRune {
			return nil, false, malformed(`bad \u`)
		}
		odd = odd || v >= ' ' && v <= '~' && v != '\\'
		out = appendRune(out, rune(v))
		i += digits
	}
	return out, odd, nil
}
