package load

import (
	"errors"
	"math/rand/v2"
	"os"
)

// slight is the size of a load for which nothing is asked about the page cache:
// reading as the system does it is enough, and its neighbours may be wanted soon.
const slight = 8 << 20

// look finds out what kind of file system a file is on, and how much of what
// is wanted of it is not in the page cache, if all that is loaded is more than
// slight.
func (f *file) look(total int64) {
	var magic uint32
	err := f.control(func(fd int) (err error) {
		magic, err = f.sys.fileSystem(fd)
		return err
	})
	if err != nil {
		return
	}
	f.network, f.local, f.stacked = network[magic], local[magic], magic == overlay
	if f.local && total >= slight {
		if cached, err := f.cached(); err == nil {
			f.missing = max(0, f.last-f.first-cached)
		}
	}
}

// cold tells whether most of what is wanted of a file is known not to be in
// the page cache.
func (f *file) cold() bool { return f.missing > (f.last-f.first)/2 }

// warm tells whether most of it is known to be there.
func (f *file) warm() bool {
	cached, err := f.cached()
	return err == nil && cached >= (f.last-f.first)/2
}

// cached returns how many bytes of what is wanted of a file are in the page
// cache. The system may count them. If it does not, for it is old or the file is
// somebody else's, samples are looked at: it tells of the pages of a map, but
// says that all are there where it does not want to tell, and whether a byte
// can be read without waiting.
func (f *file) cached() (n int64, err error) {
	err = f.control(func(fd int) (err error) {
		if n, err = f.count(fd, f.first, f.last); err == nil {
			return nil
		}
		var share float64
		if share, err = f.sampled(fd); err != nil || share == 1 {
			if peeked, refused := f.peeked(fd, f.first, f.last, 32); refused == nil {
				share, err = peeked, nil
			}
		}
		n = int64(share * float64(f.last-f.first))
		return err
	})
	return n, err
}

// count has the system count. Of a file that lies in another file system than
// it seems to it finds nothing, for the pages are the other file's.
func (f *file) count(fd int, begin, end int64) (int64, error) {
	if f.stacked {
		return 0, errors.ErrUnsupported
	}
	return f.sys.cached(fd, begin, end-begin)
}

// sampled returns which share of the pages of samples is in the page cache.
func (f *file) sampled(fd int) (float64, error) {
	const samples, length = 64, 1 << 20
	if f.Size() != int64(int(f.Size())) {
		return 0, os.ErrInvalid
	}
	mapped, err := f.sys.mapFile(fd, int(f.Size()), false)
	if err != nil {
		return 0, err
	}
	defer f.sys.munmap(mapped)
	pages := make([]byte, length/f.pageSize+1)
	var in, seen int
	first := f.first &^ (f.pageSize - 1)
	step := max(length, (f.last-first)/samples&^(f.pageSize-1))
	for off := first; off < f.last; off += step {
		end := min(off+length, f.last)
		if err := f.sys.inCore(mapped[off:end], pages); err != nil {
			return 0, err
		}
		for _, p := range pages[:(end-off-1)/f.pageSize+1] {
			in += int(p & 1)
			seen++
		}
	}
	return float64(in) / float64(seen), nil
}

// peeked is sampled, of the bytes between two offsets, by reads of a byte that
// do not wait. Such a read may have the system read that page, which would be
// found cached the next time though nothing else is: the places are random.
func (f *file) peeked(fd int, begin, end, samples int64) (float64, error) {
	in := 0
	for i := range samples {
		part := max(1, (end-begin)/samples)
		off := min(begin+i*part+rand.Int64N(part), end-1)
		there, err := f.sys.peek(fd, off)
		if err != nil {
			return 0, err
		}
		if there {
			in++
		}
	}
	return float64(in) / float64(samples), nil
}

// has tells whether the page cache has most of the bytes between two offsets,
// or of the file if more is not to be known.
func (f *file) has(begin, end int64) (cached bool) {
	err := f.control(func(fd int) error {
		n, err := f.count(fd, begin, end)
		if cached = n > (end-begin)/2; err == nil {
			return nil
		}
		share, err := f.peeked(fd, begin, end, 2)
		cached = share == 1
		return err
	})
	return err == nil && cached || err != nil && !f.cold()
}

// lookAhead prepares for bring: a file that is cold gets a map that nobody
// touches, and a map of the caller's serves for itself.
func (f *file) lookAhead() {
	f.ahead = f.Mapped()
	if f.ahead != nil || !f.cold() || f.Size() != int64(int(f.Size())) {
		return
	}
	err := f.control(func(fd int) (err error) {
		f.ahead, err = f.sys.mapFile(fd, int(f.Size()), false)
		return err
	})
	if err == nil {
		// It is read by huge pages then, and stays in the page cache in pieces as
		// large: the next map of it is populated several times as fast.
		f.sys.hugePages(f.ahead)
		f.ours = true
	}
}

// bring has the system read the pages between two offsets into the page cache,
// all at once. The reads that it would make ahead of ours are fewer and smaller
// than a disk can take, and begin anew when several workers read in turns.
func (f *file) bring(begin, end int64) {
	if f.ahead == nil || f.refused.Load() {
		return
	}
	pages := f.ahead[begin&^(f.pageSize-1) : end]
	if f.sys.populate(pages) != nil {
		f.refused.Store(true) // if the file is at fault, reading it says so
		return
	}
	if f.ours {
		f.sys.forget(pages) // they need not count as this program's
	}
}
