package scan

import (
	"context"
	"testing"
	"time"
)

// TestRoom holds that one file at a time takes much memory, that it keeps the
// room to its end, and that waiting for it ends with the scan.
func TestRoom(t *testing.T) {
	shared := make(room, 1)
	ctx, cancel := context.WithCancel(context.Background())
	first, second := newTrace(ctx, &Options{}, 1), newTrace(ctx, &Options{}, 1)
	first.spent.room, second.spent.room = shared, shared
	first.large()
	first.apart().large() // the same file
	in := make(chan bool, 1)
	go func() {
		second.large()
		in <- second.spent.entered
	}()
	select {
	case <-in:
		t.Fatal("two files at a time")
	case <-time.After(20 * time.Millisecond):
	}
	first.leave()
	if !<-in {
		t.Error("the room is empty, and was not entered")
	}
	third := newTrace(ctx, &Options{}, 1)
	third.spent.room = shared
	cancel()
	third.large()
	if third.spent.entered {
		t.Error("entered what is taken")
	}
	third.leave()
	second.leave()
	if len(shared) != 0 {
		t.Error("the room was not left")
	}
}

// TestShares states that many small files are read at a time, and few large
// ones.
func TestShares(t *testing.T) {
	s := newShares()
	var give []func()
	for range allShares / leastShare {
		give = append(give, s.take(100))
	}
	if s.left != 0 {
		t.Errorf("%d are left", s.left)
	}
	waited := make(chan func())
	go func() { waited <- s.take(1 << 40) }()
	for _, g := range give {
		g()
	}
	(<-waited)()
	if s.left != allShares {
		t.Errorf("%d of %d came back", s.left, allShares)
	}
}
