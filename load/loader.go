package load

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
)

// ErrBudget is the error of a tensor that is larger than the Budget.
var ErrBudget = errors.New("tensor is larger than the budget")

// A Loader reads tensors into memory. The zero Loader is ready for use: it
// reads each tensor into a slice of its own, which is the collector's to free.
// With an Arena that takes a third of the processor's time.
//
// Without a Budget, bytes in an Arena are valid until its Reset or Free. With
// a Budget they are valid until the body of the loop ends, unless the tensor
// is kept; see [Tensor.Keep]. Bytes in a map of [safetensors.Map] are valid
// until that file is closed, and all others stay valid.
type Loader struct {
	// Arena gives the memory, for tensors whose Request does not, and owns the
	// maps. Nil leaves the memory to Go, and then nothing can be mapped.
	Arena *Arena

	// Way is how files are read; [Auto] chooses. Data that is in no file of the
	// system is read by its ReadAt whatever the Way, and what is not in one piece
	// there is copied: such tensors, and those whose Request has memory, come by
	// Read or Direct.
	Way Way

	// MayMap lets [Auto] map files: the bytes of tensors will not be written
	// to, and nobody truncates the files while they are in use. See [Map].
	MayMap bool

	// Budget bounds the bytes that tensors take at one time, but for those
	// whose Request has memory and for maps, which take none. When it is spent,
	// reading waits for tensors to be released: a loop that keeps as much waits
	// for whoever releases it, or for its context. No tensor may be larger.
	// An Arena holds the Budget, and in the worst case as much again, when
	// what is kept leaves room only in pieces. 0 is no bound.
	Budget int64

	// Workers is how many read at the same time. 0 is as many as suit the
	// files and the machine.
	Workers int

	// Progress, if set, is called now and then with the bytes that were loaded
	// and those that will be, gaps and alignment not counted, from one
	// goroutine at a time and never after the loop.
	Progress func(done, total int64)

	sys *system // nil is the host
}

// Load reads what is requested and gives each tensor as soon as it is in
// memory, roughly in the order of the files and of the offsets in them. An
// error ends the loop: one of a request or of the Budget before anything is
// read, that of a read, of the context, or a [safetensors.ErrTruncated] of a
// file that has shrunk.
//
// Reading starts with the loop and goes on while its body runs, unless all is
// read at once because it is so little. When the loop
// is left nothing reads any more. A read that has begun is waited for; it is
// of 2 MiB at most.
func (l *Loader) Load(ctx context.Context, requests []Request) iter.Seq2[*Tensor, error] {
	return func(yield func(*Tensor, error) bool) {
		r, err := l.start(ctx, requests)
		if err != nil {
			yield(nil, err)
			return
		}
		defer r.finish()
		for range r.plan.count {
			t, err := r.wait()
			if err != nil {
				yield(nil, err)
				return
			}
			more := yield(t, nil)
			if !t.kept.Load() {
				t.Release()
			}
			if !more {
				return
			}
		}
	}
}

// start plans a run and starts its workers.
func (l *Loader) start(ctx context.Context, requests []Request) (*run, error) {
	if l.Way > Private {
		return nil, fmt.Errorf("load: there is no %s", l.Way)
	}
	if l.Way.maps() && l.Arena == nil {
		return nil, fmt.Errorf("load: way %s needs an Arena, to own the maps", l.Way)
	}
	r := &run{ctx: ctx, loader: l, sys: l.sys, budget: min(l.Budget, math.MaxInt64/2)}
	if r.sys == nil {
		r.sys = host()
	}
	limit := int64(extentSize)
	if r.budget > 0 {
		limit = min(limit, r.budget/4)
	}
	var err error
	lent := l.Way == Map || l.Way == Populate || l.Way == Auto && l.MayMap
	if r.plan, err = newPlan(requests, l.Arena == nil, lent, limit); err != nil {
		return nil, err
	}
	if r.budget > 0 {
		for _, e := range r.plan.extents {
			// What is larger than a quarter of the Budget stands alone.
			if e.cost() > 0 && e.end-e.begin > r.budget {
				return nil, fmt.Errorf("tensor %.200q: %w: %d bytes of %d", e.pieces[0].t.Name, ErrBudget, e.end-e.begin, r.budget)
			}
		}
	}
	if l.Arena != nil {
		if r.epoch, err = l.Arena.enter(r.sys); err != nil {
			return nil, err
		}
	}
	if err := r.prepare(); err != nil {
		r.leave()
		return nil, err
	}
	r.begin()
	return r, nil
}
