package sign

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// MediaType is what bundles are written as.
const MediaType = "application/vnd.dev.sigstore.bundle.v0.3+json"

// A Method is the kind of keys that a bundle was signed with.
type Method string

const (
	MethodKey         Method = "key"         // of someone who is known by the key
	MethodCertificate Method = "certificate" // of a chain of certificates
	MethodSigstore    Method = "sigstore"    // of a moment, for an identity
)

// A Bundle is a signature and what is needed to verify it. It has been parsed,
// which does not mean that anything in it is true.
type Bundle struct {
	// JSON is the whole bundle as it was read.
	JSON      []byte
	MediaType string
	Method    Method

	// The envelope (DSSE). Of its signatures the first one counts.
	PayloadType string
	Payload     []byte
	Signature   []byte // ECDSA: ASN.1

	KeyHint      string   // of method key: [KeyHint] of the key; bundles before model_signing 1.1 have none
	PublicKey    []byte   // of method key, before model_signing 1.1: the key's PEM
	Certificates [][]byte // DER; of method certificate the chain, leaf first; of method sigstore the one
	Timestamps   [][]byte // tokens of RFC 3161 over the signature
	Entries      int      // of transparency logs

	// Material is the verification material as it was read, for those who know
	// its transparency logs.
	Material json.RawMessage
}

// ReadBundle reads the file of a bundle.
func ReadBundle(name string) (*Bundle, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxDocument+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	b, err := parseBundle(data)
	if err != nil {
		return nil, fmt.Errorf("sign: %s: bundle: %w", name, err)
	}
	return b, nil
}

// ParseBundle reads a bundle's JSON, and checks it against the specification's
// schemas of bundle and envelope. What it is the signature of, [Bundle.Statement]
// tells. The bundle keeps data.
func ParseBundle(data []byte) (*Bundle, error) {
	b, err := parseBundle(data)
	if err != nil {
		return nil, fmt.Errorf("sign: bundle: %w", err)
	}
	return b, nil
}

func parseBundle(data []byte) (*Bundle, error) {
	top, err := parseObject(data)
	if err != nil {
		return nil, err
	}
	if err := top.closed("mediaType", "verificationMaterial", "dsseEnvelope"); err != nil {
		return nil, err
	}
	b := &Bundle{JSON: data, Material: top.members["verificationMaterial"]}
	if b.MediaType, err = top.text("mediaType"); err != nil {
		return nil, err
	}
	if !knownMediaType(b.MediaType) {
		return nil, malformed("mediaType is %.100q, not %s", b.MediaType, MediaType)
	}
	material, err := top.object("verificationMaterial")
	if err != nil {
		return nil, err
	}
	if err := b.readMaterial(material); err != nil {
		return nil, err
	}
	envelope, err := top.object("dsseEnvelope")
	if err != nil {
		return nil, err
	}
	return b, b.readEnvelope(envelope)
}

// knownMediaType tells whether the media type is one of bundles, in one of the
// two ways in which Sigstore has written their version.
func knownMediaType(s string) bool {
	if v, ok := strings.CutPrefix(s, "application/vnd.dev.sigstore.bundle+json;version="); ok {
		return v == "0.1" || v == "0.2" || v == "0.3"
	}
	v, ok := strings.CutPrefix(s, "application/vnd.dev.sigstore.bundle.v0.3")
	if !ok {
		return false
	}
	v, ok = strings.CutSuffix(v, "+json")
	if patch, more := strings.CutPrefix(v, "."); more {
		_, ok2 := decimal(patch)
		return ok && ok2
	}
	return ok && v == ""
}

func (b *Bundle) readMaterial(o object) (err error) {
	kinds := 0
	for _, key := range []string{"publicKey", "x509CertificateChain", "certificate"} {
		if o.has(key) {
			kinds++
		}
	}
	if kinds != 1 {
		return malformed("%s has %d of publicKey, x509CertificateChain and certificate, not one", o.where, kinds)
	}
	if err := b.readEntries(o); err != nil {
		return err
	}
	switch {
	case o.has("publicKey"):
		b.Method = MethodKey
		key, err := o.object("publicKey")
		if err != nil {
			return err
		}
		return b.readKey(key)
	case o.has("certificate"):
		b.Method = MethodSigstore
		if b.Entries == 0 {
			return malformed("%s.tlogEntries is empty, which a certificate of a moment needs", o.where)
		}
		c, err := o.object("certificate")
		if err != nil {
			return err
		}
		der, err := c.bytes("rawBytes")
		b.Certificates = [][]byte{der}
		return err
	}
	b.Method = MethodCertificate
	chain, err := o.object("x509CertificateChain")
	if err != nil {
		return err
	}
	all, err := chain.list("certificates")
	if err != nil {
		return err
	}
	if len(all) == 0 || len(all) > maxChain {
		return malformed("%s has %d certificates, not 1 to %d", chain.where, len(all), maxChain)
	}
	for i, raw := range all {
		c, err := objectOf(raw, fmt.Sprintf("%s.certificates[%d]", chain.where, i))
		if err != nil {
			return err
		}
		der, err := c.bytes("rawBytes")
		if err != nil {
			return err
		}
		b.Certificates = append(b.Certificates, der)
	}
	return nil
}

func (b *Bundle) readKey(o object) (err error) {
	if !o.has("hint") && !o.has("rawBytes") {
		return malformed("%s has neither hint nor rawBytes", o.where)
	}
	if o.has("hint") {
		if b.KeyHint, err = o.text("hint"); err != nil {
			return err
		}
	}
	if o.has("rawBytes") {
		if b.PublicKey, err = o.bytes("rawBytes"); err != nil {
			return err
		}
	}
	return nil
}

// readEntries counts the entries of transparency logs, and takes the
// timestamps. Their members are open, but not their types.
func (b *Bundle) readEntries(o object) error {
	if o.has("tlogEntries") {
		all, err := o.list("tlogEntries")
		if err != nil {
			return err
		}
		for i, raw := range all {
			entry, err := objectOf(raw, fmt.Sprintf("%s.tlogEntries[%d]", o.where, i))
			if err != nil {
				return err
			}
			if err := entry.logEntry(); err != nil {
				return err
			}
		}
		b.Entries = len(all)
	}
	if !o.has("timestampVerificationData") {
		return nil
	}
	data, err := o.object("timestampVerificationData")
	if err != nil || !data.has("rfc3161Timestamps") {
		return err
	}
	all, err := data.list("rfc3161Timestamps")
	if err != nil {
		return err
	}
	for i, raw := range all {
		one, err := objectOf(raw, fmt.Sprintf("%s.rfc3161Timestamps[%d]", data.where, i))
		if err != nil {
			return err
		}
		if !one.has("signedTimestamp") {
			continue
		}
		token, err := one.bytes("signedTimestamp")
		if err != nil {
			return err
		}
		b.Timestamps = append(b.Timestamps, token)
	}
	return nil
}

// logEntry checks the types that the schema gives the members of an entry.
func (o object) logEntry() error {
	if err := o.texts("logIndex", "integratedTime", "canonicalizedBody"); err != nil {
		return err
	}
	for _, part := range []struct {
		key   string
		texts []string
	}{
		{"logId", []string{"keyId"}},
		{"kindVersion", []string{"kind", "version"}},
		{"inclusionPromise", []string{"signedEntryTimestamp"}},
		{"inclusionProof", []string{"logIndex", "rootHash", "treeSize"}},
	} {
		if !o.has(part.key) {
			continue
		}
		inner, err := o.object(part.key)
		if err != nil {
			return err
		}
		if err := inner.texts(part.texts...); err != nil {
			return err
		}
		if inner.has("hashes") && part.key == "inclusionProof" {
			all, err := inner.list("hashes")
			if err != nil {
				return err
			}
			for i, raw := range all {
				if _, err := textOf(raw, fmt.Sprintf("%s.hashes[%d]", inner.where, i)); err != nil {
					return err
				}
			}
		}
		if inner.has("checkpoint") && part.key == "inclusionProof" {
			c, err := inner.object("checkpoint")
			if err != nil {
				return err
			}
			if err := c.texts("envelope"); err != nil {
				return err
			}
		}
	}
	return nil
}

// texts checks that those of the members that there are, are strings.
func (o object) texts(keys ...string) error {
	for _, key := range keys {
		if o.has(key) {
			if _, err := o.text(key); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *Bundle) readEnvelope(o object) (err error) {
	if err := o.closed("payload", "payloadType", "signatures"); err != nil {
		return err
	}
	if b.PayloadType, err = o.text("payloadType"); err != nil {
		return err
	}
	if b.PayloadType != PayloadType {
		return malformed("%s is %.100q, not %s", o.path("payloadType"), b.PayloadType, PayloadType)
	}
	if b.Payload, err = o.bytes("payload"); err != nil {
		return err
	}
	all, err := o.list("signatures")
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return malformed("%s is empty", o.path("signatures"))
	}
	for i, raw := range all {
		s, err := objectOf(raw, fmt.Sprintf("%s[%d]", o.path("signatures"), i))
		if err != nil {
			return err
		}
		if err := s.closed("sig", "keyid"); err != nil {
			return err
		}
		if s.has("keyid") && string(s.members["keyid"]) != "null" {
			if _, err := s.text("keyid"); err != nil {
				return err
			}
		}
		sig, err := s.bytes("sig")
		if err != nil {
			return err
		}
		if i == 0 {
			b.Signature = sig
		}
	}
	return nil
}

// Statement returns what was signed.
func (b *Bundle) Statement() (*Statement, error) { return ParseStatement(b.Payload) }

// writeBundle returns the JSON of a bundle with the verification material that
// was given.
func writeBundle(material any, payloadType string, payload, signature []byte) ([]byte, error) {
	type sig struct {
		Sig string `json:"sig"`
	}
	type envelope struct {
		Payload     string `json:"payload"`
		PayloadType string `json:"payloadType"`
		Signatures  []sig  `json:"signatures"`
	}
	base := base64.StdEncoding
	return plainJSON(struct {
		MediaType string   `json:"mediaType"`
		Material  any      `json:"verificationMaterial"`
		Envelope  envelope `json:"dsseEnvelope"`
	}{MediaType, material, envelope{base.EncodeToString(payload), payloadType, []sig{{base.EncodeToString(signature)}}}})
}

// pae is what is signed of an envelope: DSSE's pre-authentication encoding, v1.
func pae(payloadType string, payload []byte) []byte {
	head := fmt.Sprintf("DSSEv1 %d %s %d ", len(payloadType), payloadType, len(payload))
	return append([]byte(head), payload...)
}

// paeOf020 is what model_signing 0.2.0 has signed: the payload is there as
// Python prints bytes.
func paeOf020(payloadType string, payload []byte) []byte {
	head := fmt.Sprintf("DSSEV1 %d %s %d ", len(payloadType), payloadType, len(payload))
	quote := byte('\'')
	if strings.IndexByte(string(payload), '\'') >= 0 && strings.IndexByte(string(payload), '"') < 0 {
		quote = '"'
	}
	out := append([]byte(head), 'b', quote)
	for _, c := range payload {
		switch {
		case c == quote || c == '\\':
			out = append(out, '\\', c)
		case c == '\t':
			out = append(out, `\t`...)
		case c == '\n':
			out = append(out, `\n`...)
		case c == '\r':
			out = append(out, `\r`...)
		case c < 0x20 || c >= 0x7f:
			out = append(out, `\x`...)
			out = append(out, "0123456789abcdef"[c>>4], "0123456789abcdef"[c&15])
		default:
			out = append(out, c)
		}
	}
	return append(out, quote)
}
