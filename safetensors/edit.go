package safetensors

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// rewriteAlign is where the data begins after an edit that had to move it, and
// rewriteSlack what the header then has to spare for later edits.
const (
	rewriteAlign = 4096
	rewriteSlack = 1024
)

// EditMetadata replaces the metadata of the named file, or removes it if
// metadata is nil. Nothing else of the header changes, and nothing of the
// data. If the new header fits the place of the old one it is written there,
// and inPlace is true; else the whole file is written anew, as
// [Encoder.WriteFile] would, with padding for later edits.
//
// An edit in place is one write, synced, of the header alone. A crash of the
// system in the middle of it can leave a header that is no JSON.
func EditMetadata(ctx context.Context, name string, metadata map[string]string) (inPlace bool, err error) {
	if err := regular(os.Stat(name)); err != nil {
		return false, &fs.PathError{Op: "edit", Path: name, Err: err}
	}
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return false, err
	}
	file, err := openFile(f, name)
	if err != nil {
		return false, err
	}
	defer file.Close() // what was written is synced, and its errors known
	text, err := file.h.edited(metadata)
	if err != nil {
		return false, err
	}
	if len(text) <= len(file.h.text) {
		if err := ctx.Err(); err != nil {
			return true, context.Cause(ctx)
		}
		text = pad(text, len(file.h.text))
		if _, err := f.WriteAt(text, prefixLen); err != nil {
			return true, err
		}
		return true, f.Sync()
	}

	out, err := createAtomic(name, &Encoder{})
	if err != nil {
		return false, err
	}
	defer out.abort()
	if err := file.rewritten(text, f).write(ctx, out, nil); err != nil {
		return false, fmt.Errorf("%s: %w", name, err)
	}
	if err := out.finish(); err != nil {
		return false, err
	}
	// Windows renames nothing to a name that is open.
	if err := file.Close(); err != nil {
		return false, err
	}
	return false, out.publish()
}

// WriteEdited writes a copy of f to the named file, with e's metadata in place
// of its own. As with [EditMetadata], nothing else of the header changes, and
// nothing of the data, its order and gaps included; the header keeps its
// length if the new one fits. Of e's other settings those about writing count,
// those about the header do not.
func (e *Encoder) WriteEdited(ctx context.Context, name string, f *File) error {
	text, err := f.h.edited(e.Metadata)
	if err != nil {
		return err
	}
	out, err := createAtomic(name, e)
	if err != nil {
		return err
	}
	defer out.abort()
	if err := f.rewritten(text, nil).write(ctx, out, e.Progress); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return out.commit()
}

// edited returns the header's text with other metadata and without padding.
func (h *header) edited(metadata map[string]string) ([]byte, error) {
	if err := checkMetadata(metadata); err != nil {
		return nil, err
	}
	text := h.splice(metadata)
	if len(text) > maxHeaderLen {
		return nil, fmt.Errorf("%w: header of %d bytes", ErrHeaderTooLarge, len(text))
	}
	return text, nil
}

// rewritten returns the plan of a file with another header, in the place of
// the old one if it fits there, else with padding for later edits. The file
// that is replaced, if any, is one that the page cache need not keep.
func (f *File) rewritten(text []byte, replaced *os.File) *plan {
	size := prefixLen + len(f.h.text)
	if len(text) > len(f.h.text) {
		size = prefixLen + len(text) + rewriteSlack
		size += (rewriteAlign - size%rewriteAlign) % rewriteAlign
		size = min(size, prefixLen+maxHeaderLen)
	}
	prefix := binary.LittleEndian.AppendUint64(make([]byte, 0, size), uint64(size-prefixLen))
	prefix = pad(append(prefix, text...), size)
	data := io.NewSectionReader(f.r, f.DataOffset(), f.size-f.DataOffset())
	return &plan{prefix: bytes.NewReader(prefix), size: data.Size(), groups: []group{{}, {begin: data.Size()}}, all: []Entry{{
		Info: Info{DType: U8, Shape: []uint64{uint64(data.Size())}}, Data: section{data, replaced, f.DataOffset()},
	}}}
}

// A section is the end of a file, as the data of an entry.
type section struct {
	*io.SectionReader
	replaced *os.File // by what is written, or nil
	begin    int64
}

func (s section) WriteTo(w io.Writer) (int64, error) { return copyAt(w, s, s.Size()) }

// ReadAt lets the page cache forget what was read a while ago. The system
// would do so when the file is replaced, in its own time, which is long for a
// large file; this way it does it while the disk is at work.
func (s section) ReadAt(p []byte, off int64) (int, error) {
	n, err := s.SectionReader.ReadAt(p, off)
	if s.replaced == nil {
		return n, err
	}
	const behind = directWorkers * directBlock // others may still read
	if end := (s.begin + off + int64(n) - behind) / blockSize * blockSize; end > 0 {
		begin := max(0, (s.begin+off-behind)/blockSize*blockSize)
		forget(s.replaced, begin, end-begin)
	}
	return n, err
}

// splice returns the header's text with other metadata and without padding.
// Whatever else it holds stays as it is spelled.
func (h *header) splice(metadata map[string]string) []byte {
	s := scanner{text: h.text}
	end := bytes.LastIndexByte(h.text, '}') + 1 // behind it the grammar lets only whitespace stand
	first := s.space(0) + 1                     // behind the brace
	from, to := h.metaKey.from, h.metaKey.to
	if to == 0 {
		from, to = first, first
	}
	text := append(make([]byte, 0, end+64), h.text[:from]...)
	next := s.space(to)
	switch {
	case metadata != nil:
		text = appendMetadata(text, metadata)
		if h.metaKey.to == 0 && h.text[next] != '}' {
			text = append(text, ',')
		}
	case h.metaKey.to == 0:
		// There was none.
	case h.text[next] == ',':
		to = next + 1
	case s.space(first) < from:
		// The last of several members takes the comma before it along.
		text = text[:bytes.LastIndexByte(text, ',')]
	}
	return append(text, h.text[to:end]...)
}

func pad(text []byte, size int) []byte {
	for len(text) < size {
		text = append(text, ' ')
	}
	return text
}
