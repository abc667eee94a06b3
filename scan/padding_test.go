package scan

import (
	"bytes"
	"strings"
	"testing"
)

// What stands before a dangerous name does not make it less: at every bound of
// the machine, the names of the rest are read.
func TestPadding(t *testing.T) {
	unhurried(t)
	const n = 2 << 20
	for _, test := range []struct{ name, pad string }{
		{"the stack is full", "(" + strings.Repeat("N", n) + "1"},
		{"too many marks", strings.Repeat("(", n) + strings.Repeat("1", n)},
		{"too much memory", "(" + strings.Repeat("]", n) + "1"},
		{"unknown calls", "(" + strings.Repeat("ca\nb\n)R", n/4) + "1"},
		{"too many opcodes", strings.Repeat("N0", 16<<20)},
	} {
		for _, call := range []struct{ head, how, id string }{
			{"", "cos\nsystem\n", "ST301"},
			{"", "\x8c\x02os\x8c\x06system\x93", "ST301"},
			{"\x8c\x02os\x940\x8c\x06system\x940", "h\x00h\x01\x93", "ST301"},
			{"", "\x82\x01", "ST306"},
			{"", "ca\nb\n)R\x8c\x06system\x93", "ST305"},
		} {
			if len(test.pad) > 8<<20 && call.head == "" {
				continue // one is enough
			}
			data := "\x80\x04" + call.head + test.pad + call.how + "."
			r, err := Reader(t.Context(), strings.NewReader(data), int64(len(data)), "model.pkl", Options{})
			if err != nil {
				t.Fatal(err)
			}
			found := map[string]bool{}
			for _, f := range r.Findings {
				found[f.ID] = true
			}
			if r.Verdict != VerdictDangerous || !found["ST404"] || !found[call.id] {
				t.Errorf("%s, then %q: %s, %v", test.name, call.how, r.Verdict, found)
			}
		}
		if testing.Short() {
			break
		}
	}
}

// Arrays between the opcodes are none.
func TestPaddingRaw(t *testing.T) {
	array := "cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81}(X\x05\x00\x00\x00shapeK\x10\x85X\x05\x00\x00\x00order" +
		"X\x01\x00\x00\x00CX\x05\x00\x00\x00dtypecnumpy\ndtype\nX\x02\x00\x00\x00u1K\x00K\x01\x87R(K\x03X\x01\x00\x00\x00|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb" +
		"X\x08\x00\x00\x00subclasscnumpy\nndarray\nX\x0a\x00\x00\x00allow_mmap\x89ub" + strings.Repeat("\xff", 16)
	data := []byte("\x80\x02(" + array + strings.Repeat("N", 2<<20) + "1cos\nsystem\n.")
	r, err := Reader(t.Context(), bytes.NewReader(data), int64(len(data)), "model.joblib", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Verdict != VerdictDangerous {
		t.Errorf("%s: %v", r.Verdict, r.Findings)
	}
}

// Names and numbers that are too long are no less in the way: older Pythons read
// numbers of any length, and a name may go on without an end.
func TestPaddingLong(t *testing.T) {
	digits := strings.Repeat("1", 5000)
	for _, data := range []string{
		"I" + digits + "\n0cos\nsystem\n.",
		"L" + digits + "L\n0cos\nsystem\n.",
		"F" + strings.Repeat("1", 20<<10) + "\n0cos\nsystem\n.",
		"Np0" + digits + "\n0cos\nsystem\n.",
		"P" + strings.Repeat("x", 20<<10) + "\n0cos\nsystem\n.",
		"\x80\x04cos\nsystem" + strings.Repeat(".__call__", 20<<10) + "\n.",
	} {
		r, err := Reader(t.Context(), strings.NewReader(data), int64(len(data)), "model.pkl", Options{})
		if err != nil {
			t.Fatal(err)
		}
		if r.Verdict != VerdictDangerous {
			t.Errorf("%.10q: %s, %v", data, r.Verdict, r.Findings)
		}
	}
}

// A checkpoint within bytes is looked into behind a bound, too, and be it one that
// no program would take for a pickle.
func TestPaddingLoad(t *testing.T) {
	unhurried(t)
	pad := "\x80\x03(" + strings.Repeat("N", 2<<20) + "1"
	for _, inner := range []string{"\x80\x02cos\nsystem\n.", "I1\n0cos\nsystem\n.", "\x80\x02]."} {
		for _, data := range []string{
			pad + "ctorch.storage\n_load_from_bytes\nC" + string(rune(len(inner))) + inner + "\x85R.",
			pad + "C" + string(rune(len(inner))) + inner + "q\x000ctorch.storage\n_load_from_bytes\nh\x00\x85R.",
		} {
			want := VerdictDangerous
			if !strings.Contains(inner, "system") {
				want = VerdictSuspicious
			}
			r, err := Reader(t.Context(), strings.NewReader(data), int64(len(data)), "model.pkl", Options{})
			if err != nil {
				t.Fatal(err)
			}
			if r.Verdict != want {
				t.Errorf("%q: %s, %v", inner, r.Verdict, r.Findings)
			}
		}
	}
}
