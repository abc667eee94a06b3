package pickle

// Walk calls visit for v and for every value below it, in the order of the
// file and parents first. A value that is shared, or part of a cycle, is
// visited once; scalars as often as they stand there. Where visit returns
// false, Walk goes no deeper. It does not recurse.
//
// What is right below a value, [Parts] has.
func Walk(v Value, visit func(Value) bool) {
	todo := []Value{v}
	seen := make(map[any]struct{})
	for len(todo) > 0 {
		v := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if pointer(v) {
			if _, ok := seen[v]; ok {
				continue
			}
			seen[v] = struct{}{}
		}
		if !visit(v) {
			continue
		}
		from := len(todo)
		todo = appendParts(todo, v)
		for i, j := from, len(todo)-1; i < j; i, j = i+1, j-1 {
			todo[i], todo[j] = todo[j], todo[i]
		}
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
	return appendParts(nil, v)
}

// appendParts appends the parts of v.
func appendParts(dst []Value, v Value) []Value {
	switch v := v.(type) {
	case *List:
		return append(dst, v.Items...)
	case *Tuple:
		return append(dst, v.Items...)
	case *Set:
		return append(dst, v.Items...)
	case *Dict:
		return appendPairs(dst, v.Pairs)
	case *Persistent:
		return append(dst, v.ID)
	case *Object:
		dst = append(dst, v.Callable, v.Args)
		if v.more != nil {
			if v.more.kwargs != nil {
				dst = append(dst, v.more.kwargs)
			}
			dst = append(dst, v.more.states...)
			dst = append(dst, v.more.items...)
			dst = appendPairs(dst, v.more.pairs)
		}
	}
	return dst
}

func appendPairs(dst []Value, pairs []Pair) []Value {
	for _, p := range pairs {
		dst = append(dst, p.Key, p.Value)
	}
	return dst
}
