// Package scan tells what is wrong, unusual or dangerous about a model file.
//
// Begin with [Path], which looks at every file of a place, whatever it is
// called, and gives a verdict:
//
//	report, err := scan.Path(ctx, os.DirFS("upload"), ".", scan.Options{})
//	if err == nil && report.Verdict != scan.Clean {
//		// report.Files tells why, and where
//	}
//
// [Check] looks at the structure of a safetensors model alone: everything that
// the format forbids, what the file is instead if it is none, and what is legal
// but may surprise a reader. Every [Finding] carries the id of a [Rule] of
// the catalogue, and the place in the file.
//
// # Clean
//
// The verdict of a scan is by default a denial. A file is clean only if it was
// read to its end by a reader of its format, and all that it would have a
// program do is on a list of what is known to be harmless. What is not known
// is suspicious; what can run code, open files or reach a network is dangerous
// whether it is called or not; what could not be read is an error, which never
// hides what was found before and beside it.
//
// # Security
//
// Files may hold anything; nothing in them is run, and no path that they name
// is opened. [Path] asks its file system with fs.Stat whether files are there
// that a file names beside or below itself, such as external data of ONNX, and
// whether what a link names is; symbolic links on such a way are followed as
// the file system does, and all that comes of it is whether something is there
// (ST375, ST513). An index of a model is opened through a link if that leads to
// a file that was scanned. No input makes this package panic. What Check reads and
// allocates is bounded as package safetensors bounds it, and it stops to record
// findings, though not to count them, after [MaxFindings] in a model. A scan
// holds at most 100 MiB for a file, unpacks a bounded number of bytes, executes
// a bounded number of opcodes, and says so where a bound was met.
package scan

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// A Severity says what a finding means for its file.
type Severity string

const (
	// Dangerous is what can run code, open files or reach a network.
	Dangerous Severity = "dangerous"
	// Suspicious is what is not known to be harmless.
	Suspicious Severity = "suspicious"
	// Error is what the format forbids, or what cannot be read. A [Path] scan
	// tells these two apart: the former is Suspicious there.
	Error Severity = "error"
	// Note is what is legal, and worth knowing.
	Note Severity = "note"
)

// A Finding is one thing that was found.
type Finding struct {
	ID       string
	Severity Severity
	Message  string
	// File is the file as it was named, or relative to the directory that was.
	// What lies in a container follows it after exclamation marks, as in
	// "a.zip!b.pt!archive/data.pkl".
	File   string
	Offset int64  // byte offset in File; -1 if the finding has no place
	Tensor string // the tensor it is about, if it is about one
	Op     string // the opcode it is about, as pickletools calls it, or ""
	Name   string // what is imported there, or which key, link or member it is about
	Policy string // what of a policy has decided the severity, or ""
}

// Place returns where the finding is, as "a.zip!b.pt!archive/data.pkl@1234".
func (f Finding) Place() string {
	if f.Offset < 0 {
		return f.File
	}
	return f.File + "@" + strconv.FormatInt(f.Offset, 10)
}

// A Rule describes the findings of one id.
type Rule struct {
	ID       string
	Severity Severity
	Title    string
	Why      string // why it matters
	Do       string // what to do about it
}

// Explain returns the rule called id, in letters of either case.
func Explain(id string) (Rule, error) {
	if i, ok := ruleNumbers()[strings.ToUpper(id)]; ok {
		return Rules[i], nil
	}
	return Rule{}, fmt.Errorf("no rule is called %q", id)
}

// ruleNumbers has the places of rules by their ids: a file may have a million
// findings of which a thousand are kept.
var ruleNumbers = sync.OnceValue(func() map[string]int {
	numbers := make(map[string]int, len(Rules))
	for i, r := range Rules {
		numbers[r.ID] = i
	}
	return numbers
})
