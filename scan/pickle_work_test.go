package scan

import (
	"encoding/binary"
	"strings"
	"testing"
)

// scanWithin scans data with that much work, to read pickles and to skim them.
func scanWithin(t *testing.T, data string, pickles, skims int64) *trace {
	t.Helper()
	tr := newTrace(t.Context(), &Options{}, int64(len(data)))
	tr.spent.pickles, tr.spent.skims = pickles, skims
	tr.content(inMemory([]byte(data)), place{file: "model.pkl", name: "model.pkl"})
	return tr
}

func (t *trace) found(id string) bool {
	for _, f := range t.findings {
		if f.ID == id {
			return true
		}
	}
	return false
}

// TestWorkEnds states what a scan says when its work ends: never clean, and
// dangerous as far as what is kept for names alone goes.
func TestWorkEnds(t *testing.T) {
	const some, plenty = 200_000, 20_000_000
	pad := strings.Repeat("N0", 50_000)
	for _, test := range []struct {
		name, data     string
		pickles, skims int64
		want           Verdict
	}{
		{"harmless, within the bound", "\x80\x04" + pad + "N.", plenty, plenty, Clean},
		{"harmless, over it", "\x80\x04" + pad + "N.", some, plenty, VerdictSuspicious},
		{"a name behind the bound", "\x80\x04" + pad + "cos\nsystem\n.", some, plenty, VerdictDangerous},
		{"a name behind both", "\x80\x04" + pad + "cos\nsystem\n.", some, some, VerdictSuspicious},
		{"in the next pickle", "\x80\x04N." + pad + "N.cos\nsystem\n(tR.", some, plenty, VerdictDangerous},
		{"behind a row of pickles", strings.Repeat("\x80\x04N.", 1000) + "cos\nsystem\n(tR.", some, plenty, VerdictDangerous},
		{"behind where it breaks off", "\x80\x04ca\nb\n\xff" + pad + "cos\nsystem\n", plenty, plenty, VerdictDangerous},
		{"the same, behind the bound", "\x80\x04ca\nb\n\xff" + pad + "cos\nsystem\n", plenty, some, VerdictSuspicious},
		{"nothing is left at all", "\x80\x04cos\nsystem\n.", 0, 0, VerdictSuspicious},
		{"but for names", "\x80\x04cos\nsystem\n.", 0, plenty, VerdictDangerous},
	} {
		tr := scanWithin(t, test.data, test.pickles, test.skims)
		if got := verdict(tr.findings); got != test.want {
			t.Errorf("%s: %s, not %s: %+v", test.name, got, test.want, tr.findings)
		}
		if test.want == VerdictSuspicious && !tr.found("ST404") {
			t.Errorf("%s: no bound is told: %+v", test.name, tr.findings)
		}
	}
}

// TestSkimKeepsSome states that no pickle takes all that is kept for names.
func TestSkimKeepsSome(t *testing.T) {
	tr := newTrace(t.Context(), &Options{}, 1<<20)
	tr.spent.pickles, tr.spent.skims = 0, 10_000_000
	at := place{file: "a", name: "a"}
	long := inMemory([]byte(strings.Repeat("N0", 1<<20) + "N."))
	for range 3 {
		tr.skim(long, 0, at, nil, &reading{})
	}
	if tr.skim(inMemory([]byte("cos\nsystem\n.")), 0, at, nil, &reading{}); !tr.found("ST301") || !tr.found("ST404") {
		t.Errorf("%d are left: %+v", tr.spent.skims, tr.findings)
	}
}

// TestWorkIsTaken states that whatever a short opcode makes a scan go over takes
// as much work: each of these is one unit a million times in a hostile file.
func TestWorkIsTaken(t *testing.T) {
	text := func(s string) string {
		return string(binary.LittleEndian.AppendUint32([]byte("X"), uint32(len(s)))) + s
	}
	pairs := "}("
	for i := range 256 {
		pairs += text("key"+strings.Repeat("x", i%7)+string(rune('a'+i%26))) + "N"
	}
	pairs += "u"
	for _, test := range []struct {
		name, head, unit string
		want             int64 // at least, for one unit
	}{
		{"many arguments", "ccollections\nOrderedDict\nq\x00(" + strings.Repeat("N", 2000) + "tq\x010", "h\x00h\x01R0", 2000 * valueWork},
		{"arguments within each other", "ctorch._utils\n_rebuild_tensor_v2\nq\x00(" + strings.Repeat("N", 16) + "tq\x010(" + strings.Repeat("h\x01", 16) + "tq\x020", "h\x00h\x02R0", 256 * valueWork},
		{"many attributes", "ctorch._utils\n_rebuild_parameter_with_state\nq\x00(NNN" + pairs + "tq\x010", "h\x00h\x01R0", 256 * pairWork},
		{"a state of many keys", "ccollections\nOrderedDict\nq\x00" + pairs + "q\x010", "h\x00)Rh\x01b0", 256 * pairWork},
		{"bytes of a text", "cbuiltins\nbytearray\nq\x00" + text(strings.Repeat("a", 8000)) + text("latin-1") + "\x86q\x010", "h\x00h\x01R0", 8000 * lookWork},
		{"bytes of numbers", "cbuiltins\nbytes\nq\x00](" + strings.Repeat("K\x01", 250) + "e\x85q\x010", "h\x00h\x01R0", 250 * lookWork},
		{"a text that may be hints", "N0", text(strings.Repeat("s_", 4000)) + "0", 8000},
		{"a text with a program", "N0", text("import os; os.system( "+strings.Repeat("x", 4000)) + "0", 4000 * textWork},
		{"a string that looks like a file", "N0", text("\xc2\x80\x02N.cos\nsystem\n.") + "0", 100},
		{"bytes that look like a file", "N0", "\x8e\x18\x00\x00\x00\x00\x00\x00\x00\x80\x02" + strings.Repeat("N0", 10) + "N.0", pickleWork},
		{"a name", "N0", "cmodule\nname\n0", 150},
	} {
		left := func(n int) int64 {
			tr := scanWithin(t, "\x80\x04"+test.head+strings.Repeat(test.unit, n)+"N.", 1<<40, 1<<40)
			return tr.spent.pickles
		}
		// The first unit may take more than those that follow.
		if got := (left(10) - left(30)) / 20; got < test.want {
			t.Errorf("%s: %d are taken, %d or more are right", test.name, got, test.want)
		}
	}
}

// TestHints states that one pass finds what as many searches as there are hints
// would.
func TestHints(t *testing.T) {
	words := append(append([]string{"import ", "IMPORT "}, issued...), commandHints...)
	for _, word := range words {
		for _, text := range []string{word, strings.ToUpper(word), "x" + word, word + "x", strings.Repeat("s_ (", 9) + word + "k-", word[1:], word[:len(word)-1]} {
			want := hinted(0)
			if hasAny(text, issued) {
				want |= hintSecret
			}
			if hasAny(strings.ToLower(text), commandHints) {
				want |= hintCommand
			}
			if strings.Contains(text, "import ") {
				want |= hintImport
			}
			if got, _ := find(hintsOf(), text); got != want {
				t.Errorf("%q: %b, not %b", text, got, want)
			}
		}
	}
	benign := strings.Repeat("a tensor of the third layer, in half precision; ", 200)
	if found, places := find(hintsOf(), benign); found != 0 || places > len(benign)/50 {
		t.Errorf("%b; %d places of %d bytes look like hints", found, places, len(benign))
	}
}
