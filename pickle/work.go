package pickle

import "math"

// What reading takes, in units of half a nanosecond to one, on a processor of 2020.
// They stand in a table and no clock is asked, so that the same bytes are always read
// as far. They were measured with [Decoder.Drop], and rounded up.
const (
	workSkim   = 8  // an opcode of which only names are of interest
	workLine   = 20 // an operand that is a line
	workLookup = 70 // of a word, or of a key that is not dense
	workWord   = 8
	workName   = 600  // a name that is told
	workRead   = 1000 // for asking for bytes of the input
	workStart  = 400  // for a pickle, before its first opcode
	workResume = 200
	workHeld   = 20 // a value that is held, where they are counted
	workFloat  = 60 * slowCost
	perWork    = 4    // bytes that are read of the input for one unit
	perRead    = 2    // of those that are read for names, or before they are executed
	perTaken   = 4    // bytes of memory for one unit
	workGrown  = 64   // a value that a stack has room for which has grown: it is copied, and what it was is collected
	plainStack = 4096 // values, of which picklers have a thousand and some
)

// opWork is what a Decoder takes for an opcode, beside its operand's length.
var opWork = [256]uint8{
	opMark: 20, opEmptyTuple: 25, opStop: 60, opPop: 30, opPopMark: 40, opDup: 45, opNone: 30, opNewtrue: 30, opNewfalse: 30,
	opBinbytes: 150, opShortBinbytes: 150, opBinbytes8: 150, opBytearray8: 150,
	opString: 150, opBinstring: 140, opShortBinstring: 140, opUnicode: 150, opBinunicode: 90, opShortBinunicode: 90, opBinunicode8: 90,
	opFloat: 160, opBinfloat: 60, opInt: 110, opLong: 110, opBinint: 60, opBinint1: 45, opBinint2: 50, opLong1: 150, opLong4: 150,
	opPersid: 150, opBinpersid: 110, opReduce: 150, opNewobj: 200, opNewobjEx: 220, opObj: 250, opInst: 250,
	opGlobal: 150, opStackGlobal: 220, opBuild: 150, opExt1: 100, opExt2: 100, opExt4: 100,
	opAppend: 80, opAppends: 60, opSetitem: 110, opSetitems: 80, opAdditems: 120,
	opTuple: 70, opTuple1: 70, opTuple2: 70, opTuple3: 70, opList: 110, opDict: 130, opFrozenset: 140,
	opEmptyList: 75, opEmptyDict: 75, opEmptySet: 80,
	opPut: 170, opBinput: 30, opLongBinput: 30, opMemoize: 36, opGet: 70, opBinget: 25, opLongBinget: 25,
	opProto: 40, opFrame: 40, opNextBuffer: 20, opReadonlyBuffer: 20,
}

// digitsWork is what n digits take to be read beside the line that they stand in:
// with binary ones the bits are moved once, with decimal ones time is quadratic.
func digitsWork(n int) int64 {
	if n < 20 {
		return int64(n)
	}
	return 100 + 4*int64(n) + int64(n)*int64(n)/500
}

// spend takes n units of what is left, if that is bounded.
func spend(left *int64, n int64) bool {
	if left == nil {
		return true
	}
	*left -= n
	return *left >= 0
}

// workLimit is the error where nothing is left.
func workLimit(most int64) error { return &LimitError{"Work", most} }

// unbounded is for those who give no bound.
const unbounded = math.MaxInt64
