package pickle

// object executes the opcodes that import, call, or ask the loader.
func (d *Decoder) object() error {
	o := &d.o
	switch o.op {
	case opGlobal:
		sym, err := d.written(o.first, o.data)
		if err != nil {
			return err
		}
		return d.push(sym)
	case opStackGlobal:
		return d.stackGlobal()
	case opReduce, opNewobj:
		args, err := d.pop()
		if err != nil {
			return err
		}
		fn, err := d.pop()
		if err != nil {
			return err
		}
		return d.call(fn, args, nil)
	case opNewobjEx:
		return d.newobjEx()
	case opObj:
		m, err := d.popMark()
		if err != nil {
			return err
		}
		if len(d.stack) <= m {
			return d.underflow()
		}
		return d.instance(d.stack[m], m, m+1)
	case opInst:
		m, err := d.popMark()
		if err != nil {
			return err
		}
		sym, err := d.written(o.first, o.data)
		if err != nil {
			return err
		}
		return d.instance(sym, m, m)
	case opBuild:
		return d.build()
	case opPersid:
		return d.persistent(string(o.data), costValue+rounded(len(o.data)))
	case opBinpersid:
		id, err := d.pop()
		if err != nil {
			return err
		}
		return d.persistent(id, 0)
	}
	return d.extension()
}

// nameSlot is the one of n places where the name that was met last is kept. The
// module and the name have a byte at least.
func nameSlot(module, name []byte, n int) int {
	return (7*len(module) + len(name) + 3*int(module[0]) + int(name[0])) % n
}

// A writtenName is a name as it was met last: a pickle may have one a million times.
type writtenName struct{ module, name, newModule, newName string }

// written is symbol for the lines of an opcode.
func (d *Decoder) written(module, name []byte) (*Symbol, error) {
	at := &d.names[nameSlot(module, name, len(d.names))]
	if at.module != string(module) || at.name != string(name) {
		*at = writtenName{module: string(module), name: string(name)}
		at.newModule, at.newName = renamed(at.module, at.name)
	}
	return d.symbol(at)
}

// symbol makes the node of an imported name. It is reported before anything
// else can fail: to import is to run.
func (d *Decoder) symbol(w *writtenName) (*Symbol, error) {
	if err := d.mem.take(costSymbol + rounded(len(w.module)) + rounded(len(w.name))); err != nil {
		return nil, err
	}
	s := &Symbol{Module: w.module, Name: w.name, WrittenModule: w.module, WrittenName: w.name, Offset: d.o.off, Op: d.o.op, Protocol: d.proto}
	if d.proto < 3 {
		s.Module, s.Name = w.newModule, w.newName
	}
	d.emit(KindGlobal, s, nil)
	return s, nil
}

func (d *Decoder) stackGlobal() error {
	name, err := d.pop()
	if err != nil {
		return err
	}
	module, err := d.pop()
	if err != nil {
		return err
	}
	m, mKnown, err := namePart(module)
	if err != nil {
		return err
	}
	n, nKnown, err := namePart(name)
	if err != nil {
		return err
	}
	if mKnown && nKnown {
		w := writtenName{module: m, name: n}
		if d.proto < 3 {
			w.newModule, w.newName = renamed(m, n)
		}
		sym, err := d.symbol(&w)
		if err != nil {
			return err
		}
		return d.push(sym)
	}
	if err := d.mem.take(costSymbol); err != nil {
		return err
	}
	s := &Symbol{Module: m, Name: n, WrittenModule: m, WrittenName: n,
		Offset: d.o.off, Op: d.o.op, Protocol: d.proto, Computed: true}
	d.emit(KindGlobal, s, nil)
	d.emit(KindComputed, s, nil)
	return d.push(s)
}

// namePart returns an operand of STACK_GLOBAL if it is text. A name that is
// the result of a call passes in Python, but nobody knows it without calling.
func namePart(v Value) (s string, known bool, err error) {
	if s, ok := Text(v); ok {
		return s, true, nil
	}
	if r, ok := v.(Range); ok && opcodes[r.Op].arg != argStr8 {
		return "", false, nil
	}
	if opaque(v) {
		return "", false, nil
	}
	return "", false, malformed("name is of type %s", typeName(v))
}

// call pushes the node of a call that is not made.
func (d *Decoder) call(fn, args, kwargs Value) error {
	if !opaque(fn) {
		return malformed("%s is not callable", typeName(fn))
	}
	if _, ok := args.(*Tuple); !ok && !opaque(args) {
		return malformed("arguments are %s, not a tuple", typeName(args))
	}
	obj, err := d.newObject()
	if err != nil {
		return err
	}
	*obj = Object{Callable: fn, Args: args, Offset: d.o.off, Op: d.o.op}
	if kwargs != nil {
		more, err := d.moreOf(obj)
		if err != nil {
			return err
		}
		more.kwargs = kwargs
	}
	d.emit(KindCall, obj, nil)
	if d.Pack != nil {
		n := d.Pack(obj)
		if err := d.mem.take(n); err != nil {
			return err
		}
		d.packed += n
	}
	return d.push(d.dropCall(obj))
}

func (d *Decoder) newObject() (*Object, error) {
	if d.lean() { // one that is kept would keep all of an array
		return new(Object), d.mem.take(costNode + costNumber)
	}
	return d.objects.one(costNode, &d.mem)
}

func (d *Decoder) newobjEx() error {
	kwargs, err := d.pop()
	if err != nil {
		return err
	}
	args, err := d.pop()
	if err != nil {
		return err
	}
	fn, err := d.pop()
	if err != nil {
		return err
	}
	if _, ok := kwargs.(*Dict); !ok && !opaque(kwargs) {
		return malformed("keyword arguments are %s, not a dict", typeName(kwargs))
	}
	return d.call(fn, args, kwargs)
}

// instance is OBJ and INST: the arguments stand on the stack from args on,
// and all from height at on is replaced by the object.
func (d *Decoder) instance(fn Value, at, args int) error {
	t, err := d.newTuple(d.stack[args:])
	if err != nil {
		return err
	}
	clear(d.stack[at:])
	d.stack = d.stack[:at]
	return d.call(fn, t, nil)
}

func (d *Decoder) persistent(id Value, cost int64) error {
	if err := d.mem.take(cost); err != nil {
		return err
	}
	p := new(Persistent)
	var err error
	if d.lean() {
		err = d.mem.take(costRef)
	} else {
		p, err = d.refs.one(costRef, &d.mem)
	}
	if err != nil {
		return err
	}
	*p = Persistent{ID: id, Offset: d.o.off, Op: d.o.op}
	d.emit(KindPersistent, p, nil)
	return d.push(p)
}

func (d *Decoder) extension() error {
	if d.o.n <= 0 {
		return malformed("extension code %d", d.o.n)
	}
	if err := d.mem.take(costRef); err != nil {
		return err
	}
	e := &Extension{Code: d.o.n, Offset: d.o.off, Op: d.o.op}
	d.emit(KindExtension, e, nil)
	return d.push(e)
}

func (d *Decoder) build() error {
	if len(d.stack)-2 < d.fence() {
		return d.underflow()
	}
	state, err := d.pop()
	if err != nil {
		return err
	}
	v := d.stack[len(d.stack)-1]
	if opaque(v) {
		d.emit(KindBuild, v, state)
	}
	obj, ok := v.(*Object)
	if !ok {
		if !opaque(v) && emptyState(state) {
			return nil // CPython finds nothing to set, on whatever it is
		}
		return d.foreign(v, []Value{state})
	}
	if obj == d.dropped {
		// No pickler gives a state to what is dropped: to tensors.
		d.emit(KindChange, v, state)
		return nil
	}
	more, err := d.moreOf(obj)
	if err != nil {
		return err
	}
	if more.states, err = d.extend(more.states, []Value{state}); err != nil {
		return err
	}
	if d.RawAfterBuild == nil {
		return nil
	}
	return d.raw(obj, more)
}

// emptyState tells whether load_build sets nothing for a state: None, or None
// with an empty dict of slots. An empty dict is looked for a place already.
func emptyState(state Value) bool {
	if t, ok := state.(*Tuple); ok && len(t.Items) == 2 {
		slots, ok := t.Items[1].(*Dict)
		return t.Items[0] == nil && ok && len(slots.Pairs) == 0
	}
	return state == nil
}

// raw lets the caller claim the bytes that follow.
func (d *Decoder) raw(obj *Object, more *objectMore) error {
	off := d.s.offset()
	n, err := d.RawAfterBuild(obj, off)
	if err != nil || n == 0 {
		return err
	}
	if n < 0 || n > d.s.left() {
		return errShort
	}
	more.rawOff, more.rawLen = off, n
	d.emit(KindRaw, obj, nil)
	d.s.skip(n)
	if d.s.frameEnd > off {
		// joblib ends the frame before an array.
		if d.StrictFrames {
			return malformed("raw bytes in a frame")
		}
		d.emit(KindFrame, obj, nil)
	}
	d.s.frameEnd = 0
	return nil
}
