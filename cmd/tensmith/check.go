package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tensmith/tensmith/scan"
)

func checkCommand(a *app) *cobra.Command {
	var notes, values bool
	cmd := &cobra.Command{
		Use:   "check [flags] MODEL…",
		Short: "say whether a model is sound, and if not, why",
		Long: `Check the structure of safetensors files: everything that the format forbids,
with its place, and what the file is instead if it is something else.
Notes tell of what is legal and may surprise a reader.

--values reads all tensors, too: NaN and infinities, weights that are dead or
far from their kind, and programs, archives, pickles or other data hidden in
them. What that can find and what not is told by ` + "`tensmith explain ST210`" + ` and
the rules beside it.

--json prints one document; that of several models has what each of theirs would
be in "models". With --format jsonl each is a line.

Exit status: 0 sound, 1 not sound, 2 something could not be read.
` + "`tensmith explain ID`" + ` tells what a finding means and what to do.`,
		Example: `  tensmith check model.safetensors
  tensmith check model/ --values
  tensmith check models/*/ -q || echo 'do not load'`,
		Args: args(1, -1, "MODEL"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.check(cmd.Context(), args, notes, values) },
	}
	cmd.Flags().BoolVar(&notes, "notes", true, "show notes, too")
	cmd.Flags().BoolVar(&values, "values", false, "check the values, too, which reads all of the model")
	return cmd
}

func (a *app) check(ctx context.Context, addresses []string, notes, values bool) error {
	var trouble error
	sound := true
	out := a.checks(len(addresses) > 1)
	for _, address := range addresses {
		p, err := locate(address)
		report := scan.CheckReport{Valid: true}
		if err == nil {
			if report, err = scan.Check(ctx, p.fsys, p.name); err != nil {
				err = p.unopened(address, err)
			}
		}
		if err == nil && values && report.Valid {
			err = a.checkValues(ctx, address, p, &report)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		// What a file is for certain stands before what could not be read.
		if err != nil && report.Valid {
			if len(addresses) > 1 {
				a.fail("check", err)
				message := err.Error()
				out.list = append(out.list, checkJSON{Path: address, Error: &message, Findings: []checkFinding{}})
			}
			trouble = err
			continue
		}
		sound = sound && report.Valid
		if err := out.add(address, p, report, notes); err != nil {
			return err
		}
	}
	if err := out.end(sound && trouble == nil); err != nil {
		return err
	}
	switch {
	case !sound:
		return errNo
	case trouble != nil && len(addresses) > 1:
		return fmt.Errorf("not every model could be read")
	}
	return trouble
}

// A checkFinding is a finding in the JSON of check.
type checkFinding struct {
	ID       string        `json:"id"`
	Severity scan.Severity `json:"severity"`
	Message  string        `json:"message"`
	Offset   *int64        `json:"offset"`
	Tensor   *string       `json:"tensor"`
	File     string        `json:"file"`
}

func jsonFindings(p place, findings []scan.Finding, notes bool) []checkFinding {
	list := []checkFinding{}
	for _, f := range findings {
		if f.Severity == scan.Note && !notes {
			continue
		}
		j := checkFinding{ID: f.ID, Severity: f.Severity, Message: f.Message, File: filepath.ToSlash(p.path(f.File))}
		if f.Offset >= 0 {
			j.Offset = &f.Offset
		}
		if f.Tensor != "" {
			j.Tensor = &f.Tensor
		}
		list = append(list, j)
	}
	return list
}

// A checkJSON is what check says of one address: a document, or an element of
// one if there are several addresses.
type checkJSON struct {
	Schema   string         `json:"schema,omitempty"`
	Path     string         `json:"path"`
	Valid    bool           `json:"valid"`
	Findings []checkFinding `json:"findings"`
	Dropped  int            `json:"dropped,omitempty"`
	Error    *string        `json:"error,omitempty"` // why it could not be read
}

// checks prints what check says of one address after the other.
type checks struct {
	a       *app
	several bool
	list    []checkJSON
	sheet   *sheet
}

func (a *app) checks(several bool) *checks {
	c := &checks{a: a, several: several, list: []checkJSON{}}
	if a.format == "tsv" {
		c.sheet = a.sheet("id", "severity", "file", "offset", "tensor", "message")
	}
	return c
}

func (c *checks) add(address string, p place, report scan.CheckReport, notes bool) error {
	switch {
	case c.a.isJSON():
		c.list = append(c.list, checkJSON{Path: address, Valid: report.Valid, Findings: jsonFindings(p, report.Findings, notes), Dropped: report.Dropped})
	case c.sheet != nil:
		for _, f := range jsonFindings(p, report.Findings, notes) {
			var offset, tensor any
			if f.Offset != nil {
				offset = *f.Offset
			}
			if f.Tensor != nil {
				tensor = *f.Tensor
			}
			c.sheet.row(f.ID, string(f.Severity), f.File, offset, tensor, f.Message)
		}
	default:
		return c.a.printCheck(address, p, report, notes)
	}
	return nil
}

// end prints what add has kept. The document of one address is the contract's;
// that of several holds what theirs would.
func (c *checks) end(valid bool) error {
	switch {
	case c.sheet != nil:
		return c.sheet.flush()
	case c.a.format == "jsonl" || c.a.isJSON() && !c.several:
		for i := range c.list {
			c.list[i].Schema = "tensmith.check/1"
			if err := c.a.printJSON(c.list[i]); err != nil {
				return err
			}
		}
	case c.a.isJSON():
		return c.a.printJSON(struct {
			Schema string      `json:"schema"`
			Valid  bool        `json:"valid"`
			Models []checkJSON `json:"models"`
		}{"tensmith.check/1", valid, c.list})
	}
	return nil
}

func (a *app) printCheck(address string, p place, report scan.CheckReport, notes bool) error {
	if a.quiet {
		return nil
	}
	for _, f := range report.Findings {
		st := red
		if f.Severity == scan.Note {
			if st = yellow; !notes {
				continue
			}
		}
		where := p.path(f.File)
		if f.Offset >= 0 {
			where += fmt.Sprintf(": byte %d", f.Offset)
		}
		if f.Tensor != "" {
			where += ": " + shorten(safe(f.Tensor), 80)
		}
		fmt.Fprintf(a.stdout, "%s %s  %s: %s\n", a.paint(st, f.ID), a.paint(st, pad(string(f.Severity), 5)), harmless(where), harmless(f.Message))
	}
	if report.Dropped > 0 {
		fmt.Fprintf(a.stdout, "and %s more\n", plural(report.Dropped, "finding"))
	}
	verdict := a.paint(green, "sound")
	if !report.Valid {
		verdict = a.paint(red, "not sound")
	}
	fmt.Fprintf(a.stdout, "%s: %s\n", harmless(address), verdict)
	if !report.Valid {
		if rule, err := scan.Explain(heaviest(report).ID); err == nil {
			a.words("hint: %s", rule.Do)
		}
	}
	return nil
}

func pad(s string, width int) string { return s + strings.Repeat(" ", max(0, width-len(s))) }
