package scan

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// A Policy is what someone has decided about findings: see [ParsePolicy].
type Policy struct {
	Name string // what decisions call it, such as the name of its file
	// Mode is "enforce" if findings at or over the threshold fail; "warn" if
	// they do not; "off" if the policy changes nothing.
	Mode string
	// FailOn is the threshold, or "" if the policy leaves it to its user.
	FailOn     Severity
	formats    []string
	severities map[string]Severity
	allowances []allowance
	signers    []signatureRule
	allSigned  bool // signatures.required
}

// An allowance is an [[allow]] of a policy.
type allowance struct {
	Path    string         `toml:"path"`
	Names   []string       `toml:"names"`
	IDs     []string       `toml:"ids"`
	Reason  string         `toml:"reason"`
	Expires toml.LocalDate `toml:"expires"`
}

// ParsePolicy reads a policy in TOML:
//
//	mode = "enforce"            # or "warn", "off"
//	fail-on = "suspicious"      # or "dangerous", "note"
//	formats = ["safetensors", "torch-zip"]
//
//	[severity]
//	ST603 = "suspicious"        # or "dangerous", "note", "off"
//
//	[[allow]]
//	path = "legacy/**"          # of files, relative to the place that is scanned
//	names = ["argparse.Namespace", "omegaconf.*"]
//	ids = ["ST351"]
//	reason = "settings of our trainer, reviewed in #123"
//	expires = 2027-01-31        # the last day
//
//	[[signature]]               # of several the first that matches a file
//	path = "models/**"
//	mode = "enforce"            # the default; or "warn", "off"
//	keys = ["release.pem"]      # public keys; relative to the policy
//	hints = ["e3b0c4…"]         # SHA-256 of a key's PEM, where the signature has the key
//	certificates = ["ca.pem"]   # that are trusted
//	identities = [{ identity = "release@example.org", issuer = "https://accounts.google.com" }]
//	file = "model.sig"          # the default; FILE.sig is looked for, too
//
//	[signatures]
//	required = true             # also of files that no [[signature]] matches
//
// Keys that it does not know are errors, as is an allowance without a reason or
// an end. An error says where it is, with line and column where there are such.
func ParsePolicy(name string, text []byte) (*Policy, error) {
	var raw struct {
		Mode       string            `toml:"mode"`
		FailOn     string            `toml:"fail-on"`
		Formats    []string          `toml:"formats"`
		Severity   map[string]string `toml:"severity"`
		Allow      []allowance       `toml:"allow"`
		Signature  []signatureRule   `toml:"signature"`
		Signatures struct {
			Required bool `toml:"required"`
		} `toml:"signatures"`
	}
	const most = 1 << 20
	if len(text) > most {
		return nil, fmt.Errorf("%s: a policy of %d bytes", name, len(text))
	}
	if err := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields().Decode(&raw); err != nil {
		return nil, policyError(name, err)
	}
	p := &Policy{Name: name, Mode: raw.Mode, FailOn: Severity(raw.FailOn), formats: raw.Formats, severities: map[string]Severity{}, allowances: raw.Allow}
	if p.Mode == "" {
		p.Mode = "enforce"
	}
	switch {
	case !slices.Contains([]string{"enforce", "warn", "off"}, p.Mode):
		return nil, fmt.Errorf("%s: mode is %q, not one of enforce, warn, off", name, p.Mode)
	case !slices.Contains([]Severity{"", Dangerous, Suspicious, Note}, p.FailOn):
		return nil, fmt.Errorf("%s: fail-on is %q, not one of dangerous, suspicious, note", name, raw.FailOn)
	}
	p.signers, p.allSigned = raw.Signature, raw.Signatures.Required
	for i, r := range p.signers {
		if err := r.check(); err != nil {
			return nil, fmt.Errorf("%s: signature %d: %w", name, i+1, err)
		}
	}
	for _, pattern := range p.formats {
		if _, err := path.Match(pattern, ""); err != nil {
			return nil, fmt.Errorf("%s: formats: %q is no pattern", name, pattern)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(raw.Severity)) { // of several mistakes always the same is told
		word := raw.Severity[id]
		rule, err := Explain(id)
		if err != nil {
			return nil, fmt.Errorf("%s: severity: %w", name, err)
		}
		if _, twice := p.severities[rule.ID]; twice {
			return nil, fmt.Errorf("%s: severity has %s twice, in letters of either case", name, rule.ID)
		}
		if !slices.Contains([]string{"dangerous", "suspicious", "note", "off"}, word) {
			return nil, fmt.Errorf("%s: severity.%s is %q, not one of dangerous, suspicious, note, off", name, id, word)
		}
		p.severities[rule.ID] = Severity(word)
	}
	for i, a := range p.allowances {
		if err := a.check(); err != nil {
			return nil, fmt.Errorf("%s: allow %d: %w", name, i+1, err)
		}
	}
	return p, nil
}

// policyError puts the place of an error of TOML before it.
func policyError(name string, err error) error {
	if strict, ok := errors.AsType[*toml.StrictMissingError](err); ok && len(strict.Errors) > 0 {
		row, column := strict.Errors[0].Position()
		return fmt.Errorf("%s:%d:%d: there is no setting %q", name, row, column, strings.Join(strict.Errors[0].Key(), "."))
	}
	if e, ok := errors.AsType[*toml.DecodeError](err); ok {
		row, column := e.Position()
		message := strings.TrimPrefix(e.Error(), "toml: ")
		switch key := strings.Join(e.Key(), "."); {
		case strings.HasSuffix(key, "expires") || strings.Contains(message, "dates are expected"):
			message += ": expires is the last day, without quotes or a time, as in 2027-01-31"
			if strings.Contains(message, "cannot decode") {
				message = "expires is the last day, without quotes or a time, as in 2027-01-31"
			}
		case strings.HasPrefix(message, "cannot decode TOML "):
			// What follows are the names of Go's types.
			kind, _, _ := strings.Cut(strings.TrimPrefix(message, "cannot decode TOML "), " into ")
			message = fmt.Sprintf("%s cannot be of the kind %s", key, kind)
		}
		return fmt.Errorf("%s:%d:%d: %s", name, row, column, message)
	}
	return fmt.Errorf("%s: %w", name, err)
}

func (a allowance) check() error {
	switch {
	case strings.TrimSpace(a.Reason) == "":
		return errors.New("a reason is missing")
	case a.Expires == toml.LocalDate{}:
		return errors.New("expires is missing: the last day of the allowance, as in 2027-01-31")
	case a.Path == "":
		return errors.New(`path is missing: "**" is every file`)
	case matchesNothing(a.Path):
		return fmt.Errorf("path is %q, and paths are relative to what is scanned", a.Path)
	case len(a.Names)+len(a.IDs) == 0:
		return errors.New("neither names nor ids say what is allowed")
	}
	for _, pattern := range append(strings.Split(a.Path, "/"), a.Names...) {
		if _, err := path.Match(pattern, ""); err != nil {
			return fmt.Errorf("%q is no pattern", pattern)
		}
	}
	for _, id := range a.IDs {
		if _, err := Explain(id); err != nil {
			return err
		}
	}
	return nil
}

// matchesNothing tells of a pattern that no file can match, so that a rule would
// have no effect and nobody would know: the paths of files are relative to what
// is scanned.
func matchesNothing(pattern string) bool {
	for _, part := range strings.Split(pattern, "/") {
		if part == "" || part == "." || part == ".." {
			return true
		}
	}
	return false
}

// A Decision is what decided the severity of a finding.
type Decision struct {
	Finding Finding // as it is after the decision
	Was     Severity
	By      string // "default", or the part of the policy
	Dropped bool   // the policy turns the rule off
}

// Apply lets the policy decide the severity of all findings of a report, and
// with them its verdicts. The day is the one on which allowances count. It
// returns a decision for every finding, in the order of the report.
//
// A name that is dangerous is allowed by its full name alone, never by a
// pattern. What could not be read stays an error.
func (p *Policy) Apply(r *Report, day time.Time) []Decision {
	var decisions []Decision
	r.Verdict = Clean
	for i := range r.Files {
		f := &r.Files[i]
		if p.Mode != "off" {
			p.format(f)
		}
		var kept, expired []Finding
		for _, finding := range f.Findings {
			d := Decision{Finding: finding, Was: finding.Severity, By: "default"}
			if finding.Policy != "" { // a signature's
				d.Was, d.By = Dangerous, finding.Policy
			}
			if p.Mode != "off" {
				expired = p.decide(f, &d, day, expired)
			}
			decisions = append(decisions, d)
			if !d.Dropped {
				kept = append(kept, d.Finding)
			}
		}
		for _, finding := range expired {
			decisions = append(decisions, Decision{Finding: finding, Was: finding.Severity, By: "default"})
		}
		f.Findings = append(kept, expired...)
		order(f.Findings)
		f.Verdict = verdict(f.Findings)
		r.Verdict = worse(r.Verdict, f.Verdict)
	}
	if len(r.Files) == 0 {
		r.Verdict = VerdictError
	}
	return decisions
}

// decide decides about one finding. Allowances that would have, had they not
// expired, are told once.
func (p *Policy) decide(f *File, d *Decision, day time.Time, expired []Finding) []Finding {
	if d.Finding.Severity == Error {
		return expired
	}
	if severity, ok := p.severities[d.Finding.ID]; ok {
		d.By = fmt.Sprintf("%s: severity.%s", p.Name, d.Finding.ID)
		if severity == "off" {
			d.Dropped = true
			return expired
		}
		d.Finding.Severity, d.Finding.Policy = severity, d.By
	}
	for i, a := range p.allowances {
		if !a.covers(f, d.Finding) {
			continue
		}
		by := fmt.Sprintf("%s: allow %d (%s)", p.Name, i+1, a.Reason)
		if last := a.Expires.AsTime(time.UTC).AddDate(0, 0, 1); !day.Before(last) {
			note := Finding{ID: "ST521", Severity: Note, File: f.Path, Offset: -1, Name: fmt.Sprint("allow ", i+1), Message: fmt.Sprintf("%s has expired on %s and has no effect", by, a.Expires)}
			if !slices.Contains(expired, note) {
				expired = append(expired, note)
			}
			continue
		}
		d.By = by
		d.Finding.Severity, d.Finding.Policy = Note, by
		return expired
	}
	return expired
}

// covers tells whether an allowance is about a finding.
func (a allowance) covers(f *File, finding Finding) bool {
	if !matchPath(a.Path, f.Path) {
		return false
	}
	for _, id := range a.IDs {
		if strings.EqualFold(id, finding.ID) {
			return true
		}
	}
	if finding.ID != "ST301" && finding.ID != "ST302" && finding.ID != "ST303" && finding.ID != "ST304" {
		return false
	}
	for _, pattern := range a.Names {
		if pattern == finding.Name {
			return true
		}
		if ok, _ := path.Match(pattern, finding.Name); ok && finding.ID != "ST301" {
			return true
		}
	}
	return false
}

// plainFormats are those of files that are no models, which a list of formats
// is not about.
var plainFormats = []string{"", "text", "json", "html", "xml", "empty", "link", "git", "script"}

// format tells of a file whose format the policy does not list.
func (p *Policy) format(f *File) {
	if len(p.formats) == 0 || slices.Contains(plainFormats, f.Format) {
		return
	}
	for _, s := range signatures {
		if s.kind == kindMedia && s.format == f.Format {
			return
		}
	}
	for _, pattern := range p.formats {
		if ok, _ := path.Match(pattern, f.Format); ok {
			return
		}
	}
	f.add("ST520", -1, f.Format, fmt.Sprintf("the format %s is none of those that %s allows", f.Format, p.Name))
}

// matchPath matches a path with a pattern in which ** stands for any number of
// folders, and what path.Match has for the rest.
func matchPath(pattern, name string) bool {
	p, n := strings.Split(pattern, "/"), strings.Split(name, "/")
	// can[j] tells whether the patterns so far match the first j elements.
	can := make([]bool, len(n)+1)
	can[0] = true
	for _, part := range p {
		next := make([]bool, len(n)+1)
		for j := range next {
			if part == "**" {
				next[j] = can[j] || j > 0 && next[j-1]
			} else if j > 0 && can[j-1] {
				next[j], _ = path.Match(part, n[j-1])
			}
		}
		can = next
	}
	return can[len(n)]
}
