package safetensors

import (
	"os"
	"sync"
	"sync/atomic"
	"unsafe"
)

// Writes past the page cache come from memory, and go to offsets, that are
// multiples of directAlign, which no disk or file system of today exceeds. A
// disk wants several at a time, and larger ones than the page cache does.
const (
	directAlign   = 4096
	directBlock   = 4 << 20
	directWorkers = 8
)

// A direct is the way past the page cache to a file that is being written. Nil
// has none.
type direct struct {
	f       *os.File
	refused atomic.Bool
}

// directTo returns the way past the page cache to a file, or nil: for one that
// is to be written so, and one that would push most of what there is out of
// the page cache, and wait for the disk all the same.
func directTo(name string, size int64, wanted bool) *direct {
	if !wanted {
		const small = 256 << 20 // not worth the question
		if size < small {
			return nil
		}
		if room, ok := available(); !ok || size < room/2 {
			return nil
		}
	}
	f := openDirect(name)
	if f == nil {
		return nil
	}
	return &direct{f: f}
}

func (d *direct) close() {
	if d != nil {
		d.f.Close() // an error of a write has been seen, and the other handle is synced
	}
}

// usable tells whether the way is open.
func (d *direct) usable() bool { return d != nil && !d.refused.Load() }

// write writes as much of p as can be written so, and returns how much that
// is. What the system refuses it refuses for good: the rest of the file, and
// what is neither whole nor aligned, goes by way of the page cache. No page is
// written in both ways, for blocks and tensors that share one are not aligned.
func (d *direct) write(p []byte, off int64) int {
	whole := p[:len(p)&^(directAlign-1)]
	if !d.usable() || len(whole) == 0 || off%directAlign != 0 || !isAligned(p) {
		return 0
	}
	n, err := d.f.WriteAt(whole, off)
	if err != nil {
		d.refused.Store(true) // if it is the disk's error the other way has it, too
	}
	return n
}

func isAligned(p []byte) bool {
	return uintptr(unsafe.Pointer(unsafe.SliceData(p)))%directAlign == 0
}

// memory returns n bytes for the workers of an output, and a function that
// frees them. On the way past the page cache they come in huge pages where the
// system grants them: of others a disk takes only so many at once, and with
// them it is half as fast again.
func (d *direct) memory(n int64) (*blocks, func()) {
	if d.usable() {
		if p, free := hugeMemory(n); p != nil {
			return &blocks{left: p}, free
		}
	}
	return new(blocks), func() {}
}

// blocks is memory that workers share out.
type blocks struct {
	mu   sync.Mutex
	left []byte
}

// take returns n bytes of memory that a disk can be given.
func (b *blocks) take(n int64) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	if int64(len(b.left)) < n {
		return alignedBlock(n)
	}
	p := b.left[:n:n]
	b.left = b.left[(n+directAlign-1)&^(directAlign-1):]
	return p
}

// alignedBlock returns n bytes of memory that a disk can be given.
func alignedBlock(n int64) []byte {
	p := make([]byte, n+directAlign)
	skip := -uintptr(unsafe.Pointer(unsafe.SliceData(p))) % directAlign
	return p[skip : int64(skip)+n : int64(skip)+n]
}
