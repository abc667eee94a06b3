package pickle

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/big"
	"unicode/utf8"
)

// operand is an opcode with what stands behind it in the file. Its slices
// belong to the scanner, until the next call of next, unless own is set.
type operand struct {
	slow  int64 // opcodes that it counts as beyond one
	work  int64 // that its length takes
	op    Op
	off   int64
	n     int64    // integer, length of a frame, memo key, code
	big   *big.Int // integer that does not fit n
	f     float64
	data  []byte // string, decoded; the name of a pair of lines
	own   bool   // data was allocated, and accounted, for this operand alone
	first []byte // the module of a pair of lines
	long  Range  // in place of data, if its Op is not 0
	bool  bool   // INT 00 or 01: n is a boolean
	frame bool   // crosses the end of a frame, or begins one within a frame
	odd   bool   // the text is not what a pickler writes
	text  []byte // the line, where odd
}

// next reads an opcode and its operand. After an error o.off and o.op tell
// where; an op of 0 means that there was none.
func (s *scanner) next(o *operand) error {
	*o = operand{off: s.offset()}
	if err := s.need(1); err != nil {
		return err
	}
	op := Op(s.buf[s.pos])
	info := &opcodes[op]
	if info.name == "" {
		return malformed("no opcode 0x%02x", byte(op))
	}
	o.op = op
	s.pos++
	if info.arg != argNone {
		if err := s.operand(o, info.arg); err != nil {
			return err
		}
	}
	if s.frameEnd != 0 || op == opFrame {
		return s.frames(o)
	}
	return nil
}

// frames keeps account of frames. CPython reads on in a frame that is
// violated, up to some version, or refuses: the caller must know.
func (s *scanner) frames(o *operand) error {
	if o.off >= s.frameEnd {
		s.frameEnd = 0
	}
	if s.frameEnd != 0 && (s.offset() > s.frameEnd || o.op == opFrame || o.op == opStop && s.offset() != s.frameEnd) {
		o.frame = true
		s.frameEnd = 0
	}
	if o.op == opFrame {
		if o.n < 0 {
			return errShort
		}
		if o.n > s.left() { // which pickle.py, and so joblib and dill, read all the same
			o.frame = true
		}
		s.frameEnd = s.offset() + min(o.n, s.left())
	}
	return nil
}

// fixed returns the next n bytes.
func (s *scanner) fixed(n int) ([]byte, error) {
	if err := s.need(n); err != nil {
		return nil, err
	}
	b := s.buf[s.pos : s.pos+n]
	s.pos += n
	return b, nil
}

func (s *scanner) operand(o *operand, kind argKind) error {
	switch kind {
	case argU8, argU16, argI32, argU32, argU64, argF64:
		return s.number(o, kind)
	case argLong1, argLong4:
		return s.binaryLong(o, kind)
	case argStr1, argStr4, argStr8, argUTF1, argUTF4, argUTF8:
		return s.countedString(o, kind)
	case argLines:
		return s.names(o)
	}
	return s.textLine(o, kind)
}

func (s *scanner) number(o *operand, kind argKind) error {
	size := [...]int{argU8: 1, argU16: 2, argI32: 4, argU32: 4, argU64: 8, argF64: 8}[kind]
	b, err := s.fixed(size)
	if err != nil {
		return err
	}
	switch kind {
	case argU8:
		o.n = int64(b[0])
	case argU16:
		o.n = int64(binary.LittleEndian.Uint16(b))
	case argI32:
		o.n = int64(int32(binary.LittleEndian.Uint32(b)))
	case argU32:
		o.n = int64(binary.LittleEndian.Uint32(b))
	case argU64:
		o.n = int64(binary.LittleEndian.Uint64(b))
	case argF64:
		o.f = math.Float64frombits(binary.BigEndian.Uint64(b))
	}
	return nil
}

// length reads the length of a counted operand. _pickle.c takes four bytes as
// unsigned everywhere, BINSTRING included, where pickle.py takes them signed.
func (s *scanner) length(size int) (uint64, error) {
	b, err := s.fixed(size)
	if err != nil {
		return 0, err
	}
	switch size {
	case 1:
		return uint64(b[0]), nil
	case 4:
		return uint64(binary.LittleEndian.Uint32(b)), nil
	}
	return binary.LittleEndian.Uint64(b), nil
}

func (s *scanner) countedString(o *operand, kind argKind) error {
	size := 1
	switch kind {
	case argStr4, argUTF4:
		size = 4
	case argStr8, argUTF8:
		size = 8
	}
	n, err := s.length(size)
	if err != nil {
		return err
	}
	if err := s.counted(o, n); err != nil {
		return err
	}
	o.work = int64(len(o.data))
	if kind >= argUTF1 && o.long.Op == 0 && !validUTF8(o.data) {
		return malformed("text is not UTF-8")
	}
	return nil
}

func (s *scanner) binaryLong(o *operand, kind argKind) error {
	size := 1
	if kind == argLong4 {
		size = 4
	}
	n, err := s.length(size)
	if err != nil {
		return err
	}
	if n > math.MaxInt32 {
		return malformed("negative byte count")
	}
	if int64(n) > s.lim.String {
		if int64(n) > s.left() {
			return errShort
		}
		return &LimitError{"String", s.lim.String}
	}
	if err := s.counted(o, n); err != nil {
		return err
	}
	o.work = 2 * int64(len(o.data))
	if o.n, o.big = decodeLong(o.data); o.big != nil {
		return s.mem.take(int64(n) + costBig)
	}
	return nil
}

// names reads the module and the name of GLOBAL or INST.
func (s *scanner) names(o *operand) error {
	module, err := s.line(o, false)
	if err != nil {
		return err
	}
	s.first = append(s.first[:0], module...)
	name, err := s.line(o, false)
	if err != nil {
		return err
	}
	o.first, o.data = s.first, name
	o.work = int64(len(o.first) + len(name))
	if len(o.first) == 0 || len(name) == 0 {
		return malformed("empty name") // CPython: "pickle data was truncated"
	}
	for _, b := range [...][]byte{o.first, name} {
		if o.op == opInst && !ascii(b) || !utf8.Valid(b) {
			return malformed("name is not text")
		}
	}
	return nil
}

func (s *scanner) textLine(o *operand, kind argKind) error {
	line, err := s.line(o, kind == argStringLine || kind == argUnicodeLine)
	if err != nil || o.long.Op != 0 {
		return err
	}
	o.text = line
	o.work = int64(len(line))
	switch kind {
	case argLine:
		if !ascii(line) {
			return malformed("persistent id is not ASCII")
		}
		o.data = line
	case argStringLine:
		o.work = 3 * int64(len(line))
		o.data, o.odd, err = decodeString(line)
	case argUnicodeLine:
		o.work = 3 * int64(len(line))
		o.data, o.odd, err = decodeRawUnicode(line)
	case argFloatLine:
		o.f, o.odd, err = parseFloat(line)
		if slowFloat(line, o.f) {
			o.slow, o.work = slowCost, workFloat+int64(len(line))
		}
	case argLongLine:
		o.work = digitsWork(len(line))
		o.n, o.big, o.odd, err = parseLong(line, s.lim.Digits)
	case argIntLine:
		o.work = digitsWork(len(line))
		if o.op == opInt {
			o.n, o.big, o.bool, o.odd, err = parseIntOp(line, s.lim.Digits)
		} else {
			o.n, o.odd, err = parseMemoKey(line, s.lim.Digits)
		}
	}
	if err != nil {
		return err
	}
	if o.big != nil {
		return s.mem.take(int64(len(line)) + costBig)
	}
	return nil
}

// stringValue returns the string or bytes of the operand, and its cost.
func (o *operand) stringValue() (Value, int64) {
	if o.long.Op != 0 {
		return o.long, costRef
	}
	cost := costValue + rounded(len(o.data))
	switch o.op {
	case opString, opBinstring, opShortBinstring:
		return ByteString(o.data), cost
	case opBinbytes, opShortBinbytes, opBinbytes8, opBytearray8:
		data := o.data
		if o.own {
			cost = costHeader
		} else {
			data = bytes.Clone(data)
			cost += costHeader - costValue
		}
		if o.op == opBytearray8 {
			return &ByteArray{data}, cost
		}
		return data, cost
	}
	return string(o.data), cost
}

// intValue returns the integer or boolean of the operand.
func (o *operand) intValue() Value {
	if o.bool {
		return o.n != 0
	}
	if o.big != nil {
		return new(big.Int).Set(o.big)
	}
	return o.n
}
