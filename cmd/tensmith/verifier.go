package main

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tensmith/tensmith/sign"
)

// A verifying is the flags that say whom a verification believes.
type verifying struct {
	publicKey   string
	chain       []string
	prints      bool
	notBefore   bool
	nonstandard bool
	tsaRoot     string

	identity, provider               string
	identityPattern, providerPattern string
	trusting
}

// verifyingMethods has the methods that flags of verifying are for.
var verifyingMethods = map[string]string{
	"public-key": "key", "certificate-chain": "certificate", "log-fingerprints": "certificate", "at-not-before": "certificate",
	"allow-nonstandard-key": "key certificate", "tsa-certificate": "key certificate",
	"identity": "sigstore", "identity-provider": "sigstore", "identity-regexp": "sigstore", "identity-provider-regexp": "sigstore",
	"use-staging": "sigstore", "trust-config": "sigstore", "refresh-trust": "sigstore", "trusted-root": "sigstore key certificate",
	"tuf-mirror": "sigstore", "tuf-root": "sigstore", "tuf-cache": "sigstore", "tuf-offline": "sigstore",
}

func (v *verifying) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&v.publicKey, "public-key", "", "`FILE` of the public key, PEM")
	f.StringArrayVar(&v.chain, "certificate-chain", nil, "`FILE` of certificates to trust, PEM (default: those of the system, which certify any web site); may be given again")
	f.BoolVar(&v.prints, "log-fingerprints", false, "print the SHA-256 of every certificate")
	f.BoolVar(&v.notBefore, "at-not-before", false, "accept a certificate that has expired, as model_signing does")
	f.BoolVar(&v.nonstandard, "allow-nonstandard-key", false, "accept RSA and Ed25519")
	f.StringVar(&v.tsaRoot, "tsa-certificate", "", "`FILE` of the certificates of the timestamp authority to trust, PEM")
	f.StringVar(&v.identity, "identity", "", "the `NAME` that must have signed: an address of mail, a URI")
	f.StringVar(&v.provider, "identity-provider", "", "the `URL` of the identity provider that vouched for it")
	f.StringVar(&v.identityPattern, "identity-regexp", "", "regular `EXPRESSION` for the whole of the name instead")
	f.StringVar(&v.providerPattern, "identity-provider-regexp", "", "likewise `EXPRESSION` for the provider")
	v.trusting.flags(cmd, "believe")
	f.StringVar(&v.file, "trusted-root", "", "believe this `FILE`, trusted_root.json (default: the public instance, built in)")
}

func (v *verifying) check(method string) error {
	if err := v.trusting.check(); err != nil {
		return err
	}
	switch {
	case method == "key" && v.publicKey == "":
		return usagef("--public-key is missing")
	case method == "sigstore" && v.identity == "" && v.identityPattern == "":
		return hinted{usagef("--identity is missing"), "anyone can have a certificate: say who must have signed, --identity NAME --identity-provider URL; for a key say `key` before MODEL"}
	case method == "sigstore" && v.provider == "" && v.providerPattern == "":
		return usagef("--identity-provider is missing")
	case v.identity != "" && v.identityPattern != "", v.provider != "" && v.providerPattern != "":
		return usagef("a name and an expression for it exclude each other")
	}
	return nil
}

// verifier returns what verifies by a method.
func (a *app) verifier(ctx context.Context, method string, v *verifying) (sign.Verifier, error) {
	if method == "sigstore" {
		return a.identityVerifier(ctx, v)
	}
	stamps, err := v.stamps(ctx)
	if err != nil {
		return nil, err
	}
	if method == "key" {
		text, err := readFile("public-key", v.publicKey)
		if err != nil {
			return nil, err
		}
		key, err := sign.ParsePublicKey(text)
		if err != nil {
			return nil, trouble(v.publicKey, err)
		}
		return sign.KeyVerifier{Key: key, Nonstandard: v.nonstandard, Timestamp: stamps}, nil
	}
	c := sign.CertificateVerifier{AtNotBefore: v.notBefore, Nonstandard: v.nonstandard, Timestamp: stamps}
	if len(v.chain) > 0 {
		roots, err := readCertificates(v.chain)
		if err != nil {
			return nil, trouble("", err)
		}
		c.Roots = x509.NewCertPool()
		for _, root := range roots {
			c.Roots.AddCert(root)
			if v.prints {
				a.words("trusted %x  %s", sha256.Sum256(root.Raw), root.Subject)
			}
		}
	}
	return c, nil
}

// timestamps tell the time of a token (RFC 3161) over a signature.
type timestamps = func(token, signature []byte) (time.Time, error)

// trouble is an error about a file of the user's own, such as a key: what is
// wrong with it is no answer about the signature.
func trouble(name string, err error) error {
	text := withoutPackage(err).Error()
	if name != "" {
		text = name + ": " + text
	}
	return fmt.Errorf("%s", text)
}
