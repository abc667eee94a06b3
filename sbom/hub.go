package sbom

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
)

var (
	hubFolder = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^models--([A-Za-z0-9._-]+?)(?:--([A-Za-z0-9._-]+))?$`)
	})
	hubCommit = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9a-f]{40}$`) })
	hubID     = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+)?$`) })
)

// Hub tells of a path in a cache of the Hugging Face Hub, as in
// models--OWNER--NAME/snapshots/COMMIT/model.safetensors, which repository and
// commit it is of. It goes by the name alone.
func Hub(path string) (repo, commit string, ok bool) {
	parts := strings.Split(filepath.ToSlash(filepath.Clean(path)), "/")
	for i := len(parts) - 3; i >= 0; i-- {
		m := hubFolder().FindStringSubmatch(parts[i])
		if m == nil || parts[i+1] != "snapshots" || !hubCommit().MatchString(parts[i+2]) {
			continue
		}
		if repo = m[1]; m[2] != "" {
			repo += "/" + m[2]
		}
		return repo, parts[i+2], true
	}
	return "", "", false
}

// purl is the package URL of a repository of the Hub. The type's names keep
// their case, and its version is a commit:
// https://github.com/package-url/purl-spec/blob/main/types/huggingface-definition.json
func purl(repo, commit string) string {
	parts := strings.Split(repo, "/")
	for i := range parts {
		parts[i] = escape(parts[i])
	}
	p := "pkg:huggingface/" + strings.Join(parts, "/")
	if commit != "" {
		p += "@" + escape(strings.ToLower(commit))
	}
	return p
}

// escape encodes what may not stand in a package URL as it is.
func escape(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		if c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
