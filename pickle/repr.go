package pickle

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxReprBits is from where an integer is described and not written out: to
// turn it into decimal takes more than linear time, and Python refuses too.
const maxReprBits = 14000

// appendRepr appends Python's repr of an operand.
func appendRepr(b []byte, v Value) []byte {
	switch v := v.(type) {
	case bool:
		if v {
			return append(b, "True"...)
		}
		return append(b, "False"...)
	case int64:
		return strconv.AppendInt(b, v, 10)
	case *big.Int:
		if v.BitLen() > maxReprBits {
			return fmt.Appendf(b, "<integer of %d bits>", v.BitLen())
		}
		return v.Append(b, 10)
	case float64:
		return appendFloat(b, v)
	case string:
		return appendText(b, v)
	case ByteString:
		return appendText(b, latin1(string(v)))
	case []byte:
		return appendBytesRepr(append(b, 'b'), v)
	case *ByteArray:
		return append(appendBytesRepr(append(b, "bytearray(b"...), v.Data), ')')
	case Range:
		return fmt.Appendf(b, "<%d bytes at %d>", v.Size, v.Offset)
	}
	return append(b, "None"...)
}

func appendFloat(b []byte, f float64) []byte {
	switch {
	case math.IsInf(f, 1):
		return append(b, "inf"...)
	case math.IsInf(f, -1):
		return append(b, "-inf"...)
	case math.IsNaN(f):
		return append(b, "nan"...)
	}
	text := strconv.FormatFloat(f, 'e', -1, 64)
	_, exp, _ := strings.Cut(text, "e")
	if n, _ := strconv.Atoi(exp); n < -4 || n >= 16 {
		return append(b, text...)
	}
	text = strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return append(b, text...)
}

func quoteFor(s string) byte {
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		return '"'
	}
	return '\''
}

// appendEscape appends c if every string literal escapes it the same way.
func appendEscape(b []byte, c, quote byte) ([]byte, bool) {
	switch c {
	case quote, '\\':
		return append(b, '\\', c), true
	case '\n':
		return append(b, `\n`...), true
	case '\r':
		return append(b, `\r`...), true
	case '\t':
		return append(b, `\t`...), true
	}
	if c < ' ' || c == 0x7f {
		return fmt.Appendf(b, `\x%02x`, c), true
	}
	return b, false
}

func appendBytesRepr(b, data []byte) []byte {
	quote := quoteFor(string(data))
	b = append(b, quote)
	for _, c := range data {
		out, ok := appendEscape(b, c, quote)
		switch b = out; {
		case ok:
		case c >= utf8.RuneSelf:
			b = fmt.Appendf(b, `\x%02x`, c)
		default:
			b = append(b, c)
		}
	}
	return append(b, quote)
}

func appendText(b []byte, s string) []byte {
	quote := quoteFor(s)
	b = append(b, quote)
	for i := 0; i < len(s); {
		if s[i] < utf8.RuneSelf {
			out, ok := appendEscape(b, s[i], quote)
			if b = out; !ok {
				b = append(b, s[i])
			}
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			r = rune(s[i])
			if len(s)-i >= 3 && surrogate([]byte(s[i:i+3])) {
				r, n = 0xd000|rune(s[i+1]&0x3f)<<6|rune(s[i+2]&0x3f), 3
			}
		}
		i += n
		switch {
		case unicode.IsPrint(r):
			b = utf8.AppendRune(b, r)
		case r <= 0xff:
			b = fmt.Appendf(b, `\x%02x`, r)
		case r <= 0xffff:
			b = fmt.Appendf(b, `\u%04x`, r)
		default:
			b = fmt.Appendf(b, `\U%08x`, r)
		}
	}
	return append(b, quote)
}
