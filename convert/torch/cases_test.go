package torch

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/tensmith/tensmith/safetensors"
)

// A case is a row of testdata/cases.json.
type testCase struct{ File, Container, Wrap, Maker, Error string }

// A digest is a tensor as the test data has it.
type digest struct {
	Name   string
	DType  string
	Shape  []uint64
	SHA256 string
}

// An expectation is what torch itself makes of a file.
type expectation struct {
	Root    string
	LeftOut []string `json:"left_out"`
	Tensors []digest
	Alias   [][]string
	Refused []struct {
		Name  string
		Why   string
		Parts []digest
	}
	Error string
}

func readCases(t testing.TB) []testCase {
	t.Helper()
	var cases []testCase
	text, err := os.ReadFile("testdata/cases.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	return cases
}

func expected(t testing.TB, file string) expectation {
	t.Helper()
	text, err := os.ReadFile("testdata/" + file + ".expected.json")
	if err != nil {
		t.Fatal(err)
	}
	var want expectation
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	return want
}

// digests reads all tensors, streamed, and where there is another way also at
// offsets that are no multiple of anything.
func digests(t testing.TB, f *File) map[string]digest {
	t.Helper()
	out := make(map[string]digest)
	for _, e := range f.Entries() {
		h := sha256.New()
		n, err := e.Data.WriteTo(h)
		if err != nil {
			t.Fatalf("%s: %v", e.Name, err)
		}
		size, err := e.Info.DataSize()
		if err != nil || n != size {
			t.Errorf("%s: %d bytes, want %d, %v", e.Name, n, size, err)
		}
		sum := h.Sum(nil)
		if at, ok := e.Data.(interface {
			ReadAt([]byte, int64) (int, error)
		}); ok {
			h.Reset()
			for off := int64(0); off < size; {
				p := make([]byte, min(13, size-off))
				m, err := at.ReadAt(p, off)
				if m < len(p) {
					t.Fatalf("%s: ReadAt: %d, %v", e.Name, m, err)
				}
				h.Write(p)
				off += int64(m)
			}
			if !bytes.Equal(sum, h.Sum(nil)) {
				t.Errorf("%s: ReadAt and WriteTo differ", e.Name)
			}
		}
		out[e.Name] = digest{e.Name, e.DType.String(), e.Shape, hex.EncodeToString(sum)}
	}
	return out
}

// complete adds the names that were left to metadata.
func complete(f *File, got map[string]digest) {
	for _, n := range f.Notes() {
		if n.Kind == "alias" {
			d := got[n.Other]
			d.Name = n.Tensor
			got[n.Tensor] = d
		}
	}
}

func byName(list []digest) map[string]digest {
	out := make(map[string]digest)
	for _, d := range list {
		if d.Shape == nil {
			d.Shape = []uint64{}
		}
		out[d.Name] = d
	}
	return out
}

func TestCases(t *testing.T) {
	for _, c := range readCases(t) {
		t.Run(c.File, func(t *testing.T) {
			want := expected(t, c.File)
			f, err := Open(os.DirFS("testdata"), c.File, nil)
			if want.Error != "" {
				var e *Error
				if !errors.As(err, &e) {
					t.Fatalf("error %v, want one for %q", err, want.Error)
				}
				if e.Reason != want.Error {
					t.Errorf("reason %q, want %q: %v", e.Reason, want.Error, err)
				}
				if e.File == "" || !strings.HasPrefix(e.Error(), e.File) {
					t.Errorf("no place in %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			kind, wrap := f.Container()
			wantWrap := c.Wrap
			if wantWrap == "bz2" {
				wantWrap = "bzip2"
			}
			if kind != c.Container || wrap != wantWrap {
				t.Errorf("container %q in %q, want %q in %q", kind, wrap, c.Container, c.Wrap)
			}
			if f.Root() != want.Root {
				t.Errorf("root %q, want %q", f.Root(), want.Root)
			}
			got := digests(t, f)
			complete(f, got)
			if diff := gocmp.Diff(byName(want.Tensors), got); diff != "" {
				t.Errorf("tensors (-torch +ours):\n%s", diff)
			}
			if want.Root != "" {
				var left []string
				for _, l := range f.LeftOut() {
					if !strings.HasPrefix(l.Path, want.Root+".") {
						left = append(left, l.Path)
					}
				}
				slices.Sort(left)
				if diff := gocmp.Diff(want.LeftOut, left); diff != "" {
					t.Errorf("left out (-torch +ours):\n%s", diff)
				}
			}
			for _, group := range want.Alias {
				meta := f.Metadata()
				for _, name := range group[1:] {
					if meta[name] != group[0] {
						t.Errorf("metadata[%q] = %q, want %q", name, meta[name], group[0])
					}
				}
			}
			var b bytes.Buffer
			enc := safetensors.Encoder{Metadata: f.Metadata()}
			if err := enc.Encode(&b, f.Entries()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTiedKeep(t *testing.T) {
	for _, file := range []string{"torch113/tied.pt", "torch215/exported_shared.pt2"} {
		f, err := Open(os.DirFS("testdata"), file, &Options{Tied: "keep"})
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if diff := gocmp.Diff(byName(expected(t, file).Tensors), digests(t, f)); diff != "" {
			t.Errorf("%s (-torch +ours):\n%s", file, diff)
		}
	}
}

// TestTiedReference holds what the reference converter is known to do.
func TestTiedReference(t *testing.T) {
	for file, want := range map[string]map[string]string{
		"torch113/tied.pt":            {"head.weight": "embed.weight"},
		"torch113/flat.pt":            {"w_flat": "w"},
		"torch113/row.pt":             {"row1": "w"},
		"torch113/overlap.pt":         nil, // fails
		"torch113/tied_transposed.pt": nil, // fails
		"torch113/part_of_large.pt":   {},
	} {
		f, err := Open(os.DirFS("testdata"), file, &Options{Tied: "reference"})
		if want == nil {
			if !errors.Is(err, ErrUnsupported) {
				t.Errorf("%s: %v", file, err)
			}
			continue
		}
		if err != nil {
			t.Error(err)
			continue
		}
		got := f.Metadata()
		delete(got, "format")
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("%s: metadata (-want +got):\n%s", file, diff)
		}
		f.Close()
	}
}

// TestParts opens what has no home with the options that give it one.
func TestParts(t *testing.T) {
	for _, c := range readCases(t) {
		want := expected(t, c.File)
		var parts, dense []digest
		for _, r := range want.Refused {
			for _, p := range r.Parts {
				if name, ok := strings.CutSuffix(p.Name, ".dense"); ok {
					p.Name = name
					dense = append(dense, p)
				} else {
					parts = append(parts, p)
				}
			}
		}
		check := func(opts Options, list []digest) {
			f, err := Open(os.DirFS("testdata"), c.File, &opts)
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			got := digests(t, f)
			complete(f, got)
			if diff := gocmp.Diff(byName(append(slices.Clone(want.Tensors), list...)), got); diff != "" {
				t.Errorf("%s (-torch +ours):\n%s", c.File, diff)
			}
		}
		if len(parts) > 0 {
			check(Options{Quantized: "parts", Sparse: "parts", Complex: "split"}, parts)
		}
		if len(dense) > 0 {
			check(Options{Sparse: "dense"}, dense)
		}
	}
}

// TestExtractOnly takes tensors out of files that attack who loads them.
func TestExtractOnly(t *testing.T) {
	for _, c := range readCases(t) {
		if c.Error != "dangerous" {
			continue
		}
		want := byName(expected(t, c.File).Tensors)
		f, err := Open(os.DirFS("testdata"), c.File, &Options{ExtractOnly: true})
		if err != nil {
			var e *Error
			if len(want) > 0 || !errors.As(err, &e) {
				t.Error(err)
			}
			continue
		}
		if diff := gocmp.Diff(want, digests(t, f)); diff != "" {
			t.Errorf("%s (-want +ours):\n%s", c.File, diff)
		}
		if len(f.Findings()) == 0 {
			t.Errorf("%s: no findings", c.File)
		}
		f.Close()
	}
}

func TestRoot(t *testing.T) {
	for _, tt := range []struct {
		file, root string
		first      string
	}{
		{"torch113/ema.pt", "params", "w"},
		{"torch113/ema.pt", ".", "params.w"},
		{"torch113/megatron.pt", "model.language_model.encoder", "final_layernorm.weight"},
		{"torch113/tensor_list.pt", "1.1", "x"},
		{"torch113/module.pt", "bn", "bias"},
		{"torch215/nested_root.pt", "", "a"},
		{"torch215/nested_root.pt", "model", "optimizer.m"},
		{"torch215/nested_module.pt", "", "head.b"},
	} {
		f, err := Open(os.DirFS("testdata"), tt.file, &Options{Root: tt.root})
		if err != nil {
			t.Error(err)
			continue
		}
		names := slices.Sorted(maps.Keys(digests(t, f)))
		if len(names) == 0 || names[0] != tt.first {
			t.Errorf("%s of %s: %q, want %q first", tt.root, tt.file, names, tt.first)
		}
		f.Close()
	}
	_, err := Open(os.DirFS("testdata"), "torch113/ema.pt", &Options{Root: "nothing"})
	if !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), "params_ema") {
		t.Errorf("a root that is not there: %v", err)
	}
	if _, err := Open(os.DirFS("testdata"), "torch113/ema.pt", &Options{Tied: "no"}); err == nil {
		t.Error("an option that does not exist is accepted")
	}
}

// TestBeside: an index wins over what else its directory has, and says so.
func TestBeside(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/torch215/hf_bin")); err != nil {
		t.Fatal(err)
	}
	notes := func() (list []string) {
		f, err := Open(os.DirFS(dir), ".", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for _, n := range f.Notes() {
			if n.Kind == "container" {
				list = append(list, n.Text)
			}
		}
		return list
	}
	if list := notes(); len(list) > 0 {
		t.Errorf("a whole model: %q", list)
	}
	if err := os.WriteFile(filepath.Join(dir, "model.ckpt"), []byte("x"), 0o666); err != nil {
		t.Fatal(err)
	}
	if list := notes(); len(list) != 1 || !strings.Contains(list[0], "model.ckpt") {
		t.Errorf("with another beside it: %q", list)
	}
}

// TestSparseParts holds that the parts tell what torch made them of.
func TestSparseParts(t *testing.T) {
	for file, layout := range map[string]string{
		"torch215/sparse_coo_uncoalesced.pt": "torch.sparse_coo, shape [2,3]",
		"torch215/sparse_csc_empty.pt":       "torch.sparse_csc, shape [3,2]",
		"torch215/sparse_coo_empty.pt":       "torch.sparse_coo, shape [2,3]",
	} {
		f, err := Open(os.DirFS("testdata"), file, &Options{Sparse: "parts"})
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Metadata()["w.layout"]; got != layout {
			t.Errorf("%s: layout %q, want %q", file, got, layout)
		}
		for _, n := range f.Notes() {
			if n.Kind == "copy" {
				t.Errorf("%s: %+v of what has no order", file, n)
			}
		}
		f.Close()
	}
}
