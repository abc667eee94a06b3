package safetensors

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
)

// What can be wrong with a file, as the causes of a [FormatError]. They are
// listed in the order in which a reader meets them.
var (
	ErrTooShort        = fmt.Errorf("file is shorter than 8 bytes: %w", io.ErrUnexpectedEOF)
	ErrHeaderTooLarge  = errors.New("header length is over the limit of 100,000,000 bytes")
	ErrHeaderTruncated = fmt.Errorf("header reaches beyond the end of the file: %w", io.ErrUnexpectedEOF)
	ErrUTF8            = errors.New("not UTF-8")
	ErrSyntax          = errors.New("not JSON")
	ErrType            = errors.New("JSON is not what the format asks for")
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

// What can be wrong with a [Checkpoint] beyond its files.
var (
	ErrShard = fmt.Errorf("shard is missing: %w", fs.ErrNotExist)
	ErrIndex = errors.New("index and shards disagree")
	ErrPath  = errors.New("file name leaves the directory")
)

// What [Check] and [CheckCheckpoint] report that is legal and may still
// surprise someone.
var (
	NoteField = errors.New("unknown field, which writers drop")
	NoteNull  = errors.New("__metadata__ is null, which not every reader takes")
	NoteIndex = errors.New("index is not exact")
	NoteFile  = errors.New("file is not read as a part of the model")
)

// What can be wrong with a request.
var (
	ErrNotFound = errors.New("no such tensor")
	ErrRange    = errors.New("slice is out of range")
	ErrEntry    = errors.New("cannot be stored") // an [Entry] the format has no room for
)

// A FormatError says where a file breaks the format, and why.
type FormatError struct {
	File   string // name of the file, if it was opened by name
	Offset int64  // byte offset in the file, -1 if it has no place there
	Tensor string // name of the tensor, if the error is about one
	Err    error  // one of the Err values above
	Detail string // what was found, if that helps
}

func (e *FormatError) Error() string {
	var b strings.Builder
	if e.File != "" {
		// An index may name a shard as it likes.
		if strings.ContainsFunc(e.File, func(r rune) bool { return !strconv.IsGraphic(r) }) {
			b.WriteString(quote(e.File))
		} else {
			b.WriteString(e.File)
		}
		b.WriteString(": ")
	}
	if e.Offset >= 0 {
		b.WriteString("byte ")
		b.WriteString(strconv.FormatInt(e.Offset, 10))
		b.WriteString(": ")
	}
	if e.Tensor != "" {
		b.WriteString("tensor ")
		b.WriteString(quote(e.Tensor))
		b.WriteString(": ")
	}
	b.WriteString(e.Err.Error())
	if e.Detail != "" {
		b.WriteString(": ")
		b.WriteString(e.Detail)
	}
	return b.String()
}

// isNote reports whether e tells of something legal.
func (e *FormatError) isNote() bool {
	return e.Err == NoteField || e.Err == NoteNull || e.Err == NoteIndex || e.Err == NoteFile
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
