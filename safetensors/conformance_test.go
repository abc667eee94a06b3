package safetensors_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/tensmith/tensmith/conformance"
	"github.com/tensmith/tensmith/safetensors"
)

// classes has the class of vectors that each cause belongs to. Two causes say
// more than their class does.
var classes = map[error][]conformance.Class{
	safetensors.ErrTooShort:        {"header-too-small"},
	safetensors.ErrHeaderTooLarge:  {"header-too-large"},
	safetensors.ErrHeaderTruncated: {"header-length"},
	safetensors.ErrUTF8:            {"utf8"},
	safetensors.ErrSyntax:          {"json"},
	safetensors.ErrType:            {"type", "missing"},
	safetensors.ErrDuplicate:       {"duplicate"},
	safetensors.ErrForm:            {"form"},
	safetensors.ErrDType:           {"dtype"},
	safetensors.ErrOffset:          {"offset"},
	safetensors.ErrOverflow:        {"overflow"},
	safetensors.ErrMisaligned:      {"misaligned"},
	safetensors.ErrSize:            {"size"},
	safetensors.ErrTruncated:       {"file-size"},
	safetensors.ErrTrailing:        {"file-size"},
}

// belongs reports whether a cause is of the vector's class.
func belongs(cause error, v conformance.Vector) bool {
	return slices.Contains(classes[cause], v.Class)
}

// tensors is what a File and a Checkpoint have in common.
type tensors interface {
	All() iter.Seq[*safetensors.Tensor]
	Tensor(name string) (*safetensors.Tensor, error)
	Len() int
	Metadata() map[string]string
	Close() error
}

// openers are the ways in which a file can be opened.
var openers = map[string]func(t *testing.T, file []byte) (tensors, error){
	"NewFile": func(t *testing.T, file []byte) (tensors, error) {
		return safetensors.NewFile(bytes.NewReader(file), int64(len(file)))
	},
	"Open": func(t *testing.T, file []byte) (tensors, error) { return safetensors.Open(onDisk(t, file)) },
	"Map":  func(t *testing.T, file []byte) (tensors, error) { return safetensors.Map(onDisk(t, file)) },
	"OpenFS of a directory": func(t *testing.T, file []byte) (tensors, error) {
		dir, name := filepath.Split(onDisk(t, file))
		return safetensors.OpenFS(os.DirFS(dir), name)
	},
	"OpenFS of memory": func(t *testing.T, file []byte) (tensors, error) {
		return safetensors.OpenFS(fstest.MapFS{"a/v.safetensors": {Data: file}}, "a/v.safetensors")
	},
	"OpenFS of a zip archive": func(t *testing.T, file []byte) (tensors, error) {
		return safetensors.OpenFS(zipFS(t, file), "v.safetensors")
	},
	"OpenCheckpoint": func(t *testing.T, file []byte) (tensors, error) {
		return safetensors.OpenCheckpoint(onDisk(t, file))
	},
	"OpenCheckpoint of a directory": func(t *testing.T, file []byte) (tensors, error) {
		return safetensors.OpenCheckpoint(filepath.Dir(onDisk(t, file)))
	},
	"OpenCheckpointFS": func(t *testing.T, file []byte) (tensors, error) {
		return safetensors.OpenCheckpointFS(fstest.MapFS{"v.safetensors": {Data: file}}, "v.safetensors")
	},
}

func onDisk(t *testing.T, file []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "v.safetensors")
	if err := os.WriteFile(name, file, 0o666); err != nil {
		t.Fatal(err)
	}
	return name
}

func zipFS(t *testing.T, file []byte) fs.FS {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	entry, err := w.Create("v.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := entry.Write(file); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestVectors(t *testing.T) {
	for v := range conformance.Vectors() {
		t.Run(v.Name, func(t *testing.T) {
			for _, name := range slices.Sorted(maps.Keys(openers)) {
				f, err := openers[name](t, v.Bytes())
				if verdict(t, name, v, err) {
					holds(t, name, v, f)
					if err := f.Close(); err != nil {
						t.Errorf("%s: Close: %v", name, err)
					}
				}
			}
			checkVector(t, v, v.Bytes())
		})
	}
}

func TestLargeVectors(t *testing.T) {
	if safetensors.RaceDetector {
		t.Skip("large, and nothing in it runs side by side")
	}
	for v := range conformance.LargeVectors() {
		t.Run(v.Name, func(t *testing.T) {
			file := v.Bytes()
			_, err := safetensors.NewFile(bytes.NewReader(file), int64(len(file)))
			verdict(t, "NewFile", v, err)
			f, err := safetensors.Map(onDisk(t, file))
			if verdict(t, "Map", v, err) {
				f.Close()
			}
		})
	}
}

// verdict compares what opening a vector gave with what it must give, and
// reports whether it was accepted and ought to be.
func verdict(t *testing.T, opener string, v conformance.Vector, err error) bool {
	t.Helper()
	e, ok := errors.AsType[*safetensors.FormatError](err)
	switch {
	case err == nil && !v.Accept:
		t.Errorf("%s: accepted, is to be refused: %s", opener, v.Class)
	case err != nil && v.Accept:
		t.Errorf("%s: refused, is to be accepted: %v", opener, err)
	case err != nil && !ok:
		t.Errorf("%s: %v is no FormatError", opener, err)
	case err != nil && !belongs(e.Err, v):
		t.Errorf("%s: %v, want one of class %s", opener, err, v.Class)
	case err != nil && (e.Offset < 0 || e.Offset > int64(len(v.Bytes()))):
		t.Errorf("%s: offset %d is outside of the file", opener, e.Offset)
	case err != nil && (opener != "NewFile") != strings.HasSuffix(e.File, "v.safetensors"):
		t.Errorf("%s: the error is about file %q", opener, e.File)
	}
	return err == nil && v.Accept
}

// holds compares what was opened with what the vector must hold.
func holds(t *testing.T, opener string, v conformance.Vector, f tensors) {
	t.Helper()
	if f.Len() != len(v.Tensors) {
		t.Errorf("%s: %d tensors, want %d", opener, f.Len(), len(v.Tensors))
	}
	if got := f.Metadata(); !maps.Equal(got, v.Metadata) || (got == nil) != (v.Metadata == nil) {
		t.Errorf("%s: metadata %q, want %q", opener, got, v.Metadata)
	}
	var names []string
	for tensor := range f.All() {
		names = append(names, tensor.Name)
	}
	slices.Sort(names)
	for i, want := range v.Tensors {
		tensor, err := f.Tensor(want.Name)
		if err != nil {
			t.Errorf("%s: %v", opener, err)
			continue
		}
		if i >= len(names) || names[i] != want.Name {
			t.Errorf("%s: All lacks tensor %q", opener, want.Name)
		}
		sameTensor(t, tensor, want.Name, want.DType, want.Shape, want.SHA256)
	}
	if _, err := f.Tensor("no such name"); !errors.Is(err, safetensors.ErrNotFound) {
		t.Errorf("%s: a name that is not there gives %v", opener, err)
	}
}

// sameTensor compares a tensor, read both at once and as a stream, with what
// it must be.
func sameTensor(t *testing.T, tensor *safetensors.Tensor, name, dtype string, shape []uint64, digest string) {
	t.Helper()
	if tensor.Name != name || tensor.DType.String() != dtype || !slices.Equal(tensor.Shape, shape) {
		t.Errorf("tensor %q %s %d, want %q %s %d", tensor.Name, tensor.DType, tensor.Shape, name, dtype, shape)
	}
	data, err := tensor.Bytes()
	if err != nil {
		t.Error(err)
	}
	if size, err := tensor.DataSize(); err != nil || size != tensor.Size() || size != int64(len(data)) {
		t.Errorf("tensor %q: sizes %d (%v), %d and %d", name, size, err, tensor.Size(), len(data))
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != digest {
		t.Errorf("tensor %q: bytes have digest %x, want %s", name, sum, digest)
	}
	stream := sha256.New()
	if n, err := tensor.WriteTo(stream); err != nil || n != int64(len(data)) || hex.EncodeToString(stream.Sum(nil)) != digest {
		t.Errorf("tensor %q: WriteTo gives %d bytes with digest %x (%v)", name, n, stream.Sum(nil), err)
	}
}

// checkVector states that Check finds the cause too, gives a file where there
// is none, and stops when it is told to.
func checkVector(t *testing.T, v conformance.Vector, file []byte) {
	t.Helper()
	var found []error
	f, err := safetensors.Check(bytes.NewReader(file), int64(len(file)), func(e *safetensors.FormatError) bool {
		if !isNote(e) {
			found = append(found, e.Err)
		}
		return true
	})
	if err != nil || (f != nil) != v.Accept || (len(found) == 0) != v.Accept {
		t.Errorf("Check: file %v, errors %v, %v", f, found, err)
	}
	if !v.Accept && !slices.ContainsFunc(found, func(e error) bool { return belongs(e, v) }) {
		t.Errorf("Check: none of %v is of class %s", found, v.Class)
	}
	calls := 0
	safetensors.Check(bytes.NewReader(file), int64(len(file)), func(e *safetensors.FormatError) bool { calls++; return false })
	if calls > 1 {
		t.Errorf("Check: %d reports after the first was enough", calls-1)
	}
}

func isNote(e *safetensors.FormatError) bool {
	return slices.Contains([]error{safetensors.NoteField, safetensors.NoteNull, safetensors.NoteIndex, safetensors.NoteFile}, e.Err)
}
