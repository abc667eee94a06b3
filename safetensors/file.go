package safetensors

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"os"
	"syscall"
)

// A File is one open safetensors file, whose header has been checked in
// full. Its methods, but for Close, are safe for concurrent use.
type File struct {
	r      io.ReaderAt
	h      *header
	size   int64
	memory *mapping // the whole file, if Map opened it
	close  func() error
	name   string
}

// Open opens the named file for reading at offsets. Data is read when a
// tensor's method asks for it, into memory of the caller's: what happens to
// the file meanwhile can give an error, never a fault. See [Map] for the
// other way.
func Open(name string) (*File, error) {
	// Opening a pipe waits for its writer, so a look comes first.
	if err := regular(os.Stat(name)); err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	return openFile(f, name)
}

// regular returns why a file cannot be read at offsets, given its Stat.
func regular(info fs.FileInfo, err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	switch {
	case err != nil:
		return err
	case info.IsDir():
		return errors.New("is a directory")
	case !info.Mode().IsRegular():
		return fmt.Errorf("not a regular file (%s)", info.Mode().Type())
	}
	return nil
}

// openFile makes a File of f, which it closes if there is none to be made.
func openFile(f fs.File, name string) (*File, error) {
	var first *FormatError
	file, err := checkFile(f, name, firstError(&first))
	if first != nil {
		return nil, first
	}
	return file, err
}

// checkFile is Check for an opened file.
func checkFile(f fs.File, name string, report func(*FormatError) bool) (*File, error) {
	file, err := func() (*File, error) {
		r, size, err := readerAt(f)
		if err != nil {
			return nil, err
		}
		return Check(r, size, func(e *FormatError) bool { e.File = name; return report(e) })
	}()
	switch {
	case err != nil:
		f.Close()
		return nil, &fs.PathError{Op: "read", Path: name, Err: err}
	case file == nil:
		return nil, f.Close()
	}
	file.name, file.close = name, f.Close
	return file, nil
}

// firstError returns a report that stops at the first error and keeps it.
func firstError(first **FormatError) func(*FormatError) bool {
	return func(e *FormatError) bool {
		if !e.isNote() {
			*first = e
		}
		return *first == nil
	}
}

// Map opens the named file and maps it into memory, so that [Tensor.Bytes]
// costs nothing and pages are read as they are touched.
//
// The hazards are those of any mapping. If the file is truncated, or lies on
// a network file system that fails, while it is mapped, touching its bytes
// ends the program with a fault that Go cannot recover from; if it is
// written to, the bytes change. No slice from [Tensor.Bytes] may be used
// after Close, which does not wait for methods that are under way; those that
// are called after it return an error. On Windows the file cannot be replaced while it is mapped. On
// systems that cannot map, Map is [Open].
func Map(name string) (*File, error) {
	if err := regular(os.Stat(name)); err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() // the mapping outlives its descriptor
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() == 0 || info.Size() != int64(int(info.Size())) {
		return Open(name) // which says what is wrong, or works by itself
	}
	mapped, unmap, err := mapFile(f, int(info.Size()))
	if err != nil {
		return Open(name)
	}
	memory := &mapping{bytes: mapped, name: name}
	file, err := NewFile(memory, info.Size())
	if err != nil {
		unmap()
		if format, ok := errors.AsType[*FormatError](err); ok {
			format.File = name
		}
		return nil, err
	}
	memory.unmap = unmap
	file.name, file.close, file.memory = name, memory.Close, memory
	return file, nil
}

// OpenFS opens a file of fsys. If the file system's files are no
// [io.ReaderAt], as those of a zip archive are not, the whole file is read
// into memory.
func OpenFS(fsys fs.FS, name string) (*File, error) {
	if err := regular(fs.Stat(fsys, name)); err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	return openFile(f, name)
}

// readerAt returns a way to read f at offsets.
func readerAt(f fs.File) (io.ReaderAt, int64, error) {
	info, err := f.Stat()
	if err := regular(info, err); err != nil {
		return nil, 0, err
	}
	if r, ok := f.(io.ReaderAt); ok {
		return r, info.Size(), nil
	}
	data, err := io.ReadAll(f)
	return bytes.NewReader(data), int64(len(data)), err
}

// NewFile reads the header of the size bytes of r. It accepts exactly the
// files that the reference implementation accepts, except where that takes,
// by accident, what the format's specification forbids: see the package's
// documentation. A file it refuses gives a [*FormatError]; a read that fails
// gives the reader's error.
func NewFile(r io.ReaderAt, size int64) (*File, error) {
	var first *FormatError
	f, err := Check(r, size, firstError(&first))
	if first != nil {
		return nil, first
	}
	return f, err
}

// Check reads like [NewFile] but reports every error it can find, and every
// Note, until report returns false; unknown fields make one Note, which
// counts them. The File is nil if there was an error, or if report has
// returned false. Check itself fails only if r does.
func Check(r io.ReaderAt, size int64, report func(*FormatError) bool) (*File, error) {
	if size < prefixLen {
		report(&FormatError{Offset: max(size, 0), Err: ErrTooShort, Detail: fmt.Sprintf("%d bytes", size)})
		return nil, nil
	}
	var prefix [prefixLen]byte
	if err := readFull(r, prefix[:], 0); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint64(prefix[:])
	if n > maxHeaderLen {
		report(&FormatError{Err: ErrHeaderTooLarge, Detail: fmt.Sprintf("%d, as the first 8 bytes %q have it", n, prefix[:])})
		return nil, nil
	}
	if int64(n) > size-prefixLen {
		report(&FormatError{Err: ErrHeaderTruncated, Detail: fmt.Sprintf("%d bytes of header, %d of file behind its length", n, size-prefixLen)})
		return nil, nil
	}
	text := make([]byte, n)
	if err := readFull(r, text, prefixLen); err != nil {
		return nil, err
	}
	h := parseHeader(text, uint64(size)-prefixLen-n, report)
	if h == nil {
		return nil, nil
	}
	return &File{r: r, h: h, size: size}, nil
}

func readFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF // shorter than its size
	}
	return err
}

// Close releases what Open, Map or OpenFS took. A file of NewFile needs none.
func (f *File) Close() error {
	if f.close == nil {
		return nil
	}
	return f.close()
}

// Name returns the name the file was opened by.
func (f *File) Name() string { return f.name }

// Size returns the size of the whole file in bytes.
func (f *File) Size() int64 { return f.size }

// ReadAt reads from offset off of the file, header included. It implements
// [io.ReaderAt].
func (f *File) ReadAt(p []byte, off int64) (int, error) { return f.r.ReadAt(p, off) }

// Mapped returns the memory of a file that [Map] opened, all of it, or nil. It
// is not to be written to, nor to be used after Close. After it Mapped returns
// nil.
func (f *File) Mapped() []byte {
	if f.memory == nil || f.memory.closed.Load() {
		return nil
	}
	return f.memory.bytes
}

// DataOffset returns the offset in bytes at which the header ends and the
// data of the first tensor begins.
func (f *File) DataOffset() int64 { return prefixLen + int64(len(f.h.text)) }

// Header returns a copy of the header's text, padding included.
func (f *File) Header() []byte { return bytes.Clone(f.h.text) }

// SyscallConn gives access to the system's file, for those who ask the system
// about it or read it another way. It implements [syscall.Conn]. If the file
// is not read from an [*os.File], as that of [Map] is not, the error is
// [errors.ErrUnsupported].
func (f *File) SyscallConn() (syscall.RawConn, error) {
	// Not any syscall.Conn: a type that embeds a file may read it differently.
	if file, ok := f.r.(*os.File); ok {
		return file.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}

// Metadata returns the strings of __metadata__ in a new map, or nil if the
// header has none.
func (f *File) Metadata() map[string]string {
	if f.h.meta.to == 0 || f.h.text[f.h.meta.from] != '{' {
		return nil
	}
	return maps.Collect(f.h.metadata)
}

// Len returns the number of tensors.
func (f *File) Len() int { return len(f.h.entries) }

// All returns the tensors in the order of their data. Those of one shape may
// share it, so it is not to be written to.
func (f *File) All() iter.Seq[*Tensor] {
	return func(yield func(*Tensor) bool) {
		var met shapes
		for i := range f.h.entries {
			if !yield(f.tensor(&f.h.entries[i], &met)) {
				return
			}
		}
	}
}

// Tensor returns the tensor called name. If there is none the error is an
// [ErrNotFound].
func (f *File) Tensor(name string) (*Tensor, error) {
	e := f.h.find(name)
	if e == nil {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, quote(name))
	}
	return f.tensor(e, nil), nil
}

func (f *File) tensor(e *entry, met *shapes) *Tensor {
	base := f.DataOffset()
	return &Tensor{Info: f.h.info(e, met), file: f, begin: base + int64(e.begin), end: base + int64(e.end)}
}
