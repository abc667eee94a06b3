package pickle

import (
	"bytes"
	"io"
)

// Unmarshal reads the pickle at the beginning of data. What follows it is
// ignored; a [Decoder] tells where it ended. Empty data is io.EOF.
func Unmarshal(data []byte) (Value, error) {
	return NewDecoder(bytes.NewReader(data), 0, int64(len(data))).Decode()
}

// Decoder reads pickles that stand back to back. The fields are to be set
// before the first call of Decode.
type Decoder struct {
	Limits Limits

	// StrictFrames makes a violation of protocol 4's frames an error, as in
	// the newest CPython. If false it is an event, and reading goes on in the
	// order of the bytes.
	StrictFrames bool

	// OnEvent, if not nil, is called for every event in the order of the
	// file. An object may be filled further by opcodes that follow.
	OnEvent func(Event)

	// RawAfterBuild, if not nil, is called after BUILD has set the state of
	// an object, with the offset of what follows. It returns how many bytes
	// to skip there: joblib puts arrays between the opcodes. An error of it
	// ends Decode.
	RawAfterBuild func(obj *Object, offset int64) (int64, error)

	// OnString, if not nil, is called for every string and bytes that an
	// opcode has, with the opcode and its offset: a string, [ByteString], []byte,
	// [*ByteArray] or [Range].
	OnString func(v Value, op Op, offset int64)

	// Drop, if not nil, is asked what need not be kept: about the result of
	// every call, after OnEvent, with a nil key; and about what goes into a list
	// or a dict, if it is plain data behind the first entries, or such a result.
	// It is for those who judge files of a million tensors and use none of them.
	// Another [*Object] without arguments stands for all results that were dropped,
	// and lists and dicts leave out, with its key, what was. The memory of
	// what was dropped is available again. The opcodes are read twice.
	Drop func(key, value Value) bool

	// Pack, if not nil, is called for the result of every call, after OnEvent. It
	// may put a value of its own type in the place of the arguments, from which it
	// can tell all that is needed of them, and returns how many bytes that takes:
	// it counts as held from then on. [Walk] takes it for a scalar. The memory of
	// what it stands for is available again, and the opcodes are read twice, as
	// with Drop.
	Pack func(*Object) int64

	// Work, if not nil, is what is left of a bound on time, in units of about a
	// nanosecond. What is read takes from it, by its opcodes and lengths and never by
	// a clock, so that the same input always comes as far; where nothing is left
	// Decode ends with a [LimitError]. Several Decoders may share it, and the functions
	// that they call may take from it for what they do.
	Work *int64

	s       scanner
	o       operand
	mem     budget
	lim     Limits
	started bool
	err     error
	broken  error // that Break was given
	opcodes int64
	slow    int64 // what numbers count as beside that

	stack []Value
	marks []int
	memo  memo
	empty *Tuple    // the one () of Python
	ints  [64]Value // boxed integers to use again
	names [8]writtenName

	tuples  slab[Tuple]
	values  slab[Value]
	objects slab[Object]
	refs    slab[Persistent]

	dropped *Object        // stands for results that were dropped
	shared  map[Value]bool // what is in more than one place, by the turn of its last visit
	turn    bool
	held    []Value
	packed  int64 // bytes
	counted bool  // the census has found most of the memory in use
	surveys bool  // of short pickles too, for tests
	most    int64 // of Work, at the beginning
	largest largestKey

	first    int64 // offset of the pickle
	proto    uint8 // that PROTO said last
	tooNew   bool  // an opcode of a later protocol was reported
	protocol bool  // PROTO was seen
}

// NewDecoder returns a decoder of the pickles in r from offset to end, which
// are absolute: so are the offsets in events and errors.
func NewDecoder(r io.ReaderAt, offset, end int64) *Decoder {
	d := &Decoder{empty: &Tuple{}}
	d.s = scanner{r: r, base: offset, end: max(end, offset)}
	return d
}

// Offset returns where the next pickle, or whatever else, begins: after the
// STOP of the last.
func (d *Decoder) Offset() int64 { return d.s.offset() }

// Break ends Decode with an error, in an [*Error], behind the opcode that is
// executed. It is for the functions that Decode calls.
func (d *Decoder) Break(err error) { d.broken = err }

// LargestKey returns the largest key of the memo that the last pickle puts something
// under, with the opcode that does and its offset. Python takes memory for as many.
func (d *Decoder) LargestKey() (key int64, op Op, offset int64) {
	return d.largest.key, d.largest.op, d.largest.off
}

type largestKey struct {
	key int64
	op  Op
	off int64
}

// Decode reads the next pickle. At the end of the input it returns io.EOF
// itself, and any other error as an [*Error]; after an error it returns the
// same error again.
func (d *Decoder) Decode() (Value, error) {
	d.start()
	if d.err != nil {
		return nil, d.err
	}
	if d.s.left() == 0 {
		return nil, io.EOF
	}
	d.marks, d.first, d.proto, d.tooNew, d.protocol = d.marks[:0], d.s.offset(), 0, false, false
	d.memo.reset()
	d.largest = largestKey{}
	d.s.frameEnd = 0
	if !spend(d.Work, workStart) {
		d.o = operand{off: d.first}
		d.err = &Error{Offset: d.first, Err: workLimit(d.most)}
		return nil, d.err
	}
	d.survey()
	v, err := d.run()
	clear(d.stack)
	d.stack = d.stack[:0]
	if err != nil {
		d.err = &Error{Offset: d.o.off, Op: d.o.op, Err: err}
		return nil, d.err
	}
	return v, nil
}

// start applies the settings at the first call.
func (d *Decoder) start() {
	if d.started {
		return
	}
	d.started = true
	d.lim = d.Limits.withDefaults(d.s.left())
	d.mem.max, d.mem.work = d.lim.Memory, d.Work
	d.s.lim, d.s.mem, d.s.work = d.lim, &d.mem, d.Work
	if d.Work != nil {
		d.most = *d.Work
	}
}

func (d *Decoder) run() (Value, error) {
	for {
		if err := d.s.next(&d.o); err != nil {
			return nil, err
		}
		d.opcodes++
		if d.slow += d.o.slow; d.opcodes+d.slow > d.lim.Opcodes {
			return nil, &LimitError{"Opcodes", d.lim.Opcodes}
		}
		if !spend(d.Work, int64(opWork[d.o.op])+d.o.work) {
			return nil, workLimit(d.most)
		}
		if err := d.irregular(); err != nil {
			return nil, err
		}
		if d.o.op == opStop {
			return d.stop()
		}
		if err := d.step(); err != nil {
			return nil, err
		}
		if d.broken != nil {
			return nil, d.broken
		}
		if d.lean() && !d.counted && d.mem.used > d.lim.Memory/4*3 {
			d.census()
		}
	}
}

func (d *Decoder) emit(k Kind, v, arg Value) {
	if d.OnEvent != nil {
		d.OnEvent(Event{Kind: k, Op: d.o.op, Offset: d.o.off, Value: v, Arg: arg})
	}
}

func (d *Decoder) emitDetail(k Kind, detail string) {
	if d.OnEvent != nil {
		d.OnEvent(Event{Kind: k, Op: d.o.op, Offset: d.o.off, Detail: detail})
	}
}

// irregular reports what is odd about the opcode as it is written.
func (d *Decoder) irregular() error {
	o := &d.o
	if o.frame {
		if d.StrictFrames {
			return malformed("crosses the end of a frame")
		}
		d.emit(KindFrame, nil, nil)
	}
	if o.odd {
		kind := KindNumber
		if o.op == opString || o.op == opUnicode {
			kind = KindText
		}
		d.emitDetail(kind, string(o.text[:min(len(o.text), 256)]))
	}
	if p := opcodes[o.op].proto; p >= 2 && p > d.proto && !d.tooNew && o.op != opProto {
		d.tooNew = true
		d.emitDetail(KindProtocol, "opcode of a later protocol than declared")
	}
	return nil
}

func (d *Decoder) stop() (Value, error) {
	v, err := d.pop()
	if err != nil {
		return nil, err
	}
	if len(d.stack) > 0 || len(d.marks) > 0 {
		d.emit(KindLeftover, nil, nil)
	}
	return v, nil
}

// step executes an opcode.
func (d *Decoder) step() error {
	o := &d.o
	switch o.op {
	case opBinput, opLongBinput, opPut:
		return d.put(o.n)
	case opMemoize:
		return d.put(d.memo.size)
	case opBinget, opLongBinget, opGet:
		v, ok := d.memo.get(o.n)
		if !ok {
			return malformed("memo has no entry %d", o.n)
		}
		if err := d.share(v); err != nil {
			return err
		}
		return d.push(v)
	case opBinint, opBinint1, opBinint2, opLong1, opLong4, opInt, opLong:
		return d.pushInt()
	case opBinunicode, opShortBinunicode, opBinunicode8, opUnicode,
		opString, opBinstring, opShortBinstring,
		opBinbytes, opShortBinbytes, opBinbytes8, opBytearray8:
		return d.pushString()
	case opMark:
		return d.mark()
	case opTuple1:
		return d.tuple(len(d.stack) - 1)
	case opTuple2:
		return d.tuple(len(d.stack) - 2)
	case opTuple3:
		return d.tuple(len(d.stack) - 3)
	case opTuple:
		return d.markedTuple()
	case opEmptyTuple:
		return d.push(d.empty)
	case opEmptyList:
		return d.pushNode(&List{}, costHeader)
	case opEmptyDict:
		return d.pushNode(&Dict{}, costHeader)
	case opEmptySet:
		return d.pushNode(&Set{}, costSet)
	case opNone:
		return d.push(nil)
	case opNewtrue:
		return d.push(true)
	case opNewfalse:
		return d.push(false)
	case opBinfloat, opFloat:
		return d.pushNode(o.f, costNumber)
	case opList, opDict, opFrozenset:
		return d.collect()
	case opAppend:
		return d.appendTo(len(d.stack) - 1)
	case opAppends, opAdditems:
		m, err := d.popMark()
		if err != nil {
			return err
		}
		if o.op == opAdditems {
			return d.addTo(m)
		}
		return d.appendTo(m)
	case opSetitem:
		return d.setIn(len(d.stack) - 2)
	case opSetitems:
		m, err := d.popMark()
		if err != nil {
			return err
		}
		return d.setIn(m)
	}
	return d.rare()
}

// rare executes the opcodes that move no plain data.
func (d *Decoder) rare() error {
	o := &d.o
	switch o.op {
	case opProto:
		if o.n > 5 {
			return malformed("protocol %d", o.n)
		}
		if d.protocol || o.off != d.first {
			d.emitDetail(KindProtocol, "PROTO is not the first opcode")
		}
		d.protocol, d.proto = true, uint8(o.n)
		return nil
	case opFrame:
		return nil
	case opPop:
		return d.popAny()
	case opPopMark:
		m, err := d.popMark()
		if err == nil {
			d.drop(m)
		}
		return err
	case opDup:
		if len(d.stack) <= d.fence() {
			return d.underflow()
		}
		if err := d.share(d.stack[len(d.stack)-1]); err != nil {
			return err
		}
		return d.push(d.stack[len(d.stack)-1])
	case opNextBuffer:
		return malformed("buffer outside of the pickle")
	case opReadonlyBuffer:
		if len(d.stack) <= d.fence() {
			return d.underflow()
		}
		return nil
	}
	return d.object()
}

// fence is the height of the stack below which only a mark lets pop.
func (d *Decoder) fence() int {
	if n := len(d.marks); n > 0 {
		return d.marks[n-1]
	}
	return 0
}

func (d *Decoder) underflow() error {
	if len(d.marks) > 0 {
		return malformed("unexpected mark")
	}
	return malformed("stack is empty")
}

func (d *Decoder) push(v Value) error {
	if len(d.stack) == cap(d.stack) {
		if int64(len(d.stack)) >= d.lim.Stack {
			return &LimitError{"Stack", d.lim.Stack}
		}
		var err error
		if d.stack, err = grow(d.stack, int(min(64, d.lim.Stack)), &d.mem); err != nil {
			return err
		}
		if len(d.stack) > plainStack && !spend(d.Work, int64(cap(d.stack))*workGrown) {
			return workLimit(d.most)
		}
	}
	if int64(len(d.stack)) >= d.lim.Stack {
		return &LimitError{"Stack", d.lim.Stack}
	}
	d.stack = append(d.stack, v)
	return nil
}

// pushNode pushes a new value of which cost bytes stand beside the stack.
func (d *Decoder) pushNode(v Value, cost int64) error {
	if err := d.mem.take(cost); err != nil {
		return err
	}
	return d.push(v)
}

func (d *Decoder) pop() (Value, error) {
	n := len(d.stack)
	if n <= d.fence() {
		return nil, d.underflow()
	}
	v := d.stack[n-1]
	d.stack[n-1] = nil
	d.stack = d.stack[:n-1]
	return v, nil
}

// drop cuts the stack to n values.
func (d *Decoder) drop(n int) {
	for _, v := range d.stack[n:] {
		d.discard(v)
	}
	clear(d.stack[n:])
	d.stack = d.stack[:n]
}

// discard reports a popped import or call: to pop its result is a way to make
// a call that the loaded value does not show.
func (d *Decoder) discard(v Value) {
	if d.OnEvent != nil && opaque(v) {
		d.emit(KindDiscard, v, nil)
	}
}

func (d *Decoder) mark() error {
	if int64(len(d.marks)) >= d.lim.Marks {
		return &LimitError{"Marks", d.lim.Marks}
	}
	if len(d.marks) == cap(d.marks) {
		size := max(16, 2*cap(d.marks))
		if err := d.mem.take(int64(size-cap(d.marks)) * 8); err != nil {
			return err
		}
		d.marks = append(make([]int, 0, size), d.marks...)
	}
	d.marks = append(d.marks, len(d.stack))
	return nil
}

// popMark removes the last mark and returns the height it stood at.
func (d *Decoder) popMark() (int, error) {
	n := len(d.marks)
	if n == 0 {
		return 0, malformed("no mark")
	}
	m := d.marks[n-1]
	d.marks = d.marks[:n-1]
	return m, nil
}

// popAny is POP, which takes a mark if one is on top.
func (d *Decoder) popAny() error {
	if n := len(d.marks); n > 0 && d.marks[n-1] == len(d.stack) {
		d.marks = d.marks[:n-1]
		return nil
	}
	v, err := d.pop()
	if err == nil {
		d.discard(v)
	}
	return err
}

func (d *Decoder) put(key int64) error {
	if key < 0 {
		return malformed("negative memo key")
	}
	n := len(d.stack)
	if n <= d.fence() {
		return d.underflow()
	}
	if d.memo.lean && d.memo.wanted.has(key) {
		if err := d.share(d.stack[n-1]); err != nil { // as it will be
			return err
		}
	}
	if key > d.largest.key {
		d.largest = largestKey{key, d.o.op, d.o.off}
	}
	replaced, err := d.memo.put(key, d.stack[n-1], &d.lim, &d.mem)
	if replaced {
		d.emit(KindMemo, d.stack[n-1], nil)
	}
	return err
}

func (d *Decoder) pushInt() error {
	switch {
	case d.o.bool:
		return d.push(d.o.n != 0)
	case d.o.big != nil:
		return d.push(d.o.big) // accounted where it was read
	case uint64(d.o.n) < 256:
		return d.push(d.o.n) // Go has these boxed
	}
	// A checkpoint repeats few numbers many times: the sizes of its layers.
	box := &d.ints[uint64(d.o.n)%uint64(len(d.ints))]
	if *box != Value(d.o.n) {
		if err := d.mem.take(costNumber); err != nil {
			return err
		}
		*box = d.o.n
	}
	return d.push(*box)
}

func (d *Decoder) pushString() error {
	v, cost := d.o.stringValue()
	if d.OnString != nil {
		d.OnString(v, d.o.op, d.o.off)
	}
	if err := d.pushNode(v, cost); err != nil {
		return err
	}
	if _, isText := v.(string); isText && d.o.own {
		d.mem.used -= rounded(len(d.o.data)) // v is a copy
	}
	return nil
}
