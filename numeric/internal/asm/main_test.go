package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestCommitted holds that the kernels in the package are what this writes. (With
// go test -count=1: the cache does not see them.)
func TestCommitted(t *testing.T) {
	for kernels, argv := range map[string][]string{
		"kernel_amd64.s": {"run", ".", "-out"},
		"kernel_arm64.s": {"run", "./neon"},
	} {
		name := filepath.Join(t.TempDir(), kernels)
		if out, err := exec.Command("go", append(argv, name)...).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		got, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile("../../" + kernels)
		if err != nil {
			t.Fatal(err)
		}
		// The first line of avo's has the command in it.
		if _, got, _ = bytes.Cut(got, []byte("\n")); !bytes.HasSuffix(want, got) {
			t.Errorf("%s is not what the generator writes: run go generate in numeric", kernels)
		}
	}
}
