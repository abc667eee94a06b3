package pickle

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

// attacks are the forms in which files hide what they do; the payload is
// always os.system of echo, and nothing here could run it. Each lists the
// events that have to be seen, even where decoding fails in the end.
var attacks = []struct {
	name, in string
	want     []string
	fails    bool
}{
	{"reduce", "cos\nsystem\n(S'echo'\ntR.", []string{"global os.system", "call os.system"}, false},
	{"stack global", "\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04echo\x85R.", []string{"global os.system", "call os.system"}, false},
	{"inst", "(S'echo'\nios\nsystem\n.", []string{"global os.system", "call os.system"}, false},
	{"obj", "(cos\nsystem\nS'echo'\no.", []string{"global os.system", "call os.system"}, false},
	{"obj popped", "(cos\nsystem\nS'echo'\no0N.", []string{"global os.system", "call os.system", "discarded-call"}, false},
	{"newobj", "\x80\x02cos\nsystem\nS'echo'\n\x85\x81.", []string{"global os.system", "call os.system"}, false},
	{"newobj_ex", "\x80\x04cos\nsystem\n)}\x92.", []string{"global os.system", "call os.system"}, false},
	{"import only", "cos\nsystem\n0N.", []string{"global os.system", "discarded-call"}, false},
	{"slots of a function", "\x80\x02cos\nsystem\nN}\x8c\x01xK\x01s\x86b.", []string{"global os.system", "protocol", "build os.system", "foreign-change os.system"}, false},
	{"items of a function", "\x80\x02cos\nsystem\nK\x01K\x02s.", []string{"global os.system", "foreign-change os.system"}, false},
	{"dotted name", "\x80\x04\x8c\x07pathlib\x8c\x09os.system\x93.", []string{"global pathlib.os.system"}, false},
	{"dunder call", "\x80\x04cbuiltins\neval.__call__\n.", []string{"global builtins.eval.__call__"}, false},
	{"computed name", "\x80\x04\x8c\x02os\x8c\x08builtins\x8c\x07getattr\x93)R\x93.", []string{"global builtins.getattr", "call builtins.getattr", "global os.", "computed-name os."}, false},
	{"callable as an argument", "c__builtin__\nmap\n(cos\nsystem\n(S'echo'\nltR.", []string{"global builtins.map", "global os.system", "call builtins.map"}, false},
	{"call of a call", "cos\nsystem\n)R)R.", []string{"global os.system", "call os.system", "call"}, false},

	{"memo decoys", "\x80\x04\x8c\x02os\x94\x8c\x06system\x94\x8c\x04safe\x94\x8c\x04name\x940000h\x00h\x01\x93.", []string{"global os.system"}, false},
	{"memo overwrite", "\x80\x04\x8c\x04safe\x940\x8c\x02osq\x000h\x00\x8c\x06system\x93.", []string{"memo-overwrite", "global os.system"}, false},
	{"memoize after pop", "\x80\x04\x8c\x02os\x8c\x04safe0\x94\x8c\x06system\x93.", []string{"global os.system"}, false},
	{"string operands", "S'os'\nS'system'\n\x93.", []string{"protocol", "global os.system"}, false},
	{"binstring operands", "\x80\x04U\x02osT\x06\x00\x00\x00system\x93.", []string{"global os.system"}, false},
	{"string escapes", "S'\\x6f\\163'\nS'system'\n\x93.", []string{"text", "protocol", "global os.system"}, false},
	{"unicode escapes", "V\\u006fs\nVsystem\n\x93.", []string{"text", "protocol", "global os.system"}, false},
	{"binunicode8", "\x80\x04\x8d\x02\x00\x00\x00\x00\x00\x00\x00os\x8c\x06system\x93.", []string{"global os.system"}, false},
	{"pop_mark decoys", "\x80\x04\x8c\x02os(\x8c\x04safe1\x8c\x06system\x93.", []string{"global os.system"}, false},
	{"python 2 names", "ccommands\ngetoutput\n.", []string{"global subprocess.getoutput"}, false},
	{"python 2 eval", "c__builtin__\neval\n.", []string{"global builtins.eval"}, false},
	{"python 2 reduce", "c__builtin__\nreduce\n.", []string{"global functools.reduce"}, false},
	{"not renamed in protocol 3", "\x80\x03c__builtin__\neval\n.", []string{"global __builtin__.eval"}, false},
	{"blanks in memo keys", "Vos\np 1\nVsystem\np2\n00g1 \ng2\n\x93.", []string{"number", "number", "protocol", "global os.system"}, false},
	{"hex number", "I0x10\n0cos\nsystem\n.", []string{"number", "global os.system"}, false},
	{"octal number", "I010\n0cos\nsystem\n.", []string{"number", "global os.system"}, false},
	{"underscore", "L1_0L\n0cos\nsystem\n.", []string{"number", "global os.system"}, false},
	{"NUL in a number", "I1\x00x\n0cos\nsystem\n.", []string{"number", "global os.system"}, false},
	{"NUL in a float", "F1\x00x\n0cos\nsystem\n.", []string{"number", "global os.system"}, false},
	{"string not ASCII", "S'\xe9'\n0cos\nsystem\n.", []string{"text", "global os.system"}, false},
	{"string escape not ASCII", "S'\\xe9'\n0cos\nsystem\n.", []string{"global os.system"}, false},

	{"extension", "\x80\x02ccopyreg\nadd_extension\n(Vos\nVsystem\nK\x01tR0\x82\x01.", []string{"global copyreg.add_extension", "call copyreg.add_extension", "discarded-call copyreg.add_extension", "extension"}, false},
	{"persistent id", "Pany\n.", []string{"persistent-id"}, false},

	{"truncated", "cos\nsystem\n(S'echo'\ntR", []string{"global os.system", "call os.system"}, true},
	{"bad opcode", "cos\nsystem\n)R\xff.", []string{"global os.system", "call os.system"}, true},
	{"bad length", "cos\nsystem\n)RX\xff\xff\xff\xff.", []string{"global os.system", "call os.system"}, true},
	{"bad UTF-8", "cos\nsystem\n)RX\x01\x00\x00\x00\xff.", []string{"global os.system", "call os.system"}, true},
	{"missing memo", "cos\nsystem\n)Rh\x07.", []string{"global os.system", "call os.system"}, true},
	{"leftover stack", "cos\nsystem\n)RN.", []string{"global os.system", "call os.system", "leftover"}, false},
	{"open marks", "((cos\nsystem\n)R.", []string{"global os.system", "call os.system", "leftover"}, false},
	{"several PROTO", "\x80\x02\x80\x04cos\nsystem\n.", []string{"protocol", "global os.system"}, false},
	{"no PROTO", "\x8c\x02os\x8c\x06system\x93.", []string{"protocol", "global os.system"}, false},
	{"frame straddled", "\x80\x04\x95\x04\x00\x00\x00\x00\x00\x00\x00cos\nsystem\n.", []string{"frame", "global os.system"}, false},
	{"frame in a frame", "\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x95\x05\x00\x00\x00\x00\x00\x00\x00cos\nsystem\n.", []string{"frame", "frame", "global os.system"}, false},
	{"string with blanks behind it", "S'os' \t\xff\nVsystem\n\x93.", []string{"text", "global os.system"}, false},
	{"frame past the end", "\x80\x04\x95\xff\x00\x00\x00\x00\x00\x00\x00cos\nsystem\n.", []string{"frame", "global os.system"}, false},
	{"stop in a frame", "\x80\x04\x95\x03\x00\x00\x00\x00\x00\x00\x00N.cos\nsystem\n.", []string{"frame"}, false},
}

func describe(e Event) string {
	text := e.Kind.String()
	switch v := e.Value.(type) {
	case *Symbol:
		text += " " + v.String()
	case *Object:
		if s := v.Symbol(); s != nil {
			text += " " + s.String()
		}
	}
	return text
}

func TestAttacks(t *testing.T) {
	for _, c := range attacks {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			d := NewDecoder(strings.NewReader(c.in), 0, int64(len(c.in)))
			d.OnEvent = func(e Event) { got = append(got, describe(e)) }
			_, err := d.Decode()
			if (err != nil) != c.fails {
				t.Errorf("error %v", err)
			}
			i := 0
			for _, text := range got {
				if i < len(c.want) && (text == c.want[i] || strings.HasPrefix(text, c.want[i]+" ")) {
					i++
				}
			}
			if i < len(c.want) {
				t.Errorf("got events %q, missing %q", got, c.want[i])
			}
		})
	}
}

// TestClean holds that standard picklers write nothing irregular.
func TestClean(t *testing.T) {
	for _, c := range cpythonCases(t) {
		if c.Value == nil || strings.HasPrefix(c.Name, "hand-") {
			continue
		}
		d := NewDecoder(bytes.NewReader(c.Pickle), 0, int64(len(c.Pickle)))
		d.OnEvent = func(e Event) {
			if e.Kind.Irregular() {
				// A recursive tuple pops its half-made self, and no call.
				t.Errorf("%s: %v at %d: %s", c.Name, e.Kind, e.Offset, e.Detail)
			}
		}
		if _, err := d.Decode(); err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
	}
}

func TestStrictFrames(t *testing.T) {
	in := "\x80\x04\x95\x01\x00\x00\x00\x00\x00\x00\x00K\x01."
	d := NewDecoder(strings.NewReader(in), 0, int64(len(in)))
	d.StrictFrames = true
	if _, err := d.Decode(); err == nil {
		t.Error("no error")
	}
}

func TestSymbolNames(t *testing.T) {
	v, err := Unmarshal([]byte("\x80\x02c__builtin__\nxrange\n."))
	if err != nil {
		t.Fatal(err)
	}
	s := v.(*Symbol)
	if s.WrittenModule != "__builtin__" || s.WrittenName != "xrange" || !s.Is("builtins", "range") || s.Offset != 2 || s.Protocol != 2 {
		t.Errorf("got %+v", s)
	}
}

func TestLog(t *testing.T) {
	in := strings.Repeat("ca\nb\n)R0", 100) + "cc\nd\n0" + strings.Repeat("Pid\n0", 10) + "N."
	var log Log
	log.Max = 4
	d := NewDecoder(strings.NewReader(in), 0, int64(len(in)))
	d.OnEvent = log.Add
	if _, err := d.Decode(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range log.Events {
		if e.Kind == KindGlobal || e.Kind == KindCall {
			got = append(got, fmt.Sprint(describe(e), " ", e.Offset))
		}
	}
	if want := []string{"global a.b 0", "call a.b 6", "global c.d 800"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if log.Count(KindGlobal) != 101 || log.Lost(KindGlobal) != 0 || log.Count(KindPersistent) != 10 || log.Lost(KindPersistent) != 6 {
		t.Errorf("counts %d %d %d %d", log.Count(KindGlobal), log.Lost(KindGlobal), log.Count(KindPersistent), log.Lost(KindPersistent))
	}
}

// TestJoblib reads a file of joblib 1.6, whose array stands between the
// opcodes: one byte that tells the padding, the padding, the elements.
func TestJoblib(t *testing.T) {
	all := cpythonCases(t)
	i := slices.IndexFunc(all, func(c cpythonCase) bool { return c.Name == "joblib" })
	data := all[i].Pickle
	d := NewDecoder(bytes.NewReader(data), 0, int64(len(data)))
	var odd []Event
	d.OnEvent = func(e Event) {
		if e.Kind.Irregular() {
			odd = append(odd, e)
		}
	}
	d.RawAfterBuild = func(obj *Object, off int64) (int64, error) {
		if !obj.Symbol().Is("joblib.numpy_pickle", "NumpyArrayWrapper") {
			return 0, nil
		}
		var pad [1]byte
		if _, err := bytes.NewReader(data).ReadAt(pad[:], off); err != nil {
			return 0, err
		}
		return 1 + int64(pad[0]) + 3*8, nil
	}
	v, err := d.Decode()
	if err != nil {
		t.Fatal(err)
	}
	root := v.(*Dict)
	array, _ := root.Get("a")
	off, n := array.(*Object).Raw()
	raw, _ := io.ReadAll(io.NewSectionReader(bytes.NewReader(data), off+n-24, 24))
	if want := "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xf0\x3f\x00\x00\x00\x00\x00\x00\x00\x40"; string(raw) != want {
		t.Errorf("array is % x", raw)
	}
	if tail, _ := root.Get("tail"); tail != Value(int64(7)) || d.Offset() != int64(len(data)) || len(odd) != 0 {
		t.Errorf("tail %v, end %d, odd %v", tail, d.Offset(), odd)
	}
}

func TestRawBeyondTheEnd(t *testing.T) {
	in := "ca\nb\n)RNb."
	for _, n := range []int64{-1, 2, 1 << 62} {
		d := NewDecoder(strings.NewReader(in), 0, int64(len(in)))
		d.RawAfterBuild = func(*Object, int64) (int64, error) { return n, nil }
		if _, err := d.Decode(); err == nil {
			t.Errorf("%d bytes were taken", n)
		}
	}
}
