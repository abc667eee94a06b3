package safetensors

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
)

// WriteFile writes the entries to the named file like [Encoder.Encode]. The
// file appears whole or not at all: it is written beside its place, synced,
// and renamed. An existing file is replaced, though never written to, so that
// it may be the source of the entries; it keeps its mode, and a link keeps
// pointing to it. A new file has the mode that the umask leaves of 0666. What
// is no regular file, such as a pipe, is written to as it is.
func (e *Encoder) WriteFile(ctx context.Context, name string, entries []Entry) error {
	plan, err := e.plan(entries)
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = plan.prefix.WriteTo(f)
		if err == nil {
			err = plan.stream(ctx, f, e.Progress)
		}
		return errors.Join(err, f.Close())
	}
	f, err := createAtomic(name, e)
	if err != nil {
		return err
	}
	defer f.abort()
	if err := plan.write(ctx, f, e.Progress); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return f.commit()
}

// blockSize is where writes are cut. The page cache keeps a file in pieces as
// large as the writes that made it; later reads and maps of a file that was
// written in aligned blocks of this size are several times faster.
const blockSize = 2 << 20

// heldSize is how much is written at a time of what lies in memory already, by
// one worker: a file lets one write at a time in, and others would spin.
const heldSize = 4 * blockSize

// A source is a piece of the output file.
type source struct {
	data       io.WriterTo
	at         io.ReaderAt // nil if data can only stream
	begin, end int64       // in the file
	name       string
}

// source returns the piece of an entry, or false if there is nothing to write.
func (p *plan) source(e *Entry, begin, size int64) (source, bool) {
	prefix := p.prefix.Size()
	s := source{data: e.Data, begin: prefix + begin, end: prefix + begin + size, name: e.Name}
	if e.sourceSize() != unsized {
		s.at, _ = e.Data.(io.ReaderAt)
		return s, size > 0
	}
	return s, e.Data != nil
}

func (s *source) fail(err error) error {
	switch s.data.(type) {
	case *Tensor, *Slice:
		return err // which names the tensor
	}
	if s.name == "" {
		return err
	}
	return fmt.Errorf("tensor %s: %w", quote(s.name), err)
}

// writeTo streams the piece to w.
func (s *source) writeTo(w io.Writer) error {
	size := s.end - s.begin
	if to := s.watcher(); to != nil {
		w = &shower{w: w, to: to}
	}
	if s.at != nil {
		if _, err := copyAt(w, s.at, size); err != nil {
			return s.fail(err)
		}
		return nil
	}
	exact := &exactWriter{w: w, left: size}
	if _, err := s.data.WriteTo(exact); err != nil {
		return s.fail(err)
	}
	if exact.left > 0 {
		return s.fail(fmt.Errorf("%w: the data ends %d bytes early", ErrSize, exact.left))
	}
	return nil
}

// An exactWriter refuses what is more than it was told to expect.
type exactWriter struct {
	w    io.Writer
	left int64
}

func (w *exactWriter) Write(p []byte) (int, error) {
	if int64(len(p)) > w.left {
		return 0, fmt.Errorf("%w: there is more data than dtype and shape take", ErrSize)
	}
	n, err := w.w.Write(p)
	w.left -= int64(n)
	return n, err
}

// stream writes the data to w, piece by piece.
func (p *plan) stream(ctx context.Context, w io.Writer, progress func(int64)) error {
	counted := &progressWriter{ctx: ctx, w: w, progress: progress}
	return p.each(func(e *Entry, begin, size int64) error {
		if s, ok := p.source(e, begin, size); ok {
			return s.writeTo(counted)
		}
		return nil
	})
}

type progressWriter struct {
	ctx      context.Context
	w        io.Writer
	progress func(int64)
	n        int64
}

func (w *progressWriter) Write(p []byte) (int, error) {
	if w.ctx.Err() != nil {
		return 0, context.Cause(w.ctx)
	}
	n, err := w.w.Write(p)
	w.n += int64(n)
	if w.progress != nil {
		w.progress(w.n)
	}
	return n, err
}

// write writes the whole file to f.
func (p *plan) write(ctx context.Context, f *atomicFile, progress func(int64)) error {
	size := p.prefix.Size() + p.size
	if err := preallocate(f.File, size); err != nil {
		return err
	}
	out := &output{ctx: ctx, f: f.File, durable: !f.noSync, progress: progress, n: -p.prefix.Size()}
	v := p.survey()
	if v.watched {
		return out.watched(p.sources()) // which reads what it has written
	}
	out.direct = directTo(f.Name(), size, f.direct)
	defer out.direct.close()
	if v.streams {
		return out.write(p.sources())
	}
	return out.copy(pieces{plan: p, end: size, held: v.held, later: v.later})
}

// write writes the pieces of a file, in order.
func (o *output) write(all []source) error {
	for len(all) > 0 {
		// Pieces of one kind are taken together.
		n := 1
		for n < len(all) && (all[n].at == nil) == (all[0].at == nil) {
			n++
		}
		var err error
		if all[0].at != nil {
			err = o.copy(listed(all[:n]))
		} else {
			err = o.stream(all[:n])
		}
		if err != nil {
			return err
		}
		all = all[n:]
	}
	return nil
}

// An output is a file being written, in blocks.
type output struct {
	ctx       context.Context
	f         *os.File
	direct    *direct
	durable   bool
	turn      sync.Mutex // of many who write at once, for whom a system would spin
	streaming sync.Mutex
	mu        sync.Mutex
	progress  func(int64)
	n         int64 // of the data, so far
}

func (o *output) writeAt(p []byte, off int64) error {
	if err := o.ctx.Err(); err != nil {
		return context.Cause(o.ctx)
	}
	if _, err := o.f.WriteAt(p, off); err != nil {
		return err
	}
	o.written(off, len(p))
	return nil
}

// written takes note of bytes that the page cache has.
func (o *output) written(off int64, n int) {
	if o.durable && off%blockSize == 0 && n%blockSize == 0 {
		// Whole blocks alone: a page that is being written back is waited for by
		// whoever writes the rest of it.
		writeBack(o.f, off, int64(n))
	}
	o.count(n)
}

// count tells how much has been written.
func (o *output) count(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.n += int64(n)
	if o.progress != nil && o.n > 0 {
		o.progress(o.n)
	}
}

// copy writes pieces that can be read at offsets, with several workers.
func (o *output) copy(all pieces) error {
	begin, end := all.begin, all.end
	size, atOnce := int64(blockSize), min(runtime.GOMAXPROCS(0), 4)
	switch {
	case o.direct.usable():
		size, atOnce = directBlock, directWorkers
	case all.held:
		size, atOnce = heldSize, 1
	}
	first, last := begin/size, (end+size-1)/size
	workers := int(min(int64(atOnce), last-first))
	next, later := first, false
	take := func() (int64, bool) {
		for {
			if next == last {
				if later || len(all.later) == 0 {
					return 0, false
				}
				next, later = first, true
			}
			next++
			if all.isLater((next-1)*size, next*size) == later {
				return next - 1, true
			}
		}
	}
	memory, free := o.direct.memory(int64(workers) * size)
	defer free()
	return handOut(workers, take, func() func(int64) error {
		var buf []byte
		var parts [maxParts][]byte
		var pieces []source
		return func(block int64) error {
			from, to := max(begin, block*size), min(end, (block+1)*size)
			pieces = all.between(pieces, from, to)
			held := held(parts[:0], from, to, pieces)
			switch {
			case len(held) == 1 && (!o.direct.usable() || isAligned(held[0])):
				return o.writePast(held[0], from)
			case len(held) > 1 && !o.direct.usable():
				if done, err := o.gather(held, from); done {
					return err
				}
			}
			if buf == nil {
				buf = memory.take(min(size, end-begin))
			}
			p := buf[:to-from]
			if err := fill(p, from, pieces); err != nil {
				return err
			}
			return o.writePast(p, from)
		}
	})
}

// gather writes parts that lie in memory one behind the other, or tells that
// the system cannot.
func (o *output) gather(parts [][]byte, off int64) (done bool, err error) {
	if err := o.ctx.Err(); err != nil {
		return true, context.Cause(o.ctx)
	}
	n, err := writeParts(o.f, parts, off)
	if err != nil || n == 0 {
		return err != nil, err
	}
	o.written(off, n)
	return true, nil
}

// writePast writes past the page cache what can be written so, and the rest
// into it.
func (o *output) writePast(p []byte, off int64) error {
	if err := o.ctx.Err(); err != nil {
		return context.Cause(o.ctx)
	}
	if n := o.direct.write(p, off); n > 0 {
		o.count(n)
		p, off = p[n:], off+int64(n)
	}
	if len(p) == 0 {
		return nil
	}
	return o.writeAt(p, off)
}

// handOut gives what take returns to several workers until there is no more or
// one has failed, and returns the first failure. Each worker calls begin for
// the function that does its work.
func handOut[T any](workers int, take func() (T, bool), begin func() func(T) error) error {
	var mu sync.Mutex
	var failed error
	next := func() (item T, ok bool) {
		mu.Lock()
		defer mu.Unlock()
		if failed != nil {
			return item, false
		}
		return take()
	}
	parallel(workers, func(int) {
		do := begin()
		for item, ok := next(); ok; item, ok = next() {
			if err := do(item); err != nil {
				mu.Lock()
				if failed == nil { // the others say the same
					failed = err
				}
				mu.Unlock()
			}
		}
	})
	return failed
}

// stream writes pieces that can only be had in order.
func (o *output) stream(pieces []source) error {
	w := &blockWriter{o: o, off: pieces[0].begin, buf: make([]byte, 0, blockSize)}
	for i := range pieces {
		if err := pieces[i].writeTo(w); err != nil {
			return err
		}
	}
	return w.flush()
}

// A blockWriter gathers what is written into blocks cut at offsets of the
// file that are multiples of blockSize.
type blockWriter struct {
	o   *output
	off int64 // of buf
	buf []byte
}

func (w *blockWriter) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		room := blockSize - int(w.off%blockSize) - len(w.buf)
		part := p[:min(len(p), room)]
		w.buf = append(w.buf, part...)
		n, p = n+len(part), p[len(part):]
		if len(part) == room {
			if err := w.flush(); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

func (w *blockWriter) flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	err := w.o.writeAt(w.buf, w.off)
	w.off += int64(len(w.buf))
	w.buf = w.buf[:0]
	return err
}
