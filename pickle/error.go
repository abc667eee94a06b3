package pickle

import (
	"errors"
	"fmt"
	"io"
)

// ErrMalformed is the cause of an [Error] about bytes that CPython refuses
// too. Where they end early, io.ErrUnexpectedEOF is a cause as well.
var ErrMalformed = errors.New("malformed pickle")

// ErrLimit is the cause of an [Error] about a file that asks for more than
// [Limits] gives; it may be a well-formed one. [LimitError] tells which limit.
var ErrLimit = errors.New("over the limit")

var errShort = fmt.Errorf("%w: %w", ErrMalformed, io.ErrUnexpectedEOF)

// An Error says where a pickle could not be read further, and why. Its cause
// is [ErrMalformed], a [*LimitError], or the error of the reader or of a hook.
type Error struct {
	Offset int64 // of the opcode in the input
	Op     Op    // 0 if what stands there is no opcode, or nothing
	Err    error
}

func (e *Error) Error() string {
	if e.Op == 0 {
		return fmt.Sprintf("byte %d: %v", e.Offset, e.Err)
	}
	return fmt.Sprintf("byte %d: %v: %v", e.Offset, e.Op, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// A LimitError names the field of [Limits] that was reached. It matches
// [ErrLimit].
type LimitError struct {
	Limit string
	Max   int64
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("%v %s = %d", ErrLimit, e.Limit, e.Max)
}

// Is makes every limit match [ErrLimit].
func (e *LimitError) Is(target error) bool { return target == ErrLimit }

// malformed is an error of ErrMalformed. Its text is made when it is asked for,
// which it hardly ever is where bytes were only tried for a pickle: so args must not
// change.
func malformed(format string, args ...any) error { return &malformedError{format, args} }

type malformedError struct {
	format string
	args   []any
}

func (e *malformedError) Error() string {
	return ErrMalformed.Error() + ": " + fmt.Sprintf(e.format, e.args...)
}

func (e *malformedError) Unwrap() error { return ErrMalformed }
