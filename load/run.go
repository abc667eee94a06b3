package load

import (
	"context"
	"fmt"
	"sync"

	"github.com/tensmith/tensmith/safetensors"
)

// A run is one load under way.
type run struct {
	ctx    context.Context
	loader *Loader
	sys    *system
	plan   *plan
	budget int64  // of the loader, no larger than sums of it can be
	epoch  uint64 // of the Arena

	workers sync.WaitGroup
	unwatch func() bool // of the context
	reader  *worker     // that reads when a tensor is asked for, if there are no workers

	mu      sync.Mutex
	room    sync.Cond // memory was released, or the run has failed
	ready   sync.Cond // a tensor is ready, or the run has failed
	failed  error
	next    int       // extent that is handed out
	ring    ring      // memory of tensors, in the Arena
	spent   int64     // bytes of the Budget that are not in the ring
	queue   []*Tensor // ready, and not yet given
	given   int       // of the queue
	out     int       // tensors given, and not released
	flying  int       // chunks being read
	waiting bool      // the loop waits for a tensor
	over    bool      // the loop has ended
	done    int64     // bytes loaded
	showing sync.Mutex
}

// prepare takes what the run needs of the system.
func (r *run) prepare() error {
	if err := r.choose(); err != nil {
		return err
	}
	return r.reserve()
}

// reserve takes the memory of all tensors, or of the Budget.
func (r *run) reserve() error {
	if r.loader.Arena == nil {
		return nil
	}
	var n int64
	for _, e := range r.plan.extents {
		if e.inArena() {
			align := e.align(r.budget)
			e.compact(align)
			if n += (e.shift()-n)&(align-1) + e.footprint(); n < 0 {
				return fmt.Errorf("arena: %w: all tensors together", safetensors.ErrOverflow)
			}
			if r.budget > 0 && n > r.budget {
				// A tensor as large as the Budget may begin and end within a page.
				n = min(n, ceil(r.budget)+2*page)
				break
			}
		}
	}
	if n == 0 {
		return nil
	}
	mem, err := r.loader.Arena.take(n)
	r.ring.mem = mem
	return err
}

// inArena tells that the bytes go to memory of the Arena.
func (e *extent) inArena() bool {
	return !e.own() && (e.file == nil || e.file.mapped == nil)
}

// lent tells that the bytes are in a map of the caller's.
func (e *extent) lent() bool { return e.file != nil && e.file.lent }

// begin starts the workers.
func (r *run) begin() {
	r.room.L, r.ready.L = &r.mu, &r.mu
	r.queue = append(make([]*Tensor, 0, r.plan.count), r.plan.empty...)
	if r.single() {
		r.reader, r.unwatch = &worker{r: r}, func() bool { return true }
		return
	}
	r.unwatch = context.AfterFunc(r.ctx, func() { r.fail(context.Cause(r.ctx)) })
	for range r.width() {
		r.workers.Go(r.work)
	}
}

// single tells that there is but one read to be made. To start a worker for it
// takes longer than it does.
func (r *run) single() bool {
	all := r.plan.extents
	return len(all) == 0 || len(all) == 1 && all[0].end-all[0].begin <= blockSize && r.budget == 0
}

// fail ends the run with its first error.
func (r *run) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed == nil {
		r.failed = err
	}
	r.room.Broadcast()
	r.ready.Broadcast()
}

// wait returns the next tensor.
func (r *run) wait() (*Tensor, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		if err := r.ctx.Err(); err != nil {
			return nil, context.Cause(r.ctx) // AfterFunc may be late
		}
		if r.failed != nil {
			return nil, r.failed
		}
		if r.given < len(r.queue) {
			t := r.queue[r.given]
			r.queue[r.given] = nil
			r.given++
			if t.run != nil {
				r.out++
			}
			return t, nil
		}
		if r.reader != nil {
			r.mu.Unlock()
			r.reader.step()
			r.mu.Lock()
			continue
		}
		r.waiting = true
		r.room.Broadcast() // see stalled
		r.ready.Wait()
		r.waiting = false
	}
}

// A chunk is what a worker reads at a time.
type chunk struct {
	e          *extent
	begin, end int64
}

// take returns the next chunk, when there is memory for it.
func (r *run) take() (c chunk, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		if r.failed != nil || r.next == len(r.plan.extents) {
			return c, false
		}
		e := r.plan.extents[r.next]
		if e.next > e.begin || r.allot(e) {
			r.flying++
			begin, end := e.cut()
			if e.next == e.end {
				r.next++
			}
			return chunk{e, begin, end}, true
		}
		if r.failed != nil {
			r.ready.Signal()
			return c, false
		}
		r.room.Wait()
	}
}

// allot gives an extent memory, unless the Budget does not allow it yet.
func (r *run) allot(e *extent) bool {
	switch {
	case e.inArena():
		mem, ok := r.ring.take(e, e.align(r.budget))
		if !ok && r.stalled(e) {
			e.extra, r.failed = r.loader.Arena.extra(e.footprint())
			if ok = r.failed == nil; ok {
				mem = e.extra.mem
				r.spent += e.footprint()
			}
		}
		if !ok {
			return false
		}
		e.mem = mem
	case e.own():
		e.taken = e.cost()
		if r.budget > 0 && e.taken > 0 && r.spent+e.taken > r.budget {
			return false
		}
		r.spent += e.taken
	}
	for _, p := range e.pieces {
		switch {
		case e.mem != nil:
			lo := floor(e.begin)
			p.t.data = e.mem[p.begin-lo : p.end-lo : p.end-lo]
		case !e.own(): // mapped
			p.t.data = e.file.mapped[p.begin:p.end:p.end]
		}
		if !e.own() && !e.lent() {
			p.t.arena, p.t.epoch = r.loader.Arena, r.epoch
		}
		if r.budget > 0 && (e.own() || e.mem != nil) {
			p.t.run, p.t.extent = r, e
		}
	}
	return true
}

// stalled tells that the ring has enough room for an extent, but in pieces,
// and will stay so: all that was read is with the loop, which waits for more
// while it keeps some.
func (r *run) stalled(e *extent) bool {
	return r.waiting && r.flying == 0 && r.given == len(r.queue) &&
		r.ring.used+r.spent+e.footprint() <= int64(len(r.ring.mem))
}

// release gives back the memory of an extent when all its tensors were
// released.
func (r *run) release(e *extent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.out--
	if e.held--; e.held > 0 {
		return
	}
	if e.extra != nil {
		r.spent -= e.footprint()
		r.loader.Arena.dismiss(e.extra, r.epoch)
		e.extra, e.mem = nil, nil
	}
	r.spent -= e.taken
	r.ring.free(e)
	r.room.Broadcast()
	r.giveBack()
}

// giveBack returns the ring to the Arena when nothing uses it any more.
func (r *run) giveBack() {
	unused := r.out == 0 && (r.budget > 0 || r.given == 0)
	if r.over && unused && r.ring.mem != nil {
		r.loader.Arena.give(r.ring.mem, r.epoch)
		r.ring.mem = nil
	}
}

// complete notes that a chunk was read, and queues the tensors that are.
func (r *run) complete(c chunk) {
	r.mu.Lock()
	var n int64
	for _, p := range c.e.overlapping(c.begin, c.end) {
		part := min(p.end, c.end) - max(p.begin, c.begin)
		n += part
		if p.left -= part; p.left > 0 {
			continue
		}
		if p.file != nil {
			if way := p.file.taken(); !p.own || !way.maps() {
				p.t.Way = way
			}
		}
		r.queue = append(r.queue, p.t)
		p.t = nil
	}
	r.done += n
	r.flying--
	r.ready.Signal()
	r.mu.Unlock()
	r.show()
}

// show calls Progress without keeping the others from work. The numbers only
// rise, since they are looked up when it is one's turn.
func (r *run) show() {
	progress := r.loader.Progress
	if progress == nil {
		return
	}
	r.showing.Lock()
	defer r.showing.Unlock()
	r.mu.Lock()
	done := r.done
	r.mu.Unlock()
	progress(done, r.plan.total)
}

// finish ends the run: no worker and no memory that nobody uses is left.
func (r *run) finish() {
	r.unwatch()
	r.fail(errStopped)
	r.workers.Wait()
	if r.reader != nil {
		r.reader.end()
	}
	r.mu.Lock()
	r.over = true
	r.giveBack()
	r.mu.Unlock()
	r.leave()
}

// leave closes what the run has opened.
func (r *run) leave() {
	for _, f := range r.plan.files {
		f.close()
	}
	if r.loader.Arena != nil {
		r.loader.Arena.leave()
	}
}
