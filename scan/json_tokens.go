package scan

import (
	"errors"
	"io"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxJSONString is up to where a string of JSON is read; the tables of
// tokenizers have a megabyte.
const maxJSONString = 4 << 20

var errJSON = errors.New("no JSON")

// jsonTokens reads the tokens of JSON (RFC 8259), besides NaN and Infinity, which
// Python's json writes and reads: Go's decoder would stop there, and what
// follows would go unread. That decoder also takes four times as long, for it
// allocates every number.
type jsonTokens struct {
	r       io.Reader
	buf     []byte
	pos     int
	base    int64 // offset of buf
	err     error // of r, once buf is used up
	open    []byte
	state   jsonState
	text    []byte
	leftOut int64 // bytes of strings that were too long
}

type jsonState uint8

const (
	jsonValue      jsonState = iota // anywhere a value has to be
	jsonFirstValue                  // or the end of an array
	jsonFirstKey                    // or the end of an object
	jsonKey
	jsonColon
	jsonComma // or the end of what is open
)

func newJSONTokens(r io.Reader) *jsonTokens { return &jsonTokens{r: r} }

// offset is behind the last token.
func (j *jsonTokens) offset() int64 { return j.base + int64(j.pos) }

// fill reads more, and tells whether there is some.
func (j *jsonTokens) fill() bool {
	if j.err != nil {
		return false
	}
	// Most texts are short, and there may be thousands of them.
	if j.base += int64(len(j.buf)); cap(j.buf) < 64<<10 {
		j.buf = make([]byte, min(max(1<<10, 8*cap(j.buf)), 64<<10))
	}
	j.buf, j.pos = j.buf[:cap(j.buf)], 0
	n := 0
	for range 100 {
		if n, j.err = j.r.Read(j.buf); n > 0 || j.err != nil {
			break
		}
	}
	if j.buf = j.buf[:n]; n == 0 && j.err == nil {
		j.err = io.ErrNoProgress
	}
	return n > 0
}

// peek returns the next byte, or 0 at the end.
func (j *jsonTokens) peek() byte {
	if j.pos == len(j.buf) && !j.fill() {
		return 0
	}
	return j.buf[j.pos]
}

// fail is the error of the reader, or that this is no JSON.
func (j *jsonTokens) fail() (byte, string, error) {
	if j.pos == len(j.buf) && j.err != nil {
		return 0, "", j.err
	}
	j.err = errJSON
	j.pos = len(j.buf)
	return 0, "", errJSON
}

// next returns the kind of the next token, a bracket or brace, or '"' for a text,
// 'k' for a key, '0' for a number, or the first letter of true, false and null.
func (j *jsonTokens) next() (kind byte, text string, err error) {
	for {
		c := j.peek()
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			j.pos++
			continue
		case j.state == jsonColon && c == ':':
			j.pos++
			j.state = jsonValue
			continue
		case j.state == jsonComma && c == ',' && len(j.open) > 0:
			j.pos++
			if j.state = jsonValue; j.open[len(j.open)-1] == '{' {
				j.state = jsonKey
			}
			continue
		case c == '}' && len(j.open) > 0 && j.open[len(j.open)-1] == '{' && (j.state == jsonComma || j.state == jsonFirstKey),
			c == ']' && len(j.open) > 0 && j.open[len(j.open)-1] == '[' && (j.state == jsonComma || j.state == jsonFirstValue):
			j.pos++
			j.open = j.open[:len(j.open)-1]
			j.end()
			return c, "", nil
		case j.state == jsonKey || j.state == jsonFirstKey:
			if c != '"' || !j.quoted() {
				return j.fail()
			}
			j.state = jsonColon
			return 'k', string(j.text), nil
		case j.state == jsonComma || j.state == jsonColon:
			return j.fail()
		}
		return j.value(c)
	}
}

// more tells whether anything but blanks follows.
func (j *jsonTokens) more() bool {
	for j.pos < len(j.buf) || j.fill() {
		switch j.buf[j.pos] {
		case ' ', '\t', '\n', '\r':
			j.pos++
		default:
			return true
		}
	}
	return false
}

// end is behind a value.
func (j *jsonTokens) end() {
	if j.state = jsonComma; len(j.open) == 0 {
		j.state = jsonValue // the next document, as json.Decoder has it
	}
}

func (j *jsonTokens) value(c byte) (kind byte, text string, err error) {
	switch {
	case c == '{' || c == '[':
		j.pos++
		j.open = append(j.open, c)
		if j.state = jsonFirstValue; c == '{' {
			j.state = jsonFirstKey
		}
		return c, "", nil
	case c == '"':
		if !j.quoted() {
			return j.fail()
		}
		j.end()
		return c, string(j.text), nil
	case c == 't' && j.word("true"), c == 'f' && j.word("false"), c == 'n' && j.word("null"):
	case c == 'N' && j.word("NaN"), c == 'I' && j.word("Infinity"), (c == '-' || c >= '0' && c <= '9') && j.number():
		c = '0'
	default:
		return j.fail()
	}
	j.end()
	return c, "", nil
}

func (j *jsonTokens) word(w string) bool {
	for i := range len(w) {
		if j.peek() != w[i] {
			return false
		}
		j.pos++
	}
	return true
}

func (j *jsonTokens) digits() (n int) {
	for {
		for j.pos < len(j.buf) && j.buf[j.pos] >= '0' && j.buf[j.pos] <= '9' {
			j.pos++
			n++
		}
		if j.pos < len(j.buf) || !j.fill() {
			return n
		}
	}
}

func (j *jsonTokens) number() bool {
	if j.peek() == '-' {
		j.pos++
		if j.peek() == 'I' {
			return j.word("Infinity")
		}
	}
	if j.peek() == '0' {
		j.pos++
	} else if j.digits() == 0 {
		return false
	}
	if j.peek() == '.' {
		j.pos++
		if j.digits() == 0 {
			return false
		}
	}
	if c := j.peek(); c == 'e' || c == 'E' {
		j.pos++
		if c := j.peek(); c == '+' || c == '-' {
			j.pos++
		}
		return j.digits() > 0
	}
	return true
}

// quoted reads a string into text. What is too long is left out at its end.
func (j *jsonTokens) quoted() bool {
	j.pos++
	j.text = j.text[:0]
	if cap(j.text) > 1<<16 {
		j.text = nil
	}
	odd := false
	for {
		if j.pos == len(j.buf) && !j.fill() {
			return false
		}
		i := j.pos
		for i < len(j.buf) && j.buf[i] != '"' && j.buf[i] != '\\' && j.buf[i] >= ' ' {
			odd = odd || j.buf[i] >= utf8.RuneSelf
			i++
		}
		j.keep(j.buf[j.pos:i])
		if j.pos = i; i == len(j.buf) {
			continue
		}
		c := j.buf[i]
		j.pos++
		switch {
		case c == '"':
			if odd && !utf8.Valid(j.text) {
				j.text = []byte(string([]rune(string(j.text)))) // each byte by itself becomes U+FFFD
			}
			return true
		case c != '\\' || !j.escape():
			return false
		}
	}
}

func (j *jsonTokens) keep(p []byte) {
	room := max(maxJSONString-len(j.text), 0)
	if len(p) > room {
		j.leftOut += int64(len(p) - room)
		p = p[:room]
	}
	j.text = append(j.text, p...)
}

func (j *jsonTokens) escape() bool {
	c := j.peek()
	j.pos++
	i := strings.IndexByte(`"\/bfnrtu`, c)
	switch {
	case i < 0 || c == 0:
		j.pos-- // there may be nothing
		return false
	case c != 'u':
		j.keep([]byte{"\"\\/\b\f\n\r\t"[i]})
		return true
	}
	r, ok := j.hex()
	for ok && utf16.IsSurrogate(r) {
		// The other half has to follow, or the first one stands for nothing.
		if j.peek() != '\\' {
			r = utf8.RuneError
			break
		}
		j.pos++
		if j.peek() != 'u' {
			j.keep([]byte("\uFFFD"))
			return j.escape()
		}
		j.pos++
		var low rune
		if low, ok = j.hex(); !ok {
			return false
		}
		if both := utf16.DecodeRune(r, low); both != utf8.RuneError {
			r = both
			break
		}
		j.keep([]byte("\uFFFD"))
		r = low
	}
	if ok {
		j.keep(utf8.AppendRune(nil, r))
	}
	return ok
}

func (j *jsonTokens) hex() (rune, bool) {
	var p [4]byte
	for i := range p {
		p[i] = j.peek()
		if p[i] == 0 || p[i] == '+' || p[i] == '_' {
			return 0, false
		}
		j.pos++
	}
	n, err := strconv.ParseUint(string(p[:]), 16, 16)
	return rune(n), err == nil
}
