package digest

import (
	"cmp"
	"context"
	"crypto/sha256"
	"io"
	"runtime"
	"slices"
	"sync"
)

// A Source is a stream of a known size that is read when its turn comes.
type Source struct {
	Size int64 // bytes
	// Open returns what reads the stream from its beginning. It is closed once
	// Size bytes have been read, or something went wrong.
	Open func() (io.ReadCloser, error)
	// Done, if set, is called in any goroutine when the source has its sum, or
	// err says why it has none. The error that it returns ends all work.
	Done func(err error) error

	Sum [sha256.Size]byte // what [Each] has found
}

// done tells that a source was read, or what went wrong.
func (s *Source) done(err error) error {
	if s.Done != nil {
		return s.Done(err)
	}
	return err
}

const (
	// chunk is how many bytes of a source are read at once, at least: what a
	// worker reads of all its sources stays in a processor's own cache until it
	// is hashed. With few of them there is room for larger ones.
	chunk      = 64 << 10
	largeChunk = 256 << 10

	// share is how many bytes of a source are read before one that has more left
	// gets its turn.
	share = 1 << 20
)

// Each computes the sums of all sources, with so many workers, but no more than
// processors. Each of them reads what it hashes, of several sources side by
// side, so that nothing waits but for a disk. It returns the first error that is
// not left to [Source.Done], or the cause of the context's end.
//
// Read, if not nil, is told how many bytes were read, now and then, from one
// goroutine at a time.
//
// No more than [Lanes] sources for each worker are open at a time; what is read
// of them takes 1 MiB a worker at most.
func Each(ctx context.Context, sources []*Source, workers int, read func(n int64)) error {
	workers = max(1, min(workers, runtime.GOMAXPROCS(0), len(sources)))
	list := slices.Clone(sources)
	slices.SortStableFunc(list, func(a, b *Source) int { return cmp.Compare(b.Size, a.Size) })
	width, open := widthFor(list, workers)
	q := &queue{closed: list, free: open * workers, progress: read}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			if err := q.work(ctx, width); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		for _, o := range q.open {
			o.r.Close() // of what was not read to its end there is nothing to say
		}
		return err
	}
	return nil
}

// Progress returns what tells report how much of total bytes is done, as [Each]
// wants it; nil if report is.
func Progress(report func(done, total int64), total int64) (read func(n int64)) {
	if report == nil {
		return nil
	}
	done := int64(0)
	return func(n int64) {
		done += n
		report(done, total)
	}
}

// widthFor returns how many sources a worker hashes side by side, and how many
// it keeps open: enough for the longest, which is the first, to be done when all
// others are.
func widthFor(sources []*Source, workers int) (width, open int) {
	total := int64(0)
	for _, s := range sources {
		total += s.Size
	}
	if total == 0 {
		return 1, 1
	}
	all := (total-1)/sources[0].Size + 1
	open = int(min((all-1)/int64(workers)+1, Lanes))
	switch {
	case hasWide && (open > few || !hasPair):
		return open, open
	case hasPair:
		return min(open, 2), open
	}
	return 1, open
}

// A queue has the sources that no worker is reading.
type queue struct {
	mu     sync.Mutex
	closed []*Source // that have not been begun, the longest first
	open   []*opened // that have been
	free   int       // how many more may be opened

	telling  sync.Mutex
	progress func(n int64)
}

// tell says that n bytes were read.
func (q *queue) tell(n int) {
	if q.progress == nil || n == 0 {
		return
	}
	q.telling.Lock()
	defer q.telling.Unlock()
	q.progress(int64(n))
}

// An opened is a source that is being read.
type opened struct {
	*Source
	r      io.ReadCloser
	left   int64 // bytes that have not been read; 0 after an error
	err    error
	stream Stream
}

// end closes a source that was read.
func (o *opened) end() error {
	err := o.err
	if e := o.r.Close(); err == nil {
		err = e
	}
	if err == nil {
		o.Sum = o.stream.Sum()
	}
	return o.done(err)
}

// next returns the source that has the most left to be read, in exchange for
// one that may be nil or read to its end. It returns nil if there is none.
func (q *queue) next(last *opened) (*opened, error) {
	if last != nil && last.left == 0 {
		if err := last.end(); err != nil {
			return nil, err
		}
	}
	for {
		next, source := q.exchange(last)
		if source == nil {
			return next, nil
		}
		r, err := source.Open()
		if err == nil {
			return &opened{Source: source, r: r, left: source.Size}, nil
		}
		if err := source.done(err); err != nil {
			return nil, err
		}
		last = &opened{} // it has taken a place
	}
}

// exchange returns what was opened before, or a source to open, or nothing.
func (q *queue) exchange(last *opened) (*opened, *Source) {
	q.mu.Lock()
	defer q.mu.Unlock()
	most := last
	if last != nil && last.left == 0 {
		q.free++
		most = nil
	}
	at := -1
	for i, o := range q.open {
		if most == nil || o.left > most.left {
			most, at = o, i
		}
	}
	if len(q.closed) > 0 && q.free > 0 && (most == nil || q.closed[0].Size > most.left) {
		source := q.closed[0]
		q.closed = q.closed[1:]
		q.free--
		if last != nil && last.left > 0 {
			q.open = append(q.open, last)
		}
		return nil, source
	}
	switch {
	case at < 0:
	case last != nil && last.left > 0:
		q.open[at] = last
	default:
		q.open = slices.Delete(q.open, at, at+1)
	}
	return most, nil
}

// giveBack takes what a worker has not read to its end.
func (q *queue) giveBack(o *opened) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.open = append(q.open, o)
}

// A lane is where a worker reads a source.
type lane struct {
	*opened
	share int64 // bytes that it may still read
	buf   []byte
	idle  func() // has it read more
}

// read returns the next bytes, none after an error.
func (l *lane) read() []byte {
	p := l.buf[:min(int64(len(l.buf)), l.left)]
	n, err := io.ReadFull(l.r, p)
	l.left -= int64(n)
	l.share -= int64(n)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		l.err, l.left = err, 0
		return nil
	}
	return p
}

// work hashes sources, so many side by side, until there are no more.
func (q *queue) work(ctx context.Context, width int) error {
	lanes := make([]lane, width)
	defer func() {
		for _, l := range lanes {
			if l.opened != nil {
				q.giveBack(l.opened)
			}
		}
	}()
	size := chunk
	if width <= 2 {
		size = largeChunk
	}
	memory := make([]byte, width*size)
	var idle []*lane // those that have nothing to hash
	for i := range lanes {
		l := &lanes[i]
		l.buf = memory[i*size : (i+1)*size]
		l.idle = func() { idle = append(idle, l) }
		l.idle()
	}
	var t table
	for {
		for len(idle) > 0 {
			if err := context.Cause(ctx); err != nil {
				return err
			}
			l := idle[len(idle)-1]
			idle = idle[:len(idle)-1]
			if l.opened == nil || l.left == 0 || l.share <= 0 {
				last := l.opened
				l.opened = nil
				next, err := q.next(last)
				if err != nil {
					return err
				}
				if next == nil {
					continue // for good: others have the rest
				}
				l.opened, l.share = next, share
			}
			p := l.read()
			q.tell(len(p))
			t.add(piece{&l.stream, p, l.idle})
		}
		switch {
		case t.n == 0:
			return nil
		case t.n == 1:
			t.single()
		case hasWide && (t.n > few || !hasPair):
			t.step(wide, t.n)
		default:
			t.step(pair, 2)
		}
	}
}
