package convert

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/tensmith/tensmith/convert/torch"
	"github.com/tensmith/tensmith/numeric"
	"github.com/tensmith/tensmith/safetensors"
)

const data = "torch/testdata"

// A known is a tensor as the test data of convert/torch has it.
type known struct {
	Name, DType string
	Shape       []uint64
	SHA256      string
}

type testCase struct {
	File, Container, Error string
	want                   map[string]known
}

func readCases(t *testing.T) []testCase {
	t.Helper()
	read := func(name string, to any) {
		text, err := os.ReadFile(filepath.Join(data, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, to); err != nil {
			t.Fatal(err)
		}
	}
	var cases []testCase
	read("cases.json", &cases)
	for i := range cases {
		var want struct{ Tensors []known }
		read(cases[i].File+".expected.json", &want)
		cases[i].want = make(map[string]known)
		for _, d := range want.Tensors {
			cases[i].want[d.Name] = d
		}
	}
	return cases
}

// TestCases converts every file of the suite by its content alone, verifies,
// and holds the report to what torch says is in the file. Of what is refused
// nothing may be left on the disk.
func TestCases(t *testing.T) {
	for _, c := range readCases(t) {
		t.Run(c.File, func(t *testing.T) {
			dir := t.TempDir()
			out := filepath.Join(dir, "out.safetensors")
			f, err := Open(os.DirFS(data), c.File, nil)
			if c.Error != "" {
				if err == nil {
					t.Fatalf("opened, though %s", c.Error)
				}
				var e *torch.Error
				if c.Error != "unknown" && !errors.As(err, &e) {
					t.Errorf("error of no kind: %v", err)
				}
				if c.Error == "unknown" && !errors.Is(err, ErrUnknown) {
					t.Errorf("error %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			dry, err := f.Write(context.Background(), Plan{Output: out, MaxShard: -1, DryRun: true})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(out); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a dry run has written: %v", err)
			}
			r, err := f.Write(context.Background(), Plan{Output: out, MaxShard: -1, Verify: true})
			if err != nil {
				t.Fatal(err)
			}
			same := *r
			same.Files, same.Verified, same.DryRun, same.Tensors = []string{}, false, true, slices.Clone(r.Tensors)
			for i := range same.Tensors {
				same.Tensors[i].Before, same.Tensors[i].After = "", ""
			}
			if diff := cmp.Diff(&same, dry); diff != "" {
				t.Errorf("dry run (-done +dry):\n%s", diff)
			}
			got := make(map[string]known)
			for _, x := range r.Tensors {
				if x.Before != x.After {
					t.Errorf("%s: other bytes were written", x.Name)
				}
				for _, name := range append(x.Alias, x.Name) {
					got[name] = known{name, x.DType, x.Shape, x.After}
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("tensors (-torch +ours):\n%s", diff)
			}
			if !r.Verified || len(r.Files) != 1 || len(r.Why) == 0 {
				t.Errorf("report %+v", r)
			}
			if text, err := json.Marshal(r); err != nil || bytes.Contains(text, []byte("null")) && !strings.Contains(c.File, "null") {
				t.Errorf("JSON %s, %v", text, err)
			}
		})
	}
}

func TestOpenUnknown(t *testing.T) {
	fsys := fstest.MapFS{
		"model.bin":         {Data: []byte("<!DOCTYPE html><html>")},
		"model.pt":          {Data: []byte("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")},
		"config.json":       {Data: []byte(`{"a": 1}`)},
		"empty.pt":          {Data: nil},
		"dir/README":        {Data: []byte("x")},
		"model.safetensors": {Data: []byte("\x80\x02}q\x00.")}, // a pickle under a false name
	}
	for name, part := range map[string]string{
		"model.bin": "HTML", "model.pt": "Git LFS", "config.json": "JSON", "empty.pt": "empty", "dir": "directory",
	} {
		_, err := Open(fsys, name, nil)
		if !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %v", name, err)
		}
	}
	f, err := Open(fsys, "model.safetensors", nil)
	if err != nil || f.Format != "pickle" {
		t.Errorf("a pickle named .safetensors: %v", err)
	}
	if _, err := Open(fsys, "nothing", nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestShards(t *testing.T) {
	dir := t.TempDir()
	f, err := Open(os.DirFS(data), "torch215/hf_bin", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.ShardSize != 144 {
		t.Errorf("largest of the files has %d bytes", f.ShardSize)
	}
	r, err := f.Write(context.Background(), Plan{Output: filepath.Join(dir, "model.safetensors"), Verify: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Files) < 2 || r.Index == "" {
		t.Fatalf("files %q, index %q", r.Files, r.Index)
	}
	// The index is a model for Open, too, and whole as one file.
	g, err := Open(os.DirFS(dir), filepath.Base(r.Index), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	again, err := g.Write(context.Background(), Plan{Output: filepath.Join(dir, "one.safetensors"), MaxShard: -1, Verify: true})
	if err != nil || len(again.Files) != 1 {
		t.Fatalf("%v, %v", again, err)
	}
	sums := func(r *Report) map[string]string {
		m := make(map[string]string)
		for _, x := range r.Tensors {
			m[x.Name] = x.After
		}
		return m
	}
	if diff := cmp.Diff(sums(r), sums(again)); diff != "" {
		t.Errorf("shards and one file differ:\n%s", diff)
	}
}

func TestCast(t *testing.T) {
	dir := t.TempDir()
	f, err := Open(os.DirFS(data), "torch113/strides.pt", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := f.Write(context.Background(), Plan{Output: filepath.Join(dir, "x.safetensors"), DType: safetensors.BF16, Keep: func(name string) bool { return strings.HasPrefix(name, "big") }, Verify: true})
	if err != nil {
		t.Fatal(err)
	}
	if r.Lossless {
		t.Error("a cast to BF16 is called lossless")
	}
	want := map[string]safetensors.Entry{}
	for _, e := range f.Entries {
		want[e.Name] = e
	}
	file, err := safetensors.Open(r.Files[0])
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	cast := 0
	for x := range file.All() {
		src := want[x.Name]
		var b bytes.Buffer
		if _, err := src.Data.WriteTo(&b); err != nil {
			t.Fatal(err)
		}
		got, err := x.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		expected := b.Bytes()
		if castable(src.DType) && !strings.HasPrefix(x.Name, "big") && src.DType != safetensors.BF16 {
			cast++
			values := make([]float64, b.Len()/(src.DType.Bits()/8))
			if err := numeric.Decode(values, src.DType, b.Bytes()); err != nil {
				t.Fatal(err)
			}
			expected = make([]byte, 2*len(values))
			if err := numeric.Encode(expected, safetensors.BF16, values, numeric.ToSpecial); err != nil {
				t.Fatal(err)
			}
			if x.DType != safetensors.BF16 {
				t.Errorf("%s is %s", x.Name, x.DType)
			}
		} else if x.DType != src.DType {
			t.Errorf("%s is %s, not kept as %s", x.Name, x.DType, src.DType)
		}
		if !bytes.Equal(got, expected) {
			t.Errorf("%s differs", x.Name)
		}
	}
	if cast == 0 {
		t.Error("nothing was cast")
	}
}

// TestCastAt reads a cast at odd offsets and as a stream.
func TestCastAt(t *testing.T) {
	src := make([]byte, 4*500_000)
	for i := range src {
		src[i] = byte(i * 7)
	}
	for _, to := range []safetensors.DType{safetensors.BF16, safetensors.F64, safetensors.F8E4M3} {
		data, c, err := castTo(section{bytes.NewReader(src)}, safetensors.F32, to)
		if err != nil {
			t.Fatal(err)
		}
		var all, again bytes.Buffer
		if n, err := data.WriteTo(&all); err != nil || n != data.Size() {
			t.Fatalf("%d bytes of %d, %v", n, data.Size(), err)
		}
		over := c.Overflows()
		if (over > 0) != (to == safetensors.F8E4M3) {
			t.Errorf("%s: %d beyond the range", to, over)
		}
		at := data.(io.ReaderAt)
		for _, span := range [][2]int64{{0, 1}, {1, 1}, {3, 7}, {1, 40_001}, {data.Size() - 5, 5}, {0, data.Size()}} {
			p := make([]byte, span[1])
			if n, err := at.ReadAt(p, span[0]); n != len(p) || err != nil || !bytes.Equal(p, all.Bytes()[span[0]:span[0]+span[1]]) {
				t.Errorf("%s: %d bytes at %d: %d, %v", to, span[1], span[0], n, err)
			}
		}
		data, c, err = castTo(stream{src, int64(len(src))}, safetensors.F32, to)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := data.(io.ReaderAt); ok {
			t.Errorf("%s: a stream that is read at offsets", to)
		}
		if n, err := data.WriteTo(&again); err != nil || n != data.Size() || !bytes.Equal(again.Bytes(), all.Bytes()) || c.Overflows() != over {
			t.Errorf("%s: the stream has %d bytes, %d beyond the range, %v", to, n, c.Overflows(), err)
		}
	}
	// What is shorter or longer than it says is found, and nothing hangs.
	for _, off := range []int64{-4, 4} {
		data, _, err := castTo(stream{src, int64(len(src)) + off}, safetensors.F32, safetensors.BF16)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := data.WriteTo(io.Discard); err == nil {
			t.Errorf("data of %d bytes more than its size: no error", -off)
		}
	}
}

// A stream is data that can only be had in order.
type stream struct {
	data []byte
	size int64
}

func (s stream) Size() int64 { return s.size }

func (s stream) WriteTo(w io.Writer) (int64, error) {
	n, err := io.Copy(w, bytes.NewReader(s.data))
	return n, err
}

// A section has the three methods of tensor data.
type section struct{ *bytes.Reader }

func TestVerifyFinds(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x.safetensors")
	f, err := Open(os.DirFS(data), "torch113/flat.pt", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := f.Write(context.Background(), Plan{Output: name, Digests: true})
	if err != nil || r.Verified {
		t.Fatal(r, err)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	text[len(text)-1] ^= 1
	if err := os.WriteFile(name, text, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := r.verify(context.Background(), name, nil); !errors.Is(err, ErrVerify) {
		t.Errorf("a changed byte: %v", err)
	}
}
