package digest

import (
	"crypto/sha256"
	"iter"
	"math"
	"runtime"
	"sync"
)

// Lanes is how many streams the wide kernel hashes side by side.
const Lanes = 16

const (
	// few is the number of streams up to which pairs, one after the other, are
	// as fast as the wide kernel, whose time does not depend on how many of its
	// lanes are used.
	few = 8

	// small is the size of a piece up to which it is not worth the way through
	// the pool.
	small = 4 << 10

	// turn is how many bytes of each stream are hashed before the pool looks
	// for others.
	turn = 64 << 10
)

// A Pool hashes pieces of streams. The zero Pool is ready for use. Its method
// is safe for concurrent use.
type Pool struct {
	mu    sync.Mutex
	wide  line // for the wide kernel; what are too few for it go on to pairs
	pairs line
}

// A line is pieces that wait, and how many goroutines work on it.
type line struct {
	queue   []piece
	runners int
	busy    int // lanes that are in use
}

// A piece is bytes to be hashed.
type piece struct {
	s    *Stream
	data []byte // what is left of it
	done func()
}

// Write hashes p as the next bytes of a stream. It may return before that is
// done, which done is called for, in any goroutine; until then the caller
// neither changes p nor writes to the stream.
func (p *Pool) Write(s *Stream, data []byte, done func()) {
	one := piece{s, data, done}
	switch {
	case len(data) <= small:
		one.finish()
	case hasWide && !s.Alone:
		p.push(&p.wide, one)
	default:
		p.pair(one)
	}
}

// pair hashes a piece beside another one, if it finds one.
func (p *Pool) pair(one piece) {
	if !hasPair {
		go one.finish()
		return
	}
	p.push(&p.pairs, one)
}

// finish hashes all that is left.
func (p *piece) finish() {
	if len(p.data) > 0 {
		p.s.write(p.data)
	}
	p.done()
}

// width returns how many streams a runner hashes side by side.
func (p *Pool) width(l *line) int {
	if l == &p.pairs {
		return 2
	}
	return Lanes
}

// push puts a piece at the end of a line. There are as many runners as it takes
// for all, but no more than processors.
func (p *Pool) push(l *line, one piece) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.queue = append(l.queue, one)
	if l.busy+len(l.queue) > l.runners*p.width(l) && l.runners < runtime.GOMAXPROCS(0) {
		l.runners++
		go p.run(l)
	}
}

// run works until the line is empty.
func (p *Pool) run(l *line) {
	var t table
	width := p.width(l)
	for yielded := 0; p.fill(l, &t); {
		if t.n < width && yielded < 2 {
			// Who reads the next pieces may be waiting for this processor.
			yielded++
			runtime.Gosched()
			continue
		}
		yielded = 0
		switch {
		case width > 2 && t.n <= few:
			for t.n > 0 {
				p.pair(t.remove(t.n - 1))
			}
		case width > 2:
			t.step(wide, t.n)
		case t.n == 2:
			t.step(pair, 2)
		default:
			t.single()
		}
	}
}

// fill takes pieces into free lanes. It reports whether there is anything to
// do; if not, the runner has ended.
func (p *Pool) fill(l *line, t *table) bool {
	p.mu.Lock()
	n := min(p.width(l)-t.n, len(l.queue))
	var taken [Lanes]piece
	copy(taken[:n], l.queue)
	rest := copy(l.queue, l.queue[n:])
	clear(l.queue[rest:])
	l.queue = l.queue[:rest]
	l.busy += t.n + n - t.known
	t.known = t.n + n
	if t.known == 0 {
		l.runners--
	}
	p.mu.Unlock()
	for _, one := range taken[:n] {
		t.add(one)
	}
	return t.known > 0
}

// A table is the streams that are being hashed side by side, those of the
// first n lanes.
type table struct {
	n     int
	known int // lanes that the line counts
	words [8][Lanes]uint32
	lanes [Lanes]piece
	begun [Lanes]int // bytes hashed since the lane was taken
}

// add takes a piece into a free lane, at the beginning of a block.
func (t *table) add(one piece) {
	if n := min(one.s.missing(), len(one.data)); n > 0 {
		one.s.write(one.data[:n])
		one.data = one.data[n:]
	}
	if len(one.data) < sha256.BlockSize {
		one.finish()
		return
	}
	one.s.load(&t.words, t.n)
	t.lanes[t.n], t.begun[t.n] = one, 0
	t.n++
}

// remove frees a lane.
func (t *table) remove(lane int) piece {
	one := t.lanes[lane]
	one.s.store(&t.words, lane, t.begun[lane])
	t.n--
	if lane != t.n {
		t.lanes[lane], t.begun[lane] = t.lanes[t.n], t.begun[t.n]
		for i := range t.words {
			t.words[i][lane] = t.words[i][t.n]
		}
	}
	t.lanes[t.n] = piece{}
	return one
}

// single hashes the next bytes of a lane that is alone.
func (t *table) single() {
	one := t.remove(0)
	n := min(len(one.data), turn)
	one.s.write(one.data[:n])
	one.data = one.data[n:]
	t.add(one)
}

// step hashes as many blocks as every one of the first lanes has.
func (t *table) step(kernel func(words *[8][Lanes]uint32, data *[Lanes]*byte, n int), lanes int) {
	n := math.MaxInt
	for _, one := range t.lanes[:lanes] {
		n = min(n, len(one.data))
	}
	n = min(n, turn) / sha256.BlockSize * sha256.BlockSize
	var data [Lanes]*byte
	for i := range data {
		// A lane that is not used has to read something.
		data[i] = &t.lanes[min(i, lanes-1)].data[0]
	}
	kernel(&t.words, &data, n/sha256.BlockSize)
	for i := lanes - 1; i >= 0; i-- {
		t.begun[i] += n
		t.lanes[i].data = t.lanes[i].data[n:]
		if len(t.lanes[i].data) < sha256.BlockSize {
			one := t.remove(i)
			one.finish()
		}
	}
}

// Longest returns the size in bytes up to which streams of the given sizes are
// best hashed side by side; the few that are longer are for Alone.
func Longest(sizes iter.Seq[int64]) int64 {
	total := int64(0)
	for n := range sizes {
		total += n
	}
	most, long := total/Lanes, 0
	for n := range sizes {
		if n > most {
			long++
		}
	}
	if long > few {
		return total // as many as that fill the lanes
	}
	return most
}
