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

// Watched pieces are read in order, and many at a time: who watches them
// computes a digest, which is a chain for one tensor, but not for several. That
// takes a buffer each, so that blocks are half as large as usual.
const (
	watchedBlock   = blockSize / 2
	watchedStreams = 16 // half as many again for more than two workers
)

// A job is pieces that are read one after the other.
type job struct {
	pieces     []source
	begin, end int64 // in the file
}

// jobs cuts pieces into jobs: each large one, and neighbours of small ones.
func jobs(pieces []source, streams int) []job {
	begin, end := pieces[0].begin, pieces[len(pieces)-1].end
	fair := (end - begin) / int64(streams)
	least := min(max(fair/8, blockSize), 8*blockSize)
	var all []job
	for len(pieces) > 0 {
		// What can only stream has a job of its own.
		n := 1
		for n < len(pieces) && pieces[0].at != nil && pieces[n].at != nil && pieces[n-1].end-pieces[0].begin < least && pieces[n].end-pieces[n].begin < least {
			n++
		}
		all = append(all, job{pieces[:n], pieces[0].begin, pieces[n-1].end})
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
	streams := watchedStreams
	if runtime.GOMAXPROCS(0) > 2 {
		streams += streams / 2
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
	return handOut(workers, take, func() func(job) error {
		var buf []byte
		return func(j job) error {
			if size := min(watchedBlock, j.end-j.begin); size > int64(len(buf)) {
				buf = make([]byte, size)
			}
			return o.do(j, buf)
		}
	})
}

// do writes a job in blocks.
func (o *output) do(j job, buf []byte) error {
	if j.pieces[0].at == nil {
		o.streaming.Lock() // what only streams has never been asked for more at a time
		defer o.streaming.Unlock()
		return o.stream(j.pieces)
	}
	var seen sync.WaitGroup // the parts of the buffer that are being watched
	defer seen.Wait()
	first := 0
	for off := j.begin; off < j.end; {
		to := min(j.end, (off/watchedBlock+1)*watchedBlock)
		part := buf[:to-off]
		if err := fill(part, off, j.pieces[first:]); err != nil {
			return err
		}
		for {
			s := &j.pieces[first]
			if w := s.watcher(); w != nil {
				seen.Add(1)
				w.Written(part[max(s.begin, off)-off:min(s.end, to)-off], seen.Done)
			}
			if s.end <= to {
				first++
			}
			if s.end >= to {
				break
			}
		}
		o.turn.Lock()
		err := o.writeAt(part, off)
		o.turn.Unlock()
		if err != nil {
			return err
		}
		seen.Wait()
		off = to
	}
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
