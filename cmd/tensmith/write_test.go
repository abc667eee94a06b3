package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tensmith/tensmith/safetensors"
)

// TestReplace holds the way that Windows takes to what the others do: the same
// bytes, the mode of the old file, a link that stays one, nothing left behind.
func TestReplace(t *testing.T) {
	dir := t.TempDir()
	old, err := os.ReadFile(realDir + "mlx_like.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	name, link := filepath.Join(dir, "m.safetensors"), filepath.Join(dir, "link.safetensors")
	if err := os.WriteFile(name, old, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("m.safetensors", link); err != nil {
		t.Skip(err)
	}
	in, err := (&app{}).openInput(t.Context(), link)
	if err != nil {
		t.Fatal(err)
	}
	want := filepath.Join(t.TempDir(), "want.safetensors")
	w := &writing{entries: in.entries(all), close: in.Close}
	if err := (&safetensors.Encoder{}).WriteFile(t.Context(), want, w.entries); err != nil {
		t.Fatal(err)
	}
	if err := w.replace(&safetensors.Encoder{})(t.Context(), link, w.entries); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	wanted, err := os.ReadFile(want)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Errorf("other bytes than WriteFile writes:\n%s", diff)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode().Type() != os.ModeSymlink {
		t.Errorf("the link is %v, %v", info.Mode(), err)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the mode is %v, %v", info.Mode(), err)
	}
	list, err := os.ReadDir(dir)
	if err != nil || len(list) != 2 {
		t.Errorf("left behind: %v, %v", list, err)
	}
}
