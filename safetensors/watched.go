package safetensors

import (
	"cmp"
	"io"
	"runtime"
	"slices"
	"sync"
)

// A watcher is data that sees what of it is written; see [Entry].
type watcher interface {
	Written(p []byte, done func())
}

// watcher returns who watches the piece, or nil.
func (s *source) watcher() watcher {
	w, _ := s.data.(watcher)
	return w
}

// Watched pieces are written in order, and many at a time: who watches them
// computes a digest, which is a chain for one tensor, but not for several. What
// a watcher sees is read back from the file, in parts that stay in the cache,
// so that a few blocks are enough for all: a block each would be most of the
// memory that a conversion takes.
const (
	watchedStreams = 32 // half as many again for more than two workers
	watchedBlocks  = 2  // likewise
	watchedPart    = 128 << 10
)

// A job is pieces that are watched one after the other.
type job struct {
	pieces     []source
	begin, end int64 // in the file
	run        []source
}

// jobs cuts pieces into jobs: each large one, and neighbours of small ones. The
// run of a job is its pieces and those around it that can be read at offsets.
func jobs(pieces []source, streams int) []job {
	begin, end := pieces[0].begin, pieces[len(pieces)-1].end
	fair := (end - begin) / int64(streams)
	least := min(max(fair/8, blockSize), 8*blockSize)
	var all []job
	var run []source
	for len(pieces) > 0 {
		if len(run) == 0 || run[len(run)-1].end <= pieces[0].begin {
			n := slices.IndexFunc(pieces, func(s source) bool { return s.at == nil })
			if n < 0 {
				n = len(pieces)
			}
			run = pieces[:max(n, 1)]
		}
		// What can only stream has a job of its own.
		n := 1
		for n < len(pieces) && pieces[0].at != nil && pieces[n].at != nil && pieces[n-1].end-pieces[0].begin < least && pieces[n].end-pieces[n].begin < least {
			n++
		}
		all = append(all, job{pieces[:n], pieces[0].begin, pieces[n-1].end, run})
		pieces = pieces[n:]
	}
	// What would still be going on when all else is done begins first. The
	// others stay in order, so that neighbours are read and written together.
	long := func(j job) int64 {
		if size := j.end - j.begin; size > fair {
			return size
		}
		return 0
	}
	slices.SortStableFunc(all, func(a, b job) int { return cmp.Compare(long(b), long(a)) })
	return all
}

// watched writes pieces and shows each of them to its watcher.
func (o *output) watched(pieces []source) error {
	streams, blocks := watchedStreams, watchedBlocks
	if runtime.GOMAXPROCS(0) > 2 {
		streams, blocks = streams+streams/2, blocks+blocks/2
	}
	all := jobs(pieces, streams)
	workers := min(streams, len(all))
	take := func() (j job, ok bool) {
		if len(all) == 0 {
			return j, false
		}
		j, all = all[0], all[1:]
		return j, true
	}
	free := make(chan []byte, blocks)
	for range blocks {
		free <- nil
	}
	w := &watching{output: o, blocks: free, shared: make(map[int64]func() error)}
	return handOut(workers, take, func() func(job) error {
		part := make([]byte, min(watchedPart, pieces[len(pieces)-1].end))
		return func(j job) error { return w.do(j, part) }
	})
}

// A watching is an output whose pieces are watched.
type watching struct {
	*output
	blocks chan []byte // the free ones
	mu     sync.Mutex
	shared map[int64]func() error // by offset; writes a block that several jobs have a part in
}

// do writes a job in blocks.
func (w *watching) do(j job, part []byte) error {
	if j.pieces[0].at == nil {
		w.streaming.Lock() // what only streams has never been asked for more at a time
		defer w.streaming.Unlock()
		return w.stream(j.pieces)
	}
	pieces := j.pieces
	for off := j.begin; off < j.end; {
		if err := w.block(j, off/blockSize); err != nil {
			return err
		}
		for to := min(j.end, (off/blockSize+1)*blockSize); off < to; {
			end := min(to, off+int64(len(part)))
			if err := w.show(part[:end-off], off, pieces); err != nil {
				return err
			}
			off = end
			for len(pieces) > 0 && pieces[0].end <= off {
				pieces = pieces[1:]
			}
		}
	}
	return nil
}

// block sees to it that a block of the file is written, one that begins or
// ends within other jobs of the run by whoever comes first.
func (w *watching) block(j job, i int64) error {
	from := max(i*blockSize, j.run[0].begin)
	to := min((i+1)*blockSize, j.run[len(j.run)-1].end)
	if j.begin <= from && to <= j.end {
		return w.copyBlock(from, to, j.pieces)
	}
	w.mu.Lock()
	write, ok := w.shared[from]
	if !ok {
		write = sync.OnceValue(func() error { return w.copyBlock(from, to, j.run) })
		w.shared[from] = write
	}
	w.mu.Unlock()
	return write()
}

// copyBlock writes what is between two offsets of the file.
func (w *watching) copyBlock(from, to int64, pieces []source) error {
	block := <-w.blocks
	defer func() { w.blocks <- block }()
	if int64(len(block)) < to-from {
		block = make([]byte, to-from)
	}
	if err := fill(block[:to-from], from, pieces); err != nil {
		return err
	}
	w.turn.Lock()
	defer w.turn.Unlock()
	return w.writeAt(block[:to-from], from)
}

// show reads a part back from offset off on and shows it to the watchers.
func (w *watching) show(part []byte, off int64, pieces []source) error {
	if _, err := w.f.ReadAt(part, off); err != nil {
		return err
	}
	var seen sync.WaitGroup
	for to := off + int64(len(part)); len(pieces) > 0 && pieces[0].begin < to; pieces = pieces[1:] {
		s := &pieces[0]
		if watcher := s.watcher(); watcher != nil {
			seen.Add(1)
			watcher.Written(part[max(s.begin, off)-off:min(s.end, to)-off], seen.Done)
		}
	}
	seen.Wait()
	return nil
}

// A shower shows a watcher what is streamed.
type shower struct {
	w  io.Writer
	to watcher
}

func (s *shower) Write(p []byte) (int, error) {
	var seen sync.WaitGroup
	seen.Add(1)
	s.to.Written(p, seen.Done)
	defer seen.Wait()
	return s.w.Write(p)
}
