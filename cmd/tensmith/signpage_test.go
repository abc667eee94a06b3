//go:build !nokeyless

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// changing is what a run prints that the next one prints otherwise: the age of
// the trusted root, the head of a log, the time in it, the version.
var changing = regexp.MustCompile(`as of .* days? ago|head [0-9a-f]{64}|by tensmith \S+( [0-9a-f]+)?`)

// TestSignPage runs what docs/sign.md shows, in a shell and in its order: a
// page about what to trust had better be right. A line … stands for any lines.
func TestSignPage(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the page has the tools of Linux")
	}
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip(err)
	}
	text, err := os.ReadFile("../../docs/sign.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	copyTo := func(to, from string) {
		t.Helper()
		data, err := os.ReadFile(from)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(filepath.Join(dir, to)), 0o755)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, to), data, 0o644)
		}
		if err == nil { // a cache keeps nothing of files that were written just now
			err = os.Chtimes(filepath.Join(dir, to), time.Unix(1.6e9, 0), time.Unix(1.6e9, 0))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"config.json", "model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors",
		"model-00003-of-00003.safetensors", "model.safetensors.index.json"} {
		copyTo("model/"+name, realDir+"sharded/"+name)
	}
	copyTo("key.pem", "../../sign/testdata/keys/p256.pem")
	copyTo("pub.pem", "../../sign/testdata/keys/p256.pub.pem")
	copyTo("v1.1.0.sig", "../../sign/keyless/testdata/model-transparency/v1.1.0.sig")
	copyTo("lpips.pth", torchDir+"published/published_lpips_alex_v0.1.pth")
	ran := 0
	blocks := strings.Split(string(text), "```")
	for i := 1; i < len(blocks); i += 2 {
		block, ok := strings.CutPrefix(blocks[i], "console\n")
		if !ok {
			continue
		}
		status := 0
		for command := range strings.SplitSeq("\n"+block, "\n$ ") {
			line, want, _ := strings.Cut(command, "\n")
			if line == "" {
				continue
			}
			shell := exec.CommandContext(t.Context(), sh, "-c", line)
			shell.Dir = dir
			var out bytes.Buffer
			shell.Stdout, shell.Stderr = &out, &out
			if line == "echo $?" {
				shell = nil
				out.WriteString(string(rune('0' + status)))
			} else {
				_ = shell.Run()
				status = shell.ProcessState.ExitCode()
			}
			wanted, real := strings.TrimSpace(changing.ReplaceAllString(want, "X")), strings.TrimSpace(changing.ReplaceAllString(out.String(), "X"))
			if pattern := elided(wanted); pattern != nil && pattern.MatchString(real) {
				real = wanted
			}
			if diff := cmp.Diff(wanted, real); diff != "" {
				t.Errorf("%s (-page +real):\n%s", line, diff)
			}
			ran++
		}
	}
	if ran < 20 {
		t.Errorf("only %d commands of the page were run", ran)
	}
}

// elided is a pattern for output with lines left out, or nil.
func elided(want string) *regexp.Regexp {
	parts := strings.Split("\n"+want+"\n", "\n…\n")
	if len(parts) == 1 {
		return nil
	}
	for i, part := range parts {
		parts[i] = regexp.QuoteMeta(part)
	}
	return regexp.MustCompile(`\A` + strings.TrimSuffix(strings.TrimPrefix(strings.Join(parts, `\n(?s:.*)\n?`), "\n"), "\n") + `\z`)
}
