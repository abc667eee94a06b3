package sign_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tensmith/tensmith/sign"
)

// TestKnown reuses digests, and tells so.
func TestKnown(t *testing.T) {
	dir := copyModel(t)
	old := time.Now().Add(-time.Hour).Truncate(time.Second)
	err := filepath.Walk(dir, func(name string, _ os.FileInfo, err error) error {
		return errors.Join(err, os.Chtimes(name, old, old))
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range []sign.Hasher{{}, {Algorithm: sign.BLAKE2b}, {ShardSize: 30}} {
		made, err := h.Hash(t.Context(), dir)
		if err != nil || len(made.Reused) != 0 || made.Bytes == 0 {
			t.Fatalf("%v", err)
		}
		bundle := signed(t, made.Manifest)
		known := h
		known.Known = []sign.Known{made.Manifest.Known(old.Add(time.Second))}
		again, err := known.Hash(t.Context(), dir)
		if err != nil || again.Bytes != 0 || len(again.Reused) != len(made.Manifest.Resources) || again.Reused[made.Manifest.Resources[0].Name] != "an earlier bundle" {
			t.Errorf("%v, %+v", err, again)
		}
		if diff := cmp.Diff(made.Manifest, again.Manifest); diff != "" {
			t.Errorf("(-read +known):\n%s", diff)
		}
		// A cache is filled by one run and used by the next, from its file.
		name := filepath.Join(t.TempDir(), "digests.json")
		for run := range 3 {
			cache, err := sign.OpenCache(name)
			if err != nil {
				t.Fatal(err)
			}
			cached := h
			cached.Cache = cache
			again, err := cached.Hash(t.Context(), dir)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(made.Manifest, again.Manifest); diff != "" {
				t.Errorf("run %d (-read +cached):\n%s", run, diff)
			}
			if want := min(run, 1) * len(made.Manifest.Resources); len(again.Reused) != want {
				t.Errorf("run %d: %d reused, want %d", run, len(again.Reused), want)
			}
			if err := cache.Save(); err != nil {
				t.Fatal(err)
			}
		}
		// A change is seen by size or time; the digest is of the new bytes.
		p := filepath.Join(dir, "weights.bin")
		content := readFile(t, p)
		write(t, dir, map[string]string{"weights.bin": strings.Repeat("w", 100)})
		cache, err := sign.OpenCache(name)
		if err != nil {
			t.Fatal(err)
		}
		for what, reused := range map[string]sign.Hasher{"cache": {Cache: cache}, "bundle": {Known: known.Known}} {
			v, err := verify(t, dir, bundle, reused)
			if !errors.Is(err, sign.ErrChanged) || len(v.Found.Reused) == 0 || !strings.Contains(v.Difference.String(), "weights.bin") {
				t.Errorf("%s: %v", what, err)
			}
		}
		if err := errors.Join(os.WriteFile(p, content, 0o600), os.Chtimes(p, old, old)); err != nil {
			t.Fatal(err)
		}
		// A digest that is none is not taken.
		bad := h
		bad.Known = []sign.Known{func(sign.Piece) (string, string) { return "00", "nowhere" }}
		if again, err := bad.Hash(t.Context(), dir); err != nil || len(again.Reused) != 0 {
			t.Errorf("%v, %v", again.Reused, err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "x.json"), []byte(`{"schema":"other"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sign.OpenCache(filepath.Join(dir, "x.json")); !errors.Is(err, sign.ErrMalformed) {
		t.Errorf("%v", err)
	}
}

// TestFreshFileIsNotCached: a file may change again within the step of the
// clock that tells it from what it was.
func TestFreshFileIsNotCached(t *testing.T) {
	const settled = 3 * time.Second // files are no longer fresh, of which a machine may be too busy to come before
	begin := time.Now()
	dir := copyModel(t)
	cache, err := sign.OpenCache(filepath.Join(t.TempDir(), "digests.json"))
	if err != nil {
		t.Fatal(err)
	}
	h := sign.Hasher{Cache: cache}
	for range 2 {
		made, err := h.Hash(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		if len(made.Reused) != 0 && time.Since(begin) < settled {
			t.Errorf("%v", made.Reused)
		}
	}
	// It is the time before it is read that counts, not that of the end.
	recent := time.Now().Add(-2 * time.Second)
	if err := os.Chtimes(filepath.Join(dir, "weights.bin"), recent, recent); err != nil {
		t.Fatal(err)
	}
	var asked time.Duration // how old it was
	h.Known = []sign.Known{func(p sign.Piece) (string, string) {
		if p.Name == "weights.bin" {
			asked = time.Since(recent)
			time.Sleep(1200 * time.Millisecond)
		}
		return "", ""
	}}
	for range 2 {
		made, err := h.Hash(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		if made.Reused["weights.bin"] != "" && asked < settled {
			t.Errorf("%v", made.Reused)
		}
		h.Known = nil
	}
}
