package main

import (
	"bytes"
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/tensmith/tensmith/safetensors"
)

func repackCommand(a *app) *cobra.Command {
	var o output
	metadata := "keep"
	cmd := &cobra.Command{
		Use:   "repack [flags] MODEL -o FILE",
		Short: "write a model in canonical form",
		Long: `Write a model as the reference implementation would, whatever wrote it first:
tensors in its order, the header compact and padded, nothing in it that the
format does not know. --align lets the data begin at a multiple of 64 or 4096
bytes, for readers that map it. Tells what changed.

Models that differ only in form are the same file afterwards.`,
		Example: `  tensmith repack mlx.safetensors -o model.safetensors
  tensmith repack model.safetensors -o aligned.safetensors --align 4096`,
		Args: args(1, 1, "MODEL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.repack(cmd.Context(), &o, args[0], metadata)
		},
	}
	o.flags(cmd, "none", true)
	cmd.Flags().StringVar(&metadata, "metadata", "keep", "keep or drop the metadata")
	return cmd
}

func (a *app) repack(ctx context.Context, o *output, address, metadata string) error {
	if err := o.check(); err != nil {
		return err
	}
	if metadata != "keep" && metadata != "drop" {
		return usagef("--metadata is %q, not keep or drop", metadata)
	}
	in, err := a.openInput(address)
	if err != nil {
		return err
	}
	defer in.Close()
	w := &writing{verb: "repack", entries: in.entries(all), metadata: in.Metadata(), from: address, paths: in.paths}
	if metadata == "drop" {
		if w.metadata != nil {
			w.report.Changes = append(w.report.Changes, "metadata dropped: "+plural(len(w.metadata), "key"))
		}
		w.metadata = nil
	}
	if w.report.Changes, err = repairs(in, w); err != nil {
		return err
	}
	if err := a.produce(ctx, o, w); err != nil {
		return err
	}
	// Of what was written, rather than of what was meant to be.
	if out := w.report.Output; len(out) == 1 && len(in.Files()) == 1 && isRegular(out[0]) {
		changes, err := a.moved(in.Files()[0], out[0])
		if err != nil {
			return err
		}
		w.report.Changes = append(w.report.Changes, changes...)
	} else if len(out) != len(in.Files()) && len(out) > 0 {
		w.report.Changes = append(w.report.Changes, fmt.Sprintf("%s → %s", plural(len(in.Files()), "file"), plural(len(out), "file")))
	}
	if len(w.report.Changes) == 0 && len(in.Files()) == 1 && len(w.report.Output) == 1 && isRegular(w.report.Output[0]) {
		a.words("nothing to change: the new file is the old one, byte for byte")
	}
	return a.reportWriting(o, w)
}

func isRegular(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

// repairs tells what a file holds that writing it anew leaves out.
func repairs(in *input, w *writing) ([]string, error) {
	changes := w.report.Changes
	for _, f := range in.Files() {
		seen := map[error]bool{}
		_, err := safetensors.Check(f, f.Size(), func(e *safetensors.FormatError) bool {
			switch {
			case seen[e.Err]:
			case e.Err == safetensors.NoteField:
				changes = append(changes, fmt.Sprintf("%s: unknown fields dropped", f.Name()))
			case e.Err == safetensors.NoteNull:
				changes = append(changes, fmt.Sprintf("%s: null metadata dropped", f.Name()))
			}
			seen[e.Err] = true
			return true
		})
		if err != nil {
			return nil, err
		}
	}
	return changes, nil
}

// moved tells how the form of a file differs from that of the old one.
func (a *app) moved(old *safetensors.File, name string) (changes []string, err error) {
	f, err := safetensors.Open(name)
	if err != nil {
		return nil, simplify(name, err)
	}
	defer f.Close()
	var was []string
	for t := range old.All() {
		was = append(was, t.Name)
	}
	n, i := 0, 0
	for t := range f.All() {
		if i >= len(was) || was[i] != t.Name {
			n++
		}
		i++
	}
	if n > 0 {
		changes = append(changes, fmt.Sprintf("order: %s of %s moved", plural(n, "tensor"), group(int64(f.Len()))))
	}
	if f.DataOffset() != old.DataOffset() {
		changes = append(changes, fmt.Sprintf("data begins at byte %d, was at %d", f.DataOffset(), old.DataOffset()))
	}
	if x, y := old.Header(), f.Header(); len(changes) == 0 && !bytes.Equal(x, y) {
		changes = append(changes, "header spelled anew")
	}
	return changes, nil
}
