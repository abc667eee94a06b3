package keyless

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/tensmith/tensmith/sign"
)

// ErrIdentity is that of a bundle which is sound, but was signed by somebody
// else than was asked for.
var ErrIdentity = errors.New("signed by another identity")

// An Identity is who may have signed: a subject and who has vouched for it.
// Each is given by its exact value or by a pattern for the whole of it; none
// may be left open.
type Identity struct {
	// Subject is the certificate's alternative name: an address of mail, or
	// the URI of a workflow.
	Subject        string
	SubjectPattern string // regular expression, of package regexp

	// Issuer is the URL of the identity provider.
	Issuer        string
	IssuerPattern string
}

// policy is the identity in the terms of sigstore-go.
func (i Identity) policy() (verify.CertificateIdentity, error) {
	var none verify.CertificateIdentity
	if i.Subject == "" && i.SubjectPattern == "" || i.Issuer == "" && i.IssuerPattern == "" {
		return none, &Error{
			Err:  errors.New("an identity is a subject and its issuer, and one of them is missing"),
			Hint: "anyone can have a certificate: say who may have signed, --identity NAME --identity-provider URL",
		}
	}
	// sigstore-go looks for a pattern anywhere in a name.
	whole := func(pattern string) (string, error) {
		if pattern == "" {
			return "", nil
		}
		// Alone first: a pattern may close a group that it has not opened.
		if _, err := regexp.Compile(pattern); err != nil {
			return "", err
		}
		return `\A(?:` + pattern + `)\z`, nil
	}
	subject, err := whole(i.SubjectPattern)
	if err != nil {
		return none, err
	}
	issuer, err := whole(i.IssuerPattern)
	if err != nil {
		return none, err
	}
	return verify.NewShortCertificateIdentity(i.Issuer, issuer, i.Subject, subject)
}

func (i Identity) String() string {
	name := func(value, pattern string) string {
		if value == "" {
			return "/" + pattern + "/"
		}
		return value
	}
	return name(i.Subject, i.SubjectPattern) + " by " + name(i.Issuer, i.IssuerPattern)
}

// A Verifier says whether a bundle was signed by one of its identities. It is a
// [sign.Verifier].
type Verifier struct {
	// Trust is whom to believe. Nil is [PublicGood].
	Trust *Trust

	// Identities are those any of which may have signed; at least one.
	Identities []Identity

	// Now is the time that the age of the trust is reckoned at. Zero is the
	// present. It has no other part: a bundle is verified at the time at which
	// it was signed.
	Now time.Time
}

// Evidence is all that was found of a bundle.
type Evidence struct {
	sign.Signer

	// Log is the address of the transparency log, and LogIndex that of the
	// entry there. Of a bundle with several entries Log is empty.
	Log      string
	LogIndex int64

	// Logged is when the log took the entry. Rekor v2 does not say: zero.
	Logged time.Time

	// TrustSource and TrustAsOf are of the trust that was believed.
	TrustSource string
	TrustAsOf   time.Time
}

// Verify implements [sign.Verifier]: it tells who has signed, and when.
func (v Verifier) Verify(ctx context.Context, b *sign.Bundle) (*sign.Signer, error) {
	e, err := v.Evidence(ctx, b)
	if err != nil {
		return nil, err
	}
	return &e.Signer, nil
}

// Evidence does what Verify does and tells more.
func (v Verifier) Evidence(ctx context.Context, b *sign.Bundle) (*Evidence, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if b.Method != sign.MethodSigstore {
		return nil, &Error{
			Err:  fmt.Errorf("keyless: the bundle is of method %s, not of an identity: %w", b.Method, sign.ErrSignature),
			Hint: "verify it as it was signed: verify " + string(b.Method),
		}
	}
	if len(v.Identities) == 0 {
		v.Identities = []Identity{{}} // which is refused
	}
	asked := make(verify.CertificateIdentities, len(v.Identities))
	for n, i := range v.Identities {
		var err error
		if asked[n], err = i.policy(); err != nil {
			return nil, err
		}
	}
	t := v.Trust
	if t == nil {
		var err error
		if t, err = PublicGood(); err != nil {
			return nil, err
		}
	}
	e, signed, err := t.check(b)
	if err != nil {
		return nil, err
	}
	if _, err := asked.Verify(*signed.Signature.Certificate); err != nil {
		names := make([]string, len(v.Identities))
		for n, i := range v.Identities {
			names[n] = i.String()
		}
		return nil, fmt.Errorf("keyless: %w: %w: %s by %s, asked for %s", sign.ErrSignature, ErrIdentity,
			e.Identity, e.Issuer, strings.Join(names, " or "))
	}
	now := v.Now
	if now.IsZero() {
		now = time.Now()
	}
	e.Warnings = append(e.Warnings, t.warnings(now)...)
	return e, nil
}

// check verifies a bundle of anyone: its log entry, its time, its certificate
// at that time, and its signature.
func (t *Trust) check(b *sign.Bundle) (*Evidence, *verify.VerificationResult, error) {
	parsed := new(bundle.Bundle)
	if err := parsed.UnmarshalJSON(b.JSON); err != nil {
		return nil, nil, fmt.Errorf("keyless: bundle: %w: %w", sign.ErrMalformed, err)
	}
	// Two parsers have read the same bytes. What the one has verified is what
	// the other goes on with.
	if envelope := parsed.GetDsseEnvelope(); !bytes.Equal(envelope.GetPayload(), b.Payload) ||
		envelope.GetPayloadType() != b.PayloadType || len(envelope.GetSignatures()) != 1 ||
		!bytes.Equal(envelope.GetSignatures()[0].GetSig(), b.Signature) {
		return nil, nil, fmt.Errorf("keyless: bundle: %w: it holds more than one statement and its signature", sign.ErrMalformed)
	}

	// The specification of OMS wants a log entry (§6.3), and a time that
	// somebody has signed: a timestamp authority, or, of Rekor v1, the log.
	wanted := []verify.VerifierOption{
		verify.WithTransparencyLog(1), verify.WithObserverTimestamps(1), verify.WithoutStatementPredicate(),
	}
	logged := len(t.root.CTLogs()) > 0
	if logged {
		wanted = append(wanted, verify.WithSignedCertificateTimestamps(1))
	}
	verifier, err := verify.NewVerifier(t.root, wanted...)
	if err != nil {
		return nil, nil, err
	}
	// What the statement says of the model is compared by package sign, and
	// whom the certificate names by the caller.
	result, err := verifier.Verify(parsed, verify.NewPolicy(verify.WithoutArtifactUnsafe(), verify.WithoutIdentitiesUnsafe()))
	if err != nil {
		return nil, nil, t.explain(parsed, fmt.Errorf("keyless: %w: %w", sign.ErrSignature, err))
	}
	e, err := t.evidence(parsed, result)
	if err != nil {
		return nil, nil, err
	}
	if !logged {
		e.Warnings = append(e.Warnings, fmt.Sprintf("the trusted root (%s) knows no log of certificates: that the certificate was made public was not verified", t.Source))
	}
	return e, result, nil
}

// evidence says in the words of package sign what was found.
func (t *Trust) evidence(b *bundle.Bundle, result *verify.VerificationResult) (*Evidence, error) {
	content, err := b.VerificationContent()
	if err != nil {
		return nil, err
	}
	entries, err := b.TlogEntries()
	if err != nil {
		return nil, err
	}
	signed := result.Signature.Certificate
	e := &Evidence{
		Signer: sign.Signer{
			Method:   sign.MethodSigstore,
			Subject:  cmp.Or(content.Certificate().Subject.String(), signed.SubjectAlternativeName),
			Identity: signed.SubjectAlternativeName,
			Issuer:   signed.Issuer,
		},
		TrustSource: t.Source,
		TrustAsOf:   t.AsOf,
	}
	// A timestamp authority's word comes first: it says when the signature
	// existed, a log when it was told of it.
	stamps := 0
	for _, at := range result.VerifiedTimestamps {
		if at.Type == "TimestampAuthority" {
			if stamps++; stamps == 1 {
				e.Time, e.TimeSource = at.Timestamp.UTC(), "rfc3161"
			}
			continue
		}
		if e.Logged = at.Timestamp.UTC(); e.Time.IsZero() {
			e.Time, e.TimeSource = e.Logged, "rekor"
		}
	}
	// The log's time would do. But a timestamp that is there and not good means
	// tampering, or a trust that is not meant for the bundle, and Sigstore's
	// specification of clients has them stop.
	carried, err := b.Timestamps()
	switch {
	case err != nil:
		return nil, err
	case stamps == len(carried):
	case len(t.root.TimestampingAuthorities()) > 0:
		return nil, &Error{
			Err: fmt.Errorf("keyless: %w: %d of the bundle's %d timestamps are not of an authority of the trusted root (%s), or not over this signature",
				sign.ErrSignature, len(carried)-stamps, len(carried), t.Source),
			Hint: "if the bundle has not been changed, a newer trusted root may know the authority: --trusted-root FILE",
		}
	default:
		e.Warnings = append(e.Warnings, fmt.Sprintf("the trusted root (%s) knows no timestamp authority: the bundle's timestamps were not verified", t.Source))
	}
	if len(entries) > 1 {
		// Which of them have convinced it, sigstore-go does not tell.
		e.Warnings = append(e.Warnings, fmt.Sprintf("the bundle has %d entries of logs, of which one or more are verified", len(entries)))
	} else if log, known := t.root.RekorLogs()[logID(entries[0])]; known {
		e.Log, e.LogIndex = log.BaseURL, entries[0].LogIndex()
	}
	return e, nil
}

// logID is the key of a log in a trusted root.
func logID(entry *tlog.Entry) string { return hex.EncodeToString([]byte(entry.LogKeyID())) }

// explain adds to an error of sigstore-go what is seen to be its cause.
func (t *Trust) explain(b *bundle.Bundle, err error) error {
	entries, _ := b.TlogEntries()
	stamps, _ := b.Timestamps()
	for _, entry := range entries {
		id := logID(entry)
		if _, known := t.root.RekorLogs()[id]; !known {
			return &Error{
				Err:  fmt.Errorf("%w: the trusted root (%s) does not know the log %s", err, t.Source, id),
				Hint: "another instance of Sigstore may have signed (--trusted-root FILE, --trust-config FILE, --use-staging), or the trusted root is older than the log",
			}
		}
	}
	switch {
	case len(stamps) == 0 && len(entries) > 0 && entries[0].IsRekorV2():
		return fmt.Errorf("%w: the bundle has no timestamp of an authority, and Rekor v2 tells no time", err)
	case len(stamps) > 0 && len(t.root.TimestampingAuthorities()) == 0:
		return &Error{
			Err:  fmt.Errorf("%w: the trusted root (%s) knows no timestamp authority", err, t.Source),
			Hint: "a newer trusted root may: --trusted-root FILE",
		}
	}
	return err
}
