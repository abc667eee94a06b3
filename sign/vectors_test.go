package sign_test

import (
	"context"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tensmith/tensmith/sign"
)

// vectors is a folder with the public vectors, which are not ours to keep:
// checkouts of sigstore/model-transparency and ossf/model-signing-spec under
// these names. The tests of committed bundles need none of them.
func vectors(t *testing.T, repository string) string {
	t.Helper()
	dir := os.Getenv("TENSMITH_OMS_VECTORS")
	if dir == "" {
		t.Skip("TENSMITH_OMS_VECTORS names no folder with model-transparency and model-signing-spec")
	}
	return filepath.Join(dir, repository)
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func readBundle(t *testing.T, name string) *sign.Bundle {
	t.Helper()
	b, err := sign.ReadBundle(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// rootsOf reads a file of certificates that are trusted.
func rootsOf(t *testing.T, name string) *x509.CertPool {
	t.Helper()
	all, err := sign.ParseCertificates(readFile(t, name))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	for _, c := range all {
		pool.AddCert(c)
	}
	return pool
}

// trusting verifies nothing: the bundle's signature is someone else's work.
type trusting struct{}

func (trusting) Verify(_ context.Context, b *sign.Bundle) (*sign.Signer, error) {
	return &sign.Signer{Method: b.Method}, nil
}

// TestReferenceVectors verifies what model_signing has signed in all its
// versions, with the arguments of its own scripts.
func TestReferenceVectors(t *testing.T) {
	tests := filepath.Join(vectors(t, "model-transparency"), "scripts", "tests")
	certificate := sign.CertificateVerifier{Roots: rootsOf(t, filepath.Join(tests, "keys/certificate/ca-cert.pem"))}
	public, err := sign.ParsePublicKey(readFile(t, filepath.Join(tests, "keys/certificate/signing-key-pub.pem")))
	if err != nil {
		t.Fatal(err)
	}
	verifiers := map[string]sign.Verifier{
		"certificate":  certificate,
		"elliptic-key": sign.KeyVerifier{Key: public},
		"sigstore":     trusting{}, // package keyless verifies them
	}
	all, err := filepath.Glob(filepath.Join(tests, "v*", "model.sig"))
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 13 {
		t.Fatalf("%d bundles", len(all))
	}
	for _, name := range all {
		dir := filepath.Dir(name)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			_, kind, _ := strings.Cut(filepath.Base(dir), "-")
			c := sign.Check{Verifier: verifiers[kind], Hasher: sign.Hasher{Bundle: name, Ignore: []string{"ignore-me"}}}
			b := readBundle(t, name)
			model := dir
			if s, err := b.Statement(); err != nil {
				t.Fatal(err)
			} else if m, err := s.Manifest(); err != nil {
				t.Fatal(err)
			} else if m.Resources[0].Name == "." {
				model = filepath.Join(dir, "signme-1")
			}
			v, err := c.Model(t.Context(), model, b)
			if err != nil {
				t.Fatal(err)
			}
			t.Log(v.Signer, v.Warnings())
			// The file beside the model was not signed.
			if model == dir {
				c.Hasher.Ignore = nil
				if _, err := os.Stat(filepath.Join(dir, "ignore-me")); err == nil && len(v.Manifest.Serialization.IgnorePaths) == 0 {
					if v, err := c.Model(t.Context(), model, b); !errors.Is(err, sign.ErrChanged) || v.Difference.String() != "not signed: ignore-me" {
						t.Errorf("without --ignore-paths: %v", err)
					}
				}
				c.Hasher.Bundle = ""
				if len(v.Manifest.Serialization.IgnorePaths) == 0 {
					if _, err := c.Model(t.Context(), model, b); !errors.Is(err, sign.ErrChanged) {
						t.Errorf("the bundle is taken for a part of the model: %v", err)
					}
				}
			}
		})
	}
}

// TestSpecificationVectors parses the vectors of the specification, which are
// about structure alone.
func TestSpecificationVectors(t *testing.T) {
	dir := filepath.Join(vectors(t, "model-signing-spec"), "test-vectors", "v1.0")
	for folder, valid := range map[string]bool{"valid": true, "invalid": false, "invalid-payload": false} {
		all, err := filepath.Glob(filepath.Join(dir, folder, "*.bundle.json"))
		if err != nil {
			t.Fatal(err)
		}
		if len(all) == 0 {
			t.Errorf("%s is empty", folder)
		}
		for _, name := range all {
			b, err := sign.ParseBundle(readFile(t, name))
			if err == nil {
				var s *sign.Statement
				if s, err = b.Statement(); err == nil {
					_, err = s.Manifest()
				}
			}
			if valid && err != nil || !valid && !errors.Is(err, sign.ErrMalformed) {
				t.Errorf("%s/%s: %v", folder, filepath.Base(name), err)
			}
		}
	}
}
