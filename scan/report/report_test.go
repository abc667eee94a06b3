package report

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"strings"
	"testing"
	"testing/fstest"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"

	"github.com/tensmith/tensmith/scan"
)

// scanned is a report with a file of every verdict, whose names are no ASCII.
func scanned(t *testing.T) *scan.Report {
	t.Helper()
	fsys := fstest.MapFS{
		"a b/évil.pkl":   {Data: []byte("\x80\x02cos\nsystem\nX\x02\x00\x00\x00id\x85R.")},
		"unknown.pkl":    {Data: []byte("\x80\x02ccollections\nabc\n.")},
		"cut.pkl":        {Data: []byte("\x80\x02]")},
		"plain.pkl":      {Data: []byte("\x80\x02].")},
		"\x1b[31m.npy":   {Data: []byte("\x93NUMPY\x01")},
		"readme\x00.txt": {Data: []byte("words")},
	}
	r, err := scan.Path(context.Background(), fsys, ".", scan.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestSARIF holds a report to the schema that OASIS publishes.
func TestSARIF(t *testing.T) {
	for name, r := range map[string]*scan.Report{"files": scanned(t), "nothing": {Verdict: scan.VerdictError}} {
		var b bytes.Buffer
		if err := SARIF(&b, r, "v1.2.3"); err != nil {
			t.Fatal(err)
		}
		log, err := sarif.FromBytes(b.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if err := log.Validate(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, b.String())
		}
		// What is not there at all must not have become so by reading.
		var raw struct {
			Runs []struct {
				Results []struct{ RuleID, Level string }
			}
		}
		if err := json.Unmarshal(b.Bytes(), &raw); err != nil || len(raw.Runs) != 1 || raw.Runs[0].Results == nil {
			t.Errorf("%s: %v, %s", name, err, b.String())
		}
	}
}

func TestSARIFResults(t *testing.T) {
	var b bytes.Buffer
	if err := SARIF(&b, scanned(t), "(devel)"); err != nil {
		t.Fatal(err)
	}
	log, err := sarif.FromBytes(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range log.Runs[0].Results {
		rule := log.Runs[0].Tool.Driver.Rules[r.RuleIndex]
		if *rule.ID != *r.RuleID {
			t.Errorf("index of %s leads to %s", *r.RuleID, *rule.ID)
		}
		got = append(got, *r.Locations[0].PhysicalLocation.ArtifactLocation.URI+" "+*r.RuleID+" "+r.Level)
	}
	want := []string{
		"%1B%5B31m.npy ST402 warning",
		"a%20b/%C3%A9vil.pkl ST301 error",
		"cut.pkl ST402 warning",
		"unknown.pkl ST302 warning",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}

// TestSuppressed states that an allowed finding stays in the report, as one
// that somebody has suppressed.
func TestSuppressed(t *testing.T) {
	r := scanned(t)
	p, err := scan.ParsePolicy("p.toml", []byte("[[allow]]\npath='**'\nnames=['os.system']\nreason='a test'\nexpires=9999-01-01\n"))
	if err != nil {
		t.Fatal(err)
	}
	p.Apply(r, day)
	var b bytes.Buffer
	if err := SARIF(&b, r, ""); err != nil {
		t.Fatal(err)
	}
	log, err := sarif.FromBytes(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	for _, result := range log.Runs[0].Results {
		want := 0
		if *result.RuleID == "ST301" {
			want = 1
		}
		if got := len(result.Suppressions); got != want {
			t.Errorf("%s: %d suppressions, want %d", *result.RuleID, got, want)
		}
	}
	if err := log.Validate(); err != nil {
		t.Error(err)
	}
}

func TestJUnit(t *testing.T) {
	var b bytes.Buffer
	if err := JUnit(&b, scanned(t), scan.Suspicious); err != nil {
		t.Fatal(err)
	}
	var got suites
	if err := xml.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	counts := []int{got.Tests, got.Failures, got.Errors, len(got.Suite.Cases)}
	if diff := cmp.Diff([]int{6, 2, 2, 6}, counts); diff != "" {
		t.Errorf("tests, failures, errors, cases (-want +got):\n%s%s", diff, b.String())
	}
	if strings.ContainsAny(b.String(), "\x00\x1b") {
		t.Error("a control character in XML")
	}
	b.Reset()
	if err := JUnit(&b, &scan.Report{}, scan.Dangerous); err != nil || !strings.Contains(b.String(), "nothing was scanned") {
		t.Errorf("%v\n%s", err, b.String())
	}
}

var day = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// TestVisible states that no report has what a terminal acts upon, and that
// programs read the same names.
func TestVisible(t *testing.T) {
	const name = "a\u009b31m\u007f\u202e\u200b\U000e0041é.pkl"
	r := &scan.Report{Verdict: scan.VerdictDangerous, Files: []scan.File{{Path: name, Verdict: scan.VerdictDangerous,
		Findings: []scan.Finding{{ID: "ST301", Severity: scan.Dangerous, File: name, Offset: 2, Name: name, Message: "imports " + name}}}}}
	var s, j bytes.Buffer
	if err := errors.Join(SARIF(&s, r, ""), JUnit(&j, r, scan.Suspicious)); err != nil {
		t.Fatal(err)
	}
	for form, text := range map[string]string{"SARIF": s.String(), "JUnit": j.String()} {
		if i := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && !unicode.IsGraphic(r) }); i >= 0 {
			t.Errorf("%s has %q", form, text[i:min(i+20, len(text))])
		}
	}
	log, err := sarif.FromBytes(s.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if got := *log.Runs[0].Results[0].Message.Text; got != "imports "+name {
		t.Errorf("the message of SARIF is %q", got)
	}
	var got suites
	if err := xml.Unmarshal(j.Bytes(), &got); err != nil || got.Suite.Cases[0].Name != name {
		t.Errorf("%v, %+v", err, got)
	}
}
