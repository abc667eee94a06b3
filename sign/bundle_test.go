package sign_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tensmith/tensmith/sign"
)

// keyVerifier trusts a key of testdata.
func keyVerifier(t *testing.T, name string) sign.KeyVerifier {
	t.Helper()
	key, err := sign.ParsePublicKey(readFile(t, filepath.Join("testdata/keys", name+".pub.pem")))
	if err != nil {
		t.Fatal(err)
	}
	return sign.KeyVerifier{Key: key}
}

// TestBundles verifies what all versions of model_signing have signed; which
// bundles there are, interop/oms_bundles.py tells.
func TestBundles(t *testing.T) {
	all, err := filepath.Glob("testdata/bundles/*.sig")
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 48 {
		t.Errorf("%d bundles", len(all))
	}
	roots := rootsOf(t, "testdata/keys/root.crt")
	for _, name := range all {
		version, rest, _ := strings.Cut(strings.TrimSuffix(filepath.Base(name), ".sig"), "-")
		kind, key, _ := strings.Cut(rest, "-")
		t.Run(version+"-"+rest, func(t *testing.T) {
			right, wrong := sign.Verifier(keyVerifier(t, "p256")), sign.Verifier(keyVerifier(t, "p384"))
			switch {
			case kind == "certificate":
				right = sign.CertificateVerifier{Roots: roots}
				wrong = sign.CertificateVerifier{Roots: rootsOf(t, "testdata/keys/other-root.crt")}
			case kind == "key":
				right = keyVerifier(t, key)
				if key == "p384" {
					wrong = keyVerifier(t, "p256")
				}
			}
			model := "testdata/model"
			if kind == "file" {
				model += "/weights.bin"
			}
			var h sign.Hasher
			if kind == "ignore" && version < "1.1" {
				h.Ignore = []string{"a", "empty"} // is not recorded
			}
			b := readBundle(t, name)
			v, err := sign.Check{Verifier: right, Hasher: h}.Model(t.Context(), model, b)
			if err != nil {
				t.Fatal(err)
			}
			if want := sign.Method(kind); kind == "key" && v.Signer.Method != want || kind == "certificate" && v.Signer.Method != want {
				t.Errorf("method %s", v.Signer.Method)
			}
			if old := len(v.Warnings()) > 0; old != (version < "1.1" && kind != "certificate" || version == "0.2.0" || kind == "shards") {
				t.Errorf("warnings %q", v.Warnings())
			}
			if _, err := (sign.Check{Verifier: wrong}).Model(t.Context(), model, b); !errors.Is(err, sign.ErrSignature) {
				t.Errorf("verified by another: %v", err)
			}
			// In every way of listing and hashing, a changed file is found.
			if kind == "file" {
				return
			}
			changed := copyModel(t)
			if err := os.WriteFile(filepath.Join(changed, "weights.bin"), []byte("others"), 0o600); err != nil {
				t.Fatal(err)
			}
			if v, err = (sign.Check{Verifier: right, Hasher: h}).Model(t.Context(), changed, b); !errors.Is(err, sign.ErrChanged) ||
				!strings.Contains(v.Difference.String(), "weights.bin") || strings.Contains(v.Difference.String(), "config.json") {
				t.Errorf("changed: %v", err)
			}
		})
	}
}

// copyModel returns the folder of a copy of the model of testdata.
func copyModel(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "model")
	if err := os.CopyFS(dir, os.DirFS("testdata/model")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestSameStatement makes the statements that model_signing 1.1.1 has made of
// the same model, in its order: name, digests, root.
func TestSameStatement(t *testing.T) {
	for file, h := range map[string]sign.Hasher{
		"key-p256":       {},
		"shards":         {ShardSize: 16},
		"blake2b":        {Algorithm: sign.BLAKE2b},
		"blake3":         {Algorithm: sign.BLAKE3},
		"shards-blake2b": {Algorithm: sign.BLAKE2b, ShardSize: 1000},
		"ignore":         {Ignore: []string{"a", "empty/"}},
	} {
		h.Reference = true
		made, err := h.Hash(t.Context(), "testdata/model")
		if err != nil {
			t.Fatal(err)
		}
		s, err := readBundle(t, "testdata/bundles/1.1.1-"+file+".sig").Statement()
		if err != nil {
			t.Fatal(err)
		}
		want, err := s.Manifest()
		if err != nil {
			t.Fatal(err)
		}
		// The reference records what it ignores in random order, and by default
		// nothing.
		want.Reference = true // the order alone does not show
		want.Serialization.IgnorePaths, made.Manifest.Serialization.IgnorePaths = nil, nil
		if diff := cmp.Diff(want, made.Manifest); diff != "" {
			t.Errorf("%s (-model_signing +ours):\n%s", file, diff)
		}
	}
}
