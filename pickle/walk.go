package pickle

// Walk calls visit for v and for every value below it, in the order of the
// file and parents first. A value that is shared, or part of a cycle, is
// visited once; scalars as often as they stand there. Where visit returns
// false, Walk goes no deeper. It does not recurse.
//
// Shared tells which values may stand in several places, as [Decoder.Shared] does:
// Walk remembers no others. It is nil where nobody knows, and then all are remembered
// that can.
//
// What is right below a value, [Parts] has.
func Walk(v Value, shared func(Value) bool, visit func(Value) bool) {
	if shared == nil {
		shared = pointer
	}
	seen := make(map[Value]struct{})
	walk(v, func(v Value) bool {
		if shared(v) {
			if _, ok := seen[v]; ok {
				return false
			}
			seen[v] = struct{}{}
		}
		return visit(v)
	})
}

// A cursor is a value of which the parts from next on are still to come.
type cursor struct {
	v    Value
	next int
}

// walk is Walk without a memory of what it has met. It holds a cursor for every
// value that it is in and has not seen the last part of: for a list of a million
// lists one, and for a million lists in each other one.
func walk(v Value, visit func(Value) bool) {
	if !visit(v) {
		return
	}
	open := []cursor{{v: v}}
	for len(open) > 0 {
		top := &open[len(open)-1]
		kid, ok := Part(top.v, top.next)
		if !ok {
			open = open[:len(open)-1]
			continue
		}
		top.next++
		if !visit(kid) {
			continue
		}
		if _, holds := Part(kid, 0); !holds {
			continue
		}
		if _, more := Part(top.v, top.next); !more {
			*top = cursor{v: kid}
			continue
		}
		open = append(open, cursor{v: kid})
	}
}

func pointer(v Value) bool {
	switch v.(type) {
	case *List, *Tuple, *Dict, *Set, *ByteArray:
		return true
	}
	return opaque(v)
}

// Parts returns what v holds, in order; the caller does not change it. The parts
// of an [*Object] are its callable, arguments, keyword arguments, states, items
// and pairs; that of a [*Persistent] is its id.
func Parts(v Value) []Value {
	switch v := v.(type) {
	case *List:
		return v.Items
	case *Tuple:
		return v.Items
	case *Set:
		return v.Items
	}
	var parts []Value
	for i := 0; ; i++ {
		kid, ok := Part(v, i)
		if !ok {
			return parts
		}
		parts = append(parts, kid)
	}
}

// Part returns the part of v that [Parts] has at i, if there are as many. It
// copies nothing.
func Part(v Value, i int) (Value, bool) {
	switch v := v.(type) {
	case *List:
		return element(v.Items, i)
	case *Tuple:
		return element(v.Items, i)
	case *Set:
		return element(v.Items, i)
	case *Dict:
		return half(v.Pairs, i)
	case *Persistent:
		return v.ID, i == 0
	case *Object:
		return v.part(i)
	}
	return nil, false
}

func element(items []Value, i int) (Value, bool) {
	if i >= len(items) {
		return nil, false
	}
	return items[i], true
}

// half returns the keys at even and the values at odd places.
func half(pairs []Pair, i int) (Value, bool) {
	switch {
	case i/2 >= len(pairs):
		return nil, false
	case i%2 == 0:
		return pairs[i/2].Key, true
	}
	return pairs[i/2].Value, true
}

func (o *Object) part(i int) (Value, bool) {
	switch {
	case i == 0:
		return o.Callable, true
	case i == 1:
		return o.Args, true
	case o.more == nil:
		return nil, false
	}
	i -= 2
	if o.more.kwargs != nil {
		if i == 0 {
			return o.more.kwargs, true
		}
		i--
	}
	for _, items := range [][]Value{o.more.states, o.more.items} {
		if i < len(items) {
			return items[i], true
		}
		i -= len(items)
	}
	return half(o.more.pairs, i)
}
