package safetensors

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
)

// layouts makes entries whose borders fall near those of blocks, with data
// that streams and data that is read at offsets, and says what each holds.
func randomEntries(rng *rand.Rand) ([]Entry, map[string][]byte) {
	var entries []Entry
	content := map[string][]byte{}
	random := make([]byte, 3*blockSize)
	for i := 0; i < len(random); i += 8 {
		copy(random[i:], fmt.Appendf(nil, "%08x", rng.Uint32()))
	}
	for i := range 1 + rng.IntN(12) {
		size := []int{0, 1, rng.IntN(100), rng.IntN(blockSize), blockSize, blockSize - 1, blockSize + 1, 2*blockSize + rng.IntN(100)}[rng.IntN(8)]
		name := fmt.Sprintf("t%02d", i)
		data := random[rng.IntN(len(random)-size+1):][:size]
		content[name] = data
		entry := u8(name, streamed(data), uint64(size))
		switch rng.IntN(3) {
		case 0:
			entry.Data = bytes.NewReader(data)
		case 1:
			entry.Data = sized{streamed(data), int64(size)}
		}
		if size == 0 && rng.IntN(2) == 0 {
			entry.Data = nil
		}
		entries = append(entries, entry)
	}
	return entries, content
}

// TestWriteFile states that a file written in blocks, by workers, is the one
// that is written in order, and that progress never goes back.
func TestWriteFile(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 14))
	name := filepath.Join(t.TempDir(), "a.safetensors")
	rounds := 25
	if RaceDetector {
		rounds = 5
	}
	for range rounds {
		entries, content := randomEntries(rng)
		total := int64(0)
		for _, data := range content {
			total += int64(len(data))
		}
		last := int64(0)
		e := &Encoder{Align: []int{0, 64, 4096}[rng.IntN(3)], Progress: func(n int64) {
			if n < last || n > total {
				t.Errorf("progress %d of %d after %d", n, total, last)
			}
			last = n
		}}
		var want bytes.Buffer
		if err := e.Encode(&want, entries); err != nil {
			t.Fatal(err)
		}
		if last != total {
			t.Errorf("Encode: progress ends at %d of %d", last, total)
		}
		last = 0
		if err := e.WriteFile(t.Context(), name, entries); err != nil {
			t.Fatal(err)
		}
		if last != total {
			t.Errorf("WriteFile: progress ends at %d of %d", last, total)
		}
		got, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want.Bytes()) {
			t.Fatal("WriteFile and Encode give different bytes")
		}
		f, err := Open(name)
		if err != nil {
			t.Fatal(err)
		}
		for tensor := range f.All() {
			if data, err := tensor.Bytes(); err != nil || !bytes.Equal(data, content[tensor.Name]) {
				t.Fatalf("tensor %s differs (%v)", tensor.Name, err)
			}
		}
		f.Close()
	}
	empty(t, filepath.Dir(name), "a.safetensors")
}

// TestWriteFileFails states that a file appears whole or not at all, and that
// an old one stays as it is.
func TestWriteFileFails(t *testing.T) {
	broken := errors.New("broken")
	big := make([]byte, 3*blockSize)
	for name, entry := range map[string]Entry{
		"a stream":       u8("t", failing{big[:2*blockSize+5], broken}, uint64(len(big))),
		"a reader":       u8("t", &failingReader{bytes.NewReader(big), broken}, uint64(len(big))),
		"a short stream": u8("t", streamed(big[1:]), uint64(len(big))),
	} {
		dir := t.TempDir()
		target := filepath.Join(dir, "a.safetensors")
		entries := []Entry{u8("a", bytes.NewReader(big), uint64(len(big))), entry}
		if err := new(Encoder).WriteFile(t.Context(), target, entries); err == nil {
			t.Errorf("%s: no error", name)
		}
		empty(t, dir)
		old := []byte("an old file")
		if err := os.WriteFile(target, old, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := new(Encoder).WriteFile(t.Context(), target, entries); err == nil {
			t.Errorf("%s: no error", name)
		}
		empty(t, dir, "a.safetensors")
		if got, err := os.ReadFile(target); err != nil || !bytes.Equal(got, old) {
			t.Errorf("%s: the old file is %q (%v)", name, got, err)
		}
	}
}

// A failingReader cannot read its second half.
type failingReader struct {
	*bytes.Reader
	err error
}

func (f *failingReader) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > f.Size()/2 {
		return 0, f.err
	}
	return f.Reader.ReadAt(p, off)
}

func TestWriteFileCancelled(t *testing.T) {
	why := errors.New("enough")
	big := make([]byte, 4*blockSize)
	for name, data := range map[string]io.WriterTo{"stream": streamed(big), "reader": bytes.NewReader(big)} {
		dir := t.TempDir()
		ctx, cancel := context.WithCancelCause(t.Context())
		e := &Encoder{Progress: func(int64) { cancel(why) }}
		err := e.WriteFile(ctx, filepath.Join(dir, "a.safetensors"), []Entry{u8("a", data, uint64(len(big)))})
		if !errors.Is(err, why) {
			t.Errorf("%s: %v, want %v", name, err, why)
		}
		empty(t, dir)
		if err := new(Encoder).WriteFile(ctx, os.DevNull, []Entry{u8("a", data, uint64(len(big)))}); !errors.Is(err, why) {
			t.Errorf("%s to a device: %v, want %v", name, err, why)
		}
	}
}

// TestWriteFileMode states which mode a file gets: that of any new file, or
// the one that it had.
func TestWriteFileMode(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "a.safetensors")
	plain, err := os.Create(filepath.Join(dir, "plain"))
	if err != nil {
		t.Fatal(err)
	}
	plain.Close()
	write := func() fs.FileMode {
		t.Helper()
		if err := new(Encoder).WriteFile(t.Context(), name, []Entry{u8("a", streamed("x"), 1)}); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode()
	}
	info, err := os.Stat(plain.Name())
	if err != nil {
		t.Fatal(err)
	}
	if mode := write(); mode != info.Mode() {
		t.Errorf("a new file has mode %s, others have %s", mode, info.Mode())
	}
	if runtime.GOOS == "windows" {
		t.Skip("the system has no modes")
	}
	for _, mode := range []fs.FileMode{0o600, 0o640, 0o666, 0o755} {
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
		if got := write(); got != mode {
			t.Errorf("a file of mode %s is written anew with %s", mode, got)
		}
	}
}

// TestWriteFileLink states that links stay links: to files there are, to
// files there are not yet, and to other links.
func TestWriteFileLink(t *testing.T) {
	dir := t.TempDir()
	sub := filepath.Join(dir, "sub")
	if err := os.Mkdir(sub, 0o777); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"link": filepath.Join("sub", "target"), "link2": "link", "absolute": filepath.Join(sub, "target")} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Skip(err)
		}
	}
	for i, link := range []string{"link", "link2", "absolute", "link"} {
		data := fmt.Sprint(i)
		if err := new(Encoder).WriteFile(t.Context(), filepath.Join(dir, link), []Entry{u8("a", streamed(data), 1)}); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Lstat(filepath.Join(dir, link)); err != nil || info.Mode().Type() != fs.ModeSymlink {
			t.Errorf("%s is no link any more (%v)", link, err)
		}
		f, err := Open(filepath.Join(sub, "target"))
		if err != nil {
			t.Fatal(err)
		}
		a, _ := f.Tensor("a")
		if got, err := a.Bytes(); err != nil || string(got) != data {
			t.Errorf("%s: the target holds %q (%v)", link, got, err)
		}
		f.Close()
	}
	empty(t, sub, "target")
	empty(t, dir, "absolute", "link", "link2", "sub")
}

// TestWriteFileOverItself replaces a file that is being read and mapped.
func TestWriteFileOverItself(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the system replaces no file that is open")
	}
	name := filepath.Join(t.TempDir(), "a.safetensors")
	first, second := bytes.Repeat([]byte("1"), blockSize+3), bytes.Repeat([]byte("2"), blockSize)
	err := new(Encoder).WriteFile(t.Context(), name, []Entry{u8("a", streamed(first), uint64(len(first))), u8("b", streamed(second), uint64(len(second)))})
	if err != nil {
		t.Fatal(err)
	}
	for way, open := range map[string]func(string) (*File, error){"Open": Open, "Map": Map} {
		f, err := open(name)
		if err != nil {
			t.Fatal(err)
		}
		a, _ := f.Tensor("a")
		b, _ := f.Tensor("b")
		// Each at the other's place.
		if err := new(Encoder).WriteFile(t.Context(), name, []Entry{{Info{"a", U8, b.Shape}, b}, {Info{"b", U8, a.Shape}, a}}); err != nil {
			t.Fatal(err)
		}
		g, err := Open(name)
		if err != nil {
			t.Fatal(err)
		}
		swapped, _ := g.Tensor("a")
		got, err := swapped.Bytes()
		if want, _ := b.Bytes(); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: a does not hold what b held (%v)", way, err)
		}
		f.Close()
		g.Close()
	}
}

// TestWriteToPipe states that what is no regular file is written to as it is.
func TestWriteToPipe(t *testing.T) {
	data := bytes.Repeat([]byte("x"), 1<<20)
	entries := []Entry{u8("a", bytes.NewReader(data), uint64(len(data)))}
	if err := new(Encoder).WriteFile(t.Context(), os.DevNull, entries); err != nil {
		t.Error(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	name := fmt.Sprintf("/dev/fd/%d", w.Fd())
	if _, err := os.Stat(name); err != nil {
		t.Skip(err)
	}
	done := make(chan error, 1)
	go func() {
		err := new(Encoder).WriteFile(t.Context(), name, entries)
		w.Close()
		done <- err
	}()
	got, err := io.ReadAll(r)
	if err := errors.Join(err, <-done); err != nil {
		t.Fatal(err)
	}
	f, err := NewFile(bytes.NewReader(got), int64(len(got)))
	if err != nil {
		t.Fatal(err)
	}
	a, _ := f.Tensor("a")
	if got, err := a.Bytes(); err != nil || !bytes.Equal(got, data) {
		t.Errorf("the tensor differs (%v)", err)
	}
}

func TestWriteFileNowhere(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{dir, filepath.Join(dir, "no", "such"), ""} {
		if err := new(Encoder).WriteFile(t.Context(), name, nil); err == nil {
			t.Errorf("%q is written to", name)
		}
	}
	empty(t, dir)
}

// TestWriteShards writes shards and reads them as one model.
func TestWriteShards(t *testing.T) {
	rng := rand.New(rand.NewPCG(15, 16))
	for range 40 {
		dir := t.TempDir()
		content := map[string][]byte{}
		var entries []Entry
		total := 0
		for i := range 1 + rng.IntN(15) {
			data := bytes.Repeat([]byte{byte(i)}, rng.IntN(120))
			name := fmt.Sprintf("layer.%d \"é\n", i)
			content[name] = data
			entries = append(entries, u8(name, bytes.NewReader(data), uint64(len(data))))
			total += len(data)
		}
		limit := int64(1 + rng.IntN(300))
		last := int64(0)
		e := &Encoder{Metadata: map[string]string{"format": "pt"}, Progress: func(n int64) {
			if n < last {
				t.Errorf("progress %d after %d", n, last)
			}
			last = n
		}}
		names, err := e.WriteShards(t.Context(), filepath.Join(dir, "model.safetensors"), limit, entries)
		if err != nil {
			t.Fatal(err)
		}
		if last != int64(total) {
			t.Errorf("progress ends at %d of %d", last, total)
		}
		files := []string{"model.safetensors"}
		if len(names) > 1 {
			files = []string{"model.safetensors.index.json"}
			for i := range names {
				files = append(files, fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, len(names)))
			}
			slices.Sort(files)
		}
		empty(t, dir, files...)

		c, err := CheckCheckpoint(os.DirFS(dir), ".", func(e *FormatError) bool { t.Error(e); return true })
		if err != nil || c == nil {
			t.Fatal(err)
		}
		if c.Len() != len(entries) {
			t.Errorf("%d tensors, want %d", c.Len(), len(entries))
		}
		for name, want := range content {
			tensor, err := c.Tensor(name)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := tensor.Bytes(); err != nil || !bytes.Equal(got, want) {
				t.Errorf("tensor %q differs (%v)", name, err)
			}
		}
		var sizes []int64
		for i, f := range c.Files() {
			size := f.Size() - f.DataOffset()
			sizes = append(sizes, size)
			if size > limit && f.Len() > 1 {
				full := 0
				for tensor := range f.All() {
					if tensor.Size() > 0 {
						full++
					}
				}
				if full > 1 {
					t.Errorf("shard %d of %d tensors has %d bytes, over %d", i, f.Len(), size, limit)
				}
			}
		}
		for i := 1; i < len(sizes); i++ {
			first := int64(0) // what begins shard i did not fit the one before
			for _, entry := range entries {
				if tensor, _ := c.Files()[i].Tensor(entry.Name); tensor != nil {
					first = tensor.Size()
					break
				}
			}
			if sizes[i-1]+first <= limit {
				t.Errorf("shard %d has room for more", i-1)
			}
		}
		c.Close()
	}
}

// TestWriteShardsFails states that no shard appears unless all do.
func TestWriteShardsFails(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "m.safetensors")
	entries := []Entry{u8("a", streamed("abc"), 3), u8("b", streamed("abc"), 3), u8("c", streamed("ab"), 3)}
	if names, err := new(Encoder).WriteShards(t.Context(), name, 3, entries); !errors.Is(err, ErrSize) || names != nil {
		t.Errorf("%q, %v, want %v", names, err, ErrSize)
	}
	if names, err := new(Encoder).WriteShards(t.Context(), name, 30, entries); !errors.Is(err, ErrSize) || names != nil {
		t.Errorf("one file: %q, %v, want %v", names, err, ErrSize)
	}
	empty(t, dir)
	for _, size := range []int64{0, -1} {
		if _, err := new(Encoder).WriteShards(t.Context(), name, size, entries); !errors.Is(err, ErrEntry) {
			t.Errorf("a limit of %d: %v", size, err)
		}
	}
	if _, err := new(Encoder).WriteShards(t.Context(), filepath.Join(dir, "m.bin"), 3, entries); !errors.Is(err, ErrEntry) {
		t.Errorf("a name with another suffix: %v", err)
	}
}

// TestStaleShards states that a directory holds the model written last,
// whatever an earlier one of the name left there.
func TestStaleShards(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "model.safetensors")
	other := filepath.Join(dir, "other-00001-of-00009.safetensors")
	if err := os.WriteFile(other, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	entries := func(n int) (list []Entry) {
		for i := range n {
			list = append(list, Entry{Info{Name: fmt.Sprint(i), DType: U8, Shape: []uint64{4}}, bytes.NewReader([]byte{byte(i), 1, 2, 3})})
		}
		return list
	}
	for _, n := range []int{5, 3, 1, 4} {
		names, err := new(Encoder).WriteShards(t.Context(), name, 4, entries(n))
		if err != nil || len(names) != n {
			t.Fatalf("%d entries: %v, %v", n, names, err)
		}
		if err := os.Remove(other); err != nil {
			t.Fatal("what is another model's was removed")
		}
		c, err := OpenCheckpoint(dir)
		if err != nil {
			t.Fatal(err)
		}
		if c.Len() != n || len(c.Files()) != n {
			t.Errorf("%d tensors in %d files, want %d", c.Len(), len(c.Files()), n)
		}
		c.Close()
		if err := os.WriteFile(other, nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWriteFromMemory writes blocks as a bytes.Reader holds them, and leaves
// the reader where it was.
func TestWriteFromMemory(t *testing.T) {
	data := make([]byte, 3*blockSize+12345)
	for i := range data {
		data[i] = byte(i ^ i>>8 ^ i>>16)
	}
	r := bytes.NewReader(data)
	if _, err := r.Seek(77, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "a.safetensors")
	entries := []Entry{u8("a", r, uint64(len(data))), u8("b", bytes.NewReader([]byte("xyz")), 3)}
	if err := new(Encoder).WriteFile(t.Context(), name, entries); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if want := append(data, "xyz"...); !bytes.HasSuffix(got, want) {
		t.Error("the file does not hold the data")
	}
	if at, _ := r.Seek(0, io.SeekCurrent); at != 77 {
		t.Errorf("the reader stands at %d", at)
	}
}

// A lateData is data that is known best when other data has been read: it takes
// note of how much of that had been asked for when it was asked itself.
type lateData struct {
	*bytes.Reader
	others *atomic.Int64
	seen   *atomic.Int64 // the least
}

func (d lateData) ReadAt(p []byte, off int64) (int, error) {
	for n := d.others.Load(); ; {
		if seen := d.seen.Load(); n >= seen || d.seen.CompareAndSwap(seen, n) {
			break
		}
	}
	return d.Reader.ReadAt(p, off)
}

func (d lateData) Later() {}

// A countedData counts the bytes that it is asked for.
type countedData struct {
	*bytes.Reader
	n *atomic.Int64
}

func (d countedData) ReadAt(p []byte, off int64) (int, error) {
	d.n.Add(int64(len(p)))
	return d.Reader.ReadAt(p, off)
}

// TestLater states that data which asks for it is read after the rest, but for
// what workers are busy with, wherever it stands in the file.
func TestLater(t *testing.T) {
	const blocks = 24
	var others, seen atomic.Int64
	seen.Store(math.MaxInt64)
	var entries []Entry
	random := make([]byte, blocks*blockSize)
	for i := range random {
		random[i] = byte(i * i >> 8)
	}
	add := func(name string, d DType, from, size int, late bool) {
		data := bytes.NewReader(random[from : from+size])
		e := Entry{Info: Info{Name: name, DType: d, Shape: []uint64{uint64(size) / 4}}, Data: countedData{data, &others}}
		if late {
			e.Data = lateData{data, &others, &seen}
		}
		if d == U8 {
			e.Shape[0] *= 4
		}
		entries = append(entries, e)
	}
	add("a", F32, 8, 400, true)                            // at the beginning
	add("b", F32, 0, 3*blockSize, false)                   // shares its first block with it
	add("c", U8, 0, blocks/2*blockSize, false)             //
	add("d", U8, 4, 3*blockSize, true)                     // in the middle
	add("e", U8, blockSize, (blocks/2-1)*blockSize, false) //
	add("f", U8, 12, 100, true)                            // at the end
	var want bytes.Buffer
	if err := new(Encoder).Encode(&want, entries); err != nil {
		t.Fatal(err)
	}
	others.Store(0)
	seen.Store(math.MaxInt64)
	name := filepath.Join(t.TempDir(), "a.safetensors")
	last := int64(-1)
	e := &Encoder{NoSync: true, Progress: func(n int64) { last = n }}
	if err := e.WriteFile(t.Context(), name, entries); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Fatalf("other bytes than those of Encode (%v)", err)
	}
	prefix := int64(want.Len()) - int64(3*blockSize+400+(blocks-1)*blockSize+3*blockSize+100)
	if size := int64(want.Len()) - prefix; last != size {
		t.Errorf("progress ends at %d of %d", last, size)
	}
	// A block is written later if late data has a part in it: at most two for each
	// of the three, and two more for the one in the middle. Up to three other
	// workers may be about to read one.
	if least := int64(blocks+2-8-3) * blockSize; seen.Load() < least {
		t.Errorf("asked for when %d bytes of the others had been, want at least %d", seen.Load(), least)
	}
}
