package safetensors_test

import (
	"errors"
	"io"
	"io/fs"
	"testing"

	"github.com/tensmith/tensmith/safetensors"
)

// TestClosed uses what belongs to a file after it was closed, by each way that
// files are opened: an error, and no fault, though the memory of a map is gone.
func TestClosed(t *testing.T) {
	const name = "testdata/real/numpy.safetensors"
	for way, open := range map[string]func(string) (*safetensors.File, error){"Open": safetensors.Open, "Map": safetensors.Map} {
		f, err := open(name)
		if err != nil {
			t.Fatal(err)
		}
		tensor, err := f.Tensor("layer.1.float32")
		if err != nil {
			t.Fatal(err)
		}
		slice, err := tensor.Slice(safetensors.Range{}, safetensors.Span(1, 3))
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		p := make([]byte, 4)
		for what, use := range map[string]func() error{
			"File.ReadAt":    func() error { _, err := f.ReadAt(p, 0); return err },
			"File.Close":     f.Close,
			"Tensor.Bytes":   func() error { _, err := tensor.Bytes(); return err },
			"Tensor.ReadAt":  func() error { _, err := tensor.ReadAt(p, 0); return err },
			"Tensor.WriteTo": func() error { _, err := tensor.WriteTo(io.Discard); return err },
			"Slice.Bytes":    func() error { _, err := slice.Bytes(); return err },
			"Slice.ReadAt":   func() error { _, err := slice.ReadAt(p, 0); return err },
			"Slice.WriteTo":  func() error { _, err := slice.WriteTo(io.Discard); return err },
		} {
			if err := use(); !errors.Is(err, fs.ErrClosed) {
				t.Errorf("%s: %s after Close: %v, want fs.ErrClosed", way, what, err)
			}
		}
		if mapped := f.Mapped(); mapped != nil {
			t.Errorf("%s: %d bytes are mapped after Close", way, len(mapped))
		}
	}
}

// TestMapReadAt holds the reads of a map to those of the file.
func TestMapReadAt(t *testing.T) {
	const name = "testdata/real/numpy.safetensors"
	read, err := safetensors.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	mapped, err := safetensors.Map(name)
	if err != nil {
		t.Fatal(err)
	}
	defer mapped.Close()
	for _, off := range []int64{-1, 0, 8, read.Size() - 4, read.Size() - 3, read.Size(), read.Size() + 1} {
		want, got := make([]byte, 4), make([]byte, 4)
		n, err := read.ReadAt(want, off)
		m, mappedErr := mapped.ReadAt(got, off)
		if n != m || string(got) != string(want) || (err == nil) != (mappedErr == nil) || (err == io.EOF) != (mappedErr == io.EOF) {
			t.Errorf("at %d: %d bytes %x (%v) of the map, %d bytes %x (%v) of the file", off, m, got, mappedErr, n, want, err)
		}
	}
}
