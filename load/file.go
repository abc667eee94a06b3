package load

import (
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"sync/atomic"
	"syscall"

	"github.com/tensmith/tensmith/safetensors"
)

// A file is a file that pieces of a plan lie in.
type file struct {
	*safetensors.File
	index       int
	first, last int64 // offsets between which bytes are to be read

	sys     *system
	way     Way
	direct  *os.File    // past the page cache
	mapped  []byte      // all of it
	lent    bool        // the map is the caller's
	strided bool        // slices that are not in one piece are wanted
	gather  bool        // they are copied from the map
	refused atomic.Bool // the system has refused what the way takes

	// What was found out when the way was chosen.
	pageSize       int64
	network, local bool
	stacked        bool  // on a file system whose files are those of others
	missing        int64 // bytes from first to last that are known not to be in the page cache
	asked          bool  // chunks in the page cache are read from there, though the way is Direct

	ahead []byte // a map of all of it, for bring
	ours  bool   // which is to be removed
}

// control calls f with the descriptor of the file, if it has one.
func (f *file) control(do func(fd int) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	return control(conn, do)
}

func control(conn syscall.RawConn, do func(fd int) error) error {
	var failed error
	if err := conn.Control(func(fd uintptr) { failed = do(int(fd)) }); err != nil {
		return err
	}
	return failed
}

// taken returns the way that bytes come by, after what was refused.
func (f *file) taken() Way {
	switch {
	case !f.refused.Load():
		return f.way
	case f.way == Populate:
		return Map
	case f.way == Private:
		return Private // whose pages are read as they are touched
	}
	return Read
}

// readAt reads as much as p has room for, or says at which byte the file
// ended.
func (f *file) readAt(p []byte, off int64) error {
	var n int
	var err error
	if mapped := f.Mapped(); mapped != nil {
		// To read is to touch a map of the caller's.
		if !touching(func() { n = copy(p, mapped[off:]) }) {
			// The second time page by page, to know where it ends.
			touching(func() {
				for n < len(p) {
					at := off + int64(n)
					n += copy(p[n:], mapped[at:min(floor(at)+page, int64(len(mapped)))])
				}
			})
		}
	} else {
		n, err = f.ReadAt(p, off)
	}
	if n == len(p) {
		return nil
	}
	if err == nil || err == io.EOF {
		return &safetensors.FormatError{File: f.Name(), Offset: off + int64(n), Err: safetensors.ErrTruncated,
			Detail: fmt.Sprintf("the file has shrunk since it was opened with %d bytes", f.Size())}
	}
	return err
}

// past tells whether the bytes between two offsets are read past the page
// cache.
func (f *file) past(begin, end int64) bool {
	return f.way == Direct && !f.refused.Load() && !(f.asked && f.has(begin, end))
}

// readAligned reads the bytes between two offsets into p, which begins and
// ends with the pages that hold them, past the page cache if that is wanted.
func (f *file) readAligned(p []byte, begin, end int64, past bool) error {
	lo := floor(begin)
	if past {
		n, err := f.sys.pread(f.direct, p, lo)
		switch {
		case err == nil && int64(n) >= end-lo:
			return nil
		case err == nil:
			// The last block of a file is short; the plain way knows whether it
			// is too short. What it reads again is at most a block.
			begin = max(begin, floor(lo+int64(max(n, 0))))
		default:
			f.refused.Store(true)
		}
	}
	return f.readAt(p[begin-lo:end-lo], begin)
}

// touching calls do, which touches a map and nothing else. If that is a fault,
// since the file has shrunk or its disk fails, it returns false.
func touching(do func()) (ok bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if e := recover(); e != nil {
			if _, fault := e.(interface{ Addr() uintptr }); !fault {
				panic(e)
			}
		}
	}()
	do()
	return true
}

func (f *file) close() {
	if f.ours {
		f.sys.munmap(f.ahead)
	}
	if f.direct != nil {
		f.direct.Close()
	}
}
