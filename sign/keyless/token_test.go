package keyless_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tensmith/tensmith/sign/keyless"
)

func TestAmbient(t *testing.T) {
	type request struct{ Method, URL, Authorization, Flavor, Body string }
	var got request
	status, answer := http.StatusOK, ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = request{r.Method, r.URL.String(), r.Header.Get("Authorization"), r.Header.Get("Metadata-Flavor"), string(body)}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	defer server.Close()
	mounted := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(mounted, []byte("m.o.u\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	github := map[string]string{"GITHUB_ACTIONS": "true", "ACTIONS_ID_TOKEN_REQUEST_URL": server.URL + "/idtoken?api-version=2.0", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "secret"}
	buildkite := map[string]string{"BUILDKITE_AGENT_ACCESS_TOKEN": "secret", "BUILDKITE_JOB_ID": "0189", "BUILDKITE_AGENT_ENDPOINT": server.URL + "/v3/"}
	google := map[string]string{"GCE_METADATA_HOST": strings.TrimPrefix(server.URL, "http://")}

	for _, c := range []struct {
		name        string
		env         map[string]string
		file        string
		status      int
		answer      string
		token, from string
		request     request
		err, hint   string
	}{
		{name: "variable", env: map[string]string{"SIGSTORE_ID_TOKEN": " a.b.c\n", "GITHUB_ACTIONS": "true"}, token: "a.b.c", from: "SIGSTORE_ID_TOKEN"},
		{name: "mounted", file: mounted, env: github, token: "m.o.u", from: "a mounted token"},
		{name: "GitHub", env: github, answer: `{"count":1,"value":"g.i.t"}`, token: "g.i.t", from: "GitHub Actions",
			request: request{Method: "GET", URL: "/idtoken?api-version=2.0&audience=sigstore", Authorization: "Bearer secret"}},
		{name: "GitHub without permission", env: map[string]string{"GITHUB_ACTIONS": "true"}, err: "identity of GitHub Actions: the job may not ask", hint: "id-token: write"},
		{name: "GitHub refuses", env: github, status: http.StatusForbidden, answer: "no", err: "403 Forbidden: no",
			request: request{Method: "GET", URL: "/idtoken?api-version=2.0&audience=sigstore", Authorization: "Bearer secret"}},
		{name: "no token in the answer", env: github, answer: `{}`, err: "holds no token",
			request: request{Method: "GET", URL: "/idtoken?api-version=2.0&audience=sigstore", Authorization: "Bearer secret"}},
		{name: "Buildkite", env: buildkite, answer: `{"token":"b.u.i"}`, token: "b.u.i", from: "Buildkite",
			request: request{Method: "POST", URL: "/v3/jobs/0189/oidc/tokens", Authorization: "Token secret", Body: `{"audience":"sigstore"}`}},
		{name: "Google", env: google, answer: "g.o.o", token: "g.o.o", from: "Google Cloud",
			request: request{Method: "GET", URL: "/computeMetadata/v1/instance/service-accounts/default/identity?format=full&audience=sigstore", Flavor: "Google"}},
		{name: "nowhere", err: "no ambient identity", hint: "SIGSTORE_ID_TOKEN"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, status, answer = request{}, max(c.status, http.StatusOK), c.answer
			a := keyless.Ambient{Getenv: func(key string) string { return c.env[key] }, File: filepath.Join(t.TempDir(), "none")}
			if c.file != "" {
				a.File = c.file
			}
			token, from, err := a.Token(t.Context())
			if c.name == "nowhere" && from == "Google Cloud" {
				t.Skip("this machine is one of Google's")
			}
			if token != c.token || from != c.from || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("token %q of %q, error %v; want %q of %q, %q", token, from, err, c.token, c.from, c.err)
			}
			if diff := cmp.Diff(c.request, got); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
			var advised *keyless.Error
			if errors.As(err, &advised) != (c.hint != "") || advised != nil && !strings.Contains(advised.Hint, c.hint) {
				t.Errorf("hint of %#v, want %q", advised, c.hint)
			}
			if (c.name == "nowhere") != errors.Is(err, keyless.ErrNoIdentity) {
				t.Errorf("%v: is it that there is none?", err)
			}
		})
	}
}

// provider is one of OpenID Connect that shows a code instead of sending it.
type provider struct {
	*httptest.Server
	key       *rsa.PrivateKey
	challenge string // of the last request, RFC 7636
	nonce     string
	audience  string
}

func newProvider(t *testing.T, key *rsa.PrivateKey) *provider {
	p := &provider{key: key, audience: "sigstore"}
	enc := base64.RawURLEncoding
	answer := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, object{"issuer": p.URL, "authorization_endpoint": p.URL + "/auth", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
			"code_challenge_methods_supported": []string{"S256"}, "id_token_signing_alg_values_supported": []string{"RS256"}})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, object{"keys": []any{object{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "1",
			"n": enc.EncodeToString(key.N.Bytes()), "e": enc.EncodeToString(big.NewInt(int64(key.E)).Bytes())}}})
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		proof := sha256.Sum256([]byte(r.FormValue("code_verifier")))
		if r.FormValue("code") != "the-code" || enc.EncodeToString(proof[:]) != p.challenge || r.FormValue("redirect_uri") != "urn:ietf:wg:oauth:2.0:oob" {
			http.Error(w, `{"error":"invalid_grant"}`, http.StatusBadRequest)
			return
		}
		claims, _ := json.Marshal(object{"iss": p.URL, "aud": p.audience, "sub": "1", "email": someone, "email_verified": true,
			"nonce": p.nonce, "exp": time.Now().Add(time.Minute).Unix()})
		signed := enc.EncodeToString([]byte(`{"alg":"RS256","kid":"1"}`)) + "." + enc.EncodeToString(claims)
		digest := sha256.Sum256([]byte(signed))
		signature, _ := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
		answer(w, object{"access_token": "x", "token_type": "bearer", "id_token": signed + "." + enc.EncodeToString(signature)})
	})
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	return p
}

// person opens what is printed and enters a code.
type person struct {
	t        *testing.T
	provider *provider
	code     string
	said     strings.Builder
	codes    *io.PipeWriter
	query    url.Values
}

func (p *person) Write(b []byte) (int, error) {
	p.said.Write(b)
	if address := regexp.MustCompile(`http://\S+`).FindString(p.said.String()); address != "" && p.query == nil && strings.HasSuffix(p.said.String(), ": ") {
		u, err := url.Parse(address)
		if err != nil {
			p.t.Error(err)
		}
		p.query = u.Query()
		p.provider.challenge, p.provider.nonce = p.query.Get("code_challenge"), p.query.Get("nonce")+p.provider.nonce
		go fmt.Fprintf(p.codes, "%s\n", p.code)
	}
	return len(b), nil
}

func TestOAuthOutOfBand(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, code, err string
		wrong           func(*provider)
	}{
		{"good", "the-code", "", func(*provider) {}},
		{"wrong code", "another", "invalid_grant", func(*provider) {}},
		{"no code", "", "no code was entered", func(*provider) {}},
		{"another's nonce", "the-code", "nonce differs", func(p *provider) { p.nonce = "x" }},
		{"another's token", "the-code", "expected audience", func(p *provider) { p.audience = "someone else" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			provider := newProvider(t, key)
			c.wrong(provider)
			in, codes := io.Pipe()
			defer in.Close()
			who := &person{t: t, provider: provider, code: c.code, codes: codes}
			token, err := keyless.OAuth{Provider: provider.URL, OutOfBand: true, In: in, Out: who}.Token(t.Context())
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Fatalf("error %v, want %q", err, c.err)
			}
			if want := who.query.Get("client_id"); want != "sigstore" {
				t.Errorf("client %q", want)
			}
			if err != nil {
				return
			}
			claims, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
			if err != nil || !strings.Contains(string(claims), someone) {
				t.Errorf("token of %s, %v", claims, err)
			}
		})
	}
	if _, err := (keyless.OAuth{Provider: "http://127.0.0.1:1", OutOfBand: true}).Token(t.Context()); err == nil {
		t.Error("a provider that is not there is accepted")
	}
}
