package scan

import "io"

// aheadSize is how much is read where small parts of a file are read one after
// the other: the headers and bytes of 100,000 small members of an archive. Where
// they turn out to be far apart, as the headers of large members are, it is
// firstAhead.
const (
	aheadSize  = 64 << 10
	firstAhead = 8 << 10
)

// An ahead is a file of which it reads ahead, if the last two short reads were
// next to each other. It is for one goroutine.
type ahead struct {
	r    io.ReaderAt
	buf  []byte
	base int64 // of buf[0] in the file
	last int64 // where the last read ended
}

// ReadAt implements io.ReaderAt.
func (a *ahead) ReadAt(p []byte, off int64) (int, error) {
	const short, near = 8 << 10, 4 << 10
	if i := off - a.base; i >= 0 && i <= int64(len(a.buf)) && int64(len(p)) <= int64(len(a.buf))-i {
		a.last = off + int64(len(p))
		return copy(p, a.buf[i:]), nil
	}
	follows := off >= a.last-near && off <= a.last+near && a.last > 0
	a.last = off + int64(len(p))
	if len(p) > short || !follows {
		return a.r.ReadAt(p, off)
	}
	size := firstAhead
	if end := a.base + int64(len(a.buf)); len(a.buf) > 0 && off >= end-near-short && off <= end+near {
		size = min(2*cap(a.buf), aheadSize) // what was read ahead was needed
	}
	if size > cap(a.buf) {
		a.buf = make([]byte, size)
	}
	n, err := a.r.ReadAt(a.buf[:size], off)
	a.base, a.buf = off, a.buf[:n]
	if n = copy(p, a.buf); n < len(p) {
		return n, err
	}
	return n, nil
}
