//go:build !linux

package bench

import (
	"os"
	"os/exec"
)

func memory() (now, peak, files int64) { return -1, -1, -1 }

func resetPeak() {}

func bytesRead() int64 { return -1 }

func evict(*os.File) error { return Absent("the page cache cannot be emptied on this system") }

// resident counts all pages, for what is not known to be missing is not read
// again.
func resident(f *os.File) (pages, total int64, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, 0, err
	}
	return info.Size(), info.Size(), nil
}

func populate([]byte) error { return Absent("the system cannot populate a mapping") }

func faulted(n int64) ([]byte, func(), error) {
	data := make([]byte, n)
	touch(data)
	return data, func() {}, nil
}

func openDirect(string, int) (*os.File, error) { return nil, Absent("no direct access on this system") }

func preallocate(*os.File, int64) error { return Absent("no fallocate on this system") }

func fileSystem(string) string { return "" }

// Space returns how many bytes a directory's file system has to give, or -1.
func Space(string) int64 { return -1 }

func settle(string) {}

func leash(*exec.Cmd) {}

func processor() string { return "" }

func system() string { return "" }

func ticks() (busy, stolen float64, ok bool) { return 0, 0, false }
