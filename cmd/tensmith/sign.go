package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/tensmith/tensmith/audit"
	"github.com/tensmith/tensmith/sign"
)

func signCommand(a *app) *cobra.Command {
	var r reading
	var s serializing
	var with signing
	var out, reuse string
	var force bool
	cmd := &cobra.Command{
		Use:   "sign [METHOD] [flags] MODEL",
		Short: "sign a model, so that changes to it are noticed",
		Long: `Sign a model, a folder or a file, in the format of OpenSSF Model Signing. METHOD
is sigstore (the default: with an identity, through the public Sigstore or
another), key or certificate; or, in a program built for it, pkcs11-key and
pkcs11-certificate. The command line is that of model_signing, with hyphens or
underscores in its flags; docs/sign.md says what differs.

Nothing that was signed may be changed afterwards, nor anything added. --reuse
spares reading what an earlier signature by the same key has, and what has not
been changed since, by its time.

Exit status: 0 signed, 2 the model could not be read, is refused, or nobody
would sign.`,
		Example: `  tensmith sign key --private-key key.pem model/
  tensmith sign certificate --private-key key.pem \
    --signing-certificate leaf.pem --certificate-chain chain.pem model/` + signIdentity,
		ValidArgsFunction: completeMethod,
		RunE: func(cmd *cobra.Command, args []string) error {
			method, model, err := methodAndModel(cmd, args, signingMethods)
			if err != nil {
				return err
			}
			if err := with.check(method); err != nil {
				return err
			}
			return a.sign(cmd.Context(), model, signature{method, out, reuse, force}, &r, &s, &with)
		},
	}
	f := cmd.Flags()
	f.StringVar(&out, "signature", "model.sig", "the `FILE` to write")
	f.BoolVar(&force, "force", false, "replace what exists under that name")
	r.flags(cmd)
	s.flags(cmd)
	f.StringVar(&reuse, "reuse", "", "take digests from the signature in this `FILE`, by the same key, where a file is older")
	with.flags(cmd)
	bothSpellings(cmd)
	return cmd
}

// A signature is what sign is to make.
type signature struct {
	method, name, reuse string
	force               bool
}

func (a *app) sign(ctx context.Context, model string, to signature, r *reading, s *serializing, with *signing) error {
	ctx, cancel, err := r.begin(ctx, model)
	if err != nil {
		return err
	}
	defer cancel()
	if err := refuse(to.name, to.force); err != nil {
		return err
	}
	h, m, err := a.hasher(r, model)
	if err != nil {
		return err
	}
	defer m.end()
	if err := s.set(h); err != nil {
		return err
	}
	h.Bundle = to.name
	var by signer
	// Before hours of reading. The token of an identity lasts for minutes, so a
	// person is asked for it afterwards.
	if to.method == "sigstore" {
		_, err = a.keylessSigner(ctx, with, true)
	} else {
		by, err = a.signer(ctx, to.method, with)
	}
	if err != nil {
		return err
	}
	if to.reuse != "" {
		info, err := os.Stat(to.reuse)
		if err != nil {
			return simplify(to.reuse, err)
		}
		known, err := with.earlier(ctx, a, to.reuse, info.ModTime())
		if err != nil {
			return err
		}
		h.Known = append(h.Known, known)
	}
	made, err := a.hashModel(ctx, h, m, model)
	if err != nil {
		return err
	}
	a.ledger.readManifest(model, made.Manifest)
	payload, err := made.Manifest.Statement().Encode()
	if err != nil {
		return withoutPackage(err)
	}
	if by == nil {
		if by, err = a.signer(ctx, to.method, with); err != nil {
			return err
		}
	}
	bundle, err := by.Sign(ctx, sign.PayloadType, payload)
	if err != nil {
		return a.readError(ctx, model, err)
	}
	if err := writeWhole(to.name, bundle, to.force); err != nil {
		return err
	}
	a.ledger.wrote(to.name)
	return a.printSigned(model, to, made)
}

func (a *app) printSigned(model string, to signature, made *sign.Hashed) error {
	root := fmt.Sprintf("sha256:%x", made.Manifest.Root())
	switch {
	case a.isJSON():
		return a.printJSON(struct {
			Schema        string             `json:"schema"`
			Model         string             `json:"model"`
			Signature     string             `json:"signature"`
			Method        string             `json:"method"`
			Digest        string             `json:"digest"`
			Resources     int                `json:"resources"`
			Serialization sign.Serialization `json:"serialization"`
			Bytes         int64              `json:"bytes"` // that were read
			Reused        []reusedJSON       `json:"reused"`
			Warnings      []string           `json:"warnings"`
		}{"tensmith.sign/1", model, filepath.ToSlash(to.name), to.method, root, len(made.Manifest.Resources), made.Manifest.Serialization,
			made.Bytes, reusedList(made), orNone(made.Warnings)})
	case a.format == "tsv":
		t := a.sheet("model", "signature", "method", "digest", "resources", "bytes", "reused")
		t.row(model, filepath.ToSlash(to.name), to.method, root, len(made.Manifest.Resources), made.Bytes, len(made.Reused))
		return t.flush()
	}
	a.words("wrote %s: %s of %s", to.name, plural(len(made.Manifest.Resources), "digest"), model)
	if a.quiet {
		return nil
	}
	_, err := fmt.Fprintln(a.stdout, "Signing succeeded")
	return err
}

// readManifest takes the files of a manifest for inputs. Only whole files with
// SHA-256 have the digest that the log has.
func (l *ledger) readManifest(model string, m *sign.Manifest) {
	if l == nil {
		return
	}
	if m.Serialization.Method != sign.Files || m.Serialization.HashType != sign.SHA256 {
		l.inputs = append(l.inputs, audit.Artifact{Path: filepath.ToSlash(model)})
		return
	}
	info, err := os.Stat(model)
	for _, r := range m.Resources {
		name := model
		if err == nil && info.IsDir() {
			name = filepath.Join(model, filepath.FromSlash(r.Name))
		}
		size := int64(0)
		if at, err := os.Stat(name); err == nil && at.Mode()&fs.ModeType == 0 {
			size = at.Size()
		}
		l.inputs = append(l.inputs, audit.Artifact{Path: filepath.ToSlash(name), SHA256: r.Digest, Bytes: size})
	}
}
