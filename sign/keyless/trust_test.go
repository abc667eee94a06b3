package keyless_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tensmith/tensmith/sign/keyless"
)

func TestPublicGood(t *testing.T) {
	public, err := keyless.PublicGood()
	if err != nil {
		t.Fatal(err)
	}
	if public.AsOf.Before(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)) || !public.CanSign() || public.Provider() != "https://oauth2.sigstore.dev/auth" {
		t.Errorf("%+v, %s", public, public.Provider())
	}
}

func TestParseTrust(t *testing.T) {
	i := newInstance(t)
	config := i.trustConfig()
	if got := trust(t, config); !got.CanSign() || got.Provider() != i.URL+"/oidc" || !got.AsOf.IsZero() {
		t.Errorf("%+v, %s", got, got.Provider())
	}
	if got := trust(t, i.trustedRoot()); got.CanSign() || got.Provider() != "" {
		t.Errorf("%+v, %s", got, got.Provider())
	}
	old := i.trustConfig()
	old["signingConfig"].(object)["mediaType"] = "application/vnd.dev.sigstore.signingconfig.v0.1+json"
	for _, c := range []struct{ name, content, err, hint string }{
		{"nothing", "", "no trusted root", ""},
		{"no JSON", "{", "no trusted root", ""},
		{"another document", `{"mediaType":"application/json"}`, `mediaType "application/json" is that of no trusted root`, "clienttrustconfig"},
		{"a bundle", string(vector(t, "v1.1.0")), "is that of no trusted root", "clienttrustconfig"},
		{"a version to come", `{"mediaType":"application/vnd.dev.sigstore.trustedroot.v9+json"}`, "unsupported TrustedRoot media type", ""},
		{"half a configuration", `{"mediaType":"application/vnd.dev.sigstore.clienttrustconfig.v0.1+json","trustedRoot":{}}`, "has a trustedRoot and a signingConfig", ""},
		{"an old configuration", string(mustJSON(t, old)), "unsupported SigningConfig media type", ""},
		{"a broken key", strings.Replace(string(mustJSON(t, i.trustedRoot())), `"keyDetails":"PKIX_ED25519"`, `"keyDetails":"PKIX_ECDSA_P256_SHA_256"`, 1), "trusted root: tlog public key is not ECDSA", ""},
	} {
		_, err := keyless.ParseTrust("trust.json", []byte(c.content))
		if err == nil || !strings.HasPrefix(err.Error(), "trust.json: ") || !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.err)
		}
		var advised *keyless.Error
		if errors.As(err, &advised) != (c.hint != "") || advised != nil && !strings.Contains(advised.Hint, c.hint) {
			t.Errorf("%s: hint of %#v, want %q", c.name, advised, c.hint)
		}
	}
}

// The file that is built in is the one whose digest its README names.
func TestPublicGoodFile(t *testing.T) {
	content, err := os.ReadFile("publicgood/trusted_root.json")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("publicgood/README.md")
	if err != nil {
		t.Fatal(err)
	}
	if sum := hexSum(content); !strings.Contains(string(readme), sum) {
		t.Errorf("its SHA-256 is %s, which README.md does not name", sum)
	}
	asOf, err := os.ReadFile("publicgood/as-of.txt")
	if err != nil {
		t.Fatal(err)
	}
	public, err := keyless.PublicGood()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.TrimSpace(string(asOf)), public.AsOf.Format(time.DateOnly)); diff != "" {
		t.Error(diff)
	}
}

func FuzzParseTrust(f *testing.F) {
	content, err := os.ReadFile("publicgood/trusted_root.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(content)
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.clienttrustconfig.v0.1+json","trustedRoot":{},"signingConfig":{}}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		if trust, err := keyless.ParseTrust("x", content); (trust == nil) == (err == nil) {
			t.Errorf("both or neither of a trust and %v", err)
		}
	})
}
