package torch

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// limitWriter ends at a size, for outputs of mutants may be long.
type limitWriter struct{ left int64 }

var errEnough = errors.New("enough")

func (w *limitWriter) Write(p []byte) (int, error) {
	if w.left -= int64(len(p)); w.left < 0 {
		return 0, errEnough
	}
	return len(p), nil
}

// openMutant opens bytes as a file.
func openMutant(t *testing.T, name string, data []byte, opts *Options) {
	t.Helper()
	openMutants(t, fstest.MapFS{name: {Data: data}}, name, opts)
}

// openMutants opens a file or directory and reads a part of every tensor.
func openMutants(t *testing.T, fsys fs.FS, name string, opts *Options) {
	t.Helper()
	f, err := Open(fsys, name, opts)
	if err != nil {
		var e *Error
		if !errors.As(err, &e) {
			t.Fatalf("an error without a place: %v", err)
		}
		if e.Reason == "" || !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrUnsupported) && !errors.Is(err, ErrUnknown) &&
			!errors.Is(err, ErrDangerous) && !errors.Is(err, ErrLimit) && !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("an error of no kind: %v (%q)", err, e.Reason)
		}
		return
	}
	defer f.Close()
	if f.Verdict() == 2 && !opts.ExtractOnly {
		t.Fatal("a dangerous file was opened")
	}
	seen := make(map[string]bool)
	w := &limitWriter{1 << 22}
	for _, e := range f.Entries() {
		if seen[e.Name] {
			t.Fatalf("two tensors are called %q", e.Name)
		}
		seen[e.Name] = true
		size, err := e.Info.DataSize()
		if err != nil {
			t.Fatalf("%q: %v", e.Name, err)
		}
		if s, ok := e.Data.(interface{ Size() int64 }); !ok || s.Size() != size {
			t.Fatalf("%q: %v %v has %d bytes", e.Name, e.DType, e.Shape, size)
		}
		n, err := e.Data.WriteTo(w)
		if err == nil && n != size {
			t.Fatalf("%q: %d bytes of %d", e.Name, n, size)
		}
		if errors.Is(err, errEnough) {
			return
		}
	}
}

var fuzzOptions = []*Options{
	{},
	{ExtractOnly: true, Quantized: "parts", Sparse: "dense", Complex: "split", Tied: "keep", Root: "."},
	{ExtractOnly: true, Quantized: "parts", Sparse: "parts", Complex: "split", Tied: "reference"},
}

// limited runs what reads size bytes of hostile input, and holds it to 64 MiB
// of memory more than that. What was allocated in all bounds what was held at a
// time. The bound on time finds a hang and not a busy machine, on which what
// takes no second may take some.
func limited(t *testing.T, name string, size int64, run func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begin := time.Now()
	run()
	took := time.Since(begin)
	runtime.ReadMemStats(&after)
	if n := int64(after.TotalAlloc - before.TotalAlloc); n > size+64<<20 {
		t.Errorf("%s: %d bytes allocated for %d", name, n, size)
	}
	if took > time.Minute {
		t.Errorf("%s: took %v", name, took)
	}
}

// FuzzOpen states that no file makes Open panic, take more memory than its
// size and 64 MiB, or hang.
func FuzzOpen(f *testing.F) {
	for _, c := range readCases(f) {
		info, err := os.Stat("testdata/" + c.File)
		if err != nil {
			f.Fatal(err)
		}
		if info.IsDir() || info.Size() > 16<<10 {
			continue
		}
		data, err := os.ReadFile("testdata/" + c.File)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, uint16(0), uint16(0), uint8(0))
	}
	f.Fuzz(func(t *testing.T, data []byte, at, other uint16, how uint8) {
		if len(data) > 0 { // one change more, which the engine may not find
			i := int(at) % len(data)
			switch how % 4 {
			case 1:
				data = append([]byte(nil), data...)
				data[i] ^= byte(other)
			case 2:
				data = append(append([]byte(nil), data[:i]...), data[min(len(data), i+int(other)%64):]...)
			case 3:
				data = append(append(append([]byte(nil), data[:i]...), data[int(other)%len(data):]...), data[i:]...)
			}
		}
		limited(t, "x", int64(len(data)), func() { openMutant(t, "x", data, fuzzOptions[int(how/4)%len(fuzzOptions)]) })
	})
}

// mutate changes up to three places.
func mutate(src []byte, next func(n int) int) []byte {
	data := append([]byte(nil), src...)
	for range 1 + next(3) {
		if len(data) == 0 {
			break
		}
		i := next(len(data))
		switch next(4) {
		case 0:
			data[i] ^= 1 << next(8)
		case 1:
			data[i] = byte(next(256))
		case 2:
			data = append(data[:i], data[min(len(data), i+1+next(8)):]...)
		case 3:
			data = append(data[:i], append([]byte{byte(next(256))}, data[i:]...)...)
		}
	}
	return data
}

// generator returns random numbers, the same each time.
func generator() func(n int) int {
	state := uint64(1)
	return func(n int) int {
		state = state*6364136223846793005 + 1442695040888963407
		return int(state>>33) % max(n, 1)
	}
}

// directories are those of the suite that are checkpoints in several files.
var directories = []string{
	"torch215/dcp_single", "torch215/dcp_two_ranks", "torch215/hf_bin", "dcp22/two_ranks", "dcp215/two_ranks", "dcp215/hf_3",
	"deepspeed019/zero1/global_step1", "deepspeed019/zero2/global_step1", "deepspeed019/zero3/global_step1",
	"joblib09/plain", "joblib09/packed", "joblib08py2/packed",
}

// readDirectory returns the files below x, their names in order, and what to
// open: the directory, or the pickle in it that names the other files.
func readDirectory(t testing.TB, dir string) (fsys fstest.MapFS, names []string, open string) {
	t.Helper()
	list, err := os.ReadDir("testdata/" + dir)
	if err != nil {
		t.Fatal(err)
	}
	fsys, open = make(fstest.MapFS), "x"
	for _, e := range list {
		if strings.HasSuffix(e.Name(), ".expected.json") {
			continue
		}
		data, err := os.ReadFile("testdata/" + dir + "/" + e.Name())
		if err != nil {
			t.Fatal(err)
		}
		fsys["x/"+e.Name()] = &fstest.MapFile{Data: data}
		names = append(names, "x/"+e.Name())
		if e.Name() == "model.pkl" {
			open = "x/model.pkl"
		}
	}
	return fsys, names, open
}

func sizeOf(fsys fstest.MapFS) (size int64) {
	for _, f := range fsys {
		size += int64(len(f.Data))
	}
	return size
}

// FuzzDirectory states of a directory with one file that is any bytes what
// FuzzOpen does of a file.
func FuzzDirectory(f *testing.F) {
	type directory struct {
		fsys  fstest.MapFS
		names []string
		open  string
	}
	var all []directory
	for i, dir := range directories {
		var d directory
		d.fsys, d.names, d.open = readDirectory(f, dir)
		for k, name := range d.names {
			f.Add(uint8(i), uint8(k), d.fsys[name].Data, uint8(i+k))
		}
		all = append(all, d)
	}
	f.Fuzz(func(t *testing.T, dir, file uint8, data []byte, how uint8) {
		d := all[int(dir)%len(all)]
		fsys, open := maps.Clone(d.fsys), d.open
		fsys[d.names[int(file)%len(d.names)]] = &fstest.MapFile{Data: data}
		limited(t, open, sizeOf(fsys), func() { openMutants(t, fsys, open, fuzzOptions[int(how)%len(fuzzOptions)]) })
	})
}

// TestMutantDirectories changes one file of a directory, or loses it.
func TestMutantDirectories(t *testing.T) {
	rounds := 150
	if testing.Short() {
		rounds = 15
	}
	next := generator()
	for _, dir := range directories {
		for round := range rounds {
			fsys, names, open := readDirectory(t, dir)
			if victim := names[next(len(names))]; next(20) == 0 {
				delete(fsys, victim)
			} else {
				fsys[victim].Data = mutate(fsys[victim].Data, next)
			}
			limited(t, dir, sizeOf(fsys), func() { openMutants(t, fsys, open, fuzzOptions[round%len(fuzzOptions)]) })
		}
	}
}

// TestMutants flips, inserts and deletes bytes of all files of the suite, the
// same ones each time, and measures.
func TestMutants(t *testing.T) {
	rounds := 40
	if testing.Short() {
		rounds = 4
	}
	next := generator()
	for _, c := range readCases(t) {
		src, err := os.ReadFile("testdata/" + c.File)
		if err != nil || len(src) > 64<<10 {
			continue // a directory, or one of the few that are larger
		}
		for round := range rounds {
			data := mutate(src, next)
			limited(t, c.File, int64(len(data)), func() { openMutant(t, c.File, data, fuzzOptions[round%len(fuzzOptions)]) })
		}
	}
}
