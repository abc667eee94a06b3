//go:build linux && !arm

package safetensors

import (
	"os"
	"syscall"
)

// writeBack lets the disk begin with bytes that have been written, so that it
// works while the next ones are made, and not only when all are there. It is
// advice: what comes of it the sync at the end tells.
func writeBack(f *os.File, off, n int64) {
	const start = 2 // SYNC_FILE_RANGE_WRITE of linux/fs.h
	_ = syscall.SyncFileRange(int(f.Fd()), off, n, start)
}
