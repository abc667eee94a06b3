package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/tensmith/tensmith/safetensors"
)

// An edit is what meta is to change.
type edit struct {
	set    []string
	delete []string
	clear  bool
}

func metaCommand(a *app) *cobra.Command {
	var o output
	var e edit
	var key string
	cmd := &cobra.Command{
		Use:   "meta [flags] MODEL",
		Short: "print or edit metadata",
		Long: `Print the metadata of a model, strings that its writer attached. Long values
are cut for people; --get KEY prints one as it is, and --json all of them.

--set, --delete and --clear change the metadata, of a single file either where
it lies (--in-place) or in a copy (-o FILE). Tensors stay where they are, so
that 'tensmith hash --payload' does not change; of a model in several files, -o
makes one file. --clear comes first, then --delete, then --set.

Exit status: 0 done, 1 there is no such key, 2 the model could not be read or
written.`,
		Example: `  tensmith meta model.safetensors --get modelspec.title
  tensmith meta model.safetensors --set modelspec.title='My model' --in-place
  tensmith meta lora.safetensors --set ss_tags=@tags.json -o new.safetensors`,
		Args: args(1, 1, "MODEL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			edits := len(e.set) + len(e.delete)
			switch {
			case cmd.Flags().Changed("get") && (edits > 0 || e.clear):
				return usagef("--get does not go with --set, --delete and --clear")
			case edits > 0 || e.clear:
				return a.editMeta(cmd.Context(), &o, args[0], &e)
			case o.name != "" || o.inPlace:
				return usagef("there is nothing to change: --set, --delete or --clear is missing")
			case cmd.Flags().Changed("get"):
				return a.getMeta(args[0], key)
			}
			return a.printMeta(args[0])
		},
	}
	f := cmd.Flags()
	f.StringVar(&key, "get", "", "print the value of `KEY`")
	f.StringArrayVar(&e.set, "set", nil, "set a key: `KEY=VALUE`, or KEY=@FILE for what a file holds")
	f.StringArrayVar(&e.delete, "delete", nil, "delete `KEY`")
	f.BoolVar(&e.clear, "clear", false, "delete all keys")
	f.BoolVar(&o.inPlace, "in-place", false, "edit the file itself")
	f.StringVarP(&o.name, "output", "o", "", "write the edited model to `FILE`")
	f.BoolVar(&o.force, "force", false, "replace what exists under that name")
	return cmd
}

func (a *app) getMeta(address, key string) error {
	c, err := a.open(address)
	if err != nil {
		return err
	}
	defer c.Close()
	value, ok := c.Metadata()[key]
	if err := a.printValue(key, value, ok); err != nil {
		return err
	}
	if !ok {
		a.words("no key %s", safe(key))
		return errNo
	}
	return nil
}

// printValue prints the value of a key, if there is one.
func (a *app) printValue(key, value string, ok bool) error {
	switch {
	case a.isJSON():
		document := struct {
			Schema string  `json:"schema"`
			Key    string  `json:"key"`
			Value  *string `json:"value"`
		}{"tensmith.meta/1", key, nil}
		if ok {
			document.Value = &value
		}
		return a.printJSON(document)
	case a.format == "tsv":
		s := a.sheet("key", "value")
		if ok {
			s.row(key, value)
		}
		return s.flush()
	case !ok:
		return nil
	}
	if _, ok := terminal(a.stdout); ok && strings.ContainsFunc(value, func(r rune) bool { return r != '\n' && r != '\t' && unprintable(r) }) {
		value = safe(value) // a terminal obeys what a pipe only carries
	}
	_, err := fmt.Fprintln(a.stdout, value)
	return err
}

func (a *app) printMeta(address string) error {
	c, err := a.open(address)
	if err != nil {
		return err
	}
	defer c.Close()
	metadata := c.Metadata()
	switch {
	case a.isJSON():
		return a.printJSON(struct {
			Schema   string            `json:"schema"`
			Path     string            `json:"path"`
			Metadata map[string]string `json:"metadata"`
		}{"tensmith.meta/1", address, orEmpty(metadata)})
	case a.format == "tsv":
		s := a.sheet("key", "value")
		for _, key := range slices.Sorted(maps.Keys(metadata)) {
			s.row(key, metadata[key])
		}
		return s.flush()
	}
	out := bufio.NewWriter(a.stdout)
	for _, key := range slices.Sorted(maps.Keys(metadata)) {
		fmt.Fprintf(out, "%s: %s\n", a.paint(bold, shorten(safe(key), 200)), a.metaValue(metadata[key]))
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if len(metadata) == 0 {
		a.words("no metadata")
	}
	return nil
}

// maxValue is how many characters of a value people are shown, and maxLines
// how many lines of one that is JSON.
const (
	maxValue = 400
	maxLines = 20
)

// metaValue returns a value for the eye: JSON indented on a terminal, the
// middle of what is long left out.
func (a *app) metaValue(value string) string {
	full := utf8.RuneCountInString(value)
	width, wide := terminal(a.stdout)
	if wide && len(value) > width/2 && len(value) < 1<<20 && (value[0] == '{' || value[0] == '[') {
		var b bytes.Buffer
		if json.Indent(&b, []byte(value), "  ", "  ") == nil {
			lines := strings.Split(b.String(), "\n")
			cut := len(lines) > maxLines
			if cut {
				lines = lines[:maxLines]
			}
			for i, line := range lines {
				trimmed := strings.TrimLeft(line, " ")
				indent := len(line) - len(trimmed)
				lines[i] = strings.Repeat(" ", min(indent, width/2)) + shorten(safe(trimmed), max(20, width-indent))
			}
			text := strings.Join(lines, "\n")
			if cut {
				text += "\n  " + a.paint(dim, fmt.Sprintf("… (%s characters; --get prints them all)", group(int64(full))))
			}
			return text
		}
	}
	// Cut before it is made safe: quoting a megabyte is slow, and its escapes
	// must not be cut in half.
	text := safe(shorten(value, maxValue))
	if full > maxValue {
		text += " " + a.paint(dim, fmt.Sprintf("(%s characters; --get prints them all)", group(int64(full))))
	}
	return text
}

// apply returns the metadata after the edit.
func (e *edit) apply(old map[string]string) (map[string]string, error) {
	metadata := maps.Clone(old)
	if e.clear || metadata == nil {
		metadata = map[string]string{}
	}
	for _, key := range e.delete {
		delete(metadata, key)
	}
	for _, set := range e.set {
		key, value, _ := strings.Cut(set, "=")
		if name, ok := strings.CutPrefix(value, "@"); ok {
			text, err := readText(name)
			if err != nil {
				return nil, err
			}
			value = text
		}
		metadata[key] = value
	}
	if len(metadata) == 0 {
		return nil, nil
	}
	return metadata, nil
}

// readText reads a file that is to become a value.
func readText(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", simplify(name, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxText+1))
	switch {
	case err != nil:
		return "", simplify(name, err)
	case len(text) > maxText:
		return "", fmt.Errorf("%s: longer than a header may be", name)
	case !utf8.Valid(text):
		return "", fmt.Errorf("%s: is not UTF-8, as metadata has to be", name)
	}
	return string(text), nil
}

// A metaReport is the JSON of an edit.
type metaReport struct {
	Schema   string            `json:"schema"`
	Output   []string          `json:"output"`
	Tensors  int               `json:"tensors"`
	Changed  bool              `json:"changed"`
	InPlace  bool              `json:"in_place"`
	Metadata map[string]string `json:"metadata"`
}

func (a *app) editMeta(ctx context.Context, o *output, address string, e *edit) error {
	o.align = 8
	for _, set := range e.set {
		if !strings.Contains(set, "=") {
			return usagef("--set %q is not KEY=VALUE", set)
		}
	}
	if o.name == "" && !o.inPlace {
		return hinted{usagef("where to write is missing"), "say --in-place, or -o FILE"}
	}
	if err := o.check(); err != nil {
		return err
	}
	in, err := a.openInput(ctx, address)
	if err != nil {
		return err
	}
	defer in.Close()
	old := in.Metadata()
	metadata, err := e.apply(old)
	if err != nil {
		return err
	}
	if len(e.set) == 0 && !e.clear && maps.Equal(metadata, old) {
		a.words("no key %s", safe(e.delete[0]))
		return cmp.Or(a.printEdit(metaReport{"tensmith.meta/1", []string{}, in.Len(), false, false, orEmpty(old)}), errNo)
	}
	report := metaReport{"tensmith.meta/1", []string{}, in.Len(), !maps.Equal(metadata, old), false, orEmpty(metadata)}
	switch {
	case len(in.paths) != 1 && o.inPlace:
		return hinted{fmt.Errorf("%s: the model lies in %d files", address, len(in.paths)), "edit each of them, or write one file with -o"}
	case len(in.paths) != 1:
		if err := a.produce(ctx, o, &writing{verb: "meta", entries: in.entries(all), metadata: metadata, from: address, paths: in.paths}); err != nil {
			return err
		}
		report.Output = append(report.Output, filepath.ToSlash(o.name))
		a.words("wrote %s", o.name)
	case o.inPlace && !report.Changed:
		a.words("%s: the metadata is so already", in.paths[0])
	case o.inPlace:
		o.name = in.paths[0]
		in.Close() // Windows replaces no file that is open
		if report.InPlace, err = safetensors.EditMetadata(ctx, o.name, metadata); err != nil {
			return o.explain(err)
		}
		a.ledger.wrote(o.name)
		report.Output = append(report.Output, filepath.ToSlash(o.name))
		if report.InPlace {
			a.words("%s: edited in place", o.name)
		} else {
			a.words("%s: written anew, for the header had no room", o.name)
		}
	default:
		if err := o.guard(false, in.paths); err != nil {
			return err
		}
		if err := a.editCopy(ctx, o, in.Files()[0], metadata); err != nil {
			return o.explain(err)
		}
		a.ledger.wrote(o.name)
		report.Output = append(report.Output, filepath.ToSlash(o.name))
		a.words("wrote %s", o.name)
	}
	return a.printEdit(report)
}

func (a *app) printEdit(r metaReport) error {
	switch {
	case a.isJSON():
		return a.printJSON(r)
	case a.format == "tsv":
		s := a.sheet("output", "tensors", "changed", "in_place")
		s.row(r.Output, r.Tensors, r.Changed, r.InPlace)
		return s.flush()
	}
	return nil
}

// editCopy writes a copy of a file with other metadata. Unlike an Encoder of
// tensors it keeps the order of the data, and so the digest of the payload.
func (a *app) editCopy(ctx context.Context, o *output, f *safetensors.File, metadata map[string]string) (err error) {
	target := o.name
	if real, err := filepath.EvalSymlinks(target); err == nil {
		target = real
	}
	if info, err := os.Stat(target); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s: not a regular file", o.name)
	}
	m := a.meter("copying", f.Size())
	defer m.end()
	return (&safetensors.Encoder{Metadata: metadata, Progress: m.set}).WriteEdited(ctx, target, f)
}

// createTemp creates a hidden file beside its place, with the mode that the
// umask gives, as os.CreateTemp does not.
func createTemp(dir, base string) (*os.File, error) {
	for i := 0; ; i++ {
		name := filepath.Join(dir, fmt.Sprintf(".%s.%d-%d.tmp", base[:min(len(base), 200)], os.Getpid(), i))
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
		if !errors.Is(err, fs.ErrExist) || i == 100 {
			return f, err
		}
	}
}
