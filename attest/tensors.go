package attest

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tensmith/tensmith/sign"
)

// TensorsType is the type of the predicate of Tensors: an object of "digest"
// and "tensors", the members of the type.
const TensorsType = "https://github.com/tensmith/tensmith/attest/tensors/v1"

// ErrMalformed is the cause of an error about a statement that is not what its
// type demands.
var ErrMalformed = errors.New("malformed statement")

// A File is a file of a model.
type File struct {
	Name   string // relative to the model, with slashes
	SHA256 string // of the whole file, hexadecimal
}

// A Tensor is a tensor of a model, wherever it lies.
type Tensor struct {
	Name   string   `json:"name"`
	DType  string   `json:"dtype"` // as safetensors call it, such as BF16
	Shape  []uint64 `json:"shape"`
	SHA256 string   `json:"sha256"` // of the elements, row-major and little-endian
}

// Tensors are the tensors of a model, in the order of their names.
type Tensors struct {
	// Digest is the SHA-256 of the list of digests as `tensmith hash --tensors`
	// prints it: a line of the digest, two spaces and the name for each tensor,
	// in the order of names. A name with a backslash or a line end in it has
	// them as \\, \n and \r, and its line a backslash in front. Dtypes and shapes
	// are not in it.
	Digest  string   `json:"digest"`
	Tensors []Tensor `json:"tensors"`
}

// NewTensors makes a statement about tensors and the files that they lie in.
func NewTensors(files []File, tensors []Tensor) (*sign.Statement, error) {
	t := Tensors{Tensors: slices.Clone(tensors)}
	slices.SortFunc(t.Tensors, func(x, y Tensor) int { return strings.Compare(x.Name, y.Name) })
	for i := range t.Tensors {
		if t.Tensors[i].Shape == nil {
			t.Tensors[i].Shape = []uint64{}
		}
	}
	t.Digest = t.listing()
	if err := t.check(); err != nil {
		return nil, err
	}
	predicate, err := marshal(t)
	if err != nil {
		return nil, err
	}
	return &sign.Statement{Subject: subjects(files), PredicateType: TensorsType, Predicate: predicate}, nil
}

// ParseTensors reads a statement of NewTensors.
func ParseTensors(s *sign.Statement) (*Tensors, error) {
	if s.PredicateType != TensorsType {
		return nil, fmt.Errorf("%w: predicateType is %.200q, not %s", ErrMalformed, s.PredicateType, TensorsType)
	}
	var t Tensors
	if err := decode(s.Predicate, &t); err != nil {
		return nil, err
	}
	return &t, t.check()
}

// check finds what is wrong with tensors of a statement.
func (t *Tensors) check() error {
	for i, x := range t.Tensors {
		switch {
		case i > 0 && x.Name <= t.Tensors[i-1].Name:
			return fmt.Errorf("%w: tensor %.200q is out of order, or there twice", ErrMalformed, x.Name)
		case !isSHA256(x.SHA256):
			return fmt.Errorf("%w: tensor %.200q: %.100q is no SHA-256", ErrMalformed, x.Name, x.SHA256)
		}
	}
	if t.Digest != t.listing() {
		return fmt.Errorf("%w: digest is %.100q, but the tensors have %s", ErrMalformed, t.Digest, t.listing())
	}
	return nil
}

// listing is the digest of all.
func (t *Tensors) listing() string {
	h := sha256.New()
	escape := strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`)
	for _, x := range t.Tensors {
		name, mark := escape.Replace(x.Name), ""
		if name != x.Name {
			mark = `\`
		}
		fmt.Fprintf(h, "%s%s  %s\n", mark, x.SHA256, name)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// A Difference is what tensors differ in from those of a statement. Names are
// in order.
type Difference struct {
	Changed []string // other bytes
	Retyped []string // the same bytes as another dtype, or in another shape
	Missing []string
	Extra   []string
	Renamed [][2]string // the same tensor, by another name: of the statement, and found
}

// Empty tells whether the weights are the same.
func (d *Difference) Empty() bool {
	return len(d.Changed)+len(d.Retyped)+len(d.Missing)+len(d.Extra)+len(d.Renamed) == 0
}

// Compare tells in what the tensors that were found differ from t.
func (t *Tensors) Compare(found []Tensor) (d Difference) {
	have := make(map[string]Tensor, len(found))
	for _, x := range found {
		have[x.Name] = x
	}
	var missing []Tensor
	for _, want := range t.Tensors {
		got, ok := have[want.Name]
		delete(have, want.Name)
		switch {
		case !ok:
			missing = append(missing, want)
		case got.SHA256 != want.SHA256:
			d.Changed = append(d.Changed, want.Name)
		case !alike(got, want):
			d.Retyped = append(d.Retyped, want.Name)
		}
	}
	// Of what is left, tensors that are alike were renamed; of several that are
	// alike, in the order of names.
	left := slices.SortedFunc(func(yield func(Tensor) bool) {
		for _, x := range have {
			if !yield(x) {
				return
			}
		}
	}, func(x, y Tensor) int { return strings.Compare(x.Name, y.Name) })
	by := map[string][]int{}
	for i, x := range left {
		by[x.SHA256] = append(by[x.SHA256], i)
	}
	taken := make([]bool, len(left))
	for _, want := range missing {
		queue := by[want.SHA256]
		if len(queue) > 0 && alike(left[queue[0]], want) {
			taken[queue[0]] = true
			by[want.SHA256] = queue[1:]
			d.Renamed = append(d.Renamed, [2]string{want.Name, left[queue[0]].Name})
			continue
		}
		d.Missing = append(d.Missing, want.Name)
	}
	for i, x := range left {
		if !taken[i] {
			d.Extra = append(d.Extra, x.Name)
		}
	}
	return d
}

func alike(x, y Tensor) bool { return x.DType == y.DType && slices.Equal(x.Shape, y.Shape) }

// SameFiles tells whether files are those that a statement is about, whatever
// they are called: all of them, and no others.
func SameFiles(s *sign.Statement, files []File) bool {
	count := map[string]int{}
	for _, f := range s.Subject {
		count[f.Digest["sha256"]]++
	}
	for _, f := range files {
		if count[f.SHA256]--; count[f.SHA256] < 0 || !isSHA256(f.SHA256) {
			return false
		}
	}
	return len(files) == len(s.Subject)
}

// subjects are files as a statement has them, in the order of names.
func subjects(files []File) (list []sign.Subject) {
	for _, f := range files {
		list = append(list, sign.Subject{Name: f.Name, Digest: map[string]string{"sha256": f.SHA256}})
	}
	slices.SortFunc(list, func(x, y sign.Subject) int {
		return cmp.Or(strings.Compare(x.Name, y.Name), strings.Compare(x.Digest["sha256"], y.Digest["sha256"]))
	})
	return list
}

func isSHA256(text string) bool {
	sum, err := hex.DecodeString(text)
	return err == nil && len(sum) == sha256.Size && strings.ToLower(text) == text
}

// marshal is json.Marshal without escapes for HTML.
func marshal(v any) (json.RawMessage, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return json.RawMessage(strings.TrimSuffix(b.String(), "\n")), nil
}
