package scan

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// manyOf is a zip archive of n members of one content, stored, and then the others.
func manyOf(t *testing.T, n int, name string, data []byte, others ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	member := func(name string, data []byte) {
		f, err := w.CreateHeader(&zip.FileHeader{Name: name})
		if err == nil {
			_, err = f.Write(data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		member(fmt.Sprintf("%d/%s", i, name), data)
	}
	for i := 0; i < len(others); i += 2 {
		member(others[i], []byte(others[i+1]))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// array is a file of NumPy with one number.
func array() []byte {
	header := "{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }"
	header += strings.Repeat(" ", 117-len(header)) + "\n"
	return append(append([]byte("\x93NUMPY\x01\x00\x76\x00"), header...), make([]byte, 8)...)
}

// TestWork states that an archive of very many files that take long is read up to
// a bound, says so beside whatever was found, and is not clean; that the bound
// does not hide a pickle by its name; and that archives of as many plain files as
// there are in use do not come to it.
func TestWork(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("takes seconds")
	}
	header := `{"__metadata__":{"a":"b"}}`
	tensors := append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header...)
	const evil = "cposix\nsystem\n(S'id'\ntR."
	for _, test := range []struct {
		name  string
		data  []byte
		want  Verdict
		bound bool
	}{
		{"safetensors.zip", manyOf(t, 30_000, "a.safetensors", tensors), VerdictSuspicious, true},
		{"safetensors-few.zip", manyOf(t, 5_000, "a.safetensors", tensors), Clean, false},
		{"messages.zip", manyOf(t, 30_000, "a.pb", []byte("\x0a\x02ab\x12\x00")), VerdictSuspicious, true},
		{"evil.zip", manyOf(t, 30_000, "a.safetensors", tensors, "z.pkl", evil), VerdictDangerous, true},
		{"settings.zip", manyOf(t, 12, "a.yaml", bytes.Repeat([]byte("a: {_target_: os.system}\nsecret: hunter22hunter\n"), 80_000)), VerdictDangerous, true},
		{"documents.zip", manyOf(t, 12, "a.pmml", append([]byte("<?xml version=\"1.0\"?><PMML>"), bytes.Repeat([]byte(`<a b="c"/>`), 400_000)...)), VerdictSuspicious, true},
		{"words.zip", manyOf(t, 100_000, "a.json", []byte(`{"a":1}`)), Clean, false},
		{"arrays.npz", manyOf(t, 60_000, "a.npy", array()), Clean, false},
	} {
		f := reader(t, test.name, test.data, Options{})
		bound := false
		for _, finding := range f.Findings {
			bound = bound || finding.ID == "ST404" && finding.Name == "work"
		}
		if f.Verdict != test.want || bound != test.bound {
			t.Errorf("%s: %s, at its bound: %t: %+v", test.name, f.Verdict, bound, f.Findings[:min(3, len(f.Findings))])
		}
	}
}

// TestMember holds that the entries of an archive stay small, and point nowhere:
// what the collector follows of 200,000 of them would take a third of the time.
func TestMember(t *testing.T) {
	of := reflect.TypeFor[member]()
	if of.Size() > 64 {
		t.Errorf("a member takes %d bytes", of.Size())
	}
	for i := range of.NumField() {
		if k := of.Field(i).Type.Kind(); k > reflect.Uint64 {
			t.Errorf("%s is a %s", of.Field(i).Name, k)
		}
	}
}

// TestManyAllocations holds how much is allocated for each of many small members.
func TestManyAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("counts allocations")
	}
	const n = 2000
	for _, test := range []struct {
		name string
		data []byte
		most float64 // for each member
	}{
		{"a.json", []byte(`{"a":1}`), 24},
		{"a.txt", []byte("Words, and no more.\n"), 24},
		{"a.npy", array(), 32},
		{"data/0", make([]byte, 4), 16},
	} {
		data := manyOf(t, n, test.name, test.data)
		if got := testing.AllocsPerRun(3, func() { reader(t, "a.zip", data, Options{}) }) / n; got > test.most {
			t.Errorf("%s: %.1f allocations", test.name, got)
		}
	}
}

// TestNestedKeys states that what stands above a string of JSON is not looked
// through for each of them: of 9,990 lists around two million it would take
// minutes.
func TestNestedKeys(t *testing.T) {
	unhurried(t)
	for _, test := range []struct{ key, want string }{{"auto_map", "ST502"}, {"chat_template", "ST503"}, {"other", "ST404"}} {
		text := `{"` + test.key + `":` + strings.Repeat("[", 9990) + `"{{ ''.__class__ }}"` + strings.Repeat(`,"a"`, 2_991_000)
		f := reader(t, "a.json", []byte(text), Options{})
		found := false
		for _, finding := range f.Findings {
			found = found || finding.ID == test.want
		}
		if !found {
			t.Errorf("%s: %+v", test.key, f.Findings)
		}
	}
}

// linkCounter counts how often links are read.
type linkCounter struct {
	fstest.MapFS
	n *int
}

func (c linkCounter) ReadLink(name string) (string, error) {
	*c.n++
	return c.MapFS.ReadLink(name)
}

// TestLinksReadOnce states that of links which lead to links each is read once.
func TestLinksReadOnce(t *testing.T) {
	const n = 200
	files := fstest.MapFS{fmt.Sprintf("l%03d", n): {Data: []byte("cposix\nsystem\n(S'id'\ntR.")}}
	for i := range n {
		files[fmt.Sprintf("l%03d", i)] = &fstest.MapFile{Data: fmt.Appendf(nil, "l%03d", i+1), Mode: fs.ModeSymlink}
	}
	count := 0
	report, err := Path(t.Context(), linkCounter{files, &count}, ".", Options{})
	if err != nil {
		t.Fatal(err)
	}
	told := 0
	for _, f := range report.Files {
		for _, finding := range f.Findings {
			if finding.ID == "ST513" {
				told++
			}
		}
	}
	if count != n || told != maxHops-1 {
		t.Errorf("%d links are read %d times, and %d are told of", n, count, told)
	}
}

// TestSecretLines states that lines without a word that secrets have are none, by
// the expression alone.
func TestSecretLines(t *testing.T) {
	lines := []string{"password: hunter2hunter2", "  - Api_Key = 'abcdefghij'", "KEY=0123456789abc # x", "a: b", "export secret_key=\"q1w2e3r4t5\"", "name: hf_" + strings.Repeat("aB1", 12),
		"\tauth-token : \t zyxwvutsrqp", "password:", "", "x: [private_key: abcdefghijk]", "url: https://u:pa55word1@h/", "TOKEN abc", "paſſword: hunter2hunter2", "passwd=" + strings.Repeat("z9", 300)}
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var text strings.Builder
		for range 1 + random.IntN(8) {
			text.WriteString(lines[random.IntN(len(lines))])
			text.WriteString([]string{"\n", "\r\n", "\n\n", " "}[random.IntN(4)])
		}
		want, got := newTrace(t.Context(), &Options{}, 1), newTrace(t.Context(), &Options{}, 1)
		at := place{file: "a.yaml", name: "a.yaml"}
		b := []byte(text.String())
		for _, m := range secretLine().FindAllSubmatchIndex(b, -1) {
			want.secret(at, int64(m[2]), string(b[m[2]:m[3]]), string(b[m[4]:m[5]]))
		}
		got.secretLines(at, b)
		if diff := cmp.Diff(want.findings, got.findings); diff != "" {
			t.Fatalf("%q: %s", b, diff)
		}
	}
}

// TestNameLine states that a text without a line that is a name hides no pickle
// of text opcodes.
func TestNameLine(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	found := 0
	for range 60_000 {
		b := make([]byte, random.IntN(24))
		for i := range b {
			b[i] = "cc\n\n\na_.(t 1\r"[random.IntN(13)]
		}
		if hiddenPickle().Match(b) {
			found++
			if !hasNameLine(b) {
				t.Fatalf("%q", b)
			}
		}
	}
	if found < 100 {
		t.Errorf("%d texts match", found)
	}
}
