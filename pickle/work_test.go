package pickle

import (
	"bytes"
	"errors"
	"io"
	"math/big"
	"strings"
	"testing"
)

// TestWork states that Decode ends where nothing is left of its work, at the same
// opcode each time, that decoders share it, and that none is needed.
func TestWork(t *testing.T) {
	data := []byte("\x80\x02(" + strings.Repeat("NK\x0100", 10_000) + "t.")
	decode := func(left *int64) (int64, error) {
		d := NewDecoder(bytes.NewReader(data), 0, int64(len(data)))
		d.Work = left
		_, err := d.Decode()
		return d.Offset(), err
	}
	all := int64(1 << 40)
	if _, err := decode(&all); err != nil {
		t.Fatal(err)
	}
	used := int64(1<<40) - all
	if used < 10_000*(20+20) || used > 10_000*400 {
		t.Errorf("%d opcodes take %d", 40_000, used)
	}
	half := used / 2
	first, err := decode(&half)
	var limit *LimitError
	if !errors.As(err, &limit) || limit.Limit != "Work" || first < int64(len(data))/3 || first > int64(len(data))*2/3 {
		t.Errorf("with a half: ends at %d of %d, %v", first, len(data), err)
	}
	if again, err := decode(&half); again > 64 || !errors.Is(err, ErrLimit) {
		t.Errorf("with what the other left: ends at %d, %v", again, err)
	}
	half = used / 2
	if second, _ := decode(&half); second != first {
		t.Errorf("ends at %d, and at %d the second time", first, second)
	}
	if _, err := decode(nil); err != nil {
		t.Error(err)
	}
}

// TestWorkOfOperands states that operands which take longer take more.
func TestWorkOfOperands(t *testing.T) {
	used := func(data string) int64 {
		left := int64(1 << 40)
		d := NewDecoder(strings.NewReader(data), 0, int64(len(data)))
		d.Work = &left
		if _, err := d.Decode(); err != nil {
			t.Fatalf("%.20q: %v", data, err)
		}
		return 1<<40 - left
	}
	none := used("N.")
	for _, test := range []struct {
		data string
		want int64 // at least
	}{
		{"I" + strings.Repeat("9", 4000) + "\n.", 30_000}, // quadratic
		{"L" + strings.Repeat("9", 2000) + "L\n.", 8_000},
		{"F5e-324\n.", 10_000},
		{"S'" + strings.Repeat("a", 5000) + "'\n.", 5_000},
		{"V" + strings.Repeat("a", 5000) + "\n.", 5_000},
		{"\x80\x02X\x88\x13\x00\x00" + strings.Repeat("a", 5000) + ".", 5_000},
		{"\x80\x02\x8b\x88\x13\x00\x00" + strings.Repeat("a", 5000) + ".", 5_000},
		{"c" + strings.Repeat("a", 5000) + "\nb\n.", 5_000},
	} {
		if got := used(test.data) - none; got < test.want || got > 20*test.want {
			t.Errorf("%.10q takes %d, %d or some more are right", test.data, got, test.want)
		}
	}
}

func TestBigDecimal(t *testing.T) {
	for n := 1; n < 200; n++ {
		for _, digits := range []string{strings.Repeat("9", n), "1" + strings.Repeat("0", n), "18446744073709551616" + strings.Repeat("7", n)} {
			want, _ := new(big.Int).SetString(digits, 10)
			if got := bigDecimal([]byte(digits)); got.Cmp(want) != 0 {
				t.Errorf("%s reads as %v", digits, got)
			}
		}
	}
	for _, text := range []string{"9223372036854775807", "-9223372036854775807", "18446744073709551616", "-18446744073709551616", "-9223372036854775808", "9223372036854775808"} {
		want, _ := new(big.Int).SetString(text, 10)
		n, z, err := parseInteger([]byte(text), 10, 4300)
		if z == nil {
			z = big.NewInt(n)
		}
		if err != nil || z.Cmp(want) != 0 {
			t.Errorf("%s reads as %v, %v", text, z, err)
		}
	}
}

// TestNoAllocations states what a file has millions of and what takes no memory.
func TestNoAllocations(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	for name, run := range map[string]func(){
		"a key of the memo": func() { parseMemoKey([]byte("1000000000000000"), 4300) },
		"an integer":        func() { parseIntOp([]byte("123456789012345678"), 4300) },
		"no number":         func() { parseIntOp([]byte("12x"), 4300) },
	} {
		if n := testing.AllocsPerRun(100, run); n > 0 {
			t.Errorf("%s takes %v allocations", name, n)
		}
	}
	var names bytes.Buffer
	for i := range 20_000 {
		names.WriteString("cm" + big.NewInt(int64(i)).Text(36) + "\nn\n0")
	}
	names.WriteString("N.")
	r, end := bytes.NewReader(names.Bytes()), int64(names.Len())
	for name, run := range map[string]func(){
		"skim":  func() { work := int64(plenty); Skim(r, 0, end, &work, nil, func(*Symbol) {}, nil) },
		"sweep": func() { work := int64(plenty); Sweep(r, 0, end, &work, func(*Symbol) {}) },
	} {
		if n := testing.AllocsPerRun(3, run); n > 50 {
			t.Errorf("%s: %d names take %v allocations", name, 20_000, n)
		}
	}
}

// A countingReader counts what is read of it.
type countingReader struct {
	io.ReaderAt
	bytes int64
}

func (r *countingReader) ReadAt(p []byte, off int64) (int, error) {
	n, err := r.ReaderAt.ReadAt(p, off)
	r.bytes += int64(n)
	return n, err
}

// TestSweep states which names are found, and that what has no end is read once.
func TestSweep(t *testing.T) {
	big := 4 << 20
	for _, test := range []struct {
		name, data string
		want       string
	}{
		{"lines", "cos\nsystem\n", "os.system"},
		{"without its mark", "ios\nsystem\n", "os.system"},
		{"two strings", "\x8c\x02os\x8c\x06system\x93", "os.system"},
		{"with an escape", "Vos\nS'syst\\x65m'\n\x93", "os.system"},
		{"of Python 2", "c__builtin__\neval\n", "builtins.eval"},
		{"behind no opcodes", "\xff\xff\xffcos\nsystem\n", "os.system"},
		{"behind a length that is none", "X\xff\xff\xff\xffcos\nsystem\n", "os.system"},
		{"behind a number that is none", "pcos\nsystem\n", "os.system"},
		{"behind much that is none", strings.Repeat("\xff", sweepResumed) + "cos\nsystem\n", ""},
		{"harmless", "ccollections\nOrderedDict\ncmine\nelse\n", ""},
		{"lines that do not end", strings.Repeat("c", big), ""},
		{"the same, behind lines", strings.Repeat("I1\n", 1000) + strings.Repeat("p", big), ""},
	} {
		r := &countingReader{ReaderAt: strings.NewReader(test.data)}
		work, found := int64(plenty), ""
		err := Sweep(r, 0, int64(len(test.data)), &work, func(s *Symbol) {
			if v, _ := Judge(s); v == Dangerous && found == "" {
				found = s.String()
			}
		})
		if found != test.want || err != nil {
			t.Errorf("%s: %q, not %q: %v", test.name, found, test.want, err)
		}
		if most := 3*int64(len(test.data)) + 100*window; r.bytes > most {
			t.Errorf("%s: %d bytes are read of %d", test.name, r.bytes, len(test.data))
		}
	}
	work := int64(10_000)
	if err := Sweep(strings.NewReader(strings.Repeat("N", 1<<20)), 0, 1<<20, &work, func(*Symbol) {}); !errors.Is(err, ErrLimit) || work > 0 || work < -10_000 {
		t.Errorf("over the bound: %v, %d are left", err, work)
	}
}

// TestSkimReads states that what is skipped is not read.
func TestSkimReads(t *testing.T) {
	data := []byte("\x80\x04")
	for range 64 {
		data = append(append(data, 'B', 0, 0, 1, 0), make([]byte, 1<<16)...)
		data = append(data, '0')
	}
	data = append(data, "N."...)
	r := &countingReader{ReaderAt: bytes.NewReader(data)}
	work := int64(plenty)
	next, err := Skim(r, 0, int64(len(data)), &work, nil, func(*Symbol) {}, nil)
	if err != nil || next != int64(len(data)) || r.bytes > 66*firstWindow {
		t.Errorf("ends at %d of %d, %v; %d bytes are read", next, len(data), err, r.bytes)
	}
	// So it is for a decoder, and for its survey.
	r.bytes = 0
	d := NewDecoder(r, 0, int64(len(data)))
	d.Limits.String = 1 << 10
	d.Drop = func(_, _ Value) bool { return true }
	if _, err := d.Decode(); err != nil || r.bytes > 2*66*firstWindow {
		t.Errorf("%v; %d bytes are read of %d", err, r.bytes, len(data))
	}
}

// TestRelevant states that a skimmer tells of a name whatever Judge calls dangerous.
func TestRelevant(t *testing.T) {
	for _, name := range [][2]string{
		{"os", "system"}, {"a", "b.__class__"}, {"a", "__reduce__"}, {"a", "b.os"}, {"a", "os"}, {"a", "b" + strings.Repeat(".b", maxParts)},
		{"posix", "x"}, {"torch", "serialization.os.system"}, {"__builtin__", "apply"},
	} {
		s := &Symbol{Module: name[0], Name: name[1], WrittenModule: name[0], WrittenName: name[1]}
		if v, _ := Judge(s); v != Dangerous {
			t.Errorf("%v is %v", name, v)
		}
		if found, _, err := skimmedNames([]byte("c"+name[0]+"\n"+name[1]+"\n."), plenty); len(found) != 1 || err != nil {
			t.Errorf("%v: %v, %v", name, found, err)
		}
	}
}
