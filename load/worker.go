package load

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/tensmith/tensmith/internal/memory"
	"github.com/tensmith/tensmith/safetensors"
)

// errStopped is the state of a run whose loop was left.
var errStopped = errors.New("the loop has ended")

// small is the size below which bytes for memory of a tensor's own are copied
// from a buffer, with their neighbours, rather than read by themselves.
const small = 128 << 10

// work reads chunks until there are no more.
func (r *run) work() {
	w := worker{r: r}
	defer w.end()
	for w.step() {
	}
}

// step reads a chunk. It returns false if there is none, or that failed.
func (w *worker) step() bool {
	c, ok := w.r.take()
	if !ok {
		return false
	}
	if err := w.read(c); err != nil {
		w.r.fail(c.e.name(err, c.begin))
		return false
	}
	w.r.complete(c)
	return true
}

// name adds the name of the tensor to an error of the bytes at offset off.
func (e *extent) name(err error, off int64) error {
	name := func(off int64) string {
		p := e.overlapping(off, off+1)
		if len(p) == 0 {
			p = e.pieces[:1]
		}
		return p[0].t.Name
	}
	if format, ok := err.(*safetensors.FormatError); ok {
		format.Tensor = name(max(off, format.Offset))
		return format
	}
	return fmt.Errorf("tensor %.200q: %w", name(off), err)
}

// A worker has a buffer, for what cannot be read to where it belongs.
type worker struct {
	r   *run
	buf []byte
}

// buffers are of blockSize and a page, aligned to a page.
var buffers = sync.Pool{New: func() any {
	b := aligned(make([]byte, blockSize+2*page), page)[:blockSize+page]
	return &b
}}

func (w *worker) buffer() []byte {
	if w.buf == nil {
		w.buf = *buffers.Get().(*[]byte)
	}
	return w.buf
}

func (w *worker) end() {
	if w.buf != nil {
		buffers.Put(&w.buf)
	}
}

// read reads a chunk.
func (w *worker) read(c chunk) error {
	e := c.e
	lo := floor(e.begin)
	if e.file != nil && e.file.way == Read {
		e.file.bring(c.begin, c.end)
	}
	switch {
	case e.own():
		e.once.Do(e.provide)
		if e.file != nil {
			return w.scatter(c)
		}
	case e.file != nil && e.file.mapped != nil:
		return w.populate(c)
	case e.file != nil:
		return e.file.readAligned(e.mem[floor(c.begin)-lo:ceil(c.end)-lo], c.begin, c.end, e.file.past(c.begin, c.end))
	}
	p := e.pieces[0]
	if p.strided != nil && p.strided.gather && gather(p.t.data[c.begin:c.end], p.data.(*safetensors.Slice), p.strided.mapped, c.begin) {
		return nil
	}
	n, err := p.data.ReadAt(p.t.data[c.begin:c.end], c.begin)
	if int64(n) < c.end-c.begin {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	return nil
}

// gather copies bytes of a slice from a map of its file. It reports false if
// that was a fault: then reading them is an error.
func gather(p []byte, s *safetensors.Slice, mapped []byte, off int64) bool {
	n := 0
	return touching(func() { n = s.Gather(p, mapped, off) }) && n == len(p)
}

// provide makes the memory of tensors that get their own from Go.
func (e *extent) provide() {
	for _, p := range e.pieces {
		if p.into == nil {
			p.t.data = memory.Unset(int(p.end - p.begin))
		}
	}
}

// scatter reads a chunk of tensors that have memory of their own.
func (w *worker) scatter(c chunk) error {
	f := c.e.file
	pieces := c.e.overlapping(c.begin, c.end)
	if f.past(c.begin, c.end) {
		return w.spread(c, pieces, true)
	}
	// Large parts are read to where they belong, and so is a small one between
	// two of them. Small neighbours are read to the buffer together.
	for len(pieces) > 0 {
		n := 0
		for n < len(pieces) && c.clip(pieces[n]).size() < small {
			n++
		}
		var err error
		if n > 1 {
			err = w.spread(chunk{c.e, c.clip(pieces[0]).begin, c.clip(pieces[n-1]).end}, pieces[:n], false)
		} else {
			n = 1
			p, part := pieces[0], c.clip(pieces[0])
			err = f.readAt(p.t.data[part.begin-p.begin:part.end-p.begin], part.begin)
		}
		if err != nil {
			return err
		}
		pieces = pieces[n:]
	}
	return nil
}

func (c chunk) size() int64 { return c.end - c.begin }

// clip returns the part of the chunk that is the piece's.
func (c chunk) clip(p *piece) chunk {
	return chunk{c.e, max(c.begin, p.begin), min(c.end, p.end)}
}

// spread reads a chunk to the buffer and copies it to where its parts belong.
func (w *worker) spread(c chunk, pieces []*piece, past bool) error {
	lo := floor(c.begin)
	buf := w.buffer()[:ceil(c.end)-lo]
	if err := c.e.file.readAligned(buf, c.begin, c.end, past); err != nil {
		return err
	}
	for _, p := range pieces {
		part := c.clip(p)
		copy(p.t.data[part.begin-p.begin:part.end-p.begin], buf[part.begin-lo:part.end-lo])
	}
	return nil
}

// populate reads the pages of a chunk of a map ahead, if the way asks for it.
func (w *worker) populate(c chunk) error {
	f := c.e.file
	if f.way == Map || f.refused.Load() {
		return nil
	}
	lo := floor(c.begin) &^ (f.pageSize - 1)
	if err := w.r.sys.populate(f.mapped[lo:c.end]); err == nil {
		return nil
	}
	// Either the system is too old, or touching these pages would be a fault:
	// then reading them is an error.
	f.refused.Store(true)
	return f.readAt(w.buffer()[:c.end-c.begin], c.begin)
}
