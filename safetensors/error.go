package safetensors

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// What can be wrong with a file, as the causes of a [FormatError]. They are
// listed in the order in which a reader meets them.
var (
	ErrTooShort        = fmt.Errorf("file is shorter than 8 bytes: %w", io.ErrUnexpectedEOF)
	ErrHeaderTooLarge  = errors.New("header length is over the limit of 100,000,000 bytes")
	ErrHeaderTruncated = fmt.Errorf("header reaches beyond the end of the file: %w", io.ErrUnexpectedEOF)
	ErrUTF8            = errors.New("header is not UTF-8")
	ErrSyntax          = errors.New("header is not JSON")
	ErrType            = errors.New("wrong type of JSON value")
	ErrMissing         = errors.New("missing field")
	ErrDuplicate       = errors.New("duplicate key")
	ErrForm            = errors.New("form that only the reference implementation reads")
	ErrDType           = errors.New("unknown dtype")
	ErrOffset          = errors.New("tensor does not begin where the one before it ends")
	ErrOverflow        = errors.New("size overflows 64 bits")
	ErrMisaligned      = errors.New("elements do not fill whole bytes")
	ErrSize            = errors.New("data_offsets disagree with dtype and shape")
	ErrTruncated       = fmt.Errorf("data ends early: %w", io.ErrUnexpectedEOF)
	ErrTrailing        = errors.New("bytes after the last tensor")
)

// What can be wrong with a request.
var (
	ErrNotFound = errors.New("no such tensor")
	ErrRange    = errors.New("slice is out of range")
	ErrEntry    = errors.New("cannot be stored") // an [Entry] the format has no room for
	ErrIndex    = errors.New("index and shards disagree")
)

// A FormatError says where a file breaks the format, and why.
type FormatError struct {
	Offset int64  // byte offset in the file
	Tensor string // name of the tensor, if the error is about one
	Err    error  // one of the Err values above
	Detail string // what was found, if that helps
}

func (e *FormatError) Error() string {
	var b strings.Builder
	b.WriteString("byte ")
	b.WriteString(strconv.FormatInt(e.Offset, 10))
	if e.Tensor != "" {
		b.WriteString(": tensor ")
		b.WriteString(quote(e.Tensor))
	}
	b.WriteString(": ")
	b.WriteString(e.Err.Error())
	if e.Detail != "" {
		b.WriteString(": ")
		b.WriteString(e.Detail)
	}
	return b.String()
}

func (e *FormatError) Unwrap() error { return e.Err }

// quote prints a name from a file so that it fits a line and can do a
// terminal no harm.
func quote(name string) string {
	const limit = 120
	if len(name) > limit {
		return strconv.QuoteToASCII(name[:limit]) + "…"
	}
	return strconv.QuoteToGraphic(name)
}
