//go:build nokeyless

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tensmith/tensmith/scan"
	"github.com/tensmith/tensmith/sign"
)

// This is what keyless.go is in a program without the client of Sigstore. Its
// flags are still known, so that a script is told what it lacks.

var identityMethods []string

const signIdentity, verifyIdentity = "", ""

var errNoKeyless = withoutKeyless(errors.New("this program was built without Sigstore (-tags nokeyless)"))

func withoutKeyless(err error) hinted {
	return hinted{err, "this one signs and verifies by the methods key and certificate; `go build ./cmd/tensmith`, without the tag, makes one that has Sigstore"}
}

// keylessOnly tells whether a flag is for what is left out.
func keylessOnly(name string) bool {
	return strings.Contains(signingMethods[name]+verifyingMethods[name], "sigstore") || name == "tsa-url" || name == "tsa-certificate"
}

// leaveOutKeyless hides the flags of cmd that this program refuses, and says so.
func leaveOutKeyless(cmd *cobra.Command) {
	hidden := false
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if keylessOnly(f.Name) {
			f.Hidden, hidden = true, true
		}
	})
	if hidden {
		cmd.Long += `

This program was built without Sigstore (-tags nokeyless): it refuses the method
sigstore, and all flags of identities and of timestamps.`
	}
	for _, sub := range cmd.Commands() {
		leaveOutKeyless(sub)
	}
}

// refuseKeyless refuses flags that need what is left out.
func refuseKeyless(cmd *cobra.Command) (err error) {
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if keylessOnly(f.Name) && err == nil {
			err = withoutKeyless(usagef("--%s: %w", f.Name, errNoKeyless.error))
		}
	})
	return err
}

// lacksKeyless refuses a method.
func lacksKeyless(method string) error {
	if method == "sigstore" {
		return withoutKeyless(usagef("method sigstore, which is meant where none is said: %w", errNoKeyless.error))
	}
	return nil
}

func stampFrom(string) sign.Stamp {
	return func(context.Context, []byte) ([]byte, error) { return nil, errNoKeyless }
}

func keylessHint(error) string { return "" }

func (v *verifying) stamps(context.Context) (timestamps, error) {
	if v.tsaRoot != "" || v.file != "" {
		return nil, errNoKeyless
	}
	return nil, nil
}

func (a *app) identityVerifier(context.Context, *verifying) (sign.Verifier, error) {
	return nil, errNoKeyless
}

func jsonEvidence(sign.Verifier) (j evidenceJSON) { return j }

func (a *app) keylessSigner(context.Context, *signing, bool) (signer, error) {
	return nil, errNoKeyless
}

func (a *app) policyIdentities(context.Context, scanFlags) func([]scan.Identity) (sign.Verifier, error) {
	return func([]scan.Identity) (sign.Verifier, error) {
		return nil, withoutKeyless(fmt.Errorf("the identities of the policy: %w", errNoKeyless.error))
	}
}
