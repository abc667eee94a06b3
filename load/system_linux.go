package load

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// host returns the system that the program runs on.
func host() *system {
	return &system{
		allocate: func(n int) ([]byte, error) {
			return unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
		},
		hugePages: func(b []byte) error { return unix.Madvise(b, unix.MADV_HUGEPAGE) },
		mapFile: func(fd, n int, private bool) ([]byte, error) {
			if private {
				// No memory is set aside for pages that may never be written to.
				return unix.Mmap(fd, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_NORESERVE)
			}
			return unix.Mmap(fd, 0, n, unix.PROT_READ, unix.MAP_SHARED)
		},
		munmap:   unix.Munmap,
		populate: func(b []byte) error { return retry(func() error { return unix.Madvise(b, unix.MADV_POPULATE_READ) }) },
		forget:   func(b []byte) error { return unix.Madvise(b, unix.MADV_DONTNEED) },
		openDirect: func(fd int) (*os.File, error) {
			// By its descriptor, since the name may be another file's by now.
			return os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", fd), os.O_RDONLY|unix.O_DIRECT, 0)
		},
		pread: func(f *os.File, p []byte, off int64) (n int, err error) {
			conn, err := f.SyscallConn()
			if err != nil {
				return 0, err
			}
			err = control(conn, func(fd int) error {
				return retry(func() error {
					n, err = unix.Pread(fd, p, off)
					return err
				})
			})
			return n, err
		},
		fileSystem: func(fd int) (uint32, error) {
			var s unix.Statfs_t
			err := retry(func() error { return unix.Fstatfs(fd, &s) })
			return uint32(s.Type), err
		},
		cached: func(fd int, off, n int64) (int64, error) {
			var s unix.Cachestat_t
			err := unix.Cachestat(uint(fd), &unix.CachestatRange{Off: uint64(off), Len: uint64(n)}, &s, 0)
			return int64(s.Cache) * int64(os.Getpagesize()), err
		},
		inCore: func(mapped, pages []byte) error {
			if len(mapped) == 0 || len(pages) < (len(mapped)-1)/os.Getpagesize()+1 {
				return unix.EINVAL
			}
			_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&mapped[0])), uintptr(len(mapped)), uintptr(unsafe.Pointer(&pages[0])))
			if errno != 0 {
				return errno
			}
			return nil
		},
		peek: func(fd int, off int64) (there bool, err error) {
			var b [1]byte
			err = retry(func() error {
				_, err := unix.Preadv2(fd, [][]byte{b[:]}, off, unix.RWF_NOWAIT)
				return err
			})
			if err == unix.EAGAIN {
				return false, nil
			}
			return err == nil, err
		},
		root: os.DirFS("/"),
	}
}

// retry repeats what a signal has interrupted.
func retry(do func() error) error {
	for {
		if err := do(); err != unix.EINTR {
			return err
		}
	}
}

func outOfMemory(err error) bool { return errors.Is(err, unix.ENOMEM) }
