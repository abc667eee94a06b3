package pickle

import "fmt"

// Op is the byte of an opcode: 'R' is REDUCE, 0x93 STACK_GLOBAL. [Op.String]
// gives the name that Python's pickletools gives it.
type Op byte

func (op Op) String() string {
	if name := opcodes[op].name; name != "" {
		return name
	}
	return fmt.Sprintf("0x%02x", byte(op))
}

// argKind is the form of the operand that stands behind an opcode.
type argKind uint8

const (
	argNone argKind = iota
	argU8
	argU16
	argI32
	argU32
	argU64
	argF64     // big-endian
	argIntLine // text up to a newline, like all the lines below
	argLongLine
	argFloatLine
	argStringLine  // quoted, with escapes
	argUnicodeLine // raw-unicode-escape
	argLine
	argLines // two lines: module and name
	argLong1 // u8 length, two's complement
	argLong4 // i32 length, two's complement
	argStr1  // u8 length, bytes
	argStr4
	argStr8
	argUTF1 // u8 length, UTF-8 that may hold surrogates
	argUTF4
	argUTF8
)

// opInfo describes an opcode. The stack effect is the disassembler's: pops
// counts what is taken below the mark where mark is set.
type opInfo struct {
	name       string
	arg        argKind
	mark       bool
	pops, push uint8
	proto      uint8 // the protocol that brought it
}

const (
	opMark            Op = 0x28
	opEmptyTuple      Op = 0x29
	opStop            Op = 0x2e
	opPop             Op = 0x30
	opPopMark         Op = 0x31
	opDup             Op = 0x32
	opBinbytes        Op = 0x42
	opShortBinbytes   Op = 0x43
	opFloat           Op = 0x46
	opBinfloat        Op = 0x47
	opInt             Op = 0x49
	opBinint          Op = 0x4a
	opBinint1         Op = 0x4b
	opLong            Op = 0x4c
	opBinint2         Op = 0x4d
	opNone            Op = 0x4e
	opPersid          Op = 0x50
	opBinpersid       Op = 0x51
	opReduce          Op = 0x52
	opString          Op = 0x53
	opBinstring       Op = 0x54
	opShortBinstring  Op = 0x55
	opUnicode         Op = 0x56
	opBinunicode      Op = 0x58
	opEmptyList       Op = 0x5d
	opAppend          Op = 0x61
	opBuild           Op = 0x62
	opGlobal          Op = 0x63
	opDict            Op = 0x64
	opAppends         Op = 0x65
	opGet             Op = 0x67
	opBinget          Op = 0x68
	opInst            Op = 0x69
	opLongBinget      Op = 0x6a
	opList            Op = 0x6c
	opObj             Op = 0x6f
	opPut             Op = 0x70
	opBinput          Op = 0x71
	opLongBinput      Op = 0x72
	opSetitem         Op = 0x73
	opTuple           Op = 0x74
	opSetitems        Op = 0x75
	opEmptyDict       Op = 0x7d
	opProto           Op = 0x80
	opNewobj          Op = 0x81
	opExt1            Op = 0x82
	opExt2            Op = 0x83
	opExt4            Op = 0x84
	opTuple1          Op = 0x85
	opTuple2          Op = 0x86
	opTuple3          Op = 0x87
	opNewtrue         Op = 0x88
	opNewfalse        Op = 0x89
	opLong1           Op = 0x8a
	opLong4           Op = 0x8b
	opShortBinunicode Op = 0x8c
	opBinunicode8     Op = 0x8d
	opBinbytes8       Op = 0x8e
	opEmptySet        Op = 0x8f
	opAdditems        Op = 0x90
	opFrozenset       Op = 0x91
	opNewobjEx        Op = 0x92
	opStackGlobal     Op = 0x93
	opMemoize         Op = 0x94
	opFrame           Op = 0x95
	opBytearray8      Op = 0x96
	opNextBuffer      Op = 0x97
	opReadonlyBuffer  Op = 0x98
)

// opcodes is the table of all 68, by byte; an empty name is no opcode.
var opcodes = [256]opInfo{
	opMark:            {"MARK", argNone, false, 0, 1, 0},
	opEmptyTuple:      {"EMPTY_TUPLE", argNone, false, 0, 1, 1},
	opStop:            {"STOP", argNone, false, 1, 0, 0},
	opPop:             {"POP", argNone, false, 1, 0, 0},
	opPopMark:         {"POP_MARK", argNone, true, 0, 0, 1},
	opDup:             {"DUP", argNone, false, 1, 2, 0},
	opBinbytes:        {"BINBYTES", argStr4, false, 0, 1, 3},
	opShortBinbytes:   {"SHORT_BINBYTES", argStr1, false, 0, 1, 3},
	opFloat:           {"FLOAT", argFloatLine, false, 0, 1, 0},
	opBinfloat:        {"BINFLOAT", argF64, false, 0, 1, 1},
	opInt:             {"INT", argIntLine, false, 0, 1, 0},
	opBinint:          {"BININT", argI32, false, 0, 1, 1},
	opBinint1:         {"BININT1", argU8, false, 0, 1, 1},
	opLong:            {"LONG", argLongLine, false, 0, 1, 0},
	opBinint2:         {"BININT2", argU16, false, 0, 1, 1},
	opNone:            {"NONE", argNone, false, 0, 1, 0},
	opPersid:          {"PERSID", argLine, false, 0, 1, 0},
	opBinpersid:       {"BINPERSID", argNone, false, 1, 1, 1},
	opReduce:          {"REDUCE", argNone, false, 2, 1, 0},
	opString:          {"STRING", argStringLine, false, 0, 1, 0},
	opBinstring:       {"BINSTRING", argStr4, false, 0, 1, 1},
	opShortBinstring:  {"SHORT_BINSTRING", argStr1, false, 0, 1, 1},
	opUnicode:         {"UNICODE", argUnicodeLine, false, 0, 1, 0},
	opBinunicode:      {"BINUNICODE", argUTF4, false, 0, 1, 1},
	opEmptyList:       {"EMPTY_LIST", argNone, false, 0, 1, 1},
	opAppend:          {"APPEND", argNone, false, 2, 1, 0},
	opBuild:           {"BUILD", argNone, false, 2, 1, 0},
	opGlobal:          {"GLOBAL", argLines, false, 0, 1, 0},
	opDict:            {"DICT", argNone, true, 0, 1, 0},
	opAppends:         {"APPENDS", argNone, true, 1, 1, 1},
	opGet:             {"GET", argIntLine, false, 0, 1, 0},
	opBinget:          {"BINGET", argU8, false, 0, 1, 1},
	opInst:            {"INST", argLines, true, 0, 1, 0},
	opLongBinget:      {"LONG_BINGET", argU32, false, 0, 1, 1},
	opList:            {"LIST", argNone, true, 0, 1, 0},
	opObj:             {"OBJ", argNone, true, 0, 1, 1},
	opPut:             {"PUT", argIntLine, false, 0, 0, 0},
	opBinput:          {"BINPUT", argU8, false, 0, 0, 1},
	opLongBinput:      {"LONG_BINPUT", argU32, false, 0, 0, 1},
	opSetitem:         {"SETITEM", argNone, false, 3, 1, 0},
	opTuple:           {"TUPLE", argNone, true, 0, 1, 0},
	opSetitems:        {"SETITEMS", argNone, true, 1, 1, 1},
	opEmptyDict:       {"EMPTY_DICT", argNone, false, 0, 1, 1},
	opProto:           {"PROTO", argU8, false, 0, 0, 2},
	opNewobj:          {"NEWOBJ", argNone, false, 2, 1, 2},
	opExt1:            {"EXT1", argU8, false, 0, 1, 2},
	opExt2:            {"EXT2", argU16, false, 0, 1, 2},
	opExt4:            {"EXT4", argI32, false, 0, 1, 2},
	opTuple1:          {"TUPLE1", argNone, false, 1, 1, 2},
	opTuple2:          {"TUPLE2", argNone, false, 2, 1, 2},
	opTuple3:          {"TUPLE3", argNone, false, 3, 1, 2},
	opNewtrue:         {"NEWTRUE", argNone, false, 0, 1, 2},
	opNewfalse:        {"NEWFALSE", argNone, false, 0, 1, 2},
	opLong1:           {"LONG1", argLong1, false, 0, 1, 2},
	opLong4:           {"LONG4", argLong4, false, 0, 1, 2},
	opShortBinunicode: {"SHORT_BINUNICODE", argUTF1, false, 0, 1, 4},
	opBinunicode8:     {"BINUNICODE8", argUTF8, false, 0, 1, 4},
	opBinbytes8:       {"BINBYTES8", argStr8, false, 0, 1, 4},
	opEmptySet:        {"EMPTY_SET", argNone, false, 0, 1, 4},
	opAdditems:        {"ADDITEMS", argNone, true, 1, 1, 4},
	opFrozenset:       {"FROZENSET", argNone, true, 0, 1, 4},
	opNewobjEx:        {"NEWOBJ_EX", argNone, false, 3, 1, 4},
	opStackGlobal:     {"STACK_GLOBAL", argNone, false, 2, 1, 4},
	opMemoize:         {"MEMOIZE", argNone, false, 1, 1, 4},
	opFrame:           {"FRAME", argU64, false, 0, 0, 4},
	opBytearray8:      {"BYTEARRAY8", argStr8, false, 0, 1, 5},
	opNextBuffer:      {"NEXT_BUFFER", argNone, false, 0, 1, 5},
	opReadonlyBuffer:  {"READONLY_BUFFER", argNone, false, 1, 1, 5},
}
