// Package report writes what a scan has found in the forms that other programs
// read: [SARIF] for code scanning and editors, [JUnit] for build servers.
//
//	err := report.SARIF(w, result, version)
//
// # Security
//
// Names and texts of the scanned files stand in reports. They are escaped as
// the formats ask for, and so is what a terminal acts upon; whoever shows a
// report must treat them as foreign text.
package report

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"

	"github.com/tensmith/tensmith/internal/escape"
	"github.com/tensmith/tensmith/scan"
)

// SARIF writes a report in the Static Analysis Results Interchange Format,
// version 2.1.0 (OASIS). Offsets in containers within the file stand in the
// logical location. A finding that a policy has allowed is suppressed.
func SARIF(w io.Writer, r *scan.Report, version string) error {
	driver := sarif.NewToolComponent().WithName("tensmith").WithSemanticVersion(semantic(version)).
		WithVersion(version).WithInformationURI("https://github.com/tensmith/tensmith")
	rules := map[string]int{}
	run := sarif.NewRun().WithTool(sarif.NewTool().WithDriver(driver)).WithColumnKind("unicodeCodePoints")
	failed := false
	for _, f := range r.Files {
		for _, finding := range f.Findings {
			index, known := rules[finding.ID]
			if !known {
				rule, err := scan.Explain(finding.ID)
				if err != nil {
					return err
				}
				index = len(rules)
				rules[finding.ID] = index
				driver.AddRule(descriptor(rule))
			}
			failed = failed || finding.Severity == scan.Error
			run.AddResult(result(f, finding, index))
		}
	}
	if run.Results == nil {
		run.Results = []*sarif.Result{} // none, which is not the same as not having looked
	}
	run.AddInvocation(sarif.NewInvocation().WithExecutionSuccessful(!failed && r.Verdict != scan.VerdictError))
	log := sarif.NewReport().AddRun(run)
	text, err := json.MarshalIndent(log, "", "  ")
	if err != nil {
		return err
	}
	_, err = w.Write(append(escape.JSON(text), '\n'))
	return err
}

// semantic is a version as SARIF wants it, or the first of all.
func semantic(version string) string {
	version = strings.TrimPrefix(version, "v")
	if version == "" || version[0] < '0' || version[0] > '9' {
		return "0.0.0"
	}
	return version
}

func descriptor(rule scan.Rule) *sarif.ReportingDescriptor {
	text := func(s string) *sarif.MultiformatMessageString {
		return sarif.NewMultiformatMessageString().WithText(s)
	}
	properties := sarif.NewPropertyBag()
	properties.Add("security-severity", map[scan.Severity]string{scan.Dangerous: "9.0", scan.Suspicious: "6.0", scan.Error: "5.0", scan.Note: "1.0"}[rule.Severity])
	properties.Add("tags", []string{"security", "model"})
	return sarif.NewReportingDescriptor().WithID(rule.ID).WithName(camel(rule.Title)).
		WithShortDescription(text(rule.Title)).WithFullDescription(text(rule.Why)).WithHelp(text(rule.Do)).
		WithHelpURI("https://github.com/tensmith/tensmith/blob/main/docs/findings.md").
		WithDefaultConfiguration(sarif.NewReportingConfiguration().WithLevel(level(rule.Severity))).WithProperties(properties)
}

// camel makes an identifier of a title.
func camel(title string) string {
	var b strings.Builder
	for _, word := range strings.FieldsFunc(title, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}

func level(s scan.Severity) string {
	switch s {
	case scan.Dangerous:
		return "error"
	case scan.Suspicious, scan.Error:
		return "warning"
	}
	return "note"
}

func result(f scan.File, finding scan.Finding, rule int) *sarif.Result {
	physical := sarif.NewPhysicalLocation().WithArtifactLocation(sarif.NewArtifactLocation().WithURI(address(f.Path)))
	location := sarif.NewLocation().WithPhysicalLocation(physical)
	if finding.File == f.Path && finding.Offset >= 0 {
		physical.WithRegion(sarif.NewRegion().WithByteOffset(int(finding.Offset)).WithByteLength(0))
	}
	if finding.File != f.Path || finding.Tensor != "" || finding.Name != "" {
		logical := sarif.NewLogicalLocation().WithFullyQualifiedName(finding.Place()).WithKind("resource")
		if name := strings.TrimSpace(finding.Tensor + finding.Name); name != "" {
			logical.WithName(name)
		}
		location.AddLogicalLocation(logical)
	}
	properties := sarif.NewPropertyBag()
	properties.Add("severity", string(finding.Severity))
	properties.Add("place", finding.Place())
	if finding.Op != "" {
		properties.Add("op", finding.Op)
	}
	r := sarif.NewResult().WithRuleID(finding.ID).WithRuleIndex(rule).WithLevel(level(finding.Severity)).
		WithMessage(sarif.NewTextMessage(finding.Message)).AddLocation(location).WithProperties(properties).
		WithPartialFingerprints(map[string]string{"place/v1": finding.ID + " " + finding.Place() + " " + finding.Name})
	if finding.Policy != "" && finding.Severity == scan.Note {
		r.AddSuppression(sarif.NewSuppression().WithKind("external").WithJustification(finding.Policy))
	}
	return r
}

// address is a path as a reference of RFC 3986, relative as the path is.
func address(path string) string {
	const plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/!$&'()*+,;=@"
	var b strings.Builder
	for _, c := range []byte(strings.TrimPrefix(path, "./")) {
		if strings.IndexByte(plain, c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

type suites struct {
	XMLName  xml.Name `xml:"testsuites"`
	Name     string   `xml:"name,attr"`
	Tests    int      `xml:"tests,attr"`
	Failures int      `xml:"failures,attr"`
	Errors   int      `xml:"errors,attr"`
	Suite    suite    `xml:"testsuite"`
}

type suite struct {
	Name     string `xml:"name,attr"`
	Tests    int    `xml:"tests,attr"`
	Failures int    `xml:"failures,attr"`
	Errors   int    `xml:"errors,attr"`
	Cases    []test `xml:"testcase"`
}

type test struct {
	Name    string   `xml:"name,attr"`
	Class   string   `xml:"classname,attr"`
	Failure *failure `xml:"failure"`
	Error   *failure `xml:"error"`
	Output  string   `xml:"system-out,omitempty"`
}

type failure struct {
	Type    string `xml:"type,attr"`
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// JUnit writes a report as JUnit's XML, a test for each file. A file fails if
// it has a finding at or over the threshold, none if that is "", and is an error
// if it could not be read; of a report without files one test says that nothing
// was scanned.
func JUnit(w io.Writer, r *scan.Report, threshold scan.Severity) error {
	all := suites{Name: "tensmith scan", Suite: suite{Name: "tensmith scan"}}
	for _, f := range r.Files {
		t := test{Name: f.Path, Class: "tensmith.scan"}
		var over, unread, rest []string
		first := ""
		for _, finding := range f.Findings {
			line := fmt.Sprintf("%s %s %s: %s", finding.ID, finding.Severity, finding.Place(), finding.Message)
			switch {
			case threshold != "" && finding.Severity.AtLeast(threshold):
				if first == "" {
					first = finding.ID
				}
				over = append(over, line)
			case finding.Severity == scan.Error:
				unread = append(unread, line)
			default:
				rest = append(rest, line)
			}
		}
		switch {
		case len(over) > 0:
			t.Failure = &failure{first, over[0], clean(strings.Join(append(over, unread...), "\n"))}
			all.Failures++
		case len(unread) > 0:
			t.Error = &failure{"error", unread[0], clean(strings.Join(unread, "\n"))}
			all.Errors++
		}
		t.Output = clean(strings.Join(rest, "\n"))
		all.Suite.Cases = append(all.Suite.Cases, t)
	}
	if len(r.Files) == 0 {
		all.Suite.Cases = []test{{Name: "files", Class: "tensmith.scan", Error: &failure{"error", "nothing was scanned", ""}}}
		all.Errors = 1
	}
	all.Tests = len(all.Suite.Cases)
	all.Suite.Tests, all.Suite.Failures, all.Suite.Errors = all.Tests, all.Failures, all.Errors
	text, err := xml.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s%s\n", xml.Header, escape.XML(text))
	return err
}

// clean leaves out what XML 1.0 has no form for; the encoder would put a sign
// of replacement there.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' {
			return '?'
		}
		return r
	}, s)
}
