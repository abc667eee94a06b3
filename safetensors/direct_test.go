package safetensors

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestDirect states that a file written past the page cache, or where that is
// refused, is the one that is written in order: on a disk, and in memory, where
// there is nothing to write past.
func TestDirect(t *testing.T) {
	dirs := []string{t.TempDir()}
	if dir, err := os.MkdirTemp("/dev/shm", "tensmith-test-*"); err == nil {
		defer os.RemoveAll(dir)
		dirs = append(dirs, dir)
	}
	rng := rand.New(rand.NewPCG(17, 18))
	rounds := 8
	if RaceDetector || testing.Short() {
		rounds = 3
	}
dirs:
	for _, dir := range dirs {
		name := filepath.Join(dir, "a.safetensors")
		for range rounds {
			entries, content := randomEntries(rng)
			total, last := int64(0), int64(0)
			for _, data := range content {
				total += int64(len(data))
			}
			e := &Encoder{Direct: true, NoSync: rng.IntN(2) == 0, Align: []int{0, 4096}[rng.IntN(2)], Progress: func(n int64) { last = n }}
			var want bytes.Buffer
			if err := e.Encode(&want, entries); err != nil {
				t.Fatal(err)
			}
			last = 0
			err := e.WriteFile(t.Context(), name, entries)
			if errors.Is(err, syscall.ENOSPC) && dir != dirs[0] {
				continue dirs // the memory of a container, which may be small
			}
			if err != nil {
				t.Fatal(err)
			}
			if last != total {
				t.Errorf("progress ends at %d of %d", last, total)
			}
			if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want.Bytes()) {
				t.Fatalf("%s: other bytes than those of Encode (%v)", name, err)
			}
		}
		empty(t, dir, "a.safetensors")
	}
}

// TestDirectRefused lets the system refuse each write past the page cache, as
// some file systems do though they let a file be opened so.
func TestDirectRefused(t *testing.T) {
	rng := rand.New(rand.NewPCG(19, 20))
	for range 5 {
		entries, _ := randomEntries(rng)
		entries = append(entries, u8("aligned", bytes.NewReader(make([]byte, 5*blockSize)), 5*blockSize))
		var want bytes.Buffer
		e := new(Encoder)
		if err := e.Encode(&want, entries); err != nil {
			t.Fatal(err)
		}
		p, err := e.plan(entries)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(t.TempDir(), "a.safetensors")
		f, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		refusing, err := os.Open(name) // no write gets through it
		if err != nil {
			t.Fatal(err)
		}
		defer refusing.Close()
		out := &output{ctx: t.Context(), f: f, direct: &direct{f: refusing}}
		if err := out.write(p.sources()); err != nil {
			t.Fatal(err)
		}
		if out.direct.usable() {
			t.Error("nothing was refused")
		}
		if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want.Bytes()) {
			t.Fatalf("other bytes than those of Encode (%v)", err)
		}
	}
	if d := directTo(filepath.Join(t.TempDir(), "none"), 1<<20, true); d.usable() {
		t.Error("a file that cannot be opened is written to")
	}
}

// TestDirectParts states what of a write goes past the page cache: whole pages
// that lie on pages, in the file and in memory.
func TestDirectParts(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "a"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d := directTo(f.Name(), 0, true)
	if d == nil {
		t.Skip("the system has no such writes here")
	}
	defer d.close()
	p := alignedBlock(4 * directAlign)
	for i := range p {
		p[i] = byte(i >> 8)
	}
	for _, c := range []struct {
		p    []byte
		off  int64
		want int
	}{
		{p, 0, 4 * directAlign},
		{p[:3*directAlign+1], directAlign, 3 * directAlign},
		{p[directAlign:], 8 * directAlign, 3 * directAlign},
		{p[:directAlign-1], 0, 0},
		{p[1:], 0, 0},
		{p, 512, 0},
		{nil, 0, 0},
	} {
		got := d.write(c.p, c.off)
		if !d.usable() {
			t.Skip("the file system refuses such writes")
		}
		if got != c.want {
			t.Errorf("%d bytes at %d: %d went past the cache, want %d", len(c.p), c.off, got, c.want)
		}
		read := make([]byte, got)
		if _, err := f.ReadAt(read, c.off); err != nil || !bytes.Equal(read, c.p[:got]) {
			t.Errorf("%d bytes at %d: read back otherwise (%v)", len(c.p), c.off, err)
		}
	}
}

// TestDirectOfItself: what would fill the memory is written past it.
func TestDirectOfItself(t *testing.T) {
	room, ok := available()
	if !ok {
		t.Skip("the system does not say what memory it has")
	}
	name := filepath.Join(t.TempDir(), "a")
	if err := os.WriteFile(name, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for size, want := range map[int64]bool{1: false, room/2 - room/10: false, room: true, 1 << 60: true} {
		d := directTo(name, size, false)
		if d.usable() != (want && openable(name)) {
			t.Errorf("%d bytes of a memory of %d: %v, want %v", size, room, d.usable(), want)
		}
		d.close()
	}
}

func openable(name string) bool {
	f := openDirect(name)
	if f == nil {
		return false
	}
	f.Close()
	return true
}
