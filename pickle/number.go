package pickle

import (
	"bytes"
	"errors"
	"math"
	"math/big"
	"math/bits"
	"strconv"
)

var errNumber = malformed("not a number")

// decodeLong reads little-endian two's complement (LONG1, LONG4). The big
// integer is nil if the value fits an int64.
func decodeLong(b []byte) (int64, *big.Int) {
	if len(b) <= 8 {
		var u uint64
		for i, c := range b {
			u |= uint64(c) << (8 * i)
		}
		if n := len(b); n > 0 && n < 8 && b[n-1] >= 0x80 {
			u |= math.MaxUint64 << (8 * n)
		}
		return int64(u), nil
	}
	be := make([]byte, len(b))
	for i, c := range b {
		be[len(b)-1-i] = c
	}
	z := new(big.Int).SetBytes(be)
	if be[0] >= 0x80 {
		z.Sub(z, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	return small(z)
}

func small(z *big.Int) (int64, *big.Int) {
	if z.IsInt64() {
		return z.Int64(), nil
	}
	return 0, z
}

// cString cuts b where C would: most of CPython's parsers of numbers stop at
// a NUL, whatever follows in the line.
func cString(b []byte) []byte {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return b[:i]
	}
	return b
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// parseInteger reads what PyLong_FromString reads for base 0 or 10: blanks
// around, a sign, with base 0 a prefix, single underscores between digits.
func parseInteger(b []byte, base int, maxDigits int64) (int64, *big.Int, error) {
	for len(b) > 0 && isSpace(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && isSpace(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	negative := false
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		negative = b[0] == '-'
		b = b[1:]
	}
	onlyZero := false
	if base == 0 {
		base = 10
		if len(b) > 0 && b[0] == '0' {
			prefix := byte(0)
			if len(b) > 1 {
				prefix = b[1] | 0x20
			}
			switch prefix {
			case 'x':
				base = 16
			case 'o':
				base = 8
			case 'b':
				base = 2
			default:
				onlyZero = true // 012 was octal in Python 2 and is an error now
			}
			if base != 10 {
				b = b[2:]
				if len(b) > 0 && b[0] == '_' {
					b = b[1:]
				}
			}
		}
	}
	digits, err := plainDigits(b, base)
	if err != nil {
		return 0, nil, err
	}
	if base == 10 && int64(len(digits)) > maxDigits {
		return 0, nil, &LimitError{"Digits", maxDigits}
	}
	n, z := wholeDigits(digits, base), (*big.Int)(nil)
	if n < 0 {
		z = bigDigits(digits, base)
		if negative {
			z.Neg(z)
		}
		n, z = small(z)
	} else if negative {
		n = -n
	}
	if onlyZero && (n != 0 || z != nil) {
		return 0, nil, errNumber
	}
	return n, z, nil
}

// wholeDigits reads checked digits, or returns -1 if an int64 has no room for them.
func wholeDigits(digits []byte, base int) int64 {
	n := uint64(0)
	for _, c := range digits {
		hi, lo := bits.Mul64(n, uint64(base))
		digit := uint64(digitOf(c))
		if hi != 0 || lo > math.MaxInt64-digit {
			return -1
		}
		n = lo + digit
	}
	return int64(n)
}

// digitOf is the value of a digit, at least 99 if c is none.
func digitOf(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return 99
}

// bigDecimal reads checked decimal digits, as many at a time as a word holds. It
// takes quadratic time, which the limit of digits makes harmless.
func bigDecimal(digits []byte) *big.Int {
	const most = 9 + 10*(bits.UintSize/64)
	words := make([]big.Word, 0, len(digits)/most+1)
	for len(digits) > 0 {
		n := min(len(digits), most)
		carry, scale := uint(0), uint(1)
		for _, c := range digits[:n] {
			carry, scale = 10*carry+uint(c-'0'), 10*scale
		}
		digits = digits[n:]
		for i, w := range words {
			hi, lo := bits.Mul(uint(w), scale)
			lo, more := bits.Add(lo, carry, 0)
			words[i], carry = big.Word(lo), hi+more
		}
		if carry > 0 {
			words = append(words, big.Word(carry))
		}
	}
	return new(big.Int).SetBits(words)
}

// bigDigits reads checked digits.
func bigDigits(digits []byte, base int) *big.Int {
	if base == 10 {
		return bigDecimal(digits)
	}
	width := bits.Len(uint(base - 1))
	be := make([]byte, (len(digits)*width+7)/8)
	for i, bit := len(digits)-1, 0; i >= 0; i, bit = i-1, bit+width {
		d := uint16(digits[i]&0x0f) << (bit % 8)
		if digits[i] >= 'A' {
			d = uint16(digits[i]&0x0f+9) << (bit % 8)
		}
		at := len(be) - 1 - bit/8
		be[at] |= byte(d)
		if d > 0xff {
			be[at-1] |= byte(d >> 8)
		}
	}
	return new(big.Int).SetBytes(be)
}

// plainDigits checks the digits of b and drops the underscores.
func plainDigits(b []byte, base int) ([]byte, error) {
	if len(b) == 0 || b[0] == '_' || b[len(b)-1] == '_' {
		return nil, errNumber
	}
	underscores := false
	for i, c := range b {
		if c == '_' {
			if b[i-1] == '_' {
				return nil, errNumber
			}
			underscores = true
		} else if digitOf(c) >= base {
			return nil, errNumber
		}
	}
	if underscores {
		b = bytes.ReplaceAll(b, []byte("_"), nil)
	}
	return b, nil
}

// canonical tells whether text is what a pickler writes for its value: decimal
// digits without frills.
func canonical(text []byte) bool {
	if len(text) == 1 && text[0] == '0' {
		return true
	}
	t := bytes.TrimPrefix(text, []byte("-"))
	return len(t) > 0 && t[0] >= '1' && t[0] <= '9' && decimal(t)
}

func decimal(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// parseIntOp reads the line of INT as load_int does: strtol of base 0 first,
// which takes 010 for eight, then PyLong_FromString. Two characters that
// strtol reads as 0 or 1 are a boolean.
func parseIntOp(line []byte, maxDigits int64) (n int64, z *big.Int, isBool, odd bool, err error) {
	if len(line) == 0 {
		return 0, nil, false, false, errNumber
	}
	text := cString(line)
	n, strtol := octal(text)
	if len(text) == 0 {
		n, strtol = 0, true // strtol reads nothing, and stops at a NUL
	}
	if !strtol {
		if n, z, err = parseInteger(text, 0, maxDigits); err != nil {
			return 0, nil, false, false, err
		}
		last := text[len(text)-1]
		strtol = z == nil && !isSpace(last)
	}
	isBool = strtol && len(line) == 2 && (n == 0 || n == 1)
	if isBool {
		odd = string(line) != "00" && string(line) != "01"
	} else {
		odd = len(text) != len(line) || !canonical(text)
	}
	return n, z, isBool, odd, nil
}

// octal reads blanks, a sign, a zero and octal digits, to the end of b.
func octal(b []byte) (int64, bool) {
	for len(b) > 0 && isSpace(b[0]) {
		b = b[1:]
	}
	negative := len(b) > 0 && b[0] == '-'
	if negative || len(b) > 0 && b[0] == '+' {
		b = b[1:]
	}
	if len(b) < 2 || b[0] != '0' || b[1] < '0' || b[1] > '7' {
		return 0, false
	}
	n, err := strconv.ParseInt(string(b), 8, 64)
	if err != nil {
		return 0, false
	}
	if negative {
		n = -n
	}
	return n, true
}

// parseLong reads the line of LONG. The L at its end is optional, for
// Python 3.0 left it out.
func parseLong(line []byte, maxDigits int64) (n int64, z *big.Int, odd bool, err error) {
	if len(line) == 0 {
		return 0, nil, false, errNumber
	}
	text, hasL := bytes.CutSuffix(line, []byte("L"))
	digits := cString(text)
	if n, z, err = parseInteger(digits, 0, maxDigits); err != nil {
		return 0, nil, false, err
	}
	return n, z, !hasL || len(digits) != len(text) || !canonical(digits), nil
}

// parseMemoKey reads the line of PUT or GET.
func parseMemoKey(line []byte, maxDigits int64) (n int64, odd bool, err error) {
	if len(line) == 0 {
		return 0, false, errNumber
	}
	text := cString(line)
	n, z, err := parseInteger(text, 10, maxDigits)
	if err != nil {
		return 0, false, err
	}
	if z != nil {
		return 0, false, malformed("memo key out of range")
	}
	return n, len(text) != len(line) || !canonical(text), nil
}

// parseFloat reads the line of FLOAT as PyOS_string_to_double does: no blanks,
// no hexadecimal, and an overflow is an error.
func parseFloat(line []byte) (f float64, odd bool, err error) {
	text := cString(line)
	odd = len(text) != len(line)
	if !decimalFloat(text) {
		return 0, false, errNumber
	}
	f, err = strconv.ParseFloat(string(text), 64)
	if errors.Is(err, strconv.ErrRange) && math.IsInf(f, 0) {
		return 0, false, malformed("float out of range")
	} else if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, false, errNumber
	}
	c := text[0]
	odd = odd || c == '+' || c == '.' || bytes.ContainsAny(text, "EINFTYA")
	return f, odd, nil
}

// slowCost is how many opcodes a FLOAT counts as beside one that takes ten microseconds.
const slowCost = 255

// slowFloat tells whether rounding a decimal number took big integers: so it is,
// as a rule, where the number is less than the least normal one, and it may be
// where more digits stand than fit a word. Python writes up to 17.
func slowFloat(line []byte, f float64) bool {
	const leastNormal = 0x1p-1022
	return len(line) > 24 || f != 0 && math.Abs(f) < leastNormal
}

func decimalFloat(b []byte) bool {
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		b = b[1:]
	}
	if len(b) > 0 && b[0] > '9' {
		switch string(bytes.ToLower(b[:min(len(b), 9)])) {
		case "inf", "infinity", "nan":
			return true
		}
		return false
	}
	whole := countDigits(b)
	b = b[whole:]
	if len(b) > 0 && b[0] == '.' {
		part := countDigits(b[1:])
		whole += part
		b = b[1+part:]
	}
	if whole == 0 {
		return false
	}
	if len(b) > 0 && b[0]|0x20 == 'e' {
		b = b[1:]
		if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
			b = b[1:]
		}
		n := countDigits(b)
		return n > 0 && n == len(b)
	}
	return len(b) == 0
}

func countDigits(b []byte) int {
	n := 0
	for n < len(b) && b[n] >= '0' && b[n] <= '9' {
		n++
	}
	return n
}
