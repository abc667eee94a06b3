package load

import (
	"errors"
	"io/fs"
	"os"
)

// A system is what is asked of the operating system beyond reading files, all
// of which it may refuse.
type system struct {
	// allocate returns zeroed memory that is not Go's.
	allocate func(n int) ([]byte, error)

	// hugePages asks for memory to be in huge pages.
	hugePages func([]byte) error

	// mapFile maps the first n bytes of a file.
	mapFile func(fd, n int, private bool) ([]byte, error)

	// munmap gives back what allocate and mapFile returned.
	munmap func([]byte) error

	// populate reads the pages of a map ahead, whole pages of it.
	populate func([]byte) error

	// forget takes pages of a map from the program, and leaves them in the page
	// cache.
	forget func([]byte) error

	// openDirect opens a file again, for reading past the page cache.
	openDirect func(fd int) (*os.File, error)

	// pread reads once, and may read less.
	pread func(f *os.File, p []byte, off int64) (int, error)

	// fileSystem returns the number that says what file system a file is on.
	fileSystem func(fd int) (uint32, error)

	// cached returns how many of n bytes of a file are in the page cache.
	cached func(fd int, off, n int64) (int64, error)

	// inCore sets a byte for each page of a map whose lowest bit tells whether
	// the page is in the page cache.
	inCore func(mapped, pages []byte) error

	// peek tells whether a byte of a file can be read without waiting.
	peek func(fd int, off int64) (bool, error)

	root fs.FS // of the system's own files
}

// plain is a system that refuses everything.
func plain() *system {
	no := errors.ErrUnsupported
	return &system{
		allocate:   func(int) ([]byte, error) { return nil, no },
		hugePages:  func([]byte) error { return no },
		mapFile:    func(int, int, bool) ([]byte, error) { return nil, no },
		munmap:     func([]byte) error { return no },
		populate:   func([]byte) error { return no },
		forget:     func([]byte) error { return no },
		openDirect: func(int) (*os.File, error) { return nil, no },
		pread:      func(*os.File, []byte, int64) (int, error) { return 0, no },
		fileSystem: func(int) (uint32, error) { return 0, no },
		cached:     func(int, int64, int64) (int64, error) { return 0, no },
		inCore:     func([]byte, []byte) error { return no },
		peek:       func(int, int64) (bool, error) { return false, no },
	}
}
