package sign

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// What an envelope of this package holds, and which statements are about
// models.
const (
	PayloadType   = "application/vnd.in-toto+json"
	PredicateType = "https://model_signing/signature/v1.0"

	statementType     = "https://in-toto.io/Statement/v1"
	predicateFamily   = "https://model_signing/signature/v1."
	predicateOfDigest = "https://model_signing/Digests/v0.1" // of model_signing 0.2.0
)

// A Statement is an in-toto statement of version 1: something that is said of
// its subjects.
type Statement struct {
	Subject       []Subject
	PredicateType string // a URI, which says what Predicate is
	Predicate     json.RawMessage
}

// A Subject is what a statement is about.
type Subject struct {
	Name   string            `json:"name"`
	Digest map[string]string `json:"digest"` // hexadecimal, by algorithm
}

// Encode returns the statement's JSON: the payload to sign.
func (s *Statement) Encode() ([]byte, error) {
	if len(s.Subject) == 0 || s.PredicateType == "" {
		return nil, fmt.Errorf("sign: statement without subject or predicate type: %w", ErrMalformed)
	}
	return plainJSON(struct {
		Type          string          `json:"_type"`
		Subject       []Subject       `json:"subject"`
		PredicateType string          `json:"predicateType"`
		Predicate     json.RawMessage `json:"predicate,omitempty"`
	}{statementType, s.Subject, s.PredicateType, s.Predicate})
}

// ParseStatement reads the payload of an envelope. It may have any predicate;
// [Statement.Manifest] reads that of a model.
func ParseStatement(payload []byte) (*Statement, error) {
	s, err := parseStatement(payload)
	if err != nil {
		return nil, fmt.Errorf("sign: statement: %w", err)
	}
	return s, nil
}

func parseStatement(payload []byte) (*Statement, error) {
	top, err := parseObject(payload)
	if err != nil {
		return nil, err
	}
	if err := top.closed("_type", "subject", "predicateType", "predicate"); err != nil {
		return nil, err
	}
	kind, err := top.text("_type")
	if err != nil {
		return nil, err
	}
	if kind != statementType {
		return nil, malformed("_type is %.100q, not %s", kind, statementType)
	}
	s := &Statement{Predicate: top.members["predicate"]}
	if s.PredicateType, err = top.text("predicateType"); err != nil {
		return nil, err
	}
	subjects, err := top.list("subject")
	if err != nil {
		return nil, err
	}
	if len(subjects) == 0 {
		return nil, malformed("there is no subject")
	}
	for i, raw := range subjects {
		o, err := objectOf(raw, fmt.Sprintf("subject[%d]", i))
		if err != nil {
			return nil, err
		}
		one, err := o.subject()
		if err != nil {
			return nil, err
		}
		s.Subject = append(s.Subject, one)
	}
	return s, nil
}

func (o object) subject() (s Subject, err error) {
	if o.has("name") {
		if s.Name, err = o.text("name"); err != nil {
			return s, err
		}
	}
	digests, err := o.object("digest")
	if err != nil {
		return s, err
	}
	if len(digests.members) == 0 {
		return s, malformed("%s: digest is empty", o.where)
	}
	s.Digest = map[string]string{}
	for _, algorithm := range slices.Sorted(maps.Keys(digests.members)) {
		text, err := digests.text(algorithm)
		if err != nil {
			return s, err
		}
		s.Digest[algorithm] = text
	}
	return s, nil
}

// Manifest returns what the statement says about a model. Everything that the
// specification's schemas demand of statement and predicate is checked, and
// that the root digest is that of the resources.
func (s *Statement) Manifest() (*Manifest, error) {
	m, err := s.manifest()
	if err != nil {
		return nil, fmt.Errorf("sign: statement: %w", err)
	}
	return m, nil
}

func (s *Statement) manifest() (*Manifest, error) {
	if s.PredicateType == predicateOfDigest {
		return s.manifestOfDigests()
	}
	minor, ok := strings.CutPrefix(s.PredicateType, predicateFamily)
	if _, number := decimal(minor); !ok || !number {
		return nil, malformed("predicateType is %.200q, which is not about a model: that would be %s", s.PredicateType, PredicateType)
	}
	if len(s.Subject) != 1 {
		return nil, malformed("%d subjects, where a model is one", len(s.Subject))
	}
	if s.Subject[0].Name == "" {
		return nil, malformed("subject[0]: name is missing")
	}
	m, err := parsePredicate(s.Predicate, minor == "0")
	if err != nil {
		return nil, err
	}
	m.Name = s.Subject[0].Name
	for algorithm, text := range s.Subject[0].Digest {
		if !lowerHex(text) {
			return nil, malformed("subject[0].digest.%s is not lowercase hexadecimal", algorithm)
		}
	}
	if root := m.Root(); s.Subject[0].Digest["sha256"] != fmt.Sprintf("%x", root) {
		return nil, malformed("root digest is sha256 %.100q, but the resources have %x", s.Subject[0].Digest["sha256"], root)
	}
	return m, nil
}

// parsePredicate reads resources and serialization. A predicate of version 1.0
// is closed; later minors may have added members (VERSIONING.md of the
// specification).
func parsePredicate(raw json.RawMessage, closed bool) (*Manifest, error) {
	o, err := objectOf(raw, "predicate")
	if err != nil {
		return nil, err
	}
	if closed {
		if err := o.closed("resources", "serialization"); err != nil {
			return nil, err
		}
	}
	settings, err := o.object("serialization")
	if err != nil {
		return nil, err
	}
	m := new(Manifest)
	if m.Serialization, err = settings.serialization(closed); err != nil {
		return nil, err
	}
	all, err := o.list("resources")
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, malformed("predicate.resources is empty")
	}
	m.Resources = make([]Resource, 0, len(all))
	seen := make(map[string]bool, len(all))
	for i, raw := range all {
		o, err := objectOf(raw, fmt.Sprintf("predicate.resources[%d]", i))
		if err != nil {
			return nil, err
		}
		r, err := o.resource(m)
		if err != nil {
			return nil, err
		}
		if err := m.Serialization.admits(r, len(all) == 1); err != nil {
			return nil, malformed("%s: %v", o.where, err)
		}
		if seen[r.Name] {
			return nil, malformed("%s: name %.200q stands there twice", o.where, r.Name)
		}
		seen[r.Name] = true
		m.Resources = append(m.Resources, r)
	}
	return m, nil
}

func (o object) serialization(closed bool) (s Serialization, err error) {
	if closed {
		if err := o.closed("method", "hash_type", "shard_size", "allow_symlinks", "ignore_paths"); err != nil {
			return s, err
		}
	}
	if s.Method, err = o.text("method"); err != nil {
		return s, err
	}
	name, err := o.text("hash_type")
	if err != nil {
		return s, err
	}
	if s.AllowSymlinks, err = o.boolean("allow_symlinks"); err != nil {
		return s, err
	}
	switch s.Method {
	case Files:
		// The schema lets shard_size stand, the text (§5.2.2) does not.
		if o.has("shard_size") {
			return s, malformed("%s: shard_size is for shards alone", o.where)
		}
	case Shards:
		if s.ShardSize, err = o.positive("shard_size"); err != nil {
			return s, err
		}
	default:
		return s, malformed("%s: method is %.100q, not files or shards", o.where, s.Method)
	}
	if s.HashType, _ = s.algorithm(name); !s.HashType.valid() {
		return s, malformed("%s: hash_type is %.100q, not sha256, blake2b or blake3", o.where, name)
	}
	if !o.has("ignore_paths") {
		return s, nil
	}
	paths, err := o.list("ignore_paths")
	if err != nil {
		return s, err
	}
	for i := range paths {
		text, err := textOf(paths[i], fmt.Sprintf("%s.ignore_paths[%d]", o.where, i))
		if err != nil {
			return s, err
		}
		if text == "" {
			return s, malformed("%s.ignore_paths[%d] is empty", o.where, i)
		}
		s.IgnorePaths = append(s.IgnorePaths, text)
	}
	return s, nil
}

// algorithm reads the name of an algorithm. In shards model_signing writes
// another one, which tells their size, too.
func (s *Serialization) algorithm(name string) (a Algorithm, reference bool) {
	if s.Method == Shards {
		name, reference = strings.CutSuffix(name, s.suffix())
	}
	return Algorithm(name), reference
}

func (s *Serialization) suffix() string { return "-sharded-" + strconv.FormatInt(s.ShardSize, 10) }

func (o object) resource(m *Manifest) (r Resource, err error) {
	if r.Name, err = o.text("name"); err != nil {
		return r, err
	}
	name, err := o.text("algorithm")
	if err != nil {
		return r, err
	}
	if r.Digest, err = o.text("digest"); err != nil {
		return r, err
	}
	var reference bool
	if r.Algorithm, reference = m.Serialization.algorithm(name); !r.Algorithm.valid() {
		return r, malformed("%s: algorithm is %.100q, not sha256, blake2b or blake3", o.where, name)
	}
	if !lowerHex(r.Digest) || len(r.Digest) != 2*r.Algorithm.size() {
		return r, malformed("%s: digest is not %d digits of lowercase hexadecimal", o.where, 2*r.Algorithm.size())
	}
	m.Reference = m.Reference || reference
	return r, nil
}

// admits tells why a resource cannot be one of this serialization.
func (s *Serialization) admits(r Resource, alone bool) error {
	if r.Algorithm != s.HashType {
		return fmt.Errorf("algorithm is %s, but hash_type is %s", r.Algorithm, s.HashType)
	}
	name := r.Name
	if s.Method == Shards {
		p, ok := shardPlace(name)
		if !ok {
			return fmt.Errorf("name %.200q is not that of a shard, path:start:end", name)
		}
		if p.start%s.ShardSize != 0 || p.end-p.start > s.ShardSize {
			return fmt.Errorf("name %.200q is not that of a shard of %d bytes", name, s.ShardSize)
		}
		name = p.name
	}
	if name == "." && alone || name == "." && s.Method == Shards {
		return nil // the one file that the model is, as model_signing has it
	}
	return checkName(name)
}

// manifestOfDigests reads a statement of model_signing 0.2.0, whose files are
// its subjects. It has no root digest, and does not say what was left out.
func (s *Statement) manifestOfDigests() (*Manifest, error) {
	m := &Manifest{Serialization: Serialization{Method: Files, HashType: SHA256}}
	seen := map[string]bool{}
	for i, one := range s.Subject {
		r := Resource{Name: one.Name, Algorithm: SHA256, Digest: one.Digest["sha256"]}
		if !lowerHex(r.Digest) || len(r.Digest) != 2*SHA256.size() {
			return nil, malformed("subject[%d]: there is no sha256 of lowercase hexadecimal", i)
		}
		if err := m.Serialization.admits(r, len(s.Subject) == 1); err != nil {
			return nil, malformed("subject[%d]: %v", i, err)
		}
		if seen[r.Name] {
			return nil, malformed("subject[%d]: name %.200q stands there twice", i, r.Name)
		}
		seen[r.Name] = true
		m.Resources = append(m.Resources, r)
	}
	return m, nil
}

func lowerHex(s string) bool {
	return s != "" && strings.Trim(s, "0123456789abcdef") == ""
}
