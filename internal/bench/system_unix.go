//go:build unix

package bench

import (
	"math"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime returns the time that this process has computed, or -1.
func cpuTime() time.Duration { return usage(unix.RUSAGE_SELF) }

// familyTime returns that of this process and of the children it has waited
// for, or -1.
func familyTime() time.Duration {
	own, children := usage(unix.RUSAGE_SELF), usage(unix.RUSAGE_CHILDREN)
	if own < 0 || children < 0 {
		return -1
	}
	return own + children
}

func usage(who int) time.Duration {
	var u unix.Rusage
	if unix.Getrusage(who, &u) != nil {
		return -1
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func mapFile(f *os.File) ([]byte, error) {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return nil, err
	}
	if info.Size() > math.MaxInt {
		return nil, Absent("the file is larger than the space of addresses")
	}
	return unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
}

func unmap(data []byte) {
	if len(data) > 0 {
		_ = unix.Munmap(data)
	}
}
