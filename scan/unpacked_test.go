package scan

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestUnpackedTwice holds that what is unpacked reads the same wherever it is
// asked for, though little of it is kept, and that going back and forth ends.
func TestUnpackedTwice(t *testing.T) {
	random := rand.NewChaCha8([32]byte{1})
	data := make([]byte, 50*pieceSize+123)
	random.Read(data)
	budget, again := int64(len(data)), int64(100*len(data))
	opened := 0
	u := &unpacked{src: bytes.NewReader(data), budget: &budget, most: 3, again: &again, open: func() (io.Reader, error) {
		opened++
		return bytes.NewReader(data), nil
	}}
	kept := func() int {
		n := 0
		for _, p := range u.pieces {
			if p != nil {
				n++
			}
		}
		return n
	}
	where := rand.New(random)
	for range 100 {
		off := where.Int64N(int64(len(data)))
		want := data[off:min(off+int64(where.IntN(5*pieceSize)), int64(len(data)))]
		got := make([]byte, len(want))
		if n, err := u.ReadAt(got, off); n != len(want) || err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes at %d: %d, %v", len(want), off, n, err)
		}
		if kept() > firstKept+3 {
			t.Fatalf("%d pieces are kept", kept())
		}
	}
	if opened < 2 {
		t.Errorf("opened %d times: nothing was read back", opened)
	}
	if n, err := u.ReadAt(make([]byte, 10), int64(len(data))-4); n != 4 || err == nil {
		t.Errorf("at the end %d bytes, %v", n, err)
	}
	again = pieceSize
	var err error
	for off := int64(len(data)) - pieceSize; off > 0 && err == nil; off -= pieceSize {
		_, err = u.ReadAt(make([]byte, 1), off)
	}
	if err != errBudget {
		t.Errorf("back to the beginning: %v, want the bound", err)
	}
}

// TestDeepUnpacks holds that a pickle is found in a file of which more is unpacked
// than kept, and that a tensor which is a bomb is told even if what was unpacked
// of it is zeros.
func TestDeepUnpacks(t *testing.T) {
	if testing.Short() {
		t.Skip("unpacks much")
	}
	pack := func(parts ...[]byte) []byte {
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		for _, p := range parts {
			if _, err := w.Write(p); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return packed.Bytes()
	}
	zeros := make([]byte, 20<<20)
	attack := []byte("\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.")
	var inside bytes.Buffer
	w := tar.NewWriter(&inside)
	for _, part := range [][]byte{zeros, attack, zeros} {
		if err := w.WriteHeader(&tar.Header{Name: "a.pkl", Mode: 0o644, Size: int64(len(part))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(part); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	bomb := bytes.Repeat(pack(zeros), 16)
	bomb = append(bomb, make([]byte, -len(bomb)&3)...)
	header := strings.ReplaceAll(`{"a":{"dtype":"U8","shape":[N],"data_offsets":[0,N]}}`, "N", strconv.Itoa(len(bomb)))
	for _, c := range []struct {
		name string
		data []byte
		id   string
	}{
		{"model.tar.gz", pack(inside.Bytes()), "ST301"},
		{"model.safetensors", append(append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header...), bomb...), "ST404"},
	} {
		f, err := Reader(context.Background(), bytes.NewReader(c.data), int64(len(c.data)), c.name, Options{Deep: true})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(f.Findings, func(f Finding) bool { return f.ID == c.id }) {
			t.Errorf("%s: %+v, want %s", c.name, f.Findings, c.id)
		}
	}
}
