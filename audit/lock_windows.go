package audit

import (
	"os"

	"golang.org/x/sys/windows"
)

// lock waits until no other process writes to the log. Locks are mandatory on
// Windows: the byte that is locked lies far behind the end, for all to read.
func lock(f *os.File) error {
	at := &windows.Overlapped{OffsetHigh: 1 << 30}
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK, 0, 1, 0, at)
	return os.NewSyscallError("LockFileEx", err)
}
