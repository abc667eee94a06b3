package sign

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// A Check verifies models.
type Check struct {
	Verifier Verifier
	// Hasher says how to read the model. Its Algorithm and ShardSize are the
	// bundle's; of Links, RefuseLinks, which is zero, is what the bundle allows;
	// names to Ignore are added to the bundle's.
	Hasher Hasher
	// IgnoreUnsigned lets a model have files that were not signed.
	IgnoreUnsigned bool
}

// A Verdict is what a Check has found.
type Verdict struct {
	Signer     *Signer
	Manifest   *Manifest // that was signed
	Found      *Hashed   // what there is
	Difference Difference
}

// Warnings are those of all parts of the verdict.
func (v *Verdict) Warnings() []string {
	all := slices.Clone(v.Signer.Warnings)
	if v.Found != nil {
		all = append(all, v.Found.Warnings...)
	}
	return all
}

// A Difference is what a model differs in from what was signed; names are
// those of resources, in order.
type Difference struct {
	Extra   []string
	Missing []string
	Changed []Change
}

// A Change is a resource that has another digest than was signed.
type Change struct {
	Name          string
	Signed, Found string // hexadecimal
}

// Empty tells whether there is no difference.
func (d *Difference) Empty() bool { return len(d.Extra)+len(d.Missing)+len(d.Changed) == 0 }

// String lists the difference, in a few words a name.
func (d *Difference) String() string {
	var parts []string
	for _, name := range d.Changed {
		parts = append(parts, "changed: "+name.Name)
	}
	for _, name := range d.Missing {
		parts = append(parts, "missing: "+name)
	}
	for _, name := range d.Extra {
		parts = append(parts, "not signed: "+name)
	}
	return few(parts, "; ")
}

// few joins ten of a list, and says how many more there are.
func few(list []string, separator string) string {
	const most = 10
	if more := len(list) - most; more > 0 {
		list = append(list[:most:most], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(list, separator)
}

// Compare tells in what found differs from m, which was signed. The order of
// resources does not matter.
func (m *Manifest) Compare(found *Manifest) Difference {
	var d Difference
	there := make(map[string]Resource, len(found.Resources))
	for _, r := range found.Resources {
		there[r.Name] = r
	}
	for _, want := range m.Resources {
		got, ok := there[want.Name]
		switch {
		case !ok:
			d.Missing = append(d.Missing, want.Name)
		case got.Algorithm != want.Algorithm || got.Digest != want.Digest:
			d.Changed = append(d.Changed, Change{want.Name, want.Digest, got.Digest})
		}
		delete(there, want.Name)
	}
	for name := range there {
		d.Extra = append(d.Extra, name)
	}
	slices.Sort(d.Extra)
	slices.Sort(d.Missing)
	slices.SortFunc(d.Changed, func(a, b Change) int { return strings.Compare(a.Name, b.Name) })
	return d
}

// Model verifies the bundle, and then the model. An error that wraps
// ErrSignature, ErrMalformed or ErrChanged is a negative answer, and all others
// are trouble. Once the signature is good there is a verdict, beside an error,
// too.
func (c Check) Model(ctx context.Context, model string, b *Bundle) (*Verdict, error) {
	switch {
	case c.Verifier == nil:
		return nil, fmt.Errorf("sign: nothing says whom to trust: %w: Verifier is not set", ErrRefused)
	case b == nil:
		return nil, fmt.Errorf("sign: there is no bundle: %w", ErrRefused)
	}
	signer, err := c.Verifier.Verify(ctx, b)
	if err != nil {
		return nil, err
	}
	v := &Verdict{Signer: signer}
	statement, err := b.Statement()
	if err != nil {
		return v, err
	}
	if v.Manifest, err = statement.Manifest(); err != nil {
		return v, err
	}
	if err := c.compare(ctx, model, v); err != nil {
		return v, err
	}
	if !v.Difference.Empty() {
		return v, fmt.Errorf("sign: %s: %w: %s", model, ErrChanged, v.Difference.String())
	}
	return v, nil
}

// compare reads the model as the signed manifest says.
func (c Check) compare(ctx context.Context, model string, v *Verdict) (err error) {
	s := v.Manifest.Serialization
	h := c.Hasher
	h.Algorithm, h.ShardSize, h.Reference = s.HashType, s.ShardSize, v.Manifest.Reference
	if s.AllowSymlinks && h.Links == RefuseLinks {
		h.Links = FollowLinks
	}
	info, err := os.Stat(model)
	if err != nil {
		return err
	}
	ignore, err := h.ignorePaths()
	if err != nil {
		return err
	}
	for _, name := range s.IgnorePaths {
		// One that is not in the model, which model_signing has written, leaves
		// out nothing.
		clean := path.Clean(name)
		if checkName(clean) == nil {
			ignore = append(ignore, clean)
			continue
		}
		v.Signer.Warnings = append(v.Signer.Warnings, fmt.Sprintf("ignore_paths: %.200q is not in the model", name))
	}
	var wanted []string
	for _, r := range v.Manifest.Resources {
		wanted = append(wanted, r.place(s.Method == Shards).name)
	}
	if v.Found, err = h.hash(ctx, model, ignore, wanted, c.IgnoreUnsigned); err != nil {
		return err
	}
	if !info.IsDir() && len(wanted) > 0 && wanted[0] == "." {
		v.Found.Manifest.rename(filepath.Base(model), ".")
	}
	v.Difference = v.Manifest.Compare(v.Found.Manifest)
	return nil
}

// rename gives the one file of a model another name.
func (m *Manifest) rename(from, to string) {
	for i := range m.Resources {
		r := &m.Resources[i]
		p := r.place(m.Serialization.Method == Shards)
		if p.name != from {
			continue
		}
		if p.name = to; m.Serialization.Method == Shards {
			r.Name = p.shard()
		} else {
			r.Name = p.name
		}
	}
}
