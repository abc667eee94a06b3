package load

import (
	"bytes"
	"context"
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// goroutines waits until there are no more goroutines than there were.
func goroutines(t *testing.T, before int) {
	t.Helper()
	for range 3000 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	buf := make([]byte, 1<<16)
	t.Fatalf("%d goroutines, there were %d\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
}

// TestLeave leaves the loop early, and by panic: nothing is left running, no
// file is left open, and the memory is there for the next.
func TestLeave(t *testing.T) {
	c := shards(t, directory(t))
	all := requests(t, c)
	before, open := runtime.NumGoroutine(), descriptors(t)
	for way := Auto; way <= Private; way++ {
		for _, budget := range []int64{0, 3*blockSize + 1} {
			for leave := range 4 {
				if testing.Short() && leave%2 == 1 {
					continue
				}
				l := &Loader{Way: way, Budget: budget, Workers: 3, Arena: arena(t)}
				n := 0
				func() {
					defer func() {
						if e := recover(); e != nil && e != "left" {
							panic(e)
						}
					}()
					for _, err := range l.Load(context.Background(), all) {
						if err != nil {
							t.Fatal(err)
						}
						if n++; n > leave*20 {
							if leave == 2 {
								panic("left")
							}
							break
						}
					}
				}()
				goroutines(t, before)
				if got := descriptors(t); got != open {
					t.Fatalf("%d descriptors open, there were %d", got, open)
				}
				load(t, l, all)
			}
		}
	}
}

// descriptors returns how many descriptors the process has open.
func descriptors(t *testing.T) int {
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0 // no such thing here
	}
	return len(d)
}

func TestCancel(t *testing.T) {
	c := shards(t, directory(t))
	before := runtime.NumGoroutine()
	cause := errors.New("enough")

	// Before it begins, between two tensors, and while memory is waited for.
	for _, at := range []int{0, 5, 40} {
		ctx, cancel := context.WithCancelCause(context.Background())
		if at == 0 {
			cancel(cause)
		}
		n := 0
		var failed error
		l := &Loader{Arena: arena(t), Budget: 3*blockSize + 1, Workers: 2}
		for tensor, err := range l.Load(ctx, Tensors(c.All())) {
			if failed = err; err != nil {
				break
			}
			if n++; n == at {
				cancel(cause)
			}
			tensor.Keep()
		}
		cancel(nil)
		if failed != cause || n != at {
			t.Errorf("after %d of %d tensors: %v, want %v", n, at, failed, cause)
		}
		goroutines(t, before)
	}
}

// TestBudget: what is kept is not written over, what is released makes room,
// and a loop that keeps everything waits for a release or the context.
func TestBudget(t *testing.T) {
	c := shards(t, directory(t))
	all := Tensors(c.All())
	a := arena(t)
	l := &Loader{Arena: a, Budget: 10 << 20}
	type held struct {
		t *Tensor
		b []byte
	}
	var kept []held
	check := func(h held) {
		if !bytes.Equal(h.b, want(t, all[h.t.Request])) {
			t.Fatalf("%s was written over while it was kept", h.t.Name)
		}
	}
	for tensor, err := range l.Load(context.Background(), all) {
		if err != nil {
			t.Fatal(err)
		}
		b, err := tensor.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		if tensor.Keep(); true {
			kept = append(kept, held{tensor, b})
		}
		if len(kept) > 1 {
			check(kept[0])
			kept[0].t.Release()
			if _, err := kept[0].t.Bytes(); len(kept[0].b) > 0 && !errors.Is(err, ErrFreed) {
				t.Fatalf("bytes of a released tensor: %v", err)
			}
			kept = kept[1:]
		}
	}
	for _, h := range kept {
		check(h)
		h.t.Release()
		h.t.Release() // does nothing
	}
	if held := a.Held(); held > 10<<20+2*hugePage {
		t.Errorf("%d bytes held", held)
	}

	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	var failed error
	for tensor, err := range l.Load(ctx, all) {
		if failed = err; err == nil {
			tensor.Keep()
		}
	}
	if failed != context.DeadlineExceeded {
		t.Errorf("all kept: %v", failed)
	}

	for _, err := range (&Loader{Budget: 3 * blockSize}).Load(context.Background(), all) {
		if !errors.Is(err, ErrBudget) || !strings.Contains(err.Error(), `"large.6"`) {
			t.Errorf("a tensor larger than the budget: %v", err)
		}
	}
}

// TestBudgetOfGo bounds memory that is the collector's as well, and leaves
// bytes alone that are not in an Arena.
func TestBudgetOfGo(t *testing.T) {
	c := shards(t, directory(t))
	all := Tensors(c.All())
	l := &Loader{Budget: 3*blockSize + 1}
	var got []*Tensor
	for tensor, err := range l.Load(context.Background(), all) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, tensor)
	}
	for _, tensor := range got {
		if b, err := tensor.Bytes(); err != nil || !bytes.Equal(b, want(t, all[tensor.Request])) {
			t.Fatalf("%s: %v", tensor.Name, err)
		}
	}
}
