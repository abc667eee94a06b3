package main

import (
	"context"
	"slices"

	"github.com/spf13/cobra"
)

func selectCommand(a *app) *cobra.Command {
	var o output
	cmd := &cobra.Command{
		Use:   "select [flags] MODEL GLOB… -o FILE",
		Short: "write a model of some of the tensors",
		Long: `Write the tensors whose names match one of the patterns to a new file, with
the metadata. * matches any text, dots included.

Exit status: 0 written, 1 no tensor matches, and nothing is written, 2 the model
could not be read or written.`,
		Example: `  tensmith select model/ 'model.layers.0.*' -o layer0.safetensors
  tensmith select model.safetensors '*.{weight,bias}' --dry-run`,
		Args: modelAnd(-1, "GLOB"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.choose(cmd.Context(), "select", &o, args[0], args[1:])
		},
	}
	o.flags(cmd, "none", true)
	return cmd
}

func dropCommand(a *app) *cobra.Command {
	var o output
	cmd := &cobra.Command{
		Use:   "drop [flags] MODEL GLOB… -o FILE",
		Short: "write a model without some of the tensors",
		Long: `Write all tensors but those whose names match one of the patterns to a new
file, with the metadata. * matches any text, dots included.

Exit status: 0 written, 1 no tensor matches, and nothing is written, 2 the model
could not be read or written.`,
		Example: `  tensmith drop model.safetensors 'lm_head.*' -o headless.safetensors`,
		Args:    modelAnd(-1, "GLOB"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.choose(cmd.Context(), "drop", &o, args[0], args[1:])
		},
	}
	o.flags(cmd, "none", true)
	return cmd
}

// choose is select and drop, which differ in what a match means.
func (a *app) choose(ctx context.Context, verb string, o *output, address string, patterns []string) error {
	if err := o.check(); err != nil {
		return err
	}
	match, err := parseGlobs(patterns)
	if err != nil {
		return err
	}
	in, err := a.openInput(ctx, address)
	if err != nil {
		return err
	}
	defer in.Close()
	matched := in.entries(match.match)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if len(matched) == 0 {
		a.noMatch(patterns, in.All())
		return a.nothing(o, verb)
	}
	w := &writing{verb: verb, entries: matched, metadata: in.Metadata(), from: address, paths: in.paths, close: in.Close}
	if verb == "drop" {
		for _, e := range matched {
			w.report.Dropped = append(w.report.Dropped, e.Name)
		}
		slices.Sort(w.report.Dropped)
		w.report.Changes = append(w.report.Changes, plural(len(matched), "tensor")+" dropped")
		w.entries = in.entries(func(name string) bool { return !match.match(name) })
	}
	if o.dryRun && a.format == "human" {
		// What the patterns found, for either verb.
		tab := table{a: a, right: []bool{false, false, false, true}, give: 0}
		for _, e := range matched {
			tab.row(safe(e.Name), cell{e.DType.String(), cyan}, shape(e.Shape), size(dataSize(e)))
		}
		if err := tab.flush(); err != nil {
			return err
		}
	}
	return a.write(ctx, o, w)
}
