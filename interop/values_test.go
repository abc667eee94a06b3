package interop_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// TestValues has NumPy load what export writes, and compute what stats, hist
// and diff --values print.
func TestValues(t *testing.T) {
	python := os.Getenv("TENSMITH_PYTHON")
	if python == "" {
		t.Skip("TENSMITH_PYTHON does not name a Python that has the packages of requirements.txt")
	}
	program := filepath.Join(t.TempDir(), "tensmith")
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	if out, err := exec.Command("go", "build", "-o", program, "../cmd/tensmith").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.Command(python, "values.py", program).CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}
