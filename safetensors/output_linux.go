package safetensors

import (
	"errors"
	"os"
	"syscall"
	"unsafe"

	"github.com/tensmith/tensmith/internal/memory"
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

// available returns the bytes of memory that the system has to give, or false.
func available() (int64, bool) {
	n := memory.Available(os.DirFS("/"))
	return n, n >= 0
}

// hugeMemory returns n bytes that begin at a huge page, and a function that
// frees them; nil if there are none.
func hugeMemory(n int64) ([]byte, func()) {
	const huge = 2 << 20
	all, err := syscall.Mmap(-1, 0, int(n)+huge, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	if err != nil {
		return nil, nil
	}
	_ = syscall.Madvise(all, syscall.MADV_HUGEPAGE) // without it they are small ones
	skip := -uintptr(unsafe.Pointer(unsafe.SliceData(all))) % huge
	return all[skip : int64(skip)+n], func() { _ = syscall.Munmap(all) }
}

// writeParts writes what lies in several places to one place of f, by one call
// of the system, and returns how much that was: nothing without an error where
// there is no such call.
func writeParts(f *os.File, parts [][]byte, off int64) (n int, err error) {
	vectors := make([]syscall.Iovec, len(parts))
	total := 0
	for i, p := range parts {
		vectors[i].Base = unsafe.SliceData(p)
		vectors[i].SetLen(len(p))
		total += len(p)
	}
	for {
		// The kernel takes the offset in two halves, of which one holds it all
		// where words are that long.
		done, _, errno := syscall.Syscall6(syscall.SYS_PWRITEV, f.Fd(), uintptr(unsafe.Pointer(unsafe.SliceData(vectors))),
			uintptr(len(vectors)), uintptr(off), uintptr(uint64(off)>>32), 0)
		switch {
		case errno == syscall.EINTR:
			continue
		case errno == syscall.ENOSYS:
			return 0, nil
		case errno != 0:
			return 0, &os.PathError{Op: "write", Path: f.Name(), Err: errno}
		}
		n = int(done)
		break
	}
	// A write that stops early, as on a full disk, goes on where it stopped, to
	// be told why.
	at := 0
	for _, p := range parts {
		if from := n - at; from < len(p) {
			m, err := f.WriteAt(p[from:], off+int64(n))
			if n += m; err != nil {
				return n, err
			}
		}
		at += len(p)
	}
	return total, nil
}
