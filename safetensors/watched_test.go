package safetensors_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/tensmith/tensmith/safetensors"
)

// A watched is data that keeps what it is shown.
type watched struct {
	data  []byte
	r     *rand.Rand
	mu    sync.Mutex
	shown []byte
	open  bool
	fault string
}

func (w *watched) Size() int64 { return int64(len(w.data)) }

func (w *watched) WriteTo(to io.Writer) (n int64, err error) {
	for left := w.data; len(left) > 0; {
		part := left[:min(len(left), 1+w.r.IntN(1<<19))]
		m, err := to.Write(part)
		if n += int64(m); err != nil {
			return n, err
		}
		left = left[m:]
	}
	return n, nil
}

// Written looks at p only some time after it has returned.
func (w *watched) Written(p []byte, done func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.open {
		w.fault = "shown the next piece before it was done with one"
	}
	if len(p) == 0 {
		w.fault = "shown nothing"
	}
	w.open = true
	go func() {
		if len(p) > 1000 {
			time.Sleep(time.Millisecond)
		}
		w.mu.Lock()
		w.shown = append(w.shown, p...)
		w.open = false
		w.mu.Unlock()
		done()
	}()
}

// A watchedAt can be read at offsets, too.
type watchedAt struct{ *watched }

func (w watchedAt) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(w.data).ReadAt(p, off)
}

// TestWritten writes data that watches, which must see all of itself, in order,
// and change nothing of the file: tensors of all sizes around a block, some
// that can only stream, some that do not watch.
func TestWritten(t *testing.T) {
	const block = 2 << 20
	sizes := []int{0, 1, 7, 4096, block - 1, block, block + 1, 2*block - 9, 2 * block, 5*block + 3, 9 * block}
	for i := range 3000 {
		sizes = append(sizes, i%97)
	}
	r := rand.New(rand.NewPCG(1, 2))
	var plain, watching []safetensors.Entry
	var all []*watched
	for i, n := range sizes {
		data := make([]byte, n)
		rand.NewChaCha8([32]byte{byte(i)}).Read(data)
		info := safetensors.Info{Name: fmt.Sprintf("t%d", i), DType: safetensors.U8, Shape: []uint64{uint64(n)}}
		plain = append(plain, safetensors.Entry{Info: info, Data: bytes.NewReader(data)})
		w := &watched{data: data, r: r}
		switch i % 4 {
		case 0:
			watching = append(watching, safetensors.Entry{Info: info, Data: w})
		case 1:
			watching = append(watching, safetensors.Entry{Info: info, Data: bytes.NewReader(data)})
			continue
		default:
			watching = append(watching, safetensors.Entry{Info: info, Data: watchedAt{w}})
		}
		all = append(all, w)
	}
	dir := t.TempDir()
	want, got := filepath.Join(dir, "plain.safetensors"), filepath.Join(dir, "watched.safetensors")
	last := int64(0)
	e := safetensors.Encoder{Metadata: map[string]string{"a": "b"}, NoSync: true}
	if err := e.WriteFile(context.Background(), want, plain); err != nil {
		t.Fatal(err)
	}
	e.Progress = func(n int64) { last = n }
	if err := e.WriteFile(context.Background(), got, watching); err != nil {
		t.Fatal(err)
	}
	x, err := os.ReadFile(want)
	if err != nil {
		t.Fatal(err)
	}
	y, err := os.ReadFile(got)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(x, y) {
		t.Error("the file is another one")
	}
	file, err := safetensors.Open(got)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if size := file.Size() - file.DataOffset(); last != size {
		t.Errorf("progress ends at %d of %d bytes", last, size)
	}
	check := func(how string) {
		t.Helper()
		for _, w := range all {
			if !bytes.Equal(w.shown, w.data) || w.fault != "" || w.open {
				t.Errorf("%s: %d bytes: %d were shown; %s", how, len(w.data), len(w.shown), w.fault)
			}
			w.shown = nil
		}
	}
	check("a file")
	var out bytes.Buffer
	e.Progress = nil
	if err := e.Encode(&out, watching); err != nil || !bytes.Equal(out.Bytes(), x) {
		t.Errorf("streamed it is another file, %v", err)
	}
	check("a stream")
}

// TestWrittenBlocks holds the writing of watched data to whole blocks of 2 MiB,
// wherever tensors meet, but for the first and the last of the file.
func TestWrittenBlocks(t *testing.T) {
	const block = 2 << 20
	var entries []safetensors.Entry
	total := 0
	for i, n := range []int{5*block + 77, 3 * block, block/2 + 1, 1000, 7*block - 5, 12 * block, 999, 4*block + 3, block / 3} {
		w := &watched{data: make([]byte, n)}
		entries = append(entries, safetensors.Entry{Info: safetensors.Info{Name: fmt.Sprint(i), DType: safetensors.U8, Shape: []uint64{uint64(n)}}, Data: watchedAt{w}})
		total += n
	}
	var writes []int64
	last := int64(0)
	e := safetensors.Encoder{NoSync: true, Progress: func(n int64) {
		writes = append(writes, n-last)
		last = n
	}}
	name := filepath.Join(t.TempDir(), "x.safetensors")
	if err := e.WriteFile(context.Background(), name, entries); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if want := (info.Size() + block - 1) / block; int64(len(writes)) != want {
		t.Errorf("%d writes for %d blocks: %d", len(writes), want, writes)
	}
	if last != int64(total) {
		t.Errorf("%d of %d bytes", last, total)
	}
}

// A broken is data of which the end cannot be read.
type broken struct{ watchedAt }

func (b broken) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > 3<<20 {
		return 0, io.ErrUnexpectedEOF
	}
	return b.watchedAt.ReadAt(p, off)
}

// TestWrittenBroken: nothing is left behind, neither a file nor a piece that
// somebody looks at.
func TestWrittenBroken(t *testing.T) {
	dir := t.TempDir()
	var all []*watched
	var entries []safetensors.Entry
	for i := range 40 {
		w := &watched{data: make([]byte, 4<<20)}
		all = append(all, w)
		e := safetensors.Entry{Info: safetensors.Info{Name: fmt.Sprint(i), DType: safetensors.U8, Shape: []uint64{4 << 20}}, Data: watchedAt{w}}
		if i == 20 {
			e.Data = broken{watchedAt{w}}
		}
		entries = append(entries, e)
	}
	e := safetensors.Encoder{NoSync: true}
	if err := e.WriteFile(context.Background(), filepath.Join(dir, "x.safetensors"), entries); err == nil {
		t.Error("no error")
	}
	for i, w := range all {
		w.mu.Lock()
		if w.open || w.fault != "" {
			t.Errorf("tensor %d is still being looked at; %s", i, w.fault)
		}
		w.mu.Unlock()
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}
