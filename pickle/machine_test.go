package pickle

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestOpcodes holds each of the 68 opcodes, and what can be wrong with it. A
// want that begins with "!" is an error: of the bytes ("!bad") or of their
// end ("!short"). CPython 3.11.7 and 3.13.0 accept and refuse the same, but for
// LONG_BINPUT of 2**32-1, which makes their table of the memo too large.
func TestOpcodes(t *testing.T) {
	n8 := func(n uint64) string { return string(binary.LittleEndian.AppendUint64(nil, n)) }
	for _, c := range []struct{ name, in, want string }{
		{"MARK", "(K\x01.", "1"},
		{"MARK STOP", "(.", "!bad"},
		{"STOP", ".", "!bad"},
		{"no opcode", "\x00.", "!bad"},
		{"no STOP", "N", "!short"},
		{"POP", "NK\x010.", "None"},
		{"POP mark", "N(0.", "None"},
		{"POP nothing", "0.", "!bad"},
		{"POP_MARK", "N(K\x01K\x021.", "None"},
		{"POP_MARK none", "N1.", "!bad"},
		{"DUP", "K\x012\x86.", "&0(1, 1)"},
		{"DUP nothing", "2.", "!bad"},
		{"DUP over a mark", "N(2.", "!bad"},
		{"FLOAT", "F1.5\n.", "f3ff8000000000000"},
		{"FLOAT NUL", "F1\x00x\n.", "f3ff0000000000000"},
		{"FLOAT blank", "F 1\n.", "!bad"},
		{"FLOAT hex", "F0x1p3\n.", "!bad"},
		{"FLOAT underscore", "F1_0\n.", "!bad"},
		{"FLOAT overflow", "F1e999\n.", "!bad"},
		{"FLOAT underflow", "F1e-999\n.", "f0000000000000000"},
		{"FLOAT exponent", "F1e\n.", "!bad"},
		{"FLOAT empty", "F\n.", "!bad"},
		{"FLOAT no line", "F1", "!short"},
		{"INT", "I-12\n.", "-12"},
		{"INT true", "I01\n.", "True"},
		{"INT false", "I00\n.", "False"},
		{"INT one", "I1\n.", "1"},
		{"INT +1 is true", "I+1\n.", "True"},
		{"INT octal", "I010\n.", "8"},
		{"INT octal and blank", "I010 \n.", "!bad"},
		{"INT 08", "I08\n.", "!bad"},
		{"INT hex", "I0xFf\n.", "255"},
		{"INT NUL", "I7\x00 junk\n.", "7"},
		{"INT only NUL", "I\x00\n.", "0"},
		{"INT blank NUL", "I \x00\n.", "!bad"},
		{"INT big", "I-9223372036854775808\n.", "-9223372036854775808"},
		{"INT bigger", "I9223372036854775808\n.", "9223372036854775808"},
		{"INT underscores", "I1__0\n.", "!bad"},
		{"INT empty", "I\n.", "!bad"},
		{"INT L", "I5L\n.", "!bad"},
		{"INT no line", "I5", "!short"},
		{"BININT", "J\xfe\xff\xff\xff.", "-2"},
		{"BININT short", "J\xfe\xff\xff", "!short"},
		{"BININT1", "K\xff.", "255"},
		{"BININT1 short", "K", "!short"},
		{"BININT2", "M\x01\x02.", "513"},
		{"LONG", "L-18446744073709551616L\n.", "-0x10000000000000000"},
		{"LONG hex", "L0x1FFFFFFFFFFFFFFFFFFFL\n.", "0x1fffffffffffffffffff"},
		{"LONG octal", "L-0o7777777777777777777777777L\n.", "-0x7ffffffffffffffffff"},
		{"LONG zeros", "L00L\n.", "0"},
		{"LONG 010", "L010L\n.", "!bad"},
		{"LONG 0x", "L0xL\n.", "!bad"},
		{"LONG only L", "LL\n.", "!bad"},
		{"LONG empty", "L\n.", "!bad"},
		{"LONG1", "\x8a\x02\x00\x80.", "-32768"},
		{"LONG1 empty", "\x8a\x00.", "0"},
		{"LONG1 nine bytes", "\x8a\x09\xff\xff\xff\xff\xff\xff\xff\xff\x00.", "18446744073709551615"},
		{"LONG1 nine bytes negative", "\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\xff.", "-0x10000000000000000"},
		{"LONG1 wide but small", "\x8a\x09\x05\x00\x00\x00\x00\x00\x00\x00\x00.", "5"},
		{"LONG1 short", "\x8a\x02\x00", "!short"},
		{"LONG4", "\x8b\x01\x00\x00\x00\x07.", "7"},
		{"LONG4 negative", "\x8b\xff\xff\xff\xff.", "!bad"},
		{"LONG4 short", "\x8b\xff\xff\xff\x7f.", "!short"},
		{"NONE", "N.", "None"},
		{"NEWTRUE", "\x88.", "True"},
		{"NEWFALSE", "\x89.", "False"},
		{"BINFLOAT", "G\xbf\xf8\x00\x00\x00\x00\x00\x00.", "fbff8000000000000"},
		{"BINFLOAT short", "G\xbf\xf8", "!short"},
		{"STRING", `S'a\'\x41\101\q'` + "\n.", `s"a'AA\x5cq"`},
		{"STRING unquoted", "Sabc\n.", "!bad"},
		{"STRING mixed quotes", "S'abc\"\n.", "!bad"},
		{"STRING one quote", "S'\n.", "!bad"},
		{"STRING bad escape", `S'\xg0'` + "\n.", "!bad"},
		{"STRING cut escape", `S'\x4'` + "\n.", "!bad"},
		{"STRING backslash", `S'\'` + "\n.", "!bad"},
		{"BINSTRING", "T\x01\x00\x00\x00\xff.", `s"\xff"`},
		{"BINSTRING short", "T\x00\x00\x00\x80x", "!short"},
		{"SHORT_BINSTRING", "U\x02ab.", `s"ab"`},
		{"UNICODE", `Va\u20ac\\u0041\x` + "\xe9\n.", `u"a\xe2\x82\xac\x5c\x5cu0041\x5cx\xc3\xa9"`},
		{"UNICODE surrogate", `V\ud800` + "\n.", `u"\xed\xa0\x80"`},
		{"UNICODE cut", `V\u20a` + "\n.", "!bad"},
		{"UNICODE over the top", `V\U00110000` + "\n.", "!bad"},
		{"BINUNICODE", "X\x02\x00\x00\x00\xc3\xa9.", `u"\xc3\xa9"`},
		{"BINUNICODE surrogate", "X\x03\x00\x00\x00\xed\xbf\xbf.", `u"\xed\xbf\xbf"`},
		{"BINUNICODE not UTF-8", "X\x02\x00\x00\x00\xc3\x28.", "!bad"},
		{"BINUNICODE short", "X\xff\xff\xff\xffa", "!short"},
		{"SHORT_BINUNICODE", "\x8c\x01a.", `u"a"`},
		{"BINUNICODE8", "\x8d" + n8(1) + "a.", `u"a"`},
		{"BINUNICODE8 huge", "\x8d" + n8(1<<62) + "a.", "!short"},
		{"BINBYTES", "B\x01\x00\x00\x00\xff.", `b"\xff"`},
		{"SHORT_BINBYTES", "C\x00.", `b""`},
		{"BINBYTES8", "\x8e" + n8(2) + "ab.", `b"ab"`},
		{"BINBYTES8 huge", "\x8e" + n8(1<<64-1) + "ab.", "!short"},
		{"BYTEARRAY8", "\x96" + n8(2) + "ab.", `&0ba"ab"`},
		{"NEXT_BUFFER", "\x97.", "!bad"},
		{"READONLY_BUFFER", "C\x01a\x98.", `b"a"`},
		{"READONLY_BUFFER nothing", "\x98.", "!bad"},
		{"EMPTY_LIST", "].", "&0[]"},
		{"LIST", "(K\x01K\x02l.", "&0[1, 2]"},
		{"LIST no mark", "K\x01l.", "!bad"},
		{"APPEND", "]K\x01a.", "&0[1]"},
		{"APPEND to a dict", "}K\x01a.", "!bad"},
		{"APPEND nothing below", "K\x01a.", "!bad"},
		{"APPENDS", "](K\x01K\x02e.", "&0[1, 2]"},
		{"APPENDS to a tuple", ")(K\x01e.", "!bad"},
		{"EMPTY_TUPLE", ").", "()"},
		{"TUPLE", "(K\x01t.", "&0(1)"},
		{"TUPLE1", "K\x01\x85.", "&0(1)"},
		{"TUPLE2", "K\x01N\x86.", "&0(1, None)"},
		{"TUPLE3", "NNN\x87.", "&0(None, None, None)"},
		{"TUPLE2 over a mark", "N(N\x86.", "!bad"},
		{"TUPLE3 of two", "NN\x87.", "!bad"},
		{"EMPTY_DICT", "}.", "&0{}"},
		{"DICT", "(K\x01Nd.", "&0{1: None}"},
		{"DICT odd", "(K\x01d.", "!bad"},
		{"DICT unhashable", "(]Nd.", "!bad"},
		{"SETITEM", "}K\x01Ns.", "&0{1: None}"},
		{"SETITEM twice", "}K\x01NsK\x01\x88s.", "&0{1: None, 1: True}"},
		{"SETITEM on a list", "]K\x01aK\x00Ns.", "&0[None]"},
		{"SETITEM beyond a list", "]K\x00Ns.", "!bad"},
		{"SETITEM on a str", "\x8c\x01aK\x00Ns.", "!bad"},
		{"SETITEMS", "}(K\x01NK\x02Nu.", "&0{1: None, 2: None}"},
		{"SETITEMS odd", "}(K\x01u.", "!bad"},
		{"EMPTY_SET", "\x8f.", "&0set{}"},
		{"ADDITEMS", "\x8f(K\x01\x90.", "&0set{1}"},
		{"ADDITEMS to a list", "](K\x01\x90.", "!bad"},
		{"ADDITEMS unhashable", "\x8f(]\x90.", "!bad"},
		{"FROZENSET", "(K\x01\x91.", "frozenset{1}"},
		{"PUT GET", "Np7\n0g7\n.", "None"},
		{"PUT negative", "Np-1\n.", "!bad"},
		{"PUT nothing", "p0\n.", "!bad"},
		{"PUT a mark", "N(p0\n.", "!bad"},
		{"PUT text", "Npx\n.", "!bad"},
		{"PUT beyond int64", "Np99999999999999999999\n.", "!bad"},
		{"GET unknown", "g0\n.", "!bad"},
		{"GET negative", "Np0\ng-1\n.", "!bad"},
		{"BINPUT BINGET", "Nq\x07\x88h\x07\x86.", "&0(True, None)"},
		{"BINGET unknown", "h\x00.", "!bad"},
		{"LONG_BINPUT LONG_BINGET", "Nr\xff\xff\xff\xffj\xff\xff\xff\xff\x86.", "&0(None, None)"},
		{"LONG_BINGET unknown", "j\x00\x00\x00\x80.", "!bad"},
		{"MEMOIZE", "N\x94K\x01q\x05K\x02\x940h\x02\x87.", "&0(None, 1, 2)"},
		{"MEMOIZE nothing", "\x94.", "!bad"},
		{"PROTO", "\x80\x05N.", "None"},
		{"PROTO 6", "\x80\x06N.", "!bad"},
		{"PROTO again", "\x80\x02N\x80\x04.", "None"},
		{"FRAME", "\x95" + n8(2) + "N.", "None"},
		{"FRAME too long", "\x95" + n8(3) + "N.", "None"},
		{"FRAME huge", "\x95" + n8(1<<63) + "N.", "!short"},
		{"GLOBAL", "cos\necho\n.", "@os.echo"},
		{"GLOBAL empty", "c\necho\n.", "!bad"},
		{"GLOBAL not UTF-8", "c\xff\necho\n.", "!bad"},
		{"GLOBAL cut", "cos\necho", "!short"},
		{"STACK_GLOBAL", "\x8c\x02os\x8c\x04echo\x93.", "@os.echo"},
		{"STACK_GLOBAL bytes", "C\x02os\x8c\x04echo\x93.", "!bad"},
		{"STACK_GLOBAL one", "\x8c\x02os\x93.", "!bad"},
		{"REDUCE", "cos\necho\n)R.", "&0REDUCE<@os.echo, ()>"},
		{"REDUCE a list", "cos\necho\n]R.", "!bad"},
		{"REDUCE of a number", "K\x01)R.", "!bad"},
		{"NEWOBJ", "cos\necho\nN\x85\x81.", "&0NEWOBJ<@os.echo, &1(None)>"},
		{"NEWOBJ_EX", "cos\necho\n)}\x92.", "&0NEWOBJ_EX<@os.echo, (), &1{}>"},
		{"NEWOBJ_EX no dict", "cos\necho\n))\x92.", "!bad"},
		{"INST", "(K\x01ios\necho\n.", "&0NEW<@os.echo, &1(1)>"},
		{"INST not ASCII", "(i\xc3\xa9\necho\n.", "!bad"},
		{"INST no mark", "ios\necho\n.", "!bad"},
		{"OBJ", "(cos\necho\nK\x01o.", "&0NEW<@os.echo, &1(1)>"},
		{"OBJ nothing", "(o.", "!bad"},
		{"BUILD", "cos\necho\n)R}b.", "&0REDUCE<@os.echo, ()>!&1{}"},
		{"BUILD on a list", "]}K\x01Nsb.", "!bad"},
		{"BUILD on a list, empty", "]}b.", "!bad"},
		{"BUILD of nothing", "]Nb.", "&0[]"},
		{"BUILD of no slots", "]N}\x86b.", "&0[]"},
		{"BUILD nothing below", "}b.", "!bad"},
		{"EXT1", "\x82\x01.", "&0EXT<1>"},
		{"EXT1 zero", "\x82\x00.", "!bad"},
		{"EXT2", "\x83\x00\x01.", "&0EXT<256>"},
		{"EXT4", "\x84\x00\x00\x01\x00.", "&0EXT<65536>"},
		{"EXT4 negative", "\x84\xff\xff\xff\xff.", "!bad"},
		{"PERSID", "Pid\n.", `&0PERSID<u"id">`},
		{"PERSID empty", "P\n.", `&0PERSID<u"">`},
		{"PERSID not ASCII", "P\xe9\n.", "!bad"},
		{"BINPERSID", "K\x01Q.", "&0PERSID<1>"},
		{"BINPERSID nothing", "Q.", "!bad"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, err := Unmarshal([]byte(c.in))
			var place *Error
			switch {
			case c.want == "!short":
				if !errors.Is(err, io.ErrUnexpectedEOF) || !errors.As(err, &place) {
					t.Errorf("got %v, want an unexpected end", err)
				}
			case c.want == "!bad":
				if !errors.Is(err, ErrMalformed) || errors.Is(err, io.ErrUnexpectedEOF) || !errors.As(err, &place) {
					t.Errorf("got %v, %v, want malformed", v, err)
				}
			case err != nil:
				t.Error(err)
			default:
				if got := render(v); got != c.want {
					t.Errorf("got %s, want %s", got, c.want)
				}
			}
		})
	}
}

func TestEmptyInput(t *testing.T) {
	if _, err := Unmarshal(nil); err != io.EOF {
		t.Errorf("got %v, want io.EOF", err)
	}
}

func TestBackToBack(t *testing.T) {
	in := []byte("K\x01.\x80\x02]q\x00h\x00a.raw")
	d := NewDecoder(bytes.NewReader(in), 0, int64(len(in)))
	for i, want := range []int64{3, 12} {
		if _, err := d.Decode(); err != nil {
			t.Fatal(err)
		}
		if d.Offset() != want {
			t.Errorf("pickle %d ends at %d, want %d", i, d.Offset(), want)
		}
	}
	// What follows is no pickle, and the error stays.
	_, first := d.Decode()
	_, second := d.Decode()
	if first == nil || first != second {
		t.Errorf("got %v, then %v", first, second)
	}
	// The memo of one pickle is not that of the next.
	in = []byte("Nq\x00.h\x00.")
	d = NewDecoder(bytes.NewReader(in), 0, int64(len(in)))
	d.Decode()
	if _, err := d.Decode(); !errors.Is(err, ErrMalformed) {
		t.Errorf("memo outlived its pickle: %v", err)
	}
}

func TestLimits(t *testing.T) {
	for _, c := range []struct {
		name string
		lim  Limits
		in   string
	}{
		{"Memory", Limits{Memory: 1000}, strings.Repeat("]", 100) + "."},
		{"Memory", Limits{Memory: 1 << 20}, "C\x01a" + strings.Repeat("2", 1<<18) + "."},
		{"Memory", Limits{Memory: 1 << 20}, "N" + strings.Repeat("\x94", 1<<18) + "."},
		{"Opcodes", Limits{Opcodes: 5}, "NNNNNN."},
		{"Memo", Limits{Memo: 2}, "N\x94\x94\x94."},
		{"Memo", Limits{Memo: 2}, "Nq\xffr\x00\x00\x01\x00r\x00\x00\x02\x00."},
		{"Stack", Limits{Stack: 3}, "NNNN."},
		{"Stack", Limits{Stack: 100}, strings.Repeat("N", 101) + "."},
		{"Marks", Limits{Marks: 3}, "((((."},
		{"Digits", Limits{}, "L" + strings.Repeat("1", 4301) + "L\n."},
		{"String", Limits{String: 10}, "c" + strings.Repeat("a", 11) + "\nb\n."},
		{"String", Limits{String: 10}, "L0x" + strings.Repeat("1", 11) + "L\n."},
		{"String", Limits{String: 10}, "\x8a\x0b" + strings.Repeat("1", 11) + "."},
	} {
		d := NewDecoder(strings.NewReader(c.in), 0, int64(len(c.in)))
		d.Limits = c.lim
		_, err := d.Decode()
		var lim *LimitError
		if !errors.Is(err, ErrLimit) || errors.Is(err, ErrMalformed) || !errors.As(err, &lim) || lim.Limit != c.name {
			t.Errorf("%+v: got %v, want the limit %s", c.lim, err, c.name)
		}
		if d.mem.used > d.mem.max {
			t.Errorf("%s: %d bytes accounted of %d", c.name, d.mem.used, d.mem.max)
		}
	}
	if v, err := Unmarshal([]byte("L" + strings.Repeat("1", 4300) + "L\n.")); err != nil {
		t.Errorf("4300 digits: %v, %v", v, err)
	}
}

func TestReaderErrors(t *testing.T) {
	boom := errors.New("boom")
	d := NewDecoder(failingReader{boom}, 0, 100)
	if _, err := d.Decode(); !errors.Is(err, boom) || errors.Is(err, ErrMalformed) {
		t.Errorf("got %v", err)
	}
	// A file shorter than its size says.
	d = NewDecoder(strings.NewReader("]"), 0, 100)
	if _, err := d.Decode(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
}

type failingReader struct{ err error }

func (r failingReader) ReadAt([]byte, int64) (int, error) { return 0, r.err }

func TestLongStringsStayInTheFile(t *testing.T) {
	body := strings.Repeat("x", 70)
	for op, in := range map[Op]string{
		opShortBinbytes:   "C\x46" + body,
		opBinunicode:      "X\x46\x00\x00\x00" + body,
		opShortBinstring:  "U\x46" + body,
		opUnicode:         "V" + body + "\n",
		opString:          "S" + body + "\n", // not even quoted: nobody looked
		opShortBinunicode: "\x8c\x46" + body,
	} {
		data := "N0" + in + "."
		d := NewDecoder(strings.NewReader(data), 0, int64(len(data)))
		d.Limits.String = 64
		v, err := d.Decode()
		want := Range{op, int64(strings.Index(data, body)), 70}
		if err != nil || v != Value(want) {
			t.Errorf("%v: got %v, %v; want %v", op, v, err, want)
		}
	}
	// One byte over 16 MiB, with the default.
	data := "X\x01\x00\x00\x01" + strings.Repeat("y", 16<<20+1) + "."
	if v, err := Unmarshal([]byte(data)); err != nil || v != Value(Range{opBinunicode, 5, 16<<20 + 1}) {
		t.Errorf("got %v, %v", v, err)
	}
	data = "X\x00\x00\x00\x01" + strings.Repeat("y", 16<<20) + "."
	if v, err := Unmarshal([]byte(data)); err != nil || len(v.(string)) != 16<<20 {
		t.Errorf("16 MiB: %T, %v", v, err)
	}
}

// TestHugeFile reads a file of 1 GiB, most of which is one string of bytes,
// without holding it.
func TestHugeFile(t *testing.T) {
	const size, body = 1 << 30, 1<<30 - 10
	r := hugeReader{size: size, head: binary.LittleEndian.AppendUint64([]byte{byte(opBinbytes8)}, body)}
	d := NewDecoder(r, 0, size)
	v, err := d.Decode()
	if want := (Range{opBinbytes8, 9, body}); err != nil || v != Value(want) {
		t.Errorf("got %v, %v, want %v", v, err, want)
	}
	if d.Offset() != size || d.mem.used > 1<<20 {
		t.Errorf("ends at %d, %d bytes accounted", d.Offset(), d.mem.used)
	}
}

// hugeReader is a file with a head, nothing, and a STOP at its end.
type hugeReader struct {
	head []byte
	size int64
}

func (r hugeReader) ReadAt(p []byte, off int64) (int, error) {
	for i := range p {
		switch at := off + int64(i); {
		case at < int64(len(r.head)):
			p[i] = r.head[at]
		case at == r.size-1:
			p[i] = byte(opStop)
		case at >= r.size:
			return i, io.EOF
		default:
			p[i] = 0
		}
	}
	return len(p), nil
}

// TestManyLongStrings holds that bytes which stand in the pickle are not
// accounted twice.
func TestManyLongStrings(t *testing.T) {
	for _, op := range []string{"B", "X"} {
		data := []byte(strings.Repeat(op+"\x00\x00\xa0\x00"+strings.Repeat("x", 10<<20)+"0", 12) + "N.")
		if op == "X" {
			data = append([]byte("]"), bytes.ReplaceAll(data[:len(data)-2], []byte("x0"), []byte("xa"))...)
			data = append(data, '.')
		}
		d := NewDecoder(bytes.NewReader(data), 0, int64(len(data)))
		if _, err := d.Decode(); err != nil {
			t.Errorf("%s: %v", op, err)
		}
		t.Logf("%d bytes, %d accounted", len(data), d.mem.used)
	}
}

// TestResources are the bombs: each has to be read, or refused, in no time
// and within the budget.
func TestResources(t *testing.T) {
	if raceDetector {
		t.Skip("time and memory are not the code's under the race detector")
	}
	var b strings.Builder
	b.WriteString("\x80\x04]\x94(NNe")
	for i := range 100 { // list i holds list i-1 ten times
		fmt.Fprintf(&b, "](%s%s", strings.Repeat("j"+string(binary.LittleEndian.AppendUint32(nil, uint32(i))), 10), "e\x94")
	}
	b.WriteString(".")
	laughs := b.String()
	deep := 200_000
	for _, c := range []struct {
		name, in string
		want     error
	}{
		{"billion laughs", laughs, nil},
		{"deep lists", strings.Repeat("]", deep) + strings.Repeat("a", deep-1) + ".", nil},
		{"deep tuples", "N" + strings.Repeat("\x85", deep) + ".", nil},
		{"marks", strings.Repeat("(", 300_000) + "N.", nil},
		{"mark and pop", strings.Repeat("(0", 300_000) + "N.", nil},
		{"hex digits", "L0x" + strings.Repeat("f", 8<<20) + "L\n.", nil},
		{"decimal digits", "I" + strings.Repeat("9", 200_000) + "\n.", ErrLimit},
		{"underscores", "L0x1" + strings.Repeat("_1", 1<<20) + "L\n.", nil},
		{"no newline", "c" + strings.Repeat("a", 15<<20), io.ErrUnexpectedEOF},
		{"one-byte nodes", strings.Repeat("}", 8<<20) + ".", ErrLimit},
		{"sparse memo", "N" + strings.Repeat("r\x00\x00\x00\x80r\xff\xff\xff\xff", 200_000) + ".", nil},
		{"one key", "}" + strings.Repeat("NNs", 500_000) + ".", nil},
		{"opcodes", strings.Repeat("N0", 10<<20) + "N.", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := []byte(c.in)
			start := time.Now()
			d := NewDecoder(bytes.NewReader(data), 0, int64(len(data)))
			v, err := d.Decode()
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if d.mem.used > int64(len(data))+64<<20 {
				t.Errorf("%d bytes accounted", d.mem.used)
			}
			n := 0
			Walk(v, nil, func(Value) bool { n++; return true })
			if took := time.Since(start); took > time.Minute { // on any machine that is no second
				t.Errorf("took %v", took)
			} else {
				t.Logf("%v, %d values", took, n)
			}
		})
	}
}

// TestAccounting compares what was accounted with what the heap holds.
func TestAccounting(t *testing.T) {
	if raceDetector {
		t.Skip("time and memory are not the code's under the race detector")
	}
	n := 200_000
	number := func(i int) string { return string(binary.LittleEndian.AppendUint32([]byte("J"), uint32(i+1000))) }
	build := func(item func(i int) string) string {
		var b strings.Builder
		b.WriteString("(")
		for i := range n {
			b.WriteString(item(i))
		}
		return b.String() + "t."
	}
	for name, in := range map[string]string{
		"lists":    build(func(int) string { return "]" }),
		"dicts":    build(func(int) string { return "}NNs" }),
		"filled":   build(func(int) string { return "]Na" }),
		"sets":     build(func(int) string { return "\x8f(N\x90" }),
		"tuples":   build(func(int) string { return "N\x85" }),
		"tuples5":  build(func(int) string { return "(NNNNNt" }),
		"numbers":  build(number),
		"longs":    build(func(int) string { return "\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01" }),
		"floats":   build(func(int) string { return "G\x00\x00\x00\x00\x00\x00\x00\x01" }),
		"strings":  build(func(int) string { return "\x8c\x01a" }),
		"long str": build(func(int) string { return "\x8c\x41" + strings.Repeat("a", 65) }),
		"bytes":    build(func(int) string { return "C\x01a" }),
		"memo":     build(func(int) string { return "N\x94" }),
		"sparse":   build(func(i int) string { return "Nr" + string(binary.LittleEndian.AppendUint32(nil, uint32(i)*7919)) }),
		"globals":  build(func(int) string { return "ca\nb\n" }),
		"reduce":   build(func(int) string { return "ca\nb\n)R" }),
		"build":    build(func(int) string { return "ca\nb\n)RNb" }),
		"persid":   build(func(int) string { return "Pa\n" }),
		"ext":      build(func(int) string { return "\x82\x01" }),
		"arrays":   build(func(int) string { return "\x96\x01\x00\x00\x00\x00\x00\x00\x00a" }),
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			data := strings.NewReader(in)
			runtime.GC()
			runtime.ReadMemStats(&before)
			d := NewDecoder(data, 0, int64(len(in)))
			d.Limits.Memory = 1 << 40
			v, err := d.Decode()
			if err != nil {
				t.Fatal(err)
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			held := int64(after.HeapAlloc) - int64(before.HeapAlloc)
			if held > d.mem.used+d.mem.used/50+1<<18 {
				t.Errorf("holds %d bytes, accounted %d", held, d.mem.used)
			}
			t.Logf("%.2f of what was accounted", float64(held)/float64(d.mem.used))
			runtime.KeepAlive(v)
			runtime.KeepAlive(d)
		})
	}
}
