package pickle

import (
	"errors"
	"io"
	"math"
	"strings"
	"testing"
)

func TestTable(t *testing.T) {
	n := 0
	for _, info := range opcodes {
		if info.name != "" {
			n++
		}
	}
	if n != 68 {
		t.Errorf("%d opcodes", n)
	}
	if got := Op(0xff).String(); got != "0xff" {
		t.Errorf("got %s", got)
	}
}

func TestDumpErrors(t *testing.T) {
	for in, want := range map[string]error{
		"":           io.ErrUnexpectedEOF,
		"K":          io.ErrUnexpectedEOF,
		"KK":         io.ErrUnexpectedEOF,
		"\x00":       ErrMalformed,
		"N.\x00":     nil,
		"N.K":        nil,
		"I0x10\nt1.": nil, // no machine executes it; it can be listed
	} {
		if err := Dump(io.Discard, strings.NewReader(in), 0, int64(len(in)), Limits{}); !errors.Is(err, want) {
			t.Errorf("%q: got %v, want %v", in, err, want)
		}
	}
	full := errors.New("full")
	if err := Dump(failingWriter{full}, strings.NewReader("N."), 0, 2, Limits{}); !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

func TestIrregularInstructions(t *testing.T) {
	for in, want := range map[string]Kind{
		"I0x10\n":    KindNumber,
		"S'\\101'\n": KindText,
		"\x95\x01\x00\x00\x00\x00\x00\x00\x00K\x01": KindFrame,
	} {
		var last Instruction
		for i, err := range Disassemble(strings.NewReader(in), 0, int64(len(in)), Limits{}) {
			if err != nil {
				t.Fatal(err)
			}
			last = i
		}
		if last.Irregular != want {
			t.Errorf("%q: got %v, want %v", in, last.Irregular, want)
		}
	}
}

// The reprs are those of Python 3.11.
func TestRepr(t *testing.T) {
	for want, v := range map[string]Value{
		"1e+16":          1e16,
		"1234567890.0":   1234567890.0,
		"1e-05":          1e-5,
		"0.0001":         1e-4,
		"-0.0":           math.Copysign(0, -1),
		"nan":            math.NaN(),
		`"it's"`:         "it's",
		`'a"\'b'`:        `a"'b`,
		`'\x00\x7f\x80'`: "\x00\x7f\u0080",
		`'é€\u200b'`:     "é€\u200b",
		`'\ud800'`:       "\xed\xa0\x80",
		`'\xad'`:         "\u00ad",
		`b"it's\xff"`:    []byte("it's\xff"),
		`bytearray(b'')`: &ByteArray{},
	} {
		got := string(appendRepr(nil, v))
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
