package load

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tensmith/tensmith/safetensors"
)

// TestArena: what is held, what is reused, and what is an error once it was
// given back.
func TestArena(t *testing.T) {
	c := shards(t, directory(t))
	all := Tensors(c.All())
	var a Arena
	if err := a.Reset(); err != nil || a.Held() != 0 {
		t.Errorf("a new arena: %v, %d bytes", err, a.Held())
	}
	l := &Loader{Arena: &a}
	once := func() (tensors []*Tensor) {
		for tensor, err := range l.Load(context.Background(), all) {
			if err != nil {
				t.Fatal(err)
			}
			tensors = append(tensors, tensor)
			if a.Free() == nil || a.Reset() == nil {
				t.Fatal("given back under a load")
			}
		}
		return tensors
	}
	first := once()
	held := a.Held()
	var total int64
	for _, r := range all {
		n, _ := r.DataSize()
		total += n
	}
	if held < total || held > total+4*hugePage+int64(len(c.Files()))*hugePage {
		t.Errorf("%d bytes held for %d", held, total)
	}
	second := once() // beside the first
	for _, tensor := range append(first, second...) {
		b, err := tensor.Bytes()
		if err != nil || !bytes.Equal(b, want(t, all[tensor.Request])) {
			t.Fatalf("%s: %v", tensor.Name, err)
		}
	}
	if a.Held() <= held {
		t.Error("two loads take no more than one")
	}
	if err := a.Reset(); err != nil {
		t.Fatal(err)
	}
	held = a.Held()
	for range 3 {
		for _, tensor := range once() {
			if b, err := tensor.Bytes(); err != nil || len(b) > 0 && address(b)%page != all[tensor.Request].Data.(interface{ Offset() int64 }).Offset()%page {
				t.Fatalf("%s: %v", tensor.Name, err)
			}
		}
		if err := a.Reset(); err != nil {
			t.Fatal(err)
		}
		if a.Held() != held {
			t.Fatalf("%d bytes held, and %d after they were used again", held, a.Held())
		}
	}
	for _, tensor := range second {
		if _, err := tensor.Bytes(); tensor.arena != nil && err != ErrFreed {
			t.Fatalf("%s after Reset: %v", tensor.Name, err)
		}
	}
	for range 2 {
		if err := a.Free(); err != nil {
			t.Fatal(err)
		}
	}
	if a.Held() != 0 {
		t.Errorf("%d bytes held after Free", a.Held())
	}
	for _, err := range l.Load(context.Background(), all) {
		if !errors.Is(err, ErrFreed) {
			t.Errorf("loaded into what was freed: %v", err)
		}
	}
	var unused Arena
	if err := unused.Free(); err != nil {
		t.Error(err)
	}
	n := 0
	for _, err := range (&Loader{Arena: &unused}).Load(context.Background(), nil) {
		if n++; !errors.Is(err, ErrFreed) {
			t.Errorf("loaded nothing into what was freed: %v", err)
		}
	}
	if n != 1 {
		t.Errorf("%d errors", n)
	}
}

// A placing reader says where bytes are read to.
type placing struct {
	io.ReaderAt
	see func(p []byte)
}

func (r placing) ReadAt(p []byte, off int64) (int, error) {
	r.see(p)
	return r.ReaderAt.ReadAt(p, off)
}

// TestHugePages: no read is into two huge pages, so that no two workers make
// one ready, and none is asked for of which less than a quarter is needed.
func TestHugePages(t *testing.T) {
	onLinux(t)
	for _, test := range []struct{ size, want int }{
		{hugePage/4 - 2*page, 0},
		{hugePage / 3, hugePage},
		{3 * hugePage, 3 * hugePage}, // and the page that it begins in
		{3*hugePage + hugePage/2, 4 * hugePage},
		{40 * hugePage, 40 * hugePage},
	} {
		var file bytes.Buffer
		if err := new(safetensors.Encoder).Encode(&file, []safetensors.Entry{entry("before", safetensors.U8, 25*page), entry("x", safetensors.U8, test.size)}); err != nil {
			t.Fatal(err)
		}
		r := bytes.NewReader(file.Bytes())
		f, err := safetensors.NewFile(placing{r, func(p []byte) {
			first, last := address(p), address(p)+int64(len(p))-1
			if test.size > 2*hugePage && len(p) > page && first/hugePage != last/hugePage {
				t.Errorf("%d bytes: a read from %x to %x", test.size, first, last)
			}
		}}, r.Size())
		if err != nil {
			t.Fatal(err)
		}
		sys, asked := host(), 0
		hugePages := sys.hugePages
		sys.hugePages = func(b []byte) error {
			asked += len(b)
			return hugePages(b)
		}
		l := &Loader{Arena: arena(t), sys: sys}
		for i := range 2 { // the second beside the first
			asked = 0
			for _, err := range l.Load(t.Context(), Tensors(f.All())[1:]) {
				if err != nil {
					t.Fatal(err)
				}
			}
			if asked != test.want && (i == 0 || asked != 0) {
				t.Errorf("%d bytes: %d in huge pages, want %d", test.size, asked, test.want)
			}
		}
	}
	// A small load before it does not move a large one.
	sys := host()
	var a Arena
	defer a.Free()
	if _, err := a.enter(sys); err != nil {
		t.Fatal(err)
	}
	defer a.leave()
	for _, n := range []int64{20 * hugePage, page, 2 * hugePage} {
		b, err := a.take(n)
		if err != nil {
			t.Fatal(err)
		}
		if n == 20*hugePage {
			a.give(b, 0)
		} else if n > hugePage && address(b)%hugePage != 0 {
			t.Errorf("%d bytes at %x", n, address(b))
		}
	}
}

// TestArenaCleanup forgets an arena: its memory and its maps go back to the
// system, once no tensor is left.
func TestArenaCleanup(t *testing.T) {
	onLinux(t)
	c := shards(t, directory(t))
	var out atomic.Int64
	counted := host()
	allocate, mapFile, munmap := counted.allocate, counted.mapFile, counted.munmap
	counted.allocate = func(n int) ([]byte, error) { out.Add(1); return allocate(n) }
	counted.mapFile = func(fd, n int, private bool) ([]byte, error) { out.Add(1); return mapFile(fd, n, private) }
	counted.munmap = func(b []byte) error { out.Add(-1); return munmap(b) }
	var kept *Tensor
	func() {
		a := new(Arena)
		for _, way := range []Way{Read, Map} {
			for tensor, err := range (&Loader{Arena: a, Way: way, sys: counted}).Load(context.Background(), Tensors(c.All())) {
				if err != nil {
					t.Fatal(err)
				}
				if tensor.Name == "rows" {
					kept = tensor
				}
			}
		}
	}()
	runtime.GC()
	time.Sleep(20 * time.Millisecond)
	if out.Load() == 0 {
		t.Fatal("freed under a tensor")
	}
	if b, err := kept.Bytes(); err != nil || len(b) != 300*2000*2 {
		t.Fatalf("%d bytes: %v", len(b), err)
	}
	runtime.KeepAlive(kept)
	kept = nil
	for range 200 {
		runtime.GC()
		if out.Load() == 0 {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Errorf("%d pieces of memory were not given back", out.Load())
}

// TestPrivate writes to tensors of a map: the file and other maps of it stay
// as they are.
func TestPrivate(t *testing.T) {
	onLinux(t)
	c := shards(t, directory(t))
	all := Tensors(c.All())
	l := &Loader{Arena: arena(t), Way: Private}
	for tensor, err := range l.Load(context.Background(), all) {
		if err != nil {
			t.Fatal(err)
		}
		b, err := tensor.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		for i := range b {
			b[i] ^= 0xff
		}
		before := want(t, all[tensor.Request])
		for i := range b {
			if b[i] != before[i]^0xff {
				t.Fatalf("byte %d of %s was not written", i, tensor.Name)
			}
		}
	}
	load(t, &Loader{Arena: arena(t), Way: Map}, all)
}
