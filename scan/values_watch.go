package scan

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
)

// What is spent on places that begin like a file is counted in bytes read, and
// eachPlace for each. A model may take freePlaces and twice its size: random
// numbers take a hundredth of that, and the worst of those met, F8 quantised a second
// time, less than half (TestPlacesSpent).
const (
	freePlaces = 1 << 20
	eachPlace  = 32
)

// errPlaces ends a look into a place for which nothing is left.
var errPlaces = errors.New("too many places begin like a file")

// A placeReader reads what a place holds, as long as there is something left to
// spend.
type placeReader struct {
	io.ReaderAt
	w *valueWatch
}

func (r placeReader) ReadAt(p []byte, off int64) (int, error) {
	if !r.w.spend(len(p)) {
		return 0, errPlaces
	}
	return r.ReaderAt.ReadAt(p, off)
}

// A valueWatch is a tensor as a Source of a numeric.Scan, which reads every
// byte once; it looks at the bytes as they pass.
type valueWatch struct {
	s *valueScan
	t *valueTensor

	low  bool // its low bits are looked at
	kind lowKind

	unread atomic.Bool // not every place that begins like a file was looked into

	mu   sync.Mutex
	bits lowSpan
	hits map[hit]fileHit
}

// A hit is a rule and the way in which a file was hidden.
type hit struct{ id, how string }

// A fileHit is the first of the files that a hit stands for.
type fileHit struct {
	at     int64 // of the first, in bytes of the tensor
	what   string
	detail string
	n      int
}

func newValueWatch(s *valueScan, t *valueTensor) *valueWatch {
	w := &valueWatch{s: s, t: t, hits: map[hit]fileHit{}}
	w.kind, w.low = lowKindOf(t.DType)
	if w.kind.cast > 0 {
		w.bits = lowSpan{kind: w.kind, blocks: make([]lowBits, (t.Size()/int64(w.kind.width)+lowBlock-1)/lowBlock)}
	}
	return w
}

// ReadAt implements io.ReaderAt.
func (w *valueWatch) ReadAt(p []byte, off int64) (int, error) {
	n, err := w.t.ReadAt(p, off)
	w.look(p[:n], off)
	return n, err
}

// look looks for files in a piece, and in the bytes before it that a magic may
// begin in, and judges the low bits.
func (w *valueWatch) look(p []byte, off int64) {
	overlap := min(off, longestMagic)
	if overlap > 0 {
		// A copy: the piece itself is the caller's.
		seam := head(w.t, off-overlap, off, int(overlap))
		seam = append(seam, p[:min(len(p), longestMagic)]...)
		w.s.magics.find(seam, func(at int, e *embedded) {
			// What lies within either side is found there.
			if int64(at) < overlap && int64(at+len(e.magic)) > overlap {
				w.candidate(w.t, off-overlap+int64(at), w.t.Size(), e, nil)
			}
		})
	}
	w.s.magics.find(p, func(at int, e *embedded) { w.candidate(w.t, off+int64(at), w.t.Size(), e, nil) })
	if w.low {
		w.lookLow(p, off)
	}
}

// lookLow judges the blocks of a piece, which begins at one, and looks for
// files in the low bits.
func (w *valueWatch) lookLow(p []byte, off int64) {
	width := w.kind.width
	look := lowLook{table: w.s.lows, kind: w.kind}
	for _, e := range w.lowBefore(off) {
		look.prime(e)
	}
	lowest := &stream{source: w.t, size: w.t.Size(), width: width, take: 8}
	var low []byte
	if width > 1 { // else it is all there is
		low = make([]byte, 0, longestMagic+len(p)/width)
		low = append(low, head(lowest, max(0, off/int64(width)-longestMagic), off/int64(width), longestMagic)...)
	}
	before := len(low)
	var room [lowBlock]uint64
	for i := off / int64(width) / lowBlock; len(p) > 0; i++ {
		n := min(len(p), width*lowBlock)
		elements := widen(room[:], p[:n], width)
		look.look(elements, i*lowBlock, w.lowFiles)
		if w.kind.cast > 0 {
			// No one else has this block.
			w.bits.blocks[i] = w.kind.block(elements)
		}
		if width > 1 {
			for _, e := range elements {
				low = append(low, byte(e))
			}
		}
		p = p[n:]
	}
	w.s.magics.find(low, func(at int, e *embedded) {
		if at+len(e.magic) > before {
			w.candidate(lowest, off/int64(width)-int64(before)+int64(at), lowest.length(), e, lowest)
		}
	})
}

// candidate looks whether a file begins at off of r. how is nil if r is the
// tensor itself.
func (w *valueWatch) candidate(r io.ReaderAt, off, end int64, e *embedded, how *stream) {
	if !w.spend(eachPlace) {
		return
	}
	r = placeReader{r, w}
	if !e.mayBegin(r, off, end) {
		return
	}
	start, detail, ok := e.valid(r, off, end)
	if !ok {
		return
	}
	id, way, at := e.id, "", start
	if how != nil {
		if e.id == "ST212" && !certainPickle(r, off, end) {
			return // there are some twenty ways to take low bits, and a finding is dangerous
		}
		id, way = "ST213", how.String()
		at = (start*8/int64(how.take) + int64(how.skip)) * int64(how.width)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	h := hit{id, way}
	f, met := w.hits[h]
	if !met || at < f.at {
		f = fileHit{at, e.what, detail, f.n}
	}
	f.n++
	w.hits[h] = f
}

// spend tells whether n more bytes may be read of places that begin like a file.
func (w *valueWatch) spend(n int) bool {
	if w.s.places.Add(int64(-n)) < 0 {
		w.unread.Store(true)
		return false
	}
	return true
}

// finish tells what was found, once all has been read.
func (w *valueWatch) finish(ctx context.Context) error {
	found, runs := w.bits.judge()
	if err := w.search(ctx, w.streams(), runs); err != nil {
		return err
	}
	if w.unread.Load() {
		w.s.add(w.t, "ST218", 0, "more places of the model begin like a file than can be looked into")
	}
	lowFile := false
	for h, f := range w.hits { // the order is that of the report, which is sorted
		lowFile = lowFile || h.id == "ST213"
		more := ""
		if f.n > 1 {
			more = ", the first of several"
		}
		if f.detail != "" {
			more = " (" + f.detail + ")" + more
		}
		if h.how != "" {
			w.s.add(w.t, h.id, f.at, "%s lies in %s%s", f.what, h.how, more)
		} else {
			w.s.add(w.t, h.id, f.at, "%s lies among the bytes%s", f.what, more)
		}
	}
	if lowFile {
		return nil // which is what makes the bits odd
	}
	for _, f := range found {
		if f.ID == "ST216" && !w.varied() {
			continue
		}
		w.s.add(w.t, f.ID, f.Offset*int64(w.kind.width), "%s", f.Message)
	}
	return nil
}

// search looks for files in streams, in what runs of blocks put there.
func (w *valueWatch) search(ctx context.Context, all []*stream, runs [][2]int) error {
	if len(runs) == 0 {
		return nil
	}
	buf := make([]byte, 1<<20)
	for _, s := range all {
		for _, run := range runs {
			from := int64(run[0]) * lowBlock * int64(s.take) / 8
			to := min(s.length(), int64(run[1])*lowBlock*int64(s.take)/8)
			for off := from; off < to; off += int64(len(buf)) - longestMagic {
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				p := buf[:min(int64(len(buf)), to-off)]
				n, err := s.ReadAt(p, off)
				if err != nil && err != io.EOF {
					return err
				}
				w.s.magics.find(p[:n], func(at int, e *embedded) { w.candidate(s, off+int64(at), s.length(), e, s) })
				if int64(n) < int64(len(buf)) {
					break
				}
			}
		}
	}
	return nil
}

// varied tells whether the elements of skewed blocks differ from each other:
// rows that are copies, and numbers that were quantised once, have low bytes
// that are not random, and hide nothing.
func (w *valueWatch) varied() bool {
	width := w.kind.width
	raw := make([]byte, width*lowBlock)
	looked := 0
	for i, b := range w.bits.blocks {
		if !b.skewed {
			continue
		}
		if looked++; looked > 16 {
			break
		}
		n, _ := w.t.ReadAt(raw[:min(int64(len(raw)), w.t.Size()-int64(i)*int64(len(raw)))], int64(i)*int64(len(raw)))
		words := map[uint64]struct{}{}
		for _, e := range widen(make([]uint64, lowBlock), raw[:n/width*width], width) {
			words[e] = struct{}{}
		}
		if len(words) > n/width/2 {
			return true
		}
	}
	return false
}
