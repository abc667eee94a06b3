package scan

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// A corpusCase is a row of testdata/cases.json and of testdata/written.json.
type corpusCase struct {
	Name      string // of a file, or of a directory, in the archive beside the table
	Technique string
	Want      string // what the verdict has to be
	Finds     string // the class of what has to be found, as in classes
	Fires     bool   // a loader comes to the payload
}

// wanted has the verdicts that each want of a table takes.
var wanted = map[string][]Verdict{
	"clean":         {Clean},
	"suspicious":    {VerdictSuspicious, VerdictError},
	"dangerous":     {VerdictDangerous},
	"not clean":     {VerdictSuspicious, VerdictError, VerdictDangerous},
	"not dangerous": {Clean, VerdictSuspicious, VerdictError},
	"any":           {Clean, VerdictSuspicious, VerdictError, VerdictDangerous},
}

// classes has the rules of which one has to be met, by the word of the tables;
// a shorter one stands for all that begin so.
var classes = map[string]string{
	"name":       "ST301",
	"unknown":    "ST302 ST303",
	"computed":   "ST305",
	"extension":  "ST306",
	"change":     "ST307 ST321",
	"persistent": "ST310",
	"use":        "ST311",
	"memory":     "ST308",
	"number":     "ST323 ST402",
	"protocol":   "ST326",
	"frame":      "ST325 ST402",
	"leftover":   "ST328",
	"trailing":   "ST320",
	"broken":     "ST402",
	"limit":      "ST404",
	"unfold":     "ST338",
	"inside":     "ST330",
	"script":     "ST340 ST341",
	"native":     "ST350",
	"graph":      "ST374",
	"lambda":     "ST360",
	"keras":      "ST365",
	"target":     "ST366",
	"external":   "ST370",
	"archive":    "ST41 ST403 ST421 ST426",
	"tensor":     "ST422 ST423 ST424 ST412",
	"header":     "ST0 ST111 ST320 ST606 ST609",
	"metadata":   "ST330 ST503 ST6",
	"embedded":   "ST334 ST350",
	"repository": "ST50 ST351",
	"command":    "ST353",
	"mark":       "ST354",
	"handler":    "ST355",
	"escapes":    "ST356",
	"setting":    "ST357",
	"program":    "ST358",
	"source":     "ST339",
	"custom":     "ST376",
	"linked":     "ST377",
	"missing":    "ST375",
	"xml":        "ST38",
	"skops":      "ST385 ST386",
	"template":   "ST503",
	"arrow":      "ST388",
	"manifest":   "ST507",
	"key":        "ST610",
}

// corpusFiles returns the files of an archive of cases, each under the name of
// its case.
func corpusFiles(t *testing.T, archive string) fstest.MapFS {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", archive))
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	fsys := fstest.MapFS{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return fsys
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		fsys[h.Name] = &fstest.MapFile{Data: data}
	}
}

func table(t *testing.T, name string, into any) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatal(err)
	}
}

// TestCases holds the verdicts of the attacks, bombs and harmless files that
// testdata/make.py writes: what is dangerous is never clean, what is harmless
// never dangerous. The letters before the names are those of docs/scan.md.
func TestCases(t *testing.T) {
	var cases []corpusCase
	table(t, "cases.json", &cases)
	judgeAll(t, cases, corpusFiles(t, "cases.tar.gz"))
}

// TestWritten holds the verdicts of harmless files that torch, transformers,
// NumPy, scikit-learn and others have written.
func TestWritten(t *testing.T) {
	var written struct{ Cases []corpusCase }
	table(t, "written.json", &written)
	judgeAll(t, written.Cases, corpusFiles(t, "written.tar.gz"))
}

func judgeAll(t *testing.T, cases []corpusCase, files fstest.MapFS) {
	if len(cases) < 100 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			if testing.Short() && strings.HasPrefix(c.Name, "G/") {
				t.Skip("costs time, and much of it under the race detector")
			}
			begin := time.Now()
			report, err := Path(context.Background(), files, c.Name, Options{Jobs: 1})
			if err != nil {
				t.Fatal(err)
			}
			accepted, ok := wanted[c.Want]
			if !ok {
				t.Fatalf("nobody knows what %q wants", c.Want)
			}
			if !contains(accepted, report.Verdict) {
				t.Errorf("%s, want %s: %s", report.Verdict, c.Want, c.Technique)
			}
			if c.Finds != "" && !finds(report, c.Finds) {
				t.Errorf("nothing found of class %s", c.Finds)
			}
			if t.Failed() {
				logFindings(t, report)
			}
			// A bound that finds a hang, not a busy machine; bench measures.
			if took := time.Since(begin); took > time.Minute {
				t.Errorf("took %v", took)
			}
		})
	}
}

func contains(list []Verdict, v Verdict) bool {
	for _, w := range list {
		if v == w {
			return true
		}
	}
	return false
}

func finds(report *Report, class string) bool {
	for _, f := range report.Files {
		for _, finding := range f.Findings {
			for id := range strings.FieldsSeq(classes[class]) {
				if strings.HasPrefix(finding.ID, id) {
					return true
				}
			}
		}
	}
	return false
}

func logFindings(t *testing.T, report *Report) {
	t.Helper()
	for _, f := range report.Files {
		t.Logf("%s: %s, %s", f.Path, f.Format, f.Verdict)
		for i, finding := range f.Findings {
			if i == 5 {
				t.Logf("  and %d more", len(f.Findings)-i)
				break
			}
			t.Logf("  %s %s %s: %s", finding.ID, finding.Severity, finding.Place(), finding.Message)
		}
	}
}

// TestCheckpoints holds that no checkpoint of convert/torch/testdata that
// torch has written is dangerous, that weights are clean, and that none of the
// attacks there is.
func TestCheckpoints(t *testing.T) {
	const dir = "../convert/torch/testdata"
	raw, err := os.ReadFile(filepath.Join(dir, "cases.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct{ File, Container, Wrap, Maker, Error string }
	if err := json.Unmarshal(raw, &cases); err != nil {
		t.Fatal(err)
	}
	clean := 0
	for _, c := range cases {
		report, err := Path(context.Background(), os.DirFS(dir), c.File, Options{Jobs: 1})
		if err != nil {
			t.Errorf("%s: %v", c.File, err)
			continue
		}
		switch {
		case c.Error == "dangerous" && report.Verdict != VerdictDangerous,
			!strings.HasPrefix(c.Maker, "make_hand") && report.Verdict == VerdictDangerous,
			strings.HasPrefix(c.Maker, "make_hand") && c.Error == "" && report.Verdict == VerdictDangerous:
			t.Errorf("%s (%s): %s", c.File, c.Error, report.Verdict)
			logFindings(t, report)
		case report.Verdict == Clean:
			clean++
		}
	}
	t.Logf("%d of %d are clean", clean, len(cases))
}
