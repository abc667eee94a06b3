package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tensmith/tensmith/sign"
)

// A serializing is the flags that say how a model is listed and hashed.
type serializing struct {
	algorithm string
	shard     string
	form      string
	hub       bool
}

func (s *serializing) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.algorithm, "hash", "sha256", "`ALGORITHM` of the files' digests: sha256, blake2b or blake3")
	f.StringVar(&s.shard, "shard-size", "", "a digest for each `SIZE` of a file, such as 1GB, so that several processors work on one (default: whole files)")
	f.StringVar(&s.form, "form", "spec", "`FORM` of the list of files: spec, as the specification has it, or reference, as model_signing")
	f.BoolVar(&s.hub, "trust-hub-names", false, "take digests from the names of blobs in a Hub cache, unread")
	if err := cmd.RegisterFlagCompletionFunc("hash", cobra.FixedCompletions([]string{"sha256", "blake2b", "blake3"}, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // there is no such flag
	}
	if err := cmd.RegisterFlagCompletionFunc("form", cobra.FixedCompletions([]string{"spec", "reference"}, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err)
	}
}

// set puts the flags into a hasher.
func (s *serializing) set(h *sign.Hasher) error {
	algorithms := []sign.Algorithm{sign.SHA256, sign.BLAKE2b, sign.BLAKE3}
	if h.Algorithm = sign.Algorithm(s.algorithm); !slices.Contains(algorithms, h.Algorithm) {
		return usagef("--hash is %q, not one of sha256, blake2b, blake3", s.algorithm)
	}
	switch s.form {
	case "spec":
	case "reference":
		h.Reference = true
	default:
		return usagef("--form is %q, not spec or reference", s.form)
	}
	if s.shard != "" {
		n, err := parseSize(s.shard)
		if err != nil {
			return err
		}
		if h.ShardSize = n; n < 1 {
			return usagef("--shard-size is %q, and must be at least a byte", s.shard)
		}
	}
	if s.hub {
		h.Known = append(h.Known, sign.HubBlobs)
	}
	return nil
}

func digestCommand(a *app) *cobra.Command {
	var r reading
	var s serializing
	cmd := &cobra.Command{
		Use:   "digest [flags] MODEL",
		Short: "print the digest that a signature of a model is about",
		Long: `Print the root digest of a model, a folder or a file, as signatures of OpenSSF
Model Signing have it: the SHA-256 of the digests of all files, in the order of
their names. model_signing orders by the parts of paths, which makes another
digest for some folders; --form reference does the same. A signature made in
either order verifies everywhere.

Exit status: 0 printed, 2 the model could not be read, or holds links or names
that are not signed.`,
		Example: `  tensmith digest model/
  tensmith digest model/ --hash blake3 --json | jq -r '.resources[].name'`,
		Args: args(1, 1, "MODEL"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.digest(cmd.Context(), args[0], &r, &s) },
	}
	r.flags(cmd)
	s.flags(cmd)
	bothSpellings(cmd)
	return cmd
}

// A reusedJSON is a digest that was not computed.
type reusedJSON struct {
	Name string `json:"name"`
	From string `json:"from"`
}

func reusedList(h *sign.Hashed) []reusedJSON {
	list := []reusedJSON{}
	for _, r := range h.Manifest.Resources {
		if from, ok := h.Reused[r.Name]; ok {
			list = append(list, reusedJSON{r.Name, from})
		}
	}
	return list
}

// hashModel makes a manifest, with a bar and the words about it.
func (a *app) hashModel(ctx context.Context, h *sign.Hasher, m *meter, model string) (*sign.Hashed, error) {
	made, err := h.Hash(ctx, model)
	m.end()
	if h.Cache != nil {
		// Also what was computed before it went wrong.
		err = errors.Join(err, h.Cache.Save())
	}
	if err != nil {
		return nil, a.readError(ctx, model, err)
	}
	for _, w := range made.Warnings {
		a.words("warning: %s", w)
	}
	a.reused(made)
	return made, nil
}

// readError says what went wrong, and with which file of the model, or that the
// time was over.
func (a *app) readError(ctx context.Context, model string, err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok && e.Op == "openat" {
		// Files are opened beneath the model's folder, that of a model of one
		// file included.
		if info, err := os.Stat(model); err == nil && !info.IsDir() {
			model = filepath.Dir(model)
		}
		return simplify(filepath.Join(model, e.Path), e.Err)
	}
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return withoutPackage(err)
}

func (a *app) digest(ctx context.Context, model string, r *reading, s *serializing) error {
	ctx, cancel, err := r.begin(ctx, model)
	if err != nil {
		return err
	}
	defer cancel()
	h, m, err := a.hasher(r, model)
	if err != nil {
		return err
	}
	defer m.end()
	if err := s.set(h); err != nil {
		return err
	}
	made, err := a.hashModel(ctx, h, m, model)
	if err != nil {
		return err
	}
	root := fmt.Sprintf("sha256:%x", made.Manifest.Root())
	switch {
	case a.isJSON():
		return a.printJSON(struct {
			Schema        string             `json:"schema"`
			Model         string             `json:"model"`
			Digest        string             `json:"digest"`
			Form          string             `json:"form"`
			Serialization sign.Serialization `json:"serialization"`
			Bytes         int64              `json:"bytes"` // that were read
			Reused        []reusedJSON       `json:"reused"`
			Warnings      []string           `json:"warnings"`
			Resources     []sign.Resource    `json:"resources"`
		}{"tensmith.digest/1", model, root, s.form, made.Manifest.Serialization, made.Bytes, reusedList(made), orNone(made.Warnings), made.Manifest.Resources})
	case a.format == "tsv":
		t := a.sheet("name", "algorithm", "digest", "reused_from")
		t.row(".", "root", root, "")
		for _, res := range made.Manifest.Resources {
			t.row(res.Name, string(res.Algorithm), res.Digest, made.Reused[res.Name])
		}
		return t.flush()
	}
	if otherOrder(made.Manifest.Resources) {
		a.words("note: model_signing lists these files in another order, which makes another digest; this is that of --form %s", s.form)
	}
	_, err = fmt.Fprintln(a.stdout, root)
	return err
}

// otherOrder tells whether the order of names and that of the parts of paths
// differ.
func otherOrder(list []sign.Resource) bool {
	byName := slices.IsSortedFunc(list, func(x, y sign.Resource) int { return strings.Compare(x.Name, y.Name) })
	byParts := slices.IsSortedFunc(list, func(x, y sign.Resource) int {
		return slices.CompareFunc(strings.Split(x.Name, "/"), strings.Split(y.Name, "/"), cmp.Compare[string])
	})
	return !byName || !byParts
}

// orNone is a list for JSON, where none is [].
func orNone(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
