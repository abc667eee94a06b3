package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tensmith/tensmith/safetensors"
)

func mergeCommand(a *app) *cobra.Command {
	var o output
	var prefer string
	cmd := &cobra.Command{
		Use:   "merge [flags] MODEL MODEL… -o FILE",
		Short: "write the tensors of several models to one",
		Long: `Write the union of several models. A tensor that two of them have is written
once if it is the same in both, to the byte; if not, the models are refused
unless --prefer says whose to take. So it is with keys of the metadata.

Exit status: 0 written, 2 the models differ, or could not be read or written.`,
		Example: `  tensmith merge encoder.safetensors decoder.safetensors -o both.safetensors
  tensmith merge base/ patch.safetensors --prefer last -o patched.safetensors`,
		Args: func(cmd *cobra.Command, models []string) error {
			if len(models) == 1 {
				return hinted{usagef("there is one model alone, %s, and nothing to merge it with", models[0]),
					"`tensmith join " + quoted(models[0]) + " -o FILE` writes the shards of one model as one file"}
			}
			return args(2, -1, "MODEL")(cmd, models)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.merge(cmd.Context(), &o, prefer, args)
		},
	}
	cmd.Flags().StringVar(&prefer, "prefer", "", "take what differs from the `WHICH` of the models: first or last")
	o.flags(cmd, "none", false)
	return cmd
}

func (a *app) merge(ctx context.Context, o *output, prefer string, addresses []string) error {
	if err := o.check(); err != nil {
		return err
	}
	if prefer != "" && prefer != "first" && prefer != "last" {
		return usagef("--prefer is %q, not first or last", prefer)
	}
	w := &writing{verb: "merge"}
	u := union{place: map[string]int{}, last: prefer == "last"}
	var keys []string
	for _, address := range addresses {
		in, err := a.openInput(ctx, address)
		if err != nil {
			return err
		}
		defer in.Close()
		w.paths = append(w.paths, in.paths...)
		u.add(in)
		keys = append(keys, w.mergeMetadata(in.Metadata(), u.last)...)
	}
	differ := u.differ
	if prefer == "" && len(differ) == 0 {
		at, err := a.compare(ctx, u.twice)
		if err != nil {
			return err
		}
		for i, p := range u.twice {
			if at[i] >= 0 {
				differ = append(differ, p.a.Name)
			}
		}
	}
	slices.Sort(differ)
	differ = slices.Compact(differ)
	for i, name := range differ {
		differ[i] = shorten(safe(name), 80)
	}
	slices.Sort(keys)
	for _, key := range slices.Compact(keys) {
		differ = append(differ, "metadata "+shorten(safe(key), 60))
	}
	if prefer == "" && len(differ) > 0 {
		n := len(differ)
		if n > 5 {
			differ = append(differ[:5], fmt.Sprintf("and %d more", n-5))
		}
		return hinted{fmt.Errorf("the models differ in %s", strings.Join(differ, ", ")), "--prefer first or --prefer last takes one of them"}
	}
	for _, t := range u.tensors {
		w.entries = append(w.entries, safetensors.Entry{Info: t.Info, Data: t})
	}
	if n := len(u.twice) + len(u.differ); n > 0 {
		change := plural(n, "tensor") + " in more than one model, the same in each"
		if prefer != "" {
			change = plural(n, "tensor") + " in more than one model: took the " + prefer
		}
		w.report.Changes = append(w.report.Changes, change)
	}
	return a.write(ctx, o, w)
}

// A union is the tensors of several models.
type union struct {
	tensors []*safetensors.Tensor
	place   map[string]int // in tensors
	last    bool           // whether a later tensor takes the place of an earlier
	twice   []pair         // tensors of one name, dtype and shape
	differ  []string       // tensors of one name alone
}

func (u *union) add(in *input) {
	for t := range in.All() {
		i, ok := u.place[t.Name]
		if !ok {
			u.place[t.Name] = len(u.tensors)
			u.tensors = append(u.tensors, t)
			continue
		}
		if alike(u.tensors[i].Info, t.Info) {
			u.twice = append(u.twice, pair{u.tensors[i], t})
		} else {
			u.differ = append(u.differ, t.Name)
		}
		if u.last {
			u.tensors[i] = t
		}
	}
}

// mergeMetadata adds to w's metadata and returns the keys that differ.
func (w *writing) mergeMetadata(metadata map[string]string, last bool) (differ []string) {
	if metadata != nil && w.metadata == nil {
		w.metadata = map[string]string{}
	}
	for key, value := range metadata {
		old, ok := w.metadata[key]
		if ok && old != value {
			differ = append(differ, key)
		}
		if !ok || last {
			w.metadata[key] = value
		}
	}
	return differ
}
