package safetensors

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
)

// seeds are headers that begin a fuzzer's walk, each with 16 bytes of data.
var seeds = []string{
	`{}`,
	`{"a":{"dtype":"F32","shape":[1,4],"data_offsets":[0,16]}}`,
	` {"a":{"data_offsets":[0,8],"shape":[2,2],"dtype":"F16"},"__metadata__":{"k":"v"},"b":{"dtype":"U8","shape":[8],"data_offsets":[8,16],"x":[1e5,{"y":null}]}} `,
	`{"__metadata__":null,"\u00e9\n":{"dtype":"F4","shape":[32],"data_offsets":[0,16]},"e":{"dtype":"I64","shape":[0,18446744073709551615],"data_offsets":[16,16]}}`,
	`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[3],"data_offsets":[4,16]},"c":{"dtype":"BOOL","shape":[0],"data_offsets":[16,16]}}`,
}

// withLength puts a header's length before it and n bytes of data behind it.
func withLength(header string, n int) []byte {
	file := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(file, header...), make([]byte, n)...)
}

// FuzzParse states that any header is read without a panic, that the fast
// path changes nothing, that Check finds an error where NewFile does, and
// that what is accepted can be written and read again.
func FuzzParse(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s), uint64(16))
	}
	ref := startReference(f)
	f.Fuzz(func(t *testing.T, text []byte, dataLen uint64) {
		var first, slow *FormatError
		h := parseHeader(text, dataLen, firstError(&first))
		slowHeader := parseSlowly(text, dataLen, firstError(&slow))
		if (h == nil) != (first != nil) {
			t.Fatalf("header %v, error %v", h, first)
		}
		if (first == nil) != (slow == nil) || first != nil && first.Error() != slow.Error() {
			t.Fatalf("fast path: %v; strict path: %v", first, slow)
		}
		var all []error
		parseHeader(text, dataLen, func(e *FormatError) bool {
			if !e.isNote() {
				all = append(all, e.Err)
			}
			return true
		})
		if (first != nil) != (len(all) > 0) || first != nil && !slices.Contains(all, first.Err) {
			t.Fatalf("first error %v, all errors %v", first, all)
		}
		if ref != nil && dataLen < 1<<12 && len(text) < 1<<16 {
			agree(t, ref, withLength(string(text), int(dataLen)))
		}
		if h == nil {
			return
		}
		if !slices.Equal(h.entries, slowHeader.entries) && len(h.entries) > 0 {
			// Hashes differ by their seeds.
			for i := range h.entries {
				a, b := h.entries[i], slowHeader.entries[i]
				if a.hash, b.hash = 0, 0; a != b {
					t.Fatalf("fast path: %+v; strict path: %+v", a, b)
				}
			}
		}
		if dataLen < 1<<12 {
			roundTrip(t, withLength(string(text), int(dataLen)))
		}
	})
}

// parseSlowly is parseHeader without the fast path: no key of the text stands
// where canonical looks for one.
func parseSlowly(text []byte, dataLen uint64, report func(*FormatError) bool) *header {
	return parseWith(&parser{slow: true}, text, dataLen, report)
}

// roundTrip states that a file read, written, read and written again is the
// same the second time, and that its tensors and metadata never change.
func roundTrip(t *testing.T, file []byte) {
	f, err := NewFile(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	once := encode(t, f)
	g, err := NewFile(bytes.NewReader(once), int64(len(once)))
	if err != nil {
		t.Fatalf("our own file is refused: %v: %q", err, once)
	}
	if g.Len() != f.Len() {
		t.Fatalf("%d tensors, %d after a round trip", f.Len(), g.Len())
	}
	for want := range f.All() {
		got, err := g.Tensor(want.Name)
		if err != nil {
			t.Fatal(err)
		}
		a, errA := want.Bytes()
		b, errB := got.Bytes()
		if err := errors.Join(errA, errB); err != nil {
			t.Fatal(err)
		}
		if got.DType != want.DType || !slices.Equal(got.Shape, want.Shape) || !bytes.Equal(a, b) {
			t.Fatalf("tensor %q changed", want.Name)
		}
	}
	if twice := encode(t, g); !bytes.Equal(once, twice) {
		t.Fatalf("written twice:\n%q\n%q", once, twice)
	}
}

func encode(t *testing.T, f *File) []byte {
	var entries []Entry
	for tensor := range f.All() {
		entries = append(entries, Entry{tensor.Info, tensor})
	}
	var out bytes.Buffer
	if err := (&Encoder{Metadata: f.Metadata()}).Encode(&out, entries); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestGenerated compares verdicts with the reference on headers that are
// nearly right: grown from pieces that a fuzzer of bytes would hardly find
// together.
func TestGenerated(t *testing.T) {
	ref := startReference(t)
	if ref == nil {
		t.Skip("TENSMITH_REFERENCE does not name the reference implementation")
	}
	rounds := 200_000
	if testing.Short() {
		rounds = 20_000
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range rounds {
		g := generator{rng}
		agree(t, ref, g.file())
		if t.Failed() {
			break
		}
	}
}

type generator struct{ *rand.Rand }

func (g generator) pick(of ...string) string { return of[g.IntN(len(of))] }

// rarely returns usual most of the time.
func (g generator) rarely(usual string, rare ...string) string {
	if g.IntN(12) > 0 {
		return usual
	}
	return g.pick(rare...)
}

func (g generator) space() string { return g.rarely("", " ", "\n", "\t", "\r", " \n ", "\v", "\x00") }

func (g generator) number() string {
	return g.rarely(strconv.Itoa(g.IntN(5)), "-0", "0", "00", "1.0", "1e0", "-1", "+1", "18446744073709551615",
		"18446744073709551616", "9223372036854775808", "2305843009213693952", "1e400", "0.5", ".5", "1.", "0x1", "NaN", "null", `"1"`, "[]")
}

func (g generator) float() string {
	digits := func(n int) (s string) {
		for range n {
			s += strconv.Itoa(g.IntN(10))
		}
		return s
	}
	s := g.pick("", "", "-") + g.pick("0", digits(1), digits(g.IntN(25)), "1"+digits(300+g.IntN(20)), "17976931348623157", "1797693134862315"+digits(4))
	s += g.pick("", "", ".", "."+digits(1+g.IntN(22)), "."+digits(g.IntN(400)))
	return s + g.pick("", "", "e", "E+", "e-", "e"+digits(3), "e-"+digits(3), "e29"+digits(1), "e30"+digits(1), "E"+digits(12), "e-"+digits(12))
}

func (g generator) str() string {
	return `"` + g.rarely(g.pick("a", "b", "c", "d", "weight", ""), `\u0061`, `\n`, `\/`, `\x`, `\u12`, `\ud800`, `\ud83d\ude00`, `\ude00\ud83d`, "é", "\xff", "\xed\xa0\x80", "\x01", "\x7f", `\"`, `\\`, "__metadata__", `\u005f_metadata__`, "😀") + `"`
}

func (g generator) any(depth int) string {
	if depth > 4 {
		return g.float()
	}
	switch g.IntN(7) {
	case 0:
		return g.str()
	case 1:
		return g.pick("true", "false", "null", "nul", "True")
	case 2:
		return "[" + g.space() + g.any(depth+1) + g.rarely(",", "", ",,") + g.any(depth+1) + "]"
	case 3:
		return "{" + g.str() + g.space() + ":" + g.any(depth+1) + "," + g.str() + ":" + g.any(depth+1) + g.rarely("}", ",}", "]")
	case 4:
		n := 120 + g.IntN(12)
		return string(bytes.Repeat([]byte("["), n)) + string(bytes.Repeat([]byte("]"), n))
	}
	return g.float()
}

// file returns a file of a few tensors that fill the data, more or less.
func (g generator) file() []byte {
	header, at := "", 0
	for i := range g.IntN(4) {
		if i > 0 {
			header += g.rarely(",", "", ",,", ";")
		}
		dtype, bits := "F32", 32
		if g.IntN(2) == 0 {
			d := DType(1 + g.IntN(22))
			dtype, bits = d.String(), d.Bits()
		}
		a, b := g.IntN(5), g.IntN(4)
		shape := strconv.Itoa(a) + "," + strconv.Itoa(b)
		size := a * b * bits / 8
		if g.IntN(12) == 0 {
			shape = g.number() + g.space() + "," + g.number()
		}
		begin, end := strconv.Itoa(at), strconv.Itoa(at+size)
		if at += size; g.IntN(20) == 0 {
			begin, end = g.number(), g.number()
		}
		fields := []string{
			`"dtype":` + g.space() + g.rarely(`"`+dtype+`"`, `"f32"`, `"\u0046\u00332"`, `null`, `"F8"`, `1`, `["F32"]`),
			`"shape":[` + g.space() + shape + g.rarely("]", ",]", "", "}"),
			`"data_offsets":[` + begin + "," + end + g.rarely("]", ",1]", "}"),
		}
		if g.IntN(4) == 0 {
			fields = append(fields, g.str()+":"+g.any(0))
		}
		if g.IntN(30) == 0 {
			fields = append(fields, fields[g.IntN(3)])
		}
		if g.IntN(30) == 0 {
			fields = fields[1:]
		}
		if g.IntN(4) == 0 {
			g.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
		}
		header += g.space() + g.rarely(`"`+string(rune('a'+i))+`"`, g.str()) + g.space() + ":" + g.space() + "{"
		for j, field := range fields {
			if j > 0 {
				header += g.space() + "," + g.space()
			}
			header += field
		}
		header += g.space() + "}"
	}
	if g.IntN(3) == 0 {
		comma := ","
		if header == "" {
			comma = ""
		}
		header += comma + `"__metadata__":` + g.rarely(`{`+g.str()+`:`+g.str()+`}`, "null", "{}", `{"a":1}`, `{"a":"b",}`, "[]", `{"a":"b","\u0061":"c"}`)
	}
	header = g.space() + "{" + g.space() + header + g.space() + g.rarely("}", "", "]", "}}", "} x") + g.space()
	return withLength(header, at+g.IntN(12)/11)
}
