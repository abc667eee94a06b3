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
	name := filepath.Join(t.TempDir(), "kernel_amd64.s")
	if out, err := exec.Command("go", "run", ".", "-out", name).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("../../kernel_amd64.s")
	if err != nil {
		t.Fatal(err)
	}
	if _, got, _ = bytes.Cut(got, []byte("\n")); !bytes.HasSuffix(want, got) {
		t.Error("kernel_amd64.s is not what the generator writes: run go generate in numeric")
	}
}
