//go:build pkcs11

package pkcs11_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tensmith/tensmith/sign"
	"github.com/tensmith/tensmith/sign/pkcs11"
)

// TestSoftHSM signs with a key of SoftHSM (Debian: softhsm2), which has been
// put there by its own tool.
func TestSoftHSM(t *testing.T) {
	module := "/usr/lib/softhsm/libsofthsm2.so"
	if _, err := os.Stat(module); err != nil {
		t.Skip("no SoftHSM: ", err)
	}
	dir := t.TempDir()
	conf := filepath.Join(dir, "softhsm2.conf")
	if err := os.WriteFile(conf, []byte("directories.tokendir = "+dir+"\nobjectstore.backend = file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOFTHSM2_CONF", conf)
	run := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("softhsm2-util", args...).CombinedOutput(); err != nil {
			t.Fatalf("softhsm2-util %v: %v\n%s", args, err, out)
		}
	}
	run("--init-token", "--free", "--label", "models", "--so-pin", "0000", "--pin", "1234")
	for i, name := range []string{"p256", "p384", "p521"} {
		run("--import", pkcs8(t, dir, name), "--token", "models", "--label", name, "--id", string(rune('1'+i))+"0", "--pin", "1234")
	}
	payload := []byte(`{"_type":"https://in-toto.io/Statement/v1"}`)
	for _, name := range []string{"p256", "p384", "p521"} {
		key, err := pkcs11.Open("pkcs11:token=models;object=" + name + "?module-path=" + module + "&pin-value=1234")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		bundle, err := sign.Key{Signer: key}.Sign(t.Context(), sign.PayloadType, payload)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		b, err := sign.ParseBundle(bundle)
		if err != nil {
			t.Fatal(err)
		}
		// By the key's public half as it is in a file.
		data, err := os.ReadFile("../testdata/keys/" + name + ".pub.pem")
		if err != nil {
			t.Fatal(err)
		}
		public, err := sign.ParsePublicKey(data)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := (sign.KeyVerifier{Key: public}).Verify(t.Context(), b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := key.Close(); err != nil {
			t.Error(err)
		}
	}
	run("--import", pkcs8(t, dir, "p384"), "--token", "models", "--label", "p256", "--id", "40", "--pin", "1234")
	for uri, want := range map[string]string{
		"token=models;object=nothing?pin-value=1234":   `the token has 0 key pairs of object "nothing"`,
		"token=models;object=p256?pin-value=1234":      `the token has 2 key pairs of object "p256"`,
		"token=models;object=p256;id=%10?pin-value=99": "CKR_PIN_INCORRECT",
		"token=none;object=p256?pin-value=1234":        "could not find PKCS#11 token",
	} {
		if key, err := pkcs11.Open("pkcs11:" + uri + "&module-path=" + module); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v", uri, key, err)
		}
	}
	key, err := pkcs11.Open("pkcs11:token=models;object=p256;id=%40?pin-value=1234&module-path=" + module)
	if err != nil {
		t.Fatal(err)
	}
	if public, ok := key.Public().(*ecdsa.PublicKey); !ok || public.Curve != elliptic.P384() {
		t.Errorf("%T", key.Public())
	}
	if err := key.Close(); err != nil {
		t.Error(err)
	}
}

// pkcs8 writes a key of sign's test data in the form that the tool imports.
func pkcs8(t *testing.T, dir, name string) string {
	t.Helper()
	data, err := os.ReadFile("../testdata/keys/" + name + ".pem")
	if err != nil {
		t.Fatal(err)
	}
	key, err := sign.ParsePrivateKey(data, nil)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, name+".p8")
	if err := os.WriteFile(out, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return out
}
