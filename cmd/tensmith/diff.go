package main

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/tensmith/tensmith/safetensors"
)

func diffCommand(a *app) *cobra.Command {
	var data bool
	var r diffRequest
	cmd := &cobra.Command{
		Use:   "diff [flags] MODEL MODEL",
		Short: "compare the tensors of two models",
		Long: `Compare two models by the names, dtypes and shapes of their tensors and by
their metadata; with --bytes, by the data, too. How a model is cut into files
and the order of tensors in them make no difference.

--values compares numbers, whatever dtype they are stored in, and says of each
tensor how many changed, by how much at most, and what that is to the whole:
L2, relative L2, cosine and SQNR. Equal is what --rtol and --atol let be equal:
|a-b| <= atol + rtol·|b|; NaN equals NaN. A name that the metadata of a model
ties to another is compared with that. Metadata and dtypes make no difference.

Exit status: 0 the same, 1 different, 2 something could not be read.`,
		Example: `  tensmith diff base/ tuned/ --bytes
  tensmith diff model/ model-bf16.safetensors --values --rtol 0.01 --top 10
  tensmith diff a.safetensors b.safetensors --values --rename 's/^model\.//'
  tensmith diff old.safetensors new.safetensors --json | jq .only_b`,
		Args: func(cmd *cobra.Command, models []string) error {
			if len(models) == 1 {
				return usagef("the second MODEL is missing")
			}
			return args(2, 2, "MODEL")(cmd, models)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := r.check(cmd, data); err != nil {
				return err
			}
			if r.values {
				return a.diffValues(cmd.Context(), &r, args[0], args[1])
			}
			return a.diff(cmd.Context(), args[0], args[1], data)
		},
	}
	cmd.Flags().BoolVar(&data, "bytes", false, "compare the data, too")
	r.flags(cmd)
	return cmd
}

// A layout is what diff says of a tensor.
type layout struct {
	Name  string   `json:"name,omitempty"`
	DType string   `json:"dtype"`
	Shape []uint64 `json:"shape"`
}

func (l layout) String() string { return l.DType + " " + shorten(shape(l.Shape), 60) }

type changedTensor struct {
	Name string `json:"name"`
	A    layout `json:"a"`
	B    layout `json:"b"`
}

type changedData struct {
	Name   string `json:"name"`
	Offset int64  `json:"offset"` // in the tensor, of the first byte that differs
}

type changedValue struct {
	A string `json:"a"`
	B string `json:"b"`
}

// A diffReport is the JSON of diff.
type diffReport struct {
	Schema   string          `json:"schema"`
	A        string          `json:"a"`
	B        string          `json:"b"`
	Same     bool            `json:"same"`
	OnlyA    []layout        `json:"only_a"`
	OnlyB    []layout        `json:"only_b"`
	Changed  []changedTensor `json:"changed"`
	Bytes    []changedData   `json:"bytes"` // null if the data was not compared
	Metadata struct {
		OnlyA   map[string]string       `json:"only_a"`
		OnlyB   map[string]string       `json:"only_b"`
		Changed map[string]changedValue `json:"changed"`
	} `json:"metadata"`
}

func (a *app) diff(ctx context.Context, x, y string, data bool) error {
	ca, err := a.open(x)
	if err != nil {
		return err
	}
	defer ca.Close()
	cb, err := a.open(y)
	if err != nil {
		return err
	}
	defer cb.Close()
	r := diffReport{Schema: "tensmith.diff/1", A: x, B: y, OnlyA: []layout{}, OnlyB: []layout{}, Changed: []changedTensor{}}
	common := r.tensors(ca, cb)
	r.metadata(ca.Metadata(), cb.Metadata())
	if data {
		at, err := a.compare(ctx, common)
		if err != nil {
			return err
		}
		r.Bytes = []changedData{}
		for i, p := range common {
			if at[i] >= 0 {
				r.Bytes = append(r.Bytes, changedData{p.a.Name, at[i]})
			}
		}
	}
	r.Same = len(r.OnlyA)+len(r.OnlyB)+len(r.Changed)+len(r.Bytes)+
		len(r.Metadata.OnlyA)+len(r.Metadata.OnlyB)+len(r.Metadata.Changed) == 0
	if err := a.printDiff(&r, len(common)); err != nil {
		return err
	}
	if !r.Same {
		return errNo
	}
	return nil
}

// tensors compares layouts and returns the tensors that are alike, in the
// natural order of their names, as all lists are.
func (r *diffReport) tensors(ca, cb *safetensors.Checkpoint) (common []pair) {
	of := func(t *safetensors.Tensor) layout { return layout{t.Name, t.DType.String(), t.Shape} }
	for t := range ca.All() {
		u, err := cb.Tensor(t.Name)
		switch {
		case err != nil:
			r.OnlyA = append(r.OnlyA, of(t))
		case alike(t.Info, u.Info):
			common = append(common, pair{t, u})
		default:
			c := changedTensor{t.Name, of(t), of(u)}
			c.A.Name, c.B.Name = "", ""
			r.Changed = append(r.Changed, c)
		}
	}
	for t := range cb.All() {
		if _, err := ca.Tensor(t.Name); err != nil {
			r.OnlyB = append(r.OnlyB, of(t))
		}
	}
	byName := func(x, y layout) int { return natural(x.Name, y.Name) }
	slices.SortFunc(r.OnlyA, byName)
	slices.SortFunc(r.OnlyB, byName)
	slices.SortFunc(r.Changed, func(x, y changedTensor) int { return natural(x.Name, y.Name) })
	slices.SortFunc(common, func(x, y pair) int { return natural(x.a.Name, y.a.Name) })
	return common
}

func (r *diffReport) metadata(x, y map[string]string) {
	m := &r.Metadata
	m.OnlyA, m.OnlyB, m.Changed = map[string]string{}, map[string]string{}, map[string]changedValue{}
	for key, value := range x {
		other, ok := y[key]
		if !ok {
			m.OnlyA[key] = value
		} else if other != value {
			m.Changed[key] = changedValue{value, other}
		}
	}
	for key, value := range y {
		if _, ok := x[key]; !ok {
			m.OnlyB[key] = value
		}
	}
}

func (a *app) printDiff(r *diffReport, common int) error {
	switch {
	case a.isJSON():
		return a.printJSON(r)
	case a.format == "tsv":
		return a.diffSheet(r)
	}
	out := bufio.NewWriter(a.stdout)
	line := func(mark string, st style, what, name, from, to string) {
		text := mark + " "
		if what == "metadata" {
			text += "metadata "
		}
		text += shorten(safe(name), 120) + "  " + from
		if from != "" && to != "" {
			text += " → "
		}
		fmt.Fprintln(out, a.paint(st, text+to))
	}
	for _, t := range r.OnlyA {
		line("-", red, "tensor", t.Name, t.String(), "")
	}
	for _, t := range r.OnlyB {
		line("+", green, "tensor", t.Name, "", t.String())
	}
	for _, c := range r.Changed {
		line("~", yellow, "tensor", c.Name, c.A.String(), c.B.String())
	}
	for _, c := range r.Bytes {
		line("≠", yellow, "data", c.Name, fmt.Sprintf("from byte %d on", c.Offset), "")
	}
	short := func(s string) string { return safe(shorten(s, 60)) }
	for _, key := range slices.Sorted(maps.Keys(r.Metadata.OnlyA)) {
		line("-", red, "metadata", key, short(r.Metadata.OnlyA[key]), "")
	}
	for _, key := range slices.Sorted(maps.Keys(r.Metadata.OnlyB)) {
		line("+", green, "metadata", key, "", short(r.Metadata.OnlyB[key]))
	}
	for _, key := range slices.Sorted(maps.Keys(r.Metadata.Changed)) {
		c := r.Metadata.Changed[key]
		line("~", yellow, "metadata", key, short(c.A), short(c.B))
	}
	if err := out.Flush(); err != nil {
		return err
	}
	switch {
	case !r.Same:
		keys := len(r.Metadata.OnlyA) + len(r.Metadata.OnlyB) + len(r.Metadata.Changed)
		a.words("%s only in %s, %s only in %s, %s of another dtype or shape, %s with other data, %s alike; metadata: %s",
			group(int64(len(r.OnlyA))), r.A, group(int64(len(r.OnlyB))), r.B, group(int64(len(r.Changed))),
			group(int64(len(r.Bytes))), group(int64(common-len(r.Bytes))), plural(keys, "difference"))
	case r.Bytes == nil:
		a.words("the same layout: %s (--bytes compares the data)", plural(common, "tensor"))
	default:
		a.words("the same: %s, byte for byte", plural(common, "tensor"))
	}
	return nil
}

// diffSheet prints a difference a row: what is only in one model has a cell
// for that one alone, and data the offset of the first byte that differs.
func (a *app) diffSheet(r *diffReport) error {
	s := a.sheet("change", "what", "name", "a", "b", "offset")
	of := func(l layout) string { return l.DType + " " + shape(l.Shape) }
	for _, t := range r.OnlyA {
		s.row("only_a", "tensor", t.Name, of(t), "", "")
	}
	for _, t := range r.OnlyB {
		s.row("only_b", "tensor", t.Name, "", of(t), "")
	}
	for _, c := range r.Changed {
		s.row("changed", "tensor", c.Name, of(c.A), of(c.B), "")
	}
	for _, c := range r.Bytes {
		s.row("changed", "data", c.Name, "", "", c.Offset)
	}
	m := r.Metadata
	for _, key := range slices.Sorted(maps.Keys(m.OnlyA)) {
		s.row("only_a", "metadata", key, m.OnlyA[key], "", "")
	}
	for _, key := range slices.Sorted(maps.Keys(m.OnlyB)) {
		s.row("only_b", "metadata", key, "", m.OnlyB[key], "")
	}
	for _, key := range slices.Sorted(maps.Keys(m.Changed)) {
		s.row("changed", "metadata", key, m.Changed[key].A, m.Changed[key].B, "")
	}
	return s.flush()
}
