package main

import (
	"context"
	"fmt"

	"github.com/tensmith/tensmith/scan"
)

// checkValues adds to the report of a model whose structure is sound what its
// values have to tell.
func (a *app) checkValues(ctx context.Context, address string, p place, report *scan.CheckReport) error {
	c, err := a.open(address)
	if err != nil {
		return err
	}
	defer c.Close()
	_, bytes := matching(c, nil)
	m := a.meter("reading", bytes)
	defer m.end()
	values, err := scan.Values(ctx, c, scan.ValueOptions{Config: configOf(p), Jobs: a.jobs, Progress: m.set})
	if err != nil {
		return fmt.Errorf("%s: %w", address, err)
	}
	report.Valid = report.Valid && values.Valid
	report.Findings = append(report.Findings, values.Findings...)
	report.Dropped += values.Dropped
	return nil
}

// heaviest is the finding that a report is not valid for.
func heaviest(report scan.CheckReport) scan.Finding {
	for _, s := range []scan.Severity{scan.Dangerous, scan.Error, scan.Suspicious} {
		for _, f := range report.Findings {
			if f.Severity == s {
				return f
			}
		}
	}
	return report.Findings[0]
}
