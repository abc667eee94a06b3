package sign_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tensmith/tensmith/sign"
)

// write makes files; a content that begins with "->" is a symbolic link.
func write(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		p := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(p), 0o777); err != nil {
			t.Fatal(err)
		}
		target, link := strings.CutPrefix(files[name], "->")
		err := error(nil)
		if link {
			err = os.Symlink(target, p)
		} else {
			err = os.WriteFile(p, []byte(files[name]), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func names(m *sign.Manifest) (all []string) {
	for _, r := range m.Resources {
		all = append(all, r.Name)
	}
	return all
}

// TestTree lists folders: what is ignored, where links lead, what is refused.
func TestTree(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("names and links of Unix")
	}
	git := map[string]string{".git/HEAD": "x", ".gitignore": "x", ".gitattributes": "x", ".github/a/b": "x", "sub/.git/HEAD": "x", "a": "x", ".gitmodules": "x"}
	for _, c := range []struct {
		name     string
		files    map[string]string
		h        sign.Hasher
		want     []string // nil if it is refused
		warnings int
	}{
		{"git", git, sign.Hasher{}, []string{".gitmodules", "a", "sub/.git/HEAD"}, 0},
		{"git's too", git, sign.Hasher{GitPaths: true},
			[]string{".git/HEAD", ".gitattributes", ".github/a/b", ".gitignore", ".gitmodules", "a", "sub/.git/HEAD"}, 0},
		{"order", map[string]string{"a/b": "", "a-b": "", "a.txt": "", "\U0001f600": "", "\uffee": "", "B": ""}, sign.Hasher{},
			[]string{"B", "a-b", "a.txt", "a/b", "\uffee", "\U0001f600"}, 0},
		{"order of the reference", map[string]string{"a/b": "", "a-b": "", "a.txt": "", "\U0001f600": "", "\uffee": "", "B": ""}, sign.Hasher{Reference: true},
			[]string{"B", "a/b", "a-b", "a.txt", "\uffee", "\U0001f600"}, 0},
		{"shards", map[string]string{"x": "012345678901", "empty": "", "a:b": "0"}, sign.Hasher{ShardSize: 1},
			[]string{"a:b:0:1", "x:0:1", "x:10:11", "x:11:12", "x:1:2", "x:2:3", "x:3:4", "x:4:5", "x:5:6", "x:6:7", "x:7:8", "x:8:9", "x:9:10"}, 1},
		{"shards of the reference", map[string]string{"x": "012345678901"}, sign.Hasher{ShardSize: 5, Reference: true},
			[]string{"x:0:5", "x:5:10", "x:10:12"}, 0},
		{"ignore", map[string]string{"cache/a": "", "cachet": "", "sub/cache": "", "x/y/z": "", "x/y/w": ""}, sign.Hasher{Ignore: []string{"cache/", "./x/y/z"}},
			[]string{"cachet", "sub/cache", "x/y/w"}, 0},
		{"ignore all", map[string]string{"a": ""}, sign.Hasher{Ignore: []string{"a"}}, nil, 0},
		{"ignore out", map[string]string{"a": ""}, sign.Hasher{Ignore: []string{"../a"}}, nil, 0},
		{"ignore itself", map[string]string{"a": ""}, sign.Hasher{Ignore: []string{"."}}, nil, 0},
		{"ignore absolute", map[string]string{"a": ""}, sign.Hasher{Ignore: []string{"/a"}}, nil, 0},
		{"ignore pattern", map[string]string{"a": ""}, sign.Hasher{Ignore: []string{"*.txt"}}, nil, 0},
		{"empty", map[string]string{".git/x": ""}, sign.Hasher{}, nil, 0},
		{"empty in shards", map[string]string{"x": ""}, sign.Hasher{ShardSize: 10}, nil, 0},
		{"link", map[string]string{"a": "", "b": "->a"}, sign.Hasher{}, nil, 0},
		{"link ignored", map[string]string{"a": "", "b": "->a"}, sign.Hasher{Ignore: []string{"b"}}, []string{"a"}, 0},
		{"folder's link", map[string]string{"a/x": "", "b": "->a"}, sign.Hasher{}, nil, 0},
		{"links", map[string]string{"a/x": "1", "b": "->a", "c": "->a/x", "d": "->c"}, sign.Hasher{Links: sign.FollowLinks},
			[]string{"a/x", "b/x", "c", "d"}, 0},
		{"broken link", map[string]string{"a": "1", "b": "->nothing"}, sign.Hasher{Links: sign.FollowLinks}, nil, 0},
		{"circle", map[string]string{"a/x": "1", "a/b": "->../a", "a/c/d": "->../.."}, sign.Hasher{Links: sign.FollowLinks}, []string{"a/x"}, 2},
		{"circle of two", map[string]string{"a/x": "->../b", "b/y": "->../a", "b/z": ""}, sign.Hasher{Links: sign.FollowLinks},
			[]string{"a/x/z", "b/z"}, 2},
		{"link to itself", map[string]string{"a": "->a", "b": ""}, sign.Hasher{Links: sign.FollowLinks}, nil, 0},
		{"link out", map[string]string{"a": "->/dev/null"}, sign.Hasher{Links: sign.FollowLinks}, nil, 0},
		{"no snapshot", map[string]string{"a": ""}, sign.Hasher{Links: sign.HubLinks}, nil, 0},
		{"not UTF-8", map[string]string{"a\xff": ""}, sign.Hasher{}, nil, 0},
		{"backslash", map[string]string{`a\b`: ""}, sign.Hasher{}, nil, 0},
		{"new line", map[string]string{"a\nb\t\"'<&>": ""}, sign.Hasher{}, []string{"a\nb\t\"'<&>"}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "model")
			write(t, dir, c.files)
			got, err := c.h.Hash(t.Context(), dir)
			if c.want == nil {
				if !errors.Is(err, sign.ErrRefused) && !errors.Is(err, os.ErrNotExist) && !strings.Contains(fmt.Sprint(err), "too many links") {
					t.Fatalf("%v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, names(got.Manifest)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if len(got.Warnings) != c.warnings {
				t.Errorf("warnings %q", got.Warnings)
			}
			// What was made is read again, and is what there is.
			v, err := verify(t, dir, signed(t, got.Manifest), sign.Hasher{Links: c.h.Links})
			if err != nil {
				t.Fatalf("%v", err)
			}
			if diff := cmp.Diff(got.Manifest.Resources, v.Manifest.Resources); diff != "" {
				t.Errorf("signed (-made +read):\n%s", diff)
			}
		})
	}
}

// signed returns the bundle of a manifest, by the key of verify.
func signed(t testing.TB, m *sign.Manifest) []byte {
	t.Helper()
	payload, err := m.Statement().Encode()
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := sign.Key{Signer: privateKey(t, "p256")}.Sign(t.Context(), sign.PayloadType, payload)
	if err != nil {
		t.Fatal(err)
	}
	return bundle
}

func verify(t *testing.T, model string, bundle []byte, h sign.Hasher) (*sign.Verdict, error) {
	t.Helper()
	b, err := sign.ParseBundle(bundle)
	if err != nil {
		return nil, err
	}
	return sign.Check{Verifier: keyVerifier(t, "p256"), Hasher: h}.Model(t.Context(), model, b)
}

// TestSpecialFiles refuses what is no file, without opening it.
func TestSpecialFiles(t *testing.T) {
	for _, links := range []sign.Links{sign.RefuseLinks, sign.FollowLinks} {
		dir := t.TempDir()
		write(t, dir, map[string]string{"a": ""})
		if err := os.Symlink("/dev/zero", filepath.Join(dir, "zero")); err != nil {
			t.Skip(err)
		}
		if _, err := (&sign.Hasher{Links: links}).Hash(t.Context(), dir); !errors.Is(err, sign.ErrRefused) {
			t.Errorf("links %d: %v", links, err)
		}
	}
}

// hub makes a cache with one repository, and returns its snapshot.
func hub(t *testing.T, links map[string]string) string {
	t.Helper()
	cache := t.TempDir()
	repo := filepath.Join(cache, "models--org--name")
	write(t, cache, map[string]string{"secret": "s", "models--other/blobs/x": "other's"})
	write(t, repo, map[string]string{
		"blobs/2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881": "x",
		"blobs/3b5d5c3712955042212316173ccf37be800":                              "{}",
		"blobs/link":    "->../../secret",
		"refs/main":     "c0ffee",
		"blobs/dir/sub": "",
	})
	snapshot := filepath.Join(repo, "snapshots", "c0ffee")
	write(t, snapshot, map[string]string{
		"model.safetensors":  "->../../blobs/2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881",
		"config/config.json": "->../../../blobs/3b5d5c3712955042212316173ccf37be800",
		"README.md":          "no link",
	})
	write(t, snapshot, links)
	return snapshot
}

// TestHub signs a snapshot of a Hub cache, where all files are links out of
// the model, and verifies it there and as a plain folder.
func TestHub(t *testing.T) {
	snapshot := hub(t, nil)
	plain := filepath.Join(t.TempDir(), "c0ffee")
	write(t, plain, map[string]string{"model.safetensors": "x", "config/config.json": "{}", "README.md": "no link"})
	if !sign.InHub(snapshot) || !sign.InHub(filepath.Join(snapshot, "model.safetensors")) || sign.InHub(plain) {
		t.Error("InHub is wrong")
	}
	if _, err := new(sign.Hasher).Hash(t.Context(), snapshot); !errors.Is(err, sign.ErrRefused) {
		t.Errorf("links are not refused: %v", err)
	}
	h := sign.Hasher{Links: sign.HubLinks}
	made, err := h.Hash(t.Context(), snapshot)
	if err != nil {
		t.Fatal(err)
	}
	want, err := new(sign.Hasher).Hash(t.Context(), plain)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.Manifest.Resources, made.Manifest.Resources); diff != "" {
		t.Errorf("(-plain +snapshot):\n%s", diff)
	}
	for _, m := range []*sign.Manifest{want.Manifest, made.Manifest} {
		bundle := signed(t, m)
		for model, h := range map[string]sign.Hasher{plain: {}, snapshot: h} {
			if _, err := verify(t, model, bundle, h); err != nil {
				t.Errorf("%s: %v", model, err)
			}
		}
	}
	one, err := h.Hash(t.Context(), filepath.Join(snapshot, "model.safetensors"))
	if err != nil || one.Manifest.Resources[0] != want.Manifest.Resources[2] {
		t.Errorf("one file: %v, %v", one, err)
	}
	// The names of blobs are digests, which are told to be reused.
	h.Known = []sign.Known{sign.HubBlobs}
	known, err := h.Hash(t.Context(), snapshot)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(made.Manifest, known.Manifest); diff != "" {
		t.Errorf("(-read +known):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"model.safetensors": "the name of the blob"}, known.Reused); diff != "" || known.Bytes != made.Bytes-1 {
		t.Errorf("reused, and %d bytes read:\n%s", known.Bytes, diff)
	}
}

func TestHubLinksOut(t *testing.T) {
	for _, target := range []string{
		"../../../secret", "../../blobs/link", "../../blobs/dir", "../../blobs/dir/sub", "../../refs/main", "/etc/passwd",
		"../../../models--other/blobs/x", "../../blobs", "../../blobs/../../secret", "README.md", "../..", "",
	} {
		if target == "" {
			continue
		}
		dir := hub(t, map[string]string{"bad": "->" + target})
		if got, err := (&sign.Hasher{Links: sign.HubLinks}).Hash(t.Context(), dir); !errors.Is(err, sign.ErrRefused) {
			t.Errorf("%s: %v, %v", target, got, err)
		}
	}
}

// TestSingleFile signs one file, which has its own name, and in bundles of
// model_signing is called ".".
func TestSingleFile(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"x.bin": "0123456789", "link": "->x.bin"})
	name := filepath.Join(dir, "x.bin")
	for _, h := range []sign.Hasher{{}, {ShardSize: 4}} {
		made, err := h.Hash(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if made.Manifest.Name != "x.bin" || !strings.HasPrefix(made.Manifest.Resources[0].Name, "x.bin") {
			t.Errorf("%+v", made.Manifest)
		}
		if _, err := verify(t, name, signed(t, made.Manifest), sign.Hasher{}); err != nil {
			t.Error(err)
		}
		for i := range made.Manifest.Resources {
			r := &made.Manifest.Resources[i]
			r.Name = "." + strings.TrimPrefix(r.Name, "x.bin")
		}
		if _, err := verify(t, name, signed(t, made.Manifest), sign.Hasher{}); err != nil {
			t.Error(err)
		}
		if _, err := verify(t, dir, signed(t, made.Manifest), sign.Hasher{Links: sign.FollowLinks}); !errors.Is(err, sign.ErrChanged) {
			t.Errorf("the folder for the file: %v", err)
		}
	}
	if _, err := new(sign.Hasher).Hash(t.Context(), filepath.Join(dir, "link")); !errors.Is(err, sign.ErrRefused) {
		t.Errorf("link: %v", err)
	}
	if made, err := (&sign.Hasher{Links: sign.FollowLinks}).Hash(t.Context(), filepath.Join(dir, "link")); err != nil || made.Manifest.Resources[0].Name != "link" {
		t.Errorf("link followed: %v", err)
	}
}

// TestRandomTrees signs random trees and verifies them, unchanged and with one
// change of any kind.
func TestRandomTrees(t *testing.T) {
	rounds := 30
	if testing.Short() {
		rounds = 8
	}
	for seed := range rounds {
		r := rand.New(rand.NewPCG(uint64(seed), 7))
		files := randomTree(r)
		dir := filepath.Join(t.TempDir(), "model")
		write(t, dir, files)
		h := sign.Hasher{
			Algorithm: []sign.Algorithm{sign.SHA256, sign.BLAKE2b, sign.BLAKE3}[r.IntN(3)],
			ShardSize: []int64{0, 1000, 7}[r.IntN(3)],
			Reference: r.IntN(2) == 0,
			Workers:   r.IntN(4),
		}
		made, err := h.Hash(t.Context(), dir)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		bundle := signed(t, made.Manifest)
		if v, err := verify(t, dir, bundle, sign.Hasher{Workers: 1}); err != nil || v.Manifest.Root() != made.Manifest.Root() {
			t.Errorf("seed %d: %v", seed, err)
		}
		all := slices.Sorted(maps.Keys(files))
		victim := all[r.IntN(len(all))]
		if files[victim] == "" && h.ShardSize > 0 {
			continue // was not signed, see the warning
		}
		p := filepath.Join(dir, filepath.FromSlash(victim))
		var what string
		switch r.IntN(4) {
		case 0:
			what = "removed"
			err = os.Remove(p)
		case 1:
			what = "longer"
			err = os.WriteFile(p, []byte(files[victim]+"+"), 0o600)
		case 2:
			what = "renamed"
			err = os.Rename(p, p+"~")
		case 3:
			what = "joined"
			err = os.WriteFile(filepath.Join(dir, "joined"), []byte("x"), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := verify(t, dir, bundle, sign.Hasher{}); !errors.Is(err, sign.ErrChanged) {
			t.Errorf("seed %d: %s %q: %v", seed, what, victim, err)
		}
	}
}

// randomTree returns files with the names that break programs.
func randomTree(r *rand.Rand) map[string]string {
	parts := []string{"a", "a-b", "a.txt", ".hidden", "sp ace", " ", "日本", "e\u0301", "\u00e9", "A", "-f", "a:0:3", "~", "\U0001f600", "'\"", "%2e", "...", ".gitx", "con", "x\n"}
	files := map[string]string{"always": "x"}
	for range r.IntN(40) {
		name := "d"
		for range 1 + r.IntN(4) {
			name = path.Join(name, parts[r.IntN(len(parts))])
		}
		files[name] = strings.Repeat(name, r.IntN(30))
	}
	// A name is a file or a folder.
	for name := range files {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			delete(files, dir)
		}
	}
	return files
}

// TestManyFiles has 10,000 files, of all sizes around a block's.
func TestManyFiles(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 10,000 files")
	}
	dir := t.TempDir()
	for i := range 10_000 {
		p := filepath.Join(dir, fmt.Sprintf("%02d", i%100))
		if i < 100 {
			if err := os.Mkdir(p, 0o777); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(p, fmt.Sprint(i)), []byte(strings.Repeat("x", i%200)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	made, err := new(sign.Hasher).Hash(t.Context(), dir)
	if err != nil || len(made.Manifest.Resources) != 10_000 {
		t.Fatalf("%v", err)
	}
	if _, err := verify(t, dir, signed(t, made.Manifest), sign.Hasher{}); err != nil {
		t.Error(err)
	}
}
