package safetensors

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"io"
	"math"
	"math/bits"
	"runtime"
	"sync"
	"unicode/utf8"
)

// A plan is the layout of a file to be written.
type plan struct {
	prefix  text    // the header and its length
	all     []Entry // as they came
	entries []placed
	size    int64 // of the data
}

// A text is bytes that are made when they are asked for.
type text interface {
	io.WriterTo
	io.ReaderAt
	Size() int64
}

// A placed is an entry at its place in the data. It holds no pointers, so that
// the garbage collector has nothing to do with a hundred thousand of them.
type placed struct {
	begin, size int64
	index       int32 // in plan.all
	rank        int32 // lower comes first
	text        int32 // length in the header, without the numbers of the offsets
	escaped     bool  // the name needs escapes, or may
}

func (p *placed) end() int64 { return p.begin + p.size }

// entry returns the i-th entry of the file.
func (p *plan) entry(i int) *Entry { return &p.all[p.entries[i].index] }

func entryError(name string, err error) error {
	return fmt.Errorf("tensor %s %w: %w", quote(name), ErrEntry, err)
}

// plan checks the entries and lays them out.
func (e *Encoder) plan(entries []Entry) (*plan, error) {
	align := cmp.Or(e.Align, 8)
	if align < 8 || align&(align-1) != 0 || align > maxHeaderLen {
		return nil, fmt.Errorf("%w: alignment %d is no power of two from 8 up", ErrEntry, e.Align)
	}
	if len(entries) > math.MaxInt32 {
		return nil, fmt.Errorf("%w: %d tensors", ErrEntry, len(entries)) // their names alone are over the limit
	}
	if err := checkMetadata(e.Metadata); err != nil {
		return nil, err
	}
	p := &plan{all: entries, entries: make([]placed, len(entries))}
	s := newSorter(entries)
	sorted, err := p.check(s, align)
	if err != nil {
		return nil, err
	}
	one := len(entries) == 0 || p.entries[0].rank == p.entries[len(entries)-1].rank
	if !sorted {
		if s.items == nil {
			p.fill(s)
		}
		if one = s.sort(); one && s.twice >= 0 {
			return nil, entryError(entries[s.twice].Name, ErrDuplicate)
		}
	}
	if err := p.place(s); err != nil {
		return nil, err
	}
	if !one { // else equal names would have been neighbours
		if name, twice := duplicate(entries); twice {
			return nil, entryError(name, ErrDuplicate)
		}
	}
	p.prefix, err = p.header(e.Metadata, align)
	return p, err
}

// check checks the entries, in several parts at once, and takes them into the
// plan as they come. It reports whether they are in order, without a name that
// occurs twice in one rank. If that is not likely it takes them into the sorter,
// too.
func (p *plan) check(s *sorter, align int) (sorted bool, err error) {
	if !likelySorted(p.all) {
		s.items = make([]sortItem, len(p.all))
	}
	parts := partsOf(len(p.all))
	errs, orders := make([]error, parts), make([]bool, parts)
	parallel(parts, func(w int) {
		var infos [touched]*Info
		var sizes [touched]int64
		orders[w] = s.items == nil
		first, to := share(len(p.all), parts, w)
		for from := first; from < to && errs[w] == nil; from += touched {
			n := min(touched, to-from)
			for i := range n {
				infos[i] = &p.all[from+i].Info
			}
			touch(infos[:n])
			for i := range n {
				sizes[i] = p.all[from+i].sourceSize()
			}
			for i := from; i < from+n && errs[w] == nil; i++ {
				errs[w] = p.checkEntry(i, sizes[i-from], align)
				if s.items != nil {
					s.add(i, p.entries[i].rank)
				} else {
					orders[w] = orders[w] && (i == first || p.rising(i))
				}
			}
		}
	})
	for w := range parts {
		from, to := share(len(p.all), parts, w)
		orders[0] = orders[0] && orders[w] && (from == 0 || from == to || p.rising(from))
	}
	return orders[0], cmp.Or(errs...)
}

func (p *plan) checkEntry(i int, sourceSize int64, align int) error {
	e := &p.all[i]
	size, err := e.check(sourceSize)
	if err != nil {
		return entryError(e.Name, err)
	}
	text, escaped := e.jsonLen()
	if escaped && !utf8.ValidString(e.Name) {
		return entryError(e.Name, errUTF8)
	}
	// The dtype that comes first has the lowest rank. With alignment, what
	// keeps up a larger power of two comes before all that does not.
	kept := 0
	if align > 8 {
		kept = bits.TrailingZeros64(uint64(size) | uint64(align))
	}
	p.entries[i] = placed{size: size, index: int32(i), rank: -int32(kept<<8 | int(e.DType)), text: text, escaped: escaped}
	return nil
}

// rising reports whether entry i belongs behind the one before it.
func (p *plan) rising(i int) bool {
	a, b := p.entries[i-1].rank, p.entries[i].rank
	return a < b || a == b && p.all[i-1].Name < p.all[i].Name
}

// fill takes all entries into the sorter.
func (p *plan) fill(s *sorter) {
	s.items = make([]sortItem, len(p.all))
	parts := partsOf(len(p.all))
	parallel(parts, func(w int) {
		from, to := share(len(p.all), parts, w)
		for i := from; i < to; i++ {
			s.add(i, p.entries[i].rank)
		}
	})
}

// touched is how many entries are touched at once.
const touched = 64

// touch brings into the cache what some infos point to: entries are strewn
// over memory, and waiting for one after the other would be most of the work.
// The processor waits for many at once if nothing else stands between them.
// It returns a number that depends on all it has read, so that no compiler
// finds it useless.
//
//go:noinline
func touch(infos []*Info) (read uint64) {
	var names [touched]string
	for i, info := range infos {
		names[i] = info.Name
	}
	for i, info := range infos {
		if name := names[i]; len(name) > 0 {
			read += uint64(name[0]) + uint64(name[len(name)-1])
		}
		if shape := info.Shape; len(shape) > 0 {
			read += shape[0]
		}
	}
	return read
}

// place brings the entries into the order of the sorter and gives them their
// places in the data.
func (p *plan) place(s *sorter) error {
	parts := partsOf(len(p.all))
	ordered := p.entries
	if s.moved {
		ordered = make([]placed, len(p.entries))
	}
	sums := make([]int64, parts)
	parallel(parts, func(w int) {
		from, to := share(len(ordered), parts, w)
		sum := int64(0)
		for i := from; i < to && sum >= 0; i++ {
			if s.moved {
				ordered[i] = p.entries[s.items[i].index]
			}
			sum += ordered[i].size
		}
		sums[w] = sum
	})
	p.entries = ordered
	for w, sum := range sums {
		if p.size += sum; sum < 0 || p.size < 0 {
			from, to := share(len(ordered), parts, w)
			return p.overflow(p.size-sum, from, to)
		}
	}
	at := p.size
	for w := parts - 1; w >= 0; w-- {
		at -= sums[w]
		sums[w] = at
	}
	parallel(parts, func(w int) {
		from, to := share(len(ordered), parts, w)
		at := sums[w]
		for i := range ordered[from:to] {
			e := &ordered[from+i]
			e.begin = at
			at += e.size
		}
	})
	return nil
}

// overflow says which of some entries, the first of which begins at offset
// at, does not end at an int64.
func (p *plan) overflow(at int64, from, to int) error {
	i := from
	for ; i < to-1 && at+p.entries[i].size >= 0; i++ {
		at += p.entries[i].size
	}
	return entryError(p.entry(i).Name, fmt.Errorf("%w: all tensors together", ErrOverflow))
}

// partsOf returns into how many parts n entries are cut, for as many workers.
func partsOf(n int) int {
	const least = 4096 // entries that are worth a worker
	return min(runtime.GOMAXPROCS(0), n/least+1)
}

// share returns the bounds of part w.
func share(n, parts, w int) (from, to int) {
	return int(int64(w) * int64(n) / int64(parts)), int(int64(w+1) * int64(n) / int64(parts))
}

// parallel calls f with 0 to n-1, each in its own goroutine.
func parallel(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := 1; i < n; i++ {
		wg.Go(func() { f(i) })
	}
	f(0)
	wg.Wait()
}

// duplicate returns a name that two entries share.
func duplicate(entries []Entry) (string, bool) {
	if len(entries) == 0 {
		return "", false
	}
	seed := maphash.MakeSeed()
	slots := make([]slot, 1<<bits.Len(uint(len(entries)*4/3)))
	mask := uint32(len(slots) - 1)
	for n := range entries {
		name := entries[n].Name
		hash := uint32(maphash.String(seed, name))
		i := hash & mask
		for ; slots[i].entry != 0; i = (i + 1) & mask {
			if slots[i].hash == hash && entries[slots[i].entry-1].Name == name {
				return name, true
			}
		}
		slots[i] = slot{hash, uint32(n + 1)}
	}
	return "", false
}
