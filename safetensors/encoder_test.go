package safetensors

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// entriesOf returns what a file holds, in a random order.
func entriesOf(f *File, rng *rand.Rand) []Entry {
	var entries []Entry
	for t := range f.All() {
		entries = append(entries, Entry{t.Info, t})
	}
	rng.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
	return entries
}

// TestGolden writes what the reference has written: see testdata/golden.
func TestGolden(t *testing.T) {
	inputs, err := filepath.Glob("testdata/golden/*.in.safetensors")
	if err != nil || len(inputs) < 18 {
		t.Fatal(inputs, err)
	}
	rng := rand.New(rand.NewPCG(7, 8))
	for _, input := range inputs {
		name := strings.TrimSuffix(filepath.Base(input), ".in.safetensors")
		t.Run(name, func(t *testing.T) {
			want, err := os.ReadFile(filepath.Join("testdata/golden", name+".safetensors"))
			if err != nil {
				t.Fatal(err)
			}
			f, err := Open(input)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			for range 5 {
				var got bytes.Buffer
				e := &Encoder{Metadata: f.Metadata()}
				if err := e.Encode(&got, entriesOf(f, rng)); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got.Bytes(), want) {
					t.Fatalf("got\n%q\nwant\n%q", got.Bytes(), want)
				}
			}
		})
	}
}

// TestMetadataOrder states that keys are sorted by their bytes.
func TestMetadataOrder(t *testing.T) {
	var got bytes.Buffer
	e := &Encoder{Metadata: map[string]string{"b": "1", "a": "2", "é": "3", "": "4", "a.10": "5", "a.2": "6"}}
	if err := e.Encode(&got, nil); err != nil {
		t.Fatal(err)
	}
	const want = `{"__metadata__":{"":"4","a":"2","a.10":"5","a.2":"6","b":"1","é":"3"}}`
	if header := strings.TrimRight(got.String()[8:], " "); header != want {
		t.Errorf("got %s, want %s", header, want)
	}
}

// sized claims a size, and streamed is data that can only be had in order.
type (
	sized struct {
		io.WriterTo
		size int64
	}
	streamed []byte
	failing  struct {
		streamed
		err error
	}
)

func (s sized) Size() int64 { return s.size }

// WriteTo writes in pieces of odd sizes.
func (s streamed) WriteTo(w io.Writer) (n int64, err error) {
	for size := 1; len(s) > 0; size = size*5 + 1 {
		m, err := w.Write(s[:min(size, len(s))])
		n += int64(m)
		if err != nil {
			return n, err
		}
		s = s[m:]
	}
	return n, nil
}

func (f failing) WriteTo(w io.Writer) (int64, error) {
	if n, err := f.streamed.WriteTo(w); err != nil {
		return n, err
	}
	return int64(len(f.streamed)), f.err
}

func u8(name string, data io.WriterTo, n uint64) Entry {
	return Entry{Info{name, U8, []uint64{n}}, data}
}

// TestRefusals states what is refused before a byte is written.
func TestRefusals(t *testing.T) {
	good := u8("good", bytes.NewReader([]byte("abc")), 3)
	with := func(e Entry) []Entry { return []Entry{good, e} }
	for _, c := range []struct {
		name    string
		encoder Encoder
		entries []Entry
		cause   error // beside ErrEntry
	}{
		{"a name twice", Encoder{}, []Entry{good, u8("other", streamed("a"), 1), good}, ErrDuplicate},
		{"the reserved name", Encoder{}, with(u8("__metadata__", streamed("a"), 1)), errReserved},
		{"a name that is not UTF-8", Encoder{}, with(u8("\xff", streamed("a"), 1)), errUTF8},
		{"a surrogate in a name", Encoder{}, with(u8("\xed\xa0\x80", streamed("a"), 1)), errUTF8},
		{"a metadata key that is not UTF-8", Encoder{Metadata: map[string]string{"\xff": ""}}, with(u8("a", streamed("a"), 1)), errUTF8},
		{"a metadata value that is not UTF-8", Encoder{Metadata: map[string]string{"a": "\xc0\x80"}}, nil, errUTF8},
		{"data too long", Encoder{}, with(u8("a", bytes.NewReader([]byte("abcd")), 3)), ErrSize},
		{"data too short", Encoder{}, with(u8("a", bytes.NewReader([]byte("ab")), 3)), ErrSize},
		{"no data", Encoder{}, with(u8("a", nil, 3)), ErrEntry},
		{"no dtype", Encoder{}, with(Entry{Info{"a", 0, []uint64{1}}, streamed("a")}), ErrDType},
		{"a dtype beyond the last", Encoder{}, with(Entry{Info{"a", U64 + 1, []uint64{1}}, streamed("a")}), ErrDType},
		{"an overflow", Encoder{}, with(Entry{Info{"a", U8, []uint64{1 << 32, 1 << 32, 0}}, streamed("")}), ErrOverflow},
		{"an overflow in bits", Encoder{}, with(Entry{Info{"a", F64, []uint64{1 << 60}}, streamed("")}), ErrOverflow},
		{"an overflow of all together", Encoder{}, []Entry{
			u8("a", streamed(""), 1<<60), u8("b", streamed(""), 1<<60), u8("c", streamed(""), 1<<60), u8("d", streamed(""), 1<<60),
			u8("e", streamed(""), 1<<60), u8("f", streamed(""), 1<<60), u8("g", streamed(""), 1<<60), u8("h", streamed(""), 1<<60),
		}, ErrOverflow},
		{"half a byte", Encoder{}, with(Entry{Info{"a", F4, []uint64{3}}, streamed("ab")}), ErrMisaligned},
		{"a header over the limit", Encoder{}, with(u8(strings.Repeat("n", maxHeaderLen), streamed("a"), 1)), ErrHeaderTooLarge},
		{"a negative alignment", Encoder{Align: -64}, with(u8("a", streamed("a"), 1)), ErrEntry},
		{"an alignment of 4", Encoder{Align: 4}, with(u8("a", streamed("a"), 1)), ErrEntry},
		{"an alignment of 96", Encoder{Align: 96}, with(u8("a", streamed("a"), 1)), ErrEntry},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			if err := c.encoder.Encode(&out, c.entries); !errors.Is(err, c.cause) || !errors.Is(err, ErrEntry) {
				t.Errorf("Encode: %.200v, want %v", err, c.cause)
			}
			if out.Len() > 0 {
				t.Errorf("%d bytes were written", out.Len())
			}
			dir := t.TempDir()
			name := filepath.Join(dir, "a.safetensors")
			if err := c.encoder.WriteFile(t.Context(), name, c.entries); !errors.Is(err, c.cause) || !errors.Is(err, ErrEntry) {
				t.Errorf("WriteFile: %.200v, want %v", err, c.cause)
			}
			if _, err := c.encoder.WriteShards(t.Context(), name, 2, c.entries); !errors.Is(err, c.cause) || !errors.Is(err, ErrEntry) {
				t.Errorf("WriteShards: %.200v, want %v", err, c.cause)
			}
			empty(t, dir)
		})
	}
}

// empty states that a directory holds the named files and nothing else.
func empty(t *testing.T, dir string, but ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if !slices.Equal(names, but) {
		t.Errorf("the directory holds %q, want %q", names, but)
	}
}

// TestWrongLength states that data which does not say its size may not be
// longer or shorter than it should, and that an error of its comes through.
func TestWrongLength(t *testing.T) {
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		data io.WriterTo
		want error
	}{
		"longer":     {streamed("abcd"), ErrSize},
		"shorter":    {streamed("ab"), ErrSize},
		"none":       {streamed(""), ErrSize},
		"fails":      {failing{streamed("ab"), broken}, broken},
		"fails late": {failing{streamed("abc"), broken}, broken},
		"lies":       {sized{streamed("ab"), 3}, ErrSize},
		"read fails": {brokenReader{broken}, broken},
	} {
		entries := []Entry{u8("a", streamed("12345"), 5), u8("t", c.data, 3), u8("z", streamed("123"), 3)}
		err := new(Encoder).Encode(io.Discard, entries)
		if !errors.Is(err, c.want) || !strings.Contains(fmt.Sprint(err), `"t"`) {
			t.Errorf("%s: Encode: %v, want %v of tensor t", name, err, c.want)
		}
		dir := t.TempDir()
		err = new(Encoder).WriteFile(t.Context(), filepath.Join(dir, "x"), entries)
		if !errors.Is(err, c.want) || !strings.Contains(fmt.Sprint(err), `"t"`) {
			t.Errorf("%s: WriteFile: %v, want %v of tensor t", name, err, c.want)
		}
		empty(t, dir)
	}
}

// A brokenReader is data of 3 bytes that cannot be read.
type brokenReader struct{ err error }

func (brokenReader) Size() int64                          { return 3 }
func (b brokenReader) ReadAt([]byte, int64) (int, error)  { return 0, b.err }
func (b brokenReader) WriteTo(w io.Writer) (int64, error) { return 0, b.err }

// TestAlign states what Align promises, on random tensors.
func TestAlign(t *testing.T) {
	ref := startReference(t)
	rng := rand.New(rand.NewPCG(9, 10))
	for range 300 {
		var entries []Entry
		for i := range rng.IntN(20) {
			info := Info{fmt.Sprintf("%d.%d", rng.IntN(3), i), DType(1 + rng.IntN(22)), []uint64{uint64(rng.IntN(9)), uint64(1 << rng.IntN(12))}}
			size, err := info.DataSize()
			if err != nil {
				continue
			}
			data := make([]byte, size)
			for i := range data {
				data[i] = byte(rng.Uint32())
			}
			entries = append(entries, Entry{info, bytes.NewReader(data)})
		}
		for _, align := range []int{0, 8, 16, 64, 256, 4096, 1 << 16} {
			e := &Encoder{Align: align, Metadata: map[string]string{"format": "pt"}}
			var out bytes.Buffer
			if err := e.Encode(&out, entries); err != nil {
				t.Fatal(err)
			}
			f, err := NewFile(bytes.NewReader(out.Bytes()), int64(out.Len()))
			if err != nil {
				t.Fatal(err)
			}
			multiple := int64(max(align, 8))
			if f.DataOffset()%multiple != 0 {
				t.Errorf("Align %d: the data begins at %d", align, f.DataOffset())
			}
			for _, entry := range entries {
				got, err := f.Tensor(entry.Name)
				if err != nil {
					t.Fatal(err)
				}
				data, err := got.Bytes()
				want, _ := io.ReadAll(io.NewSectionReader(entry.Data.(io.ReaderAt), 0, got.Size()))
				if err != nil || !bytes.Equal(data, want) || got.DType != entry.DType || !slices.Equal(got.Shape, entry.Shape) {
					t.Fatalf("Align %d: tensor %s differs (%v)", align, entry.Name, err)
				}
				if align > 8 && got.Size()%multiple == 0 && got.Offset()%multiple != 0 {
					t.Errorf("Align %d: tensor of %d bytes begins at %d", align, got.Size(), got.Offset())
				}
				// Nor may what is not a multiple lose its elements' own alignment.
				if n := int64(got.DType.Bits() / 8); n > 0 && got.Size() > 0 && got.Offset()%n != 0 {
					t.Errorf("Align %d: tensor of %s begins at %d", align, got.DType, got.Offset())
				}
			}
			if ref != nil {
				agree(t, ref, out.Bytes())
			}
			var again bytes.Buffer
			rng.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
			if err := e.Encode(&again, entries); err != nil || !bytes.Equal(again.Bytes(), out.Bytes()) {
				t.Errorf("Align %d: the same entries in another order give other bytes (%v)", align, err)
			}
		}
	}
}

// TestSortedNames compares the order of names, which is found by a key of a
// few bytes, with the order of strings.
func TestSortedNames(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	for range 2000 {
		prefix := strings.Repeat("p", rng.IntN(12))
		used := map[string]bool{}
		var entries []Entry
		for range rng.IntN(30) {
			name := prefix
			for range rng.IntN(12) {
				name += string("ab\x00é"[rng.IntN(3)])
			}
			if !used[name] {
				used[name] = true
				entries = append(entries, u8(name, streamed("x"), 1))
			}
		}
		plan, err := new(Encoder).plan(entries)
		if err != nil {
			t.Fatal(err)
		}
		last, end := "", int64(0)
		plan.each(func(e *Entry, begin, size int64) error {
			if e.Name <= last && begin > 0 || begin != end {
				t.Fatalf("%q at %d stands behind %q, which ends at %d", e.Name, begin, last, end)
			}
			last, end = e.Name, begin+size
			return nil
		})
	}
}

// TestNothing writes no tensors with an empty map of metadata, of which the
// reference, version 0.8.0, makes a file that nobody can read.
func TestNothing(t *testing.T) {
	var got bytes.Buffer
	if err := (&Encoder{Metadata: map[string]string{}}).Encode(&got, nil); err != nil {
		t.Fatal(err)
	}
	if want := "\x18\x00\x00\x00\x00\x00\x00\x00" + `{"__metadata__":{}}     `; got.String() != want {
		t.Errorf("got %q, want %q", got.String(), want)
	}
	f, err := NewFile(bytes.NewReader(got.Bytes()), int64(got.Len()))
	if err != nil {
		t.Fatal(err)
	}
	if f.Len() != 0 || f.Metadata() == nil || len(f.Metadata()) != 0 {
		t.Errorf("%d tensors, metadata %v", f.Len(), f.Metadata())
	}
}
