package sign

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"time"
)

// A Signer is who has signed something, as a [Verifier] has found.
type Signer struct {
	Method  Method
	KeyHint string // [KeyHint] of the key that signed
	// Subject is the certificate's, and Issuer who has issued it; of method
	// sigstore, the provider of the identity.
	Subject, Issuer string
	Identity        string // of method sigstore: an address or URI
	// Time is when it was signed, where that is known, and TimeSource who says
	// so: "rfc3161", "rekor", or, where the certificate was held to another
	// time, "now" or "notBefore". Of a key it is zero.
	Time       time.Time
	TimeSource string
	Warnings   []string // what a verifier may want to know, and does not fail for
}

// A Verifier verifies the signature of a bundle: over its payload, by someone
// who is trusted.
type Verifier interface {
	// Verify returns an error that wraps ErrSignature where the signature is not
	// good, or not of whom it should be.
	Verify(ctx context.Context, b *Bundle) (*Signer, error)
}

// A Stamp gets a token of RFC 3161 for a signature from a time stamping
// authority.
type Stamp func(ctx context.Context, signature []byte) (token []byte, err error)

// A Key signs with a private key; whoever verifies knows the public one.
type Key struct {
	// Signer is the private key: ECDSA with P-256, P-384 or P-521. It may be in
	// hardware.
	Signer crypto.Signer
	// Nonstandard lets RSA and Ed25519 sign, which are not in the registry of
	// the specification: other verifiers need not know them.
	Nonstandard bool
	// Stamp, if set, adds a timestamp.
	Stamp Stamp
}

// Sign returns the JSON of a bundle that signs a payload.
func (k Key) Sign(ctx context.Context, payloadType string, payload []byte) ([]byte, error) {
	if k.Signer == nil {
		return nil, errNoKey()
	}
	hint, err := KeyHint(k.Signer.Public())
	if err != nil {
		return nil, err
	}
	material := map[string]any{"publicKey": map[string]string{"hint": hint}}
	return seal(ctx, k.Signer, k.Nonstandard, k.Stamp, material, payloadType, payload)
}

func errNoKey() error {
	return fmt.Errorf("sign: there is no private key: %w: Signer is not set", ErrRefused)
}

// seal signs a payload and puts it in a bundle. A key that does not what it
// should is found out at once: hardware fails, too.
func seal(ctx context.Context, key crypto.Signer, nonstandard bool, stamp Stamp, material map[string]any, payloadType string, payload []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if payloadType != PayloadType {
		return nil, fmt.Errorf("sign: payload type %q: %w: bundles hold %s", payloadType, ErrRefused, PayloadType)
	}
	if len(payload) > maxPayload {
		return nil, fmt.Errorf("sign: a payload of %d bytes: %w: verifiers read bundles of no more than %d", len(payload), ErrRefused, maxDocument)
	}
	message := pae(payloadType, payload)
	if err := checkKey(key.Public(), nonstandard); err != nil {
		return nil, err
	}
	digest, hash := message, hashOf(key.Public())
	if hash != 0 {
		h := hash.New()
		h.Write(message)
		digest = h.Sum(nil)
	}
	signature, err := key.Sign(rand.Reader, digest, hash)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	if !verifies(key.Public(), hash, message, signature) {
		return nil, fmt.Errorf("sign: what the key has made: %w", ErrSignature)
	}
	if stamp != nil {
		token, err := stamp(ctx, signature)
		if err != nil {
			return nil, fmt.Errorf("sign: timestamp: %w", err)
		}
		material["timestampVerificationData"] = map[string]any{
			"rfc3161Timestamps": []any{map[string]any{"signedTimestamp": token}},
		}
	}
	return writeBundle(material, payloadType, payload, signature)
}

// KeyHint returns what bundles know a public key by: the SHA-256, hexadecimal,
// of its PEM.
func KeyHint(public crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "", fmt.Errorf("sign: public key: %w: %v", ErrMalformed, err)
	}
	sum := sha256.Sum256(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	return hex.EncodeToString(sum[:]), nil
}

// A KeyVerifier trusts one public key.
type KeyVerifier struct {
	Key crypto.PublicKey
	// Nonstandard accepts signatures of RSA and Ed25519.
	Nonstandard bool
	// Timestamp, if set, tells the time of a token of RFC 3161 over the
	// signature; an error fails the verification.
	Timestamp func(token, signature []byte) (time.Time, error)
}

// Verify implements [Verifier].
func (v KeyVerifier) Verify(ctx context.Context, b *Bundle) (*Signer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if b.Method != MethodKey {
		return nil, fmt.Errorf("sign: the bundle is of method %s, not of a key: %w", b.Method, ErrSignature)
	}
	if err := checkKey(v.Key, v.Nonstandard); err != nil {
		return nil, err
	}
	hint, err := KeyHint(v.Key)
	if err != nil {
		return nil, err
	}
	s := &Signer{Method: MethodKey, KeyHint: hint}
	switch {
	case b.KeyHint != "":
		if b.KeyHint != hint {
			return nil, fmt.Errorf("sign: signed with key %.80q, and the one given is %s: %w", b.KeyHint, hint, ErrSignature)
		}
	case b.PublicKey == nil:
		s.Warnings = append(s.Warnings, "the bundle does not say which key signed it")
	default:
		s.Warnings = append(s.Warnings, "the bundle names its key in the way of model_signing before 1.1: sign anew")
	}
	hash := hashOf(v.Key)
	compat, err := b.verify(v.Key, hash, crypto.SHA256)
	if err != nil {
		return nil, err
	}
	s.note(compat)
	if v.Timestamp != nil && len(b.Timestamps) > 0 {
		if s.Time, err = v.Timestamp(b.Timestamps[0], b.Signature); err != nil {
			return nil, fmt.Errorf("sign: timestamp: %w: %w", ErrSignature, err)
		}
		s.TimeSource = "rfc3161"
	}
	return s, nil
}

func (s *Signer) note(compat bool) {
	if compat {
		s.Warnings = append(s.Warnings, "signed as model_signing 0.2.0 has signed, which is not what DSSE asks for: sign anew")
	}
}

// verify checks the signature with a key, and, where that fails, what
// model_signing 0.2.0 has signed: another encoding, and always SHA-256.
func (b *Bundle) verify(key crypto.PublicKey, hash, hash020 crypto.Hash) (compat bool, err error) {
	if verifies(key, hash, pae(b.PayloadType, b.Payload), b.Signature) {
		return false, nil
	}
	if _, ok := key.(*ecdsa.PublicKey); ok && b.of020() {
		old := paeOf020(b.PayloadType, b.Payload)
		if verifies(key, hash020, old, b.Signature) || hash != hash020 && verifies(key, hash, old, b.Signature) {
			return true, nil
		}
	}
	return false, fmt.Errorf("sign: %w with this key", ErrSignature)
}

// of020 tells whether the statement is one of those that model_signing 0.2.0
// made, and no later version: nothing else is looked at in its way.
func (b *Bundle) of020() bool {
	s, err := b.Statement()
	return err == nil && s.PredicateType == predicateOfDigest
}

// checkKey tells why a key is none to sign models with.
func checkKey(public crypto.PublicKey, nonstandard bool) error {
	kind := fmt.Sprintf("%T", public)
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256(), elliptic.P384(), elliptic.P521():
			return nil
		}
		return fmt.Errorf("sign: key of curve %s: %w: P-256, P-384 and P-521 are the ones of the specification", k.Params().Name, ErrRefused)
	case *rsa.PublicKey:
		if nonstandard && k.N.BitLen() >= 2048 {
			return nil
		}
		kind = fmt.Sprintf("RSA of %d bits", k.N.BitLen())
	case ed25519.PublicKey:
		if nonstandard {
			return nil
		}
		kind = "Ed25519"
	case nil:
		kind = "missing"
	}
	return fmt.Errorf("sign: key is %s: %w: the specification knows ECDSA with P-256, P-384 and P-521 alone, and other verifiers reject the rest", kind, ErrRefused)
}

// hashOf is the hash that a key signs of; it goes with the curve. Ed25519 signs
// messages themselves.
func hashOf(public crypto.PublicKey) crypto.Hash {
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P384():
			return crypto.SHA384
		case elliptic.P521():
			return crypto.SHA512
		}
	case ed25519.PublicKey:
		return 0
	}
	return crypto.SHA256
}

// verifies tells whether a signature of a message is good.
func verifies(public crypto.PublicKey, hash crypto.Hash, message, signature []byte) bool {
	digest := message
	if hash != 0 {
		h := hash.New()
		h.Write(message)
		digest = h.Sum(nil)
	}
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(k, digest, signature)
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(k, hash, digest, signature) == nil
	case ed25519.PublicKey:
		return ed25519.Verify(k, message, signature)
	}
	return false
}
