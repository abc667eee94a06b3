package pickle

// tuple replaces the values from height at on by a tuple of them.
func (d *Decoder) tuple(at int) error {
	if at < d.fence() {
		return d.underflow()
	}
	t, err := d.newTuple(d.stack[at:])
	if err != nil {
		return err
	}
	clear(d.stack[at:])
	d.stack = d.stack[:at]
	return d.push(t)
}

func (d *Decoder) markedTuple() error {
	m, err := d.popMark()
	if err != nil {
		return err
	}
	return d.tuple(m)
}

// newTuple copies items.
func (d *Decoder) newTuple(items []Value) (*Tuple, error) {
	if len(items) == 0 {
		return d.empty, nil
	}
	if d.lean() {
		if err := d.mem.take(costHeader + rounded(len(items)*costValue)); err != nil {
			return nil, err
		}
		return &Tuple{Items: append(make([]Value, 0, len(items)), items...)}, nil
	}
	t, err := d.tuples.one(costHeader, &d.mem)
	if err != nil {
		return nil, err
	}
	if t.Items, err = d.values.take(len(items), costValue, &d.mem); err != nil {
		return nil, err
	}
	copy(t.Items, items)
	return t, nil
}

// collect is LIST, DICT and FROZENSET: what stands above the mark.
func (d *Decoder) collect() error {
	m, err := d.popMark()
	if err != nil {
		return err
	}
	items := d.stack[m:]
	var v Value
	switch d.o.op {
	case opList:
		l := &List{}
		if err := d.mem.take(costHeader); err != nil {
			return err
		}
		l.Items, err = d.extend(nil, d.dropItems(0, items))
		v = l
	case opFrozenset:
		s := &Set{Frozen: true}
		if err := d.mem.take(costSet); err != nil {
			return err
		}
		if err := allHashable(items, 1); err != nil {
			return err
		}
		s.Items, err = d.extend(nil, items)
		v = s
	case opDict:
		dict := &Dict{}
		if err := d.mem.take(costHeader); err != nil {
			return err
		}
		if err := checkPairs(items, true); err != nil {
			return err
		}
		dict.Pairs, err = d.extendPairs(nil, d.dropPairs(0, items))
		v = dict
	}
	if err != nil {
		return err
	}
	clear(items)
	d.stack = d.stack[:m]
	return d.push(v)
}

func (d *Decoder) extend(dst, items []Value) ([]Value, error) {
	dst, err := grow(dst, len(items), &d.mem)
	if err != nil {
		return nil, err
	}
	return append(dst, items...), nil
}

func (d *Decoder) extendPairs(dst []Pair, items []Value) ([]Pair, error) {
	n := len(items) / 2
	if n > cap(dst)-len(dst) {
		size := grownSize(len(dst), n)
		if err := d.mem.take(int64(size-cap(dst)) * 2 * costValue); err != nil {
			return nil, err
		}
		dst = append(make([]Pair, 0, size), dst...)
	}
	for i := 0; i < len(items); i += 2 {
		dst = append(dst, Pair{items[i], items[i+1]})
	}
	return dst, nil
}

// checkPairs checks that items are keys and values.
func checkPairs(items []Value, keys bool) error {
	if len(items)%2 != 0 {
		return malformed("odd number of keys and values")
	}
	if keys {
		return allHashable(items, 2)
	}
	return nil
}

func allHashable(items []Value, step int) error {
	for i := 0; i < len(items); i += step {
		if !hashable(items[i]) {
			return malformed("unhashable %s", typeName(items[i]))
		}
	}
	return nil
}

// target returns the value below height at that the opcode fills, and the
// values above. There is nothing to do if these are none.
func (d *Decoder) target(at int) (Value, []Value, error) {
	if at > len(d.stack) || at <= d.fence() {
		return nil, nil, d.underflow()
	}
	return d.stack[at-1], d.stack[at:], nil
}

// done takes what was put into the target off the stack.
func (d *Decoder) done(at int, err error) error {
	clear(d.stack[at:])
	d.stack = d.stack[:at]
	return err
}

// foreign is for opcodes that fill a value Python's data types do not cover:
// it may work, if the name is a list or the id an object with that method.
func (d *Decoder) foreign(v Value, items []Value) error {
	if !opaque(v) {
		return malformed("%s on %s", d.o.op, typeName(v))
	}
	for _, item := range items {
		d.emit(KindChange, v, item)
	}
	return nil
}

func (d *Decoder) moreOf(o *Object) (*objectMore, error) {
	if o.more == nil {
		if err := d.mem.take(costMore); err != nil {
			return nil, err
		}
		o.more = &objectMore{}
	}
	return o.more, nil
}

// appendTo is APPEND and APPENDS.
func (d *Decoder) appendTo(at int) error {
	v, items, err := d.target(at)
	if err != nil || len(items) == 0 {
		return err
	}
	switch v := v.(type) {
	case *List:
		v.Items, err = d.extend(v.Items, d.dropItems(len(v.Items), items))
	case *Object:
		err = d.addItems(v, items)
	case *ByteArray:
		if err = d.mem.take(int64(len(items)) * 2); err == nil {
			err = appendBytes(v, items)
		}
	default:
		err = d.foreign(v, items)
	}
	return d.done(at, err)
}

func (d *Decoder) addItems(o *Object, items []Value) error {
	if o == d.dropped {
		return d.foreign(o, items)
	}
	more, err := d.moreOf(o)
	if err != nil {
		return err
	}
	if len(more.items) > 0 { // one stays, to show that there are some
		items = d.dropItems(len(more.items), items)
	}
	more.items, err = d.extend(more.items, items)
	return err
}

func appendBytes(b *ByteArray, items []Value) error {
	for _, item := range items {
		n, ok := index(item)
		if !ok || n < 0 || n > 255 {
			return malformed("%s is no byte", typeName(item))
		}
		b.Data = append(b.Data, byte(n))
	}
	return nil
}

// index returns an integer as Python takes it for an index: a boolean is one.
func index(v Value) (int64, bool) {
	switch v := v.(type) {
	case int64:
		return v, true
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	}
	return 0, false
}

// addTo is ADDITEMS.
func (d *Decoder) addTo(at int) error {
	v, items, err := d.target(at)
	if err != nil || len(items) == 0 {
		return err
	}
	switch v := v.(type) {
	case *Set:
		if v.Frozen {
			err = malformed("ADDITEMS on frozenset")
		} else if err = allHashable(items, 1); err == nil {
			v.Items, err = d.extend(v.Items, d.dropItems(len(v.Items), items))
		}
	case *Object:
		err = d.addItems(v, items)
	default:
		err = d.foreign(v, items)
	}
	return d.done(at, err)
}

// setIn is SETITEM and SETITEMS.
func (d *Decoder) setIn(at int) error {
	v, items, err := d.target(at)
	if err != nil || len(items) == 0 {
		return err
	}
	_, isDict := v.(*Dict)
	if err := checkPairs(items, isDict); err != nil {
		return err
	}
	switch v := v.(type) {
	case *Dict:
		v.Pairs, err = d.extendPairs(v.Pairs, d.dropPairs(len(v.Pairs), items))
	case *Object:
		err = d.addPairs(v, items)
	case *List, *ByteArray:
		err = d.setElements(v, items)
	default:
		err = d.foreign(v, items)
	}
	return d.done(at, err)
}

func (d *Decoder) addPairs(o *Object, items []Value) error {
	if o == d.dropped {
		return d.foreign(o, items)
	}
	more, err := d.moreOf(o)
	if err != nil {
		return err
	}
	if len(more.pairs) == 0 {
		if more.pairs, err = d.extendPairs(nil, items[:2]); err != nil {
			return err
		}
		items = items[2:]
	}
	more.pairs, err = d.extendPairs(more.pairs, d.dropPairs(len(more.pairs), items))
	return err
}

// setElements is SETITEM on a list or bytearray, which works in Python and
// which no pickler writes.
func (d *Decoder) setElements(v Value, items []Value) error {
	for i := 0; i < len(items); i += 2 {
		n, ok := index(items[i])
		size := 0
		list, isList := v.(*List)
		array, _ := v.(*ByteArray)
		if isList {
			size = len(list.Items)
		} else {
			size = len(array.Data)
		}
		if n < 0 {
			n += int64(size)
		}
		if ok && isList && d.Drop != nil && (n < 0 || n >= int64(size)) {
			d.emit(KindChange, v, items[i+1]) // of an entry that may have been dropped
			continue
		}
		if !ok || n < 0 || n >= int64(size) {
			return malformed("no element to set in %s", typeName(v))
		}
		if isList {
			list.Items[n] = items[i+1]
		} else if b, ok := index(items[i+1]); ok && b >= 0 && b <= 255 {
			array.Data[n] = byte(b)
		} else {
			return malformed("%s is no byte", typeName(items[i+1]))
		}
		d.emit(KindChange, v, items[i+1])
	}
	return nil
}
