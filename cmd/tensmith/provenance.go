package main

import (
	"context"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/tensmith/tensmith/attest"
	"github.com/tensmith/tensmith/convert"
	"github.com/tensmith/tensmith/sbom"
)

// A witness is a file system that remembers which files were opened.
type witness struct {
	fs.FS
	mu     sync.Mutex
	opened map[string]bool
}

// Open implements fs.FS.
func (w *witness) Open(name string) (fs.File, error) {
	f, err := w.FS.Open(name)
	if err == nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.opened == nil {
			w.opened = map[string]bool{}
		}
		w.opened[name] = true
	}
	return f, err
}

// Stat and ReadDir open nothing.
func (w *witness) Stat(name string) (fs.FileInfo, error)      { return fs.Stat(w.FS, name) }
func (w *witness) ReadDir(name string) ([]fs.DirEntry, error) { return fs.ReadDir(w.FS, name) }

// files are the paths of the regular files that were opened, in order.
func (w *witness) files(p place) (list []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name := range w.opened {
		if info, err := fs.Stat(w.FS, name); err == nil && info.Mode().IsRegular() {
			list = append(list, p.path(name))
		}
	}
	slices.Sort(list)
	return list
}

// checkOrigin finds what is wrong with the flags about --provenance before
// anything is converted, and returns what signs.
func (c *conversion) checkOrigin(cmd *cobra.Command, a *app) (signer, error) {
	by, err := c.origin.check(cmd.Context(), a, cmd)
	c.origin.force = c.out.force
	switch {
	case err != nil:
		return nil, err
	case c.origin.name == "" && c.origin.method != "":
		return nil, usagef("--sign goes with --provenance FILE")
	case c.origin.name == "":
		return nil, nil
	case !c.digests && !c.verify:
		return nil, usagef("--provenance and --digests=false exclude each other: it is of digests")
	}
	return by, refuse(c.origin.name, c.origin.force)
}

// An origin is what is known of a conversion that was made.
type origin struct {
	report  *convert.Report
	from    place
	seen    *witness
	started time.Time
}

// writeOrigin writes the statement about a conversion.
func (a *app) writeOrigin(ctx context.Context, c *conversion, by signer, o origin) error {
	release, _ := version()
	statement := attest.Conversion{
		Source: filepath.ToSlash(o.report.Input), Arguments: redacted(a.args), Version: release,
		Started: o.started, Finished: time.Now(), Report: o.report,
	}
	if t, ok, err := sourceDate(); err != nil {
		return err
	} else if ok {
		statement.Started, statement.Finished = t, t
	}
	if full, err := filepath.Abs(o.report.Input); err == nil {
		if repo, commit, ok := sbom.Hub(full); ok {
			statement.URI, statement.Commit = "pkg:huggingface/"+repo+"@"+commit, commit
		}
	}
	inputs := o.seen.files(o.from)
	outputs := o.report.Files // an index is no file of tensors: a model that is joined has none
	sums, err := a.sums(ctx, append(slices.Clone(inputs), outputs...))
	if err != nil {
		return err
	}
	for _, name := range inputs {
		short := filepath.ToSlash(strings.TrimPrefix(name, o.from.dir))
		statement.Inputs = append(statement.Inputs, attest.File{Name: strings.TrimPrefix(short, "/"), SHA256: sums[name]})
	}
	for _, name := range outputs {
		statement.Outputs = append(statement.Outputs, attest.File{Name: filepath.Base(name), SHA256: sums[name]})
	}
	s, err := statement.Statement()
	if err != nil {
		return err
	}
	text, err := c.origin.document(ctx, a, by, s)
	if err != nil {
		return err
	}
	if err := writeWhole(c.origin.name, text, c.origin.force); err != nil {
		return err
	}
	a.ledger.wrote(c.origin.name)
	a.words("wrote %s: where the weights come from", c.origin.name)
	return nil
}

// sums are the SHA-256 of files.
func (a *app) sums(ctx context.Context, names []string) (map[string]string, error) {
	var jobs []*hashJob
	for _, name := range names {
		all, _, err := a.hashJobs(name, hashKind{})
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, all...)
	}
	sums := map[string]string{}
	err := a.hash(ctx, jobs, func(j *hashJob) error {
		if j.err != nil {
			return simplify(j.name, j.err)
		}
		sums[j.name] = j.sum
		return nil
	})
	return sums, err
}
