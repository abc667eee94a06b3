package keyless_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/tensmith/tensmith/sign"
	"github.com/tensmith/tensmith/sign/keyless"
)

const (
	someone = "someone@example.com"
	issuer  = "https://accounts.example"
)

// payload is a statement of OMS about a file "a" that holds "a".
var payload = []byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"m","digest":{"sha256":` +
	`"bf5d3affb73efd2ec6c36ad3112dd933efed63c4e1cbffcfa88e2759c144f2d8"}}],"predicateType":"https://model_signing/signature/v1.0",` +
	`"predicate":{"serialization":{"method":"files","hash_type":"sha256","allow_symlinks":false},"resources":[{"name":"a","algorithm":"sha256",` +
	`"digest":"ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"}]}}`)

// signs makes a bundle by an instance.
func signs(t *testing.T, s keyless.Signer) []byte {
	t.Helper()
	signed, err := s.Sign(t.Context(), sign.PayloadType, payload)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func parse(t *testing.T, content []byte) *sign.Bundle {
	t.Helper()
	b, err := sign.ParseBundle(content)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSign(t *testing.T) {
	i := newInstance(t)
	plain, tiles, both, older := i.trustConfig(), i.trustConfig(), i.trustConfig(), i.trustConfig()
	services := func(document map[string]any) map[string]any { return document["signingConfig"].(map[string]any) }
	one := services(plain)["rekorTlogUrls"].([]any)[0].(map[string]any)
	two := map[string]any{"url": one["url"], "majorApiVersion": 2, "operator": "example", "validFor": one["validFor"]}
	services(tiles)["rekorTlogUrls"] = []any{two}
	services(both)["rekorTlogUrls"] = []any{one, two}
	delete(services(older), "tsaUrls")

	for _, c := range []struct {
		name   string
		config map[string]any
		rekor  int
		asked  []string
		source string // of the time
	}{
		{"v1", plain, 0, []string{"/api/v2/signingCert", "/stamp", "/api/v1/log/entries"}, "rfc3161"},
		{"v1 without timestamp authority", older, 0, []string{"/api/v2/signingCert", "/api/v1/log/entries"}, "rekor"},
		{"v2", tiles, 0, []string{"/api/v2/signingCert", "/stamp", "/api/v2/log/entries"}, "rfc3161"},
		{"v1 chosen", both, 1, []string{"/api/v2/signingCert", "/stamp", "/api/v1/log/entries"}, "rfc3161"},
		{"v2 chosen", both, 2, []string{"/api/v2/signingCert", "/stamp", "/api/v2/log/entries"}, "rfc3161"},
	} {
		t.Run(c.name, func(t *testing.T) {
			i.asked = nil
			made := trust(t, c.config)
			if !made.CanSign() {
				t.Fatal("a trust configuration cannot sign")
			}
			signed := signs(t, keyless.Signer{Trust: made, Token: token(someone, issuer, time.Now().Add(time.Minute)), Rekor: c.rekor})
			if diff := cmp.Diff(c.asked, i.asked); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
			if b := parse(t, signed); string(b.Payload) != string(payload) || b.MediaType != sign.MediaType {
				t.Errorf("the bundle, %s, holds %s", b.MediaType, b.Payload)
			}
			v := keyless.Verifier{Trust: trust(t, i.trustedRoot()), Identities: []keyless.Identity{{Subject: someone, Issuer: issuer}}}
			got, err := v.Evidence(t.Context(), parse(t, signed))
			if err != nil {
				t.Fatal(err)
			}
			if age := time.Since(got.Time); age < -2*time.Second || age > time.Minute {
				t.Errorf("signed at %s, %s ago", got.Time, age)
			}
			if got.Logged.IsZero() == (c.rekor == 0 && !strings.HasPrefix(c.name, "v2") || c.rekor == 1) {
				t.Errorf("logged at %s", got.Logged)
			}
			want := &keyless.Evidence{
				Signer: sign.Signer{Method: sign.MethodSigstore, Subject: someone, Identity: someone, Issuer: issuer, TimeSource: c.source},
				Log:    "https://rekor.example", LogIndex: got.LogIndex, TrustSource: "instance.json",
			}
			want.Warnings = []string{"the trusted root (instance.json) knows no log of certificates: that the certificate was made public was not verified"}
			if diff := cmp.Diff(want, got, cmpopts.IgnoreTypes(time.Time{})); diff != "" {
				t.Errorf("evidence (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSignRefused(t *testing.T) {
	i := newInstance(t)
	config := i.trustConfig()
	good := token(someone, issuer, time.Now().Add(time.Minute))
	without := func(keys ...string) map[string]any {
		var document map[string]any
		content, _ := json.Marshal(config)
		if err := json.Unmarshal(content, &document); err != nil {
			t.Fatal(err)
		}
		for _, key := range keys {
			delete(document["signingConfig"].(map[string]any), key)
		}
		return document
	}
	tiles := without("tsaUrls")
	for _, log := range tiles["signingConfig"].(map[string]any)["rekorTlogUrls"].([]any) {
		log.(map[string]any)["majorApiVersion"] = 2
	}
	stranger := without()
	stranger["trustedRoot"] = newInstance(t).trustedRoot()

	for _, c := range []struct {
		name   string
		signer keyless.Signer
		wrong  func(*instance)
		err    string
		hint   string
		asked  bool
	}{
		{"no token", keyless.Signer{Trust: trust(t, config)}, nil, "no identity to sign with", "--identity-token", false},
		{"no JWT", keyless.Signer{Trust: trust(t, config), Token: "abc"}, nil, "no JSON Web Token", "", false},
		{"expired", keyless.Signer{Trust: trust(t, config), Token: token(someone, issuer, time.Now().Add(-time.Minute))}, nil,
			"expired 60 seconds ago", "just before", false},
		{"trusted root alone", keyless.Signer{Trust: trust(t, i.trustedRoot()), Token: good}, nil,
			"the trust (instance.json) names no services", "--trust-config", false},
		{"no certificate authority", keyless.Signer{Trust: trust(t, without("caUrls")), Token: good}, nil,
			"signing configuration (instance.json): certificate authority", "", false},
		{"no log", keyless.Signer{Trust: trust(t, config), Token: good, Rekor: 2}, nil,
			"signing configuration (instance.json): transparency log", "", false},
		{"v2 without time", keyless.Signer{Trust: trust(t, tiles), Token: good}, nil, "tells no time", "", false},
		{"unknown issuer", keyless.Signer{Trust: trust(t, config), Token: token(someone, "https://unknown.example", time.Now().Add(time.Minute))}, nil,
			"certificate authority " + i.URL + ": Fulcio returned 400", "its audience (aud) sigstore", true},
		{"certificate authority down", keyless.Signer{Trust: trust(t, config), Token: good}, func(i *instance) { i.down["/api/v2/signingCert"] = 503 },
			"Fulcio returned 503: closed for today", "", true},
		{"timestamp authority down", keyless.Signer{Trust: trust(t, config), Token: good}, func(i *instance) { i.down["/stamp"] = 404 },
			"closed for today", "", true},
		{"log down", keyless.Signer{Trust: trust(t, config), Token: good}, func(i *instance) { i.down["/api/v1/log/entries"] = 404 },
			"transparency log " + i.URL, "", true},
		{"certificate of yesterday", keyless.Signer{Trust: trust(t, config), Token: good}, func(i *instance) { i.leafFrom = time.Now().Add(-time.Hour) },
			"have signed what does not verify: keyless: signature does not verify", "", true},
		{"another instance's root", keyless.Signer{Trust: trust(t, stranger), Token: good}, nil,
			"does not know the log", "--trusted-root", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if testing.Short() && c.name == "certificate authority down" {
				t.Skip("it is asked twice, with three seconds of waiting")
			}
			i.asked, i.leafFrom, i.down = nil, time.Time{}, map[string]int{}
			if c.wrong != nil {
				c.wrong(i)
			}
			// What needs nobody to be asked, Check says; a token may still come.
			switch err := c.signer.Check(); {
			case c.asked || c.signer.Token == "":
				if err != nil {
					t.Errorf("Check: %v", err)
				}
			case err == nil || !strings.Contains(err.Error(), c.err):
				t.Errorf("Check: error %v, want %q", err, c.err)
			}
			_, err := c.signer.Sign(t.Context(), sign.PayloadType, payload)
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Fatalf("error %v, want %q", err, c.err)
			}
			var advised *keyless.Error
			if errors.As(err, &advised) != (c.hint != "") || advised != nil && !strings.Contains(advised.Hint, c.hint) {
				t.Errorf("hint of %#v, want %q", advised, c.hint)
			}
			if asked := len(i.asked) > 0; asked != c.asked {
				t.Errorf("asked %v", i.asked)
			}
		})
	}
}

// A service that does not answer is left when the context ends, whichever it is.
func TestSignEndsWithContext(t *testing.T) {
	i := newInstance(t)
	i.hang = make(chan struct{})
	defer close(i.hang)
	s := keyless.Signer{Trust: trust(t, i.trustConfig()), Token: token(someone, issuer, time.Now().Add(time.Minute))}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := s.Sign(ctx, sign.PayloadType, payload); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Sign: %v", err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := keyless.Stamp(i.URL+"/stamp")(ctx, []byte("x")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Stamp: %v", err)
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("after %s", d)
	}
}

func TestStamp(t *testing.T) {
	i := newInstance(t)
	signature := []byte("a signature")
	token, err := keyless.Stamp(i.URL+"/stamp")(t.Context(), signature)
	if err != nil {
		t.Fatal(err)
	}
	chain, err := keyless.ParseTimestampAuthority("tsa.pem", []byte("words before\n"+pemOf(i.stamper)+pemOf(i.root)))
	if err != nil {
		t.Fatal(err)
	}
	for name, who := range map[string]*keyless.Trust{"trusted root": trust(t, i.trustedRoot()), "chain": chain} {
		when, err := who.Time(token, signature)
		if age := time.Since(when); err != nil || age < -2*time.Second || age > time.Minute {
			t.Errorf("%s: %s, %v", name, when, err)
		}
		if _, err := who.Time(token, []byte("another signature")); err == nil {
			t.Errorf("%s: a timestamp over something else is accepted", name)
		}
		if _, err := who.Time(slices.Concat(token[:len(token)-1], []byte{token[len(token)-1] ^ 1}), signature); err == nil {
			t.Errorf("%s: a timestamp of another signature is accepted", name)
		}
	}
	public, err := keyless.PublicGood()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := public.Time(token, signature); err == nil {
		t.Error("a timestamp of an unknown authority is accepted")
	}
	for _, content := range []string{"", "no PEM", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"} {
		if _, err := keyless.ParseTimestampAuthority("tsa.pem", []byte(content)); err == nil {
			t.Errorf("%q is accepted", content)
		}
	}
}
