package scan

import (
	"context"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// TestLinks states that no link is followed, and that one that leaves is told.
func TestLinks(t *testing.T) {
	dir := t.TempDir()
	outside := filepath.Join(dir, "outside.pkl")
	inside := filepath.Join(dir, "tree")
	evil := imports("os", "system").Data
	for name, data := range map[string][]byte{outside: evil, filepath.Join(inside, "sub", "good.pkl"): []byte("\x80\x02].")} {
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{
		"absolute": outside, "up": "../outside.pkl", "sub/deep": "../../outside.pkl", "dir": "..", "self": "sub/good.pkl", "loop": "loop", "sub/back": "../sub",
		"sub/top": "..", "sub/climbs": "top/../outside.pkl",
	} {
		if err := os.Symlink(target, filepath.Join(inside, name)); err != nil {
			t.Skip("no links here: ", err)
		}
	}
	r, err := Path(context.Background(), os.DirFS(inside), ".", Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"absolute suspicious ST510", "dir suspicious ST510", "loop clean", "self clean",
		"sub/back clean", "sub/climbs suspicious ST510", "sub/deep suspicious ST510", "sub/good.pkl clean", "sub/top clean",
		"up suspicious ST510",
	}
	if diff := cmp.Diff(want, summary(r)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestCache has a repository as the cache of Hugging Face keeps it: files are
// called after their digests, and links after the files. What a file beside
// others means is told of the links, and where something was found, they say.
func TestCache(t *testing.T) {
	to := func(target string) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte(target), Mode: fs.ModeSymlink}
	}
	good := []byte(file(one+"  ", 4))
	fsys := fstest.MapFS{
		"m/refs/main":                            {Data: []byte("c0ffee")},
		"m/blobs/1":                              {Data: good},
		"m/blobs/2":                              imports("os", "system"),
		"m/blobs/3":                              {Data: []byte(`{"weight_map":{"a":"model.safetensors","b":"gone.safetensors","c":"renamed.safetensors"}}`)},
		"m/snapshots/c0ffee/model.safetensors":   to("../../blobs/1"),
		"m/snapshots/c0ffee/pytorch_model.bin":   to("../../blobs/2"),
		"m/snapshots/c0ffee/renamed.safetensors": to("pytorch_model.bin"),
		"m/snapshots/c0ffee/model.safetensors.index.json": to("../../blobs/3"),
		"m/snapshots/c0ffee/config.json":                  to("../../blobs/4"),
	}
	r, err := Path(context.Background(), fsys, "m", Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"m/blobs/1 clean",
		"m/blobs/2 dangerous ST301 ST505",
		"m/blobs/3 clean",
		"m/refs/main clean",
		"m/snapshots/c0ffee/config.json clean ST513", // was never fetched
		"m/snapshots/c0ffee/model.safetensors clean",
		"m/snapshots/c0ffee/model.safetensors.index.json suspicious ST506 ST506",
		"m/snapshots/c0ffee/pytorch_model.bin clean ST505 ST513",
		"m/snapshots/c0ffee/renamed.safetensors clean ST505 ST513",
	}
	if diff := cmp.Diff(want, summary(r)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestSpecial has what is no file: none of it is opened, for a pipe would
// never end; and a name that package fs refuses.
func TestSpecial(t *testing.T) {
	dir := t.TempDir()
	socket, err := net.Listen("unix", filepath.Join(dir, "socket"))
	if err != nil {
		t.Skip("no sockets here: ", err)
	}
	defer socket.Close()
	if err := os.WriteFile(filepath.Join(dir, "bad\xff.pt"), nil, 0o666); err != nil {
		t.Skip("names are UTF-8 here: ", err)
	}
	r, err := Path(context.Background(), os.DirFS(dir), ".", Options{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range r.Files {
		got = append(got, f.Findings[0].ID+" "+f.Findings[0].Message)
	}
	want := []string{"ST401 the name is no UTF-8, so the file was not opened: rename it", "ST511 it is a socket"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for mode, want := range map[fs.FileMode]string{fs.ModeNamedPipe: "a named pipe", fs.ModeDevice | fs.ModeCharDevice: "a device", fs.ModeIrregular: "no regular file: ?---------"} {
		if got := special(mode); got != want {
			t.Errorf("%v is %q, want %q", mode, got, want)
		}
	}
}
