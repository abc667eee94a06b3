package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tensmith/tensmith/scan"
)

func explainCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "explain [ID]",
		Short: "explain a finding, or list them all",
		Long: `Explain what a finding of check or scan means and what to do; without an id,
list all that there are.

Exit status: 0 explained, 64 there is no such finding.`,
		Example: "  tensmith explain ST014",
		Args:    args(0, 1, ""),
		ValidArgsFunction: func(*cobra.Command, []string, string) (ids []string, _ cobra.ShellCompDirective) {
			for _, r := range scan.Rules {
				ids = append(ids, r.ID+"\t"+r.Title)
			}
			return ids, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return a.listRules()
			}
			rule, err := scan.Explain(strings.ToUpper(args[0]))
			if err != nil {
				return hinted{usagef("there is no finding %q", args[0]), "`tensmith explain` lists all"}
			}
			switch {
			case a.isJSON():
				return a.printJSON(ruleJSON{"tensmith.explain/1", rule.ID, rule.Severity, rule.Title, rule.Why, rule.Do})
			case a.format == "tsv":
				return a.ruleSheet([]scan.Rule{rule})
			}
			text := fmt.Sprintf("%s  %s (%s)\n\n%s\n\nWhat to do: %s\n", rule.ID, rule.Title, rule.Severity, rule.Why, rule.Do)
			if width, ok := terminal(a.stdout); ok {
				text = narrowed(text, min(width, 80)) // a paragraph is one line
			}
			_, err = fmt.Fprint(a.stdout, a.paint(bold, rule.ID)+text[len(rule.ID):])
			return err
		},
	}
}

type ruleJSON struct {
	Schema   string        `json:"schema,omitempty"` // not in a list
	ID       string        `json:"id"`
	Severity scan.Severity `json:"severity"`
	Title    string        `json:"title"`
	Why      string        `json:"why"`
	Do       string        `json:"do"`
}

func (a *app) listRules() error {
	tab := table{a: a, give: 2}
	list := []ruleJSON{}
	schema := ""
	if a.format == "jsonl" {
		schema = "tensmith.explain/1"
	}
	for _, r := range scan.Rules {
		list = append(list, ruleJSON{schema, r.ID, r.Severity, r.Title, r.Why, r.Do})
		tab.row(r.ID, string(r.Severity), r.Title)
	}
	switch a.format {
	case "json":
		return a.printJSON(struct {
			Schema string     `json:"schema"`
			Rules  []ruleJSON `json:"rules"`
		}{"tensmith.explain/1", list})
	case "jsonl":
		return printLines(a, slices.Values(list))
	case "tsv":
		return a.ruleSheet(scan.Rules)
	}
	return tab.flush()
}

func (a *app) ruleSheet(rules []scan.Rule) error {
	s := a.sheet("id", "severity", "title", "why", "do")
	for _, r := range rules {
		s.row(r.ID, string(r.Severity), r.Title, r.Why, r.Do)
	}
	return s.flush()
}
