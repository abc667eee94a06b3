package pickle

// memo is the machine's numbered memory. Keys come from the file, so it is a
// slice only as far as they are used densely, and a map beyond.
type memo struct {
	dense  []Value
	sparse map[int64]Value
	size   int64 // entries set, which is where MEMOIZE puts the next

	// Of a lean memo, keys that no opcode reads are known and not stored.
	lean          bool
	wanted, known bitset
}

// unset marks a hole in memo.dense.
type unset struct{}

func (m *memo) get(key int64) (Value, bool) {
	if key >= 0 && key < int64(len(m.dense)) {
		if _, hole := m.dense[key].(unset); !hole {
			return m.dense[key], true
		}
	}
	v, ok := m.sparse[key]
	return v, ok
}

// put stores v and tells whether it replaced something.
func (m *memo) put(key int64, v Value, lim *Limits, mem *budget) (replaced bool, err error) {
	if m.lean && key < maxSurveyed && !m.wanted.has(key) {
		if replaced, err = m.known.set(key, mem); err != nil || replaced {
			return replaced, err
		}
		if m.size >= lim.Memo {
			return false, &LimitError{"Memo", lim.Memo}
		}
		m.size++
		return false, nil
	}
	n := int64(len(m.dense))
	if key < n {
		if _, hole := m.dense[key].(unset); !hole {
			m.dense[key] = v
			return true, nil
		}
	}
	if _, ok := m.sparse[key]; ok {
		m.sparse[key] = v
		return true, nil
	}
	if m.size >= lim.Memo {
		return false, &LimitError{"Memo", lim.Memo}
	}
	m.size++
	if key < n {
		m.dense[key] = v
		return false, nil
	}
	// Python 2 counts from one, and picklers pop what they have memoized:
	// a few holes are normal.
	if key <= n+n/2+16 {
		if m.dense, err = grow(m.dense, int(key-n)+1, mem); err != nil {
			return false, err
		}
		for int64(len(m.dense)) < key {
			m.dense = append(m.dense, unset{})
		}
		m.dense = append(m.dense, v)
		return false, nil
	}
	if err := mem.take(costMemo); err != nil {
		return false, err
	}
	if m.sparse == nil {
		m.sparse = make(map[int64]Value)
	}
	m.sparse[key] = v
	return false, nil
}

// reset empties the memo for the next pickle. The room of dense stays.
func (m *memo) reset() {
	clear(m.dense)
	m.dense, m.sparse, m.size = m.dense[:0], nil, 0
}

// grow makes room for n more values and accounts for it.
func grow(items []Value, n int, mem *budget) ([]Value, error) {
	if n <= cap(items)-len(items) {
		return items, nil
	}
	size := grownSize(len(items), n)
	if err := mem.take(int64(size-cap(items)) * costValue); err != nil {
		return items, err
	}
	// Not make and copy: while memory is collected, copy reads what it writes over, and
	// the system gives each page twice.
	return append(items, make([]Value, size-len(items))...)[:len(items):size], nil
}

// grownSize returns how much room to make for n more than have: generous
// while it is little.
func grownSize(have, n int) int {
	extra := have / 2
	if have > 4096 {
		extra /= 2
	}
	return have + max(n, extra)
}
