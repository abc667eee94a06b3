package pickle

// Limits bounds what one [Decoder] does for its input, over all pickles it
// reads. A field that is zero stands for the default.
type Limits struct {
	Memory  int64 // bytes of values, stack and memo together; default: the input's size and 64 MiB
	Opcodes int64 // executed, a number in text that takes long to round counting as 256; default 1<<30
	Memo    int64 // entries of the memo; default 1<<24
	Stack   int64 // values on the stack; default 1<<24
	Marks   int64 // open marks; default 1<<22
	// String is the length in bytes over which strings and bytes are left in
	// the file and represented by a [Range]. A name, a line with a number or
	// a binary integer that long is an error. Default 16 MiB.
	String int64
	Digits int64 // decimal digits of an integer in text; default 4300, as in CPython
}

func (l Limits) withDefaults(size int64) Limits {
	set := func(p *int64, def int64) {
		if *p <= 0 {
			*p = def
		}
	}
	set(&l.Memory, size+64<<20)
	set(&l.Opcodes, 1<<30)
	set(&l.Memo, 1<<24)
	set(&l.Stack, 1<<24)
	set(&l.Marks, 1<<22)
	set(&l.String, 16<<20)
	set(&l.Digits, 4300)
	return l
}

// What a node costs, in bytes, as the Go runtime lays it out.
const (
	costValue  = 16 // an interface: an element, a stack slot, a memo entry
	costNumber = 8
	costHeader = 24 // of a slice in an interface, List, Dict, ByteArray
	costBig    = 96 // a big.Int beside its digits, with the room it leaves
	costSet    = 32
	costNode   = 56  // Object
	costMore   = 144 // the part of an Object that most have not
	costSymbol = 96
	costRef    = 32 // Persistent, Extension, Range
	costMemo   = 80 // an entry of the memo's map, with the map's slack
)

// rounded returns what n bytes take. The classes stand closer than this at
// some sizes, never further apart.
func rounded(n int) int64 {
	step := 8
	switch {
	case n > 32<<10:
		step = 8 << 10
	case n > 1024:
		return int64(n) + int64(n/8)
	case n > 512:
		step = 128
	case n > 256:
		step = 32
	case n > 32:
		step = 16
	}
	return int64((n + step - 1) / step * step)
}

// budget counts what decoding keeps. What has become garbage stays counted,
// which errs on the safe side, but for the copies of long strings.
type budget struct {
	used, max int64
	work      *int64 // what is left, or nil
}

func (b *budget) take(n int64) error {
	if n > b.max-b.used {
		return &LimitError{"Memory", b.max}
	}
	b.used += n
	spend(b.work, n/perTaken) // to clear it, and for the collector
	return nil
}
