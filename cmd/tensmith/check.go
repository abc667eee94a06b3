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
	var notes bool
	cmd := &cobra.Command{
		Use:   "check [flags] MODEL…",
		Short: "say whether a model is sound, and if not, why",
		Long: `Check the structure of safetensors files: everything that the format forbids,
with its place, and what the file is instead if it is something else.
Notes tell of what is legal and may surprise a reader.

Exit status: 0 sound, 1 not sound, 2 something could not be read.
` + "`tensmith explain ID`" + ` tells what a finding means and what to do.`,
		Example: `  tensmith check model.safetensors
  tensmith check models/*/ -q || echo 'do not load'`,
		Args: args(1, -1, "MODEL"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.check(cmd.Context(), args, notes) },
	}
	cmd.Flags().BoolVar(&notes, "notes", true, "show notes, too")
	return cmd
}

func (a *app) check(ctx context.Context, addresses []string, notes bool) error {
	var trouble error
	sound := true
	for _, address := range addresses {
		p, err := locate(address)
		report := scan.CheckReport{Valid: true}
		if err == nil {
			if report, err = scan.Check(ctx, p.fsys, p.name); err != nil {
				err = simplify(address, err)
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		// What a file is for certain stands before what could not be read.
		if err != nil && report.Valid {
			if len(addresses) > 1 {
				a.fail("check", err)
			}
			trouble = err
			continue
		}
		sound = sound && report.Valid
		if err := a.printCheck(address, p, report, notes, len(addresses) > 1); err != nil {
			return err
		}
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

func (a *app) printCheck(address string, p place, report scan.CheckReport, notes, several bool) error {
	if a.format == "json" || a.format == "jsonl" {
		return a.printJSON(struct {
			Schema   string         `json:"schema"`
			Path     string         `json:"path"`
			Valid    bool           `json:"valid"`
			Findings []checkFinding `json:"findings"`
			Dropped  int            `json:"dropped,omitempty"`
		}{"tensmith.check/1", address, report.Valid, jsonFindings(p, report.Findings, notes), report.Dropped})
	}
	if a.format == "tsv" {
		for _, f := range report.Findings {
			if f.Severity == scan.Note && !notes {
				continue
			}
			fmt.Fprintf(a.stdout, "%s\t%s\t%s\t%d\t%s\t%s\n", f.ID, f.Severity, safe(p.path(f.File)), f.Offset, safe(f.Tensor), safe(f.Message))
		}
		return nil
	}
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
		if rule, err := scan.Explain(report.Findings[0].ID); err == nil {
			a.words("hint: %s", rule.Do)
		}
	}
	return nil
}

func pad(s string, width int) string { return s + strings.Repeat(" ", max(0, width-len(s))) }
