package load

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"
)

// An Arena is memory for tensors, outside of what the garbage collector knows
// and GOMEMLIMIT counts: it is asked of the system in one piece, in huge pages
// where those are granted, and used again and again. The zero Arena is empty
// and ready for use; it must not be copied. Its methods are safe for
// concurrent use.
//
// An Arena also owns the maps of files that were loaded by a way that maps.
//
// Free gives all of it back to the system. An Arena that becomes unreachable
// is freed as well, some time later, as a net for what was forgotten: slices
// of its memory do not keep it from that, but every [Tensor] does.
type Arena struct {
	epoch atomic.Uint64 // how often the memory was given back; a Tensor is of one epoch
	mu    sync.Mutex
	users int // loads under way
	mem   *holding
}

// A holding is what an Arena has taken from the system. It is not reachable
// from what it is to outlive.
type holding struct {
	sys     *system
	freed   bool
	regions []*region
	maps    [][]byte
}

// A region is memory that is taken from front to back.
type region struct {
	raw   []byte // as the system gave it; nil if it is Go's
	mem   []byte // aligned
	taken int64
}

const hugePage = 2 << 20

// enter counts a load that is under way, and returns its epoch.
func (a *Arena) enter(sys *system) (uint64, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.mem == nil {
		a.mem = &holding{sys: sys}
		runtime.AddCleanup(a, func(h *holding) { h.free() }, a.mem)
	}
	if a.mem.freed {
		return 0, fmt.Errorf("arena: %w", ErrFreed)
	}
	a.users++
	return a.epoch.Load(), nil
}

func (a *Arena) leave() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.users--
}

// take returns n bytes, a multiple of page, that begin at a page, and if it is
// more than one at a huge page.
func (a *Arena) take(n int64) ([]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range a.mem.regions {
		if b := r.take(n); b != nil {
			return b, nil
		}
	}
	// Regions too small for this and free of tensors would never be used
	// again.
	a.mem.drop(func(r *region) bool { return r.taken == 0 })
	r, err := a.mem.sys.region(n)
	if err != nil {
		return nil, err
	}
	a.mem.regions = append(a.mem.regions, r)
	return r.take(n), nil
}

// take returns nil if there is no room.
func (r *region) take(n int64) []byte {
	begin := r.taken
	if n > hugePage {
		begin = (begin + hugePage - 1) &^ (hugePage - 1)
	}
	if n > int64(len(r.mem))-begin {
		return nil
	}
	r.taken = begin + n
	return r.mem[begin:r.taken:r.taken]
}

// give takes back what take has returned last.
func (a *Arena) give(b []byte, epoch uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.epoch.Load() != epoch || len(b) == 0 {
		return
	}
	for _, r := range a.mem.regions {
		n := r.taken - int64(len(b))
		if n >= 0 && unsafe.SliceData(r.mem[n:]) == unsafe.SliceData(b) {
			r.taken = n
		}
	}
}

// extra returns a region of its own that no take takes from.
func (a *Arena) extra(n int64) (*region, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r, err := a.mem.sys.region(n)
	if err != nil {
		return nil, err
	}
	r.taken = int64(len(r.mem))
	a.mem.regions = append(a.mem.regions, r)
	return r, nil
}

// dismiss gives such a region back to the system.
func (a *Arena) dismiss(these *region, epoch uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.epoch.Load() == epoch {
		a.mem.drop(func(r *region) bool { return r == these })
	}
}

// own makes the arena the owner of a map.
func (a *Arena) own(mapped []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mem.maps = append(a.mem.maps, mapped)
}

// Held returns the bytes of memory that the Arena has taken from the system.
// Maps are not counted: their pages are the page cache's, but for those of
// [Private] ones that were written to.
func (a *Arena) Held() (n int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.mem != nil {
		for _, r := range a.mem.regions {
			n += int64(len(r.mem))
		}
	}
	return n
}

// Reset gives the memory of all tensors back to the Arena, for the next load,
// which is several times faster into memory that was used before. Maps are
// removed. Bytes of tensors that were loaded until now must not be used any
// more; [Tensor.Bytes] returns an [ErrFreed]. Reset fails while a load is
// under way.
func (a *Arena) Reset() error { return a.giveBack(false) }

// Free is like Reset but gives the memory back to the system. The Arena
// cannot be used any more: what needs it returns an [ErrFreed]. To free it
// again does nothing.
func (a *Arena) Free() error { return a.giveBack(true) }

func (a *Arena) giveBack(free bool) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.mem == nil {
		if free {
			a.mem = &holding{freed: true}
		}
		return nil
	}
	if a.users > 0 {
		return errors.New("arena: a load is under way")
	}
	a.epoch.Add(1)
	if !free {
		for _, r := range a.mem.regions {
			r.taken = 0
		}
		return a.mem.unmap()
	}
	return a.mem.free()
}

func (h *holding) unmap() error {
	var errs []error
	for _, m := range h.maps {
		errs = append(errs, h.sys.munmap(m))
	}
	h.maps = nil
	return errors.Join(errs...)
}

// drop gives regions back to the system.
func (h *holding) drop(these func(*region) bool) error {
	var errs []error
	keep := h.regions[:0]
	for _, r := range h.regions {
		switch {
		case !these(r):
			keep = append(keep, r)
		case r.raw != nil:
			errs = append(errs, h.sys.munmap(r.raw))
		}
	}
	clear(h.regions[len(keep):])
	h.regions = keep
	return errors.Join(errs...)
}

func (h *holding) free() error {
	if h.freed {
		return nil
	}
	h.freed = true
	return errors.Join(h.unmap(), h.drop(func(*region) bool { return true }))
}

// region takes memory from the system.
func (s *system) region(n int64) (*region, error) {
	if n > math.MaxInt-2*hugePage {
		return nil, fmt.Errorf("arena: %d bytes are more than fit an address space", n)
	}
	// A huge page costs as much as the small ones of a quarter of it. What is
	// less at the end stays in small ones, until there is use for the rest.
	huge := (n + hugePage - hugePage/4) &^ (hugePage - 1)
	if n = ceil(n); huge > 0 {
		n = (n + hugePage - 1) &^ (hugePage - 1)
	}
	raw, err := s.allocate(int(n + hugePage))
	switch {
	case err == nil:
		mem := aligned(raw, hugePage)[:n]
		if huge > 0 {
			s.hugePages(mem[:huge]) // or it is slower
		}
		return &region{raw: raw, mem: mem}, nil
	case outOfMemory(err):
		// Go would end the program.
		return nil, fmt.Errorf("arena: %d bytes: %w", n, err)
	}
	return &region{mem: aligned(make([]byte, n+page), page)[:n]}, nil
}

// aligned returns b from the first address on that is a multiple of n.
func aligned(b []byte, n uintptr) []byte {
	return b[-uintptr(address(b))&(n-1):]
}

func address(b []byte) int64 { return int64(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) }
