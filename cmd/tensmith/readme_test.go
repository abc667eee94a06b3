package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestReadme runs what the README shows.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	runShown(t, text)
	// The table of verbs is complete.
	for _, cmd := range (&app{}).root().Commands() {
		if !bytes.Contains(text, []byte("`"+cmd.Name()+"`")) && !bytes.Contains(text, []byte("`tensmith "+cmd.Name()+"`")) {
			t.Errorf("the README does not mention the verb %s", cmd.Name())
		}
	}
}

// TestPages runs what these pages show.
func TestPages(t *testing.T) {
	t.Setenv("LC_ALL", "C.UTF-8") // numbers are drawn in blocks, not in plain ASCII
	for _, page := range []string{"convert", "numbers", "quantised"} {
		t.Run(page, func(t *testing.T) {
			text, err := os.ReadFile("../../docs/" + page + ".md")
			if err != nil {
				t.Fatal(err)
			}
			runShown(t, text)
		})
	}
}

// runShown runs the commands of a page and compares what they print: a picture
// of output that no program prints any more is worse than none. Lines that end
// in a backslash, pipes and the shell's own commands are not for this test; the
// one file that the README cuts is cut here.
func runShown(t *testing.T, text []byte) {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, folder := range []string{"safetensors", "convert", "scan"} {
		if err := os.Symlink(filepath.Join(root, folder), filepath.Join(dir, folder)); err != nil {
			t.Skip(err)
		}
	}
	cut, err := os.ReadFile("../../safetensors/testdata/real/numpy.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "cut.safetensors"), cut[:1200], 0o666); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	if bytes.Contains(text, []byte("make_model.py")) {
		writeLlama(t, "model")
		if err := os.Mkdir("out", 0o777); err != nil {
			t.Fatal(err)
		}
	}

	ran := 0
	blocks := strings.Split(string(text), "```")
	for i := 1; i < len(blocks); i += 2 {
		block, ok := strings.CutPrefix(blocks[i], "console\n")
		if !ok {
			continue
		}
		for command := range strings.SplitSeq("\n"+block, "\n$ ") {
			line, want, _ := strings.Cut(command, "\n")
			line, ok := strings.CutPrefix(strings.Replace(line, "go run ./cmd/tensmith", "tensmith", 1), "tensmith ")
			if !ok || strings.Contains(line, "|") {
				continue
			}
			line, status := strings.CutSuffix(line, "; echo $?")
			var out bytes.Buffer
			words := io.Writer(&out)
			if data, ok := strings.CutSuffix(line, " 2>/dev/null"); ok {
				line, words = data, io.Discard
			}
			args := strings.Fields(line)
			for i := range args {
				args[i] = strings.Trim(args[i], "'") // none of them has a space
			}
			code := run(t.Context(), args, nil, &out, words)
			if status {
				fmt.Fprintln(&out, code)
			}
			if diff := cmp.Diff(strings.TrimSpace(want), strings.TrimSpace(out.String())); diff != "" {
				t.Errorf("tensmith %s (-page +real):\n%s", line, diff)
			}
			ran++
		}
	}
	if ran < 3 {
		t.Errorf("only %d commands of the page were run", ran)
	}
}
