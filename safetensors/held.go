package safetensors

import (
	"bytes"
	"io"
	"sort"
)

// find returns the index of the piece that holds the byte of the output file
// at offset off.
func find(off int64, pieces []source) int {
	return sort.Search(len(pieces), func(i int) bool { return pieces[i].end > off })
}

// maxParts is of how many parts in memory a write is made at once. Blocks of
// more, and smaller, parts are sooner copied.
const maxParts = 64

// held returns the bytes of the output file between two offsets where they lie
// in memory, in order, which saves copying them; nil where they do not, or in
// too many parts.
func held(parts [][]byte, from, to int64, pieces []source) [][]byte {
	for i := find(from, pieces); from < to; i++ {
		p := pieces[i].held(from, min(to, pieces[i].end))
		if p == nil || len(parts) == maxParts {
			return nil
		}
		parts, from = append(parts, p), from+int64(len(p))
	}
	return parts
}

// held returns the bytes between two offsets of the file, both in the piece,
// if they lie in memory.
func (s *source) held(from, to int64) []byte {
	data, ok := s.data.(*bytes.Reader)
	if !ok {
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

// mostlyHeld tells whether the pieces lie in memory, but for the header and
// little else, and in parts large enough that blocks of heldSize can be
// written from there.
func mostlyHeld(pieces []source) bool {
	others := int64(0)
	for i := range pieces {
		if _, ok := pieces[i].data.(*bytes.Reader); !ok {
			others += pieces[i].end - pieces[i].begin
		}
	}
	return fewHeld(int64(len(pieces)), others, pieces[len(pieces)-1].end-pieces[0].begin)
}

// fewHeld is mostlyHeld for n pieces of a size, of which others bytes do not lie
// in memory.
func fewHeld(n, others, size int64) bool { return n <= size/heldSize*maxParts && others <= blockSize }

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
