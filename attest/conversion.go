package attest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tensmith/tensmith/convert"
	"github.com/tensmith/tensmith/sign"
)

// The types of the statement of a Conversion.
const (
	ProvenanceType = "https://slsa.dev/provenance/v1"
	// BuildType says what the parameters of a conversion are: those of
	// externalParameters are the address of the source, its format, the root
	// that was taken of it, and the arguments of the command; internalParameters
	// have the version of the program.
	BuildType = "https://github.com/tensmith/tensmith/attest/convert/v1"

	builderID = "https://github.com/tensmith/tensmith/cmd/tensmith"
)

// A Conversion is what a model was converted from, and how.
type Conversion struct {
	Source    string          // what the user called it
	URI       string          // where it comes from, such as a package URL; may be empty
	Commit    string          // of the repository there; may be empty
	Arguments []string        // of the command, without secrets
	Version   string          // of the program
	Inputs    []File          // that were read
	Outputs   []File          // that were written: the subjects
	Started   time.Time       // zero if it is not to be told
	Finished  time.Time       // likewise
	Report    *convert.Report // with its tensors' digests
}

// The predicate, as far as conversions have it.
type (
	provenance struct {
		Definition definition `json:"buildDefinition"`
		Run        run        `json:"runDetails"`
	}
	definition struct {
		Type         string     `json:"buildType"`
		External     external   `json:"externalParameters"`
		Internal     internal   `json:"internalParameters"`
		Dependencies []resource `json:"resolvedDependencies"`
	}
	external struct {
		Source    string   `json:"source"`
		Format    string   `json:"format"`
		Root      string   `json:"root,omitempty"`
		Arguments []string `json:"arguments"`
	}
	internal struct {
		Version string `json:"version"`
	}
	resource struct {
		URI         string            `json:"uri,omitempty"`
		Name        string            `json:"name,omitempty"`
		Digest      map[string]string `json:"digest,omitempty"`
		Annotations json.RawMessage   `json:"annotations,omitempty"`
	}
	run struct {
		Builder    builder    `json:"builder"`
		Metadata   *metadata  `json:"metadata,omitempty"`
		Byproducts []resource `json:"byproducts"`
	}
	builder struct {
		ID      string            `json:"id"`
		Version map[string]string `json:"version,omitempty"`
	}
	metadata struct {
		Started  string `json:"startedOn,omitempty"`
		Finished string `json:"finishedOn,omitempty"`
	}
)

// The annotations of the byproducts "tensors" and "scan".
type (
	// tensorClaims say of each tensor what it was and what it is.
	tensorClaims struct {
		Lossless bool          `json:"lossless"`
		Why      []string      `json:"why"`
		Verified bool          `json:"verified"` // input and output were read again
		Tensors  []tensorClaim `json:"tensors"`
	}
	tensorClaim struct {
		Tensor
		From   string `json:"from,omitempty"` // dtype before, if it was cast
		Before string `json:"sha256_before"`  // digest before
	}
	scanClaims struct {
		Verdict  string            `json:"verdict"`
		Findings []convert.Finding `json:"findings"`
	}
)

// Statement makes the statement. The report must have digests.
func (c *Conversion) Statement() (*sign.Statement, error) {
	r := c.Report
	claims := tensorClaims{Lossless: r.Lossless, Why: r.Why, Verified: r.Verified, Tensors: []tensorClaim{}}
	for _, t := range r.Tensors {
		claims.Tensors = append(claims.Tensors, tensorClaim{Tensor{t.Name, t.DType, t.Shape, t.After}, t.From, t.Before})
	}
	slices.SortFunc(claims.Tensors, func(x, y tensorClaim) int { return strings.Compare(x.Name, y.Name) })
	after := claims.after()
	if err := after.check(); err != nil {
		return nil, err
	}
	tensors, err := marshal(claims)
	if err != nil {
		return nil, err
	}
	scanned, err := marshal(scanClaims{r.Verdict, r.Findings})
	if err != nil {
		return nil, err
	}
	p := provenance{
		Definition: definition{
			Type:     BuildType,
			External: external{c.Source, r.Format, r.Root, c.Arguments},
			Internal: internal{c.Version},
		},
		Run: run{
			Builder: builder{builderID, map[string]string{"tensmith": c.Version}},
			Byproducts: []resource{
				{Name: "tensors", Digest: map[string]string{"sha256": after.Digest}, Annotations: tensors},
				{Name: "scan", Annotations: scanned},
			},
		},
	}
	if c.URI != "" {
		d := resource{URI: c.URI}
		if c.Commit != "" {
			d.Digest = map[string]string{"gitCommit": c.Commit}
		}
		p.Definition.Dependencies = append(p.Definition.Dependencies, d)
	}
	for _, s := range subjects(c.Inputs) {
		p.Definition.Dependencies = append(p.Definition.Dependencies, resource{Name: s.Name, Digest: s.Digest})
	}
	if !c.Started.IsZero() || !c.Finished.IsZero() {
		p.Run.Metadata = &metadata{stamp(c.Started), stamp(c.Finished)}
	}
	predicate, err := marshal(p)
	if err != nil {
		return nil, err
	}
	return &sign.Statement{Subject: subjects(c.Outputs), PredicateType: ProvenanceType, Predicate: predicate}, nil
}

// stamp is a time as SLSA has it.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// after are the tensors of the output.
func (c *tensorClaims) after() *Tensors {
	t := &Tensors{Tensors: []Tensor{}}
	for _, x := range c.Tensors {
		if x.Shape == nil {
			x.Shape = []uint64{}
		}
		t.Tensors = append(t.Tensors, x.Tensor)
	}
	t.Digest = t.listing()
	return t
}

// An Origin is what a statement of a Conversion says, as far as one that has
// the model asks.
type Origin struct {
	Source   string
	URI      string
	Format   string
	Inputs   []File
	Version  string // of the program
	Verdict  string // of the scan
	Lossless bool
	Tensors  *Tensors // of the output
	Before   []Tensor // the same as they were in the source, by name
}

// ParseConversion reads the statement of a Conversion.
func ParseConversion(s *sign.Statement) (*Origin, error) {
	if s.PredicateType != ProvenanceType {
		return nil, fmt.Errorf("%w: predicateType is %.200q, not %s", ErrMalformed, s.PredicateType, ProvenanceType)
	}
	var p provenance
	if err := decode(s.Predicate, &p); err != nil {
		return nil, err
	}
	if p.Definition.Type != BuildType {
		return nil, fmt.Errorf("%w: buildType is %.200q, not %s: it is of something else", ErrMalformed, p.Definition.Type, BuildType)
	}
	o := &Origin{Source: p.Definition.External.Source, Format: p.Definition.External.Format, Version: p.Definition.Internal.Version}
	for _, d := range p.Definition.Dependencies {
		if d.URI != "" {
			o.URI = d.URI
		}
		if d.Name != "" {
			o.Inputs = append(o.Inputs, File{d.Name, d.Digest["sha256"]})
		}
	}
	for _, b := range p.Run.Byproducts {
		switch b.Name {
		case "tensors":
			if o.Tensors != nil {
				return nil, fmt.Errorf("%w: byproduct tensors is there twice", ErrMalformed)
			}
			var claims tensorClaims
			if err := json.Unmarshal(b.Annotations, &claims); err != nil {
				return nil, fmt.Errorf("%w: byproduct tensors: %w", ErrMalformed, err)
			}
			o.Lossless, o.Tensors = claims.Lossless, claims.after()
			if o.Tensors.Digest != b.Digest["sha256"] {
				return nil, fmt.Errorf("%w: byproduct tensors: its digest is not that of the tensors", ErrMalformed)
			}
			for _, t := range claims.Tensors {
				before := t.Tensor
				if before.SHA256 = t.Before; t.From != "" {
					before.DType = t.From
				}
				o.Before = append(o.Before, before)
			}
		case "scan":
			var claims scanClaims
			if err := json.Unmarshal(b.Annotations, &claims); err != nil {
				return nil, fmt.Errorf("%w: byproduct scan: %w", ErrMalformed, err)
			}
			o.Verdict = claims.Verdict
		}
	}
	if o.Tensors == nil {
		return nil, fmt.Errorf("%w: there is no byproduct tensors", ErrMalformed)
	}
	return o, o.Tensors.check()
}
