// Package conformance is a kit that any reader of safetensors can be graded with.
//
// [Vectors] gives the vectors: small files with one feature or one failure each,
// and what a reader has to make of them. A [Grader] runs a program over them and
// reports where it disagrees:
//
//	report, err := conformance.Grader{Args: []string{"my-reader", "{}"}}.Grade(ctx)
//
// The same vectors lie in [FS], two files each, for implementations in other
// languages: NAME.safetensors, and NAME.json with the expectation. The page
// docs/conformance.md describes that layout.
//
// The verdicts are those of the reference implementation (the Rust crate, release
// 0.8.0), recorded by running it, with three exceptions where its code takes what
// its README forbids or nobody means: a name or metadata key that stands twice, a
// tensor written as an array, a dtype written as a map. [Vector.Disputed] tells them.
//
// # Security
//
// The vectors are hostile on purpose: they are made to crash, exhaust or mislead
// a reader. None holds code. A Grader runs the program it is given, with the
// rights of the caller, and stops waiting for it after its timeout.
package conformance

import (
	"embed"
	"encoding/json"
	"io/fs"
	"iter"
	"path"
	"strings"

	"github.com/tensmith/tensmith/conformance/internal/cases"
)

//go:generate go run ./gen

//go:embed vectors
var embedded embed.FS

// FS gives the committed vectors as files: NAME.safetensors and NAME.json for each.
func FS() fs.FS {
	files, err := fs.Sub(embedded, "vectors")
	if err != nil {
		panic(err) // the folder is embedded above
	}
	return files
}

// Vector is one file and what a reader has to make of it.
type Vector struct {
	Name   string // lower-case letters, digits and dashes
	Why    string // one line
	Accept bool

	// Class names the cause of a refusal; it is empty where Accept is set.
	Class Class

	// Tensors are what an accepted file holds, in the order of their names'
	// bytes. They are nil for a large vector.
	Tensors []Tensor

	// Metadata is nil for an accepted file that has none, or has null for it.
	Metadata map[string]string

	// Reference is what the reference implementation says: "ok", or the name of
	// its error.
	Reference string

	// Large vectors are made when asked for, and only their verdict is known.
	Large bool

	file func() []byte
}

// Tensor is one tensor of an accepted vector.
type Tensor struct {
	Name   string
	DType  string   // one of the 22, as the header spells it
	Shape  []uint64 // empty for a scalar, never nil
	SHA256 string   // of its bytes, in lower-case hexadecimal
}

// Bytes gives the file. That of a large vector is made anew by every call, and
// may be over 100 MB.
func (v Vector) Bytes() []byte { return v.file() }

// Disputed reports whether the reference accepts what is refused here: one of
// the three documented exceptions.
func (v Vector) Disputed() bool { return !v.Accept && v.Reference == "ok" }

// Vectors gives the committed vectors in the order of their names.
func Vectors() iter.Seq[Vector] {
	return func(yield func(Vector) bool) {
		entries, err := fs.ReadDir(FS(), ".")
		if err != nil {
			panic(err) // embedded, so always there
		}
		for _, entry := range entries {
			if name, ok := strings.CutSuffix(entry.Name(), ".json"); ok && !yield(load(name)) {
				return
			}
		}
	}
}

// LargeVectors gives those that are too large to commit: headers at the limit,
// 100,000 tensors, 10 million dimensions. Making them takes up to 300 MB.
func LargeVectors() iter.Seq[Vector] {
	return func(yield func(Vector) bool) {
		for _, c := range cases.Large() {
			v := Vector{Name: c.Name, Why: c.Why, Accept: c.Class == "", Class: Class(c.Class),
				Reference: c.Reference, Large: true, file: c.Make}
			if !yield(v) {
				return
			}
		}
	}
}

// load reads a vector that a test has read before: what lies in the package
// cannot be missing or malformed.
func load(name string) Vector {
	var d cases.Description
	if err := json.Unmarshal(read(name+".json"), &d); err != nil {
		panic(name + ": " + err.Error())
	}
	v := Vector{
		Name: name, Why: d.Why, Accept: d.Verdict == "accept", Class: Class(d.Class),
		Reference: d.Reference,
		file:      func() []byte { return read(name + ".safetensors") },
	}
	if v.Accept {
		v.Tensors = make([]Tensor, len(d.Tensors))
	}
	for i, t := range d.Tensors {
		v.Tensors[i] = Tensor(t)
	}
	if d.Metadata != nil {
		v.Metadata = *d.Metadata
	}
	return v
}

func read(name string) []byte {
	b, err := embedded.ReadFile(path.Join("vectors", name))
	if err != nil {
		panic(err)
	}
	return b
}
