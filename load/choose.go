package load

import (
	"os"
	"runtime"

	"github.com/tensmith/tensmith/internal/memory"
	"github.com/tensmith/tensmith/safetensors"
)

// choose gives every file its way, and takes of the system what that needs.
// What the system refuses becomes Read.
func (r *run) choose() error {
	auto := chooser{l: r.loader, sys: r.sys, total: r.plan.total, single: r.single()}
	for _, f := range r.plan.files {
		f.sys, f.pageSize = r.sys, int64(os.Getpagesize())
		f.way = r.loader.Way
		switch {
		case f.way == Auto:
			f.way = auto.way(f)
		case f.way != Direct && f.way != Map && !auto.single:
			f.look(auto.total)
		}
		switch {
		case f.lent:
			if err := f.whole(); err != nil {
				return err
			}
			f.gather = true
		case f.way == Direct:
			err := f.control(func(fd int) (err error) {
				f.direct, err = r.sys.openDirect(fd)
				return err
			})
			if err != nil {
				f.way, f.asked = Read, false
			}
		case f.way.maps():
			if err := r.mapFile(f); err != nil {
				return err
			}
			// A page that is touched brings in megabytes around it, all of
			// which a slice with wide gaps may not need.
			f.gather = f.mapped != nil && f.strided && f.warm()
		}
		if f.way == Read {
			f.lookAhead()
		}
	}
	return nil
}

// mapFile maps a file, or makes its way Read. To touch the bytes of a file
// that has shrunk would be a fault, so that is looked for first.
func (r *run) mapFile(f *file) error {
	way := f.way
	f.way = Read
	if f.Size() != int64(int(f.Size())) {
		return nil
	}
	var mapped []byte
	err := f.control(func(fd int) (err error) {
		mapped, err = r.sys.mapFile(fd, int(f.Size()), way == Private)
		return err
	})
	if err != nil {
		return nil
	}
	if err := f.whole(); err != nil {
		r.sys.munmap(mapped)
		return err
	}
	if way != Map && f.cold() {
		f.sys.hugePages(mapped) // see lookAhead
	}
	f.way, f.mapped = way, mapped
	r.loader.Arena.own(mapped)
	return nil
}

// whole looks whether the file is still as long as it was.
func (f *file) whole() error {
	err := f.readAt(make([]byte, 1), f.Size()-1)
	if format, ok := err.(*safetensors.FormatError); ok {
		format.Offset = -1 // nothing was asked of it there
	}
	return err
}

// width returns how many workers the run takes.
func (r *run) width() int {
	var bytes int64
	for _, e := range r.plan.extents {
		bytes += e.end - e.begin
	}
	n := r.loader.Workers
	if n <= 0 {
		n = min(runtime.GOMAXPROCS(0), 16)
		for _, f := range r.plan.files {
			switch {
			case f.network:
				n = max(n, 16)
			case f.way == Direct && !f.asked, f.way != Map && f.missing > (f.last-f.first)/8:
				n = max(n, 8) // a disk wants so many, however few processors there are
			}
		}
	}
	return int(min(int64(n), (bytes+blockSize-1)/blockSize+1))
}

// A chooser is [Auto].
type chooser struct {
	l      *Loader
	sys    *system
	total  int64 // bytes to load
	single bool  // with one read

	asked     bool
	available int64 // bytes of memory
}

func (c *chooser) way(f *file) Way {
	switch {
	case f.lent && c.over():
		return Map
	case f.lent:
		return Populate
	}
	mayMap := c.l.MayMap && c.l.Arena != nil
	if c.single && !mayMap {
		return Read // whatever the file is
	}
	if f.look(c.total); !f.local {
		return Read
	}
	switch {
	case mayMap && !(f.cold() && c.over()):
		return Populate
	case mayMap && c.l.Budget == 0:
		return Map // no other way has room for it
	case f.missing == 0:
		return Read
	case f.stacked && !f.cold():
		return Read // it cannot be known what is missing
	}
	// What the page cache has is taken from it, chunk by chunk.
	f.asked = f.missing < f.last-f.first
	return Direct
}

// over tells whether what is loaded, and as much of the page cache as reading
// it would fill, is more than the memory that is free.
func (c *chooser) over() bool {
	if !c.asked {
		c.asked, c.available = true, memory.Available(c.sys.root)
	}
	owned := c.total
	if c.l.Budget > 0 {
		owned = min(owned, c.l.Budget)
	}
	return c.available >= 0 && c.total > c.available-owned
}
