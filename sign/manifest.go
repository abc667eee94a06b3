package sign

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The methods of a [Serialization].
const (
	Files  = "files"  // one digest a file
	Shards = "shards" // one digest for each piece of ShardSize bytes of a file
)

// A Serialization says how the files of a model were listed and hashed, so
// that a verifier can do the same (§5.2.2 of the specification).
type Serialization struct {
	Method        string // Files or Shards
	HashType      Algorithm
	ShardSize     int64 // bytes; 0 unless the method is Shards
	AllowSymlinks bool
	IgnorePaths   []string // relative to the model, with slashes; each with all below it
}

// A Resource is a file of a model, or a piece of one.
type Resource struct {
	Name      string // path relative to the model, with slashes; of a shard, path:start:end
	Algorithm Algorithm
	Digest    string // lowercase hexadecimal
}

// A Manifest is the list of what a model consists of.
type Manifest struct {
	// Name is the model's, which nothing depends on.
	Name string
	// Resources are in the order that the root digest depends on.
	Resources     []Resource
	Serialization Serialization
	// Reference says that the manifest is in the form of the Python package
	// model_signing (1.1.1), where that is not the specification's: resources are
	// in the order of the parts of their paths, and the algorithm of shards is
	// called sha256-sharded-1000000000. It verifies shards in no other form.
	Reference bool
}

// Root returns the root digest: the SHA-256, whatever the files were hashed
// with, of all digests one after the other in the listed order (§6.5.1).
func (m *Manifest) Root() [sha256.Size]byte {
	h := sha256.New()
	for _, r := range m.Resources {
		sum, err := hex.DecodeString(r.Digest)
		if err != nil {
			// A caller's own; there is no digest that it would pass for.
			sum = []byte(r.Name + "\x00" + r.Digest)
		}
		h.Write(sum)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// Statement returns the statement about the model, which is to be signed.
func (m *Manifest) Statement() *Statement {
	root := m.Root()
	resources := m.Resources
	if m.Reference && m.Serialization.Method == Shards {
		resources = slices.Clone(resources)
		for i := range resources {
			resources[i].Algorithm += Algorithm(m.Serialization.suffix())
		}
	}
	predicate, err := plainJSON(predicateJSON{resources, m.Serialization})
	if err != nil {
		panic(err) // strings and numbers alone
	}
	return &Statement{
		Subject:       []Subject{{Name: m.Name, Digest: map[string]string{"sha256": hex.EncodeToString(root[:])}}},
		PredicateType: PredicateType,
		Predicate:     predicate,
	}
}

// predicateJSON is the predicate as it is written.
type predicateJSON struct {
	Resources     []Resource    `json:"resources"`
	Serialization Serialization `json:"serialization"`
}

// MarshalJSON gives the resource as the specification has it.
func (r Resource) MarshalJSON() ([]byte, error) {
	return plainJSON(struct {
		Name      string    `json:"name"`
		Digest    string    `json:"digest"`
		Algorithm Algorithm `json:"algorithm"`
	}{r.Name, r.Digest, r.Algorithm})
}

// MarshalJSON gives the serialization as the specification has it.
func (s Serialization) MarshalJSON() ([]byte, error) {
	return plainJSON(struct {
		Method        string    `json:"method"`
		HashType      Algorithm `json:"hash_type"`
		ShardSize     int64     `json:"shard_size,omitempty"`
		AllowSymlinks bool      `json:"allow_symlinks"`
		IgnorePaths   []string  `json:"ignore_paths,omitempty"`
	}{s.Method, s.HashType, s.ShardSize, s.AllowSymlinks, s.IgnorePaths})
}

// plainJSON is JSON that keeps <, > and & as they are.
func plainJSON(v any) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), err
}

// sort puts resources in the order of code points, which in UTF-8 is that of
// bytes (§6.4), or in that of the reference.
func (m *Manifest) sort() {
	if !m.Reference {
		slices.SortFunc(m.Resources, func(a, b Resource) int { return strings.Compare(a.Name, b.Name) })
		return
	}
	shards := m.Serialization.Method == Shards
	slices.SortFunc(m.Resources, func(a, b Resource) int {
		x, y := a.place(shards), b.place(shards)
		return cmp.Or(
			slices.Compare(strings.Split(x.name, "/"), strings.Split(y.name, "/")),
			cmp.Compare(x.start, y.start),
			cmp.Compare(x.end, y.end))
	})
}

// A place is what of a model a resource is: a file, or a range of its bytes.
type place struct {
	name       string
	start, end int64
}

// place takes the name of a resource apart. Of a shard's that has no range it
// returns the whole name.
func (r Resource) place(shards bool) place {
	if !shards {
		return place{name: r.Name}
	}
	p, ok := shardPlace(r.Name)
	if !ok {
		return place{name: r.Name}
	}
	return p
}

// shardPlace takes path:start:end apart. The path may have colons (§6.3.2).
func shardPlace(name string) (place, bool) {
	rest, last, ok := cutLast(name)
	if !ok {
		return place{}, false
	}
	file, first, ok := cutLast(rest)
	if !ok {
		return place{}, false
	}
	start, ok1 := decimal(first)
	end, ok2 := decimal(last)
	return place{file, start, end}, ok1 && ok2 && file != "" && start < end
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// decimal reads digits that are the only way to write their number.
func decimal(s string) (int64, bool) {
	n, err := strconv.ParseUint(s, 10, 63)
	return int64(n), err == nil && strconv.FormatUint(n, 10) == s
}

func (p place) shard() string {
	return p.name + ":" + strconv.FormatInt(p.start, 10) + ":" + strconv.FormatInt(p.end, 10)
}

// checkName tells why a name may not stand in a manifest: it is a path in
// canonical form (§6.1.2) that stays in the model on every system.
func checkName(name string) error {
	why := ""
	switch {
	case name == "":
		why = "is empty"
	case !utf8.ValidString(name):
		why = "is not UTF-8"
	case strings.ContainsRune(name, 0):
		why = "has a zero byte"
	case strings.Contains(name, `\`):
		why = "has a backslash, which separates folders on Windows"
	case strings.HasPrefix(name, "/"):
		why = "is absolute"
	case strings.HasSuffix(name, "/"):
		why = "ends in a slash"
	}
	if why == "" {
		for part := range strings.SplitSeq(name, "/") {
			switch part {
			case "..":
				why = "leads out of its folder"
			case ".", "":
				why = "is not in canonical form"
			}
		}
	}
	if why == "" && !filepath.IsLocal(filepath.FromSlash(name)) {
		why = "is none that this system has in a folder"
	}
	if why != "" {
		return fmt.Errorf("name %.200q %s", name, why)
	}
	return nil
}
