//go:build !nokeyless

package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tensmith/tensmith/scan"
	"github.com/tensmith/tensmith/sign"
	"github.com/tensmith/tensmith/sign/keyless"
)

// Here is all that the command does with the client of Sigstore: identities,
// and timestamps. It is more than half of the program, and nokeyless.go is what
// a program without it has instead.

// identityMethods are the methods that need it.
var identityMethods = []string{"sigstore"}

const (
	signIdentity   = "\n  tensmith sign --use-ambient-credentials model/"
	verifyIdentity = `
  tensmith verify --signature model.sig --identity release@example.org \
    --identity-provider https://accounts.google.com model/`
)

func leaveOutKeyless(*cobra.Command)     {}
func refuseKeyless(*cobra.Command) error { return nil }
func lacksKeyless(method string) error   { return nil }

// stampFrom gets timestamps from the authority at an address.
func stampFrom(address string) sign.Stamp { return keyless.Stamp(address) }

// keylessHint is the hint of an error of keyless, if it has one.
func keylessHint(err error) string {
	if e, ok := errors.AsType[*keyless.Error](err); ok {
		return e.Hint
	}
	return ""
}

// trust returns the deployment of Sigstore that the flags name.
func (t *trusting) trust(ctx context.Context) (trust *keyless.Trust, err error) {
	switch {
	case t.config != "":
		trust, err = readTrust("trust-config", t.config)
	case t.file != "":
		trust, err = readTrust("trusted-root", t.file)
	case t.staging || t.refresh || t.repository():
		r := keyless.Repository{Mirror: t.mirror, Cache: t.cache, Offline: t.offline}
		if t.staging {
			r.Mirror = keyless.Staging
		}
		if t.root != "" {
			if r.Root, err = readFile("tuf-root", t.root); err != nil {
				return nil, err
			}
		}
		trust, err = r.Trust(ctx)
	default:
		trust, err = keyless.PublicGood()
	}
	if err != nil {
		return nil, withoutPackage(err)
	}
	return trust, nil
}

func readTrust(flag, name string) (*keyless.Trust, error) {
	text, err := readFile(flag, name)
	if err != nil {
		return nil, err
	}
	return keyless.ParseTrust(name, text)
}

// tellTrust tells whom a verification believes, and how old that is.
func (a *app) tellTrust(t *keyless.Trust) {
	if t.AsOf.IsZero() {
		a.words("note: trusted root: %s", t.Source)
		return
	}
	a.words("note: trusted root: %s, as of %s, %s ago", t.Source, t.AsOf.UTC().Format(time.DateOnly), plural(daysSince(t.AsOf), "day"))
}

func daysSince(t time.Time) int { return max(0, int(time.Since(t).Hours()/24)) }

// stamps returns who tells the time of signatures with keys and certificates,
// or nil.
func (v *verifying) stamps(ctx context.Context) (timestamps, error) {
	switch {
	case v.tsaRoot != "":
		text, err := readFile("tsa-certificate", v.tsaRoot)
		if err != nil {
			return nil, err
		}
		trust, err := keyless.ParseTimestampAuthority(v.tsaRoot, text)
		if err != nil {
			return nil, withoutPackage(err)
		}
		return trust.Time, nil
	case v.file != "":
		trust, err := v.trust(ctx)
		if err != nil {
			return nil, err
		}
		return trust.Time, nil
	}
	return nil, nil
}

// identityVerifier verifies the signatures of an identity.
func (a *app) identityVerifier(ctx context.Context, v *verifying) (sign.Verifier, error) {
	trust, err := v.trust(ctx)
	if err != nil {
		return nil, err
	}
	a.tellTrust(trust)
	who := keyless.Identity{Subject: v.identity, SubjectPattern: v.identityPattern, Issuer: v.provider, IssuerPattern: v.providerPattern}
	return &identityVerifier{Verifier: keyless.Verifier{Trust: trust, Identities: []keyless.Identity{who}}}, nil
}

// An identityVerifier remembers what it has found.
type identityVerifier struct {
	keyless.Verifier
	found *keyless.Evidence
}

func (w *identityVerifier) Verify(ctx context.Context, b *sign.Bundle) (*sign.Signer, error) {
	e, err := w.Evidence(ctx, b)
	if err != nil {
		return nil, err
	}
	w.found = e
	return &e.Signer, nil
}

// jsonEvidence has nothing of verifiers of other methods.
func jsonEvidence(v sign.Verifier) (j evidenceJSON) {
	by, ok := v.(*identityVerifier)
	if !ok {
		return j
	}
	j.Trust = &trustJSON{Source: by.Trust.Source}
	if as := by.Trust.AsOf; !as.IsZero() {
		days := daysSince(as)
		j.Trust.AsOf, j.Trust.AgeDays = as.UTC().Format(time.DateOnly), &days
	}
	if e := by.found; e != nil && e.Log != "" {
		j.Log = &logJSON{URL: e.Log, Index: e.LogIndex}
		if !e.Logged.IsZero() {
			j.Log.Time = e.Logged.UTC().Format(time.RFC3339)
		}
	}
	return j
}

// keylessSigner is what signs with an identity. Before the model is read, which
// may take longer than a token lasts, it says what is wrong with what is known
// by then, and no person is asked.
func (a *app) keylessSigner(ctx context.Context, s *signing, before bool) (signer, error) {
	trust, err := s.trust(ctx)
	if err != nil {
		return nil, err
	}
	k := keyless.Signer{Trust: trust, Token: s.token, Rekor: s.rekor}
	switch {
	case s.tokenFile != "":
		text, err := readFile("identity-token-file", s.tokenFile)
		if err != nil {
			return nil, err
		}
		k.Token = strings.TrimSpace(string(text))
	case s.ambient:
		from := ""
		if k.Token, from, err = (keyless.Ambient{}).Token(ctx); err != nil {
			return nil, withoutPackage(err)
		}
		if !before {
			a.words("note: signing with the identity of %s", from)
		}
	case s.token == "" && !before:
		login := keyless.OAuth{Provider: trust.Provider(), ClientID: s.clientID, ClientSecret: s.clientSecret, OutOfBand: s.outOfBand, In: a.stdin, Out: a.stderr}
		if k.Token, err = login.Token(ctx); err != nil {
			return nil, withoutPackage(err)
		}
	}
	if before {
		return nil, withoutPackage(k.Check())
	}
	return k, nil
}

// policyIdentities returns what verifies the identities of a policy.
func (a *app) policyIdentities(ctx context.Context, flags scanFlags) func([]scan.Identity) (sign.Verifier, error) {
	return func(list []scan.Identity) (sign.Verifier, error) {
		trust, err := (&trusting{file: flags.root}).trust(ctx)
		if err != nil {
			return nil, err
		}
		a.tellTrust(trust)
		v := keyless.Verifier{Trust: trust}
		for _, id := range list {
			v.Identities = append(v.Identities, keyless.Identity{Subject: id.Subject, Issuer: id.Issuer})
		}
		return v, nil
	}
}
