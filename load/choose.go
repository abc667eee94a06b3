package load

import (
	"os"
	"runtime"

	"github.com/tensmith/tensmith/safetensors"
)

// choose gives every file its way, and takes of the system what that needs.
// What the system refuses becomes Read.
func (r *run) choose() error {
	auto := chooser{l: r.loader, sys: r.sys, total: r.plan.total}
	for _, f := range r.plan.files {
		f.sys, f.pageSize = r.sys, int64(os.Getpagesize())
		if f.way = r.loader.Way; f.way == Auto {
			f.way = auto.way(f)
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
				f.way = Read
			}
		case f.way.maps():
			if err := r.mapFile(f); err != nil {
				return err
			}
			// A page that is touched brings in megabytes around it, all of
			// which a slice with wide gaps may not need.
			f.gather = f.mapped != nil && f.strided && auto.warm(f)
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
			case f.way == Direct, f.cold && f.mapped == nil:
				n = max(n, 8)
			}
		}
	}
	return int(min(int64(n), (bytes+blockSize-1)/blockSize+1))
}

// A chooser is [Auto].
type chooser struct {
	l     *Loader
	sys   *system
	total int64 // bytes to load

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
	var magic uint32
	err := f.control(func(fd int) (err error) {
		magic, err = c.sys.fileSystem(fd)
		return err
	})
	if err != nil {
		return Read
	}
	if f.network = network[magic]; f.network || !local[magic] {
		return Read
	}
	cached, err := c.cached(f)
	f.cold = err == nil && cached < (f.last-f.first)/2
	over := f.cold && c.over()
	switch {
	case over && c.l.MayMap && c.l.Arena != nil && c.l.Budget == 0:
		return Map // no other way has room for it
	case over:
		return Direct
	case c.l.MayMap && c.l.Arena != nil:
		return Populate
	}
	return Read
}

// warm tells whether most of what is wanted of a file is known to be in the
// page cache.
func (c *chooser) warm(f *file) bool {
	cached, err := c.cached(f)
	return err == nil && cached >= (f.last-f.first)/2
}

// over tells whether what is loaded, and as much of the page cache as reading
// it would fill, is more than the memory that is free.
func (c *chooser) over() bool {
	if !c.asked {
		c.asked, c.available = true, available(c.sys.root)
	}
	memory := c.total
	if c.l.Budget > 0 {
		memory = min(memory, c.l.Budget)
	}
	return c.available >= 0 && c.total > c.available-memory
}

// cached returns how many bytes of what is wanted of a file are in the page
// cache.
func (c *chooser) cached(f *file) (n int64, err error) {
	err = f.control(func(fd int) (err error) {
		if n, err = c.sys.cached(fd, f.first, f.last-f.first); err == nil {
			return nil
		}
		n, err = c.sampled(fd, f)
		return err
	})
	return n, err
}

// sampled is cached for systems that cannot count: it looks at samples.
func (c *chooser) sampled(fd int, f *file) (int64, error) {
	const samples, length = 64, 1 << 20
	if f.Size() != int64(int(f.Size())) {
		return 0, os.ErrInvalid
	}
	mapped, err := c.sys.mapFile(fd, int(f.Size()), false)
	if err != nil {
		return 0, err
	}
	defer c.sys.munmap(mapped)
	pages := make([]byte, length/f.pageSize+1)
	var in, seen int64
	first := f.first &^ (f.pageSize - 1)
	step := max(length, (f.last-first)/samples&^(f.pageSize-1))
	for off := first; off < f.last; off += step {
		end := min(off+length, f.last)
		if err := c.sys.inCore(mapped[off:end], pages); err != nil {
			return 0, err
		}
		for _, p := range pages[:(end-off-1)/f.pageSize+1] {
			in += int64(p & 1)
			seen++
		}
	}
	return int64(float64(in) / float64(seen) * float64(f.last-f.first)), nil
}
