package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tensmith/tensmith/sign"
)

// The verbs digest, sign and verify take the command line of the Python
// program model_signing 1.1, with hyphens or underscores in its flags.

// bothSpellings lets cmd take --private_key for --private-key.
func bothSpellings(cmd *cobra.Command) {
	cmd.Flags().SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		return pflag.NormalizedName(strings.ReplaceAll(name, "_", "-"))
	})
}

// A reading is the flags that say what belongs to a model, and how it is read.
type reading struct {
	ignore     []string
	git, noGit bool
	links      bool
	cache      string
	timeout    time.Duration
}

func (r *reading) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVar(&r.ignore, "ignore-paths", nil, "leave out this `PATH` and all below it; may be given again")
	f.BoolVar(&r.git, "ignore-git-paths", true, "leave out .git, .gitattributes, .github and .gitignore")
	f.BoolVar(&r.noGit, "no-ignore-git-paths", false, "take them for parts of the model")
	f.BoolVar(&r.links, "allow-symlinks", false, "follow links, wherever they lead; those of a Hub cache need no such flag")
	f.StringVar(&r.cache, "cache", "", "keep digests in this `FILE`, and take them from it where size and time agree")
	f.DurationVar(&r.timeout, "timeout", 0, "give up after this `TIME`, such as 90s or 2h (default: never)")
}

// begin returns the context to work in, if there is a model to work on.
func (r *reading) begin(ctx context.Context, model string) (context.Context, context.CancelFunc, error) {
	if r.timeout < 0 {
		return nil, nil, usagef("--timeout is %s, which is over", r.timeout)
	}
	if _, err := os.Stat(model); err != nil {
		return nil, nil, missing(model, err)
	}
	if r.timeout == 0 {
		return ctx, func() {}, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, r.timeout, fmt.Errorf("it took more than the %s of --timeout", r.timeout))
	return ctx, cancel, nil
}

// hasher is what reads the model. The cache has to be saved afterwards.
func (a *app) hasher(r *reading, model string) (*sign.Hasher, *meter, error) {
	h := &sign.Hasher{GitPaths: r.noGit || !r.git, Workers: a.jobs}
	switch {
	case r.links:
		h.Links = sign.FollowLinks
	case sign.InHub(model):
		h.Links = sign.HubLinks
		a.words("note: %s is in a Hub cache: links to blobs of its repository are followed", model)
	}
	for _, name := range r.ignore {
		inside, err := within(model, name)
		if err != nil {
			return nil, nil, err
		}
		if inside == "" {
			a.words("note: --ignore-paths %s is not in %s, and leaves out nothing", name, model)
			continue
		}
		h.Ignore = append(h.Ignore, inside)
	}
	if r.cache != "" {
		cache, err := sign.OpenCache(r.cache)
		if err != nil {
			return nil, nil, withoutPackage(err)
		}
		h.Cache = cache
	}
	m := a.meter("hashing", 0)
	h.Progress = func(done, total int64) {
		m.mu.Lock()
		m.total = total
		m.mu.Unlock()
		m.set(done)
	}
	return h, m, nil
}

// within returns a path relative to the model, with slashes, or "" if it is
// not in it. As model_signing has it, paths start where the command runs; one
// that is not there may also start in the model.
func within(model, name string) (string, error) {
	root, err := filepath.Abs(model)
	if err != nil {
		return "", err
	}
	full, err := filepath.Abs(name)
	if err != nil {
		return "", err
	}
	if _, err := os.Lstat(full); err != nil && !filepath.IsAbs(name) {
		full = filepath.Join(root, name)
	}
	relative, err := filepath.Rel(root, full)
	if err != nil || !filepath.IsLocal(relative) || relative == "." {
		return "", nil
	}
	return filepath.ToSlash(relative), nil
}

// reused tells what was not read, and whose word was taken for it.
func (a *app) reused(h *sign.Hashed) {
	by := map[string]int{}
	for _, source := range h.Reused {
		by[source]++
	}
	for _, source := range slices.Sorted(maps.Keys(by)) {
		a.words("note: %s not computed, but taken from %s", plural(by[source], "digest"), source)
	}
	if len(by) > 0 {
		a.words("note: %s computed, of %s", plural(len(h.Manifest.Resources)-len(h.Reused), "digest"), size(h.Bytes))
	}
}

// withoutPackage takes the name of the package out of its errors, which the verb
// stands for, and gives those of keyless their hint.
func withoutPackage(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	for _, prefix := range []string{"sign: ", "keyless: "} {
		text = strings.TrimPrefix(text, prefix)
	}
	out := error(plainError{err, text})
	if hint := keylessHint(err); hint != "" {
		return hinted{out, hint}
	}
	if _, method, ok := strings.Cut(text, "the bundle is of method "); ok {
		method, _, _ = strings.Cut(method, ",")
		return hinted{out, "verify it as it was signed: verify " + method}
	}
	if errors.Is(err, sign.ErrRefused) && strings.Contains(text, "symbolic link") {
		return hinted{out, "--allow-symlinks follows links, and --ignore-paths leaves them out"}
	}
	return out
}

// isNegative tells whether an error is the answer no.
func isNegative(err error) bool {
	return errors.Is(err, sign.ErrSignature) || errors.Is(err, sign.ErrMalformed) || errors.Is(err, sign.ErrChanged)
}

// methods are the ways to verify, and signMethods those to sign.
var (
	methods     = append(slices.Clone(identityMethods), "key", "certificate")
	signMethods = append(slices.Clone(methods), "pkcs11-key", "pkcs11-certificate")
)

func methodsOf(cmd *cobra.Command) []string {
	if cmd.Name() == "verify" {
		return methods
	}
	return signMethods
}

// methodAndModel takes METHOD, which may be left out, and MODEL apart.
func methodAndModel(cmd *cobra.Command, args []string, of map[string]string) (method, model string, err error) {
	method = "sigstore"
	if len(args) > 0 {
		switch word := strings.ReplaceAll(args[0], "_", "-"); {
		case slices.Contains(methodsOf(cmd), word):
			method, args = word, args[1:]
		case lacksKeyless(word) != nil:
			return "", "", lacksKeyless(word)
		case strings.HasPrefix(word, "pkcs11-"):
			return "", "", hinted{usagef("there is no method %s here", word), "what a key in hardware has signed is verified as of any key: " + strings.TrimPrefix(word, "pkcs11-")}
		case len(args) > 1:
			return "", "", hinted{usagef("METHOD is %q, not one of %s", args[0], strings.Join(methodsOf(cmd), ", ")), "one MODEL at a time"}
		}
	}
	switch {
	case len(args) == 0:
		return "", "", usagef("MODEL is missing")
	case len(args) > 1:
		return "", "", usagef("too many arguments: %s", strings.Join(args[1:], " "))
	}
	if err := lacksKeyless(method); err != nil {
		return "", "", err
	}
	return method, args[0], goesWith(cmd, method, of)
}

// goesWith refuses flags that the method has no use for: of has the methods of
// each that is not for all.
func goesWith(cmd *cobra.Command, method string, of map[string]string) (err error) {
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if list, limited := of[f.Name]; limited && !slices.Contains(strings.Fields(list), method) && err == nil {
			err = usagef("--%s does not go with the method %s, but with %s", f.Name, method, strings.Join(strings.Fields(list), ", "))
			if cmd.Name() == "sign" || cmd.Name() == "verify" {
				err = hinted{err, fmt.Sprintf("say which: tensmith %s %s … MODEL", cmd.Name(), strings.Fields(list)[0])}
			}
		}
	})
	return err
}

// completeMethod completes METHOD, and then files.
func completeMethod(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return methodsOf(cmd), cobra.ShellCompDirectiveDefault
}

// readFile reads a small file that a flag names: a key, a certificate.
func readFile(flag, name string) ([]byte, error) {
	if name == "" {
		return nil, usagef("--%s is missing", flag)
	}
	return readAtMost(name, 16<<20)
}

// readAtMost reads a whole file, or a pipe, that is to be small.
func readAtMost(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, simplify(name, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("it has more than %s, which is too much for what it is said to be", size(limit))
	}
	if err != nil {
		return nil, simplify(name, err)
	}
	return text, nil
}
