package interop_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	ct "github.com/google/certificate-transparency-go"
	cttls "github.com/google/certificate-transparency-go/tls"
	"github.com/tensmith/tensmith/sign"
	"github.com/tensmith/tensmith/sign/keyless"
)

// TestKeyless signs a model with an identity in an instance of Sigstore that
// runs on this machine, and has everyone verify it. docs/keyless.md says how
// to get the programs.
//
//	TENSMITH_SIGSTORE=DIR          folder with fulcio, rekor-server, timestamp-server; cosign, if it is to verify
//	TENSMITH_NODE_MODULES=DIR      folder with npm's @sigstore/verify, if it is to verify
//	TENSMITH_MODEL_SIGNING=PROGRAM model_signing, if it is to verify
//	TENSMITH_KEEP=DIR              where to leave the trust configuration, the model and its signature
func TestKeyless(t *testing.T) {
	programs := os.Getenv("TENSMITH_SIGSTORE")
	if programs == "" {
		t.Skip("TENSMITH_SIGSTORE names no folder with fulcio, rekor-server and timestamp-server")
	}
	dir := os.Getenv("TENSMITH_KEEP")
	if dir == "" {
		dir = t.TempDir()
	}
	s := startSigstore(t, programs, dir)
	config := s.write("trust-config.json", s.trustConfig)
	trustedRoot := s.write("trusted_root.json", s.trustConfig["trustedRoot"])

	model := filepath.Join(dir, "model")
	if err := os.MkdirAll(model, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"config.json": `{"model_type":"none"}`, "weights.safetensors": "not really"} {
		if err := os.WriteFile(filepath.Join(model, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	hashed, err := new(sign.Hasher).Hash(t.Context(), model)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := hashed.Manifest.Statement().Encode()
	if err != nil {
		t.Fatal(err)
	}

	content, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	trust, err := keyless.ParseTrust(config, content)
	if err != nil {
		t.Fatal(err)
	}
	const identity = "someone@example.com"
	// A log's first entry has the index zero and a proof without hashes, which
	// JSON of protocol buffers leaves out, and model_signing misses.
	if _, err := (keyless.Signer{Trust: trust, Token: s.token("first@example.com")}).Sign(t.Context(), sign.PayloadType, payload); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	signed, err := keyless.Signer{Trust: trust, Token: s.token(identity)}.Sign(t.Context(), sign.PayloadType, payload)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("signed in %s: %d bytes", time.Since(start).Round(time.Millisecond), len(signed))
	signature := filepath.Join(dir, "model.sig")
	if err := os.WriteFile(signature, signed, 0o644); err != nil {
		t.Fatal(err)
	}

	bundle, err := sign.ParseBundle(signed)
	if err != nil {
		t.Fatal(err)
	}
	verifier := keyless.Verifier{Trust: trust, Identities: []keyless.Identity{{Subject: identity, Issuer: s.issuer}}}
	found, err := verifier.Evidence(t.Context(), bundle)
	if err != nil {
		t.Fatal(err)
	}
	if found.Identity != identity || found.TimeSource != "rfc3161" || found.Log != "https://rekor.local" || len(found.Warnings) != 0 {
		t.Errorf("evidence %+v", found)
	}
	t.Logf("tensmith: signed by %s of %s at %s (%s), entry %d of %s", found.Identity, found.Issuer,
		found.Time.Format(time.RFC3339), found.TimeSource, found.LogIndex, found.Log)
	for _, wrong := range []keyless.Identity{{Subject: "x@example.com", Issuer: s.issuer}, {Subject: identity, Issuer: "https://accounts.example"}} {
		verifier.Identities = []keyless.Identity{wrong}
		if _, err := verifier.Verify(t.Context(), bundle); err == nil {
			t.Errorf("%s is accepted", wrong)
		}
	}
	forged := s.token(identity)
	forged = forged[:strings.LastIndex(forged, ".")] + s.token("x@example.com")[strings.LastIndex(s.token("x@example.com"), "."):]
	if _, err := (keyless.Signer{Trust: trust, Token: forged}).Sign(t.Context(), sign.PayloadType, payload); err == nil {
		t.Error("a forged token is accepted")
	} else {
		t.Logf("tensmith: a forged token: %v", err)
	}

	// The same by the command.
	tensmith := filepath.Join(t.TempDir(), "tensmith")
	if out, err := exec.Command("go", "build", "-o", tensmith, "../cmd/tensmith").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	ours := filepath.Join(dir, "cmd.sig")
	run(t, true, tensmith, "sign", "sigstore", "--trust-config", config, "--identity-token", s.token(identity), "--signature", ours, "--force", model)
	verify := []string{"verify", "sigstore", "--signature", ours, "--identity-provider", s.issuer, "--identity"}
	run(t, true, tensmith, append(verify, identity, "--trust-config", config, model)...)
	run(t, true, tensmith, append(verify, identity, "--trusted-root", trustedRoot, model)...)
	run(t, false, tensmith, append(verify, "x@example.com", "--trust-config", config, model)...)
	run(t, false, tensmith, append(verify, identity, model)...) // by the public instance
	out, err := exec.Command(tensmith, append(verify, identity, "--trust-config", config, "--json", model)...).Output()
	if err != nil || !bytes.Contains(out, []byte(`"url": "https://rekor.local"`)) {
		t.Errorf("the log is not told: %v\n%s", err, out)
	}
	ambient := exec.Command(tensmith, "sign", "--trust-config", config, "--use-ambient-credentials", "--signature", ours, "--force", model)
	ambient.Env = append(os.Environ(), "SIGSTORE_ID_TOKEN="+s.token(identity))
	if out, err := ambient.CombinedOutput(); err != nil {
		t.Errorf("ambient: %v\n%s", err, out)
	}
	run(t, true, tensmith, append(verify, identity, "--trust-config", config, model)...)
	stamped(t, s, tensmith, dir, model, trustedRoot)

	// Everyone else verifies it, and refuses another digest, identity or model.
	root := rootDigest(t, payload)
	run(t, true, filepath.Join(programs, "cosign"), cosign(signature, trustedRoot, identity, s.issuer, root)...)
	run(t, false, filepath.Join(programs, "cosign"), cosign(signature, trustedRoot, "x@example.com", s.issuer, root)...)
	run(t, false, filepath.Join(programs, "cosign"), cosign(signature, trustedRoot, identity, s.issuer, strings.Repeat("0", 64))...)
	if modules := os.Getenv("TENSMITH_NODE_MODULES"); modules != "" {
		run(t, true, "node", "keyless.cjs", modules, signature, trustedRoot, identity, s.issuer)
		run(t, false, "node", "keyless.cjs", modules, signature, trustedRoot, "x@example.com", s.issuer)
	}
	if python := os.Getenv("TENSMITH_MODEL_SIGNING"); python != "" {
		verify = []string{"verify", "sigstore", "--signature", signature, "--trust_config", config, "--identity_provider", s.issuer, "--identity"}
		run(t, true, python, append(verify, identity, model)...)
		run(t, false, python, append(verify, "x@example.com", model)...)

		// The other way: what it signs, we verify.
		theirs := filepath.Join(dir, "theirs.sig")
		if run(t, true, python, "sign", "sigstore", "--trust_config", config, "--identity_token", s.token(identity), "--signature", theirs, model) {
			b, err := sign.ReadBundle(theirs)
			if err != nil {
				t.Fatal(err)
			}
			verifier.Identities = []keyless.Identity{{Subject: identity, Issuer: s.issuer}}
			who, err := verifier.Verify(t.Context(), b)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("tensmith: model_signing's is signed by %s at %s (%s)", who.Identity, who.Time.Format(time.RFC3339), who.TimeSource)
		}
	}
}

// stamped signs with a key and with a certificate that lasts for seconds: it
// verifies afterwards by the timestamp, and only by it.
func stamped(t *testing.T, s *sigstore, tensmith, dir, model, trustedRoot string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	s.must(err)
	s.writeKey("stamped-key.pem", key)
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "stamped"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(3 * time.Second), KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	s.must(err)
	s.writePEM("stamped.pem", "CERTIFICATE", der)
	s.writePEM("stamped-pub.pem", "PUBLIC KEY", s.spki(key.Public()))
	chain := s.path("tsa.pem")
	s.must(os.WriteFile(chain, s.stampers, 0o644))

	bundle := filepath.Join(dir, "stamped.sig")
	run(t, true, tensmith, "sign", "certificate", "--private-key", s.path("stamped-key.pem"), "--signing-certificate", s.path("stamped.pem"),
		"--tsa-url", s.stamper, "--signature", bundle, "--force", model)
	keyed := filepath.Join(dir, "stamped-key.sig")
	run(t, true, tensmith, "sign", "key", "--private-key", s.path("stamped-key.pem"), "--tsa-url", s.stamper, "--signature", keyed, "--force", model)
	run(t, false, tensmith, "sign", "key", "--private-key", s.path("stamped-key.pem"), "--tsa-url", s.issuer, "--signature", filepath.Join(dir, "none.sig"), model)
	byKey := []string{"verify", "key", "--public-key", s.path("stamped-pub.pem"), "--signature", keyed, model}
	run(t, true, tensmith, append(byKey, "--tsa-certificate", chain)...)
	run(t, true, tensmith, append(byKey, "--trusted-root", trustedRoot)...)
	run(t, false, tensmith, append(byKey, "--tsa-certificate", s.path("stamped.pem"))...) // another authority
	time.Sleep(time.Until(template.NotAfter) + time.Second)
	byCertificate := []string{"verify", "certificate", "--certificate-chain", s.path("stamped.pem"), "--signature", bundle, model}
	run(t, false, tensmith, byCertificate...)
	run(t, true, tensmith, append(byCertificate, "--tsa-certificate", chain)...)
	run(t, true, tensmith, append(byCertificate, "--trusted-root", trustedRoot)...)
}

func cosign(signature, trustedRoot, identity, issuer, digest string) []string {
	return []string{"verify-blob-attestation", "--bundle", signature, "--trusted-root", trustedRoot,
		"--certificate-identity", identity, "--certificate-oidc-issuer", issuer, "--use-signed-timestamps",
		"--type", "https://model_signing/signature/v1.0", "--digestAlg", "sha256", "--digest", digest}
}

func rootDigest(t *testing.T, payload []byte) string {
	t.Helper()
	var statement struct {
		Subject []struct{ Digest struct{ SHA256 string } }
	}
	if err := json.Unmarshal(payload, &statement); err != nil {
		t.Fatal(err)
	}
	return statement.Subject[0].Digest.SHA256
}

// run has a program verify, if it is there.
func run(t *testing.T, want bool, program string, args ...string) bool {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Logf("%s is not there", program)
		return false
	}
	out, err := exec.Command(path, args...).CombinedOutput()
	if _, exit := err.(*exec.ExitError); err != nil && !exit {
		t.Error(err)
		return false
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	t.Logf("%s: %v: %s", filepath.Base(program), err, lines[len(lines)-1])
	if (err == nil) != want {
		t.Errorf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return err == nil
}

// sigstore is an instance: Fulcio, Rekor v2 and a timestamp authority, as their
// own programs, an identity provider and a log of certificates, which are small.
type sigstore struct {
	t           *testing.T
	dir         string
	issuer      string
	key         *rsa.PrivateKey // of the provider
	stamper     string          // address of the timestamp authority
	stampers    []byte          // its certificates, PEM
	trustConfig map[string]any
}

func startSigstore(t *testing.T, programs, dir string) *sigstore {
	s := &sigstore{t: t, dir: dir}
	s.provider()
	ctKey, ctURL := s.certificateLog()

	// Certificate authority.
	caKey, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	s.must(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "local", Organization: []string{"local"}}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	ca, err := x509.CreateCertificate(rand.Reader, template, template, caKey.Public(), caKey)
	s.must(err)
	s.writePEM("ca.pem", "CERTIFICATE", ca)
	s.writeKey("ca-key.pem", caKey)
	fulcioConfig := s.write("fulcio.json", map[string]any{"OIDCIssuers": map[string]any{
		s.issuer: map[string]any{"IssuerURL": s.issuer, "ClientID": "sigstore", "Type": "email"}}})
	fulcio := s.start(filepath.Join(programs, "fulcio"), func(port func() string) (string, []string) {
		http := port()
		return "http://127.0.0.1:" + http, []string{"serve", "--host", "127.0.0.1", "--port", http, "--grpc-host", "127.0.0.1", "--grpc-port", port(), "--metrics-port", port(),
			"--ca", "fileca", "--fileca-cert", s.path("ca.pem"), "--fileca-key", s.path("ca-key.pem"), "--fileca-key-passwd", "none", "--fileca-watch=false",
			"--config-path", fulcioConfig, "--ct-log-url", ctURL, "--legacy-unix-domain-socket", s.path("fulcio.sock")}
	}, "/healthz")

	// Transparency log.
	logKey, logPrivate, err := ed25519.GenerateKey(rand.Reader)
	s.must(err)
	s.writeKey("rekor.pem", logPrivate)
	rekor := s.start(filepath.Join(programs, "rekor-server"), func(port func() string) (string, []string) {
		http := port()
		return "http://127.0.0.1:" + http, []string{"serve", "--http-port", http, "--grpc-port", port(), "--http-metrics-port", port(),
			"--hostname", "rekor.local", "--storage-dir", s.path("log"), "--signer-filepath", s.path("rekor.pem"),
			"--checkpoint-interval", "1s", "--persistent-antispam=false"}
	}, "/healthz")
	logID := sha256.Sum256(append([]byte("rekor.local\n\x01"), logKey...))

	// Timestamp authority.
	stamper := s.start(filepath.Join(programs, "timestamp-server"), func(port func() string) (string, []string) {
		http := port()
		return "http://127.0.0.1:" + http, []string{"serve", "--host", "127.0.0.1", "--port", http, "--timestamp-signer", "memory",
			"--disable-ntp-monitoring", "--scheme", "http"}
	}, "/ping")
	response, err := http.Get(stamper + "/api/v1/timestamp/certchain")
	s.must(err)
	chain, err := io.ReadAll(response.Body)
	s.must(err)
	s.must(response.Body.Close())
	s.stamper, s.stampers = stamper+"/api/v1/timestamp", chain
	var stampers []any
	for block, rest := pem.Decode(chain); block != nil; block, rest = pem.Decode(rest) {
		stampers = append(stampers, map[string]any{"rawBytes": block.Bytes})
	}

	from := map[string]any{"start": time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)}
	ctID := sha256.Sum256(s.spki(ctKey.Public()))
	log := func(url, details string, key crypto.PublicKey, id []byte) any {
		return map[string]any{"baseUrl": url, "hashAlgorithm": "SHA2_256", "logId": map[string]any{"keyId": id},
			"publicKey": map[string]any{"rawBytes": s.spki(key), "keyDetails": details, "validFor": from}}
	}
	authority := func(url string, certificates ...any) any {
		return map[string]any{"subject": map[string]any{"organization": "local", "commonName": "local"}, "uri": url,
			"certChain": map[string]any{"certificates": certificates}, "validFor": from}
	}
	service := func(url string, version int) any {
		return map[string]any{"url": url, "majorApiVersion": version, "operator": "local", "validFor": from}
	}
	s.trustConfig = map[string]any{
		"mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
		"trustedRoot": map[string]any{
			"mediaType":              "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
			"tlogs":                  []any{log("https://rekor.local", "PKIX_ED25519", logKey, logID[:])},
			"ctlogs":                 []any{log("https://ct.local", "PKIX_ECDSA_P256_SHA_256", ctKey.Public(), ctID[:])},
			"certificateAuthorities": []any{authority("https://fulcio.local", map[string]any{"rawBytes": ca})},
			"timestampAuthorities":   []any{authority("https://tsa.local", stampers...)},
		},
		"signingConfig": map[string]any{
			"mediaType":     "application/vnd.dev.sigstore.signingconfig.v0.2+json",
			"caUrls":        []any{service(fulcio, 1)},
			"oidcUrls":      []any{service(s.issuer, 1)},
			"rekorTlogUrls": []any{service(rekor, 2)}, "rekorTlogConfig": map[string]any{"selector": "ANY"},
			"tsaUrls": []any{service(stamper+"/api/v1/timestamp", 1)}, "tsaConfig": map[string]any{"selector": "ANY"},
		},
	}
	return s
}

func (s *sigstore) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *sigstore) path(name string) string { return filepath.Join(s.dir, name) }

func (s *sigstore) write(name string, v any) string {
	content, err := json.MarshalIndent(v, "", "  ")
	s.must(err)
	s.must(os.WriteFile(s.path(name), content, 0o644))
	return s.path(name)
}

func (s *sigstore) writePEM(name, kind string, der []byte) {
	s.must(os.WriteFile(s.path(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}

func (s *sigstore) writeKey(name string, key crypto.PrivateKey) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	s.must(err)
	s.writePEM(name, "PRIVATE KEY", der)
}

func (s *sigstore) spki(key crypto.PublicKey) []byte {
	der, err := x509.MarshalPKIXPublicKey(key)
	s.must(err)
	return der
}

// start runs a server until the end of the test. It is up when the path answers.
func (s *sigstore) start(program string, arguments func(port func() string) (string, []string), ready string) string {
	s.t.Helper()
	address, args := arguments(func() string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		s.must(err)
		defer l.Close()
		return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	})
	ctx, cancel := context.WithCancel(context.Background())
	server := exec.CommandContext(ctx, program, args...)
	var said bytes.Buffer
	server.Stdout, server.Stderr = &said, &said
	s.must(server.Start())
	ended := make(chan error, 1)
	go func() { ended <- server.Wait() }()
	s.t.Cleanup(func() {
		cancel()
		<-ended
		if s.t.Failed() {
			s.t.Logf("%s:\n%s", program, said.String())
		}
	})
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		response, err := http.Get(address + ready)
		if err == nil {
			response.Body.Close()
			return address
		}
		select {
		case err := <-ended:
			ended <- err
			s.t.Fatalf("%s: %v\n%s", program, err, said.String())
		default:
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%s does not answer: %v", program, err)
		}
	}
}

// provider is one of OpenID Connect: what Fulcio asks of it, and [sigstore.token].
func (s *sigstore) provider() {
	var err error
	s.key, err = rsa.GenerateKey(rand.Reader, 2048)
	s.must(err)
	answer := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"issuer": s.issuer, "jwks_uri": s.issuer + "/keys", "authorization_endpoint": s.issuer + "/auth",
			"token_endpoint": s.issuer + "/token", "response_types_supported": []string{"id_token"},
			"subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"RS256"}})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		enc := base64.RawURLEncoding
		answer(w, map[string]any{"keys": []any{map[string]any{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "1",
			"n": enc.EncodeToString(s.key.N.Bytes()), "e": enc.EncodeToString(big.NewInt(int64(s.key.E)).Bytes())}}})
	})
	server := httptest.NewServer(mux)
	s.t.Cleanup(server.Close)
	s.issuer = server.URL
}

func (s *sigstore) token(email string) string {
	enc := base64.RawURLEncoding
	claims, err := json.Marshal(map[string]any{"iss": s.issuer, "aud": "sigstore", "sub": email, "email": email, "email_verified": true,
		"iat": time.Now().Unix(), "nbf": time.Now().Unix(), "exp": time.Now().Add(10 * time.Minute).Unix()})
	s.must(err)
	signed := enc.EncodeToString([]byte(`{"alg":"RS256","kid":"1","typ":"JWT"}`)) + "." + enc.EncodeToString(claims)
	digest := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, s.key, crypto.SHA256, digest[:])
	s.must(err)
	return signed + "." + enc.EncodeToString(signature)
}

// certificateLog is one of RFC 6962 as far as Fulcio asks: it promises to
// include what it is given, and forgets it.
func (s *sigstore) certificateLog() (*ecdsa.PrivateKey, string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	s.must(err)
	id := sha256.Sum256(s.spki(key.Public()))
	promise := func(r *http.Request) (*ct.AddChainResponse, error) {
		var request ct.AddChainRequest
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
			return nil, err
		}
		chain := make([]ct.ASN1Cert, len(request.Chain))
		for n, der := range request.Chain {
			chain[n].Data = der
		}
		now := uint64(time.Now().UnixMilli())
		leaf, err := ct.MerkleTreeLeafFromRawChain(chain, ct.PrecertLogEntryType, now)
		if err != nil {
			return nil, err
		}
		given := ct.SignedCertificateTimestamp{SCTVersion: ct.V1, LogID: ct.LogID{KeyID: id}, Timestamp: now}
		input, err := ct.SerializeSCTSignatureInput(given, ct.LogEntry{Leaf: *leaf})
		if err != nil {
			return nil, err
		}
		signature, err := cttls.CreateSignature(*key, cttls.SHA256, input)
		if err != nil {
			return nil, err
		}
		encoded, err := cttls.Marshal(signature)
		return &ct.AddChainResponse{SCTVersion: ct.V1, ID: id[:], Timestamp: now, Signature: encoded}, err
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, err := promise(r)
		if err != nil {
			s.t.Errorf("log of certificates: %v", err)
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer)
	}))
	s.t.Cleanup(server.Close)
	return key, server.URL
}
