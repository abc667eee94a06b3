package sign_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tensmith/tensmith/sign"
)

func privateKey(t testing.TB, name string) crypto.Signer {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata/keys", name+".pem"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := sign.ParsePrivateKey(data, nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func certificates(t *testing.T, names ...string) (all []*x509.Certificate) {
	t.Helper()
	for _, name := range names {
		some, err := sign.ParseCertificates(readFile(t, filepath.Join("testdata/keys", name+".crt")))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, some...)
	}
	return all
}

// TestPrivateKeyForms reads one key in every form that OpenSSL and cosign keep
// keys in.
func TestPrivateKeyForms(t *testing.T) {
	want, err := sign.KeyHint(privateKey(t, "p256").Public())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		form      string
		encrypted bool
	}{
		{"p256-pkcs8", false},
		{"p256-text", false},
		{"p256-pbkdf2-sha256", true},
		{"p256-pbkdf2-sha512", true},
		{"p256-pbkdf2-sha512-256", true},
		{"p256-pbkdf2-sha1-des3", true},
		{"p256-scrypt", true},
		{"p256-dek", true},
		{"p256-cosign", true},
	} {
		data := readFile(t, filepath.Join("testdata/keys", c.form+".pem"))
		key, err := sign.ParsePrivateKey(data, []byte("secret"))
		if err != nil {
			t.Errorf("%s: %v", c.form, err)
			continue
		}
		if got, err := sign.KeyHint(key.Public()); err != nil || got != want {
			t.Errorf("%s: key %s, %v", c.form, got, err)
		}
		if !c.encrypted {
			continue
		}
		for _, password := range []string{"", "Secret"} {
			if _, err := sign.ParsePrivateKey(data, []byte(password)); !errors.Is(err, sign.ErrPassword) {
				t.Errorf("%s with password %q: %v", c.form, password, err)
			}
		}
	}
	_, err = sign.ParsePrivateKey(readFile(t, "testdata/keys/p256-pbes1.pem"), []byte("secret"))
	if !errors.Is(err, sign.ErrMalformed) || !strings.Contains(err.Error(), "-v2 aes256") {
		t.Errorf("PBES1: %v", err)
	}
	for _, text := range []string{"", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		if _, err := sign.ParsePrivateKey([]byte(text), nil); !errors.Is(err, sign.ErrMalformed) || errors.Is(err, sign.ErrPassword) || strings.Contains(err.Error(), "asn1") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// statement is a payload to sign.
func statement(t testing.TB) []byte {
	t.Helper()
	s := sign.Statement{
		Subject:       []sign.Subject{{Name: "x", Digest: map[string]string{"sha256": strings.Repeat("0", 64)}}},
		PredicateType: "https://example.com/said/v1",
		Predicate:     []byte(`{"a":"<&>"}`),
	}
	payload, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

func parse(t testing.TB, bundle []byte, err error) *sign.Bundle {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	b, err := sign.ParseBundle(bundle)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestKeys signs with each kind of key, and verifies with each.
func TestKeys(t *testing.T) {
	payload := statement(t)
	// The standard library does not know this curve.
	if _, err := sign.ParsePrivateKey(readFile(t, "testdata/keys/k256.pem"), nil); !errors.Is(err, sign.ErrMalformed) {
		t.Errorf("k256: %v", err)
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (sign.Key{Signer: p224, Nonstandard: true}).Sign(t.Context(), sign.PayloadType, payload); !errors.Is(err, sign.ErrRefused) {
		t.Errorf("p224: %v", err)
	}
	kinds := []string{"p256", "p384", "p521", "ed25519", "rsa"}
	for _, kind := range kinds {
		key := sign.Key{Signer: privateKey(t, kind)}
		standard := slices.Contains(kinds[:3], kind)
		if _, err := key.Sign(t.Context(), sign.PayloadType, payload); standard != (err == nil) || !standard && !errors.Is(err, sign.ErrRefused) {
			t.Errorf("%s: %v", kind, err)
		}
		key.Nonstandard = true
		bundle, err := key.Sign(t.Context(), sign.PayloadType, payload)
		b := parse(t, bundle, err)
		if string(b.Payload) != string(payload) || b.Method != sign.MethodKey {
			t.Errorf("%s: %s of %s", kind, b.Method, b.Payload)
		}
		for _, other := range kinds {
			v := sign.KeyVerifier{Key: privateKey(t, other).Public(), Nonstandard: true}
			if s, err := v.Verify(t.Context(), b); (err == nil) != (kind == other) || err != nil && !errors.Is(err, sign.ErrSignature) {
				t.Errorf("%s by %s: %v", kind, other, err)
			} else if err == nil && s.KeyHint != b.KeyHint {
				t.Errorf("%s: hint %q", kind, s.KeyHint)
			}
			v.Nonstandard = false
			if _, err := v.Verify(t.Context(), b); kind == other && standard != (err == nil) {
				t.Errorf("%s, the standard alone: %v", kind, err)
			}
		}
	}
}

// TestHint has bundles that name another key, or none.
func TestHint(t *testing.T) {
	key := privateKey(t, "p256")
	v := sign.KeyVerifier{Key: key.Public()}
	bundle, err := sign.Key{Signer: key}.Sign(t.Context(), sign.PayloadType, statement(t))
	b := parse(t, bundle, err)
	for old, want := range map[string]struct {
		warnings int
		err      error
	}{
		`{"hint":"` + b.KeyHint + `"}`:                   {0, nil},
		`{"hint":""}`:                                    {1, nil},
		`{"hint":"` + b.KeyHint + `","other":[1]}`:       {0, nil},
		`{"rawBytes":"AAAA"}`:                            {1, nil},
		`{"hint":"` + strings.ToUpper(b.KeyHint) + `"}`:  {0, sign.ErrSignature},
		`{"hint":"` + strings.Repeat("0", 64) + `"}`:     {0, sign.ErrSignature},
		`{"hint":"` + b.KeyHint + `","rawBytes":"AAAA"}`: {0, nil},
	} {
		text := strings.Replace(string(bundle), `{"hint":"`+b.KeyHint+`"}`, old, 1)
		s, err := v.Verify(t.Context(), parse(t, []byte(text), nil))
		if !errors.Is(err, want.err) || err == nil && len(s.Warnings) != want.warnings {
			t.Errorf("%s: %v, %+v", old, err, s)
		}
	}
}

// TestCertificates signs with certificates, and verifies at several times.
func TestCertificates(t *testing.T) {
	payload := statement(t)
	roots := rootsOf(t, "testdata/keys/root.crt")
	for _, c := range []struct {
		leaf, key string
		chain     []string
		verifier  sign.CertificateVerifier
		sign, ok  bool
	}{
		{"leaf-p256", "p256", []string{"between"}, sign.CertificateVerifier{Roots: roots}, true, true},
		{"leaf-p384", "p384", []string{"between", "root"}, sign.CertificateVerifier{Roots: roots}, true, true},
		{"leaf-p521", "p521", []string{"between"}, sign.CertificateVerifier{Roots: roots}, true, true},
		{"leaf-code", "p256", []string{"between"}, sign.CertificateVerifier{Roots: roots}, true, true},
		{"leaf-p256", "p256", nil, sign.CertificateVerifier{Roots: roots}, true, false},
		{"leaf-p256", "p256", []string{"between", "root"}, sign.CertificateVerifier{Roots: rootsOf(t, "testdata/keys/other-root.crt")}, true, false},
		{"leaf-p256", "p384", []string{"between"}, sign.CertificateVerifier{Roots: roots}, false, false},
		{"leaf-useless", "p256", []string{"between"}, sign.CertificateVerifier{Roots: roots}, false, false},
		{"leaf-expired", "p256", []string{"between"}, sign.CertificateVerifier{Roots: roots, Now: time.Date(2090, 1, 1, 0, 0, 0, 0, time.UTC)}, true, false},
		{"leaf-expired", "p256", []string{"between"}, sign.CertificateVerifier{Roots: roots, AtNotBefore: true}, true, true},
	} {
		chain := certificates(t, append([]string{c.leaf}, c.chain...)...)
		bundle, err := sign.Certificate{Signer: privateKey(t, c.key), Chain: chain}.Sign(t.Context(), sign.PayloadType, payload)
		if c.sign != (err == nil) || err != nil && !errors.Is(err, sign.ErrRefused) {
			t.Errorf("%s with %s: %v", c.leaf, c.key, err)
		}
		if err != nil {
			continue
		}
		b := parse(t, bundle, err)
		s, err := c.verifier.Verify(t.Context(), b)
		if c.ok != (err == nil) || err != nil && !errors.Is(err, sign.ErrSignature) {
			t.Errorf("%s %v: %v", c.leaf, c.chain, err)
		}
		if err == nil && (s.Subject != "CN="+c.leaf || s.Issuer != "CN=between" || s.KeyHint == "" || s.Time.IsZero()) {
			t.Errorf("%s: %+v", c.leaf, s)
		}
	}
	for _, kind := range []string{"ed25519", "rsa"} {
		c := sign.Certificate{Signer: privateKey(t, kind), Chain: certificates(t, "leaf-"+kind, "between")}
		if _, err := c.Sign(t.Context(), sign.PayloadType, payload); !errors.Is(err, sign.ErrRefused) {
			t.Errorf("%s: %v", kind, err)
		}
		c.Nonstandard = true
		bundle, err := c.Sign(t.Context(), sign.PayloadType, payload)
		v := sign.CertificateVerifier{Roots: roots}
		if _, err := v.Verify(t.Context(), parse(t, bundle, err)); !errors.Is(err, sign.ErrRefused) {
			t.Errorf("%s: %v", kind, err)
		}
		v.Nonstandard = true
		if _, err := v.Verify(t.Context(), parse(t, bundle, err)); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// TestSystemRoots trusts whom the system trusts, and says what that means.
func TestSystemRoots(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere the roots of the system are in no file")
	}
	t.Setenv("SSL_CERT_FILE", "testdata/keys/root.crt")
	t.Setenv("SSL_CERT_DIR", t.TempDir())
	bundle, err := sign.Certificate{Signer: privateKey(t, "p256"), Chain: certificates(t, "leaf-p256", "between")}.Sign(t.Context(), sign.PayloadType, statement(t))
	b := parse(t, bundle, err)
	s, err := sign.CertificateVerifier{}.Verify(t.Context(), b)
	if err != nil || len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0], "any certificate of theirs") {
		t.Errorf("%+v, %v", s, err)
	}
	s, err = sign.CertificateVerifier{Roots: rootsOf(t, "testdata/keys/root.crt")}.Verify(t.Context(), b)
	if err != nil || s.Warnings != nil {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestOldEncoding verifies what is signed in the way of model_signing 0.2.0 if
// the statement is one of its own, and nothing else.
func TestOldEncoding(t *testing.T) {
	subject := `"subject":[{"name":"a","digest":{"sha256":"` + strings.Repeat("0", 64) + `"}}]`
	for predicate, want := range map[string]error{
		"https://model_signing/Digests/v0.1":   nil,
		"https://model_signing/signature/v1.0": sign.ErrSignature,
		"https://example.com/said/v1":          sign.ErrSignature,
	} {
		payload := `{"_type":"https://in-toto.io/Statement/v1",` + subject + `,"predicateType":"` + predicate + `","predicate":{}}`
		sum := sha256.Sum256([]byte(fmt.Sprintf("DSSEV1 %d %s %d b'%s'", len(sign.PayloadType), sign.PayloadType, len(payload), payload)))
		signature, err := privateKey(t, "p256").Sign(rand.Reader, sum[:], crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		base := base64.StdEncoding.EncodeToString
		b, err := sign.ParseBundle([]byte(`{"mediaType":"` + sign.MediaType + `","verificationMaterial":{"publicKey":{"hint":""}},"dsseEnvelope":{"payload":"` +
			base([]byte(payload)) + `","payloadType":"` + sign.PayloadType + `","signatures":[{"sig":"` + base(signature) + `"}]}}`))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := keyVerifier(t, "p256").Verify(t.Context(), b); !errors.Is(err, want) {
			t.Errorf("%s: %v", predicate, err)
		}
	}
}

// TestPublicKeyOfAnotherKind says how to come by a public key.
func TestPublicKeyOfAnotherKind(t *testing.T) {
	for name, want := range map[string]string{
		"p256-pkcs8.pem": `one of "PRIVATE KEY": openssl makes it of a private key by pkey -pubout`,
		"leaf-p256.crt":  `one of "CERTIFICATE"`,
	} {
		_, err := sign.ParsePublicKey(readFile(t, filepath.Join("testdata/keys", name)))
		if !errors.Is(err, sign.ErrMalformed) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTimestamps has an authority say when a certificate was used that has
// expired since.
func TestTimestamps(t *testing.T) {
	leaf := certificates(t, "leaf-expired", "between")
	var stamped []byte
	c := sign.Certificate{Signer: privateKey(t, "p256"), Chain: leaf, Stamp: func(_ context.Context, signature []byte) ([]byte, error) {
		stamped = signature
		return []byte("token"), nil
	}}
	bundle, err := c.Sign(t.Context(), sign.PayloadType, statement(t))
	b := parse(t, bundle, err)
	if string(stamped) != string(b.Signature) || len(b.Timestamps) != 1 || string(b.Timestamps[0]) != "token" {
		t.Fatalf("timestamps %q", b.Timestamps)
	}
	v := sign.CertificateVerifier{Roots: rootsOf(t, "testdata/keys/root.crt"), Now: leaf[0].NotAfter.Add(time.Hour)}
	if _, err := v.Verify(t.Context(), b); !errors.Is(err, sign.ErrSignature) {
		t.Errorf("without authority: %v", err)
	}
	for _, tell := range []struct {
		at  time.Time
		err error
		ok  bool
	}{
		{leaf[0].NotBefore.Add(time.Minute), nil, true},
		{leaf[0].NotAfter.Add(time.Minute), nil, false},
		{time.Time{}, errors.New("no token"), false},
	} {
		v.Timestamp = func(token, signature []byte) (time.Time, error) {
			if string(token) != "token" || string(signature) != string(b.Signature) {
				t.Errorf("asked for %q", token)
			}
			return tell.at, tell.err
		}
		s, err := v.Verify(t.Context(), b)
		if tell.ok != (err == nil) || err != nil && !errors.Is(err, sign.ErrSignature) {
			t.Errorf("at %v: %v", tell.at, err)
		}
		if err == nil && (s.TimeSource != "rfc3161" || !s.Time.Equal(tell.at)) {
			t.Errorf("%+v", s)
		}
	}
	failing := errors.New("no authority")
	c.Stamp = func(context.Context, []byte) ([]byte, error) { return nil, failing }
	if _, err := c.Sign(t.Context(), sign.PayloadType, statement(t)); !errors.Is(err, failing) {
		t.Errorf("authority fails: %v", err)
	}
}
