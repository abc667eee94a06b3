package main

import (
	"context"

	"github.com/spf13/cobra"
)

func splitCommand(a *app) *cobra.Command {
	var o output
	cmd := &cobra.Command{
		Use:   "split [flags] MODEL -o FILE",
		Short: "cut a model into shards and an index",
		Long: `Write a model as shards of a limited size, NAME-00001-of-00003.safetensors and
so on, with NAME.safetensors.index.json, for the name NAME.safetensors. Tensors
are dealt out in the natural order of their names; one that is larger than the
limit has a shard of its own. A model that fits one shard is one plain file.

Exit status: 0 written, 2 the model could not be read or written.`,
		Example: `  tensmith split model.safetensors -o sharded/model.safetensors --max-shard 2GB`,
		Args:    args(1, 1, "MODEL"),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.copy(cmd.Context(), "split", &o, args[0]) },
	}
	o.flags(cmd, "5GB", false)
	return cmd
}

func joinCommand(a *app) *cobra.Command {
	var o output
	cmd := &cobra.Command{
		Use:   "join [flags] MODEL -o FILE",
		Short: "write a sharded model as one file",
		Long: `Write a model that lies in several files as one, with the metadata of its
shards.

Exit status: 0 written, 2 the model could not be read or written.`,
		Example: `  tensmith join model.safetensors.index.json -o whole.safetensors`,
		Args:    args(1, 1, "MODEL"),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.copy(cmd.Context(), "join", &o, args[0]) },
	}
	o.flags(cmd, "", false)
	return cmd
}

// copy writes all of a model. How many files it makes is up to o.
func (a *app) copy(ctx context.Context, verb string, o *output, address string) error {
	if err := o.check(); err != nil {
		return err
	}
	in, err := a.openInput(ctx, address)
	if err != nil {
		return err
	}
	defer in.Close()
	w := &writing{verb: verb, entries: in.entries(all), metadata: in.Metadata(), from: address, paths: in.paths, close: in.Close}
	return a.write(ctx, o, w)
}
