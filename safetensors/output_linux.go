package safetensors

import (
	"bytes"
	"errors"
	"os"
	"strconv"
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

// openDirect opens a file once more, for writes past the page cache. It
// returns nil where there are none.
func openDirect(name string) *os.File {
	f, err := os.OpenFile(name, os.O_WRONLY|syscall.O_DIRECT, 0)
	if err != nil {
		return nil
	}
	return f
}

// available returns the bytes of memory that the system has to give, the page
// cache's included, and as much as a container may have; or false.
func available() (int64, bool) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, false
	}
	_, rest, ok := bytes.Cut(text, []byte("MemAvailable:"))
	if !ok {
		return 0, false
	}
	line, _, _ := bytes.Cut(rest, []byte("kB"))
	n, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 10, 53)
	if err != nil {
		return 0, false
	}
	n <<= 10
	if text, err := os.ReadFile("/sys/fs/cgroup/memory.max"); err == nil {
		if most, err := strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64); err == nil {
			n = min(n, most)
		}
	}
	return n, true
}
