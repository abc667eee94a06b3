package keyless

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/oauthflow"
	"golang.org/x/oauth2"
)

// OAuth gets an identity token from a person, who says who he is in a browser.
type OAuth struct {
	// Provider is the URL of the identity provider. Empty is that of the
	// public instance; a trust configuration names its own, see
	// [Trust.Provider].
	Provider string

	// ClientID and ClientSecret are the program's at the provider. Empty is
	// sigstore, which has no secret.
	ClientID, ClientSecret string

	// OutOfBand opens no browser: the address is printed to Out, and the code
	// that the page there shows is read from In, a line.
	OutOfBand bool
	In        io.Reader
	Out       io.Writer
}

// Token gets the token, which lasts for some minutes.
func (o OAuth) Token(ctx context.Context) (string, error) {
	token, err := o.token(ctx)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	if err != nil {
		return "", fmt.Errorf("identity provider %s: %w", o.provider(), err)
	}
	return token, nil
}

func (o OAuth) provider() string { return cmp.Or(o.Provider, "https://oauth2.sigstore.dev/auth") }

func (o OAuth) token(ctx context.Context) (string, error) {
	provider, err := oidc.NewProvider(ctx, o.provider())
	if err != nil {
		return "", err
	}
	config := oauth2.Config{
		ClientID:     cmp.Or(o.ClientID, "sigstore"),
		ClientSecret: o.ClientSecret,
		Endpoint:     provider.Endpoint(),
		Scopes:       []string{oidc.ScopeOpenID, "email"},
	}
	if o.OutOfBand {
		return o.outOfBand(ctx, provider, config)
	}

	// The library waits two minutes for the browser, whatever the context.
	type answer struct {
		token *oauthflow.OIDCIDToken
		err   error
	}
	answered := make(chan answer, 1)
	go func() {
		flow := oauthflow.InteractiveIDTokenGetter{HTMLPage: oauthflow.DefaultIDTokenGetter.HTMLPage, Input: o.In, Output: o.Out}
		token, err := flow.GetIDToken(provider, config)
		answered <- answer{token, err}
	}()
	select {
	case <-ctx.Done():
		return "", context.Cause(ctx)
	case a := <-answered:
		if a.err != nil {
			return "", a.err
		}
		return a.token.RawString, nil
	}
}

// outOfBand is the flow of RFC 6749 §4.1 with PKCE (RFC 7636), the answer of
// which the provider shows to the person instead of sending it to the program.
func (o OAuth) outOfBand(ctx context.Context, provider *oidc.Provider, config oauth2.Config) (string, error) {
	config.RedirectURL = "urn:ietf:wg:oauth:2.0:oob"
	proof, err := oauthflow.NewPKCE(provider)
	if err != nil {
		return "", err
	}
	nonce := cryptoutils.GenerateRandomURLSafeString(128)
	// Nothing comes back that could hold the state, but providers ask for one.
	state := cryptoutils.GenerateRandomURLSafeString(128)
	address := config.AuthCodeURL(state, append(proof.AuthURLOpts(), oauth2.AccessTypeOnline, oidc.Nonce(nonce))...)
	if _, err := fmt.Fprintf(o.Out, "Open this address in a browser:\n\n    %s\n\nand enter the code it shows: ", address); err != nil {
		return "", err
	}
	code, err := o.line(ctx)
	if err != nil {
		return "", err
	}
	token, err := config.Exchange(ctx, code, append(proof.TokenURLOpts(), oidc.Nonce(nonce))...)
	if err != nil {
		return "", err
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return "", errors.New("its answer holds no id_token")
	}
	parsed, err := provider.Verifier(&oidc.Config{ClientID: config.ClientID}).Verify(ctx, raw)
	if err != nil {
		return "", err
	}
	if parsed.Nonce != nonce {
		return "", errors.New("the token was made for another request: its nonce differs")
	}
	if parsed.AccessTokenHash != "" {
		if err := parsed.VerifyAccessToken(token.AccessToken); err != nil {
			return "", err
		}
	}
	return raw, nil
}

// line reads what the person enters. A terminal cannot be told to stop, so
// that the reader is left behind when the context ends.
func (o OAuth) line(ctx context.Context) (string, error) {
	type answer struct {
		text string
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		text, err := bufio.NewReader(io.LimitReader(o.In, 64<<10)).ReadString('\n')
		answered <- answer{strings.TrimSpace(text), err}
	}()
	select {
	case <-ctx.Done():
		return "", context.Cause(ctx)
	case a := <-answered:
		if a.text == "" {
			return "", cmp.Or(a.err, errors.New("no code was entered"))
		}
		return a.text, nil
	}
}
