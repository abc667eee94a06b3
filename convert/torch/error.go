package torch

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/tensmith/tensmith/pickle"
)

// What can be wrong with a file, as the causes of an [Error]. An error of the
// file system is none of them.
var (
	ErrMalformed   = errors.New("malformed checkpoint")    // torch would refuse it too, or read nonsense
	ErrUnsupported = errors.New("has no safetensors form") // sound, as far as one can tell
	ErrUnknown     = errors.New("not a checkpoint")
	ErrDangerous   = errors.New("would run code when loaded")
	ErrLimit       = errors.New("over a limit")
)

// An Error says where a file cannot be converted, and why.
type Error struct {
	File   string // name of the file, as given to Open
	Record string // what the place is in, such as "archive/data.pkl"; parts of parts are joined by "!"
	Offset int64  // byte offset there, -1 if there is none
	Tensor string // name of the tensor, if it is about one
	Reason string // one word that will not change: truncated, missing, bounds, shape, stride, complex128, …
	Err    error  // one of the Err values, or an error of the reader
	Detail string
	Hint   string // the option that helps, if one does
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Record != "" {
		b.WriteString("!" + e.Record)
	}
	if e.Offset >= 0 {
		fmt.Fprintf(&b, "@%d", e.Offset)
	}
	if b.Len() > 0 {
		b.WriteString(": ")
	}
	if e.Tensor != "" {
		fmt.Fprintf(&b, "tensor %q", e.Tensor)
		if e.Err == ErrUnsupported {
			b.WriteString(" ") // it goes on as a sentence
		} else {
			b.WriteString(": ")
		}
	}
	b.WriteString(e.Err.Error())
	if e.Detail != "" {
		b.WriteString(": " + e.Detail)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// A place is where in a file something stands.
type place struct {
	file, record string
	offset       int64
}

func (p place) String() string {
	s := p.file
	if p.record != "" {
		s += "!" + p.record
	}
	if p.offset >= 0 {
		s += fmt.Sprintf("@%d", p.offset)
	}
	return s
}

// in returns the place of a record within p.
func (p place) in(record string) place {
	if p.record != "" {
		record = p.record + "!" + record
	}
	return place{p.file, record, -1}
}

func (p place) at(offset int64) place { return place{p.file, p.record, offset} }

func (p place) fail(cause error, reason, format string, args ...any) *Error {
	return &Error{File: p.file, Record: p.record, Offset: p.offset, Reason: reason, Err: cause, Detail: fmt.Sprintf(format, args...)}
}

func (p place) malformed(reason, format string, args ...any) *Error {
	return p.fail(ErrMalformed, reason, format, args...)
}

// wrap gives a place to an error of the pickle machine or the file system.
func (p place) wrap(err error) error {
	var placed *Error
	if err == nil || errors.As(err, &placed) {
		return err
	}
	e := &Error{File: p.file, Record: p.record, Offset: p.offset, Err: err, Reason: "io"}
	var pe *pickle.Error
	if errors.As(err, &pe) {
		e.Offset = pe.Offset
		// The offset is told already.
		cause := pe.Err
		if pe.Op != 0 {
			cause = fmt.Errorf("%v: %w", pe.Op, pe.Err)
		}
		switch {
		case errors.Is(err, io.ErrUnexpectedEOF):
			e.Err, e.Reason = fmt.Errorf("%w: %w", ErrMalformed, cause), "truncated"
		case errors.Is(err, pickle.ErrMalformed):
			e.Err, e.Reason = fmt.Errorf("%w: %w", ErrMalformed, cause), "pickle"
		case errors.Is(err, pickle.ErrLimit):
			e.Err, e.Reason = fmt.Errorf("%w: %w", ErrLimit, cause), "limit"
		}
		return e
	}
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		e.Err, e.Reason = fmt.Errorf("%w: %w", ErrMalformed, io.ErrUnexpectedEOF), "truncated"
	case errors.Is(err, fs.ErrNotExist):
		e.Reason = "missing"
	}
	return e
}
