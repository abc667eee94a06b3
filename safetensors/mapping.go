package safetensors

import (
	"errors"
	"io"
	"io/fs"
	"sync/atomic"
)

// A mapping is the memory of a mapped file. Once it is closed what asks for it
// gets an error: to touch it would end the program.
type mapping struct {
	bytes  []byte
	name   string
	unmap  func() error
	closed atomic.Bool
}

// ReadAt implements io.ReaderAt.
func (m *mapping) ReadAt(p []byte, off int64) (int, error) {
	switch {
	case m.closed.Load():
		return 0, &fs.PathError{Op: "read", Path: m.name, Err: fs.ErrClosed}
	case off < 0:
		return 0, &fs.PathError{Op: "read", Path: m.name, Err: errors.New("negative offset")}
	case off >= int64(len(m.bytes)):
		return 0, io.EOF
	}
	n := copy(p, m.bytes[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Close implements io.Closer.
func (m *mapping) Close() error {
	if m.closed.Swap(true) {
		return &fs.PathError{Op: "close", Path: m.name, Err: fs.ErrClosed}
	}
	return m.unmap()
}
