package torch

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"

	"github.com/tensmith/tensmith/pickle"
)

// A reader is the state of one Open: what was opened and found on the way.
type reader struct {
	fsys     fs.FS
	opts     Options
	closers  []io.Closer
	size     int64 // of all files opened, in bytes
	inflated int64 // written so far of what was compressed
	spill    spill
	space    workspace
	trace    trace
	notes    []Note
	left     []LeftOut
	bools    int64
	rawDepth int
	nested   int64           // bytes of checkpoints opened within pickles
	siblings map[string]span // files that a pickle names
}

func (r *reader) note(kind, tensor, other, text string) {
	r.notes = append(r.notes, Note{kind, tensor, other, text})
}

func (r *reader) close() error {
	var errs []error
	for i := len(r.closers) - 1; i >= 0; i-- {
		errs = append(errs, r.closers[i].Close())
	}
	r.closers = nil
	return errors.Join(errs...)
}

// open opens a file of the file system.
func (r *reader) open(name string) (span, error) {
	f, err := r.fsys.Open(name)
	if err != nil {
		return span{}, place{file: name, offset: -1}.wrap(err)
	}
	r.closers = append(r.closers, f)
	info, err := f.Stat()
	if err != nil {
		return span{}, place{file: name, offset: -1}.wrap(err)
	}
	r.size += info.Size()
	if at, ok := f.(io.ReaderAt); ok {
		return span{at, 0, info.Size()}, nil
	}
	s, err := r.keep(f, info.Size())
	if err != nil {
		return span{}, place{file: name, offset: -1}.wrap(err)
	}
	return s, nil
}

// A spill is one temporary file for all that had to be unpacked.
type spill struct {
	f   *os.File
	end int64
}

// small is the size up to which unpacked bytes stay in memory, and smallSum
// that of all of them.
const (
	small    = 64 << 10
	smallSum = 8 << 20
)

// keep stores what src gives, at most limit bytes of it and one more for the
// caller to see that there was more.
func (r *reader) keep(src io.Reader, limit int64) (span, error) {
	if limit <= small && r.inflated < smallSum {
		b, err := io.ReadAll(io.LimitReader(src, limit+1))
		r.inflated += int64(len(b))
		return memory(b), err
	}
	if r.spill.f == nil {
		f, err := os.CreateTemp(r.opts.TempDir, "tensmith-*")
		if err != nil {
			return span{}, err
		}
		r.spill.f = f
		// Without a name nothing is left behind, however the process ends. Not
		// every system takes the name of a file that is open.
		r.closers = append(r.closers, &temporary{File: f, named: os.Remove(f.Name()) != nil})
	}
	begin := r.spill.end
	w := bufio.NewWriterSize(io.NewOffsetWriter(r.spill.f, begin), 1<<18)
	n, err := io.Copy(w, io.LimitReader(src, limit+1))
	r.spill.end += n
	r.inflated += n
	if err != nil {
		return span{}, err
	}
	return span{r.spill.f, begin, n}, w.Flush()
}

// A temporary is a file that vanishes when closed.
type temporary struct {
	*os.File
	named bool
	once  sync.Once
}

func (t *temporary) Close() error {
	var err error
	t.once.Do(func() {
		if err = t.File.Close(); t.named {
			err = errors.Join(err, os.Remove(t.File.Name()))
		}
	})
	return err
}

// decode reads the pickle at off of src and tells where it ended. What it
// names goes to the trace, also if it breaks off.
func (r *reader) decode(src span, off int64, at place) (v pickle.Value, next int64, err error) {
	return r.decodeWith(src, off, at, nil)
}

// decodePacked is decode for a pickle of many tensors: see packedView. Shared
// tells what stands in several places; it may be nil.
func (r *reader) decodePacked(src span, off int64, at place) (v pickle.Value, next int64, shared func(pickle.Value) bool, err error) {
	before := r.trace.clone()
	p := &packer{}
	v, next, err = r.decodeWith(src, off, at, p)
	if p.getattr && p.count > 0 {
		// What getattr is used for is judged when all is decoded.
		r.trace = before
		v, next, err = r.decodeWith(src, off, at, nil)
		return v, next, nil, err
	}
	return v, next, p.shared, err
}

func (r *reader) decodeWith(src span, off int64, at place, p *packer) (v pickle.Value, next int64, err error) {
	d := pickle.NewDecoder(src, off, src.size)
	if p != nil {
		d.Pack, p.shared = p.pack, d.Shared
	}
	d.Limits.String = maxText
	// A tensor takes about 100 bytes of a pickle and 700 of memory.
	size := src.size - off
	d.Limits.Memory = 64<<20 + min(size, 1<<26)*11 + size
	watch := &watcher{trace: &r.trace, at: at}
	d.OnEvent = watch.event
	d.RawAfterBuild = func(o *pickle.Object, off int64) (int64, error) { return r.rawArray(o, src, off, at) }
	v, err = d.Decode()
	if p != nil {
		p.getattr = watch.getattr != nil
	}
	watch.finish(v, err)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, 0, at.at(off).wrap(err)
	}
	return v, d.Offset(), nil
}

// maxText is the length in bytes from which text and bytes of a pickle stay in
// the file. Arrays in plain pickles are such bytes, and there may be many.
const maxText = 8 << 10
