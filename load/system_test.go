package load

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/tensmith/tensmith/safetensors"
)

// zeros is data that is all zero.
type zeros struct{}

func (zeros) WriteTo(io.Writer) (int64, error) { return 0, nil }

// sparse is a file that is a header and zeros.
type sparse []byte

func (s sparse) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	if off < int64(len(s)) {
		n = copy(p, s[off:])
	}
	clear(p[n:])
	return len(p), nil
}

// header returns a file of the entries without their data.
func header(t testing.TB, entries []safetensors.Entry) *safetensors.File {
	t.Helper()
	var head bytes.Buffer
	// The data is missed after the header has been written.
	err := new(safetensors.Encoder).Encode(&head, entries)
	size := int64(head.Len())
	for _, e := range entries {
		n, _ := e.DataSize()
		size += n
	}
	if err != nil && (head.Len() < 8 || binary.LittleEndian.Uint64(head.Bytes()) > uint64(head.Len()-8)) {
		t.Fatal(err)
	}
	f, err := safetensors.NewFile(sparse(head.Bytes()), size)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

const (
	ext4  = 0xef53
	tmpfs = 0x01021994
	nfs   = 0x6969
	fuse  = 0x65735546
)

// roomy has much memory, tight has hardly any.
var (
	roomy = fstest.MapFS{"proc/meminfo": {Data: []byte("MemTotal: 9999999 kB\nMemAvailable: 9000000 kB\n")}}
	tight = fstest.MapFS{"proc/meminfo": {Data: []byte("MemAvailable: 1000 kB\n")}}
)

// populates tells whether the kernel reads maps ahead, as Linux does since 5.14.
func populates() bool {
	s := host()
	b, err := s.allocate(os.Getpagesize())
	if err != nil {
		return false
	}
	defer s.munmap(b)
	return s.populate(b) == nil
}

// pretend returns the host as if files were on a file system of that kind, all
// or nothing of them in the page cache, and as if maps could be read ahead.
func pretend(kind uint32, cached bool, root fstest.MapFS) *system {
	s := host()
	s.root = root
	if !populates() {
		s.populate = func([]byte) error { return nil }
	}
	s.fileSystem = func(int) (uint32, error) { return kind, nil }
	s.cached = func(_ int, _, n int64) (int64, error) {
		if cached {
			return n, nil
		}
		return 0, nil
	}
	return s
}

func onLinux(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("there is one way on " + runtime.GOOS)
	}
}

// TestAuto: which way is taken of which file.
func TestAuto(t *testing.T) {
	onLinux(t)
	c := shards(t, directory(t))
	all := Tensors(c.All())
	refuse := errors.New("no")
	unknown := pretend(ext4, true, roomy)
	unknown.fileSystem = func(int) (uint32, error) { return 0, refuse }
	blind := pretend(ext4, false, tight)
	blind.cached = func(int, int64, int64) (int64, error) { return 0, refuse }
	blind.inCore = func([]byte, []byte) error { return refuse }
	blind.peek = func(int, int64) (bool, error) { return false, refuse }
	half := pretend(ext4, true, roomy)
	half.cached = func(_ int, _, n int64) (int64, error) { return n / 2, nil }
	// One that does not count, and either tells pages or whether a read would wait.
	guess := func(inCore byte, peek func(int64) (bool, error)) *system {
		s := pretend(ext4, false, roomy)
		s.cached = func(int, int64, int64) (int64, error) { return 0, refuse }
		s.inCore = func(_, pages []byte) error {
			for i := range pages {
				pages[i] = inCore
			}
			return nil
		}
		s.peek = func(_ int, off int64) (bool, error) { return peek(off) }
		return s
	}
	answer := func(there bool, err error) func(int64) (bool, error) {
		return func(int64) (bool, error) { return there, err }
	}
	// One whose count is wrong: it is of the wrong file.
	stacked := func(warm bool) *system {
		s := guess(1, answer(warm, nil))
		s.fileSystem = func(int) (uint32, error) { return overlay, nil }
		s.cached = func(_ int, _, n int64) (int64, error) {
			if warm {
				return 0, nil
			}
			return n, nil
		}
		return s
	}
	for name, test := range map[string]struct {
		sys    *system
		mayMap bool
		budget int64
		want   Way
	}{
		"overlay: warm":                    {sys: stacked(true), want: Read},
		"overlay: cold":                    {sys: stacked(false), want: Direct},
		"local, warm":                      {sys: pretend(ext4, true, roomy), want: Read},
		"local, warm, hardly any memory":   {sys: pretend(ext4, true, tight), want: Read},
		"local, cold":                      {sys: pretend(ext4, false, roomy), want: Direct},
		"local, half of it warm":           {sys: half, want: Direct},
		"the same, may be mapped":          {sys: half, mayMap: true, want: Populate},
		"guessed by pages: cold":           {sys: guess(0, answer(true, nil)), want: Direct},
		"guessed by reads: cold":           {sys: guess(1, answer(false, nil)), want: Direct},
		"guessed by reads: warm":           {sys: guess(1, answer(true, nil)), want: Read},
		"pages say warm, reads nothing":    {sys: guess(1, answer(false, refuse)), want: Read},
		"local, cold, hardly any memory":   {sys: pretend(ext4, false, tight), want: Direct},
		"the same in bounded memory":       {sys: pretend(ext4, false, tight), budget: 20 << 20, want: Direct},
		"local, warm, may be mapped":       {sys: pretend(ext4, true, roomy), mayMap: true, want: Populate},
		"local, cold, may be mapped":       {sys: pretend(ext4, false, roomy), mayMap: true, want: Populate},
		"the same, hardly any memory":      {sys: pretend(ext4, false, tight), mayMap: true, want: Map},
		"the same, in bounded memory":      {sys: pretend(ext4, false, tight), mayMap: true, budget: 20 << 20, want: Direct},
		"memory not known":                 {sys: pretend(ext4, false, fstest.MapFS{}), mayMap: true, want: Populate},
		"page cache not known":             {sys: blind, want: Read},
		"in memory":                        {sys: pretend(tmpfs, true, roomy), mayMap: true, want: Populate},
		"NFS":                              {sys: pretend(nfs, true, roomy), mayMap: true, want: Read},
		"NFS, cold, hardly any memory":     {sys: pretend(nfs, false, tight), mayMap: true, want: Read},
		"FUSE":                             {sys: pretend(fuse, true, roomy), mayMap: true, want: Read},
		"a file system nobody knows":       {sys: pretend(0x12345678, true, roomy), mayMap: true, want: Read},
		"one that does not say what it is": {sys: unknown, mayMap: true, want: Read},
		"a system without any of it":       {sys: plain(), mayMap: true, want: Read},
	} {
		// Direct becomes Read on a file system without direct reads.
		test.sys.openDirect = fakeDirect(test.sys.openDirect)
		l := &Loader{Arena: arena(t), MayMap: test.mayMap, Budget: test.budget, sys: test.sys}
		ways := load(t, l, all)
		if len(ways) != 1 || ways[test.want] == 0 {
			t.Errorf("%s: %v, want %v", name, ways, test.want)
		}
	}
}

// fakeDirect opens a file again, past the page cache where that can be.
func fakeDirect(open func(int) (*os.File, error)) func(int) (*os.File, error) {
	return func(fd int) (*os.File, error) {
		f, err := open(fd)
		if err != nil {
			return os.Open(fmt.Sprintf("/proc/self/fd/%d", fd))
		}
		return f, nil
	}
}

// TestWidth: how many workers a file gets.
func TestWidth(t *testing.T) {
	onLinux(t)
	c := shards(t, directory(t))
	all := Tensors(c.All())
	for name, test := range map[string]struct {
		sys  *system
		want int
	}{
		"warm":    {pretend(ext4, true, roomy), min(runtime.GOMAXPROCS(0), 16)},
		"cold":    {pretend(ext4, false, roomy), max(8, runtime.GOMAXPROCS(0))},
		"network": {pretend(nfs, true, roomy), 16},
	} {
		l := &Loader{sys: test.sys}
		r, err := l.start(t.Context(), all)
		if err != nil {
			t.Fatal(err)
		}
		var bytes int64
		for _, e := range r.plan.extents {
			bytes += e.end - e.begin
		}
		if got, want := r.width(), min(test.want, int(bytes/blockSize)+2); got > want || got < min(want, int(bytes/blockSize)) {
			t.Errorf("%s: %d workers, want %d", name, got, want)
		}
		r.finish()
	}
}

// TestRefused: whatever the system refuses, every way gives the same bytes.
func TestRefused(t *testing.T) {
	onLinux(t)
	c := shards(t, directory(t))
	all := requests(t, c)
	invalid := errors.New("invalid argument")
	for name, test := range map[string]struct {
		way    Way
		refuse func(*system)
		want   Way
	}{
		"direct: no such open": {Direct, func(s *system) {
			s.openDirect = func(int) (*os.File, error) { return nil, invalid }
		}, Read},
		"direct: no such read": {Direct, func(s *system) {
			s.openDirect = fakeDirect(s.openDirect)
			s.pread = func(*os.File, []byte, int64) (int, error) { return 0, invalid }
		}, Read},
		"direct: short reads": {Direct, func(s *system) {
			s.openDirect = fakeDirect(s.openDirect)
			pread := s.pread
			s.pread = func(f *os.File, p []byte, off int64) (int, error) {
				n, err := pread(f, p, off)
				for i := n / 3; i < n; i++ {
					p[i] = 'x'
				}
				return n / 3, err
			}
		}, Direct},
		"direct: nothing read": {Direct, func(s *system) {
			s.openDirect = fakeDirect(s.openDirect)
			s.pread = func(*os.File, []byte, int64) (int, error) { return 0, nil }
		}, Direct},
		"map: none": {Map, func(s *system) {
			s.mapFile = func(int, int, bool) ([]byte, error) { return nil, invalid }
		}, Read},
		"populate: no map": {Populate, func(s *system) {
			s.mapFile = func(int, int, bool) ([]byte, error) { return nil, invalid }
		}, Read},
		"populate: old kernel": {Populate, func(s *system) {
			s.populate = func([]byte) error { return invalid }
		}, Map},
		"private: old kernel": {Private, func(s *system) {
			s.populate = func([]byte) error { return invalid }
		}, Private},
		"private: no map": {Private, func(s *system) {
			s.mapFile = func(int, int, bool) ([]byte, error) { return nil, invalid }
		}, Read},
		"read: no huge pages": {Read, func(s *system) {
			s.hugePages = func([]byte) error { return invalid }
		}, Read},
		"read: no memory but Go's": {Read, func(s *system) {
			s.allocate = func(int) ([]byte, error) { return nil, invalid }
		}, Read},
		"direct: no memory but Go's": {Direct, func(s *system) {
			s.openDirect = fakeDirect(s.openDirect)
			s.allocate = func(int) ([]byte, error) { return nil, invalid }
		}, Direct},
		"everything": {Private, func(s *system) { *s = *plain() }, Read},
	} {
		t.Run(name, func(t *testing.T) {
			sys := host()
			test.refuse(sys)
			for _, budget := range []int64{0, 8 << 20} {
				l := &Loader{Arena: arena(t), Way: test.way, Budget: budget, sys: sys}
				ways := load(t, l, all)
				if ways[test.want] == 0 {
					t.Errorf("%v, want %v", ways, test.want)
				}
				if test.want != test.way && ways[test.way] != 0 && name != "direct: no such read" {
					t.Errorf("%v, though it was refused", ways)
				}
				// Strided slices are read whatever the way; nothing else comes
				// another.
				other := maps.Clone(ways)
				delete(other, test.want)
				delete(other, Read)
				delete(other, test.way)
				if len(other) > 0 {
					t.Errorf("%v, want %v", ways, test.want)
				}
				if err := l.Arena.Reset(); err != nil {
					t.Fatal(err)
				}
				load(t, l, all)
			}
		})
	}
}

// cutOff makes sys cut a file off to three blocks before it first populates.
func cutOff(t *testing.T, sys *system, name string) {
	populate := sys.populate
	var once sync.Once
	sys.populate = func(b []byte) error {
		once.Do(func() {
			if err := os.Truncate(name, 3*blockSize); err != nil {
				t.Error(err)
			}
		})
		return populate(b)
	}
}

// TestTruncatedMap shortens a file after it was mapped: reading ahead returns
// an error where touching the pages would be a fault.
func TestTruncatedMap(t *testing.T) {
	onLinux(t)
	if !populates() {
		t.Skip("this kernel reads no map ahead")
	}
	for _, way := range []Way{Populate, Private} {
		name := filepath.Join(directory(t), "model.safetensors")
		if err := new(safetensors.Encoder).WriteFile(context.Background(), name, entries()); err != nil {
			t.Fatal(err)
		}
		c := checkpoint(t, name)
		sys := host()
		cutOff(t, sys, name)
		var failed error
		for _, err := range (&Loader{Arena: arena(t), Way: way, Workers: 1, sys: sys}).Load(t.Context(), Tensors(c.All())) {
			failed = err
		}
		var format *safetensors.FormatError
		if !errors.Is(failed, safetensors.ErrTruncated) || !errors.As(failed, &format) || format.Offset != 3*blockSize || format.Tensor == "" {
			t.Errorf("%s: %v", way, failed)
		}
	}
}

// TestDirectOnDisk reads past a page cache that there is. The other tests run
// on the file system that is one, which kernels before 6.6 refuse to read past.
func TestDirectOnDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for a disk")
	}
	c := shards(t, t.TempDir())
	load(t, &Loader{Arena: arena(t), Way: Direct}, requests(t, c))
	load(t, &Loader{Way: Direct}, requests(t, c))
}

// TestOutOfMemory: what the system has not is an error, not the end.
func TestOutOfMemory(t *testing.T) {
	onLinux(t)
	f := header(t, []safetensors.Entry{{
		Info: safetensors.Info{Name: "x", DType: safetensors.U8, Shape: []uint64{1 << 50}}, Data: zeros{},
	}})
	for _, err := range (&Loader{Arena: arena(t)}).Load(t.Context(), Tensors(f.All())) {
		if err == nil {
			t.Error("a PiB of memory was had")
		}
	}
}
