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

// A plan is the layout of a file to be written. What a group of entries takes
// is kept, what one entry takes is computed again when it is written: memory
// that need not be touched is time.
type plan struct {
	prefix text    // the header and its length
	all    []Entry // as they came
	order  []int32 // of the file; nil if they came in that order
	groups []group // of the file, and one more for the end
	size   int64   // of the data
}

// A text is bytes that are made when they are asked for.
type text interface {
	io.WriterTo
	io.ReaderAt
	Size() int64
}

// A group is groupLen entries, the last one fewer. That many are brought into
// the cache at once.
type group struct {
	begin   int64 // where its data begins in the data; before that is known, its size
	text    int64 // where it begins in the header; before that is known, its length without the numbers of its offsets
	escaped bool  // a name needs escapes, or may
	unsized bool  // data does not say its size
}

const groupLen = 64

func groupsOf(entries int) int { return (entries + groupLen - 1) / groupLen }

// bounds returns the entries of group g.
func (p *plan) bounds(g int) (from, to int) {
	return g * groupLen, min((g+1)*groupLen, len(p.all))
}

// entry returns the i-th entry of the file.
func (p *plan) entry(i int) *Entry {
	if p.order != nil {
		i = int(p.order[i])
	}
	return &p.all[i]
}

// each calls f with the entries that may have data, in the order of the file,
// where it begins, and its size.
func (p *plan) each(f func(e *Entry, begin, size int64) error) error {
	for g := range p.groups[:len(p.groups)-1] {
		if err := p.eachOf(g, f); err != nil {
			return err
		}
	}
	return nil
}

// eachOf is each for the entries of group g.
func (p *plan) eachOf(g int, f func(e *Entry, begin, size int64) error) error {
	begin := p.groups[g].begin
	if begin == p.groups[g+1].begin && !p.groups[g].unsized {
		return nil
	}
	from, to := p.bounds(g)
	for i := from; i < to; i++ {
		e := p.entry(i)
		size := e.size()
		if err := f(e, begin, size); err != nil {
			return err
		}
		begin += size
	}
	return nil
}

// size returns the size of the data of an entry that has been checked.
func (e *Entry) size() int64 {
	if t, ok := e.Data.(*Tensor); ok {
		return t.Size()
	}
	size, _ := e.DataSize()
	return size
}

func entryError(name string, err error) error {
	return fmt.Errorf("tensor %s %w: %w", quote(name), ErrEntry, err)
}

// plan checks the entries and lays them out.
func (e *Encoder) plan(entries []Entry) (*plan, error) {
	align := cmp.Or(e.Align, 8)
	if align < 8 || align&(align-1) != 0 || align > maxHeaderLen {
		return nil, fmt.Errorf("%w: alignment %d is no power of two from 8 up", ErrEntry, e.Align)
	}
	if e.Slack < 0 || e.Slack > maxHeaderLen {
		return nil, fmt.Errorf("%w: a header with %d bytes to spare", ErrEntry, e.Slack)
	}
	if len(entries) > math.MaxInt32 {
		return nil, fmt.Errorf("%w: %d tensors", ErrEntry, len(entries)) // their names alone are over the limit
	}
	if err := checkMetadata(e.Metadata); err != nil {
		return nil, err
	}
	p := &plan{all: entries, groups: make([]group, groupsOf(len(entries))+1)}
	sorted, one, err := p.check(align)
	if err != nil {
		return nil, err
	}
	if !sorted {
		if one, err = p.sort(align); err != nil {
			return nil, err
		}
	}
	if !one { // else equal names would have been neighbours
		if name, twice := duplicate(entries); twice {
			return nil, entryError(name, ErrDuplicate)
		}
	}
	at := int64(0)
	for g := range p.groups {
		size := p.groups[g].begin
		if p.groups[g].begin, at = at, at+size; size < 0 || at < 0 {
			return nil, p.overflow(g)
		}
	}
	p.size = at
	p.prefix, err = p.header(e.Metadata, align, e.Slack)
	return p, err
}

// A measure is what an entry takes.
type measure struct {
	size    int64 // of its data
	rank    int32 // lower comes first
	text    int32 // length in the header, without the numbers of the offsets
	escaped bool  // the name needs escapes, or may
	unsized bool  // the data does not say its size
}

// measure checks an entry. Its data says that it is sourceSize.
func (e *Entry) measure(sourceSize int64, align int) (m measure, err error) {
	if m.size, err = e.check(sourceSize); err != nil {
		return m, entryError(e.Name, err)
	}
	if m.text, m.escaped = e.jsonLen(); m.escaped && !utf8.ValidString(e.Name) {
		return m, entryError(e.Name, errUTF8)
	}
	// The dtype that comes first has the lowest rank. With alignment, what
	// keeps up a larger power of two comes before all that does not.
	kept := 0
	if align > 8 {
		kept = bits.TrailingZeros64(uint64(m.size) | uint64(align))
	}
	m.rank = -int32(kept<<8 | int(e.DType))
	m.unsized = sourceSize == unsized
	return m, nil
}

// add takes an entry into the group. Sizes that overflow leave it negative.
func (g *group) add(m *measure) {
	if g.begin >= 0 {
		g.begin += m.size
	}
	g.text += int64(m.text)
	g.escaped = g.escaped || m.escaped
	g.unsized = g.unsized || m.unsized
}

// check measures the entries, in several parts at once. It reports whether
// they are in order, without a name that occurs twice in one rank, and whether
// all have one rank. The groups are those of the file then.
func (p *plan) check(align int) (sorted, one bool, err error) {
	if !likelySorted(p.all) {
		return false, false, nil
	}
	parts := partsOf(len(p.all))
	errs, orders, firsts, lasts := make([]error, parts), make([]bool, parts), make([]int32, parts), make([]int32, parts)
	parallel(parts, func(w int) {
		first, last := share(groupsOf(len(p.all)), parts, w)
		orders[w] = true
		before := measure{rank: math.MinInt32}
		for g := first; g < last; g++ {
			sum := group{}
			from, to := p.bounds(g)
			for i := from; i < to; i++ {
				e := &p.all[i]
				m, err := e.measure(e.sourceSize(), align)
				if err != nil {
					errs[w] = err
					return
				}
				if before.rank > m.rank || before.rank == m.rank && p.all[i-1].Name >= e.Name {
					orders[w] = false
					return
				}
				if before = m; i == first*groupLen {
					firsts[w] = m.rank
				}
				sum.add(&m)
			}
			p.groups[g] = sum
		}
		lasts[w] = before.rank
	})
	for w := range parts {
		from, _ := share(groupsOf(len(p.all)), parts, w)
		if errs[w] != nil || !orders[w] {
			return false, false, errs[w]
		}
		if at := from * groupLen; w > 0 && (lasts[w-1] > firsts[w] || lasts[w-1] == firsts[w] && p.all[at-1].Name >= p.all[at].Name) {
			return false, false, nil
		}
	}
	return true, firsts[0] == lasts[parts-1], nil
}

// sort measures the entries, sorts them, and makes the groups. It reports
// whether all have one rank, and finds names that occur twice in one.
func (p *plan) sort(align int) (one bool, err error) {
	s := newSorter(p.all)
	measures := make([]measure, len(p.all))
	parts := partsOf(len(p.all))
	errs := make([]error, parts)
	parallel(parts, func(w int) {
		var infos [groupLen]*Info
		var sizes [groupLen]int64
		first, last := share(groupsOf(len(p.all)), parts, w)
		for g := first; g < last; g++ {
			from, to := p.bounds(g)
			for i := from; i < to; i++ {
				infos[i-from] = &p.all[i].Info
			}
			touch(infos[:to-from])
			for i := from; i < to; i++ {
				sizes[i-from] = p.all[i].sourceSize()
			}
			for i := from; i < to; i++ {
				if measures[i], errs[w] = p.all[i].measure(sizes[i-from], align); errs[w] != nil {
					return
				}
				s.add(i, measures[i].rank)
			}
		}
	})
	if err := cmp.Or(errs...); err != nil {
		return false, err
	}
	if one = s.sort(); one && s.twice >= 0 {
		return one, entryError(p.all[s.twice].Name, ErrDuplicate)
	}
	p.order = make([]int32, len(s.items))
	parallel(parts, func(w int) {
		first, last := share(groupsOf(len(p.all)), parts, w)
		for g := first; g < last; g++ {
			sum := group{}
			from, to := p.bounds(g)
			for i, item := range s.items[from:to] {
				p.order[from+i] = item.index
				sum.add(&measures[item.index])
			}
			p.groups[g] = sum
		}
	})
	return one, nil
}

// overflow says which entry of group g does not end at an int64.
func (p *plan) overflow(g int) error {
	from, to := p.bounds(g)
	end, name := p.groups[g].begin, ""
	for i := from; i < to && end >= 0; i++ {
		size := p.entry(i).size()
		end, name = end+size, p.entry(i).Name
	}
	return entryError(name, fmt.Errorf("%w: all tensors together", ErrOverflow))
}

// touch brings into the cache what some infos point to: entries are strewn
// over memory, and waiting for one after the other would be most of the work.
// The processor waits for many at once if nothing else stands between them.
// It returns a number that depends on all it has read, so that no compiler
// finds it useless.
//
//go:noinline
func touch(infos []*Info) (read uint64) {
	var names [groupLen]string
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
