package sign

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"
)

// maxChain is how many certificates of a bundle are looked at.
const maxChain = 32

// A Certificate signs with a private key whose public one is certified.
type Certificate struct {
	// Signer is the private key, as in [Key].
	Signer crypto.Signer
	// Chain is the key's certificate and those that lead to the root, which
	// verifiers have and need not be in it.
	Chain       []*x509.Certificate
	Nonstandard bool  // as in [Key]
	Stamp       Stamp // as in [Key]; makes the signature outlive the certificate
}

// Sign returns the JSON of a bundle that signs a payload.
func (c Certificate) Sign(ctx context.Context, payloadType string, payload []byte) ([]byte, error) {
	if len(c.Chain) == 0 {
		return nil, fmt.Errorf("sign: there is no certificate: %w", ErrRefused)
	}
	if len(c.Chain) > maxChain {
		return nil, fmt.Errorf("sign: %d certificates: %w: verifiers look at %d", len(c.Chain), ErrRefused, maxChain)
	}
	if c.Signer == nil {
		return nil, errNoKey()
	}
	leaf := c.Chain[0]
	if same, ok := c.Signer.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !same.Equal(leaf.PublicKey) {
		return nil, fmt.Errorf("sign: the certificate of %s is of another key: %w", leaf.Subject, ErrRefused)
	}
	if err := maySign(leaf); err != nil {
		return nil, fmt.Errorf("sign: certificate of %s: %w: %v", leaf.Subject, ErrRefused, err)
	}
	type certificate struct {
		RawBytes []byte `json:"rawBytes"`
	}
	var all []certificate
	for _, one := range c.Chain {
		all = append(all, certificate{one.Raw})
	}
	material := map[string]any{"x509CertificateChain": map[string]any{"certificates": all}}
	return seal(ctx, c.Signer, c.Nonstandard, c.Stamp, material, payloadType, payload)
}

// maySign tells why a certificate is none to sign with. It says by key usage
// or by extended key usage that it is.
func maySign(c *x509.Certificate) error {
	if c.KeyUsage&x509.KeyUsageDigitalSignature != 0 || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageCodeSigning) {
		return nil
	}
	return errors.New("it is neither for digital signatures nor for signing code")
}

// A CertificateVerifier trusts the certificates that some roots have issued.
type CertificateVerifier struct {
	// Roots are trusted; nil are those of the system.
	Roots *x509.CertPool
	// Now is the time at which the certificates have to be valid, where no
	// timestamp tells when they were used. Zero is the present.
	Now time.Time
	// AtNotBefore takes the beginning of the signing certificate's validity for
	// Now, as model_signing does: certificates never expire.
	AtNotBefore bool
	// Timestamp tells the time of a token of RFC 3161 over the signature; an
	// error fails the verification. Unless it is set timestamps are not
	// believed.
	Timestamp   func(token, signature []byte) (time.Time, error)
	Nonstandard bool // as in [KeyVerifier]
}

// Verify implements [Verifier].
func (v CertificateVerifier) Verify(ctx context.Context, b *Bundle) (*Signer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if b.Method != MethodCertificate {
		return nil, fmt.Errorf("sign: the bundle is of method %s, not of a certificate: %w", b.Method, ErrSignature)
	}
	var chain []*x509.Certificate
	for i, der := range b.Certificates {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("sign: bundle: certificate %d: %w: %v", i, ErrMalformed, err)
		}
		chain = append(chain, c)
	}
	if len(chain) == 0 {
		return nil, fmt.Errorf("sign: bundle: there is no certificate in it: %w", ErrMalformed)
	}
	leaf := chain[0]
	s := &Signer{Method: MethodCertificate, Subject: leaf.Subject.String(), Issuer: leaf.Issuer.String()}
	if err := v.time(s, b, leaf); err != nil {
		return nil, err
	}
	if v.Roots == nil {
		s.Warnings = append(s.Warnings, "the roots of the system are trusted: whoever has any certificate of theirs may have signed")
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots:         v.Roots,
		Intermediates: between,
		CurrentTime:   s.Time,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return nil, fmt.Errorf("sign: certificate of %s: %w: %w", leaf.Subject, ErrSignature, err)
	}
	if err := maySign(leaf); err != nil {
		return nil, fmt.Errorf("sign: certificate of %s: %w: %v", leaf.Subject, ErrSignature, err)
	}
	if err := checkKey(leaf.PublicKey, v.Nonstandard); err != nil {
		return nil, err
	}
	if s.KeyHint, err = KeyHint(leaf.PublicKey); err != nil {
		return nil, err
	}
	compat, err := b.verify(leaf.PublicKey, hashOf(leaf.PublicKey), crypto.SHA256)
	if err != nil {
		return nil, err
	}
	s.note(compat)
	return s, nil
}

// time settles the time that the certificates are held to.
func (v CertificateVerifier) time(s *Signer, b *Bundle, leaf *x509.Certificate) (err error) {
	switch {
	case v.AtNotBefore:
		s.Time, s.TimeSource = leaf.NotBefore, "notBefore"
	case v.Timestamp != nil && len(b.Timestamps) > 0:
		if s.Time, err = v.Timestamp(b.Timestamps[0], b.Signature); err != nil {
			return fmt.Errorf("sign: timestamp: %w: %w", ErrSignature, err)
		}
		s.TimeSource = "rfc3161"
	default:
		if len(b.Timestamps) > 0 {
			s.Warnings = append(s.Warnings, "the bundle has a timestamp, but no authority is trusted with the time")
		}
		s.Time, s.TimeSource = v.Now, "now"
		if s.Time.IsZero() {
			s.Time = time.Now()
		}
	}
	return nil
}
