package scan

import (
	"errors"
	"io"
	"io/fs"
	"time"

	"github.com/tensmith/tensmith/convert/torch"
	"github.com/tensmith/tensmith/pickle"
)

// maxValidated is up to how many bytes of pickles the tensors of a checkpoint
// are put together, which takes several times the memory of reading them.
const maxValidated = 2 << 20

// check tells whether the tensors of a torch archive are to be put together: once
// its directory, which the importer reads for itself, is not needed any more.
func (z *zipFile) check(data blob, m *member) {
	if data.size <= maxValidated && z.d.name(m) == z.top+"data.pkl" && z.t.validates(z.at) {
		z.valid = true
	}
}

// validates tells whether what was read so far is worth it.
func (t *trace) validates(at place) bool {
	return !at.loose && !t.has(Error) && !t.has(Dangerous) && t.spent.unpack >= maxUnpack/2
}

// validate lets the importer put the tensors of a checkpoint together, for it
// compares every shape, stride and offset with the bytes that are there. It
// says nothing new about what runs.
func (t *trace) validate(b blob, at place) {
	f, err := torch.Open(lone{b}, "checkpoint", &torch.Options{ExtractOnly: true, Quantized: "parts", Sparse: "parts", Complex: "split", MaxInflated: 4 << 20})
	if err == nil {
		f.Close()
		return
	}
	e, ok := errors.AsType[*torch.Error](err)
	if !ok || !errors.Is(err, torch.ErrMalformed) && !errors.Is(err, torch.ErrLimit) {
		return
	}
	message := e.Detail
	if message == "" {
		message = e.Err.Error()
	}
	t.add(Finding{ID: "ST424", File: at.file, Offset: -1, Name: e.Reason, Tensor: e.Tensor, Message: "the tensors do not fit what is there: " + message})
}

// lone is a file system of one file.
type lone struct{ b blob }

func (o lone) Open(name string) (fs.File, error) {
	if name != "checkpoint" {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &loneFile{o.b, 0}, nil
}

type loneFile struct {
	b   blob
	off int64
}

func (f *loneFile) ReadAt(p []byte, off int64) (int, error) { return f.b.ReadAt(p, off) }

func (f *loneFile) Read(p []byte) (int, error) {
	n, err := f.b.ReadAt(p, f.off)
	f.off += int64(n)
	if n > 0 && err == io.EOF {
		err = nil
	}
	return n, err
}

func (f *loneFile) Close() error               { return nil }
func (f *loneFile) Stat() (fs.FileInfo, error) { return loneInfo{f.b.size}, nil }

type loneInfo struct{ size int64 }

func (i loneInfo) Name() string     { return "checkpoint" }
func (i loneInfo) Size() int64      { return i.size }
func (loneInfo) Mode() fs.FileMode  { return 0o444 }
func (loneInfo) ModTime() time.Time { return time.Time{} }
func (loneInfo) IsDir() bool        { return false }
func (loneInfo) Sys() any           { return nil }

// symbol returns a value that is an imported name, else nil.
func symbol(v pickle.Value) *pickle.Symbol {
	sym, _ := v.(*pickle.Symbol)
	return sym
}
