package main

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tensmith/tensmith/sign"
)

func verifyCommand(a *app) *cobra.Command {
	var r reading
	var whom verifying
	var name string
	var lenient, strict bool
	cmd := &cobra.Command{
		Use:   "verify [METHOD] [flags] --signature FILE MODEL",
		Short: "verify the signature of a model, and that it has not changed",
		Long: `Verify who has signed a model, and list what has changed, is missing or was not
signed. METHOD is how it was signed: sigstore (the default), key or certificate.
The command line is that of model_signing, with hyphens or underscores in its
flags. How files are read (digests, shards, links, what is ignored) is what the
signature says, once it is verified. Those of model_signing from 0.2 on are
known.

Exit status: 0 the signature is good and the model is what was signed, 1 one of
them is not, 2 something could not be read or is refused.`,
		Example: `  tensmith verify key --public-key pub.pem --signature model.sig model/
  tensmith verify certificate --certificate-chain ca.pem \
    --signature model.sig model/` + verifyIdentity,
		ValidArgsFunction: completeMethod,
		RunE: func(cmd *cobra.Command, args []string) error {
			method, model, err := methodAndModel(cmd, args, verifyingMethods)
			if err != nil {
				return err
			}
			if name == "" {
				return hinted{usagef("--signature is missing"), "`tensmith sign` calls the file model.sig"}
			}
			if err := whom.check(method); err != nil {
				return err
			}
			return a.verify(cmd.Context(), model, name, method, &r, &whom, lenient && !strict)
		},
	}
	f := cmd.Flags()
	f.StringVar(&name, "signature", "", "the `FILE` of the signature")
	f.BoolVar(&lenient, "ignore-unsigned-files", false, "let the model have files that were not signed")
	f.BoolVar(&strict, "no-ignore-unsigned-files", false, "do not (the default)")
	r.flags(cmd)
	whom.flags(cmd)
	bothSpellings(cmd)
	return cmd
}

func (a *app) verify(ctx context.Context, model, name, method string, r *reading, whom *verifying, lenient bool) error {
	ctx, cancel, err := r.begin(ctx, model)
	if err != nil {
		return err
	}
	defer cancel()
	verifier, err := a.verifier(ctx, method, whom)
	if err != nil {
		return err
	}
	h, m, err := a.hasher(r, model)
	if err != nil {
		return err
	}
	defer m.end()
	h.Bundle = name
	doc := verification{Schema: "tensmith.verify/1", Model: model, Signature: name, Method: method}
	b, err := sign.ReadBundle(name)
	if err != nil && !isNegative(err) {
		return simplify(name, err)
	}
	var verdict *sign.Verdict
	if err == nil {
		if whom.prints {
			a.printPrints(b)
		}
		verdict, err = sign.Check{Verifier: verifier, Hasher: *h, IgnoreUnsigned: lenient}.Model(ctx, model, b)
	}
	m.end()
	if h.Cache != nil {
		if e := h.Cache.Save(); e != nil && err == nil {
			err = e
		}
	}
	if err != nil && (!isNegative(err) || errors.Is(err, sign.ErrRefused)) {
		return a.readError(ctx, model, err)
	}
	doc.take(verdict, err)
	doc.evidenceJSON = jsonEvidence(verifier)
	for _, w := range doc.Warnings {
		a.words("warning: %s", w)
	}
	if verdict != nil && verdict.Found != nil {
		a.reused(verdict.Found)
	}
	if e := a.printVerification(&doc); e != nil {
		return e
	}
	if err != nil {
		err = withoutPackage(err)
		if doc.Reason == "changed" {
			err = fmt.Errorf("%s: %w: %d changed, %d missing, %d not signed", model, sign.ErrChanged, len(doc.Changed), len(doc.Missing), len(doc.Extra))
			if len(doc.Changed)+len(doc.Missing) == 0 {
				err = hinted{err, "--ignore-unsigned-files lets a model have more files than were signed, --ignore-paths some"}
			}
		}
		a.fail("verify", err)
		return errNo
	}
	return nil
}

// printPrints prints the fingerprints of a bundle's certificates.
func (a *app) printPrints(b *sign.Bundle) {
	for _, der := range b.Certificates {
		subject := "unreadable"
		if c, err := x509.ParseCertificate(der); err == nil {
			subject = c.Subject.String()
		}
		a.words("signed  %x  %s", sha256.Sum256(der), subject)
	}
}

// A verification is the JSON of verify.
type verification struct {
	Schema        string              `json:"schema"`
	Model         string              `json:"model"`
	Signature     string              `json:"signature"`
	Method        string              `json:"method"`
	Verified      bool                `json:"verified"`
	Reason        string              `json:"reason,omitempty"` // signature, malformed or changed
	Message       string              `json:"message,omitempty"`
	Signer        *signerJSON         `json:"signer,omitempty"`
	evidenceJSON                      // of an identity
	Digest        string              `json:"digest,omitempty"`
	Resources     int                 `json:"resources"`
	Serialization *sign.Serialization `json:"serialization,omitempty"`
	Changed       []changeJSON        `json:"changed"`
	Missing       []string            `json:"missing"`
	Extra         []string            `json:"extra"`
	Reused        []reusedJSON        `json:"reused"`
	Warnings      []string            `json:"warnings"`
}

// A signerJSON is who has signed.
type signerJSON struct {
	Method     string `json:"method"`
	KeyHint    string `json:"key_hint,omitempty"`
	Subject    string `json:"subject,omitempty"`
	Identity   string `json:"identity,omitempty"`
	Issuer     string `json:"issuer,omitempty"`
	Time       string `json:"time,omitempty"`
	TimeSource string `json:"time_source,omitempty"`
}

func jsonSigner(s *sign.Signer) *signerJSON {
	j := &signerJSON{Method: string(s.Method), KeyHint: s.KeyHint, Subject: s.Subject, Identity: s.Identity, Issuer: s.Issuer, TimeSource: s.TimeSource}
	if !s.Time.IsZero() && s.TimeSource != "now" { // which would be another in every run
		j.Time = s.Time.UTC().Format(time.RFC3339)
	}
	return j
}

// words is who has signed, for people.
func (s *signerJSON) words() string {
	who := ""
	switch s.Method {
	case "key":
		who = "the key " + s.KeyHint
	case "certificate":
		who = s.Subject + ", certified by " + s.Issuer
	default:
		who = s.Identity + ", of " + s.Issuer
	}
	if s.Time != "" && s.TimeSource != "notBefore" {
		who += ", at " + s.Time + " (" + s.TimeSource + ")"
	}
	return who
}

type changeJSON struct {
	Name   string `json:"name"`
	Signed string `json:"signed"`
	Found  string `json:"found"`
}

func (d *verification) take(v *sign.Verdict, err error) {
	d.Verified, d.Changed, d.Missing, d.Extra, d.Reused, d.Warnings = err == nil, []changeJSON{}, []string{}, []string{}, []reusedJSON{}, []string{}
	switch {
	case errors.Is(err, sign.ErrChanged):
		d.Reason = "changed"
	case errors.Is(err, sign.ErrSignature):
		d.Reason = "signature"
	case err != nil:
		d.Reason = "malformed"
	}
	if err != nil {
		d.Message = withoutPackage(err).Error()
	}
	if v == nil {
		return
	}
	d.Signer, d.Warnings = jsonSigner(v.Signer), orNone(v.Warnings())
	if v.Manifest != nil {
		d.Digest, d.Resources, d.Serialization = fmt.Sprintf("sha256:%x", v.Manifest.Root()), len(v.Manifest.Resources), &v.Manifest.Serialization
	}
	for _, c := range v.Difference.Changed {
		d.Changed = append(d.Changed, changeJSON{c.Name, c.Signed, c.Found})
	}
	d.Missing, d.Extra = orNone(v.Difference.Missing), orNone(v.Difference.Extra)
	if v.Found != nil {
		d.Reused = reusedList(v.Found)
	}
}

func (a *app) printVerification(d *verification) error {
	switch {
	case a.isJSON():
		return a.printJSON(d)
	case a.format == "tsv":
		s := a.sheet("problem", "name", "signed", "found")
		for _, c := range d.Changed {
			s.row("changed", c.Name, c.Signed, c.Found)
		}
		for _, name := range d.Missing {
			s.row("missing", name, "", "")
		}
		for _, name := range d.Extra {
			s.row("not signed", name, "", "")
		}
		if d.Reason != "" && d.Reason != "changed" {
			s.row(d.Reason, d.Signature, "", "")
		}
		return s.flush()
	}
	line := func(what, name string) {
		fmt.Fprintln(a.stdout, a.paint(red, what+": "+safe(name)))
	}
	for _, c := range d.Changed {
		line("changed", c.Name)
	}
	for _, name := range d.Missing {
		line("missing", name)
	}
	for _, name := range d.Extra {
		line("not signed", name)
	}
	if d.Signer != nil {
		a.words("signed by %s", d.Signer.words())
		a.tellLog(d.evidenceJSON)
	}
	if d.Verified && !a.quiet {
		_, err := fmt.Fprintln(a.stdout, a.paint(green, "Verification succeeded"))
		return err
	}
	return nil
}
