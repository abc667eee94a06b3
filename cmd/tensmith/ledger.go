package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tensmith/tensmith/audit"
)

// A ledger collects what a run reads and writes for the log of --audit. A run
// without one has a nil ledger, which collects nothing.
type ledger struct {
	a       *app
	ctx     context.Context
	inputs  []audit.Artifact
	outputs []string
}

// read takes files for inputs. They are hashed at once, for some verbs replace
// them.
func (l *ledger) read(paths ...string) {
	if l != nil {
		l.inputs = append(l.inputs, l.artifacts(paths)...)
	}
}

// wrote takes files for outputs, which are hashed when all is done.
func (l *ledger) wrote(paths ...string) {
	if l != nil {
		l.outputs = append(l.outputs, paths...)
	}
}

// artifacts hashes files. One that cannot be read has no digest.
func (l *ledger) artifacts(paths []string) (list []audit.Artifact) {
	var jobs []*hashJob
	for _, name := range paths {
		j := &hashJob{name: name}
		if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() {
			j.size = info.Size()
			jobs = append(jobs, j)
		}
	}
	sums := map[string]string{}
	err := l.a.hash(l.ctx, jobs, func(j *hashJob) error {
		if j.err == nil {
			sums[j.name] = j.sum
		}
		return nil
	})
	if err != nil {
		sums = nil // interrupted, which the entry says
	}
	for _, name := range paths {
		x := audit.Artifact{Path: filepath.ToSlash(name), SHA256: sums[name]}
		if info, err := os.Stat(name); err == nil {
			x.Bytes = info.Size()
		}
		list = append(list, x)
	}
	return list
}

// logged lets a verb that writes add to a log.
func (a *app) logged(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		a.logged(sub)
	}
	if cmd.RunE == nil || cmd.HasSubCommands() {
		return
	}
	name := ""
	cmd.Flags().StringVar(&name, "audit", "", "add what was done to this `FILE`, a log that tensmith audit verifies")
	work := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		dry := cmd.Flags().Lookup("dry-run")
		if name == "" || dry != nil && dry.Value.String() == "true" {
			return work(cmd, args)
		}
		return a.addToLog(cmd, name, func() error { return work(cmd, args) })
	}
}

// addToLog does some work and adds an entry about it to a log. Mistakes of the
// command line, which did nothing, have none.
func (a *app) addToLog(cmd *cobra.Command, name string, work func() error) error {
	if err := audit.Check(name); err != nil {
		return logError(name, err)
	}
	a.ledger = &ledger{a: a, ctx: cmd.Context()}
	err := work()
	if err != nil && isUsage(err) {
		return err
	}
	e := &audit.Entry{Verb: strings.TrimPrefix(cmd.CommandPath(), "tensmith "), Arguments: redacted(a.args), Outcome: audit.Done}
	switch {
	case errors.Is(err, errNo):
		e.Outcome = audit.No
	case cmd.Context().Err() != nil:
		e.Outcome = audit.Interrupted
	case err != nil:
		e.Outcome = audit.Trouble
	}
	if err != nil && !errors.Is(err, errNo) {
		e.Error, _, _ = strings.Cut(err.Error(), "\n")
	}
	release, revision := version()
	e.Tool = strings.TrimSpace("tensmith " + release + " " + revision)
	e.Inputs, e.Outputs = a.ledger.inputs, a.ledger.artifacts(a.ledger.outputs)
	e.Host, _ = os.Hostname()
	e.Directory, _ = os.Getwd()
	e.User = userName()
	e.Time = time.Now().UTC().Format(time.RFC3339Nano)
	head, logErr := audit.Append(name, e)
	if logErr != nil {
		if err != nil && !errors.Is(err, errNo) {
			a.fail(e.Verb, err)
		}
		return hinted{logError(name, logErr), "what was done has no entry in the log"}
	}
	a.words("audit: line %d of %s, head %s", e.Line, name, head)
	return err
}

func logError(name string, err error) error {
	err = simplify(name, err)
	if errors.Is(err, audit.ErrBroken) {
		return hinted{err, "`tensmith audit verify " + quoted(name) + "` says where; go on in another file"}
	}
	return err
}

// userName is who runs the program, by the name the system has, or the number.
func userName() string {
	if u, err := user.Current(); err == nil {
		if u.Username != "" && u.Uid != "" && u.Username != u.Uid {
			return fmt.Sprintf("%s (%s)", u.Username, u.Uid)
		}
		return u.Uid
	}
	return ""
}

// redacted are the arguments without what is secret.
func redacted(args []string) []string {
	const told = "…" // of a secret no more than that there was one
	args = slices.Clone(args)
	for i, arg := range args {
		name, ok := strings.CutPrefix(arg, "--")
		if !ok {
			continue
		}
		name, _, joined := strings.Cut(strings.ReplaceAll(name, "_", "-"), "=")
		switch {
		case !slices.Contains(secret, name):
		case joined:
			args[i] = arg[:strings.Index(arg, "=")+1] + told
		case i+1 < len(args):
			args[i+1] = told
		}
	}
	return args
}
