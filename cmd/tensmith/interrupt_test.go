package main

import (
	"bytes"
	"context"
	"errors"
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
