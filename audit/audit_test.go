package audit_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tensmith/tensmith/audit"
)

// TestMain lets TestProcesses run the test's binary as a process that appends.
func TestMain(m *testing.M) {
	if name := os.Getenv("TENSMITH_TEST_AUDIT"); name != "" {
		for i := range 20 {
			if _, err := audit.Append(name, &audit.Entry{Verb: fmt.Sprint("verb", i), Arguments: []string{strings.Repeat("x", i*100)}, Outcome: audit.Done}); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// write makes a log of n entries, and returns its name and its heads.
func write(t testing.TB, n int) (name string, heads []string) {
	t.Helper()
	name = filepath.Join(t.TempDir(), "audit.jsonl")
	for i := range n {
		head, err := audit.Append(name, &audit.Entry{
			Time: "2026-11-23T00:00:00Z", User: "u <&>", Verb: "convert", Arguments: []string{"a\nb", `"hash":"`},
			Inputs:  []audit.Artifact{{Path: fmt.Sprintf("%d.pt", i), SHA256: strings.Repeat("a", 64), Bytes: 3}},
			Outcome: audit.Done,
		})
		if err != nil {
			t.Fatal(err)
		}
		heads = append(heads, head)
	}
	return name, heads
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestChain(t *testing.T) {
	name, heads := write(t, 3)
	text := read(t, name)
	got, err := audit.Verify(bytes.NewReader(text), heads[1])
	if err != nil {
		t.Fatal(err)
	}
	want := audit.Summary{Entries: 3, Head: heads[2], Time: "2026-11-23T00:00:00Z", Since: 1}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	// The rule of the package's doc, with the tools of a shell.
	if _, err := exec.LookPath("sha256sum"); err == nil {
		sh := exec.Command("sh", "-c", `sed -n 2p "$1" | sed 's/,"hash":"[0-9a-f]*"}$//' | tr -d '\n' | sha256sum`, "sh", name)
		out, err := sh.Output()
		if err != nil || !strings.HasPrefix(string(out), heads[1]) {
			t.Errorf("sha256sum says %s, %v; the hash is %s", out, err, heads[1])
		}
	}
	// An empty log, and the head of one.
	got, err = audit.Verify(strings.NewReader(""), strings.Repeat("0", 64))
	if diff := cmp.Diff(audit.Summary{Head: strings.Repeat("0", 64)}, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
}

// TestEveryBit: no bit can be changed but in the line end of the last line.
func TestEveryBit(t *testing.T) {
	name, _ := write(t, 2)
	text := read(t, name)
	for i := range text {
		for bit := range 8 {
			text[i] ^= 1 << bit
			if _, err := audit.Verify(bytes.NewReader(text), ""); err == nil {
				t.Fatalf("bit %d of byte %d can be changed", bit, i)
			}
			text[i] ^= 1 << bit
		}
	}
}

func TestBroken(t *testing.T) {
	name, heads := write(t, 4)
	text := string(read(t, name))
	lines := strings.SplitAfter(text, "\n")
	for _, test := range []struct {
		what, text string
		line       uint64
		reason     string
	}{
		{"changed", strings.Replace(text, "1.pt", "9.pt", 1), 2, "its hash"},
		{"removed", lines[0] + lines[2] + lines[3], 2, "does not follow"},
		{"first removed", lines[1] + lines[2], 1, "does not follow"},
		{"exchanged", lines[0] + lines[2] + lines[1] + lines[3], 2, "does not follow"},
		{"twice", lines[0] + lines[0], 2, "does not follow"},
		{"empty line", lines[0] + "\n" + lines[1], 2, "no entry"},
		{"empty line at the end", text + "\n", 5, "no entry"},
		{"torn", text[:len(text)-30], 4, "torn"},
		{"torn within the last line end", text[:len(text)-1], 4, "torn"},
		{"zeros", text + "\x00\x00\x00", 5, "torn"},
		{"other text", "hello\n", 1, "no entry"},
	} {
		_, err := audit.Verify(strings.NewReader(test.text), "")
		broken, ok := errors.AsType[*audit.BrokenError](err)
		if !ok || broken.Line != test.line || !strings.Contains(broken.Reason, test.reason) {
			t.Errorf("%s: %v, want line %d: %s", test.what, err, test.line, test.reason)
		}
	}
	// A tail that is cut off at a line is seen by a head alone.
	got, err := audit.Verify(strings.NewReader(lines[0]+lines[1]), heads[3])
	if err != nil || got.Since != -1 || got.Entries != 2 {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestTorn cuts a log at every byte, as a crash may, and appends to it.
func TestTorn(t *testing.T) {
	name, heads := write(t, 2)
	text := read(t, name)
	second := bytes.IndexByte(text, '\n') + 1
	for cut := 1; cut < len(text); cut++ {
		if err := os.WriteFile(name, text[:cut], 0o666); err != nil {
			t.Fatal(err)
		}
		e := audit.Entry{Verb: "next"}
		if _, err := audit.Append(name, &e); err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		got, err := audit.Verify(bytes.NewReader(read(t, name)), heads[0])
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		want := audit.Summary{Entries: 1, Head: e.Hash, Since: -1, Torn: []uint64{1}}
		switch {
		case cut == second-1, cut == second:
			want.Entries, want.Since, want.Torn = 2, 1, nil
		case cut == len(text)-1:
			want.Entries, want.Since, want.Torn = 3, 2, nil
		case cut > second:
			want.Entries, want.Since, want.Torn = 2, 1, []uint64{2}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("cut at %d: %s", cut, diff)
		}
		if after := read(t, name); !bytes.HasPrefix(after, text[:cut]) {
			t.Fatalf("cut at %d: what there was has changed", cut)
		}
	}
}

// TestTornTwice: a crash while the entry is added that tells of a crash.
func TestTornTwice(t *testing.T) {
	name, _ := write(t, 2)
	text := append(read(t, name), "{\"schema\n{\"sch\x00\x00"...)
	if err := os.WriteFile(name, text, 0o666); err != nil {
		t.Fatal(err)
	}
	e := audit.Entry{Verb: "next"}
	if _, err := audit.Append(name, &e); err != nil {
		t.Fatal(err)
	}
	if e.Line != 5 || e.Torn == nil || e.Torn.Lines != 2 {
		t.Errorf("%+v", e)
	}
	got, err := audit.Verify(bytes.NewReader(read(t, name)), "")
	if diff := cmp.Diff([]uint64{3}, got.Torn); diff != "" || err != nil {
		t.Error(err, diff)
	}
	// What an entry calls torn cannot be changed later.
	changed := bytes.Replace(read(t, name), []byte("{\"sch\x00\x00"), []byte("{\"sch\x00\x01"), 1)
	_, err = audit.Verify(bytes.NewReader(changed), "")
	if broken, ok := errors.AsType[*audit.BrokenError](err); !ok || broken.Line != 3 {
		t.Error(err)
	}
}

// TestRefused: nothing is added behind a line that someone has changed.
func TestRefused(t *testing.T) {
	name, _ := write(t, 2)
	text := bytes.Replace(read(t, name), []byte("1.pt"), []byte("9.pt"), 1)
	if err := os.WriteFile(name, text, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := audit.Append(name, &audit.Entry{}); !errors.Is(err, audit.ErrBroken) {
		t.Error(err)
	}
	if err := audit.Check(name); !errors.Is(err, audit.ErrBroken) {
		t.Error(err)
	}
	if diff := cmp.Diff(string(text), string(read(t, name))); diff != "" {
		t.Error(diff)
	}
	if err := audit.Check(t.TempDir()); err == nil {
		t.Error("a directory is a log")
	}
}

// TestLong: the last entry is found whatever its length.
func TestLong(t *testing.T) {
	name, _ := write(t, 1)
	for _, n := range []int{65535, 65536, 200_000, 3 << 20} {
		if _, err := audit.Append(name, &audit.Entry{Error: strings.Repeat("x", n)}); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := audit.Verify(bytes.NewReader(read(t, name)), ""); err != nil || got.Entries != 5 {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestProcesses: several processes append to one log, and none breaks it.
func TestProcesses(t *testing.T) {
	name := filepath.Join(t.TempDir(), "audit.jsonl")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var running []*exec.Cmd
	for range 4 {
		cmd := exec.Command(self)
		cmd.Env, cmd.Stderr = append(os.Environ(), "TENSMITH_TEST_AUDIT="+name), os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		running = append(running, cmd)
	}
	for _, cmd := range running {
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
	if got, err := audit.Verify(bytes.NewReader(read(t, name)), ""); err != nil || got.Entries != 80 {
		t.Errorf("%+v, %v", got, err)
	}
}

// FuzzVerify: no text makes Verify panic, and no byte of a whole log can be
// changed.
func FuzzVerify(f *testing.F) {
	name, _ := write(f, 3)
	text := read(f, name)
	f.Add(text, 100, byte(1))
	f.Add(text[:len(text)-7], 3, byte(2))
	f.Add([]byte("\n"), 0, byte(3))
	f.Add([]byte("{}"), 1, byte(4))
	f.Fuzz(func(t *testing.T, text []byte, at int, mask byte) {
		if _, err := audit.Verify(bytes.NewReader(text), ""); err != nil || len(text) == 0 || mask == 0 {
			return
		}
		text[uint(at)%uint(len(text))] ^= mask
		if _, err := audit.Verify(bytes.NewReader(text), ""); err == nil {
			t.Errorf("byte %d can be changed", uint(at)%uint(len(text)))
		}
	})
}

// FuzzAppend: what Append added to is a whole log if it was one before, and
// what it refused is as it was.
func FuzzAppend(f *testing.F) {
	name, _ := write(f, 3)
	text := read(f, name)
	f.Add(text)
	f.Add(text[:len(text)-7])
	f.Add(text[:len(text)-1])
	f.Add([]byte("\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		name := filepath.Join(t.TempDir(), "log")
		before, err := audit.Verify(bytes.NewReader(text), "")
		if werr := os.WriteFile(name, text, 0o666); werr != nil {
			t.Fatal(werr)
		}
		_, added := audit.Append(name, &audit.Entry{Verb: "fuzz"})
		after, again := audit.Verify(bytes.NewReader(read(t, name)), before.Head)
		if err == nil && (added != nil || again != nil || after.Entries != before.Entries+1 || after.Since != 1) {
			t.Errorf("a whole log became %+v: %v, %v", after, added, again)
		}
		if added != nil && !bytes.Equal(text, read(t, name)) {
			t.Error("a refused entry changed the log")
		}
	})
}

func ExampleVerify() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "audit.jsonl")
	for _, verb := range []string{"convert", "sign"} {
		if _, err := audit.Append(name, &audit.Entry{Verb: verb, Outcome: audit.Done}); err != nil {
			panic(err)
		}
	}
	text, err := os.ReadFile(name)
	if err != nil {
		panic(err)
	}
	summary, err := audit.Verify(bytes.NewReader(text), "")
	fmt.Println(summary.Entries, err)

	_, err = audit.Verify(bytes.NewReader(bytes.Replace(text, []byte("sign"), []byte("scan"), 1)), "")
	fmt.Println(err)
	// Output:
	// 2 <nil>
	// line 2: its hash is not that of its bytes
}
