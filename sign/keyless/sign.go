package keyless

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	sigstore "github.com/sigstore/sigstore-go/pkg/sign"
	"github.com/tensmith/tensmith/sign"
)

// A Signer signs statements with the identity of a token.
type Signer struct {
	// Trust names the services. Nil is [PublicGood].
	Trust *Trust

	// Token is the identity: a JSON Web Token of an OpenID Connect provider
	// that the certificate authority accepts. See [Ambient] and [OAuth].
	Token string

	// Rekor is the version of the transparency log, 1 or 2. Zero is what the
	// trust's signing configuration says: of the public instance 1.
	Rekor int
}

// Check says what is wrong with the trust and with the token, as far as they
// tell themselves: it asks nobody, and is for before much is read that is to be
// signed. A token that is still to come is empty.
func (s Signer) Check() error {
	t := s.Trust
	if t == nil {
		var err error
		if t, err = PublicGood(); err != nil {
			return err
		}
	}
	if _, err := t.services(context.Background(), s.Rekor, time.Now()); err != nil || s.Token == "" {
		return err
	}
	return checkToken(s.Token, time.Now())
}

// Sign signs a payload, in a DSSE envelope, with a key that is made for it and
// forgotten, and returns the bundle, JSON. The certificate and the log entry
// make the token's identity public for good where the instance is public. The
// bundle has passed the trust's own verification.
func (s Signer) Sign(ctx context.Context, payloadType string, payload []byte) ([]byte, error) {
	t := s.Trust
	if t == nil {
		var err error
		if t, err = PublicGood(); err != nil {
			return nil, err
		}
	}
	now := time.Now()
	if err := checkToken(s.Token, now); err != nil {
		return nil, err
	}
	options, err := t.services(ctx, s.Rekor, now)
	if err != nil {
		return nil, err
	}
	options.CertificateProviderOptions = &sigstore.CertificateProviderOptions{IDToken: s.Token}
	key, err := sigstore.NewEphemeralKeypair(nil)
	if err != nil {
		return nil, err
	}
	made, err := sigstore.Bundle(&sigstore.DSSEData{Data: payload, PayloadType: payloadType}, key, options)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return nil, cause
		}
		return nil, explainSigning(err)
	}
	signed, err := (&bundle.Bundle{Bundle: made}).MarshalJSON()
	if err != nil {
		return nil, err
	}
	// The library of protocol buffers puts in spaces at random.
	var compact bytes.Buffer
	if err := json.Compact(&compact, signed); err != nil {
		return nil, err
	}
	parsed, err := sign.ParseBundle(compact.Bytes())
	if err == nil {
		_, _, err = t.check(parsed)
	}
	if err != nil {
		return nil, fmt.Errorf("the services have signed what does not verify: %w", err)
	}
	return compact.Bytes(), nil
}

// services chooses who certifies, logs and tells the time.
func (t *Trust) services(ctx context.Context, rekor int, now time.Time) (sigstore.BundleOptions, error) {
	none := sigstore.BundleOptions{}
	config := t.config
	if config == nil {
		return none, &Error{
			Err:  fmt.Errorf("the trust (%s) names no services to sign with", t.Source),
			Hint: "a trusted root verifies alone; to sign give the instance's --trust-config FILE",
		}
	}
	if rekor == 2 && t.rekor2 != nil {
		config = t.rekor2
	}
	versions := sigstore.RekorAPIVersions
	if rekor != 0 {
		versions = []uint32{uint32(rekor)}
	}

	fulcio, err := root.SelectService(config.FulcioCertificateAuthorityURLs(), sigstore.FulcioAPIVersions, now)
	if err != nil {
		return none, fmt.Errorf("signing configuration (%s): certificate authority: %w", t.Source, err)
	}
	logs, err := root.SelectServices(config.RekorLogURLs(), config.RekorLogURLsConfig(), versions, now)
	if err != nil {
		return none, fmt.Errorf("signing configuration (%s): transparency log: %w", t.Source, err)
	}
	var authorities []root.Service
	if len(config.TimestampAuthorityURLs()) > 0 {
		authorities, err = root.SelectServices(config.TimestampAuthorityURLs(), config.TimestampAuthorityURLsConfig(), sigstore.TimestampAuthorityAPIVersions, now)
		if err != nil {
			return none, fmt.Errorf("signing configuration (%s): timestamp authority: %w", t.Source, err)
		}
	}

	options := sigstore.BundleOptions{
		Context: ctx,
		CertificateProvider: certifier{fulcio.URL, sigstore.NewFulcio(&sigstore.FulcioOptions{
			BaseURL: strings.TrimSuffix(fulcio.URL, "/"), Timeout: timeout, Retries: 1, Transport: bound{ctx}})},
	}
	for _, a := range authorities {
		options.TimestampAuthorities = append(options.TimestampAuthorities, authority(ctx, a.URL))
	}
	for _, l := range logs {
		if l.MajorAPIVersion == 2 && len(authorities) == 0 {
			return none, fmt.Errorf("signing configuration (%s): Rekor v2 (%s) tells no time, and there is no timestamp authority", t.Source, l.URL)
		}
		options.TransparencyLogs = append(options.TransparencyLogs, logger{l.URL, sigstore.NewRekor(&sigstore.RekorOptions{
			BaseURL: strings.TrimSuffix(l.URL, "/"), Timeout: timeout, Retries: 1, Version: l.MajorAPIVersion})})
	}
	return options, nil
}

// certifier and logger say which service an error is of.
type (
	certifier struct {
		address string
		sigstore.CertificateProvider
	}
	logger struct {
		address string
		sigstore.Transparency
	}
)

func (c certifier) GetCertificate(ctx context.Context, key sigstore.Keypair, options *sigstore.CertificateProviderOptions) ([]byte, error) {
	der, err := c.CertificateProvider.GetCertificate(ctx, key, options)
	if err != nil {
		return nil, fmt.Errorf("certificate authority %s: %w", c.address, err)
	}
	return der, nil
}

func (l logger) GetTransparencyLogEntry(ctx context.Context, certificate []byte, b *protobundle.Bundle) error {
	if err := l.Transparency.GetTransparencyLogEntry(ctx, certificate, b); err != nil {
		return fmt.Errorf("transparency log %s: %w", l.address, err)
	}
	return nil
}

// checkToken looks at what a token says of itself, before services are asked:
// they give the same verdict in worse words.
func checkToken(token string, now time.Time) error {
	if token == "" {
		return &Error{
			Err:  errors.New("no identity to sign with"),
			Hint: "give --identity-token TOKEN, or sign where one is around: --use-ambient-credentials",
		}
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return errors.New("the identity token is no JSON Web Token")
	}
	content, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return fmt.Errorf("the identity token is no JSON Web Token: %w", err)
	}
	var claims struct {
		Expiry float64 `json:"exp"` // seconds, RFC 7519 allows fractions
	}
	if err := json.Unmarshal(content, &claims); err != nil {
		return fmt.Errorf("the identity token is no JSON Web Token: %w", err)
	}
	if late := float64(now.Unix()) - claims.Expiry; claims.Expiry > 0 && late > 0 {
		return &Error{
			Err:  fmt.Errorf("the identity token has expired %.0f seconds ago", late),
			Hint: "they last a few minutes: get a new one just before signing",
		}
	}
	return nil
}

// explainSigning tells the usual refusals of the services.
func explainSigning(err error) error {
	hint := ""
	switch text := err.Error(); {
	case strings.Contains(text, "Fulcio returned 400"), strings.Contains(text, "Fulcio returned 401"):
		hint = "the certificate authority does not accept the identity token: its issuer must be one it knows, and its audience (aud) sigstore"
	case strings.Contains(text, "not verified by identity provider"):
		hint = "the provider has not verified the address of mail that is in the identity token"
	}
	if hint == "" {
		return err
	}
	return &Error{Err: err, Hint: hint}
}
