package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tensmith/tensmith/sign"
)

// A signer signs a payload; the bundle is JSON.
type signer interface {
	Sign(ctx context.Context, payloadType string, payload []byte) (bundle []byte, err error)
}

// A signing is the flags that say what to sign with.
type signing struct {
	privateKey, password, passwordFile string
	hardware                           string
	certificate                        string
	chain                              []string
	tsa                                string
	nonstandard                        bool

	ambient, outOfBand     bool
	token, tokenFile       string
	clientID, clientSecret string
	rekor                  int
	trusting
}

// signingMethods has the methods that flags of signing are for.
var signingMethods = map[string]string{
	"private-key": "key certificate", "password": "key certificate", "password-file": "key certificate",
	"pkcs11-uri": "pkcs11-key pkcs11-certificate", "signing-certificate": "certificate pkcs11-certificate", "certificate-chain": "certificate pkcs11-certificate",
	"tsa-url": "key certificate pkcs11-key pkcs11-certificate", "allow-nonstandard-key": "key certificate pkcs11-key pkcs11-certificate", "reuse": "key",
	"use-staging": "sigstore", "trust-config": "sigstore", "use-ambient-credentials": "sigstore", "identity-token": "sigstore",
	"identity-token-file": "sigstore", "oauth-force-oob": "sigstore", "client-id": "sigstore", "client-secret": "sigstore", "rekor-version": "sigstore",
	"refresh-trust": "sigstore", "tuf-mirror": "sigstore", "tuf-root": "sigstore", "tuf-cache": "sigstore", "tuf-offline": "sigstore",
}

// secret are the flags whose values an audit log has no business with.
var secret = []string{"password", "identity-token", "client-secret", "pkcs11-uri"} // a URI may have a PIN

func (s *signing) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.privateKey, "private-key", "", "`FILE` of the private key, PEM")
	f.StringVar(&s.password, "password", "", "its `PASSWORD`, which others on this machine may see")
	f.StringVar(&s.passwordFile, "password-file", "", "`FILE` whose first line is its password")
	f.StringVar(&s.hardware, "pkcs11-uri", "", "`URI` (RFC 7512) of the private key in hardware")
	f.StringVar(&s.certificate, "signing-certificate", "", "`FILE` of the key's certificate, PEM")
	f.StringArrayVar(&s.chain, "certificate-chain", nil, "`FILE` of the certificates that lead to the root, PEM; may be given again")
	f.StringVar(&s.tsa, "tsa-url", "", "get a timestamp (RFC 3161) from the authority at this `URL`")
	f.BoolVar(&s.nonstandard, "allow-nonstandard-key", false, "sign with RSA and Ed25519, which other verifiers need not know")
	f.StringVar(&s.token, "identity-token", "", "the identity `TOKEN` (OpenID Connect) to sign with")
	f.StringVar(&s.tokenFile, "identity-token-file", "", "`FILE` of the token")
	f.BoolVar(&s.ambient, "use-ambient-credentials", false, "sign as the job or service that this runs in")
	f.BoolVar(&s.outOfBand, "oauth-force-oob", false, "open no browser: print its address, and read the code")
	f.StringVar(&s.clientID, "client-id", "", "`ID` of this program at the identity provider")
	f.StringVar(&s.clientSecret, "client-secret", "", "its `SECRET` there")
	s.trusting.flags(cmd, "sign with")
	f.IntVar(&s.rekor, "rekor-version", 0, "`VERSION` of the transparency log, 1 or 2 (default: what the instance says)")
}

// check finds what is wrong with the flags, without a key or a network.
func (s *signing) check(method string) error {
	switch {
	case strings.HasPrefix(method, "pkcs11-") && s.hardware == "":
		return usagef("--pkcs11-uri is missing")
	case (method == "key" || method == "certificate") && s.privateKey == "":
		return usagef("--private-key is missing")
	case strings.HasSuffix(method, "certificate") && s.certificate == "":
		return usagef("--signing-certificate is missing")
	case s.password != "" && s.passwordFile != "":
		return usagef("--password and --password-file exclude each other")
	case s.rekor < 0 || s.rekor > 2:
		return usagef("--rekor-version is %d, not 1 or 2", s.rekor)
	}
	if err := s.trusting.check(); err != nil {
		return err
	}
	sources := 0
	for _, given := range []bool{s.token != "", s.tokenFile != "", s.ambient} {
		if given {
			sources++
		}
	}
	if sources > 1 {
		return usagef("--identity-token, --identity-token-file and --use-ambient-credentials exclude each other")
	}
	return nil
}

// make returns what signs by a method. For an identity it asks whoever vouches
// for it, so it is called when there is something to sign.
func (a *app) signer(ctx context.Context, method string, s *signing) (signer, error) {
	if method == "sigstore" {
		return a.keylessSigner(ctx, s, false)
	}
	key, err := s.key(ctx, a)
	if err != nil {
		return nil, err
	}
	if s.tsa != "" {
		key.Stamp = stampFrom(s.tsa)
	}
	if strings.HasSuffix(method, "key") {
		return key, nil
	}
	text, err := readFile("signing-certificate", s.certificate)
	if err != nil {
		return nil, err
	}
	leaf, err := sign.ParseCertificates(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.certificate, withoutPackage(err))
	}
	chain, err := readCertificates(s.chain)
	if err != nil {
		return nil, err
	}
	for _, c := range chain {
		if !c.Equal(leaf[0]) {
			leaf = append(leaf, c)
		}
	}
	return sign.Certificate{Signer: key.Signer, Chain: leaf, Nonstandard: s.nonstandard, Stamp: key.Stamp}, nil
}

// key reads the private key, or finds it in hardware.
func (s *signing) key(ctx context.Context, a *app) (sign.Key, error) {
	if s.hardware != "" {
		k, err := openHardware(ctx, s.hardware)
		return sign.Key{Signer: k, Nonstandard: s.nonstandard}, err
	}
	text, err := readFile("private-key", s.privateKey)
	if err != nil {
		return sign.Key{}, err
	}
	password := s.password
	if s.passwordFile != "" {
		line, err := readFile("password-file", s.passwordFile)
		if err != nil {
			return sign.Key{}, err
		}
		password, _, _ = strings.Cut(string(line), "\n")
		password = strings.TrimSuffix(password, "\r")
	}
	k, err := sign.ParsePrivateKey(text, []byte(password))
	for range 3 {
		if !errors.Is(err, sign.ErrPassword) || s.passwordFile != "" || s.password != "" {
			break
		}
		asked, ok, e := a.askPassword(ctx, s.privateKey)
		if e != nil {
			return sign.Key{}, fmt.Errorf("%s: %w", s.privateKey, e)
		}
		if !ok {
			break
		}
		if k, err = sign.ParsePrivateKey(text, []byte(asked)); err == nil {
			s.password = asked // for who needs the key again
		}
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", s.privateKey, withoutPackage(err))
		if errors.Is(err, sign.ErrPassword) && password == "" {
			err = hinted{err, "--password-file FILE has it, or --password PASSWORD; at a terminal it is asked for"}
		}
		return sign.Key{}, err
	}
	return sign.Key{Signer: k, Nonstandard: s.nonstandard}, nil
}

// readCertificates reads the certificates of several files.
func readCertificates(names []string) (all []*x509.Certificate, err error) {
	for _, name := range names {
		text, err := readFile("certificate-chain", name)
		if err != nil {
			return nil, err
		}
		some, err := sign.ParseCertificates(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, withoutPackage(err))
		}
		all = append(all, some...)
	}
	return all, nil
}

// earlier returns the digests of an earlier signature by the same key.
func (s *signing) earlier(ctx context.Context, a *app, name string, written time.Time) (sign.Known, error) {
	key, err := s.key(ctx, a)
	if err != nil {
		return nil, err
	}
	b, err := sign.ReadBundle(name)
	if err != nil {
		return nil, withoutPackage(err)
	}
	if _, err := (sign.KeyVerifier{Key: key.Signer.Public(), Nonstandard: s.nonstandard}).Verify(ctx, b); err != nil {
		return nil, hinted{fmt.Errorf("%s: %w", name, withoutPackage(err)), "only digests that the same key has signed are reused"}
	}
	statement, err := b.Statement()
	if err != nil {
		return nil, withoutPackage(err)
	}
	m, err := statement.Manifest()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, withoutPackage(err))
	}
	if written.IsZero() {
		return nil, errors.New("no time")
	}
	known := m.Known(written)
	return func(p sign.Piece) (digest, source string) {
		if digest, source = known(p); digest != "" {
			source = name
		}
		return digest, source
	}, nil
}
