package load

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tensmith/tensmith/safetensors"
)

// mapped opens a file of the entries by safetensors.Map.
func mapped(t *testing.T) *safetensors.File {
	t.Helper()
	name := filepath.Join(directory(t), "model.safetensors")
	if err := (&safetensors.Encoder{NoSync: true}).WriteFile(context.Background(), name, entries()); err != nil {
		t.Fatal(err)
	}
	f, err := safetensors.Map(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if f.Mapped() == nil {
		t.Skip("this system cannot map")
	}
	return f
}

// TestLent loads from a file that its opener has mapped: whole tensors are
// that memory where it may be handed out, and copies where not.
func TestLent(t *testing.T) {
	f := mapped(t)
	all := Tensors(f.All())
	memory := f.Mapped()
	for name, test := range map[string]struct {
		l    Loader
		want Way
	}{
		"not asked for":           {Loader{Arena: arena(t)}, Read},
		"read":                    {Loader{Arena: arena(t), Way: Read, MayMap: true}, Read},
		"private":                 {Loader{Arena: arena(t), Way: Private}, Read},
		"map":                     {Loader{Arena: arena(t), Way: Map}, Map},
		"auto, no arena":          {Loader{MayMap: true, sys: plain()}, Map},
		"auto, no arena, a limit": {Loader{MayMap: true, Budget: 8 << 20, sys: plain()}, Map},
	} {
		ways := load(t, &test.l, all)
		if len(ways) != 1 || ways[test.want] == 0 {
			t.Errorf("%s: %v, want %v", name, ways, test.want)
		}
		for tensor, err := range test.l.Load(t.Context(), all) {
			if err != nil {
				t.Fatal(err)
			}
			b, err := tensor.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			off := all[tensor.Request].Data.(*safetensors.Tensor).Offset()
			if len(b) > 0 && (&b[0] == &memory[off]) != (test.want == Map) {
				t.Fatalf("%s: %s is the wrong memory", name, tensor.Name)
			}
		}
		if test.l.Arena != nil && test.want == Map && test.l.Arena.Held() != 0 {
			t.Errorf("%s: %d bytes held", name, test.l.Arena.Held())
		}
	}
	// An Arena does not take what is not its own.
	a := arena(t)
	var kept []*Tensor
	for tensor, err := range (&Loader{Arena: a, MayMap: true}).Load(t.Context(), all) {
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, tensor)
	}
	if err := a.Reset(); err != nil {
		t.Fatal(err)
	}
	for _, tensor := range kept {
		if b, err := tensor.Bytes(); err != nil || !bytes.Equal(b, want(t, all[tensor.Request])) {
			t.Fatalf("%s after Reset: %v", tensor.Name, err)
		}
	}
}

// TestLentTruncated shortens a file that its opener has mapped: whatever this
// package touches is an error, and no fault.
func TestLentTruncated(t *testing.T) {
	onLinux(t)
	for way := Auto; way <= Private; way++ {
		f := mapped(t)
		if err := os.Truncate(f.Name(), 3*blockSize); err != nil {
			t.Fatal(err)
		}
		var failed error
		for _, err := range (&Loader{Way: way, Arena: arena(t), MayMap: true, Workers: 1}).Load(t.Context(), Tensors(f.All())) {
			failed = err
		}
		var format *safetensors.FormatError
		if !errors.Is(failed, safetensors.ErrTruncated) || !errors.As(failed, &format) || format.File != f.Name() {
			t.Errorf("%s: %v", way, failed)
		}
		if (way == Read || way == Direct || way == Private) && (format.Offset != 3*blockSize || format.Tensor == "") {
			t.Errorf("%s: the file ends at %d: %v", way, 3*blockSize, failed)
		}
	}
}

// strided are the requests that are not in one piece.
func strided(all []Request) (some []Request) {
	for _, r := range all {
		if s, ok := r.Data.(*safetensors.Slice); ok {
			if _, whole := s.Contiguous(); !whole {
				some = append(some, r)
			}
		}
	}
	return some
}

// TestGather: slices that are not in one piece come out of the map, if there
// is one. Here the map is not what the file is, to tell them apart.
func TestGather(t *testing.T) {
	onLinux(t)
	some := strided(requests(t, shards(t, directory(t))))
	if len(some) < 2 {
		t.Fatal("no slices")
	}
	for _, way := range []Way{Map, Populate, Private} {
		sys := pretend(ext4, true, roomy)
		mapFile := sys.mapFile
		sys.mapFile = func(fd, n int, _ bool) ([]byte, error) {
			m, err := mapFile(fd, n, true)
			for i := range m {
				m[i] ^= 0xff
			}
			return m, err
		}
		for _, budget := range []int64{0, 8 << 20} {
			l := &Loader{Arena: arena(t), Way: way, Budget: budget, sys: sys}
			for tensor, err := range l.Load(t.Context(), some) {
				if err != nil {
					t.Fatal(err)
				}
				got, err := tensor.Bytes()
				if err != nil {
					t.Fatal(err)
				}
				for i, b := range want(t, some[tensor.Request]) {
					if got[i] != b^0xff {
						t.Fatalf("%s: byte %d of %s %d was not taken from the map", way, i, tensor.Name, tensor.Shape)
					}
				}
				if tensor.Way != Read {
					t.Errorf("%s: a copy came by %s", way, tensor.Way)
				}
			}
		}
	}
}

// TestGatherCold: a map whose pages are not in the page cache is not touched
// for a slice, of which a page brings in megabytes.
func TestGatherCold(t *testing.T) {
	onLinux(t)
	some := strided(requests(t, shards(t, directory(t))))
	sys := host()
	mapFile := sys.mapFile
	sys.mapFile = func(fd, n int, _ bool) ([]byte, error) {
		m, err := mapFile(fd, n, true)
		clear(m)
		return m, err
	}
	refused := errors.New("no")
	for _, cached := range []error{nil, refused} {
		sys.cached = func(int, int64, int64) (int64, error) { return 0, cached }
		sys.inCore = func([]byte, []byte) error { return refused }
		sys.peek = func(int, int64) (bool, error) { return false, refused } // on a disk it would tell of the real pages
		load(t, &Loader{Arena: arena(t), Way: Map, sys: sys}, some)
	}
}

// TestGatherTruncated shortens a file behind its map, before a slice of it is
// copied.
func TestGatherTruncated(t *testing.T) {
	onLinux(t)
	c := shards(t, directory(t))
	rows, err := c.Tensor("rows")
	if err != nil {
		t.Fatal(err)
	}
	// Data that is computed is read in the order it is asked for.
	cut := Request{Info: entry("first", safetensors.U8, 1).Info, Data: readerFunc(func(p []byte, _ int64) (int, error) {
		return len(p), os.Truncate(rows.File().Name(), rows.Offset()+page)
	})}
	var failed error
	l := &Loader{Arena: arena(t), Way: Map, Workers: 1}
	for _, err := range l.Load(t.Context(), append([]Request{cut}, strided(requests(t, c))...)) {
		failed = err
	}
	if !errors.Is(failed, io.ErrUnexpectedEOF) || !strings.Contains(failed.Error(), `"rows"`) {
		t.Errorf("a slice of a file that was cut off: %v", failed)
	}
}

type readerFunc func(p []byte, off int64) (int, error)

func (f readerFunc) ReadAt(p []byte, off int64) (int, error) { return f(p, off) }
