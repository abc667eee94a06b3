package main

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/tensmith/tensmith/safetensors"
)

// A lsTensor is a tensor in the JSON of ls.
type lsTensor struct {
	Schema string   `json:"schema,omitempty"` // where it is a document of its own
	Name   string   `json:"name"`
	DType  string   `json:"dtype"`
	Shape  []uint64 `json:"shape"`
	Bytes  int64    `json:"bytes"`
	Offset int64    `json:"offset"`
	File   string   `json:"file"`
}

func lsCommand(a *app) *cobra.Command {
	var order string
	cmd := &cobra.Command{
		Use:   "ls [flags] MODEL [GLOB…]",
		Short: "list tensors",
		Long: `List the tensors of a model with their dtype, shape and size; with patterns,
those whose names match one of them. * matches any text, dots included, ? any
letter, [ab] one of those, {a,b} either.

Exit status: 0 listed, 1 no tensor matches, 2 the model could not be read.`,
		Example: `  tensmith ls model.safetensors
  tensmith ls model/ '*.norm.*' --sort size
  tensmith ls model.safetensors --json | jq '.tensors[].name'`,
		Args: args(1, -1, "MODEL"),
		RunE: func(_ *cobra.Command, args []string) error { return a.ls(args[0], args[1:], order) },
	}
	cmd.Flags().StringVar(&order, "sort", "file", "the `ORDER`: file (as the data lies), name, or size (largest first)")
	return cmd
}

func (a *app) ls(address string, patterns []string, order string) error {
	match, err := parseGlobs(patterns)
	if err != nil {
		return err
	}
	c, err := a.open(address)
	if err != nil {
		return err
	}
	defer c.Close()
	p, _ := locate(address)
	list := []lsTensor{}
	for t := range c.All() {
		if match.match(t.Name) {
			list = append(list, lsTensor{"", t.Name, t.DType.String(), t.Shape, t.Size(), t.Offset(), filepath.ToSlash(p.path(t.File().Name()))})
		}
	}
	switch order {
	case "file":
	case "name":
		slices.SortStableFunc(list, func(x, y lsTensor) int { return natural(x.Name, y.Name) })
	case "size":
		slices.SortStableFunc(list, func(x, y lsTensor) int { return cmp.Compare(y.Bytes, x.Bytes) })
	default:
		return usagef("--sort is %q, not one of file, name, size", order)
	}
	if err := a.printTensors(c, list); err != nil {
		return err
	}
	if len(list) == 0 && len(patterns) > 0 {
		a.noMatch(patterns, c.All())
		return errNo
	}
	return nil
}

func (a *app) printTensors(c *safetensors.Checkpoint, list []lsTensor) error {
	switch a.format {
	case "json":
		return a.printJSON(struct {
			Schema   string            `json:"schema"`
			Tensors  []lsTensor        `json:"tensors"`
			Metadata map[string]string `json:"metadata"`
		}{"tensmith.ls/1", list, orEmpty(c.Metadata())})
	case "jsonl":
		for i := range list {
			list[i].Schema = "tensmith.ls/1"
		}
		return printLines(a, slices.Values(list))
	case "tsv":
		s := a.sheet("name", "dtype", "shape", "bytes", "offset", "file")
		for _, t := range list {
			s.row(t.Name, t.DType, t.Shape, t.Bytes, t.Offset, t.File)
		}
		return s.flush()
	}
	tab := table{a: a, right: []bool{false, false, false, true}, give: 0}
	total := int64(0)
	for _, t := range list {
		tab.row(safe(t.Name), cell{t.DType, cyan}, shape(t.Shape), size(t.Bytes))
		total += t.Bytes
	}
	if err := tab.flush(); err != nil {
		return err
	}
	if _, ok := terminal(a.stdout); ok && !a.quiet {
		fmt.Fprintln(a.stdout, a.paint(dim, plural(len(list), "tensor")+", "+size(total)))
	}
	return nil
}

// natural compares names with the numbers in them taken as numbers, so that
// layer 2 comes before layer 10.
func natural(x, y string) int {
	for i, j := 0, 0; ; {
		if i == len(x) || j == len(y) {
			return cmp.Or(cmp.Compare(len(x)-i, len(y)-j), cmp.Compare(x, y))
		}
		m, n := digitsAt(x, i), digitsAt(y, j)
		if m > i && n > j {
			a, b := trimZeros(x[i:m]), trimZeros(y[j:n])
			if c := cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)); c != 0 {
				return c
			}
			i, j = m, n
			continue
		}
		if c := cmp.Compare(x[i], y[j]); c != 0 {
			return c
		}
		i, j = i+1, j+1
	}
}

func digitsAt(s string, i int) int {
	for i < len(s) && '0' <= s[i] && s[i] <= '9' {
		i++
	}
	return i
}

func trimZeros(s string) string {
	for len(s) > 1 && s[0] == '0' {
		s = s[1:]
	}
	return s
}
