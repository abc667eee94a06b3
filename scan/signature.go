package scan

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tensmith/tensmith/sign"
)

// A signatureRule is a [[signature]] of a policy: who has to have signed the
// files of a pattern.
type signatureRule struct {
	Path         string     `toml:"path"`
	Mode         string     `toml:"mode"`
	File         string     `toml:"file"` // name of the signature, model.sig by default
	Keys         []string   `toml:"keys"`
	Hints        []string   `toml:"hints"`
	Certificates []string   `toml:"certificates"`
	Identities   []Identity `toml:"identities"`
}

// An Identity is who may have signed without a key of his own.
type Identity struct {
	Subject string `toml:"identity"` // an address of mail, a URI
	Issuer  string `toml:"issuer"`   // URL of the identity provider
}

func (r signatureRule) check() error {
	switch {
	case r.Path == "":
		return errors.New(`path is missing: "**" is every file`)
	case matchesNothing(r.Path):
		return fmt.Errorf("path is %q, and paths are relative to what is scanned", r.Path)
	case !slices.Contains([]string{"", "enforce", "warn", "off"}, r.Mode):
		return fmt.Errorf("mode is %q, not one of enforce, warn, off", r.Mode)
	case r.File != "" && r.File != path.Base(r.File):
		return fmt.Errorf("file is %q, which is no name", r.File)
	case len(r.Keys)+len(r.Hints)+len(r.Certificates)+len(r.Identities) == 0 && r.Mode != "off":
		return errors.New("neither keys, hints, certificates nor identities say who may sign")
	}
	for _, pattern := range strings.Split(r.Path, "/") {
		if _, err := path.Match(pattern, ""); err != nil {
			return fmt.Errorf("%q is no pattern", pattern)
		}
	}
	for _, h := range r.Hints {
		if len(h) != 64 || strings.Trim(h, "0123456789abcdef") != "" {
			return fmt.Errorf("hint %q is no SHA-256", h)
		}
	}
	for _, id := range r.Identities {
		if id.Subject == "" || id.Issuer == "" {
			return errors.New("an identity has both identity and issuer")
		}
	}
	return nil
}

// SignatureOptions is what [Policy.Signatures] needs besides a report.
type SignatureOptions struct {
	// Dir is the directory on disk that the paths of the report start from;
	// empty if there is none, and so no signature.
	Dir string
	// Keyless returns what verifies the signatures of identities. Without it
	// they verify none: its library is not this package's.
	Keyless func([]Identity) (sign.Verifier, error)
}

// Signatures adds findings about files that the policy wants signed and that are
// not, by whom it wants, as they are. Of several [[signature]] the first that
// matches a file decides. It is called before Apply, and reads what signatures
// are about whole. An error is about the policy's own keys, or the context's.
func (p *Policy) Signatures(ctx context.Context, r *Report, opts SignatureOptions) error {
	if p.Mode == "off" || len(p.signers) == 0 && !p.allSigned {
		return nil
	}
	s := signatureCheck{policy: p, opts: opts, done: map[string]*signed{}, used: map[string]bool{}}
	for i := range r.Files {
		if err := s.file(ctx, &r.Files[i]); err != nil {
			return err
		}
	}
	for i := range r.Files {
		f := &r.Files[i]
		if s.used[f.Path] { // a signature signs no signatures
			f.Findings = slices.DeleteFunc(f.Findings, func(g Finding) bool { return g.ID == "ST530" })
		}
		order(f.Findings)
		f.Verdict = verdict(f.Findings)
		r.Verdict = worse(r.Verdict, f.Verdict)
	}
	return nil
}

type signatureCheck struct {
	policy *Policy
	opts   SignatureOptions
	done   map[string]*signed // by rule and signature
	used   map[string]bool    // paths of signatures
}

// A signed is what came of one signature.
type signed struct {
	files   map[string]bool // that are in it, relative to the model
	changed map[string]bool
	problem string // why none of it counts
}

// file looks for the signature of a file, and at it.
func (s *signatureCheck) file(ctx context.Context, f *File) error {
	rule, by := signatureRule{Mode: "enforce"}, fmt.Sprintf("%s: signatures.required", s.policy.Name)
	number := slices.IndexFunc(s.policy.signers, func(r signatureRule) bool { return matchPath(r.Path, f.Path) })
	switch {
	case number >= 0:
		rule = s.policy.signers[number]
		if rule.Mode == "" {
			rule.Mode = "enforce"
		}
		by = fmt.Sprintf("%s: signature %d (%s)", s.policy.Name, number+1, rule.Mode)
	case !s.policy.allSigned:
		return nil
	}
	if rule.Mode == "off" {
		return nil
	}
	tell := func(id, message string) {
		g := Finding{ID: id, Severity: Dangerous, File: f.Path, Offset: -1, Message: message, Policy: by}
		if rule.Mode == "warn" {
			g.Severity = Note
		}
		f.Findings = append(f.Findings, g)
	}
	if number < 0 {
		tell("ST530", "the policy wants every file signed, and has no [[signature]] for this one that says by whom")
		return nil
	}
	name, model := s.find(f.Path, rule.File)
	if name == "" {
		tell("ST530", "there is no signature: neither "+f.Path+".sig nor "+signatureName(rule.File)+" in its folder or above it")
		return nil
	}
	found, err := s.verify(ctx, number, rule, name, model)
	if err != nil {
		return err
	}
	if found.problem == "" {
		s.used[name] = true
	}
	relative := strings.TrimPrefix(f.Path, model+"/")
	if model == "." {
		relative = f.Path
	}
	switch {
	case found.problem != "":
		tell("ST531", name+": "+found.problem)
	case name == f.Path:
	case found.changed[relative]:
		tell("ST532", "it is not what "+name+" is the signature of")
	case !found.files[relative]:
		tell("ST530", "it is not among the files that "+name+" is the signature of")
	}
	return nil
}

func signatureName(name string) string {
	if name == "" {
		return "model.sig"
	}
	return name
}

// find returns the path of the signature that a file may be in, and of the
// model that it is of: the file's own, or that of the folder or one above.
func (s *signatureCheck) find(file, name string) (signature, model string) {
	if s.opts.Dir == "" {
		return "", ""
	}
	if own := file + ".sig"; s.exists(own) {
		return own, file
	}
	for dir := path.Dir(file); ; dir = path.Dir(dir) {
		if at := path.Join(dir, signatureName(name)); s.exists(at) {
			return at, dir
		}
		if dir == "." || dir == "/" {
			return "", ""
		}
	}
}

func (s *signatureCheck) exists(name string) bool {
	info, err := os.Stat(s.disk(name))
	return err == nil && info.Mode().IsRegular()
}

func (s *signatureCheck) disk(name string) string {
	return filepath.Join(s.opts.Dir, filepath.FromSlash(name))
}

// verify verifies a signature, once for each rule.
func (s *signatureCheck) verify(ctx context.Context, number int, rule signatureRule, name, model string) (*signed, error) {
	key := fmt.Sprint(number, " ", name)
	if found := s.done[key]; found != nil {
		return found, nil
	}
	found := &signed{files: map[string]bool{}, changed: map[string]bool{}}
	s.done[key] = found
	b, err := sign.ReadBundle(s.disk(name))
	if err != nil {
		found.problem = plainly(err)
		return found, nil
	}
	verifiers, err := s.verifiers(rule, b)
	if err != nil {
		return nil, err
	}
	// What is not signed is a finding of the file that is not.
	check := sign.Check{Verifier: verifiers, Hasher: sign.Hasher{Bundle: s.disk(name)}, IgnoreUnsigned: true}
	if sign.InHub(s.disk(model)) {
		check.Hasher.Links = sign.HubLinks
	}
	v, err := check.Model(ctx, s.disk(model), b)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil && (v == nil || v.Found == nil || !errors.Is(err, sign.ErrChanged)):
		found.problem = plainly(err)
		return found, nil
	}
	for _, r := range v.Manifest.Resources {
		found.files[s.resource(v.Manifest, r.Name, model)] = true
	}
	for _, c := range v.Difference.Changed {
		found.changed[s.resource(v.Manifest, c.Name, model)] = true
	}
	for _, gone := range v.Difference.Missing {
		if v.Manifest.Serialization.Method == sign.Shards {
			found.changed[s.resource(v.Manifest, gone, model)] = true // a piece of a file that is shorter now
		}
	}
	for _, more := range v.Difference.Extra {
		found.changed[s.resource(v.Manifest, more, model)] = true // likewise, longer
	}
	return found, nil
}

// resource is the name of the file that a resource is of, relative to what its
// place is reckoned from: of a shard, NAME:START:END.
func (s *signatureCheck) resource(m *sign.Manifest, name, model string) string {
	if m.Serialization.Method == sign.Shards {
		for range 2 {
			if i := strings.LastIndexByte(name, ':'); i >= 0 {
				name = name[:i]
			}
		}
	}
	if info, err := os.Stat(s.disk(model)); err == nil && !info.IsDir() {
		return model // the one file, whatever the signature calls it
	}
	return name
}

func plainly(err error) string { return strings.TrimPrefix(err.Error(), "sign: ") }

// verifiers are what a rule trusts, as far as it is for this kind of signature.
func (s *signatureCheck) verifiers(rule signatureRule, b *sign.Bundle) (anyOf, error) {
	var list anyOf
	read := func(name string) ([]byte, error) {
		if !filepath.IsAbs(name) {
			name = filepath.Join(filepath.Dir(s.policy.Name), filepath.FromSlash(name))
		}
		return os.ReadFile(name)
	}
	for _, name := range rule.Keys {
		text, err := read(name)
		if err != nil {
			return nil, fmt.Errorf("%s: signature: %w", s.policy.Name, err)
		}
		key, err := sign.ParsePublicKey(text)
		if err != nil {
			return nil, fmt.Errorf("%s: signature: %s: %s", s.policy.Name, name, plainly(err))
		}
		list = append(list, sign.KeyVerifier{Key: key})
	}
	if len(rule.Hints) > 0 && len(b.PublicKey) > 0 {
		// Only signatures of before model_signing 1.1 carry their key.
		if key, err := sign.ParsePublicKey(b.PublicKey); err == nil {
			if hint, err := sign.KeyHint(key); err == nil && slices.Contains(rule.Hints, hint) {
				list = append(list, sign.KeyVerifier{Key: key})
			}
		}
	}
	if len(rule.Certificates) > 0 {
		roots := x509.NewCertPool()
		for _, name := range rule.Certificates {
			text, err := read(name)
			if err != nil {
				return nil, fmt.Errorf("%s: signature: %w", s.policy.Name, err)
			}
			certificates, err := sign.ParseCertificates(text)
			if err != nil {
				return nil, fmt.Errorf("%s: signature: %s: %s", s.policy.Name, name, plainly(err))
			}
			for _, c := range certificates {
				roots.AddCert(c)
			}
		}
		list = append(list, sign.CertificateVerifier{Roots: roots})
	}
	if len(rule.Identities) > 0 && s.opts.Keyless != nil {
		v, err := s.opts.Keyless(rule.Identities)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

// anyOf trusts whom any of several verifiers trusts.
type anyOf []sign.Verifier

// Verify implements sign.Verifier.
func (a anyOf) Verify(ctx context.Context, b *sign.Bundle) (*sign.Signer, error) {
	var last error
	for _, v := range a {
		signer, err := v.Verify(ctx, b)
		if err == nil {
			return signer, nil
		}
		last = err
	}
	if len(a) == 1 {
		return nil, last
	}
	return nil, fmt.Errorf("none of those who may sign has: %w", sign.ErrSignature)
}
