package load

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/tensmith/tensmith/safetensors"
)

// TestCached asks the host what is in its page cache, in both ways.
func TestCached(t *testing.T) {
	onLinux(t)
	name := filepath.Join(directory(t), "model.safetensors")
	if err := new(safetensors.Encoder).WriteFile(context.Background(), name, entries()); err != nil {
		t.Fatal(err)
	}
	c := checkpoint(t, name)
	load(t, new(Loader), Tensors(c.All()))
	refuse := errors.New("no")
	all := func(_, pages []byte) error {
		for i := range pages {
			pages[i] = 1
		}
		return nil
	}
	for way, change := range map[string]func(*system){
		"counted": func(*system) {},
		"sampled": func(s *system) { s.cached = func(int, int64, int64) (int64, error) { return 0, refuse } },
		"peeked": func(s *system) {
			s.cached, s.inCore = func(int, int64, int64) (int64, error) { return 0, refuse }, all
		},
	} {
		t.Run(way, func(t *testing.T) {
			f := &file{File: c.Files()[0], first: c.Files()[0].DataOffset(), last: c.Files()[0].Size(), pageSize: int64(os.Getpagesize()), sys: host()}
			if err := f.control(func(fd int) error {
				magic, err := f.sys.fileSystem(fd)
				f.stacked = magic == overlay // whose count is of the wrong file
				return err
			}); err != nil {
				t.Fatal(err)
			}
			change(f.sys)
			wanted := f.last - f.first
			n, err := f.cached()
			if err != nil {
				t.Skip(err) // an old kernel or a container may refuse it
			}
			if n < wanted*9/10 || n > wanted+8<<20 {
				t.Errorf("%d of %d bytes in the page cache, which were just read", n, wanted)
			}
		})
	}
}

// TestHalfCached: what the page cache has is read from there, and the rest
// past it.
func TestHalfCached(t *testing.T) {
	onLinux(t)
	c := shards(t, directory(t))
	for name, l := range map[string]*Loader{"arena": {Arena: arena(t)}, "arena, guessed": {Arena: arena(t)},
		"budget": {Arena: arena(t), Budget: 20 << 20}, "memory of Go": {}} {
		counts := name != "arena, guessed"
		sys := pretend(ext4, true, roomy)
		sys.openDirect = fakeDirect(sys.openDirect)
		// Every other block of 2 MiB is cached, which is known or guessed.
		sys.cached = func(_ int, off, n int64) (int64, error) {
			if n > blockSize {
				return n / 2, nil
			}
			if !counts {
				return 0, errors.ErrUnsupported
			}
			if off/blockSize%2 == 0 {
				return n, nil
			}
			return 0, nil
		}
		sys.peek = func(_ int, off int64) (bool, error) { return off/blockSize%2 == 0, nil }
		var past, wrong atomic.Int64
		pread := sys.pread
		sys.pread = func(f *os.File, p []byte, off int64) (int, error) {
			past.Add(1)
			if (off+int64(len(p))/2)/blockSize%2 == 0 && len(p) > page {
				wrong.Add(1)
			}
			return pread(f, p, off)
		}
		l.sys = sys
		ways := load(t, l, requests(t, c))
		if ways[Direct] == 0 || past.Load() == 0 {
			t.Errorf("%s: nothing was read past the page cache: %v", name, ways)
		}
		if l.Arena != nil && wrong.Load() > 0 {
			t.Errorf("%s: %d of %d reads past the page cache were of what is in it", name, wrong.Load(), past.Load())
		}
	}
}

// TestAhead: a cold file that is to come by way of the page cache is brought
// there by a map, if that can be, and is the same if not.
func TestAhead(t *testing.T) {
	onLinux(t)
	c := shards(t, directory(t))
	all := requests(t, c)
	invalid := errors.New("invalid argument")
	for name, test := range map[string]struct {
		refuse func(*system)
		brings bool
	}{
		"all of it":        {func(*system) {}, true},
		"no map":           {func(s *system) { s.mapFile = func(int, int, bool) ([]byte, error) { return nil, invalid } }, false},
		"no populate":      {func(s *system) { s.populate = func([]byte) error { return invalid } }, false},
		"no huge pages":    {func(s *system) { s.hugePages = func([]byte) error { return invalid } }, true},
		"nothing is given": {func(s *system) { s.forget = func([]byte) error { return invalid } }, true},
	} {
		for _, l := range []*Loader{{Arena: arena(t)}, {}} {
			sys := pretend(ext4, false, roomy)
			sys.openDirect = func(int) (*os.File, error) { return nil, invalid }
			test.refuse(sys)
			var brought, maps atomic.Int64
			populate, mapFile, munmap := sys.populate, sys.mapFile, sys.munmap
			sys.populate = func(b []byte) error {
				err := populate(b)
				if err == nil {
					brought.Add(int64(len(b)))
				}
				return err
			}
			sys.mapFile = func(fd, n int, private bool) ([]byte, error) {
				b, err := mapFile(fd, n, private)
				if err == nil {
					maps.Add(1)
				}
				return b, err
			}
			sys.munmap = func(b []byte) error { maps.Add(-1); return munmap(b) }
			l.sys = sys
			for _, way := range []Way{Auto, Read} {
				l.Way = way
				if ways := load(t, l, all); len(ways) != 1 || ways[Read] == 0 {
					t.Errorf("%s, %s: %v", name, way, ways)
				}
			}
			if got := brought.Load() > 0; got != test.brings {
				t.Errorf("%s: %d bytes were brought into the page cache", name, brought.Load())
			}
			if n := maps.Load(); n != 0 {
				t.Errorf("%s: %d maps are left", name, n)
			}
		}
	}
	// A map of the caller's stays, and what is read is copied out of it.
	f, err := safetensors.Map(c.Files()[0].Name())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	load(t, &Loader{Arena: arena(t), Way: Read}, Tensors(f.All()))
	load(t, &Loader{Arena: arena(t), Way: Read}, Tensors(f.All()))
}

// TestTruncatedAhead shortens a file that is brought into the page cache: that
// is an error, not a fault.
func TestTruncatedAhead(t *testing.T) {
	onLinux(t)
	name := filepath.Join(directory(t), "model.safetensors")
	if err := new(safetensors.Encoder).WriteFile(context.Background(), name, entries()); err != nil {
		t.Fatal(err)
	}
	c := checkpoint(t, name)
	sys := pretend(ext4, false, roomy)
	cutOff(t, sys, name)
	var failed error
	for _, err := range (&Loader{Arena: arena(t), Way: Read, Workers: 1, sys: sys}).Load(t.Context(), Tensors(c.All())) {
		failed = err
	}
	if !errors.Is(failed, safetensors.ErrTruncated) {
		t.Error(failed)
	}
}
