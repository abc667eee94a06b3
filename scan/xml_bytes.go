package scan

import (
	"bufio"
	"errors"
	"io"
)

// maxTag is how long a tag or a declaration of XML may be: Go's reader keeps
// all attributes of one, which take ten times their text.
const maxTag = 1 << 20

// errTag is the cause of an error about a tag that is longer.
var errTag = errors.New("a tag of more bytes than a scan reads")

// An xmlBytes gives the bytes of a document one by one, as the decoder takes
// them, and ends it within a tag that is too long.
type xmlBytes struct {
	r      *bufio.Reader
	last   byte
	begun  bool // the token's first byte was given
	inTag  bool
	length int // of the token
}

// ReadByte implements io.ByteReader.
func (x *xmlBytes) ReadByte() (byte, error) {
	if x.inTag && x.length > maxTag {
		return 0, errTag
	}
	c, err := x.r.ReadByte()
	if err != nil {
		return 0, err
	}
	x.last = c
	x.length++
	if !x.begun {
		x.begun, x.inTag = true, c == '<'
	}
	return c, nil
}

// Read implements io.Reader, which the decoder asks for and does not use.
func (x *xmlBytes) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c, err := x.ReadByte()
	if err != nil {
		return 0, err
	}
	p[0] = c
	return 1, nil
}

// token begins with the next: text ends with the first byte of the tag
// behind it.
func (x *xmlBytes) token() {
	x.length = 0
	x.begun = x.last == '<'
	x.inTag = x.begun
}

var _ io.ByteReader = (*xmlBytes)(nil)
