package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/tensmith/tensmith/scan"
)

func policyCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy check [flags] PATH…",
		Short: "say what a policy decides about findings",
		Long: `Policies are texts in TOML that allow formats and names, change severities and
say what fails; the verb scan takes one with --policy.

Exit status: 0 for this text; that of tensmith scan for policy check.`,
		Example: "  tensmith policy check --policy gate.toml upload/",
		Args:    subverb,
		RunE:    func(cmd *cobra.Command, args []string) error { return cmd.Help() },
	}
	flags := scanFlags{verb: "policy check"}
	check := &cobra.Command{
		Use:   "check [flags] PATH…",
		Short: "scan, and say which part of the policy decided each finding",
		Long: `Scan as the verb scan does and list every finding with the severity that it
has by default, the one that the policy gives it, and the part of the policy
that did: default if none. What the policy turns off is listed, too.

Exit status: that of tensmith scan. A policy that is wrong is 64.`,
		Example: "  tensmith policy check --policy gate.toml upload/",
		Args:    args(1, -1, "PATH"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := notEmpty(cmd, "fail-on", "policy", "trusted-root"); err != nil {
				return err
			}
			return a.policyCheck(cmd.Context(), args, flags)
		},
	}
	check.Flags().StringVar(&flags.policy, "policy", "", "`FILE` of a policy in TOML")
	check.Flags().StringVar(&flags.root, "trusted-root", "", "`FILE` of the Sigstore to believe (default: the public one, built in)")
	check.Flags().StringVar(&flags.failOn, "fail-on", "", "least `SEVERITY` that fails: dangerous, suspicious (the default) or note")
	check.Flags().BoolVar(&flags.deep, "deep", false, "read the tensors themselves, too")
	check.Flags().SortFlags = false
	check.DisableFlagsInUseLine = true
	cmd.AddCommand(check)
	return cmd
}

// readPolicy reads the policy that a flag or the environment names. What is
// scanned cannot bring one: whoever uploads a file would judge it.
func readPolicy(name string) (*scan.Policy, error) {
	if name == "" {
		name = os.Getenv("TENSMITH_POLICY")
	}
	if name == "" {
		return nil, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, simplify(name, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 2<<20))
	if err != nil {
		return nil, simplify(name, err)
	}
	p, err := scan.ParsePolicy(name, text)
	if err != nil {
		return nil, hinted{usageError{err}, "docs/scan.md has the settings of a policy"}
	}
	return p, nil
}

func (a *app) policyCheck(ctx context.Context, addresses []string, flags scanFlags) error {
	policy, err := readPolicy(flags.policy)
	if err != nil {
		return err
	}
	if policy == nil {
		policy = &scan.Policy{Mode: "enforce"} // nothing but defaults
	}
	threshold, err := thresholdOf(flags.failOn, policy)
	if err != nil {
		return err
	}
	result, err := a.scanAll(ctx, addresses, policy, flags)
	if err != nil {
		return err
	}
	if err := a.printDecisions(policy, result); err != nil {
		return err
	}
	return a.scanExit(result, threshold, policy)
}

// whoSigned is what the signatures of a policy need: where the files lie, and
// who knows identities.
func (a *app) whoSigned(ctx context.Context, p place, flags scanFlags) scan.SignatureOptions {
	o := scan.SignatureOptions{Dir: p.dir}
	if p.fsys == nil {
		return o // standard input
	}
	if o.Dir == "" {
		o.Dir = "."
	}
	o.Keyless = a.policyIdentities(ctx, flags)
	return o
}

// A decisionJSON is a decision in the JSON of policy check.
type decisionJSON struct {
	ID       string        `json:"id"`
	Place    string        `json:"place"`
	Name     string        `json:"name,omitempty"`
	Message  string        `json:"message"`
	Default  scan.Severity `json:"default"`
	Severity scan.Severity `json:"severity"` // "off" if the policy turns the rule off
	By       string        `json:"by"`
}

func (a *app) printDecisions(policy *scan.Policy, result *scanned) error {
	list := []decisionJSON{}
	for _, d := range result.decisions {
		j := decisionJSON{d.Finding.ID, d.Finding.Place(), d.Finding.Name, d.Finding.Message, d.Was, d.Finding.Severity, d.By}
		if d.Dropped {
			j.Severity = "off"
		}
		list = append(list, j)
	}
	switch a.format {
	case "json", "jsonl":
		return a.printJSON(struct {
			Schema    string         `json:"schema"`
			Policy    string         `json:"policy"`
			Mode      string         `json:"mode"`
			Verdict   scan.Verdict   `json:"verdict"`
			Decisions []decisionJSON `json:"decisions"`
		}{"tensmith.policy/1", policy.Name, policy.Mode, result.verdict, list})
	case "tsv":
		s := a.sheet("id", "default", "severity", "place", "by", "message")
		for _, j := range list {
			s.row(j.ID, j.Default, j.Severity, j.Place, j.By, j.Message)
		}
		return s.flush()
	}
	for _, j := range list {
		change := string(j.Default)
		if j.Severity != j.Default {
			change += " → " + string(j.Severity)
		}
		fmt.Fprintf(a.stdout, "%s  %s: %s\n       %s\n       by %s\n", j.ID, harmless(j.Place), harmless(change), harmless(j.Message), harmless(j.By))
	}
	name := policy.Name
	if name == "" {
		name = "no policy"
	}
	fmt.Fprintf(a.stdout, "%s: %s, %s\n", harmless(name), plural(len(list), "finding"), result.verdict)
	return nil
}
