//go:build unix

package conformance

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestGradeBrood: what a program has started does not outlive it, whether the
// program hangs or has answered.
func TestGradeBrood(t *testing.T) {
	for part, exit := range map[string]string{"brood": "no answer in 2s", "orphan": "exit status 1"} {
		t.Run(part, func(t *testing.T) {
			g := grader(t, part)
			g.Timeout = 2 * time.Second
			if part == "orphan" {
				g.Timeout = time.Minute
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			g.Each = func(Result) { cancel() }
			report, err := g.Grade(ctx)
			if !errors.Is(err, context.Canceled) || len(report.Results) != 1 {
				t.Fatalf("error %v after %d results", err, len(report.Results))
			}
			r := report.Results[0]
			if r.Exit != exit {
				t.Errorf("%q, want %q", r.Exit, exit)
			}
			pid, err := strconv.Atoi(strings.TrimSpace(r.Output))
			if err != nil {
				t.Skip("the machine was too busy for the program to begin") // and then there is no child
			}
			// It is gone when somebody has taken note of its death: init, for one.
			gone := false
			for deadline := time.Now().Add(10 * time.Second); !gone && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
				gone = syscall.Kill(pid, 0) == syscall.ESRCH || zombie(pid)
			}
			if !gone {
				t.Errorf("the child %d lives on", pid)
			}
		})
	}
}

// zombie reports whether a process is dead, and only nobody has asked for it.
func zombie(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(state, "Z")
}
