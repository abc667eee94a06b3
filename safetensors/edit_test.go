package safetensors

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// edit writes a file of the header and data, edits it, and returns the header
// that it has then, without padding.
func edit(t *testing.T, header, data string, metadata map[string]string) (after string, inPlace bool) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "a.safetensors")
	file := append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header+data...)
	if err := os.WriteFile(name, file, 0o666); err != nil {
		t.Fatal(err)
	}
	inPlace, err := EditMetadata(t.Context(), name, metadata)
	if err != nil {
		t.Fatalf("%s: %v", header, err)
	}
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := NewFile(bytes.NewReader(got), int64(len(got)))
	if err != nil {
		t.Fatalf("%q is now %q: %v", header, got, err)
	}
	if m := f.Metadata(); !maps.Equal(m, metadata) || (m == nil) != (metadata == nil) {
		t.Errorf("metadata %q, want %q", m, metadata)
	}
	if string(got[f.DataOffset():]) != data {
		t.Errorf("%q is now %q: the data changed", header, got)
	}
	if inPlace && len(got) != len(file) || !inPlace && f.DataOffset()%rewriteAlign != 0 {
		t.Errorf("in place: %v, %d bytes, were %d, data at %d", inPlace, len(got), len(file), f.DataOffset())
	}
	empty(t, filepath.Dir(name), "a.safetensors")
	return strings.TrimRight(string(f.Header()), " "), inPlace
}

func TestEditMetadata(t *testing.T) {
	const (
		a    = `"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":[1, 2e5]}`
		b    = `"b":{ "shape":[ 2],"dtype":"\u00558","data_offsets":[1,3]}`
		meta = `"__metadata__"`
		room = "                                        "
	)
	kv := map[string]string{"k": "v"}
	for _, c := range []struct {
		name, header string
		metadata     map[string]string
		want         string
		inPlace      bool
	}{
		{"add", `{` + a + `,` + b + `}`, kv, `{` + meta + `:{"k":"v"},` + a + `,` + b + `}`, false},
		{"add with room", `{` + a + `,` + b + `}` + room, kv, `{` + meta + `:{"k":"v"},` + a + `,` + b + `}`, true},
		{"add behind space", " \n{\t" + a + ` , ` + b + "\n}\n" + room, kv, " \n{" + meta + `:{"k":"v"},` + "\t" + a + ` , ` + b + "\n}", true},
		{"replace the first", `{` + meta + `:{"kk":"vv"},` + a + `,` + b + `}`, kv, `{` + meta + `:{"k":"v"},` + a + `,` + b + `}`, true},
		{"replace the middle", `{` + a + ` , ` + meta + ` : {"kk":"vv"} , ` + b + `}`, kv, `{` + a + ` , ` + meta + `:{"k":"v"} , ` + b + `}`, true},
		{"replace the last", `{` + a + `,` + b + `,` + meta + `:{"kk":"vv"} }`, kv, `{` + a + `,` + b + `,` + meta + `:{"k":"v"} }`, true},
		{"replace a longer one", `{` + meta + `:{"a":"b"},` + a + `,` + b + `}`, map[string]string{"longer": "value"}, `{` + meta + `:{"longer":"value"},` + a + `,` + b + `}`, false},
		{"replace null", `{` + a + `,` + meta + `:null,` + b + `}`, kv, `{` + a + `,` + meta + `:{"k":"v"},` + b + `}`, false},
		{"replace an empty one", `{` + a + `,` + meta + `:{},` + b + `}` + room, kv, `{` + a + `,` + meta + `:{"k":"v"},` + b + `}`, true},
		{"empty it", `{` + a + `,` + meta + `:{"k":"v"},` + b + `}`, map[string]string{}, `{` + a + `,` + meta + `:{},` + b + `}`, true},
		{"replace an escaped key", `{` + a + `,"\u005f_metadata__":{"k":"x"},` + b + `}`, kv, `{` + a + `,` + meta + `:{"k":"v"},` + b + `}`, true},
		{"remove the first", `{` + meta + `:{"k":"v"} , ` + a + `,` + b + `}`, nil, `{ ` + a + `,` + b + `}`, true},
		{"remove the middle", `{` + a + `,` + meta + `:{"k":"v"},` + b + `}`, nil, `{` + a + `,` + b + `}`, true},
		{"remove the last", `{` + a + `,` + b + ` , ` + meta + `:{"k":"v"} }`, nil, `{` + a + `,` + b + `  }`, true},
		{"remove null", `{` + a + `,` + b + `,` + meta + `:null}`, nil, `{` + a + `,` + b + `}`, true},
		{"remove what is not there", `{` + a + `,` + b + `}`, nil, `{` + a + `,` + b + `}`, true},
		{"same again", `{` + meta + `:{"k":"v"},` + a + `,` + b + `}`, kv, `{` + meta + `:{"k":"v"},` + a + `,` + b + `}`, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, inPlace := edit(t, c.header, "123", c.metadata); got != c.want || inPlace != c.inPlace {
				t.Errorf("got\n%s in place: %v, want\n%s in place: %v", got, inPlace, c.want, c.inPlace)
			}
		})
	}
	for _, c := range []struct {
		name, header string
		metadata     map[string]string
		want         string
		inPlace      bool
	}{
		{"add to nothing", `{ }`, kv, `{` + meta + `:{"k":"v"} }`, false},
		{"remove all there is", ` { ` + meta + `:{"k":"v"} } `, nil, ` {  }`, true},
		{"replace all there is", `{` + meta + `:null}`, map[string]string{}, `{` + meta + `:{}}`, true},
		{"escapes", `{}` + room, map[string]string{"\"\n": "<é\u2028\\>"}, `{` + meta + `:{"\"\n":"<é` + "\u2028" + `\\>"}}`, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "escapes" {
				c.want = strings.Replace(c.want, "\n", `\n`, 1)
			}
			if got, inPlace := edit(t, c.header, "", c.metadata); got != c.want || inPlace != c.inPlace {
				t.Errorf("got\n%s in place: %v, want\n%s in place: %v", got, inPlace, c.want, c.inPlace)
			}
		})
	}
}

// TestEditAgain edits random headers several times: the metadata is what was
// asked for, and nothing else changes.
func TestEditAgain(t *testing.T) {
	rng := rand.New(rand.NewPCG(17, 18))
	name := filepath.Join(t.TempDir(), "a.safetensors")
	edits, inPlaces := 0, 0
	for range 300 {
		file := generator{rng}.file()
		before, err := NewFile(bytes.NewReader(file), int64(len(file)))
		if err != nil {
			continue
		}
		if err := os.WriteFile(name, file, 0o666); err != nil {
			t.Fatal(err)
		}
		for range 4 {
			var metadata map[string]string
			if rng.IntN(3) > 0 {
				metadata = map[string]string{}
				for range rng.IntN(4) {
					metadata[strings.Repeat("k\"é", rng.IntN(4))] = strings.Repeat("\x00v", rng.IntN(50))
				}
			}
			inPlace, err := EditMetadata(t.Context(), name, metadata)
			if err != nil {
				t.Fatal(err)
			}
			if edits++; inPlace {
				inPlaces++
			}
			after, err := Open(name)
			if err != nil {
				t.Fatalf("after an edit of %q: %v", file, err)
			}
			if m := after.Metadata(); !maps.Equal(m, metadata) || (m == nil) != (metadata == nil) {
				t.Fatalf("metadata %q, want %q", m, metadata)
			}
			same(t, before, after)
			if n := bytes.Count(after.Header(), []byte(`"shape"`)); n < after.Len()-bytes.Count(file, []byte(`\u`)) {
				t.Errorf("%q lost a field", after.Header())
			}
			after.Close()
		}
	}
	if inPlaces < 50 || edits-inPlaces < 50 {
		t.Errorf("%d edits, %d of them in place", edits, inPlaces)
	}
}

// same states that two files have the same tensors, in the same order.
func same(t *testing.T, a, b *File) {
	t.Helper()
	digest := func(f *File) string {
		sum := sha256.New()
		for tensor := range f.All() {
			fmt.Fprintf(sum, "%q %s %d %d\n", tensor.Name, tensor.DType, tensor.Shape, tensor.Offset()-f.DataOffset())
			if _, err := tensor.WriteTo(sum); err != nil {
				t.Fatal(err)
			}
		}
		return fmt.Sprintf("%x", sum.Sum(nil))
	}
	if a.Len() != b.Len() || digest(a) != digest(b) {
		t.Fatalf("the tensors changed: %q, %q", a.Header(), b.Header())
	}
}

// TestEditKeeps states that mode and link outlive an edit, in place or not.
func TestEditKeeps(t *testing.T) {
	dir := t.TempDir()
	name, link := filepath.Join(dir, "a.safetensors"), filepath.Join(dir, "link")
	entries := []Entry{u8("a", streamed("abc"), 3)}
	if err := new(Encoder).WriteFile(t.Context(), name, entries); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("a.safetensors", link); err != nil {
		t.Skip(err)
	}
	if err := os.Chmod(name, 0o640); err != nil {
		t.Fatal(err)
	}
	for _, want := range []bool{false, true} { // the first edit makes room for the second
		inPlace, err := EditMetadata(t.Context(), link, map[string]string{"k": fmt.Sprint(want)})
		if err != nil || inPlace != want {
			t.Errorf("in place: %v, %v", inPlace, err)
		}
		info, err := os.Stat(name)
		if err != nil || runtime.GOOS != "windows" && info.Mode() != 0o640 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
		if info, err := os.Lstat(link); err != nil || info.Mode().Type() != fs.ModeSymlink {
			t.Errorf("the link is %v, %v", info.Mode(), err)
		}
	}
	empty(t, dir, "a.safetensors", "link")
}

// TestEditRefuses states that a file stays as it is if it cannot be edited.
func TestEditRefuses(t *testing.T) {
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good"), filepath.Join(dir, "bad")
	content := []byte(shard("a"))
	if err := errors.Join(os.WriteFile(good, content, 0o666), os.WriteFile(bad, content[:30], 0o666)); err != nil {
		t.Fatal(err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	long := map[string]string{"k": strings.Repeat("v", maxHeaderLen)}
	for _, c := range []struct {
		name     string
		ctx      context.Context
		file     string
		metadata map[string]string
		want     error
	}{
		{"not a safetensors file", t.Context(), bad, nil, ErrHeaderTruncated},
		{"no file", t.Context(), filepath.Join(dir, "nothing"), nil, fs.ErrNotExist},
		{"not UTF-8", t.Context(), good, map[string]string{"k": "\xff"}, ErrEntry},
		{"too long", t.Context(), good, long, ErrHeaderTooLarge},
		{"cancelled in place", cancelled, good, nil, context.Canceled},
		{"cancelled", cancelled, good, map[string]string{"k": strings.Repeat("v", 100)}, context.Canceled},
	} {
		if _, err := EditMetadata(c.ctx, c.file, c.metadata); !errors.Is(err, c.want) {
			t.Errorf("%s: %.200v, want %v", c.name, err, c.want)
		}
	}
	if _, err := EditMetadata(t.Context(), dir, nil); err == nil {
		t.Error("a directory is edited")
	}
	if got, err := os.ReadFile(good); err != nil || !bytes.Equal(got, content) {
		t.Errorf("the file is now %q (%v)", got, err)
	}
	empty(t, dir, "bad", "good")
}

// TestEditPadding edits a header of many spaces, which once took time in the
// square of their number.
func TestEditPadding(t *testing.T) {
	header := `{}` + strings.Repeat(" ", 10_000_000)
	if _, inPlace := edit(t, header, "", map[string]string{"k": "v"}); !inPlace {
		t.Error("10 MB of padding are not room enough")
	}
}

// TestSlack states that a header has what it was told to have to spare, and
// that metadata can grow by as much in place, no more.
func TestSlack(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a.safetensors")
	entries := []Entry{u8("a", bytes.NewReader([]byte("abc")), 3)}
	for _, slack := range []int{0, 1, 100, 5000} {
		for _, align := range []int{0, 4096} {
			e := &Encoder{Slack: slack, Align: align, Metadata: map[string]string{"k": ""}}
			var out bytes.Buffer
			if err := e.Encode(&out, entries); err != nil {
				t.Fatal(err)
			}
			if err := e.WriteFile(t.Context(), name, entries); err != nil {
				t.Fatal(err)
			}
			f, err := Open(name)
			if err != nil {
				t.Fatal(err)
			}
			text := f.Header()
			spare := len(text) - len(bytes.TrimRight(text, " "))
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			if multiple := max(align, 8); spare < slack || spare >= slack+multiple || (prefixLen+len(text))%multiple != 0 {
				t.Errorf("Slack %d, Align %d: %d bytes to spare in a header of %d", slack, align, spare, len(text))
			}
			for _, c := range []struct {
				by   int
				want bool
			}{{spare, true}, {spare + 1, false}} {
				inPlace, err := EditMetadata(t.Context(), name, map[string]string{"k": strings.Repeat("v", c.by)})
				if err != nil || inPlace != c.want {
					t.Errorf("Slack %d, Align %d: %d bytes more, in place %v (%v)", slack, align, c.by, inPlace, err)
				}
			}
			// Written anew it has room again.
			if inPlace, err := EditMetadata(t.Context(), name, map[string]string{"k": strings.Repeat("v", spare+1+rewriteSlack)}); err != nil || !inPlace {
				t.Errorf("Slack %d, Align %d: no room after the file was written anew (%v)", slack, align, err)
			}
		}
	}
	for _, slack := range []int{-1, maxHeaderLen, math.MaxInt} {
		if err := (&Encoder{Slack: slack}).Encode(io.Discard, entries); !errors.Is(err, ErrEntry) {
			t.Errorf("Slack %d: %v, want %v", slack, err, ErrEntry)
		}
	}
}

// TestWriteEdited states that a copy with other metadata is what an edit makes
// of the file, that the file stays as it is, and that a failure leaves nothing.
func TestWriteEdited(t *testing.T) {
	for _, metadata := range []map[string]string{nil, {}, {"a": "c"}, {"long": strings.Repeat("x", 9000)}} {
		dir := t.TempDir()
		name, other := filepath.Join(dir, "a"), filepath.Join(dir, "b")
		// Data in an order that no Encoder of tensors would give it.
		header := `{"__metadata__":{"a":"b"}, "y":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"x":{"dtype":"F32","shape":[1],"data_offsets":[3,7]}}   `
		whole := append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header+"abcdefg"...)
		for _, n := range []string{name, other} {
			if err := os.WriteFile(n, whole, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		f, err := Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := EditMetadata(t.Context(), other, metadata); err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(other)
		if err != nil {
			t.Fatal(err)
		}
		last := int64(0)
		e := &Encoder{Metadata: metadata, Progress: func(n int64) { last = n }}
		if err := e.WriteEdited(t.Context(), filepath.Join(dir, "copy"), f); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(dir, "copy"))
		if err != nil || !bytes.Equal(got, want) || last != 7 {
			t.Errorf("%v: %q, want %q; %d bytes, %v", metadata, got, want, last, err)
		}
		if still, err := os.ReadFile(name); err != nil || !bytes.Equal(still, whole) {
			t.Errorf("the source changed to %q (%v)", still, err)
		}
	}
	dir := t.TempDir()
	f, err := NewFile(bytes.NewReader(append([]byte{2, 0, 0, 0, 0, 0, 0, 0}, "{}"...)), 10)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := new(Encoder).WriteEdited(ctx, filepath.Join(dir, "a"), f); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want that it was cancelled", err)
	}
	bad := &Encoder{Metadata: map[string]string{"\xff": ""}}
	if err := bad.WriteEdited(t.Context(), filepath.Join(dir, "a"), f); !errors.Is(err, ErrEntry) {
		t.Errorf("%v, want %v", err, ErrEntry)
	}
	empty(t, dir)
}
