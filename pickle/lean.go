package pickle

import (
	"bytes"
	"math/big"
	"slices"
)

// A file of a million tensors is a few hundred megabytes of small values, of
// which one who only judges them needs none for long. With Decoder.Drop they
// are gone as soon as they were judged: results of calls and what they were
// called with, entries of the memo that no opcode reads, and what stands in
// long lists and dicts.

// keptEntries is how many entries of a list or a dict are kept before Drop is
// asked about plain ones: those of settings and descriptions are fewer.
const keptEntries = 256

// surveyed is the size from which the opcodes are read once before they are
// executed, to know which entries of the memo are read.
const surveyed = window

// maxSurveyed bounds the keys of a survey, and with them its memory: 2 MiB a
// set.
const maxSurveyed = 1 << 24

// A bitset has the keys of a memo, up to maxSurveyed.
type bitset []uint64

func (s bitset) has(key int64) bool {
	return key>>6 < int64(len(s)) && s[key>>6]&(1<<(key&63)) != 0
}

// set adds a key, which is below maxSurveyed, and tells whether it was there.
func (s *bitset) set(key int64, mem *budget) (was bool, err error) {
	if n := key>>6 + 1; n > int64(len(*s)) {
		size := min(max(n, 2*int64(len(*s)), 128), maxSurveyed/64)
		if err := mem.take(8 * (size - int64(len(*s)))); err != nil {
			return false, err
		}
		*s = append(make(bitset, 0, size), *s...)[:size]
	}
	was = s.has(key)
	(*s)[key>>6] |= 1 << (key & 63)
	return was, nil
}

// lean tells whether values may be gone before the pickle ends.
func (d *Decoder) lean() bool { return d.Drop != nil || d.Pack != nil }

// survey reads the opcodes up to STOP, and lets the memo forget what no opcode
// of them reads. What it cannot read is for the machine to tell.
func (d *Decoder) survey() {
	d.memo.lean, d.memo.wanted, d.memo.known = false, nil, nil
	if !d.lean() || d.s.left() < surveyed && !d.surveys {
		return
	}
	if d.s.need(1) != nil {
		return
	}
	mem := budget{max: maxSurveyed}
	// What was read is not read again, for most pickles of large files are short.
	work := int64(unbounded)
	if d.Work != nil {
		work = *d.Work / 5
		before := work
		defer func() { *d.Work -= before - work }()
	}
	s := skimScanner{r: d.s.r, base: d.s.offset(), buf: d.s.buf[d.s.pos:], end: d.s.end, lent: true, work: &work}
	var o skimmed
	var wanted bitset
	puts, gets := int64(0), int64(0)
	for n := int64(0); n < d.lim.Opcodes && work > 0; n++ {
		if s.next(&o) != nil {
			return
		}
		switch o.op {
		case opBinput, opLongBinput, opPut, opMemoize:
			puts++
		case opBinget, opLongBinget, opGet:
			if o.n < 0 || o.n >= maxSurveyed {
				continue // such are kept
			}
			was, err := wanted.set(o.n, &mem)
			if err != nil {
				return
			}
			if !was {
				gets++
			}
		case opStop:
			// A map of entries takes five times what a slice does.
			d.memo.lean, d.memo.wanted = gets < puts/8, wanted
			return
		default:
			// What a caller claims between the opcodes, joblib's arrays, is read
			// as opcodes here.
			if d.RawAfterBuild != nil && len(o.data)+len(o.first) > 0 && (bytes.Contains(o.data, []byte("joblib")) || bytes.Contains(o.first, []byte("joblib"))) {
				return
			}
		}
	}
}

// share remembers that v stands in more than one place.
func (d *Decoder) share(v Value) error {
	switch v := v.(type) {
	case *List, *Dict, *Set, *ByteArray, *Persistent:
	case *Tuple:
		if len(v.Items) == 0 {
			return nil
		}
	case *Object:
		if v == d.dropped {
			return nil
		}
	default:
		return nil
	}
	if _, known := d.shared[v]; known || !d.lean() {
		return nil
	}
	if err := d.mem.take(costMemo); err != nil {
		return err
	}
	if d.shared == nil {
		d.shared = make(map[Value]bool)
	}
	d.shared[v] = d.turn
	return nil
}

// Hold counts v among what is held: it is for a caller with Drop who keeps v.
func (d *Decoder) Hold(v Value) { d.held = append(d.held, v) }

// Shared tells whether opcodes may have put v into more than one place. It is
// for a Decoder with Drop or Pack, and for values that hold others.
func (d *Decoder) Shared(v Value) bool {
	if !pointer(v) {
		return false
	}
	_, ok := d.shared[v]
	return ok
}

// Walk is [Walk] for a value of a Decoder with Drop, which knows what is
// shared: it takes no memory for what is not. Names are visited as often as
// they stand there.
func (d *Decoder) Walk(v Value, visit func(Value) bool) {
	d.turn = !d.turn
	for v := range d.shared {
		d.shared[v] = !d.turn // what is new since the last time has either
	}
	walk(v, func(v Value) bool {
		if d.Shared(v) {
			if d.shared[v] == d.turn {
				return false
			}
			d.shared[v] = d.turn
		}
		return visit(v)
	})
}

// dropCall returns what is kept of the result of a call.
func (d *Decoder) dropCall(obj *Object) *Object {
	if d.Drop == nil || !d.Drop(nil, obj) {
		return obj
	}
	if d.dropped == nil {
		d.dropped = &Object{Callable: obj.Callable, Args: d.empty, Offset: obj.Offset, Op: obj.Op}
	}
	return d.dropped
}

// dropItems removes from items, which are to be added to have others, what
// need not be kept.
func (d *Decoder) dropItems(have int, items []Value) []Value {
	if d.Drop == nil {
		return items
	}
	kept := items[:0]
	for _, v := range items {
		if v == Value(d.dropped) && d.dropped != nil || have+len(kept) >= keptEntries && d.inert(v) && d.Drop(nil, v) {
			continue
		}
		kept = append(kept, v)
	}
	return kept
}

// dropPairs is dropItems for keys and values in turn.
func (d *Decoder) dropPairs(have int, items []Value) []Value {
	if d.Drop == nil {
		return items
	}
	kept := items[:0]
	for i := 0; i+1 < len(items); i += 2 {
		k, v := items[i], items[i+1]
		gone := v == Value(d.dropped) && d.dropped != nil
		if plain(k) && (gone || have+len(kept)/2 >= keptEntries && d.inert(v)) && d.Drop(k, v) {
			continue
		}
		kept = append(kept, k, v)
	}
	return kept
}

// plain tells whether v is a scalar that opcodes cannot change.
func plain(v Value) bool {
	switch v.(type) {
	case nil, bool, int64, float64, string, ByteString, *big.Int, Range, []byte:
		return true
	}
	return false
}

// inert tells whether v is plain data that no opcode will change: also a short
// container of such, if nothing can get hold of it again.
func (d *Decoder) inert(v Value) bool {
	var parts []Value
	switch v := v.(type) {
	case *Tuple:
		parts = v.Items
	case *List:
		parts = v.Items
	case *Dict:
		if len(v.Pairs) > 16 || !d.memo.lean || d.Shared(v) {
			return false
		}
		for _, p := range v.Pairs {
			if !plain(p.Key) || !plain(p.Value) {
				return false
			}
		}
		return true
	default:
		return plain(v)
	}
	if len(parts) > 16 || !d.memo.lean || d.Shared(v) {
		return false
	}
	return !slices.ContainsFunc(parts, func(v Value) bool { return !plain(v) })
}

// census counts what is still held once much was taken and dropped, so that
// the limit is one of what is held. What is shared counts as often as it is
// met, and counting ends at five eighths of the limit: a pickle that holds that
// much gets no more than the limit in all.
func (d *Decoder) census() {
	held := d.packed + int64(cap(d.stack))*costValue + int64(cap(d.marks))*8 + int64(cap(d.held))*costValue + int64(cap(d.memo.dense))*costValue +
		int64(len(d.memo.sparse)+len(d.shared))*costMemo + int64(len(d.memo.wanted)+len(d.memo.known))*8
	if cap(d.s.buf) > window {
		held += int64(cap(d.s.buf))
	}
	most := d.lim.Memory / 8 * 5
	count := func(v Value) bool {
		held += held0(v)
		spend(d.Work, workHeld)
		return held <= most
	}
	for _, v := range d.stack {
		walk(v, count)
	}
	for _, v := range d.held {
		walk(v, count)
	}
	for _, v := range d.memo.dense {
		walk(v, count)
	}
	for _, v := range d.memo.sparse {
		walk(v, count)
	}
	spend(d.Work, held/2) // and the collector goes over it, too
	d.counted = held > most
	if !d.counted {
		d.mem.used = held
	}
}

// held0 is what v takes without its parts.
func held0(v Value) int64 {
	switch v := v.(type) {
	case string:
		return costValue + rounded(len(v))
	case ByteString:
		return costValue + rounded(len(v))
	case []byte:
		return costHeader + rounded(cap(v))
	case *ByteArray:
		return costHeader + rounded(cap(v.Data))
	case int64, float64:
		return costNumber
	case *big.Int:
		return costBig + rounded(v.BitLen()/8)
	case *List:
		return costHeader + int64(cap(v.Items))*costValue
	case *Tuple:
		return costHeader + int64(cap(v.Items))*costValue
	case *Set:
		return costSet + int64(cap(v.Items))*costValue
	case *Dict:
		return costHeader + int64(cap(v.Pairs))*2*costValue
	case *Object:
		if v.more == nil {
			return costNode + costNumber
		}
		return costNode + costNumber + costMore + int64(cap(v.more.states)+cap(v.more.items)+2*cap(v.more.pairs))*costValue
	case *Symbol:
		return costSymbol + rounded(len(v.Module)) + rounded(len(v.Name)) + rounded(len(v.WrittenModule)) + rounded(len(v.WrittenName))
	case *Persistent, *Extension, Range:
		return costRef
	}
	return 0
}
