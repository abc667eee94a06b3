package load

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"sort"
	"sync"

	"github.com/tensmith/tensmith/safetensors"
)

const (
	// blockSize is the most that is read at a time: a huge page of memory, and
	// what the page cache keeps in one piece of a file that this module wrote.
	blockSize = hugePage

	// page is what memory and direct reads are aligned to. No disk has larger
	// blocks.
	page = 4096

	// wideGap is the widest gap between two tensors over which one read goes
	// rather than two. Wider than a page, it must also be small beside what is
	// needed.
	wideGap = 256 << 10

	// extentSize is the most that is read into one piece of memory, but for
	// larger tensors.
	extentSize = 1 << 30
)

// A piece is a request with its place in a file.
type piece struct {
	t          *Tensor     // nil when it has been read
	file       *file       // nil if data must be asked
	data       io.ReaderAt // of a piece without a file
	strided    *file       // of data that is in a file, but not in one piece
	begin, end int64       // in the file, or from 0 in data
	into       []byte      // memory of the caller's
	own        bool        // the memory is the piece's own, not part of an extent's
	left       int64       // bytes not yet read
}

// An extent is a range of a file, or of data that must be asked, that is read
// as one, and the pieces in it in the order of their offsets. Between two of
// them is at most a gap that is cheaper to read than to skip.
type extent struct {
	file       *file
	begin, end int64
	pieces     []*piece

	next  int64     // where the next chunk begins
	from  int64     // chunks are cut at multiples of blockSize from here
	taken int64     // bytes of the budget
	held  int       // pieces that have not been released
	mem   []byte    // begins at begin, rounded down to a page; nil if pieces have their own
	extra *region   // that mem is, if it is not of the ring
	once  sync.Once // gives the pieces memory of their own
}

// floor and ceil round to a page.
func floor(n int64) int64 { return n &^ (page - 1) }
func ceil(n int64) int64  { return (n + page - 1) &^ (page - 1) }

// footprint returns the bytes that the extent takes as one piece of memory,
// which keeps the alignment that its bytes have in the file.
func (e *extent) footprint() int64 { return ceil(e.end) - floor(e.begin) }

// align returns what the memory of the extent is aligned to. Of two workers
// that read into the same huge page of new memory, both make it ready and one
// in vain, so each block that is read is to be a huge page. That matters only
// once, so memory that is bounded is not spent on it.
func (e *extent) align(budget int64) int64 {
	if budget > 0 || e.footprint() < 2*hugePage {
		return page
	}
	return hugePage
}

// own tells that the pieces have memory of their own.
func (e *extent) own() bool { return e.pieces[0].own }

// cost returns what the extent takes of the budget.
func (e *extent) cost() (n int64) {
	if !e.own() {
		return e.footprint()
	}
	for _, p := range e.pieces {
		if p.into == nil {
			n += p.end - p.begin
		}
	}
	return n
}

// few is the size below which memory that has to be made ready costs more than
// reads that are not cut where the page cache is: see compact.
const few = 64 << 20

// compact has a small extent begin with a huge page of memory and be cut where
// those end, so that it takes as few of them as it can. A large one begins as
// far into a huge page as it does into a block of its file and is cut at blocks:
// from a disk, reads that are not take half as long again.
func (e *extent) compact(align int64) {
	if align == hugePage && e.footprint() < few {
		e.from = floor(e.begin)
	}
}

// shift returns where the memory of the extent begins in a huge page.
func (e *extent) shift() int64 { return (floor(e.begin) - e.from) & (hugePage - 1) }

// cut returns the next chunk of the extent, up to a multiple of blockSize.
func (e *extent) cut() (begin, end int64) {
	begin = e.next
	e.next = min(e.end, e.from+((begin-e.from)/blockSize+1)*blockSize)
	return begin, e.next
}

// overlapping returns the pieces that have bytes between two offsets.
func (e *extent) overlapping(begin, end int64) []*piece {
	i := sort.Search(len(e.pieces), func(i int) bool { return e.pieces[i].end > begin })
	j := i + sort.Search(len(e.pieces)-i, func(j int) bool { return e.pieces[i+j].begin >= end })
	return e.pieces[i:j]
}

// A plan is what is to be read.
type plan struct {
	count   int       // of tensors
	empty   []*Tensor // nothing is to be read of them
	extents []*extent
	files   []*file
	total   int64 // bytes of all tensors
}

// newPlan checks the requests. Pieces that are not given memory by the caller
// get their own if own is true, but for those that the caller has mapped if
// lent is. No extent is larger than limit, unless it is one tensor.
func newPlan(requests []Request, own, lent bool, limit int64) (*plan, error) {
	p := &plan{count: len(requests)}
	files := map[*safetensors.File]*file{}
	in := func(f *safetensors.File, begin, end int64) *file {
		if files[f] == nil {
			files[f] = &file{File: f, index: len(p.files), first: begin}
			if lent {
				files[f].mapped = f.Mapped()
				files[f].lent = files[f].mapped != nil
			}
			p.files = append(p.files, files[f])
		}
		files[f].first, files[f].last = min(files[f].first, begin), max(files[f].last, end)
		return files[f]
	}
	pieces := make([]piece, 0, len(requests))
	for i := range requests {
		r := &requests[i]
		size, err := r.size()
		if err != nil {
			return nil, err
		}
		// One by one: who keeps a tensor does not keep them all.
		t := &Tensor{Info: r.Info, Request: i, Way: Read, data: r.Into}
		if size == 0 {
			if t.data == nil {
				t.data = []byte{}
			}
			p.empty = append(p.empty, t)
			continue
		}
		if p.total += size; p.total < 0 {
			return nil, fmt.Errorf("tensor %.200q: %w: all together", r.Name, safetensors.ErrOverflow)
		}
		piece := piece{t: t, data: r.Data, end: size, into: r.Into, own: own || r.Into != nil, left: size}
		switch f, off, whole := r.place(); {
		case whole:
			piece.file, piece.begin, piece.end = in(f, off, off+size), off, off+size
			piece.own = r.Into != nil || own && !piece.file.lent
		case f != nil:
			piece.strided = in(f, off, off+size) // or further
			piece.strided.strided = true
		}
		pieces = append(pieces, piece)
	}
	sorted := make([]*piece, len(pieces))
	for i := range pieces {
		sorted[i] = &pieces[i]
	}
	// File by file, as the offsets rise; data that must be asked comes last,
	// as it was given.
	slices.SortStableFunc(sorted, func(a, b *piece) int {
		switch {
		case a.file == nil || b.file == nil:
			return cmp.Compare(order(a.file), order(b.file))
		case a.file != b.file:
			return cmp.Compare(a.file.index, b.file.index)
		}
		return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.end, b.end))
	})
	p.extents = extents(sorted, limit)
	return p, nil
}

func order(f *file) int {
	if f == nil {
		return 1
	}
	return 0
}

// extents groups sorted pieces. Pieces that overlap are never in the same
// extent: each tensor has memory of its own.
func extents(sorted []*piece, limit int64) (all []*extent) {
	var e *extent
	var needed int64
	for i, p := range sorted {
		if e == nil || p.file == nil || p.file != e.file || p.own != e.own() ||
			p.begin < e.end || p.end-e.begin > limit || !bridges(p.begin-e.end, needed, e.end-e.begin) {
			e = &extent{file: p.file, begin: p.begin, next: p.begin, pieces: sorted[i:i:i]}
			all = append(all, e)
			needed = 0
		}
		e.pieces = sorted[i-len(e.pieces) : i+1 : i+1]
		e.end = p.end
		needed += p.end - p.begin
		e.held++
	}
	return all
}

// bridges tells whether a gap is read rather than skipped, given how much of
// what was read so far was needed. Less than a page costs nothing; above that
// all gaps together stay below one part in twenty.
func bridges(gap, needed, read int64) bool {
	return gap < page || gap <= wideGap && (read-needed+gap)*20 <= needed
}
