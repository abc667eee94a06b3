package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tensmith/tensmith/safetensors"
)

func showCommand(a *app) *cobra.Command {
	var full bool
	var heat string
	cmd := &cobra.Command{
		Use:   "show [flags] MODEL NAME[SLICE]",
		Short: "print values of a tensor",
		Long: `Print the values of a tensor, or of a part of it: indices and ranges as in
Python, counted from the end if negative. Of more than 1000 values the middle
is left out, and not read, unless --full asks for all; so do --json and
--format tsv (the last dimension across, under the indices of it, the others
down).

--heat draws all of it as a matrix, the last dimension across and the others
down: a cell is brighter the larger its largest magnitude is, or with
--heat=mean its mean, positive red and negative blue. ! is NaN or infinite.

Exit status: 0 done, 2 there is no such tensor, or it could not be read.`,
		Example: `  tensmith show model.safetensors lm_head.weight
  tensmith show model.safetensors 'lm_head.weight[0:4,:8]'
  tensmith show model.safetensors 'lm_head.weight[-1,::64]' --full
  tensmith show model.safetensors lm_head.weight --heat`,
		Args: modelAnd(2, "NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.show(cmd.Context(), args[0], args[1], full, heat)
		},
	}
	cmd.Flags().BoolVar(&full, "full", false, "print all values")
	cmd.Flags().StringVar(&heat, "heat", "", "draw it; a cell is of its values the `WHAT`: max, the largest magnitude, or mean")
	cmd.Flags().Lookup("heat").NoOptDefVal = "max"
	return cmd
}

func (a *app) show(ctx context.Context, address, what string, full bool, heat string) error {
	c, err := a.open(address)
	if err != nil {
		return err
	}
	defer c.Close()
	g, err := a.find(ctx, c, address, what)
	if err != nil {
		return err
	}
	if heat != "" {
		return a.showHeat(ctx, g, what, heat)
	}
	t, slice := g.t, strings.TrimPrefix(what, g.t.Name)
	g.out = bufio.NewWriter(a.stdout)
	switch a.format {
	case "json", "jsonl":
		err = a.showJSON(g)
	case "tsv":
		err = g.tsv()
	default:
		name, _ := strings.CutSuffix(what, slice)
		fmt.Fprintf(g.out, "%s  %s  %s  %s\n", a.paint(bold, shorten(safe(name), 200)+slice), a.paint(cyan, t.DType.String()), shorten(shape(g.shape()), 200), size(g.bytes()))
		if slice != "" {
			g.out.WriteString(a.paint(dim, "of "+shorten(shape(t.Shape), 200)+"  "+size(t.Size())) + "\n")
		}
		if !full {
			g.elide()
		}
		width, ok := terminal(a.stdout)
		if !ok {
			width = 80
		}
		err = g.human(width)
	}
	return errors.Join(err, g.out.Flush())
}

// unknown is the error about a tensor that there is not.
func unknown(address, name string, c *safetensors.Checkpoint, err error) error {
	if !errors.Is(err, safetensors.ErrNotFound) {
		return err
	}
	err = fmt.Errorf("%s: no tensor %s", address, shorten(safe(name), 120))
	names := near(name, c.All())
	for i := range names {
		names[i] = safe(names[i])
	}
	if len(names) > 0 {
		return hinted{err, "there is " + strings.Join(names, ", ")}
	}
	if strings.ContainsAny(name, "*?{") {
		return hinted{err, "NAME is that of one tensor, no pattern: `tensmith ls " + quoted(address) + " " + quoted(name) + "` lists what matches"}
	}
	return hinted{err, "`tensmith ls " + quoted(address) + "` lists the names"}
}

// showJSON writes values as they are read: there may be a billion.
func (a *app) showJSON(g *grid) error {
	out, err := printSequence(g.out, struct {
		Schema string   `json:"schema"`
		Name   string   `json:"name"`
		DType  string   `json:"dtype"`
		Shape  []uint64 `json:"shape"`
	}{"tensmith.show/1", g.t.Name, g.t.DType.String(), g.shape()}, "values")
	if err != nil {
		return err
	}
	err = g.each(func(text []byte) error { return out.addText(jsonValue(text)) }, nil)
	return errors.Join(err, out.end(err))
}

// jsonValue spells a value for JSON, which has no NaN, infinity or complex
// number.
func jsonValue(text []byte) string {
	s := string(text)
	switch s {
	case "NaN":
		return `"NaN"`
	case "+Inf":
		return `"Infinity"`
	case "-Inf":
		return `"-Infinity"`
	}
	if s[0] != '(' {
		return s
	}
	s = strings.TrimSuffix(s[1:], "i)")
	// The sign of the second part, not that of an exponent.
	cut := len(s) - 1
	for cut > 0 && (s[cut] != '+' && s[cut] != '-' || s[cut-1] == 'e') {
		cut--
	}
	return "[" + jsonValue([]byte(s[:cut])) + "," + jsonValue([]byte(strings.TrimSuffix(plainSign(s[cut:]), "i"))) + "]"
}

// plainSign takes a plus away that JSON does not allow.
func plainSign(s string) string {
	if s == "+Inf" {
		return s
	}
	return strings.TrimPrefix(s, "+")
}
