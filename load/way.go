package load

import "fmt"

// A Way is how bytes of a file become bytes in memory.
type Way uint8

const (
	// Auto takes the way that fits the file and the machine; see the package's
	// documentation for how it chooses.
	Auto Way = iota

	// Read reads into memory at offsets, with several workers. It works with
	// everything, and what the system refuses of the other ways becomes it. A
	// cold file enters the page cache on the way, by large reads ahead of the
	// workers: the next load of it, by any program, is several times as fast, and
	// a map the more so, for the file lies there in huge pages.
	Read

	// Direct reads into memory past the page cache, which neither helps nor is
	// filled; but where [Auto] has chosen it, what the page cache has is taken
	// from there. Linux only.
	Direct

	// Map maps the file, so that its pages are read as they are touched. The
	// bytes are not to be written to. Linux only, but for files that
	// [safetensors.Map] has opened.
	Map

	// Populate maps the file like Map and reads its pages ahead, so that a
	// tensor that is handed over is in memory. Linux 5.14.
	Populate

	// Private is Populate whose bytes may be written to: a page that is written
	// to becomes the program's own, and the file does not change. Linux only.
	Private
)

var wayNames = [...]string{"auto", "read", "direct", "map", "populate", "private"}

func (w Way) String() string {
	if int(w) < len(wayNames) {
		return wayNames[w]
	}
	return fmt.Sprintf("Way(%d)", uint8(w))
}

func (w Way) maps() bool { return w >= Map }
