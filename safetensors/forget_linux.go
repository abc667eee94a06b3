//go:build linux && (amd64 || arm64)

package safetensors

import (
	"os"
	"syscall"
)

// forget lets the page cache drop a part of a file that nobody maps. It is
// advice.
func forget(f *os.File, off, n int64) {
	if n <= 0 {
		return // which would mean all of the file
	}
	const dontNeed = 4 // POSIX_FADV_DONTNEED of linux/fadvise.h
	_, _, _ = syscall.Syscall6(syscall.SYS_FADVISE64, f.Fd(), uintptr(off), uintptr(n), dontNeed, 0, 0)
}
