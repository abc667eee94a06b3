// Package interop holds what is tested against other programs. The tests of
// this file need the Python package, and skip without it:
//
//	python3 -m venv VENV && VENV/bin/pip install -r interop/requirements.txt
//	TENSMITH_PYTHON=VENV/bin/python go test ./interop
package interop_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tensmith/tensmith/conformance"
	"github.com/tensmith/tensmith/safetensors"
)

// content is what a file holds, as peer.py prints it.
type content struct {
	File     string            `json:"file"`
	Refused  string            `json:"refused"`
	Metadata map[string]string `json:"metadata"`
	Tensors  []tensor          `json:"tensors"`
}

type tensor struct {
	Name   string   `json:"name"`
	DType  string   `json:"dtype"`
	Shape  []uint64 `json:"shape"`
	SHA256 string   `json:"sha256"`
}

// peer runs peer.py and returns the documents it prints.
func peer(t *testing.T, stdin string, args ...string) (all []content) {
	t.Helper()
	python := os.Getenv("TENSMITH_PYTHON")
	if python == "" {
		t.Skip("TENSMITH_PYTHON does not name a Python that has the packages of requirements.txt")
	}
	cmd := exec.Command(python, append([]string{"peer.py"}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var c content
		if err := d.Decode(&c); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
}

// contentOf is ours of a file.
func contentOf(t *testing.T, f *safetensors.File) content {
	t.Helper()
	c := content{File: f.Name(), Metadata: f.Metadata(), Tensors: []tensor{}}
	for x := range f.All() {
		hash := sha256.New()
		if _, err := x.WriteTo(hash); err != nil {
			t.Fatal(err)
		}
		c.Tensors = append(c.Tensors, tensor{x.Name, x.DType.String(), append([]uint64{}, x.Shape...), hex.EncodeToString(hash.Sum(nil))})
	}
	slices.SortFunc(c.Tensors, func(a, b tensor) int { return strings.Compare(a.Name, b.Name) })
	return c
}

func open(t *testing.T, name string) *safetensors.File {
	t.Helper()
	f, err := safetensors.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// TestReadPython reads what Python wrote, and writes it again: to the same
// bytes where the format leaves Python one choice.
func TestReadPython(t *testing.T) {
	written := peer(t, "", "write", t.TempDir())
	if len(written) < 7 {
		t.Fatalf("Python wrote %d files", len(written))
	}
	for _, want := range written {
		f := open(t, want.File)
		if diff := cmp.Diff(want, contentOf(t, f)); diff != "" {
			t.Errorf("%s (-python +ours):\n%s", filepath.Base(want.File), diff)
		}
		if len(want.Metadata) > 1 {
			continue // Python's order of the keys is random
		}
		theirs, err := os.ReadFile(want.File)
		if err != nil {
			t.Fatal(err)
		}
		if ours := encode(t, safetensors.Encoder{Metadata: f.Metadata()}, slices.Collect(entries(f))); !bytes.Equal(ours, theirs) {
			t.Errorf("%s: written again it has other bytes", filepath.Base(want.File))
		}
	}
}

func entries(f *safetensors.File) func(yield func(safetensors.Entry) bool) {
	return func(yield func(safetensors.Entry) bool) {
		for x := range f.All() {
			if !yield(safetensors.Entry{Info: x.Info, Data: x}) {
				return
			}
		}
	}
}

func encode(t *testing.T, e safetensors.Encoder, all []safetensors.Entry) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := e.Encode(&out, all); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestWriteForPython has Python read what we wrote: all dtypes, in every
// number of dimensions up to 5, aligned or not, in one file or several.
func TestWriteForPython(t *testing.T) {
	dir := t.TempDir()
	wanted := map[string]content{}
	var names strings.Builder
	expect := func(name string) {
		wanted[name] = contentOf(t, open(t, name))
		fmt.Fprintln(&names, name)
	}
	for i, metadata := range []map[string]string{nil, {"format": "pt"}, {"a": "1", "B": "\u2028\x7f", "": "\x00\t\"\\/😀"}} {
		for _, align := range []int{0, 64, 4096} {
			name := filepath.Join(dir, fmt.Sprintf("ours-%d-%d.safetensors", i, align))
			e := safetensors.Encoder{Metadata: metadata, Align: align}
			all, want := everyDType(uint64(i))
			if err := e.WriteFile(t.Context(), name, all); err != nil {
				t.Fatal(err)
			}
			want.File, want.Metadata = name, metadata
			wanted[name] = want
			fmt.Fprintln(&names, name)
		}
	}
	all, _ := everyDType(9)
	shards, err := (&safetensors.Encoder{}).WriteShards(t.Context(), filepath.Join(dir, "model.safetensors"), 2000, all)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range shards {
		if strings.HasSuffix(name, ".safetensors") {
			if !filepath.IsAbs(name) {
				name = filepath.Join(dir, name)
			}
			expect(name)
		}
	}
	if len(wanted) < 11 {
		t.Fatalf("there are %d files to read, shards %v", len(wanted), shards)
	}
	for _, got := range peer(t, names.String(), "dump") {
		if diff := cmp.Diff(wanted[got.File], got); diff != "" {
			t.Errorf("%s (-ours +python):\n%s", filepath.Base(got.File), diff)
		}
		delete(wanted, got.File)
	}
	if len(wanted) > 0 {
		t.Errorf("%d files without an answer", len(wanted))
	}
}

// everyDType gives tensors of all dtypes and what they are, taken from the
// bytes and not from a file.
func everyDType(seed uint64) (all []safetensors.Entry, want content) {
	rng := rand.New(rand.NewPCG(seed, 1))
	want.Tensors = []tensor{}
	for dtype := safetensors.Bool; dtype <= safetensors.U64; dtype++ {
		for rank := range 6 {
			info := safetensors.Info{Name: fmt.Sprintf("%s.%d.é", dtype, rank), DType: dtype, Shape: []uint64{}}
			count := 1
			for range rank {
				extent := rng.IntN(4)
				info.Shape = append(info.Shape, uint64(extent))
				count *= extent
			}
			if count*dtype.Bits()%8 != 0 {
				// A multiple of 4 elements is whole bytes of any dtype.
				if rank == 0 {
					continue
				}
				count *= 4
				info.Shape[0] *= 4
			}
			data := make([]byte, count*dtype.Bits()/8)
			for i := range data {
				data[i] = byte(rng.Uint32())
			}
			digest := sha256.Sum256(data)
			all = append(all, safetensors.Entry{Info: info, Data: bytes.NewReader(data)})
			want.Tensors = append(want.Tensors, tensor{info.Name, dtype.String(), info.Shape, hex.EncodeToString(digest[:])})
		}
	}
	slices.SortFunc(want.Tensors, func(a, b tensor) int { return strings.Compare(a.Name, b.Name) })
	return all, want
}

// TestVectorsPython compares verdicts, and what accepted files hold, on every
// committed vector. Where we refuse what the reference reads, which Python is
// a shell of, the vector says so.
func TestVectorsPython(t *testing.T) {
	dir := t.TempDir()
	var names strings.Builder
	vectors := map[string]conformance.Vector{}
	for v := range conformance.Vectors() {
		name := filepath.Join(dir, v.Name+".safetensors")
		if err := os.WriteFile(name, v.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		vectors[name] = v
		fmt.Fprintln(&names, name)
	}
	compared, differ := 0, 0
	for _, theirs := range peer(t, names.String(), "dump") {
		v := vectors[theirs.File]
		if (theirs.Refused == "") != (v.Reference == "ok") {
			t.Errorf("%s: the vector says that the reference's answer is %s, Python's is %q", v.Name, v.Reference, theirs.Refused)
		}
		f, err := safetensors.Open(theirs.File)
		if (err == nil) != v.Accept {
			t.Errorf("%s: to be accepted %t; our answer is %v", v.Name, v.Accept, err)
		}
		if err != nil {
			if theirs.Refused == "" {
				differ++
			}
			compared++
			continue
		}
		defer f.Close()
		if diff := cmp.Diff(theirs, contentOf(t, f)); diff != "" {
			t.Errorf("%s (-python +ours):\n%s", v.Name, diff)
		}
		compared++
	}
	if compared != len(vectors) || compared < 250 {
		t.Errorf("%d of %d vectors compared", compared, len(vectors))
	}
	t.Logf("%d vectors, %d of them read by Python and refused here by name", compared, differ)
}
