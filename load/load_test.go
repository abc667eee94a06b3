package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tensmith/tensmith/safetensors"
)

// random returns n bytes that are the same in every run.
func random(seed uint64, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)}).Read(b)
	return b
}

// entry returns a tensor of one dimension and n elements.
func entry(name string, d safetensors.DType, n int) safetensors.Entry {
	data := random(uint64(n)+uint64(d), n*d.Bits()/8)
	return safetensors.Entry{Info: safetensors.Info{Name: name, DType: d, Shape: []uint64{uint64(n)}}, Data: bytes.NewReader(data)}
}

// entries are tensors of all dtypes: scalars as small as they can be, so that
// offsets are odd, empty ones, ones around the sizes at which this package
// does something else, and one of several blocks.
func entries() (all []safetensors.Entry) {
	for d := safetensors.Bool; d <= safetensors.U64; d++ {
		for i, n := range []int{0, 8, 24, 1000} {
			all = append(all, entry(fmt.Sprintf("%s.%d", d, i), d, n))
		}
	}
	for i, n := range []int{page - 1, page + 1, small - 1, small + 3, blockSize - 5, blockSize + 7, 3*blockSize + 1} {
		all = append(all, entry(fmt.Sprintf("large.%d", i), safetensors.U8, n))
	}
	return append(all, entry("matrix", safetensors.BF16, 0), safetensors.Entry{
		Info: safetensors.Info{Name: "rows", DType: safetensors.BF16, Shape: []uint64{300, 2000}},
		Data: bytes.NewReader(random(7, 300*2000*2)),
	})
}

// directory returns a new one, in memory where that can be: tests wait for no
// disk, but for TestDirectOnDisk.
func directory(t testing.TB) string {
	if !hasShared() {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp("/dev/shm", "load")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// hasShared tells whether the file system in memory has room for the tests of
// this package and others: a container's often has 64 MiB.
var hasShared = sync.OnceValue(func() bool {
	f, err := os.CreateTemp("/dev/shm", "load")
	if err != nil {
		return false
	}
	defer os.Remove(f.Name())
	defer f.Close()
	some := make([]byte, 8<<20)
	for range 256 << 20 / len(some) {
		if _, err := f.Write(some); err != nil {
			return false
		}
	}
	return true
})

// shards writes the entries to several files and opens them.
func shards(t testing.TB, dir string) *safetensors.Checkpoint {
	t.Helper()
	e := &safetensors.Encoder{NoSync: true}
	if _, err := e.WriteShards(context.Background(), filepath.Join(dir, "model.safetensors"), 4<<20, entries()); err != nil {
		t.Fatal(err)
	}
	return checkpoint(t, dir)
}

func checkpoint(t testing.TB, name string) *safetensors.Checkpoint {
	t.Helper()
	c, err := safetensors.OpenCheckpoint(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// an arena that is freed with the test.
func arena(t testing.TB) *Arena {
	a := new(Arena)
	t.Cleanup(func() {
		if err := a.Free(); err != nil {
			t.Error(err)
		}
	})
	return a
}

// requests are the tensors of c, slices of the matrix, and one tensor twice.
func requests(t testing.TB, c *safetensors.Checkpoint) []Request {
	t.Helper()
	all := Tensors(c.All())
	rows, err := c.Tensor("rows")
	if err != nil {
		t.Fatal(err)
	}
	for _, ranges := range [][]safetensors.Range{
		{safetensors.Span(10, 20)},
		{safetensors.Span(15, 290)}, // overlaps
		{safetensors.Span(5, 5)},
		{{}, safetensors.Span(0, 1000)},
		{{}, safetensors.Index(3)},
		{safetensors.Span(0, 300).Every(7), safetensors.Span(1, 2000).Every(3)},
	} {
		s, err := rows.Slice(ranges...)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, Request{Info: s.Info, Data: s})
	}
	return append(all, Request{Info: rows.Info, Data: rows})
}

// want returns the bytes that a request is for.
func want(t testing.TB, r Request) []byte {
	t.Helper()
	b, err := r.Data.(interface{ Bytes() ([]byte, error) }).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// load loads the requests and holds every tensor to what the file has.
func load(t testing.TB, l *Loader, requests []Request) (ways map[Way]int) {
	t.Helper()
	seen := make([]bool, len(requests))
	ways = map[Way]int{}
	for tensor, err := range l.Load(context.Background(), requests) {
		if err != nil {
			t.Fatal(err)
		}
		got, err := tensor.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		r := requests[tensor.Request]
		if seen[tensor.Request] || tensor.Name != r.Name || !slices.Equal(tensor.Shape, r.Shape) || tensor.DType != r.DType {
			t.Fatalf("tensor %s of request %d, which is %s", tensor.Name, tensor.Request, r.Name)
		}
		seen[tensor.Request] = true
		if !bytes.Equal(got, want(t, r)) {
			t.Fatalf("%s: wrong bytes of %s %s %d", tensor.Way, r.Name, r.DType, r.Shape)
		}
		if r.Into != nil && len(got) > 0 && &got[0] != &r.Into[0] {
			t.Errorf("%s is not where it was to go", r.Name)
		}
		if len(got) > 0 {
			ways[tensor.Way]++
		}
	}
	if i := slices.Index(seen, false); i >= 0 {
		t.Fatalf("request %d, %s, was not loaded", i, requests[i].Name)
	}
	return ways
}

// TestLoad loads by every way, into every kind of memory, in bounded memory
// and not.
func TestLoad(t *testing.T) {
	c := shards(t, directory(t))
	all := requests(t, c)
	if len(c.Files()) < 3 {
		t.Fatalf("only %d shards", len(c.Files()))
	}
	into := slices.Clone(all)
	for i := range into {
		if i%2 == 0 {
			n, _ := into[i].DataSize()
			into[i].Into = make([]byte, n)
		}
	}
	for way := Auto; way <= Private; way++ {
		for _, memory := range []struct {
			budget  int64
			workers int
		}{{0, 0}, {0, 1}, {3*blockSize + 1, 0}, {3*blockSize + 1, 5}, {64 << 20, 3}} {
			budget, workers := memory.budget, memory.workers
			if testing.Short() && workers != 0 && workers != 5 {
				continue
			}
			t.Run(fmt.Sprintf("%s/%d/%d", way, budget, workers), func(t *testing.T) {
				l := &Loader{Way: way, Budget: budget, Workers: workers}
				if !way.maps() {
					load(t, l, all)
					load(t, l, into)
				}
				l.Arena = arena(t)
				load(t, l, all)
				load(t, l, into)
				if budget > 0 {
					if held := l.Arena.Held(); held > 2*(budget+4*hugePage) {
						t.Errorf("%d bytes held, budget %d", held, budget)
					}
				}
				if err := l.Arena.Reset(); err != nil {
					t.Fatal(err)
				}
				l.MayMap = true
				load(t, l, all)
			})
		}
	}
}

// TestProgress: numbers rise to the total, and tensors are no less than what
// was said to be done.
func TestProgress(t *testing.T) {
	c := shards(t, directory(t))
	var last, total int64
	l := &Loader{Arena: arena(t), Progress: func(done, all int64) {
		if done < last || done > all {
			t.Errorf("%d after %d, of %d", done, last, all)
		}
		last, total = done, all
	}}
	var sum int64
	for _, e := range entries() {
		n, _ := e.DataSize()
		sum += n
	}
	load(t, l, Tensors(c.All()))
	if last != sum || total != sum {
		t.Errorf("%d of %d done at the end, want %d", last, total, sum)
	}
}

// TestTruncated shortens a file that is open: every way returns an error, and
// none faults.
func TestTruncated(t *testing.T) {
	for way := Auto; way <= Private; way++ {
		for _, cut := range []int64{1, page + 1, blockSize + 9} {
			dir := directory(t)
			name := filepath.Join(dir, "model.safetensors")
			if err := new(safetensors.Encoder).WriteFile(context.Background(), name, entries()); err != nil {
				t.Fatal(err)
			}
			c := checkpoint(t, name)
			size := c.Files()[0].Size()
			if err := os.Truncate(name, size-cut); err != nil {
				t.Fatal(err)
			}
			for _, memory := range []*Arena{nil, arena(t)} {
				if memory == nil && way.maps() {
					continue
				}
				l := &Loader{Way: way, Arena: memory, MayMap: true}
				var failed error
				for tensor, err := range l.Load(context.Background(), Tensors(c.All())) {
					if failed = err; err != nil {
						break
					}
					if b, err := tensor.Bytes(); err == nil && tensor.Way != Map && tensor.Way != Private {
						bytes.Count(b, []byte{1})
					}
				}
				var format *safetensors.FormatError
				if !errors.Is(failed, safetensors.ErrTruncated) || !errors.As(failed, &format) || format.File != name {
					t.Errorf("%s, %d bytes cut: %v", way, cut, failed)
				} else if format.Offset >= 0 && (format.Offset < size-cut || format.Tensor == "") {
					t.Errorf("%s: the file ends at %d: %v", way, size-cut, failed)
				}
			}
		}
	}
}

// A counting reader counts the bytes that are read, and by how many calls.
type counting struct {
	io.ReaderAt
	bytes, calls *atomic.Int64
}

func (c counting) ReadAt(p []byte, off int64) (int, error) {
	c.bytes.Add(int64(len(p)))
	c.calls.Add(1)
	return c.ReaderAt.ReadAt(p, off)
}

// TestRowSlices: no more is read than is needed, and a twentieth, and what
// lies side by side is read as one.
func TestRowSlices(t *testing.T) {
	var all []safetensors.Entry
	for i := range 300 {
		rows := uint64(64 + i%5*100)
		info := safetensors.Info{Name: fmt.Sprintf("%03d", i), DType: safetensors.F16, Shape: []uint64{rows, 512}}
		all = append(all, safetensors.Entry{Info: info, Data: bytes.NewReader(random(uint64(i), int(rows)*1024))})
	}
	var file bytes.Buffer
	if err := new(safetensors.Encoder).Encode(&file, all); err != nil {
		t.Fatal(err)
	}
	var n, calls atomic.Int64
	f, err := safetensors.NewFile(counting{bytes.NewReader(file.Bytes()), &n, &calls}, int64(file.Len()))
	if err != nil {
		t.Fatal(err)
	}
	for parts := range uint64(4) {
		var requests []Request
		var needed int64
		for tensor := range f.All() {
			rows := tensor.Shape[0]
			s, err := tensor.Slice(safetensors.Span(0, rows*(parts+1)/4))
			if err != nil {
				t.Fatal(err)
			}
			requests = append(requests, Request{Info: s.Info, Data: s})
			needed += s.Size()
		}
		for _, l := range []*Loader{{Arena: arena(t)}, {}} {
			n.Store(0)
			calls.Store(0)
			for _, err := range l.Load(context.Background(), requests) {
				if err != nil {
					t.Fatal(err)
				}
			}
			if n.Load() < needed || n.Load() > needed+needed/20 {
				t.Errorf("%d/4 of the rows: %d bytes read, %d needed", parts+1, n.Load(), needed)
			}
			if blocks := needed/blockSize + 2; parts == 3 && l.Arena != nil && calls.Load() > blocks {
				t.Errorf("%d reads of %d blocks", calls.Load(), blocks)
			}
			load(t, l, requests)
		}
	}
}

// A failing reader fails at an offset.
type failing struct {
	io.ReaderAt
	at  int64
	err error
}

func (f failing) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > f.at {
		return 0, f.err
	}
	return f.ReaderAt.ReadAt(p, off)
}

// TestReaders loads what is no file of the system, and data that is computed.
func TestReaders(t *testing.T) {
	var file bytes.Buffer
	if err := new(safetensors.Encoder).Encode(&file, entries()); err != nil {
		t.Fatal(err)
	}
	r := bytes.NewReader(file.Bytes())
	f, err := safetensors.NewFile(r, r.Size())
	if err != nil {
		t.Fatal(err)
	}
	all := Tensors(f.All())
	for way := Auto; way <= Private; way++ {
		ways := load(t, &Loader{Way: way, Arena: arena(t), MayMap: true}, all)
		if len(ways) != 1 || ways[Read] == 0 {
			t.Errorf("%s: ways taken %v", way, ways)
		}
	}
	broken := errors.New("broken")
	f, err = safetensors.NewFile(failing{r, r.Size() - 10, broken}, r.Size())
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	for _, err := range new(Loader).Load(context.Background(), Tensors(f.All())) {
		failed = err
	}
	if !errors.Is(failed, broken) || !strings.Contains(failed.Error(), "tensor ") {
		t.Errorf("a read that fails: %v", failed)
	}
}

func TestRequestErrors(t *testing.T) {
	info := safetensors.Info{Name: "x", DType: safetensors.F32, Shape: []uint64{2, 2}}
	for name, r := range map[string]Request{
		"no data":        {Info: info},
		"too little":     {Info: info, Data: bytes.NewReader(make([]byte, 15))},
		"no room":        {Info: info, Data: bytes.NewReader(make([]byte, 16)), Into: make([]byte, 15)},
		"no dtype":       {Info: safetensors.Info{Name: "x"}, Data: bytes.NewReader(nil)},
		"half a byte":    {Info: safetensors.Info{Name: "x", DType: safetensors.F4, Shape: []uint64{1}}},
		"overflow":       {Info: safetensors.Info{Name: "x", DType: safetensors.F4, Shape: []uint64{1 << 33, 1 << 33}}},
		"address space":  {Info: safetensors.Info{Name: "x", DType: safetensors.U8, Shape: []uint64{1<<63 - 1}}, Data: failing{}},
		"data too short": {Info: info, Data: io.NewSectionReader(strings.NewReader("12345678901234567890"), 0, 16), Into: make([]byte, 17)},
	} {
		n := 0
		for tensor, err := range new(Loader).Load(context.Background(), []Request{r}) {
			if n++; err == nil || tensor != nil || !strings.Contains(err.Error(), `"x"`) {
				t.Errorf("%s: %v, %v", name, tensor, err)
			}
		}
		if n != 1 {
			t.Errorf("%s: %d steps", name, n)
		}
	}
	// Numbers that no sum may overflow.
	huge := Request{Info: safetensors.Info{Name: "x", DType: safetensors.U8, Shape: []uint64{1 << 60}}, Data: failing{}}
	for _, l := range []*Loader{{Arena: arena(t)}, {Arena: arena(t), Budget: 1<<63 - 1}, {Arena: arena(t), Budget: 1 << 61}} {
		for _, n := range []int{1, 7, 8, 15, 20} {
			for tensor, err := range l.Load(context.Background(), slices.Repeat([]Request{huge}, n)) {
				if err == nil || tensor != nil {
					t.Errorf("%d times an EiB with a budget of %d: %v, %v", n, l.Budget, tensor, err)
				}
			}
		}
	}
	small := entry("small", safetensors.U8, 3*page)
	fits := Request{Info: small.Info, Data: small.Data.(io.ReaderAt)}
	for _, l := range []*Loader{{Budget: 1<<63 - 1}, {Arena: arena(t), Budget: 1<<63 - 1}, {Arena: arena(t), Budget: -1}} {
		for tensor, err := range l.Load(context.Background(), []Request{fits, fits}) {
			if err != nil || tensor.Name != "small" {
				t.Errorf("a budget of %d: %v", l.Budget, err)
			}
		}
	}
	for _, l := range []*Loader{{Way: Map}, {Way: Private + 1}} {
		for _, err := range l.Load(context.Background(), nil) {
			if err == nil {
				t.Errorf("%+v: no error", l)
			}
		}
	}
}
