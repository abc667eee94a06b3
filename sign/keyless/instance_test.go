package keyless_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/digitorus/timestamp"
	"github.com/tensmith/tensmith/sign/keyless"
)

// instance is a Sigstore in this process: the parts of the interfaces of
// Fulcio, Rekor v1 and v2 and a timestamp authority that signing asks. It
// certifies whatever a token says. Its logs hold one entry, the last.
type instance struct {
	*httptest.Server
	t *testing.T

	root, intermediate, stamper          *x509.Certificate
	rootKey, intermediateKey, stamperKey *ecdsa.PrivateKey
	rekor1                               *ecdsa.PrivateKey
	rekor2                               ed25519.PrivateKey

	// What it does wrong.
	leafFrom time.Time      // when certificates begin to be valid; zero is now
	down     map[string]int // paths, and the status they answer with
	hang     chan struct{}  // if set, answers wait for it

	asked []string // paths
}

func newInstance(t *testing.T) *instance {
	i := &instance{t: t, down: map[string]int{}}
	i.rootKey, i.intermediateKey, i.stamperKey, i.rekor1 = newKey(t), newKey(t), newKey(t), newKey(t)
	_, i.rekor2, _ = ed25519.GenerateKey(rand.Reader)
	authority := func(name string, usage x509.ExtKeyUsage) *x509.Certificate {
		return &x509.Certificate{
			Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
			KeyUsage: x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{usage},
		}
	}
	template := authority("root", 0)
	template.ExtKeyUsage = nil
	i.root = i.certify(template, template, i.rootKey.Public(), i.rootKey)
	i.intermediate = i.certify(authority("intermediate", x509.ExtKeyUsageCodeSigning), i.root, i.intermediateKey.Public(), i.rootKey)
	// RFC 3161 §2.3: the usage is critical, which crypto/x509 does not write.
	usage, _ := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}})
	i.stamper = i.certify(&x509.Certificate{
		Subject: pkix.Name{CommonName: "stamper"}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: usage}},
	}, i.root, i.stamperKey.Public(), i.rootKey)

	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v2/signingCert", i.fulcio)
	mux.HandleFunc("POST /api/v1/log/entries", i.log1)
	mux.HandleFunc("POST /api/v2/log/entries", i.log2)
	mux.HandleFunc("POST /stamp", i.stamp)
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.asked = append(i.asked, r.URL.Path)
		switch {
		case i.hang != nil:
			_, _ = io.Copy(io.Discard, r.Body) // or the server does not hear of the client's leaving
			select {
			case <-i.hang:
			case <-r.Context().Done():
			}
		case i.down[r.URL.Path] != 0:
			http.Error(w, "closed for today", i.down[r.URL.Path])
		default:
			mux.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(i.Close)
	return i
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (i *instance) certify(template, parent *x509.Certificate, public crypto.PublicKey, key *ecdsa.PrivateKey) *x509.Certificate {
	i.t.Helper()
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	if template.NotBefore.IsZero() {
		template.NotBefore = time.Now().Add(-24 * time.Hour)
	}
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().Add(24 * time.Hour)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		i.t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		i.t.Fatal(err)
	}
	return certificate
}

// token is one of an identity: nobody here looks at its signature.
func token(email, issuer string, expiry time.Time) string {
	claims, _ := json.Marshal(map[string]any{
		"email": email, "email_verified": true, "sub": "1", "aud": "sigstore", "iss": issuer, "exp": expiry.Unix(),
	})
	enc := base64.RawURLEncoding
	return enc.EncodeToString([]byte(`{"alg":"none"}`)) + "." + enc.EncodeToString(claims) + "." + enc.EncodeToString([]byte("x"))
}

func (i *instance) fulcio(w http.ResponseWriter, r *http.Request) {
	var request struct {
		PublicKeyRequest struct {
			PublicKey struct{ Content string }
		}
	}
	parts := strings.Split(r.Header.Get("Authorization"), ".")
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	var identity struct{ Email, Iss string }
	if err := json.Unmarshal(claims, &identity); err != nil {
		i.t.Error(err)
	}
	if err != nil || identity.Iss == "https://unknown.example" {
		http.Error(w, `{"code":3,"message":"There was an error processing the identity token"}`, http.StatusBadRequest)
		return
	}
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		i.t.Error(err)
	}
	block, _ := pem.Decode([]byte(request.PublicKeyRequest.PublicKey.Content))
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		i.t.Error(err)
	}
	from := i.leafFrom
	if from.IsZero() {
		from = time.Now().Add(-time.Second)
	}
	issuer, _ := asn1.MarshalWithParams(identity.Iss, "utf8")
	leaf := i.certify(&x509.Certificate{
		NotBefore: from, NotAfter: from.Add(10 * time.Minute), EmailAddresses: []string{identity.Email},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 8}, Value: issuer}},
	}, i.intermediate, public, i.intermediateKey)
	i.answer(w, http.StatusOK, map[string]any{"signedCertificateEmbeddedSct": map[string]any{
		"chain": map[string]any{"certificates": []string{pemOf(leaf), pemOf(i.intermediate), pemOf(i.root)}}}})
}

func pemOf(c *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}

// log1 is Rekor's: an entry of kind dsse 0.0.1, alone in its tree.
func (i *instance) log1(w http.ResponseWriter, r *http.Request) {
	var request struct {
		Spec struct {
			ProposedContent struct {
				Envelope  string
				Verifiers []string
			}
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		i.t.Error(err)
	}
	proposed := request.Spec.ProposedContent
	var envelope struct {
		Payload    []byte
		Signatures []struct{ Sig string }
	}
	if err := json.Unmarshal([]byte(proposed.Envelope), &envelope); err != nil {
		i.t.Error(err)
	}
	digest := func(b []byte) map[string]any {
		return map[string]any{"algorithm": "sha256", "value": fmt.Sprintf("%x", sha256.Sum256(b))}
	}
	body := map[string]any{"apiVersion": "0.0.1", "kind": "dsse", "spec": map[string]any{
		"envelopeHash": digest([]byte(proposed.Envelope)),
		"payloadHash":  digest(envelope.Payload),
		"signatures":   []any{map[string]any{"signature": envelope.Signatures[0].Sig, "verifier": proposed.Verifiers[0]}},
	}}
	canonical := i.canonical(body)
	leaf := sha256.Sum256(append([]byte{0}, canonical...))
	id := sha256.Sum256(spki(i.rekor1.Public()))
	now := time.Now().Unix()
	promise := map[string]any{
		"body": base64.StdEncoding.EncodeToString(canonical), "integratedTime": now, "logID": hex.EncodeToString(id[:]), "logIndex": 7,
	}
	text := fmt.Sprintf("rekor.example - 123\n1\n%s\n", base64.StdEncoding.EncodeToString(leaf[:]))
	checkpoint := note(text, "rekor.example", id[:4], sign1(i.rekor1, []byte(text)))
	entry := map[string]any{}
	for k, v := range promise {
		entry[k] = v
	}
	entry["verification"] = map[string]any{
		"signedEntryTimestamp": sign1(i.rekor1, i.canonical(promise)),
		"inclusionProof": map[string]any{
			"logIndex": 0, "treeSize": 1, "rootHash": hex.EncodeToString(leaf[:]), "hashes": []string{}, "checkpoint": checkpoint,
		},
	}
	w.Header().Set("ETag", strings.Repeat("a", 64))
	w.Header().Set("Location", "/api/v1/log/entries/"+strings.Repeat("a", 64))
	i.answer(w, http.StatusCreated, map[string]any{strings.Repeat("a", 64): entry})
}

// log2 is that of rekor-tiles: an entry of kind hashedrekord 0.0.2.
func (i *instance) log2(w http.ResponseWriter, r *http.Request) {
	var request struct {
		HashedRekordRequestV002 struct {
			Digest    string
			Signature map[string]any
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		i.t.Error(err)
	}
	asked := request.HashedRekordRequestV002
	canonical := i.canonical(map[string]any{"apiVersion": "0.0.2", "kind": "hashedrekord", "spec": map[string]any{
		"hashedRekordV002": map[string]any{
			"data":      map[string]any{"algorithm": "SHA2_256", "digest": asked.Digest},
			"signature": asked.Signature,
		}}})
	leaf := sha256.Sum256(append([]byte{0}, canonical...))
	id := rekor2ID(i.rekor2)
	text := fmt.Sprintf("rekor.example\n1\n%s\n", base64.StdEncoding.EncodeToString(leaf[:]))
	i.answer(w, http.StatusCreated, map[string]any{
		"logIndex": "0", "logId": map[string]any{"keyId": id}, "integratedTime": "0",
		"kindVersion":       map[string]any{"kind": "hashedrekord", "version": "0.0.2"},
		"canonicalizedBody": canonical,
		"inclusionProof": map[string]any{"logIndex": "0", "treeSize": "1", "rootHash": leaf[:], "hashes": []any{},
			"checkpoint": map[string]any{"envelope": note(text, "rekor.example", id[:4], ed25519.Sign(i.rekor2, []byte(text)))}},
	})
}

// rekor2ID is a log's id as its key in a signed note has it (C2SP signed-note).
func rekor2ID(key ed25519.PrivateKey) []byte {
	id := sha256.Sum256(append([]byte("rekor.example\n\x01"), key.Public().(ed25519.PublicKey)...))
	return id[:]
}

func note(text, name string, id, signature []byte) string {
	return fmt.Sprintf("%s\n— %s %s\n", text, name, base64.StdEncoding.EncodeToString(append(id[:4:4], signature...)))
}

func sign1(key *ecdsa.PrivateKey, message []byte) []byte {
	digest := sha256.Sum256(message)
	signature, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		panic(err)
	}
	return signature
}

func spki(public crypto.PublicKey) []byte {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		panic(err)
	}
	return der
}

// canonical is JCS for what is sent here: ASCII, no fractions.
func (i *instance) canonical(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		i.t.Error(err)
	}
	return b
}

func (i *instance) stamp(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		i.t.Error(err)
	}
	request, err := timestamp.ParseRequest(body)
	if err != nil {
		i.t.Error(err)
		return
	}
	stamp := timestamp.Timestamp{
		HashAlgorithm: request.HashAlgorithm, HashedMessage: request.HashedMessage, Time: time.Now(), AddTSACertificate: true,
		Policy: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 2},
	}
	response, err := stamp.CreateResponseWithOpts(i.stamper, i.stamperKey, crypto.SHA256)
	if err != nil {
		i.t.Error(err)
	}
	_, _ = w.Write(response)
}

func (i *instance) answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		i.t.Log(err) // the client has gone
	}
}

// trustedRoot is the instance's trusted_root.json.
func (i *instance) trustedRoot() map[string]any {
	from := map[string]any{"start": time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)}
	log := func(public crypto.PublicKey, details string, id []byte) map[string]any {
		return map[string]any{"baseUrl": "https://rekor.example", "hashAlgorithm": "SHA2_256",
			"publicKey": map[string]any{"rawBytes": spki(public), "keyDetails": details, "validFor": from},
			"logId":     map[string]any{"keyId": id}}
	}
	id := sha256.Sum256(spki(i.rekor1.Public()))
	authority := func(uri string, chain ...*x509.Certificate) map[string]any {
		var all []any
		for _, c := range chain {
			all = append(all, map[string]any{"rawBytes": c.Raw})
		}
		return map[string]any{"subject": map[string]any{"organization": "example", "commonName": "example"}, "uri": uri,
			"certChain": map[string]any{"certificates": all}, "validFor": from}
	}
	return map[string]any{
		"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
		"tlogs": []any{log(i.rekor1.Public(), "PKIX_ECDSA_P256_SHA_256", id[:]),
			log(i.rekor2.Public(), "PKIX_ED25519", rekor2ID(i.rekor2))},
		"certificateAuthorities": []any{authority("https://fulcio.example", i.intermediate, i.root)},
		"timestampAuthorities":   []any{authority("https://tsa.example", i.stamper, i.root)},
	}
}

// trustConfig is what its users are given to sign with.
func (i *instance) trustConfig() map[string]any {
	service := func(path string, version int) map[string]any {
		return map[string]any{"url": i.URL + path, "majorApiVersion": version, "operator": "example",
			"validFor": map[string]any{"start": "2020-01-01T00:00:00Z"}}
	}
	return map[string]any{
		"mediaType":   "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
		"trustedRoot": i.trustedRoot(),
		"signingConfig": map[string]any{
			"mediaType":       "application/vnd.dev.sigstore.signingconfig.v0.2+json",
			"caUrls":          []any{service("", 1)},
			"oidcUrls":        []any{service("/oidc", 1)},
			"rekorTlogUrls":   []any{service("", 1)},
			"tsaUrls":         []any{service("/stamp", 1)},
			"rekorTlogConfig": map[string]any{"selector": "ANY"},
			"tsaConfig":       map[string]any{"selector": "ANY"},
		},
	}
}

// trust reads a trust from a document.
func trust(t *testing.T, document any) *keyless.Trust {
	t.Helper()
	content, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	made, err := keyless.ParseTrust("instance.json", content)
	if err != nil {
		t.Fatal(err)
	}
	return made
}
