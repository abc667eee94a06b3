package main

import (
	"bytes"
	"context"
	"os"
	"testing"
	"time"
)

// TestBenchInterrupted ends a run in the middle, and finds nothing left of it.
func TestBenchInterrupted(t *testing.T) {
	for _, after := range []time.Duration{0, 400 * time.Millisecond} {
		dir := t.TempDir()
		ctx, cancel := context.WithTimeout(t.Context(), after)
		defer cancel()
		var stdout, stderr bytes.Buffer
		code := run(ctx, []string{"bench", "--dir", dir, "--size", "2MB", "--tensors", "1000", "--rounds", "1000"}, nil, &stdout, &stderr)
		if code != exitInterrupted {
			t.Errorf("exit status %d, want %d; stderr: %s", code, exitInterrupted, &stderr)
		}
		if stdout.Len() > 0 {
			t.Errorf("half a run printed %s", &stdout)
		}
		list, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			t.Errorf("left behind: %s", e.Name())
		}
	}
}
