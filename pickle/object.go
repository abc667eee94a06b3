package pickle

// Symbol is a name the pickle imports (GLOBAL, STACK_GLOBAL, INST).
type Symbol struct {
	// Module and Name are what Python 3 would import. From protocol 4 on, and
	// only there, a name with dots walks attributes.
	Module, Name string
	// WrittenModule and WrittenName are what the file says. They differ where
	// a pickle of protocol 0 to 2 uses a name that Python 3 has renamed, such
	// as __builtin__.
	WrittenModule, WrittenName string
	Offset                     int64 // of the opcode
	Op                         Op
	Protocol                   uint8 // in force where the name was read
	// Computed says that a part of the name is the result of a call and
	// cannot be known. That part is empty.
	Computed bool
}

// String returns the module and the name, joined by a dot.
func (s *Symbol) String() string { return s.Module + "." + s.Name }

// Is tells whether s is the name, of that module. It is false for a nil
// symbol and for one whose name was computed.
func (s *Symbol) Is(module, name string) bool {
	return s != nil && !s.Computed && s.Module == module && s.Name == name
}

// Object is the result of a call that was not made. Op tells how it would
// have been made:
//
//	REDUCE      Callable(*Args)
//	NEWOBJ      Callable.__new__(Callable, *Args)
//	NEWOBJ_EX   Callable.__new__(Callable, *Args, **Kwargs)
//	OBJ, INST   Callable(*Args)
//
// Opcodes that follow may have put state and items into it.
type Object struct {
	Callable Value // a *Symbol, as a rule
	Args     Value // a *Tuple, as a rule
	Offset   int64 // of the opcode
	Op       Op
	more     *objectMore
}

// objectMore keeps apart what most objects of a checkpoint have none of.
type objectMore struct {
	kwargs Value
	states []Value
	items  []Value
	pairs  []Pair
	rawOff int64
	rawLen int64
}

// Symbol returns the callable if it is a plain name, else nil.
func (o *Object) Symbol() *Symbol {
	s, _ := o.Callable.(*Symbol)
	return s
}

// ArgList returns the arguments if they are a tuple, else nil.
func (o *Object) ArgList() []Value {
	if t, ok := o.Args.(*Tuple); ok {
		return t.Items
	}
	return nil
}

// Kwargs returns the keyword arguments of NEWOBJ_EX, a [*Dict] as a rule.
func (o *Object) Kwargs() Value {
	if o.more == nil {
		return nil
	}
	return o.more.kwargs
}

// States returns what was given to the object by BUILD, in order; there is
// one at most in all but odd files.
func (o *Object) States() []Value {
	if o.more == nil {
		return nil
	}
	return o.more.states
}

// Items returns what was appended (APPEND, APPENDS) or added (ADDITEMS).
func (o *Object) Items() []Value {
	if o.more == nil {
		return nil
	}
	return o.more.items
}

// Pairs returns what was set by key (SETITEM, SETITEMS), in order.
func (o *Object) Pairs() []Pair {
	if o.more == nil {
		return nil
	}
	return o.more.pairs
}

// Get returns the last of the pairs with that key, as [Dict.Get] does.
func (o *Object) Get(key string) (Value, bool) { return lookup(o.Pairs(), key) }

// Raw returns the range that [Decoder.RawAfterBuild] claimed for the object.
// The length is zero if it claimed none.
func (o *Object) Raw() (offset, length int64) {
	if o.more == nil {
		return 0, 0
	}
	return o.more.rawOff, o.more.rawLen
}

// Persistent is an object that lives outside of the pickle, such as the
// storage of a tensor (PERSID, BINPERSID).
type Persistent struct {
	ID     Value // a string for PERSID
	Offset int64
	Op     Op
}

// Extension is a code of Python's extension registry (EXT1, EXT2, EXT4). What
// it means depends on the process that loads it.
type Extension struct {
	Code   int64
	Offset int64
	Op     Op
}
