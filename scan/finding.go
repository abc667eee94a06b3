// Package scan tells what is wrong, unusual or dangerous about a model file.
//
// [Check] looks at the structure of a safetensors model: everything that the
// format forbids, what the file is instead if it is none, and what is legal
// but may surprise a reader. Every [Finding] carries the id of a [Rule] of
// the catalogue, and the place in the file.
//
// # Security
//
// Files may hold anything. What Check reads and allocates is bounded as
// package safetensors bounds it, and it stops to record findings, though not
// to count them, after [MaxFindings] in a model.
package scan

import "fmt"

// A Severity says what a finding means for its file.
type Severity string

const (
	Error Severity = "error" // the format forbids it
	Note  Severity = "note"  // legal, and worth knowing
)

// A Finding is one thing that was found.
type Finding struct {
	ID       string
	Severity Severity
	Message  string
	File     string // as it was named, or relative to the directory that was
	Offset   int64  // byte offset in File; -1 if the finding has no place
	Tensor   string // the tensor it is about, if it is about one
}

// A Rule describes the findings of one id.
type Rule struct {
	ID       string
	Severity Severity
	Title    string
	Why      string // why it matters
	Do       string // what to do about it
}

// Explain returns the rule called id.
func Explain(id string) (Rule, error) {
	for _, r := range Rules {
		if r.ID == id {
			return r, nil
		}
	}
	return Rule{}, fmt.Errorf("no rule is called %q", id)
}
