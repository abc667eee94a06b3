package safetensors

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sort"
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
	f, err := createAtomic(name)
	if err != nil {
		return err
	}
	defer f.abort()
	f.noSync = e.NoSync
	if err := plan.write(ctx, f.File, e.Progress); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return f.commit()
}

// An atomicFile is a file that takes its place when it is complete.
type atomicFile struct {
	*os.File
	target string
	noSync bool
	done   bool
}

func createAtomic(name string) (*atomicFile, error) {
	target := name
	for range 40 { // as many links as Linux follows
		link, err := os.Readlink(target)
		if err != nil {
			break
		}
		if !filepath.IsAbs(link) {
			link = filepath.Join(filepath.Dir(target), link)
		}
		target = link
	}
	dir, base := filepath.Split(target)
	var random [6]byte
	rand.Read(random[:])
	temp := filepath.Join(dir, "."+base[:min(len(base), 200)]+"."+hex.EncodeToString(random[:])+".tmp")
	f, err := os.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		// The name that the caller knows, not the temporary one.
		var path *fs.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		return nil, &fs.PathError{Op: "create", Path: name, Err: err}
	}
	if info, err := os.Stat(target); err == nil {
		f.Chmod(info.Mode().Perm()) // a mode that cannot be kept is no reason to fail
	}
	return &atomicFile{File: f, target: target}, nil
}

// commit makes the file durable and gives it its name.
func (f *atomicFile) commit() error {
	if err := f.finish(); err != nil {
		return err
	}
	return f.publish()
}

// finish completes the content and, unless it was told not to, makes it
// durable.
func (f *atomicFile) finish() error {
	var err error
	if !f.noSync {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// publish gives the file its name.
func (f *atomicFile) publish() error {
	if err := os.Rename(f.File.Name(), f.target); err != nil {
		return err
	}
	f.done = true
	if !f.noSync {
		syncDir(filepath.Dir(f.target))
	}
	return nil
}

// abort removes the file unless it has been published.
func (f *atomicFile) abort() {
	if !f.done {
		f.Close()
		os.Remove(f.File.Name())
	}
}

// syncDir makes a rename durable where directories can be synced.
func syncDir(name string) {
	d, err := os.Open(name)
	if err != nil {
		return // a directory may be writable and not readable
	}
	defer d.Close()
	// Not every system and file system can sync a directory, and the rename
	// is done: there is nothing to undo and nobody to blame.
	_ = d.Sync()
}

// blockSize is where writes are cut. The page cache keeps a file in pieces as
// large as the writes that made it; later reads and maps of a file that was
// written in aligned blocks of this size are several times faster.
const blockSize = 2 << 20

// A source is a piece of the output file.
type source struct {
	data       io.WriterTo
	at         io.ReaderAt // nil if data can only stream
	begin, end int64       // in the file
	name       string
}

// sources returns the pieces of the file, in order: the header, and then the
// data of the entries.
func (p *plan) sources() []source {
	all := append(make([]source, 0, min(len(p.all), 1024)+1), source{data: p.prefix, at: p.prefix, end: p.prefix.Size()})
	// Tensors that lie in a file as they are to lie here are one piece: a file
	// that is written again is copied, not read tensor by tensor.
	var run *Tensor
	p.each(func(e *Entry, begin, size int64) error {
		t, _ := e.Data.(*Tensor)
		if t != nil && run != nil && run.end == t.begin && run.file == t.file {
			run.end = t.end
			all[len(all)-1].end += size
			return nil
		}
		s, ok := p.source(e, begin, size)
		if !ok {
			return nil
		}
		if run = nil; t != nil {
			run = &Tensor{Info: t.Info, file: t.file, begin: t.begin, end: t.end}
			s.data, s.at = run, run
		}
		all = append(all, s)
		return nil
	})
	return all
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
func (p *plan) write(ctx context.Context, f *os.File, progress func(int64)) error {
	if err := preallocate(f, p.prefix.Size()+p.size); err != nil {
		return err
	}
	all := p.sources()
	out := &output{ctx: ctx, f: f, progress: progress, n: -p.prefix.Size()}
	if slices.ContainsFunc(all, func(s source) bool { return s.watcher() != nil }) {
		return out.watched(all)
	}
	for len(all) > 0 {
		// Pieces of one kind are taken together.
		n := 1
		for n < len(all) && (all[n].at == nil) == (all[0].at == nil) {
			n++
		}
		var err error
		if all[0].at != nil {
			err = out.copy(all[:n])
		} else {
			err = out.stream(all[:n])
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
	o.mu.Lock()
	defer o.mu.Unlock()
	o.n += int64(len(p))
	if o.progress != nil && o.n > 0 {
		o.progress(o.n)
	}
	return nil
}

// copy writes pieces that can be read at offsets, with several workers.
func (o *output) copy(pieces []source) error {
	begin, end := pieces[0].begin, pieces[len(pieces)-1].end
	first, last := begin/blockSize, (end+blockSize-1)/blockSize
	workers := int(min(int64(runtime.GOMAXPROCS(0)), 4, last-first))
	next := first
	take := func() (int64, bool) {
		next++
		return next - 1, next <= last
	}
	return handOut(workers, take, func() func(int64) error {
		var buf []byte
		return func(block int64) error {
			from, to := max(begin, block*blockSize), min(end, (block+1)*blockSize)
			p := held(from, to, pieces)
			if p == nil {
				if buf == nil {
					buf = make([]byte, min(blockSize, end-begin))
				}
				p = buf[:to-from]
				if err := fill(p, from, pieces); err != nil {
					return err
				}
			}
			return o.writeAt(p, from)
		}
	})
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

// find returns the index of the piece that holds the byte of the output file
// at offset off.
func find(off int64, pieces []source) int {
	return sort.Search(len(pieces), func(i int) bool { return pieces[i].end > off })
}

// held returns the bytes of the output file between two offsets where a piece
// has them all in memory, which saves copying them; nil where none does.
func held(from, to int64, pieces []source) []byte {
	s := &pieces[find(from, pieces)]
	data, ok := s.data.(*bytes.Reader)
	if !ok || to > s.end {
		return nil
	}
	// A bytes.Reader gives its bytes to who has them written. It moves
	// meanwhile, so a copy of it does that.
	reader := *data
	if _, err := reader.Seek(from-s.begin, io.SeekStart); err != nil {
		return nil
	}
	var bytes borrowed
	if _, err := reader.WriteTo(&bytes); err != nil || int64(len(bytes)) < to-from {
		return nil
	}
	return bytes[:to-from]
}

// borrowed is the bytes that were last written to it, not a copy of them.
type borrowed []byte

func (b *borrowed) Write(p []byte) (int, error) {
	*b = p
	return len(p), nil
}

// fill reads the bytes of the output file from offset off on into p.
func fill(p []byte, off int64, pieces []source) error {
	i := find(off, pieces)
	for ; len(p) > 0; i++ {
		s := &pieces[i]
		part := p[:min(int64(len(p)), s.end-off)]
		if n, err := s.at.ReadAt(part, off-s.begin); n < len(part) {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return s.fail(err)
		}
		p, off = p[len(part):], off+int64(len(part))
	}
	return nil
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
