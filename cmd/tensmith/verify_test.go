package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestVerifyBundles gives the verb every bundle that some version of
// model_signing has made, see interop/oms_bundles.py: it verifies, does not by
// another key or root, nor of a model that has changed.
func TestVerifyBundles(t *testing.T) {
	const data = "../../sign/testdata/"
	all, err := filepath.Glob(data + "bundles/*.sig")
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 48 {
		t.Errorf("%d bundles", len(all))
	}
	changed := filepath.Join(t.TempDir(), "model")
	if err := os.CopyFS(changed, os.DirFS(data+"model")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(changed, "weights.bin"), []byte("others"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range all {
		version, rest, _ := strings.Cut(strings.TrimSuffix(filepath.Base(name), ".sig"), "-")
		kind, key, _ := strings.Cut(rest, "-")
		method, flag, right, wrong := "key", "--public_key", "p256.pub.pem", "p384.pub.pem"
		switch {
		case kind == "certificate":
			method, flag, right, wrong = "certificate", "--certificate_chain", "root.crt", "other-root.crt"
		case kind == "key":
			right = key + ".pub.pem"
			if key == "p384" {
				wrong = "p521.pub.pem"
			}
		}
		verify := func(trusted, model string) (int, verification) {
			line := []string{"verify", method, flag, data + "keys/" + trusted, "--signature", name, "--json"}
			if kind == "ignore" && version < "1.1" { // which did not record it
				line = append(line, "--ignore-paths", filepath.Join(model, "a"), "--ignore-paths", filepath.Join(model, "empty"))
			}
			if kind == "file" {
				model = filepath.Join(model, "weights.bin")
			}
			var out, words bytes.Buffer
			code := run(t.Context(), append(line, model), nil, &out, &words)
			var doc verification
			if err := json.Unmarshal(out.Bytes(), &doc); err != nil {
				t.Errorf("%s: %v\n%s", name, err, words.String())
			}
			return code, doc
		}
		if code, doc := verify(right, data+"model"); code != exitYes || !doc.Verified || doc.Signer == nil || doc.Signer.Method != method {
			t.Errorf("%s-%s: exit status %d, %+v", version, rest, code, doc)
		}
		if code, doc := verify(wrong, data+"model"); code != exitNo || doc.Reason != "signature" {
			t.Errorf("%s-%s by another: exit status %d, %+v", version, rest, code, doc)
		}
		if code, doc := verify(right, changed); code != exitNo || doc.Reason != "changed" || len(doc.Changed)+len(doc.Missing)+len(doc.Extra) == 0 {
			t.Errorf("%s-%s of a changed model: exit status %d, %+v", version, rest, code, doc)
		}
	}
}
