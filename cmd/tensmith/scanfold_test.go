package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestFolded has lines of findings as a narrow terminal shows them.
func TestFolded(t *testing.T) {
	for _, test := range []struct {
		text          string
		indent, width int
		want          []string
	}{
		{"short", 8, 40, []string{"short"}},
		{"@261: a virtual dataset, made of numbers in the file", 8, 40, []string{"@261: a virtual", "        dataset, made of numbers in the", "        file"}},
		{"!archive/data/with/a/long/name.pkl@280: imports os.system", 8, 40, []string{"!archive/data/with/a", "        /long/name.pkl@280: imports", "        os.system"}},
		{"a " + strings.Repeat("x", 50), 20, 40, []string{"a " + strings.Repeat("x", 18), strings.Repeat(" ", 20) + strings.Repeat("x", 20), strings.Repeat(" ", 20) + strings.Repeat("x", 12)}},
	} {
		got := strings.Split(folded(test.text, 20, test.indent, test.width), "\n")
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.text, diff)
		}
		for i, line := range got {
			if i == 0 {
				line = strings.Repeat(" ", 20) + line
			}
			if len(line) > test.width {
				t.Errorf("%q is wider than %d", line, test.width)
			}
		}
	}
}

// TestScanName has a file whose name is no UTF-8, which is told in words.
func TestScanName(t *testing.T) {
	name := filepath.Join(t.TempDir(), "bad\xff.pkl")
	if err := os.WriteFile(name, []byte("\x80\x02]."), 0o666); err != nil {
		t.Skip("names are UTF-8 here: ", err)
	}
	var out, words bytes.Buffer
	if status := run(t.Context(), []string{"scan", name}, strings.NewReader(""), &out, &words); status != exitTrouble {
		t.Errorf("exit status %d, want %d", status, exitTrouble)
	}
	if !strings.Contains(words.String(), "the name is no UTF-8, so the file was not opened\nhint: rename it") {
		t.Errorf("it says %q", words.String())
	}
}
