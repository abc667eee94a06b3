package bench

import (
	"bytes"
	"errors"
	"math"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// memory returns the bytes of memory of this process now and at the worst
// since resetPeak, and how many of them now are of files.
func memory() (now, peak, files int64) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return -1, -1, -1
	}
	return field(text, "VmRSS:") << 10, field(text, "VmHWM:") << 10, field(text, "RssFile:") << 10
}

// field returns the number behind a word at the beginning of a line.
func field(text []byte, name string) int64 {
	for line := range bytes.Lines(text) {
		if rest, ok := bytes.CutPrefix(line, []byte(name)); ok {
			if words := strings.Fields(string(rest)); len(words) > 0 {
				n, _ := strconv.ParseInt(words[0], 10, 64)
				return n
			}
		}
	}
	return 0
}

// resetPeak makes the kernel forget the peak so far. What it inherits from the
// process it was forked from is no part of it, as it is of getrusage's.
func resetPeak() {
	if f, err := os.OpenFile("/proc/self/clear_refs", os.O_WRONLY, 0); err == nil {
		_, _ = f.WriteString("5")
		f.Close()
	}
}

// bytesRead returns how many bytes this process has asked files for by system
// calls, or -1.
func bytesRead() int64 {
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return -1
	}
	return field(text, "rchar:")
}

// evict drops a file from the page cache.
func evict(f *os.File) error {
	if err := f.Sync(); err != nil {
		return err
	}
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		return Absent("the page cache cannot be emptied: %v", err)
	}
	pages, total, err := resident(f)
	if err != nil {
		return err
	}
	if pages > total/100 {
		return Absent("%d of %d pages stay in memory: the file system is one of memory, or others use the file", pages, total)
	}
	return nil
}

// resident counts the pages of a file, and those in the page cache.
func resident(f *os.File) (pages, total int64, err error) {
	data, err := mapFile(f)
	if err != nil || len(data) == 0 {
		return 0, 0, err
	}
	defer unix.Munmap(data)
	page := os.Getpagesize()
	vec := make([]byte, (len(data)+page-1)/page)
	_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&data[0])), uintptr(len(data)), uintptr(unsafe.Pointer(&vec[0])))
	if errno != 0 {
		return 0, 0, Absent("mincore: %v", errno)
	}
	for _, v := range vec {
		pages += int64(v & 1)
	}
	return pages, int64(len(vec)), nil
}

// populate brings a mapping's pages in.
func populate(data []byte) error {
	err := unix.Madvise(data, unix.MADV_POPULATE_READ)
	if errors.Is(err, unix.EINVAL) {
		return Absent("the kernel has no MADV_POPULATE_READ")
	}
	return err
}

// faulted returns memory that has been touched, in huge pages where there are
// any, and a function that frees it.
func faulted(n int64) ([]byte, func(), error) {
	data, err := unix.Mmap(-1, 0, int(n)+huge, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, nil, err
	}
	_ = unix.Madvise(data, unix.MADV_HUGEPAGE)
	at := -int(uintptr(unsafe.Pointer(&data[0]))) & (huge - 1)
	touch(data[at : at+int(n)])
	return data[at : at+int(n)], func() { _ = unix.Munmap(data) }, nil
}

func openDirect(name string, flag int) (*os.File, error) {
	f, err := os.OpenFile(name, flag|unix.O_DIRECT, 0)
	if errors.Is(err, unix.EINVAL) {
		return nil, Absent("the file system has no direct access")
	}
	return f, err
}

func preallocate(f *os.File, size int64) error {
	if err := unix.Fallocate(int(f.Fd()), 0, 0, size); err != nil {
		return Absent("fallocate: %v", err)
	}
	return nil
}

// fileSystem returns the name of a directory's file system, as far as it is
// one of the usual.
func fileSystem(dir string) string {
	var s unix.Statfs_t
	if unix.Statfs(dir, &s) != nil {
		return ""
	}
	switch uint32(s.Type) {
	case unix.EXT4_SUPER_MAGIC:
		return "ext4"
	case unix.XFS_SUPER_MAGIC:
		return "xfs"
	case unix.BTRFS_SUPER_MAGIC:
		return "btrfs"
	case unix.TMPFS_MAGIC:
		return "tmpfs"
	case unix.OVERLAYFS_SUPER_MAGIC:
		return "overlayfs"
	case unix.NFS_SUPER_MAGIC:
		return "nfs"
	case unix.F2FS_SUPER_MAGIC:
		return "f2fs"
	case 0x2fc12fc1:
		return "zfs"
	}
	return ""
}

// Space returns how many bytes a directory's file system has to give, or -1.
func Space(dir string) int64 {
	var s unix.Statfs_t
	if unix.Statfs(dir, &s) != nil {
		return -1
	}
	return int64(min(s.Bavail, math.MaxInt64/uint64(max(1, s.Bsize)))) * int64(s.Bsize)
}

// settle has the file system of a directory note on the disk what has been
// removed from it, so that its space is free. What is to be written to files is
// theirs: a sync of the whole file system would wait for what others write.
func settle(dir string) {
	f, err := os.Open(dir)
	if err != nil {
		return
	}
	defer f.Close()
	_ = f.Sync() // without it figures are worse, not wrong
}

// leash lets a child end with the process that starts it, however that ends.
func leash(child *exec.Cmd) { child.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL} }

// processor returns the name of the first processor.
func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range bytes.Lines(text) {
		if name, value, ok := bytes.Cut(line, []byte(":")); ok && string(bytes.TrimSpace(name)) == "model name" {
			return string(bytes.TrimSpace(value))
		}
	}
	return ""
}

func system() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	return "Linux " + unix.ByteSliceToString(u.Release[:])
}

// ticks returns the time that the processors have been busy and that the host
// has kept from them, in seconds, or false.
func ticks() (busy, stolen float64, ok bool) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0, false
	}
	line, _, _ := strings.Cut(string(text), "\n")
	words := strings.Fields(line)
	if len(words) < 9 || words[0] != "cpu" {
		return 0, 0, false
	}
	var n [9]float64
	for i := 1; i < 9; i++ {
		if n[i], err = strconv.ParseFloat(words[i], 64); err != nil {
			return 0, 0, false
		}
	}
	const hertz = 100 // of USER_HZ, on every architecture that Go knows
	return (n[1] + n[2] + n[3] + n[6] + n[7]) / hertz, n[8] / hertz, true
}
