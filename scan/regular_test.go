package scan

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestRegular compiles what is otherwise compiled when it is needed.
func TestRegular(t *testing.T) {
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	call := regexp.MustCompile("regular\\(`([^`]+)`\\)")
	n := 0
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range call.FindAllSubmatch(text, -1) {
			n++
			if _, err := regexp.Compile(string(m[1])); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if n < 30 {
		t.Errorf("%d patterns were found", n)
	}
	for _, made := range []func() *regexp.Regexp{commands, isEvaluation} { // of several pieces
		made()
	}
}
