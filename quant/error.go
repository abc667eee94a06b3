package quant

import (
	"errors"
	"fmt"
	"strconv"
)

// What can be wrong with a packed weight, as the causes of an [Error].
var (
	ErrScheme  = errors.New("cannot be unpacked")             // nobody's layout, or one not known here
	ErrMissing = errors.New("a companion is missing")         // without which it cannot be read
	ErrShape   = errors.New("shapes do not fit")              // of the weight and its companions
	ErrDType   = errors.New("the dtype has no place here")    // of a companion, or of a result
	ErrValue   = errors.New("a number in it is out of range") // such as a group index
)

// An Error says which tensor cannot be used, and why.
type Error struct {
	Tensor string // the packed weight, or the companion at fault
	Err    error  // one of the Err values above, or of a read that failed
	Detail string // what was found
}

// Error returns the error in one line.
func (e *Error) Error() string {
	s := "tensor " + strconv.Quote(e.Tensor) + ": " + e.Err.Error()
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

func fault(tensor string, err error, format string, args ...any) error {
	return &Error{tensor, err, fmt.Sprintf(format, args...)}
}
