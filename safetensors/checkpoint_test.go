package safetensors

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// shard returns a file of tensors of one byte, of which the first is first.
func shard(names ...string) string {
	var entries []Entry
	for i, name := range names {
		entries = append(entries, u8(name, streamed{byte(i)}, 1))
	}
	var out bytes.Buffer
	if err := new(Encoder).Encode(&out, entries); err != nil {
		panic(err) // the names of this file are wrong
	}
	return out.String()
}

func mapFS(files map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for name, content := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(content)}
	}
	return fsys
}

// reports returns what CheckCheckpoint says, a line for each.
func reports(t *testing.T, fsys fs.FS, name string) (*Checkpoint, []string, error) {
	t.Helper()
	var got []string
	c, err := CheckCheckpoint(fsys, name, func(e *FormatError) bool {
		if e.Error() == "" {
			t.Error("an error without a text")
		}
		line := "?"
		for cause, name := range map[error]string{
			ErrShard: "ErrShard", ErrIndex: "ErrIndex", ErrPath: "ErrPath", ErrDuplicate: "ErrDuplicate", ErrSyntax: "ErrSyntax", ErrUTF8: "ErrUTF8",
			ErrType: "ErrType", ErrTooShort: "ErrTooShort", ErrTrailing: "ErrTrailing", NoteIndex: "NoteIndex", NoteFile: "NoteFile",
		} {
			if e.Err == cause {
				line = name
			}
		}
		line += " " + e.File
		if e.Offset >= 0 {
			line += fmt.Sprintf("@%d", e.Offset)
		}
		if e.Tensor != "" {
			line += " " + e.Tensor
		}
		got = append(got, line)
		return true
	})
	return c, got, err
}

const index = "model.safetensors.index.json"

// indexed returns a directory of an index and two shards, x with a and b, y
// with c.
func indexed(text string) map[string]string {
	return map[string]string{index: text, "x.safetensors": shard("a", "b"), "y.safetensors": shard("c")}
}

const goodMap = `"weight_map":{"a":"x.safetensors","b":"x.safetensors","c":"y.safetensors"}`

func TestIndex(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []string // what is reported
	}{
		{"good", `{"metadata":{"total_size":3},` + goodMap + `}`, nil},
		{"no metadata", `{` + goodMap + `}`, nil},
		{"spaces", " \r\n\t{ " + goodMap + " }\n", nil},
		{"a byte order mark", "\xef\xbb\xbf" + `{` + goodMap + `}`, nil},
		{"metadata of null", `{"metadata":null,` + goodMap + `}`, nil},
		{"metadata of anything", `{"metadata":[{"total_size":7}],` + goodMap + `,"x":{"y":[1,{}]}}`, nil},
		{"more metadata", `{"metadata":{"x":{"total_size":9},"total_size":3,"total_parameters":3},` + goodMap + `}`, nil},
		{"size as a float", `{"metadata":{"total_size":3.0},` + goodMap + `}`, nil},
		{"size with an exponent", `{"metadata":{"total_size":0.3e1},` + goodMap + `}`, nil},
		{"size as a string", `{"metadata":{"total_size":"3"},` + goodMap + `}`, nil},
		{"another size", `{"metadata":{"total_size":4},` + goodMap + `}`, []string{"NoteIndex " + index + "@26"}},
		{"another size behind a mark", "\xef\xbb\xbf" + `{"metadata":{"total_size":4},` + goodMap + `}`, []string{"NoteIndex " + index + "@29"}},
		{"another size as a string", `{"metadata":{"total_size":"4"},` + goodMap + `}`, []string{"NoteIndex " + index + "@27"}},
		{"a size of null", `{"metadata":{"total_size":null},` + goodMap + `}`, []string{"NoteIndex " + index + "@26"}},
		{"a size of an object", `{"metadata":{"total_size":{}},` + goodMap + `}`, []string{"NoteIndex " + index + "@26"}},

		{"a missing shard", `{"weight_map":{"a":"x.safetensors","c":"z.safetensors","b":"x.safetensors"}}`, []string{"ErrShard z.safetensors"}},
		{"two missing shards", `{"weight_map":{"a":"w.safetensors","c":"z.safetensors"}}`, []string{"ErrShard w.safetensors", "ErrShard z.safetensors"}},
		{"a tensor that is nowhere", `{"weight_map":{"a":"x.safetensors","b":"x.safetensors","c":"y.safetensors","d":"y.safetensors","A":"x.safetensors"}}`,
			[]string{"ErrIndex " + index + " A", "ErrIndex " + index + " d"}},
		{"a tensor in another shard", `{"weight_map":{"a":"x.safetensors","b":"y.safetensors","c":"y.safetensors"}}`,
			[]string{"ErrIndex " + index + " b", "ErrIndex x.safetensors b"}},
		{"a tensor that the index forgot", `{"weight_map":{"a":"x.safetensors","c":"y.safetensors"}}`, []string{"NoteIndex x.safetensors b"}},
		{"a key twice", `{"weight_map":{"a":"x.safetensors","b":"x.safetensors","\u0061":"x.safetensors","c":"y.safetensors"}}`,
			[]string{"ErrDuplicate " + index + "@55 a"}},
		{"no shards", `{"weight_map":{}}`, []string{"NoteFile x.safetensors", "NoteFile y.safetensors"}},

		{"up", `{"weight_map":{"a":"../x.safetensors"}}`, []string{"ErrPath " + index + "@19 a"}},
		{"up behind a mark", "\xef\xbb\xbf" + `{"weight_map":{"a":"../x.safetensors"}}`, []string{"ErrPath " + index + "@22 a"}},
		{"up, escaped", `{"weight_map":{"a":"\u002e./x.safetensors"}}`, []string{"ErrPath " + index + "@19 a"}},
		{"up from below", `{"weight_map":{"a":"y/../../x.safetensors"}}`, []string{"ErrPath " + index + "@19 a"}},
		{"down and up", `{"weight_map":{"a":"y/../x.safetensors"}}`, []string{"ErrPath " + index + "@19 a"}},
		{"absolute", `{"weight_map":{"a":"/x.safetensors"}}`, []string{"ErrPath " + index + "@19 a"}},
		{"up with a backslash", `{"weight_map":{"a":"..\\x.safetensors"}}`, []string{"ErrPath " + index + "@19 a"}},
		{"a drive", `{"weight_map":{"a":"C:x.safetensors"}}`, []string{"ErrPath " + index + "@19 a"}},
		{"a share", `{"weight_map":{"a":"\\\\host\\x.safetensors"}}`, []string{"ErrPath " + index + "@19 a"}},
		{"an address", `{"weight_map":{"a":"https://host/x.safetensors"}}`, []string{"ErrPath " + index + "@19 a"}},
		{"the directory", `{"weight_map":{"a":"."}}`, []string{"ErrPath " + index + "@19 a"}},
		{"nothing", `{"weight_map":{"a":""}}`, []string{"ErrPath " + index + "@19 a"}},
		{"several", `{"weight_map":{"a":"../x","b":"../y"}}`, []string{"ErrPath " + index + "@19 a", "ErrPath " + index + "@30 b"}},

		{"no map", `{}`, []string{"ErrType " + index + "@0"}},
		{"a map of null", `{"weight_map":null}`, []string{"ErrType " + index + "@14"}},
		{"a list", `{"weight_map":["x.safetensors"]}`, []string{"ErrType " + index + "@14"}},
		{"a number for a file", `{"weight_map":{"a":1}}`, []string{"ErrType " + index + "@19"}},
		{"an empty file", ``, []string{"ErrSyntax " + index + "@0"}},
		{"only a mark", "\xef\xbb\xbf", []string{"ErrSyntax " + index + "@3"}},
		{"an array", `[]`, []string{"ErrSyntax " + index + "@0"}},
		{"half of it", `{"weight_map":{"a":"x.safeten`, []string{"ErrSyntax " + index + "@19"}},
		{"most of it", `{` + goodMap, []string{"ErrSyntax " + index + "@75"}},
		{"more than it", `{` + goodMap + `}}`, []string{"ErrSyntax " + index + "@76"}},
		{"a comment", `{/**/` + goodMap + `}`, []string{"ErrSyntax " + index + "@1"}},
		{"no UTF-8", `{"weight_map":{"` + "\xff" + `":"x.safetensors"}}`, []string{"ErrUTF8 " + index + "@16"}},
		{"UTF-16", "\xff\xfe{\x00}\x00", []string{"ErrUTF8 " + index + "@0"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			fsys := mapFS(indexed(c.text))
			checkpoint, got, err := reports(t, fsys, ".")
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("reports %q, want %q", got, c.want)
			}
			bad := slices.ContainsFunc(c.want, func(s string) bool { return strings.HasPrefix(s, "Err") })
			if (checkpoint == nil) != bad {
				t.Errorf("checkpoint %v for reports %q", checkpoint, got)
			}
			opened, err := OpenCheckpointFS(fsys, index)
			if e, ok := errors.AsType[*FormatError](err); bad != ok || (opened == nil) != bad {
				t.Errorf("OpenCheckpointFS: %v", err)
			} else if bad && !strings.HasPrefix(got[0], "?") && e.File == "" {
				t.Errorf("OpenCheckpointFS: %v names no file", err)
			}
			if !bad && c.name != "no shards" {
				for _, name := range []string{"a", "b", "c"} {
					if _, err := opened.Tensor(name); err != nil {
						t.Error(err)
					}
				}
				if opened.Len() != 3 || len(opened.Files()) != 2 {
					t.Errorf("%d tensors in %d files", opened.Len(), len(opened.Files()))
				}
			}
		})
	}
}

// TestIndexTwoShards has a tensor in two of the shards.
func TestIndexTwoShards(t *testing.T) {
	files := indexed(`{` + goodMap + `}`)
	files["y.safetensors"] = shard("c", "a")
	c, got, err := reports(t, mapFS(files), ".")
	if want := []string{"ErrIndex y.safetensors a"}; c != nil || err != nil || !slices.Equal(got, want) {
		t.Errorf("reports %q (%v), want %q", got, err, want)
	}
	delete(files, index)
	c, got, err = reports(t, mapFS(files), ".")
	if want := []string{"ErrDuplicate y.safetensors a"}; c != nil || err != nil || !slices.Equal(got, want) {
		t.Errorf("without an index: reports %q (%v), want %q", got, err, want)
	}
}

// TestIndexBadShard has shards that are no safetensors files.
func TestIndexBadShard(t *testing.T) {
	files := indexed(`{` + goodMap + `}`)
	files["x.safetensors"] += "!"
	files["y.safetensors"] = ""
	c, got, err := reports(t, mapFS(files), ".")
	if want := []string{"ErrTrailing x.safetensors@130", "ErrTooShort y.safetensors@0"}; c != nil || err != nil || len(got) != 2 || got[1] != want[1] || !strings.HasPrefix(got[0], "ErrTrailing x.safetensors@") {
		t.Errorf("reports %q (%v), want %q", got, err, want)
	}
	delete(files, "y.safetensors")
	files["y.safetensors/z"] = "a file in a directory that is called as a shard"
	if c, err := OpenCheckpointFS(mapFS(files), "."); c != nil || err == nil {
		t.Errorf("a directory for a shard: %v, %v", c, err)
	}
	files = indexed(`{"weight_map":{"a":"` + index + `"}}`)
	if c, err := OpenCheckpointFS(mapFS(files), index); c != nil || err == nil {
		t.Errorf("the index for a shard: %v, %v", c, err)
	}
}

// TestReportsInOrder states that what is wrong is said in the same order each
// time.
func TestReportsInOrder(t *testing.T) {
	weights := "{}"
	files := map[string]string{}
	for i := range 20 {
		files[fmt.Sprintf("%02d.safetensors", i)] = shard(fmt.Sprint("t", i), "twice")
		weights = fmt.Sprintf(`%s,"t%d":"%02d.safetensors","u%d":"%02d.safetensors"}`, strings.TrimSuffix(weights, "}"), i, i, i, 19-i)
	}
	files[index] = `{"weight_map":` + strings.Replace(weights, "{,", "{", 1) + `}`
	_, first, err := reports(t, mapFS(files), ".")
	if err != nil || len(first) < 40 {
		t.Fatalf("%d reports (%v)", len(first), err)
	}
	for range 20 {
		if _, got, _ := reports(t, mapFS(files), "."); !slices.Equal(got, first) {
			t.Fatalf("once\n%q\nthen\n%q", first, got)
		}
	}
}

func TestDirectory(t *testing.T) {
	const diffusers = `{"_class_name":"StableDiffusionPipeline"}`
	for _, c := range []struct {
		name    string
		files   map[string]string
		reports []string
		tensors []string // nil if it cannot be opened
	}{
		{"one file", map[string]string{"model.safetensors": shard("a"), "config.json": "{}", "model.bin": "?"}, nil, []string{"a"}},
		{"two files", map[string]string{"b.safetensors": shard("b"), "a.safetensors": shard("a")}, nil, []string{"a", "b"}},
		{"shards without an index", map[string]string{"model-00001-of-00002.safetensors": shard("a"), "model-00002-of-00002.safetensors": shard("b")}, nil, []string{"a", "b"}},
		{"a missing shard without an index", map[string]string{"model-00001-of-00003.safetensors": shard("a"), "model-00003-of-00003.safetensors": shard("b")},
			[]string{"ErrShard model-00002-of-00003.safetensors"}, nil},
		{"BLOOM's names", map[string]string{"model_00001-of-00002.safetensors": shard("a")}, []string{"ErrShard model_00002-of-00002.safetensors"}, nil},
		{"a variant", map[string]string{"model.safetensors": shard("a"), "model.fp16.safetensors": shard("a")},
			[]string{"NoteFile model.fp16.safetensors"}, []string{"a"}},
		{"only a variant", map[string]string{"model.fp16.safetensors": shard("a")}, nil, []string{"a"}},
		{"an index and one of a variant", map[string]string{
			index: `{"weight_map":{"a":"model-00001-of-00001.safetensors"}}`, "model-00001-of-00001.safetensors": shard("a"),
			"model.safetensors.index.fp16.json": `{"weight_map":{"a":"model.fp16-00001-of-00001.safetensors"}}`, "model.fp16-00001-of-00001.safetensors": shard("a"),
		}, []string{"NoteFile model.safetensors.index.fp16.json", "NoteFile model.fp16-00001-of-00001.safetensors"}, []string{"a"}},
		{"an index of a variant beside the whole", map[string]string{
			"model.safetensors": shard("a"), "model.safetensors.index.fp16.json": `{"weight_map":{"a":"w.safetensors"}}`,
		}, []string{"NoteFile model.safetensors.index.fp16.json"}, []string{"a"}},
		{"only an index of a variant", map[string]string{
			"w.safetensors": shard("a"), "model.safetensors.index.fp16.json": `{"weight_map":{"a":"w.safetensors"}}`,
		}, nil, []string{"a"}},
		{"Mistral's copy", map[string]string{"consolidated.safetensors": shard("A"), "model.safetensors": shard("a")},
			[]string{"NoteFile consolidated.safetensors"}, []string{"a"}},
		{"Mistral's copy in shards", map[string]string{
			"consolidated-00001-of-00002.safetensors": shard("A"), "consolidated-00002-of-00002.safetensors": shard("B"), "model.safetensors": shard("a"),
		}, []string{"NoteFile consolidated-00001-of-00002.safetensors", "NoteFile consolidated-00002-of-00002.safetensors"}, []string{"a"}},
		{"only consolidated", map[string]string{"consolidated.safetensors": shard("A")}, nil, []string{"A"}},
		{"sub-models", map[string]string{
			"model_index.json": diffusers, "unet/diffusion_pytorch_model.safetensors": shard("w"), "vae/diffusion_pytorch_model.safetensors": shard("w", "v"),
			"vae/diffusion_pytorch_model.fp16.safetensors": shard("w", "v"), "scheduler/config.json": "{}",
			"text_encoder/model.safetensors.index.json": `{"weight_map":{"t":"model-00001-of-00001.safetensors"}}`, "text_encoder/model-00001-of-00001.safetensors": shard("t"),
		}, []string{"NoteFile vae/diffusion_pytorch_model.fp16.safetensors"}, []string{"text_encoder/t", "unet/w", "vae/v", "vae/w"}},
		{"sub-models with several faults", map[string]string{
			"model_index.json": diffusers, "a/model.safetensors": "", "b/model.safetensors.index.json": `{"weight_map":{"t":"z.safetensors"}}`,
			"c/model.safetensors.index.json": `{}`, "d/model.safetensors": shard("x"),
		}, []string{"ErrTooShort a/model.safetensors@0", "ErrShard b/z.safetensors", "ErrType c/model.safetensors.index.json@0"}, nil},
		{"a model_index.json of something else", map[string]string{"model_index.json": "?", "model.safetensors": shard("a"), "x/y": ""}, nil, []string{"a"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			checkpoint, got, err := reports(t, mapFS(c.files), ".")
			if err != nil || !slices.Equal(got, c.reports) {
				t.Errorf("reports %q (%v), want %q", got, err, c.reports)
			}
			if checkpoint == nil {
				if c.tensors != nil {
					t.Error("it cannot be opened")
				}
				return
			}
			defer checkpoint.Close()
			var names []string
			for tensor := range checkpoint.All() {
				names = append(names, tensor.Name)
				again, err := checkpoint.Tensor(tensor.Name)
				if err != nil || again.Name != tensor.Name || again.Offset() != tensor.Offset() || again.File() != tensor.File() {
					t.Errorf("tensor %s is found as %v (%v)", tensor.Name, again, err)
				}
			}
			slices.Sort(names)
			if !slices.Equal(names, c.tensors) || checkpoint.Len() != len(names) {
				t.Errorf("tensors %q, %d of them, want %q", names, checkpoint.Len(), c.tensors)
			}
			for _, name := range []string{"", "w", "unet", "unet/", "nothing"} {
				if slices.Contains(names, name) {
					continue
				}
				if _, err := checkpoint.Tensor(name); !errors.Is(err, ErrNotFound) {
					t.Errorf("tensor %q gives %v", name, err)
				}
			}
		})
	}
}

// TestDirectoryWithoutModel states that there is an error where there is
// nothing to read.
func TestDirectoryWithoutModel(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"no safetensors": {"config.json": "{}"},
		"no sub-models":  {"model_index.json": "{}", "unet/config.json": "{}"},
	} {
		if c, got, err := reports(t, mapFS(files), "."); c != nil || err == nil || got != nil {
			t.Errorf("%s: %v, %q, %v", name, c, got, err)
		}
	}
	for _, name := range []string{"nothing", "nothing.safetensors", "../x"} {
		if c, err := OpenCheckpointFS(mapFS(nil), name); c != nil || err == nil {
			t.Errorf("%s: %v, %v", name, c, err)
		}
	}
}

// TestCheckpointNames states that files and errors of OpenCheckpoint bear
// names that lead to them.
func TestCheckpointNames(t *testing.T) {
	dir := t.TempDir()
	for name, content := range indexed(`{` + goodMap + `}`) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{dir, filepath.Join(dir, index), filepath.Join(dir, "x.safetensors")} {
		c, err := OpenCheckpoint(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range c.Files() {
			if _, err := os.Stat(f.Name()); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		c.Close()
	}
	if err := os.Remove(filepath.Join(dir, "y.safetensors")); err != nil {
		t.Fatal(err)
	}
	_, err := OpenCheckpoint(dir)
	e, _ := errors.AsType[*FormatError](err)
	if e == nil || !errors.Is(err, ErrShard) || !errors.Is(err, fs.ErrNotExist) || e.File != filepath.Join(dir, "y.safetensors") {
		t.Errorf("a shard that is gone: %v", err)
	}
	if _, err := OpenCheckpoint(filepath.Join(dir, "nothing")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	t.Chdir(dir)
	if c, err := OpenCheckpoint("x.safetensors"); err != nil || c.Files()[0].Name() != "x.safetensors" {
		t.Error(err)
	}
}

// TestCheckpointMetadata states that the first file's value stands.
func TestCheckpointMetadata(t *testing.T) {
	file := func(metadata map[string]string) string {
		var out bytes.Buffer
		if err := (&Encoder{Metadata: metadata}).Encode(&out, nil); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	c, err := OpenCheckpointFS(mapFS(map[string]string{
		"a.safetensors": file(nil), "b.safetensors": file(map[string]string{"k": "1", "x": "2"}), "c.safetensors": file(map[string]string{"k": "3", "y": "4"}),
	}), ".")
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(c.Metadata()); got != "map[k:1 x:2 y:4]" {
		t.Errorf("got %s", got)
	}
}

// TestErrorText states that names from a file reach a terminal harmless.
func TestErrorText(t *testing.T) {
	files := indexed(`{"weight_map":{"\u001b[31m":"\u001b]0;x\u0007.safetensors","` + strings.Repeat("n", 500) + `":"x.safetensors"}}`)
	_, err := OpenCheckpointFS(mapFS(files), ".")
	if err == nil || strings.ContainsAny(err.Error(), "\x1b\x07") {
		t.Errorf("%q", err)
	}
	e := &FormatError{Offset: -1, Tensor: "\x1b[2J\u202e" + strings.Repeat("x", 1000), Err: ErrSize}
	if text := e.Error(); strings.ContainsAny(text, "\x1b\u202e\n") || len(text) > 300 {
		t.Errorf("%q", text)
	}
}

// FuzzIndex states that no index makes OpenCheckpoint panic or leave its
// directory, and that opening finds an error where checking finds one.
func FuzzIndex(f *testing.F) {
	f.Add(`{"metadata":{"total_size":3},` + goodMap + `}`)
	f.Add("\xef\xbb\xbf" + `{"weight_map":{"\u0061":"x.safetensors","b":"../y"},"metadata":{"total_size":"3.0"}}`)
	f.Add(`{"weight_map":{"a":"x.safetensors","a":"y\\z"},"weight_map":{},"metadata":[]}`)
	files := indexed("")
	f.Fuzz(func(t *testing.T, text string) {
		files[index] = text
		fsys := watched{mapFS(files), t}
		c, got, err := reports(t, fsys, ".")
		opened, openErr := OpenCheckpointFS(fsys, index)
		bad := slices.ContainsFunc(got, func(s string) bool { return !strings.HasPrefix(s, "Note") })
		if (c == nil) != (bad || err != nil) || (opened == nil) != (c == nil) || (openErr == nil) != (opened != nil) {
			t.Fatalf("%v, reports %q, %v; opened %v, %v", c, got, err, opened, openErr)
		}
		if c == nil {
			return
		}
		n := 0
		for tensor := range c.All() {
			if _, err := c.Tensor(tensor.Name); err != nil {
				t.Fatal(err)
			}
			n++
		}
		if n != c.Len() {
			t.Fatalf("%d tensors of %d", n, c.Len())
		}
	})
}

// watched fails if a name leaves it.
type watched struct {
	fstest.MapFS
	t *testing.T
}

func (w watched) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) || strings.ContainsAny(name, `\:`) {
		w.t.Errorf("%q is opened", name)
	}
	return w.MapFS.Open(name)
}
