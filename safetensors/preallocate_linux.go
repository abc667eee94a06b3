package safetensors

import (
	"errors"
	"os"
	"syscall"
)

// preallocate reserves the blocks of f: a full disk is found before the first
// byte is written, and the file lies in few pieces. Where the file system
// cannot do it nothing is lost.
func preallocate(f *os.File, size int64) error {
	err := syscall.Fallocate(int(f.Fd()), 0, 0, size)
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG) {
		return &os.PathError{Op: "allocate", Path: f.Name(), Err: err}
	}
	return nil
}
