package scan

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
)

// TestBehindBound states that what stands before a dangerous name, so that a bound is met
// there, does not make a file harmless that says by nothing but its opcodes that it is a
// pickle: neither texts and pictures, nor numbers of a tensor, nor what is compressed.
// Python's unpicklers come to the call in each of them.
func TestBehindBound(t *testing.T) {
	unhurried(t)
	const evil = "cos\nsystem\n(S'true'\ntR."
	marks := strings.Repeat("(", 600_000) + strings.Repeat("1", 600_000) // more than are read
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write([]byte(marks + evil)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	const state = "}q\x00."
	for _, test := range []struct {
		name, data string
		want       Verdict
	}{
		{"README", marks + evil, VerdictDangerous},
		{"notes.txt", marks + evil, VerdictDangerous},
		{"a.gif", "GIF89a\x01\x00\x010" + marks + evil, VerdictDangerous},
		{"a.gz", packed.String(), VerdictDangerous},
		{"a.pt", string(manyOf(t, 0, "", nil, "a/data.pkl", state, "a/data/0", marks+evil)), VerdictDangerous},
		{"a.zip", string(manyOf(t, 0, "", nil, "a.txt", marks+evil)), VerdictDangerous},
		{"digits.txt", "F0." + strings.Repeat("0", 9000) + "\n0" + evil, VerdictDangerous},
		{"line.txt", "For " + strings.Repeat("words ", 2000) + "\ncos\nsystem\nand so on.\n", VerdictSuspicious},
		{"docs.zip", string(manyOf(t, 0, "", nil, "a.txt", strings.Repeat("x", 9000)+"\ncos\nsystem\nand so on.\n")), VerdictSuspicious},
		{"words.txt", strings.Repeat("For words ", 2000) + "\nand so on.\n", Clean},
		{"none.txt", marks + "N.", VerdictSuspicious},
		{"plain.pt", string(manyOf(t, 0, "", nil, "a/data.pkl", state, "a/data/0", marks+"N.")), Clean},
	} {
		if f := reader(t, test.name, []byte(test.data), Options{}); f.Verdict != test.want {
			t.Errorf("%s: %s: %+v", test.name, f.Verdict, f.Findings)
		}
	}
}

// TestLoadedFirst states that the pickle that torch loads is read, however much others
// before it in the archive take.
func TestLoadedFirst(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("takes seconds")
	}
	data := manyOf(t, 10, "x.pkl", bytes.Repeat([]byte("N0"), 4_000_000), "0/data.pkl", "cos\nsystem\n(S'true'\ntR.")
	if f := reader(t, "a.pt", data, Options{}); f.Verdict != VerdictDangerous {
		t.Errorf("%s: %+v", f.Verdict, f.Findings)
	}
}

// TestSerialized states that what Stable-Baselines3 unpickles is found as it decodes it:
// with characters that are not of the alphabet, without the mark of a protocol, and when it is
// longer than the archive around it, in which it is compressed.
func TestSerialized(t *testing.T) {
	const evil = "cos\nsystem\n(S'true'\ntR."
	long := append(binary.LittleEndian.AppendUint32([]byte("\x80\x04B"), 1_500_000), make([]byte, 1_500_000)...)
	base64 := base64.StdEncoding.EncodeToString
	for _, test := range []struct {
		name, text string
		want       Verdict
	}{
		{"strict", base64([]byte("\x80\x04" + evil)), VerdictDangerous},
		{"others", "!" + base64([]byte("\x80\x04"+evil)) + "*", VerdictDangerous},
		{"text", base64([]byte(evil)), VerdictDangerous},
		{"long", base64([]byte(string(long) + "0" + evil)), VerdictDangerous},
		{"long and plain", base64([]byte(string(long) + ".")), VerdictSuspicious},
		{"plain", base64([]byte("\x80\x04}.")), Clean},
	} {
		text := fmt.Sprintf(`{"policy_class": {":type:": "x", ":serialized:": %q}}`, test.text)
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if f := reader(t, "data.gz", b.Bytes(), Options{}); f.Verdict != test.want {
			t.Errorf("%s: %s: %+v", test.name, f.Verdict, f.Findings)
		}
	}
}

// TestPythonBase64 has what Python's base64.b64decode returns.
func TestPythonBase64(t *testing.T) {
	for text, want := range map[string]string{"aGVsbG8=": "hello", "!aGV*sbG8\n=": "hello", "aGVsbG8=aGVs": "hello", "aGVs": "hel", "aGVsbA==": "hell", "=aGVs": "hel", "a=GVs": "hel", "aG=Vs": "hel", "": "", "-_": ""} {
		if got := string(pythonBase64(text)); got != want {
			t.Errorf("%q: %q, not %q", text, got, want)
		}
	}
}

// TestLongSettings states that of settings all is read, whatever comes before: many lines
// that are harmless, and many bytes.
func TestLongSettings(t *testing.T) {
	blob := base64.StdEncoding.EncodeToString([]byte("\x80\x04K\x01K\x020000000000000000"))
	header := `{"__metadata__":{"a":"` + strings.Repeat(blob+" ", 20) + `"}}`
	for _, test := range []struct {
		name, before, line, id string
		n                      int
	}{
		{"a.yaml", "a: {_target_: torch.nn.Linear}\n", "x: {_target_: os.system}\n", "ST366", 1500},
		{"b.yaml", "a: b # and no more than that\n", "x: !!python/object/apply:os.system [\"true\"]\n", "ST366", 150_000},
		{"c.yaml", "a: \"{{ x }}\"\n", "a: \"{{ ''.__class__.__mro__ }}\"\n", "ST503", 100},
		{"d.yaml", "a: b # and no more than that\n", "a: \"{{ ''.__class__.__mro__ }}\"\n", "ST503", 150_000},
		{"a.pbtxt", "node { op: \"Add\" }\n", "node { op: \"WriteFile\" }\n", "ST374", 1500},
		{"a.safetensors", "", string(binary.LittleEndian.AppendUint64(nil, uint64(len(header)))) + header, "ST408", 0},
	} {
		before := strings.Repeat(test.before, test.n)
		f := reader(t, test.name, []byte(before+test.line), Options{})
		found := false
		for _, g := range f.Findings {
			found = found || g.ID == test.id && (g.Offset < 0 || g.Offset >= int64(len(before)))
		}
		if !found {
			t.Errorf("%s: %+v", test.name, f.Findings)
		}
	}
}
