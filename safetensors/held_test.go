package safetensors

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestHeld states that what lies in memory, in few parts or in many, large or
// small, makes the file that is written in order.
func TestHeld(t *testing.T) {
	rng := rand.New(rand.NewPCG(21, 22))
	for _, sizes := range [][]int{
		{3 * heldSize},                          // one
		{heldSize + 1, 7, blockSize, heldSize},  // several in a block
		many(70, heldSize/64),                   // more than a write takes
		append(many(100, 8), 2*heldSize, 3, 11), // blocks of either kind
	} {
		var entries []Entry
		for i, n := range sizes {
			data := make([]byte, n)
			for j := range data[:min(n, 64)] {
				data[j], data[n-1-j] = byte(rng.Uint32()), byte(rng.Uint32())
			}
			entries = append(entries, u8(strings.Repeat("t", i+1), bytes.NewReader(data), uint64(n)))
		}
		for _, e := range []*Encoder{{NoSync: true}, {NoSync: true, Direct: true, Align: 4096}} {
			var want bytes.Buffer
			if err := e.Encode(&want, entries); err != nil {
				t.Fatal(err)
			}
			name := filepath.Join(t.TempDir(), "a")
			if err := e.WriteFile(t.Context(), name, entries); err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want.Bytes()) {
				t.Errorf("%d parts, %+v: other bytes than those of Encode (%v)", len(sizes), e, err)
			}
			for i := range entries {
				if at := entries[i].Data.(*bytes.Reader); at.Len() != sizes[i] {
					t.Fatalf("a reader of the caller was moved by %d", sizes[i]-at.Len())
				}
			}
		}
	}
}

func many(n, size int) []int {
	sizes := make([]int, n)
	for i := range sizes {
		sizes[i] = size
	}
	return sizes
}

// TestWriteParts: bytes go where they belong, and a full disk is told of.
func TestWriteParts(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "a"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	parts := [][]byte{[]byte("one"), []byte("two"), []byte("three")}
	n, err := writeParts(f, parts, 4)
	if n == 0 && err == nil {
		t.Skip("the system has no such call")
	}
	got, readErr := os.ReadFile(f.Name())
	if err != nil || readErr != nil || n != 11 || string(got) != "\x00\x00\x00\x00onetwothree" {
		t.Errorf("%d bytes, %q, %v, %v", n, got, err, readErr)
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	if n, err := writeParts(full, parts, 0); n != 0 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("%d bytes into a full disk, %v", n, err)
	}
}

// TestPiecesBetween states that the pieces that are made of a plan for a part of
// the file hold what the whole has there, wherever it is cut, and that tensors
// that lie one behind the other in a file are one piece.
func TestPiecesBetween(t *testing.T) {
	rng := rand.New(rand.NewPCG(31, 32))
	var stored []Entry
	for i := range 500 {
		data := make([]byte, rng.IntN(40))
		for n := range data {
			data[n] = byte(rng.Uint32())
		}
		stored = append(stored, u8(fmt.Sprintf("stored.%03d", i), bytes.NewReader(data), uint64(len(data))))
	}
	var file bytes.Buffer
	if err := new(Encoder).Encode(&file, stored); err != nil {
		t.Fatal(err)
	}
	f, err := NewFile(bytes.NewReader(file.Bytes()), int64(file.Len()))
	if err != nil {
		t.Fatal(err)
	}
	var tensors, mixed []Entry
	for tensor := range f.All() {
		tensors = append(tensors, Entry{Info: tensor.Info, Data: tensor})
		e := tensors[len(tensors)-1]
		if rng.IntN(3) == 0 {
			e.Name = fmt.Sprintf("moved.%d", rng.Uint64()) // to another place
		}
		mixed = append(mixed, e)
		if rng.IntN(3) == 0 {
			mixed = append(mixed, stored[rng.IntN(len(stored))])
			mixed[len(mixed)-1].Name = fmt.Sprintf("computed.%d", rng.Uint64())
		}
	}
	for name, entries := range map[string][]Entry{"in order": tensors, "mixed": mixed, "none": nil} {
		t.Run(name, func(t *testing.T) {
			var want bytes.Buffer
			if err := new(Encoder).Encode(&want, entries); err != nil {
				t.Fatal(err)
			}
			p, err := new(Encoder).plan(entries)
			if err != nil {
				t.Fatal(err)
			}
			if all := p.sources(); name == "in order" && len(all) != 2 {
				t.Errorf("a file and its header are %d pieces", len(all))
			}
			var pieces []source
			for range 2000 {
				from := rng.Int64N(int64(want.Len()))
				to := from + 1 + rng.Int64N(int64(want.Len())-from)
				if rng.IntN(2) == 0 {
					to = min(to, from+1+rng.Int64N(100))
				}
				pieces = p.between(pieces[:0], from, to)
				got := make([]byte, to-from)
				if err := fill(got, from, pieces); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, want.Bytes()[from:to]) {
					t.Fatalf("other bytes between %d and %d", from, to)
				}
				if last := pieces[len(pieces)-1]; pieces[0].end <= from || last.begin >= to {
					t.Fatalf("%d to %d, and pieces from %d to %d that have nothing of it", from, to, pieces[0].end, last.begin)
				}
			}
		})
	}
}

// TestEditMoved writes a file anew that is so large that the page cache
// forgets the old one on the way.
func TestEditMoved(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 100 MB")
	}
	name := filepath.Join(t.TempDir(), "a.safetensors")
	data := make([]byte, directWorkers*directBlock+3*blockSize+123)
	rng := rand.New(rand.NewPCG(23, 24))
	for i := 0; i < len(data); i += 1000 {
		data[i] = byte(rng.Uint32())
	}
	e := &Encoder{Metadata: map[string]string{"a": "b"}}
	if err := e.WriteFile(t.Context(), name, []Entry{u8("x", bytes.NewReader(data), uint64(len(data)))}); err != nil {
		t.Fatal(err)
	}
	old, err := os.Open(name) // whoever has the old file open keeps it
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	long := strings.Repeat("c", 10_000)
	if inPlace, err := EditMetadata(t.Context(), name, map[string]string{"a": long}); err != nil || inPlace {
		t.Fatalf("in place %v, %v", inPlace, err)
	}
	f, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tensor, err := f.Tensor("x")
	if err != nil {
		t.Fatal(err)
	}
	got, err := tensor.Bytes()
	if err != nil || !bytes.Equal(got, data) || f.Metadata()["a"] != long {
		t.Errorf("other data or metadata than there were (%v)", err)
	}
	end := make([]byte, len(data))
	info, err := old.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := old.ReadAt(end, info.Size()-int64(len(data))); err != nil || !bytes.Equal(end, data) {
		t.Errorf("the old file has other data (%v)", err)
	}
}
