package pickle

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// plenty is more work than any input of these tests takes.
const plenty = 1 << 40

// skimmedNames are the dangerous names that Skim finds.
func skimmedNames(data []byte, most int64, raw ...Range) (names []string, end int64, err error) {
	end, err = Skim(bytes.NewReader(data), 0, int64(len(data)), &most, raw, func(s *Symbol) {
		if v, _ := Judge(s); v != Dangerous {
			return
		}
		if s.Computed {
			names = append(names, "computed by "+s.Op.String())
			return
		}
		names = append(names, s.String())
	}, nil)
	return names, end, err
}

func TestSkim(t *testing.T) {
	long := strings.Repeat("x", 300)
	for _, test := range []struct {
		name, data string
		want       []string
	}{
		{"a line", "cos\nsystem\n(S'true'\ntR.", []string{"os.system"}},
		{"two lines in another way", "(ios\nsystem\n.", []string{"os.system"}},
		{"of Python 2", "c__builtin__\neval\n.", []string{"builtins.eval"}},
		{"from the stack", "\x80\x04\x8c\x02os\x8c\x06system\x93.", []string{"os.system"}},
		{"over the memo", "\x80\x04\x8c\x02os\x940\x8c\x06system\x940N0h\x00h\x01\x93.", []string{"os.system"}},
		{"over the memo, in lines", "\x80\x04Vos\np5\n0Vsyste\\u006d\np7\n0g5\ng7\n\x93.", []string{"os.system"}},
		{"a key twice", "\x80\x04Nq\x07q\x070\x8c\x02os\x940\x8c\x06system\x940h\x01h\x02\x93.", []string{"os.system"}},
		{"an entry replaced", "\x80\x04\x8c\x02osq\x000Nq\x000h\x00\x8c\x01a\x93.", nil},
		{"doubled", "\x80\x04\x8c\x08builtins\x8c\x04eval20\x93.", []string{"builtins.eval"}},
		{"below a mark", "\x80\x04\x8c\x02os((N1t0\x8c\x06system\x93.", []string{"os.system"}},
		{"only the module", "\x80\x04\x8c\x02os\x8c\x04else\x93.", []string{"os.?"}},
		{"only the name", "\x80\x04\x8c\x04mine\x8c\x06system\x93.", []string{"?.system"}},
		{"allowed", "\x80\x04\x8c\x07pathlib\x8c\x09PosixPath\x93.", nil},
		{"unknown", "\x80\x04\x8c\x04mine\x8c\x04else\x93.", nil},
		{"the result of a call", "\x80\x04ca\nb\n)R\x8c\x06system\x93.", []string{"computed by STACK_GLOBAL"}},
		{"that, over the memo", "\x80\x04ca\nb\n)R\x940h\x00h\x00\x93.", []string{"computed by STACK_GLOBAL"}},
		{"a long text", "\x80\x04X\x2c\x01\x00\x00" + long + "\x8c\x01a\x93.", []string{"computed by STACK_GLOBAL"}},
		{"a code", "\x80\x02\x82\x01.", []string{"computed by EXT1"}},
		{"told once", "cos\nsystem\ncos\nsystem\ncos\nsystem\n.", []string{"os.system"}},
		{"of two protocols", "\x80\x04c__builtin__\ndir\n\x80\x02c__builtin__\ndir\n.", []string{"builtins.dir"}},
		{"the next pickle", "N.N.cos\nsystem\n.", []string{"os.system"}},
		{"the memo of the last pickle", "\x80\x04\x8c\x02os\x94.\x80\x04h\x00\x8c\x01a\x93.", nil},
		{"of two pickles", "\x80\x04c__builtin__\ndir\n.c__builtin__\ndir\n.c__builtin__\ndir\n.", []string{"builtins.dir"}},
		{"a string that is none", "\x80\x02X\x0a\x00\x00\x00cos\nsystem.", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, end, err := skimmedNames([]byte(test.data), plenty)
			if err != nil || end != int64(len(test.data)) {
				t.Errorf("ends at %d of %d: %v", end, len(test.data), err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSkimEnds(t *testing.T) {
	if _, end, err := skimmedNames([]byte(strings.Repeat("N0", 1000)+"."), 5000); !errors.Is(err, ErrLimit) || end < 10 || end > 1000 {
		t.Errorf("at a bound: %d, %v", end, err)
	}
	if _, end, err := skimmedNames([]byte("N\xff"), plenty); !errors.Is(err, ErrMalformed) || end != 1 {
		t.Errorf("at no opcode: %d, %v", end, err)
	}
	if _, _, err := skimmedNames([]byte("00"), plenty); !errors.Is(err, ErrMalformed) {
		t.Errorf("an empty stack: %v", err)
	}
	names, _, err := skimmedNames([]byte("N\xff\xff\xffcos\nsystem\n."), plenty, Range{Offset: 1, Size: 3})
	if diff := cmp.Diff([]string{"os.system"}, names); diff != "" || err != nil {
		t.Errorf("behind raw bytes: %v %s", err, diff)
	}
}

// What was pushed below what is held, and what the memo has no room for, is not
// known, which is told.
func TestSkimBounds(t *testing.T) {
	deep := "\x80\x04\x8c\x02os\x8c\x06system(" + strings.Repeat("N", 2*skimStack) + "1\x93."
	many := "\x80\x04" + strings.Repeat("\x8c\x02os\x940", skimMemo+1) + "\x8c\x06system\x940j" + "\x00\x00\x00\x00" + "j\x01\x00\x02\x00\x93."
	marks := "\x80\x04\x8c\x02os\x8c\x06system" + strings.Repeat("(", 2*skimMarks) + strings.Repeat("1", 2*skimMarks) + "\x93."
	popped := "\x80\x04" + strings.Repeat("N", 2*skimMarks) + "\x8c\x02os\x8c\x06system" + strings.Repeat("(", 2*skimMarks) + strings.Repeat("0", 2*skimMarks) + "\x93."
	below := "\x80\x04NNN" + strings.Repeat("(", 2*skimMarks) + strings.Repeat("1", 2*skimMarks) + "000cos\nsystem\n."
	key := "\x80\x04\x8c\x02osp" + strings.Repeat("0", 5000) + "1\n0g" + strings.Repeat("0", 5000) + "1\n\x8c\x06system\x93."
	for i, data := range []string{deep, many, marks, popped, below, key} {
		names, _, _ := skimmedNames([]byte(data), plenty)
		if len(names) == 0 {
			t.Errorf("%d: nothing is told", i)
		}
	}
}

// A name is told by its first parts, however long it is: all that follow are there
// in os.system.__call__.__call__.
func TestSkimLongNames(t *testing.T) {
	for _, n := range []int{10, 4 << 10, window - 10, window, 5 * window} {
		name := "system" + strings.Repeat(".__call__", n/9)
		names, _, err := skimmedNames([]byte("\x80\x04cos\n"+name+"\n."), plenty)
		if err != nil || len(names) != 1 || !strings.HasPrefix(names[0], "os.system.__call__") {
			t.Errorf("%d bytes: %.40q, %v", n, names, err)
		}
	}
}

func TestSkimInner(t *testing.T) {
	long := strings.Repeat("x", 300)
	data := "\x80\x05C\x02abU\x03abcX\x01\x00\x00\x00aB\x2c\x01\x00\x00" + long + "\x96\x01\x00\x00\x00\x00\x00\x00\x00b."
	var got []string
	work := int64(plenty)
	_, err := Skim(strings.NewReader(data), 0, int64(len(data)), &work, nil, func(*Symbol) {}, func(r Range) {
		got = append(got, r.Op.String()+" "+data[r.Offset:r.Offset+r.Size])
	})
	want := []string{"SHORT_BINBYTES ab", "SHORT_BINSTRING abc", "BINBYTES " + long, "BYTEARRAY8 b"}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

// Whatever a decoder finds dangerous, a skimmer does.
func checkSkim(t *testing.T, data []byte) {
	want := 0
	d := NewDecoder(bytes.NewReader(data), 0, int64(len(data)))
	d.OnEvent = func(e Event) {
		switch v := e.Value.(type) {
		case *Symbol:
			if j, _ := Judge(v); e.Kind == KindGlobal && j == Dangerous {
				want++
			}
		case *Extension:
			want++
		}
	}
	_, err := d.Decode()
	names, end, skimErr := skimmedNames(data, plenty)
	if want > 0 && len(names) == 0 {
		t.Errorf("%d are dangerous, none was found: %q", want, data)
	}
	if err == nil && (skimErr != nil || end < d.Offset()) {
		t.Errorf("ends at %d (%v), not at %d or behind: %q", end, skimErr, d.Offset(), data)
	}
}

func TestSkimAsDecoder(t *testing.T) {
	for _, c := range mutants(t) {
		data, err := base64.StdEncoding.DecodeString(*c[0])
		if err != nil {
			t.Fatal(err)
		}
		checkSkim(t, data)
	}
}

func FuzzSkim(f *testing.F) {
	for _, s := range []string{"cos\nsystem\n.", "\x80\x04\x8c\x02os\x94\x8c\x06system\x94h\x00h\x01\x93.", "(ios\nsystem\n.", "\x82\x01.", "Vos\np0\n0g0\nS'system'\n\x93.", "(((NNt1l."} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) <= window { // of a longer name a skimmer knows the beginning
			checkSkim(t, data)
		}
	})
}
