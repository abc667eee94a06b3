package pickle

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/big"
	"os"
	"sort"
	"strings"
	"testing"
	"testing/iotest"
)

// cpythonCase is a pickle and what CPython makes of it; see testdata/make.py.
type cpythonCase struct {
	Name   string
	Pickle []byte
	End    int64   // after STOP
	Ops    *string // pickletools.genops
	Dis    *string // pickletools.dis
	Value  *string // the machine of CPython, with nodes for imports and calls
}

// readCases reads a file of JSON that is compressed by gzip.
func readCases(t testing.TB, name string, cases any) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.NewDecoder(z).Decode(cases); err != nil {
		t.Fatal(err)
	}
}

func cpythonCases(t testing.TB) []cpythonCase {
	t.Helper()
	var cases []cpythonCase
	readCases(t, "testdata/pickles.json.gz", &cases)
	if len(cases) < 200 {
		t.Fatalf("only %d cases", len(cases))
	}
	return cases
}

func TestCPythonValues(t *testing.T) {
	for _, c := range cpythonCases(t) {
		if c.Value == nil {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			d := NewDecoder(bytes.NewReader(c.Pickle), 0, int64(len(c.Pickle)))
			v, err := d.Decode()
			if err != nil {
				t.Fatal(err)
			}
			if got := render(v); got != *c.Value {
				t.Error(firstDifference(got, *c.Value))
			}
			if d.Offset() != c.End {
				t.Errorf("ends at %d, want %d", d.Offset(), c.End)
			}
		})
	}
}

// TestSmallReads reads every pickle through a reader that gives one byte a
// call, at an offset, and from a window that has to slide.
func TestSmallReads(t *testing.T) {
	for _, c := range cpythonCases(t) {
		if c.Value == nil || len(c.Pickle) > 20000 {
			continue
		}
		data := append([]byte("junk"), c.Pickle...)
		d := NewDecoder(byteReader{data}, 4, int64(len(data)))
		v, err := d.Decode()
		if err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		if got := render(v); got != *c.Value || d.Offset() != 4+c.End {
			t.Errorf("%s: differs, ends at %d", c.Name, d.Offset())
		}
	}
}

// byteReader makes ReadAt gather its bytes one at a time.
type byteReader struct{ data []byte }

func (r byteReader) ReadAt(p []byte, off int64) (int, error) {
	return io.ReadFull(iotest.OneByteReader(bytes.NewReader(r.data[off:])), p)
}

func TestCPythonTraces(t *testing.T) {
	for _, c := range cpythonCases(t) {
		if c.Ops == nil {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			var got []string
			for in, err := range Disassemble(bytes.NewReader(c.Pickle), 0, c.End, Limits{}) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, fmt.Sprintf("%d %v %s", in.Offset, in.Op, operandText(in)))
			}
			if got := strings.Join(got, "\n"); got != *c.Ops {
				t.Error(firstDifference(got, *c.Ops))
			}
		})
	}
}

func TestCPythonDump(t *testing.T) {
	for _, c := range cpythonCases(t) {
		if c.Dis == nil {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			var b bytes.Buffer
			if err := Dump(&b, bytes.NewReader(c.Pickle), 0, c.End, Limits{}); err != nil {
				t.Fatal(err)
			}
			if b.String() != *c.Dis {
				t.Error(firstDifference(b.String(), *c.Dis))
			}
		})
	}
}

// firstDifference shows where two texts part.
func firstDifference(got, want string) string {
	i := 0
	for i < len(got) && i < len(want) && got[i] == want[i] {
		i++
	}
	from := max(0, i-60)
	return fmt.Sprintf("differs at %d:\ngot  %q\nwant %q", i, got[from:min(i+60, len(got))], want[from:min(i+60, len(want))])
}

// operandText writes an operand as make.py's operand does.
func operandText(in Instruction) string {
	switch v := in.Arg.(type) {
	case ByteString:
		s, _ := latin1(string(v)), 0
		if opcodes[in.Op].arg == argStringLine {
			s = string(v)
		}
		return "u" + quoted(s)
	case *big.Int:
		if v.BitLen() > 64 {
			return hexInt(v)
		}
		return v.String()
	case nil:
		return "None"
	}
	r := renderer{seen: map[any]int{}}
	text := r.text(in.Arg)
	if _, ok := in.Arg.(*ByteArray); ok {
		text = strings.TrimPrefix(text, "&0")
	}
	return text
}

func hexInt(z *big.Int) string {
	if z.Sign() < 0 {
		return "-0x" + new(big.Int).Neg(z).Text(16)
	}
	return "0x" + z.Text(16)
}

func quoted(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			b.WriteString(`\x` + hex.EncodeToString([]byte{c}))
		} else {
			b.WriteByte(c)
		}
	}
	return b.String() + `"`
}

// renderer writes a value as make.py does: containers are numbered when first
// met and named by number after that. It recurses: for tests only.
type renderer struct {
	seen     map[any]int
	asPython bool // of equal keys one, a str of Python 2 as Latin-1
}

func render(v Value) string { return (&renderer{seen: map[any]int{}}).text(v) }

func (r *renderer) text(v Value) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		if v {
			return "True"
		}
		return "False"
	case int64:
		return fmt.Sprint(v)
	case *big.Int:
		if v.BitLen() > 64 {
			return hexInt(v)
		}
		return v.String()
	case float64:
		return fmt.Sprintf("f%016x", math.Float64bits(v))
	case string:
		return "u" + quoted(v)
	case ByteString:
		if r.asPython {
			return "u" + quoted(latin1(string(v)))
		}
		return "s" + quoted(string(v))
	case []byte:
		return "b" + quoted(string(v))
	case *Symbol:
		return "@" + v.String()
	case *Tuple:
		if len(v.Items) == 0 {
			return "()"
		}
	case *Set:
		if v.Frozen {
			return r.container(v)
		}
	}
	if n, ok := r.seen[v]; ok {
		return fmt.Sprintf("*%d", n)
	}
	n := len(r.seen)
	r.seen[v] = n
	return fmt.Sprintf("&%d", n) + r.container(v)
}

func (r *renderer) container(v Value) string {
	switch v := v.(type) {
	case *ByteArray:
		return "ba" + quoted(string(v.Data))
	case *List:
		return "[" + r.many(v.Items) + "]"
	case *Tuple:
		return "(" + r.many(v.Items) + ")"
	case *Dict:
		pairs := v.Pairs
		if r.asPython {
			pairs = lastWins(pairs)
		}
		return "{" + r.pairs(pairs) + "}"
	case *Set:
		var parts []string
		for _, item := range v.Items {
			parts = append(parts, r.text(item))
		}
		sort.Strings(parts)
		if v.Frozen {
			return "frozenset{" + strings.Join(parts, ", ") + "}"
		}
		return "set{" + strings.Join(parts, ", ") + "}"
	case *Persistent:
		return "PERSID<" + r.text(v.ID) + ">"
	case *Extension:
		return fmt.Sprintf("EXT<%d>", v.Code)
	case *Object:
		op := v.Op.String()
		if v.Op == opObj || v.Op == opInst {
			op = "NEW"
		}
		out := op + "<" + r.text(v.Callable) + ", " + r.text(v.Args)
		if v.Kwargs() != nil {
			out += ", " + r.text(v.Kwargs())
		}
		out += ">"
		for _, s := range v.States() {
			out += "!" + r.text(s)
		}
		if len(v.Items()) > 0 {
			out += "+[" + r.many(v.Items()) + "]"
		}
		if len(v.Pairs()) > 0 {
			out += "+{" + r.pairs(v.Pairs()) + "}"
		}
		return out
	}
	return fmt.Sprintf("<%T>", v)
}

// lastWins does to pairs what a dict does, for keys that are scalars.
func lastWins(pairs []Pair) []Pair {
	var out []Pair
	at := map[string]int{}
	for _, p := range pairs {
		key := render(p.Key)
		switch key {
		case "True", "f3ff0000000000000":
			key = "1"
		case "False", "f0000000000000000", "f8000000000000000":
			key = "0"
		}
		i, ok := at[key]
		if !ok {
			at[key] = len(out)
			out = append(out, p)
			continue
		}
		out[i].Value = p.Value
	}
	return out
}

func (r *renderer) many(vs []Value) string {
	var parts []string
	for _, v := range vs {
		parts = append(parts, r.text(v))
	}
	return strings.Join(parts, ", ")
}

func (r *renderer) pairs(ps []Pair) string {
	var parts []string
	for _, p := range ps {
		parts = append(parts, r.text(p.Key)+": "+r.text(p.Value))
	}
	return strings.Join(parts, ", ")
}
