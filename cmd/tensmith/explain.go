package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tensmith/tensmith/scan"
)

func explainCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "explain [ID]",
		Short:   "explain a finding, or list them all",
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
			rule, err := scan.Explain(args[0])
			if err != nil {
				return hinted{usageError{err}, "`tensmith explain` lists all ids"}
			}
			if a.format == "json" || a.format == "jsonl" {
				return a.printJSON(ruleJSON{"tensmith.explain/1", rule.ID, rule.Severity, rule.Title, rule.Why, rule.Do})
			}
			fmt.Fprintf(a.stdout, "%s  %s (%s)\n\n%s\n\nWhat to do: %s\n", a.paint(bold, rule.ID), rule.Title, rule.Severity, rule.Why, rule.Do)
			return nil
		},
	}
}

type ruleJSON struct {
	Schema   string        `json:"schema"`
	ID       string        `json:"id"`
	Severity scan.Severity `json:"severity"`
	Title    string        `json:"title"`
	Why      string        `json:"why"`
	Do       string        `json:"do"`
}

func (a *app) listRules() error {
	tab := table{a: a, give: 2}
	for _, r := range scan.Rules {
		if a.format == "json" || a.format == "jsonl" {
			if err := a.printJSON(ruleJSON{"tensmith.explain/1", r.ID, r.Severity, r.Title, r.Why, r.Do}); err != nil {
				return err
			}
			continue
		}
		tab.row(r.ID, string(r.Severity), r.Title)
	}
	return tab.flush()
}
