package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
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

Models that differ only in form are the same file afterwards.

Exit status: 0 written, 2 the model could not be read or written.`,
		Example: `  tensmith repack mlx.safetensors -o model.safetensors
  tensmith repack model.safetensors -o aligned.safetensors --align 4096`,
		Args: args(1, 1, "MODEL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.repack(cmd.Context(), &o, args[0], metadata)
		},
	}
	o.flags(cmd, "none", true)
	cmd.Flags().StringVar(&metadata, "metadata", "keep", "what to `DO` with the metadata: keep or drop")
	return cmd
}

func (a *app) repack(ctx context.Context, o *output, address, metadata string) error {
	if err := o.check(); err != nil {
		return err
	}
	if metadata != "keep" && metadata != "drop" {
		return usagef("--metadata is %q, not keep or drop", metadata)
	}
	in, err := a.openInput(ctx, address)
	if err != nil {
		return err
	}
	defer in.Close()
	w := &writing{verb: "repack", entries: in.entries(all), metadata: in.Metadata(), from: address, paths: in.paths, close: in.Close}
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
	if err := a.compareForms(o, in, w); err != nil {
		return err
	}
	return a.reportWriting(o, w)
}

// compareForms tells how the new files differ in form from the old ones: of
// what was written, rather than of what was meant to be, or, in a dry run, of
// the header that would have been.
func (a *app) compareForms(o *output, in *input, w *writing) error {
	files := len(w.report.Output)
	if o.dryRun {
		files = w.files(o)
	}
	if old := in.Files(); files != len(old) || files != 1 {
		if files != len(old) {
			w.report.Changes = append(w.report.Changes, fmt.Sprintf("%s → %s", plural(len(old), "file"), plural(files, "file")))
		}
		return nil
	}
	var f *safetensors.File
	var err error
	switch {
	case o.dryRun:
		f, err = w.header(o)
	case isRegular(w.report.Output[0]):
		f, err = safetensors.Open(w.report.Output[0])
	default:
		return nil // a pipe cannot be read again
	}
	if err != nil {
		return err
	}
	defer f.Close()
	w.report.Changes = append(w.report.Changes, moved(in.Files()[0], f)...)
	if len(w.report.Changes) == 0 {
		if o.dryRun {
			a.words("nothing to change: the new file would be the old one, byte for byte")
		} else {
			a.words("nothing to change: the new file is the old one, byte for byte")
		}
	}
	return nil
}

// files returns how many files WriteShards would cut the tensors into.
func (w *writing) files(o *output) int {
	limit, err := o.limit()
	if err != nil || limit == 0 {
		return 1 // an error has come up before
	}
	w.sort()
	n, first, filled := 1, 0, int64(0)
	for i, e := range w.entries {
		size := dataSize(e)
		if i > first && size > limit-filled {
			n, first, filled = n+1, i, 0
		}
		filled += size
	}
	return n
}

// header returns the file that w would write, of which no more than the
// header can be read.
func (w *writing) header(o *output) (*safetensors.File, error) {
	encoder := &safetensors.Encoder{Metadata: w.metadata, Align: o.align, Slack: o.room()}
	var head headWriter
	if err := encoder.Encode(&head, w.entries); err != nil && !errors.Is(err, errEnough) {
		return nil, err
	}
	return safetensors.NewFile(bytes.NewReader(head.text), int64(len(head.text))+w.report.Bytes)
}

// A headWriter takes the header of a file and no more.
type headWriter struct{ text []byte }

func (h *headWriter) Write(p []byte) (int, error) {
	h.text = append(h.text, p...)
	if len(h.text) < 8 {
		return len(p), nil
	}
	// The length is that of an Encoder's, and not a file's.
	end := 8 + binary.LittleEndian.Uint64(h.text)
	if uint64(len(h.text)) < end {
		return len(p), nil
	}
	h.text = h.text[:end]
	return len(p), errEnough
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
func moved(old, f *safetensors.File) (changes []string) {
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
	return changes
}
