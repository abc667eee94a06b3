package safetensors

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/iotest"
)

// A sliceCase is a tensor and a slice of it.
type sliceCase struct {
	dtype  DType
	shape  []uint64
	ranges []Range
}

// takeCase makes a case of bytes, of which there may be too few. Most of the
// cases it makes are of slices that exist.
func takeCase(choices []byte) sliceCase {
	take := func(n int) uint64 {
		if len(choices) == 0 {
			return 0
		}
		c := choices[0]
		choices = choices[1:]
		return uint64(int(c) % n)
	}
	c := sliceCase{dtype: DType(1 + take(22))}
	if take(2) == 0 {
		c.dtype = []DType{F4, F6E2M3, U8, BF16}[take(4)]
	}
	for range take(6) {
		c.shape = append(c.shape, []uint64{1, 2, 3, 4, 5, 6, 8, 0, 12}[take(9)])
	}
	if _, err := (Info{DType: c.dtype, Shape: c.shape}).DataSize(); err != nil {
		if len(c.shape) == 0 {
			c.shape = []uint64{1}
		}
		c.shape[len(c.shape)-1] *= 4
	}
	for d := range int(take(len(c.shape) + 1)) {
		dim := c.shape[d]
		r := Range{}
		start, stop := take(int(dim+1)), take(int(dim+1))
		switch take(4) {
		case 0:
		case 1:
			r = Index(start)
		default:
			r = Span(min(start, stop), max(start, stop))
		}
		if take(3) == 0 {
			r = r.Every(1 + take(4))
		}
		c.ranges = append(c.ranges, r)
	}
	switch take(40) { // what does not exist
	case 1:
		c.ranges = append(c.ranges, Span(3, 2))
	case 2:
		c.ranges = append(c.ranges, Index(12*4))
	case 3:
		c.ranges = append(c.ranges, Span(0, 1<<63))
	case 4:
		c.ranges = append(c.ranges, Range{}.Every(0))
	case 5:
		c.ranges = append(c.ranges, Index(1<<64-1), Span(1<<64-1, 1<<64-1))
	case 6:
		c.ranges = append(c.ranges, Range{}.Every(1<<64-1))
	}
	return c
}

// model slices element by element. It returns the shape, the bytes and which
// error there is to be.
func (c sliceCase) model(data []byte) (shape []uint64, want []byte, fails error) {
	if len(c.ranges) > len(c.shape) {
		return nil, nil, ErrRange
	}
	elements := []uint64{0} // the selected ones, as numbers in the tensor
	shape = []uint64{}
	for d, dim := range c.shape {
		var indices []uint64
		r := Range{}
		if d < len(c.ranges) {
			r = c.ranges[d]
		}
		start, stop, step := uint64(0), dim, uint64(1)
		if r.kind == rangeSpan || r.kind == rangeIndex {
			start, stop = r.start, r.stop
		}
		if r.kind != rangeAll {
			step = r.step
		}
		if r.kind == rangeIndex && start >= dim || start > stop || stop > dim || step == 0 || r.kind == rangeIndex && step != 1 {
			return nil, nil, ErrRange
		}
		for i := start; i < stop; {
			indices = append(indices, i)
			if step > stop-i {
				break
			}
			i += step
		}
		if r.kind != rangeIndex {
			shape = append(shape, uint64(len(indices)))
		}
		var next []uint64
		for _, e := range elements {
			for _, i := range indices {
				next = append(next, e*dim+i)
			}
		}
		elements = next
	}
	bits := uint64(c.dtype.Bits())
	want = []byte{}
	for i := 0; i < len(elements); {
		// A run of elements that lie one behind the other.
		n := 1
		for i+n < len(elements) && elements[i+n] == elements[i]+uint64(n) {
			n++
		}
		from, to := elements[i]*bits, (elements[i]+uint64(n))*bits
		if from%8 != 0 || to%8 != 0 {
			return nil, nil, ErrMisaligned
		}
		want = append(want, data[from/8:to/8]...)
		i += n
	}
	return shape, want, nil
}

// fileOf returns a file of a tensor t between two others.
func fileOf(t testing.TB, dtype DType, shape []uint64) ([]byte, []byte) {
	t.Helper()
	info := Info{"t", dtype, shape}
	size, err := info.DataSize()
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i*7 + i>>8 + i>>16)
	}
	header := fmt.Sprintf(`{"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"t":{"dtype":"%s","shape":[`, dtype)
	for i, dim := range shape {
		if i > 0 {
			header += ","
		}
		header += fmt.Sprint(dim)
	}
	header += fmt.Sprintf(`],"data_offsets":[3,%d]},"z":{"dtype":"U8","shape":[5],"data_offsets":[%d,%d]}}`, 3+size, 3+size, 8+size)
	file := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	file = append(append(append(append(file, header...), "aaa"...), data...), "zzzzz"...)
	return file, data
}

// open returns tensor t of a file, read at offsets and mapped.
func bothWays(t testing.TB, file []byte) map[string]*Tensor {
	t.Helper()
	tensors := map[string]*Tensor{}
	for _, way := range []string{"read", "mapped"} {
		f, err := NewFile(bytes.NewReader(file), int64(len(file)))
		if err != nil {
			t.Fatal(err)
		}
		if way == "mapped" {
			f.memory = &mapping{bytes: file}
		}
		if tensors[way], err = f.Tensor("t"); err != nil {
			t.Fatal(err)
		}
	}
	return tensors
}

// checkSlice states that a slice is what the model says.
func checkSlice(t *testing.T, c sliceCase, rng *rand.Rand) {
	t.Helper()
	file, data := fileOf(t, c.dtype, c.shape)
	shape, want, fails := c.model(data)
	for way, tensor := range bothWays(t, file) {
		s, err := tensor.Slice(c.ranges...)
		if fails != nil || err != nil {
			if !errors.Is(err, fails) || fails == nil {
				t.Fatalf("%+v: %v, want %v", c, err, fails)
			}
			continue
		}
		if !slices.Equal(s.Shape, shape) || s.Name != "t" || s.DType != c.dtype || s.Size() != int64(len(want)) {
			t.Fatalf("%+v: %+v, want shape %d and %d bytes", c, s, shape, len(want))
		}
		if size, err := s.DataSize(); err != nil || size != s.Size() {
			t.Fatalf("%+v: the slice's shape takes %d bytes (%v), it has %d", c, size, err, s.Size())
		}
		got, err := s.Bytes()
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%s %+v: %x, want %x (%v)", way, c, got, want, err)
		}
		var streamed bytes.Buffer
		if n, err := s.WriteTo(&streamed); err != nil || n != s.Size() || !bytes.Equal(streamed.Bytes(), want) {
			t.Fatalf("%s %+v: WriteTo gives %d bytes %x, want %x (%v)", way, c, n, streamed.Bytes(), want, err)
		}
		for range 5 {
			readsAt(t, s, want, int64(rng.IntN(len(want)+2)), rng.IntN(len(want)+3))
		}
		if len(want) < 64 {
			if err := iotest.TestReader(io.NewSectionReader(s, 0, s.Size()), want); err != nil {
				t.Fatalf("%s %+v: %v", way, c, err)
			}
		}
	}
}

// readsAt states what io.ReaderAt asks for.
func readsAt(t *testing.T, r io.ReaderAt, want []byte, off int64, size int) {
	t.Helper()
	p := make([]byte, size+1)
	p[size] = 0xa5
	n, err := r.ReadAt(p[:size], off)
	rest := want[min(off, int64(len(want))):]
	if n != min(size, len(rest)) || !bytes.Equal(p[:n], rest[:n]) || p[size] != 0xa5 {
		t.Fatalf("ReadAt(%d bytes, %d) of %d bytes: %d bytes %x", size, off, len(want), n, p[:n])
	}
	if n < size && err != io.EOF || n == size && err != nil && err != io.EOF {
		t.Fatalf("ReadAt(%d bytes, %d) of %d bytes: %d, %v", size, off, len(want), n, err)
	}
}

func TestSlice(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	outcomes := map[error]int{}
	rounds := 20_000
	if RaceDetector {
		rounds = 2000
	}
	for range rounds {
		choices := make([]byte, 40)
		for i := range choices {
			choices[i] = byte(rng.Uint32())
		}
		c := takeCase(choices)
		_, data := fileOf(t, c.dtype, c.shape)
		_, _, fails := c.model(data)
		outcomes[fails]++
		checkSlice(t, c, rng)
	}
	// The cases would be worth little if they all went one way.
	if outcomes[nil] < rounds/4 || outcomes[ErrMisaligned] < rounds/40 || outcomes[ErrRange] < rounds/40 {
		t.Errorf("outcomes %v", outcomes)
	}
}

// FuzzSlice states that any slice of any small tensor is what taking its
// elements one by one gives, or fails for the reason that this finds.
func FuzzSlice(f *testing.F) {
	f.Add([]byte{17, 1, 3, 4, 3, 2, 2, 1, 3, 2})
	f.Add([]byte{0, 0, 0, 2, 3, 8, 2, 0, 3, 2, 0, 1, 2, 8, 2, 1})
	f.Add([]byte{0, 0, 1, 3, 3, 3, 3, 3, 1, 4, 1, 0, 0, 3, 2, 2})
	f.Fuzz(func(t *testing.T, choices []byte) {
		if len(choices) < 100 {
			checkSlice(t, takeCase(choices), rand.New(rand.NewPCG(5, uint64(len(choices)))))
		}
	})
}

// TestSliceWindows has runs about as long as the buffer that several of them
// are read through, and gaps about as long as a page.
func TestSliceWindows(t *testing.T) {
	const buffer = 1 << 20
	for _, c := range []struct{ rows, columns, from, to, step uint64 }{
		{3, buffer + 200, 0, buffer + 100, 1}, // a run just longer than the buffer
		{3, buffer + 200, 100, buffer + 200, 2},
		{3, buffer + 1, 0, buffer, 1},
		{3, buffer + 1, 1, buffer + 1, 1},
		{4, buffer, 0, buffer - 1, 1},
		{4, buffer - 1, 0, buffer - 2, 1},
		{5, buffer / 2, 1, buffer / 2, 1},
		{5, buffer/2 + 1, 1, buffer/2 + 1, 1},
		{300, 3*page + 1, 0, 2 * page, 1},      // a gap of a page and a byte
		{300, 3 * page, 0, 2 * page, 1},        // of a page
		{300, 3*page - 1, 0, 2 * page, 1},      // and of less
		{700, 2*page - 1, page - 1, page, 3},   // of much more than a run
		{3_000, 1000, 0, 1, 1},                 // runs of one byte
		{3_000, 1000, 999, 1000, 2},            // which are the last
		{3_000, 1000, 500, 1000, 1},            // half of each row
		{1, 2 * buffer, 5, 2*buffer - 5, 1},    // one run
		{2, 2 * buffer, 5, 2*buffer - 5, 1},    // two that are apart
		{2, 2 * buffer, 0, 2*buffer - 5, 1},    // and as many from the first byte
		{1 << 18, 8, 0, 7, 1},                  // very many
		{2_000, 1 << 10, 0, 1<<10 - 1, 1 << 9}, // and a few
	} {
		file, data := fileOf(t, U8, []uint64{c.rows, c.columns})
		var want []byte
		for row := uint64(0); row < c.rows; row += c.step {
			want = append(want, data[row*c.columns+c.from:row*c.columns+c.to]...)
		}
		for way, tensor := range bothWays(t, file) {
			s, err := tensor.Slice(Range{}.Every(c.step), Span(c.from, c.to))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := s.Bytes(); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s %+v: the slice differs (%v)", way, c, err)
			}
			rng := rand.New(rand.NewPCG(6, c.columns))
			for range 30 {
				readsAt(t, s, want, rng.Int64N(int64(len(want))), rng.IntN(min(len(want), 3000)))
			}
			readsAt(t, s, want, 1, len(want)-1)
			readsAt(t, s, want, 50, len(want))
		}
	}
}

// A countingReader counts what is read.
type countingReader struct {
	r            io.ReaderAt
	calls, bytes atomic.Int64
}

func (c *countingReader) ReadAt(p []byte, off int64) (int, error) {
	c.calls.Add(1)
	n, err := c.r.ReadAt(p, off)
	c.bytes.Add(int64(n))
	return n, err
}

// TestSliceReads states that a slice reads what it needs.
func TestSliceReads(t *testing.T) {
	file, _ := fileOf(t, F32, []uint64{64, 32, 512})
	for _, c := range []struct {
		why    string
		ranges []Range
		calls  int64
		extra  float64 // share of bytes read and not needed
	}{
		{"everything", nil, 1, 0},
		{"rows", []Range{Span(10, 20)}, 1, 0},
		{"one row", []Range{Index(10)}, 1, 0},
		{"rows of one", []Range{Index(10), Span(3, 9)}, 1, 0},
		{"every other row", []Range{Range{}.Every(2)}, 32, 0},
		{"a block of columns far apart", []Range{{}, Index(4), Span(0, 256)}, 64, 0},
		{"columns near to each other", []Range{{}, {}, Span(0, 500)}, 5, 0.03},
		{"nothing", []Range{Span(5, 5)}, 0, 0},
	} {
		counter := &countingReader{r: bytes.NewReader(file)}
		f, err := NewFile(counter, int64(len(file)))
		if err != nil {
			t.Fatal(err)
		}
		tensor, err := f.Tensor("t")
		if err != nil {
			t.Fatal(err)
		}
		counter.calls.Store(0)
		counter.bytes.Store(0)
		s, err := tensor.Slice(c.ranges...)
		if err != nil {
			t.Fatal(err)
		}
		if n := counter.calls.Load(); n != 0 {
			t.Errorf("%s: Slice itself reads %d times", c.why, n)
		}
		if _, err := s.Bytes(); err != nil {
			t.Fatal(err)
		}
		if n, most := counter.bytes.Load(), float64(s.Size())*(1+c.extra); float64(n) > most {
			t.Errorf("%s: %d bytes read for %d", c.why, n, s.Size())
		}
		if n := counter.calls.Load(); n > c.calls {
			t.Errorf("%s: %d reads, want at most %d", c.why, n, c.calls)
		}
	}
}

// TestSliceOfShrunkFile states that data which is gone is an error, for
// tensors and slices alike.
func TestSliceOfShrunkFile(t *testing.T) {
	file, _ := fileOf(t, U8, []uint64{100, 100})
	r := &shrinking{data: file}
	f, err := NewFile(r, int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	tensor, _ := f.Tensor("t")
	s, err := tensor.Slice(Range{}, Span(10, 90))
	if err != nil {
		t.Fatal(err)
	}
	r.data = file[:len(file)/2]
	for name, read := range map[string]func() ([]byte, error){"Tensor": tensor.Bytes, "Slice": s.Bytes} {
		if _, err := read(); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: %v, want %v", name, err, io.ErrUnexpectedEOF)
		}
	}
	for name, data := range map[string]io.WriterTo{"Tensor": tensor, "Slice": s} {
		if _, err := data.WriteTo(io.Discard); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: WriteTo: %v, want %v", name, err, io.ErrUnexpectedEOF)
		}
	}
}

// TestSharedSlice holds slices that several workers gather to those that one
// does, wherever their parts meet, and tells what is missing of a file.
func TestSharedSlice(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(3))
	file, _ := fileOf(t, U8, []uint64{4099, 1024})
	name := filepath.Join(t.TempDir(), "x.safetensors")
	if err := os.WriteFile(name, file, 0o666); err != nil {
		t.Fatal(err)
	}
	for way, open := range map[string]func(string) (*File, error){"Open": Open, "Map": Map} {
		f, err := open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		tensor, _ := f.Tensor("t")
		for _, to := range []uint64{511, 512, 700, 1023} {
			s, err := tensor.Slice(Range{}, Span(1, to))
			if err != nil {
				t.Fatal(err)
			}
			got, err := s.Bytes()
			want := make([]byte, s.Size())
			if n := s.Gather(want, file, 0); n != len(want) || to > 512 && s.Size() < 2*leastShare {
				t.Fatalf("%d bytes of %d", n, len(want))
			}
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s, up to column %d: differs, %v", way, to, err)
			}
		}
		if way == "Map" {
			continue // where it would be a fault
		}
		s, err := tensor.Slice(Range{}, Span(1, 1000))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(name, int64(len(file)/2)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Bytes(); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%v, want %v", err, io.ErrUnexpectedEOF)
		}
		if err := os.WriteFile(name, file, 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

type shrinking struct{ data []byte }

func (s *shrinking) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(s.data).ReadAt(p, off)
}

// TestTensorReads holds ReadAt of a tensor to its interface.
func TestTensorReads(t *testing.T) {
	file, data := fileOf(t, F32, []uint64{5, 4})
	for way, tensor := range bothWays(t, file) {
		if err := iotest.TestReader(io.NewSectionReader(tensor, 0, tensor.Size()), data); err != nil {
			t.Errorf("%s: %v", way, err)
		}
		for off := range int64(len(data) + 2) {
			for size := range len(data) + 2 {
				readsAt(t, tensor, data, off, size)
			}
		}
		if _, err := tensor.ReadAt(make([]byte, 1), -1); err == nil {
			t.Errorf("%s: a negative offset is read", way)
		}
	}
}

// TestConcurrentReads is for the race detector.
func TestConcurrentReads(t *testing.T) {
	file, data := fileOf(t, F32, []uint64{64, 64})
	for way, tensor := range bothWays(t, file) {
		f := tensor.File()
		done := make(chan error)
		const workers = 8
		for w := range workers {
			go func() {
				done <- func() error {
					for i := range 50 {
						at, err := f.Tensor("t")
						if err != nil {
							return err
						}
						s, err := at.Slice(Span(uint64(w), uint64(w+i%8)), Span(3, 60))
						if err != nil {
							return err
						}
						if _, err := s.Bytes(); err != nil {
							return err
						}
						if got, err := at.Bytes(); err != nil || !bytes.Equal(got, data) {
							return fmt.Errorf("the tensor differs: %w", err)
						}
						f.Metadata()
						for range f.All() {
						}
					}
					return nil
				}()
			}()
		}
		for range workers {
			if err := <-done; err != nil {
				t.Errorf("%s: %v", way, err)
			}
		}
	}
}
