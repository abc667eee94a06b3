package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What looks up when it is interrupted says how it ended; for what does not,
// nobody waits, and it draws nothing any more.
func TestAbandoning(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ended := errors.New("ended")
	a := &app{stderr: new(bytes.Buffer), progress: "bar"}
	if err := a.abandoning(ctx, func() error { return ended }); err != ended {
		t.Errorf("work that ended: %v", err)
	}
	if a.abandoned.Load() {
		t.Error("work that ended was abandoned")
	}

	var words bytes.Buffer
	a = &app{stderr: &words, progress: "json"}
	m := a.meter("work", 10)
	m.draw()
	drawn := words.String()
	if drawn == "" {
		t.Fatal("nothing was drawn")
	}
	forever := make(chan struct{})
	defer close(forever)
	err := a.abandoning(ctx, func() error { <-forever; return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("work without end: %v", err)
	}
	m.draw()
	if diff := cmp.Diff(drawn, words.String()); diff != "" {
		t.Errorf("progress of abandoned work (-before +after):\n%s", diff)
	}
}

// A slowWriter is a terminal at which somebody presses ctrl-C.
type slowWriter struct {
	bytes.Buffer
	cancel func()
}

func (w *slowWriter) Write(p []byte) (int, error) {
	w.cancel()
	return w.Buffer.Write(p)
}

// A long answer ends soon when it is interrupted, and the run knows.
func TestInterruptedOutput(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	w := &slowWriter{cancel: cancel}
	s := &stream{Writer: w, ctx: ctx}
	n, err := s.Write(make([]byte, 1<<20))
	if n != w.Len() || n == 0 || n > 1<<16 || !errors.Is(err, context.Canceled) || !errors.Is(s.err, context.Canceled) {
		t.Errorf("wrote %d, of which %d arrived: %v, and later %v", n, w.Len(), err, s.err)
	}
	whole := &stream{Writer: new(bytes.Buffer), ctx: t.Context()}
	for _, want := range []int{0, 1, 1 << 16, 1<<16 + 1, 1 << 20} {
		if n, err := whole.Write(make([]byte, want)); n != want || err != nil {
			t.Errorf("of %d bytes wrote %d: %v", want, n, err)
		}
	}
}

// A broken writer takes nothing: a pipe that nobody reads any more, or a file on a
// disk that is full.
type broken struct{ err error }

func (b broken) Write([]byte) (int, error) {
	return 0, &os.PathError{Op: "write", Path: "|1", Err: b.err}
}

// What is only looked at may be left, as with head; what is a judgement is made
// to its end, and told by the exit status. An answer that did not arrive because a
// disk is full is trouble.
func TestClosedPipe(t *testing.T) {
	good := realDir + "numpy.safetensors"
	list := filepath.Join(t.TempDir(), "list")
	if err := os.WriteFile(list, []byte(strings.Repeat("0", 64)+"  "+good+"\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		want int
		args []string
	}{
		{exitYes, []string{"ls", good}},
		{exitYes, []string{"hash", good}},
		{exitYes, []string{"check", good, "--json"}},
		{exitYes, []string{"scan", good, "--json"}},
		{exitYes, []string{"diff", good, good, "--json"}},
		{exitNo, []string{"check", "../../convert/torch/testdata/hand/evil_zip.pt"}},
		{exitNo, []string{"scan", "../../convert/torch/testdata/hand/evil_zip.pt"}},
		{exitNo, []string{"diff", good, realDir + "gptq", "--json"}},
		{exitNo, []string{"hash", "-c", list}},
		{exitNo, []string{"audit", "verify", list}},
	} {
		if got := run(t.Context(), test.args, nil, broken{syscall.EPIPE}, io.Discard); got != test.want {
			t.Errorf("%s: exit status %d, not %d", strings.Join(test.args, " "), got, test.want)
		}
		if test.args[0] == "audit" {
			continue // what is broken is told in words
		}
		if got := run(t.Context(), test.args, nil, broken{syscall.ENOSPC}, io.Discard); got != exitTrouble {
			t.Errorf("%s, with a full disk: exit status %d", strings.Join(test.args, " "), got)
		}
	}
}
