package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/tensmith/tensmith/scan"
	"github.com/tensmith/tensmith/scan/report"
)

// scanFlags are the flags of scan.
type scanFlags struct {
	verb   string // that they are of
	failOn string
	deep   bool
	policy string
	sarif  string
	junit  string
	root   string // whom signatures of identities believe
}

func scanCommand(a *app) *cobra.Command {
	flags := scanFlags{verb: "scan"}
	cmd := &cobra.Command{
		Use:   "scan [flags] PATH…",
		Short: "say what loading a file would do, and what it hides",
		Long: `Look at every file of a place, by content and never by name, and at what lies
within archives, and say whether it is clean: read to its end, with nothing in
it that is not known to be harmless. Nothing of a file is run. A PATH of - is
standard input.

A file is dangerous if it holds what can run code, open files or reach a
network; suspicious if it holds what is unknown or no writer writes; an error
if it could not be read. Links are not followed.

Exit status: 0 clean, 1 findings at or over --fail-on, 2 trouble, or nothing
was scanned; a finding over the threshold wins over trouble. A policy is taken
from --policy or $TENSMITH_POLICY alone, never from what is scanned.
` + "`tensmith explain ID`" + ` tells what a finding means and what to do.`,
		Example: `  tensmith scan model.pt
  tensmith scan upload/ --policy gate.toml --sarif findings.sarif`,
		Args: args(1, -1, "PATH"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := notEmpty(cmd, "fail-on", "policy", "trusted-root", "sarif", "junit"); err != nil {
				return err
			}
			return a.scan(cmd.Context(), args, flags)
		},
	}
	cmd.Flags().StringVar(&flags.failOn, "fail-on", "", "least `SEVERITY` that fails: dangerous, suspicious (the default) or note")
	cmd.Flags().StringVar(&flags.policy, "policy", "", "`FILE` of a policy in TOML")
	cmd.Flags().StringVar(&flags.root, "trusted-root", "", "`FILE` of the Sigstore to believe (default: the public one, built in)")
	cmd.Flags().StringVar(&flags.sarif, "sarif", "", "write the findings as SARIF 2.1.0 to `FILE`; - is standard output")
	cmd.Flags().StringVar(&flags.junit, "junit", "", "write the findings as JUnit's XML to `FILE`; - is standard output")
	cmd.Flags().BoolVar(&flags.deep, "deep", false, "read the tensors themselves, too")
	return cmd
}

// notEmpty refuses a flag whose value is the empty text: without the policy or
// the report that a script means to ask for, a scan would look as good.
func notEmpty(cmd *cobra.Command, names ...string) error {
	for _, name := range names {
		if f := cmd.Flags().Lookup(name); f.Changed && f.Value.String() == "" {
			return hinted{usagef("--%s is empty", name), "a variable of the script may not be set"}
		}
	}
	return nil
}

// A scanned is what came of all addresses.
type scanned struct {
	verdict   scan.Verdict
	files     []scan.File // with paths as the user names them
	lost      []scan.File // addresses that lead nowhere, which standard error has told
	decisions []scan.Decision
	trouble   error // about an address that leads nowhere
}

// all are the files that programs are told of: one that takes a report for the
// whole answer must not miss what was not there.
func (s *scanned) all() []scan.File { return slices.Concat(s.files, s.lost) }

func (a *app) scan(ctx context.Context, addresses []string, flags scanFlags) error {
	if flags.sarif == "-" && flags.junit == "-" || (flags.sarif == "-" || flags.junit == "-") && a.format != "human" {
		return hinted{usageError{errors.New("standard output takes one document")}, "give --sarif or --junit the name of a file"}
	}
	if err := replaceable(flags); err != nil {
		return err
	}
	policy, err := readPolicy(flags.policy)
	if err != nil {
		return err
	}
	threshold, err := thresholdOf(flags.failOn, policy)
	if err != nil {
		return err
	}
	result, err := a.scanAll(ctx, addresses, policy, flags)
	if err != nil {
		return err
	}
	release, _ := version()
	all := &scan.Report{Verdict: result.verdict, Files: result.all()}
	failing := threshold
	if !enforced(policy) {
		failing = "" // or the build server would fail what the policy does not
	}
	err = errors.Join(
		a.writeReport(flags.sarif, func(w io.Writer) error { return report.SARIF(w, all, release) }),
		a.writeReport(flags.junit, func(w io.Writer) error { return report.JUnit(w, all, failing) }),
	)
	if flags.sarif != "-" && flags.junit != "-" {
		err = errors.Join(err, a.printScan(result)) // what was found is told, if not in the report
	}
	if err != nil {
		return err
	}
	return a.scanExit(result, threshold, policy)
}

// thresholdOf is what --fail-on says, or else the policy, or else that what is
// not known to be harmless fails.
func thresholdOf(flag string, policy *scan.Policy) (scan.Severity, error) {
	if flag == "" {
		if policy != nil && policy.FailOn != "" && policy.Mode != "off" {
			return policy.FailOn, nil
		}
		return scan.Suspicious, nil
	}
	threshold, err := scan.ParseSeverity(flag)
	if err != nil || threshold == scan.Error {
		return "", usagef("--fail-on is %q, not one of dangerous, suspicious, note", flag)
	}
	return threshold, nil
}

// scanAll scans what the addresses lead to. An address that leads nowhere does
// not hide the others.
func (a *app) scanAll(ctx context.Context, addresses []string, policy *scan.Policy, flags scanFlags) (*scanned, error) {
	// A file may hold some 60 MiB of values; the collector must not let as much
	// again lie around, for there is a bound on memory. Eight MiB may, of little.
	defer a.heap.to(25, 32<<20)()
	result := &scanned{verdict: scan.Clean}
	opts := scan.Options{Deep: flags.deep, Jobs: a.jobs}
	for _, address := range addresses {
		bar := a.meter("scan", 0)
		opts.Progress = func(done, total int64) {
			bar.total = total
			bar.set(done)
		}
		found, p, err := a.scanOne(ctx, address, opts)
		bar.end()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			why := strings.TrimPrefix(err.Error(), address+": ")
			result.lost = append(result.lost, scan.File{Path: address, Verdict: scan.VerdictError,
				Findings: []scan.Finding{{ID: "ST401", Severity: scan.Error, File: address, Offset: -1, Message: why}}})
			if result.trouble = err; len(addresses) > 1 {
				a.fail(flags.verb, err)
				result.trouble = errors.New("not every path could be scanned")
			}
			continue
		}
		// As the user names them.
		prefix := ""
		if len(found.Files) > 0 {
			prefix = strings.TrimSuffix(filepath.ToSlash(p.path(found.Files[0].Path)), found.Files[0].Path)
		}
		if policy != nil {
			if err := policy.Signatures(ctx, found, a.whoSigned(ctx, p, flags)); err != nil {
				return nil, err
			}
			for _, d := range policy.Apply(found, time.Now()) {
				d.Finding.File = prefix + d.Finding.File
				result.decisions = append(result.decisions, d)
			}
		}
		for _, f := range found.Files {
			f.Path = prefix + f.Path
			for i := range f.Findings {
				f.Findings[i].File = prefix + f.Findings[i].File
			}
			result.files = append(result.files, f)
			result.verdict = result.verdict.Worse(f.Verdict)
		}
	}
	if result.trouble != nil {
		result.verdict = result.verdict.Worse(scan.VerdictError)
	}
	return result, nil
}

// maxStdin is how much of standard input is held in memory.
const maxStdin = 1 << 30

func (a *app) scanOne(ctx context.Context, address string, opts scan.Options) (*scan.Report, place, error) {
	if address == "-" {
		data, err := io.ReadAll(io.LimitReader(a.stdin, maxStdin+1))
		if err == nil && len(data) > maxStdin {
			err = errors.New("more than " + size(maxStdin))
		}
		if err == nil && len(data) == 0 {
			// What should have written it has failed, more likely than not.
			err = errors.New("empty, so nothing was scanned")
		}
		if err != nil {
			return nil, place{}, fmt.Errorf("standard input: %w", err)
		}
		f, err := scan.Reader(ctx, bytes.NewReader(data), int64(len(data)), "-", opts)
		return &scan.Report{Verdict: f.Verdict, Files: []scan.File{f}}, place{name: "-"}, err
	}
	p, err := locate(address)
	if err != nil {
		return nil, p, err
	}
	found, err := scan.Path(ctx, p.fsys, p.name, opts)
	switch {
	case errors.Is(err, fs.ErrInvalid) && !utf8.ValidString(address): // package fs opens no such name
		err = hinted{fmt.Errorf("%s: the name is no UTF-8, so the file was not opened", address), "rename it, or scan it as standard input: tensmith scan - <FILE"}
	case err != nil:
		err = simplify(address, err)
	case len(found.Files) == 0:
		err = hinted{fmt.Errorf("%s: has no files, so nothing was scanned", address), "name a directory that has files"}
	}
	return found, p, err
}

// enforced tells whether findings fail.
func enforced(policy *scan.Policy) bool { return policy == nil || policy.Mode == "enforce" }

// scanExit is the answer in the exit status. Where a policy does not enforce,
// findings do not fail, and trouble still does.
func (a *app) scanExit(result *scanned, threshold scan.Severity, policy *scan.Policy) error {
	unread, told := 0, false
	for _, f := range result.files {
		for _, finding := range f.Findings {
			if finding.Severity.AtLeast(threshold) {
				if enforced(policy) {
					return errNo
				}
				if !told {
					a.words("the mode of %s is %s: findings do not fail", policy.Name, policy.Mode)
					told = true
				}
			}
			if finding.Severity == scan.Error {
				unread++
				break
			}
		}
	}
	if unread > 0 {
		return fmt.Errorf("%s could not be read to the end", plural(unread, "file"))
	}
	return result.trouble
}

// A scanFinding is a finding in the JSON of scan.
type scanFinding struct {
	ID       string        `json:"id"`
	Severity scan.Severity `json:"severity"`
	Message  string        `json:"message"`
	Place    string        `json:"place"`
	File     string        `json:"file"`
	Offset   *int64        `json:"offset"`
	Op       string        `json:"op,omitempty"`
	Name     string        `json:"name,omitempty"`
	Tensor   string        `json:"tensor,omitempty"`
	Policy   string        `json:"policy,omitempty"`
	Why      string        `json:"why"`
	Do       string        `json:"do"`
}

type scanFile struct {
	Path     string        `json:"path"`
	Format   string        `json:"format"`
	Size     int64         `json:"size"`
	Verdict  scan.Verdict  `json:"verdict"`
	Findings []scanFinding `json:"findings"`
	Dropped  int           `json:"dropped,omitempty"`
}

func jsonScan(f scan.File) scanFile {
	j := scanFile{f.Path, f.Format, f.Size, f.Verdict, []scanFinding{}, f.Dropped}
	for _, finding := range f.Findings {
		rule, err := scan.Explain(finding.ID)
		if err != nil {
			panic(err) // the scan would not have made it
		}
		g := scanFinding{ID: finding.ID, Severity: finding.Severity, Message: finding.Message, Place: finding.Place(), File: finding.File,
			Op: finding.Op, Name: finding.Name, Tensor: finding.Tensor, Policy: finding.Policy, Why: rule.Why, Do: rule.Do}
		if finding.Offset >= 0 {
			g.Offset = &finding.Offset
		}
		j.Findings = append(j.Findings, g)
	}
	return j
}

// maxPrinted is how many findings of a file are printed for people: the heaviest,
// which come first.
const maxPrinted = 25

func (a *app) printScan(result *scanned) error {
	switch a.format {
	case "json", "jsonl":
		files := []scanFile{}
		for _, f := range result.all() {
			files = append(files, jsonScan(f))
		}
		return a.printJSON(struct {
			Schema  string       `json:"schema"`
			Verdict scan.Verdict `json:"verdict"`
			Files   []scanFile   `json:"files"`
		}{"tensmith.scan/1", result.verdict, files})
	case "tsv":
		s := a.sheet("path", "format", "verdict", "id", "severity", "place", "message")
		for _, f := range result.all() {
			if len(f.Findings) == 0 {
				s.row(f.Path, f.Format, f.Verdict, "", "", "", "")
			}
			for _, g := range f.Findings {
				s.row(f.Path, f.Format, f.Verdict, g.ID, g.Severity, g.Place(), g.Message)
			}
		}
		return s.flush()
	}
	if a.quiet {
		return nil
	}
	styles := map[scan.Verdict]style{scan.VerdictDangerous: red, scan.VerdictSuspicious: yellow, scan.VerdictError: yellow, scan.Clean: green}
	for _, f := range result.files {
		if len(f.Findings) == 0 && len(result.files) > 20 {
			continue
		}
		fmt.Fprintf(a.stdout, "%s: %s", harmless(f.Path), a.paint(styles[f.Verdict], string(f.Verdict)))
		if f.Format != "" {
			fmt.Fprintf(a.stdout, " (%s)", f.Format)
		}
		fmt.Fprintln(a.stdout)
		for i, g := range f.Findings {
			if i == maxPrinted {
				fmt.Fprintf(a.stdout, "  and %s more, which --json has\n", plural(len(f.Findings)-i, "finding"))
				break
			}
			where := ""
			if rest := g.Place()[len(f.Path):]; rest != "" {
				where = rest + ": "
			}
			st := plain
			switch g.Severity {
			case scan.Dangerous:
				st = red
			case scan.Suspicious, scan.Error:
				st = yellow
			}
			by := ""
			if g.Policy != "" {
				by = " [" + g.Policy + "]"
			}
			text := harmless(where + g.Message + by)
			if width, ok := terminal(a.stdout); ok {
				indent := 20 // where the text begins
				if width < 72 {
					indent = 8
				}
				text = folded(text, 20, indent, width)
			}
			fmt.Fprintf(a.stdout, "  %s %s  %s\n", a.paint(st, g.ID), a.paint(st, pad(string(g.Severity), 10)), text)
		}
		if f.Dropped > 0 {
			fmt.Fprintf(a.stdout, "  and %s more\n", plural(f.Dropped, "finding"))
		}
	}
	if len(result.files) > 1 {
		fmt.Fprintf(a.stdout, "%s: %s\n", plural(len(result.files), "file"), a.paint(styles[result.verdict], string(result.verdict)))
	}
	for _, f := range result.files {
		if f.Verdict != scan.Clean && f.Verdict == result.verdict { // the worst
			a.words("hint: `tensmith explain %s` tells what it means and what to do", f.Findings[0].ID)
			break
		}
	}
	return nil
}

// folded breaks a text into lines of at most width columns. It begins in a column,
// and its further lines are indented. It is broken at blanks; a word that is too
// long for a line of its own, such as a path, fills lines.
func folded(text string, column, indent, width int) string {
	var b strings.Builder
	at := column
	for i, word := range strings.Split(text, " ") {
		runes := []rune(word)
		if i > 0 {
			if at+1+len(runes) <= width {
				b.WriteByte(' ')
				at++
			} else if len(runes) <= width-indent || width-at < 8 {
				b.WriteString("\n" + strings.Repeat(" ", indent))
				at = indent
			} else {
				b.WriteByte(' ')
				at++
			}
		}
		for len(runes) > width-at && width > indent {
			n := max(width-at, 0)
			b.WriteString(string(runes[:n]) + "\n" + strings.Repeat(" ", indent))
			runes, at = runes[n:], indent
		}
		b.WriteString(string(runes))
		at += len(runes)
	}
	return b.String()
}
