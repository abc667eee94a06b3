package scan

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// A blob is bytes that can be read anywhere: a file, or a part of one, or
// what was unpacked.
type blob struct {
	r         io.ReaderAt
	off, size int64
}

func inMemory(b []byte) blob { return blob{bytes.NewReader(b), 0, int64(len(b))} }

// ReadAt reads within the blob.
func (b blob) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= b.size {
		return 0, io.EOF
	}
	short := int64(len(p)) > b.size-off
	if short {
		p = p[:b.size-off]
	}
	n, err := b.r.ReadAt(p, b.off+off)
	switch {
	case n < len(p) && (err == nil || err == io.EOF):
		err = io.ErrUnexpectedEOF // the file has become shorter, or never was as long as it says
	case n == len(p) && short:
		err = io.EOF
	case n == len(p):
		err = nil
	}
	return n, err
}

// sub returns n bytes from off on, if there are as many.
func (b blob) sub(off, n int64) (blob, bool) {
	if off < 0 || n < 0 || off > b.size || n > b.size-off {
		return blob{}, false
	}
	return blob{b.r, b.off + off, n}, true
}

// rest returns what is there from off on.
func (b blob) rest(off int64) blob {
	off = min(max(off, 0), b.size)
	return blob{b.r, b.off + off, b.size - off}
}

// into is at with room to use again.
func (b blob) into(room []byte, off, n int64) ([]byte, error) {
	if off < 0 || off >= b.size || n <= 0 {
		return nil, nil
	}
	n = min(n, b.size-off)
	p := slices.Grow(room[:0], int(n))[:n]
	m, err := b.ReadAt(p, off)
	if err == io.EOF {
		err = nil
	}
	return p[:m], err
}

// at reads n bytes from off on, or as many as there are.
func (b blob) at(off, n int64) ([]byte, error) {
	if off < 0 || off >= b.size || n <= 0 {
		return nil, nil
	}
	p := make([]byte, min(n, b.size-off))
	m, err := b.ReadAt(p, off)
	if err == io.EOF {
		err = nil
	}
	return p[:m], err
}

// A place is where a blob lies, and how deep.
type place struct {
	file  string // see Finding.File
	name  string // last element of the name that it has there, "" if it has none
	depth int    // containers around it
	// loose says that the bytes need not be what they look like: a storage of
	// numbers, a string. What is found there counts only if it cannot be
	// chance.
	loose bool
	// junk says that no format owns the bytes, which were searched for files.
	junk bool
}

func (p place) in(member string) place {
	p.file += "!" + shortName(member)
	p.name = member[strings.LastIndexAny(member, `/\`)+1:]
	p.depth++
	return p
}

// maxMemberName is how much of the name of a member stands in the places of findings,
// of which there are thousands, with one of 64 KiB on each of eight levels.
const maxMemberName = 512

// shortName is a name as it stands in a place. A checksum keeps long ones apart.
func shortName(name string) string {
	if len(name) <= maxMemberName {
		return name
	}
	return fmt.Sprintf("%s(%d bytes, %08x)", clip(name, maxMemberName), len(name), crc32.ChecksumIEEE([]byte(name)))
}

// clip makes a name or text of a file short enough for a message.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
