package load

// A ring is memory that is taken in one order and freed in any. What was
// freed is taken again when all that was taken before it is free.
type ring struct {
	mem        []byte
	head, tail int64  // bytes ever taken and ever freed, with what was skipped at the end
	used       int64  // bytes taken and not freed
	live       []span // between tail and head
	first      int    // of live
}

// A span is what an extent has taken, and what was skipped before it.
type span struct {
	e   *extent
	end int64
}

// take returns the memory of an extent, in one piece, if there is room. It
// begins in the ring where it is to in a huge page, modulo align.
func (g *ring) take(e *extent, align int64) ([]byte, bool) {
	n, size := e.footprint(), int64(len(g.mem))
	at := int64(0)
	if size > 0 {
		at = g.head % size
	}
	skip := (e.shift() - at) & (align - 1)
	if at += skip; at+n > size {
		skip += size - at
		at = e.shift() & (align - 1)
		skip += at
	}
	if g.head+skip+n-g.tail > size {
		return nil, false
	}
	g.used += n
	g.head += skip + n
	g.live = append(g.live, span{e, g.head})
	return g.mem[at : at+n : at+n], true
}

// free frees what e has taken, if it has.
func (g *ring) free(e *extent) {
	if e.mem == nil {
		return
	}
	e.mem = nil
	g.used -= e.footprint()
	for g.first < len(g.live) && g.live[g.first].e.mem == nil {
		g.tail = g.live[g.first].end
		g.live[g.first].e = nil
		g.first++
	}
	switch {
	case g.first == len(g.live):
		// Empty: the whole of it is one piece again.
		g.head, g.tail, g.first, g.live = 0, 0, 0, g.live[:0]
	case g.first > 1024 && g.first > len(g.live)/2:
		n := copy(g.live, g.live[g.first:])
		g.live, g.first = g.live[:n], 0
	}
}
