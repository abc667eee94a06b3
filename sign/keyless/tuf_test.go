package keyless_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/tensmith/tensmith/sign"
	"github.com/tensmith/tensmith/sign/keyless"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// publisher writes a repository of TUF, which one key signs.
type publisher struct {
	t      *testing.T
	dir    string
	key    signature.Signer
	root   []byte
	issue  int64
	expiry time.Time // of what follows the root
}

func newPublisher(t *testing.T) *publisher {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := &publisher{t: t, dir: t.TempDir(), expiry: time.Now().Add(24 * time.Hour)}
	if p.key, err = signature.LoadSigner(private, crypto.Hash(0)); err != nil {
		t.Fatal(err)
	}
	known, err := metadata.KeyFromPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	root := metadata.Root(time.Now().Add(48 * time.Hour))
	for _, role := range metadata.TOP_LEVEL_ROLE_NAMES {
		if err := root.Signed.AddKey(known, role); err != nil {
			t.Fatal(err)
		}
	}
	p.root = publish(p, "1.root.json", root)
	return p
}

func publish[T metadata.Roles](p *publisher, name string, m *metadata.Metadata[T]) []byte {
	p.t.Helper()
	if _, err := m.Sign(p.key); err != nil {
		p.t.Fatal(err)
	}
	content, err := m.ToBytes(false)
	if err != nil {
		p.t.Fatal(err)
	}
	p.file(name, content)
	return content
}

func (p *publisher) file(name string, content []byte) {
	p.t.Helper()
	name = filepath.Join(p.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(name, content, 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// targets publishes an issue of the repository with these.
func (p *publisher) targets(files map[string][]byte) {
	p.t.Helper()
	p.issue++
	targets, snapshot, timestamp := metadata.Targets(p.expiry), metadata.Snapshot(p.expiry), metadata.Timestamp(p.expiry)
	for name, content := range files {
		file, err := metadata.TargetFile().FromBytes(name, content, "sha256")
		if err != nil {
			p.t.Fatal(err)
		}
		targets.Signed.Targets[name] = file
		sum := sha256.Sum256(content)
		p.file("targets/"+hex.EncodeToString(sum[:])+"."+name, content)
	}
	targets.Signed.Version, snapshot.Signed.Version, timestamp.Signed.Version = p.issue, p.issue, p.issue
	snapshot.Signed.Meta["targets.json"] = metadata.MetaFile(p.issue)
	timestamp.Signed.Meta["snapshot.json"] = metadata.MetaFile(p.issue)
	publish(p, fmt.Sprintf("%d.targets.json", p.issue), targets)
	publish(p, fmt.Sprintf("%d.snapshot.json", p.issue), snapshot)
	publish(p, "timestamp.json", timestamp)
}

func TestRepository(t *testing.T) {
	i, other := newInstance(t), newInstance(t)
	p := newPublisher(t)
	files := map[string][]byte{
		"trusted_root.json":                  mustJSON(t, i.trustedRoot()),
		"signing_config.v0.2.json":           mustJSON(t, i.trustConfig()["signingConfig"]),
		"signing_config_rekor_v2.v0.2.json":  mustJSON(t, i.trustConfig()["signingConfig"]),
		"something_that_nobody_asks_for.txt": []byte("x"),
	}
	p.targets(files)
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		http.FileServer(http.Dir(p.dir)).ServeHTTP(w, r)
	}))
	defer server.Close()
	cache := t.TempDir()
	r := keyless.Repository{Mirror: server.URL, Root: p.root, Cache: cache}

	good := token(someone, issuer, time.Now().Add(time.Minute))
	verifies := func(t *testing.T, believed *keyless.Trust, by *instance) bool {
		t.Helper()
		signed := signs(t, keyless.Signer{Trust: trust(t, by.trustConfig()), Token: good})
		_, err := keyless.Verifier{Trust: believed, Identities: []keyless.Identity{{Subject: someone, Issuer: issuer}}}.Verify(t.Context(), parse(t, signed))
		if err != nil && !errors.Is(err, sign.ErrSignature) {
			t.Error(err)
		}
		return err == nil
	}
	refused := func(t *testing.T, r keyless.Repository, want, hint string) {
		t.Helper()
		_, err := r.Trust(t.Context())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Fatalf("error %v, want %q", err, want)
		}
		var advised *keyless.Error
		if !errors.As(err, &advised) || !strings.Contains(advised.Hint, hint) {
			t.Errorf("hint of %#v, want %q", advised, hint)
		}
	}

	t.Run("empty cache, offline", func(t *testing.T) {
		offline := r
		offline.Offline = true
		refused(t, offline, "holds nothing of it", "--trusted-root")
	})
	t.Run("first", func(t *testing.T) {
		got, err := r.Trust(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got.Source != server.URL || time.Since(got.AsOf) > time.Minute || !got.CanSign() {
			t.Errorf("%+v", got)
		}
		if !verifies(t, got, i) || verifies(t, got, other) {
			t.Error("it does not believe the instance it is of, or another")
		}
		// It signs, too.
		signs(t, keyless.Signer{Trust: got, Token: good})
		signs(t, keyless.Signer{Trust: got, Token: good, Rekor: 1})
	})
	t.Run("offline", func(t *testing.T) {
		before := asked
		offline := r
		offline.Offline = true
		got, err := offline.Trust(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if age := time.Since(got.AsOf); !verifies(t, got, i) || age < 0 || age > time.Minute {
			t.Errorf("as of %s", got.AsOf)
		}
		if asked != before {
			t.Errorf("%d requests", asked-before)
		}
	})
	t.Run("newer", func(t *testing.T) {
		files["trusted_root.json"] = mustJSON(t, other.trustedRoot())
		p.targets(files)
		got, err := r.Trust(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if verifies(t, got, i) || !verifies(t, got, other) {
			t.Error("it was not refreshed")
		}
	})
	t.Run("a directory", func(t *testing.T) {
		fromDisk := keyless.Repository{Mirror: "file:///" + strings.TrimPrefix(filepath.ToSlash(p.dir), "/"), Root: p.root, Cache: t.TempDir()}
		before := asked
		got, err := fromDisk.Trust(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !verifies(t, got, other) || asked != before {
			t.Errorf("%d requests", asked-before)
		}
	})
	t.Run("older than was seen", func(t *testing.T) {
		p.issue = 0
		p.targets(files)
		refused(t, r, "version", "--trusted-root")
	})
	t.Run("other bytes", func(t *testing.T) {
		p.issue = 2
		p.targets(files)
		sum := sha256.Sum256(files["trusted_root.json"])
		p.file("targets/"+hex.EncodeToString(sum[:])+".trusted_root.json", mustJSON(t, i.trustedRoot()))
		fresh := r
		fresh.Cache = t.TempDir()
		refused(t, fresh, "trusted_root.json", "--trusted-root")
	})
	t.Run("another publisher's", func(t *testing.T) {
		stranger := keyless.Repository{Mirror: server.URL, Root: newPublisher(t).root, Cache: t.TempDir()}
		refused(t, stranger, "", "")
	})
	t.Run("no root to believe", func(t *testing.T) {
		refused(t, keyless.Repository{Mirror: server.URL}, "nothing to believe it by", "root.json")
	})
	t.Run("expired", func(t *testing.T) {
		// It has to be fetched before it expires, for which a busy machine takes its time.
		p.issue = 9
		for within := time.Second; ; within *= 3 {
			p.expiry = time.Now().Add(within)
			p.targets(files)
			_, err := r.Trust(t.Context())
			if err == nil {
				break
			}
			if p.issue++; within > 20*time.Second {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Until(p.expiry) + 1100*time.Millisecond) // TUF counts whole seconds
		refused(t, r, "expired", "clock")
		offline := r
		offline.Offline = true
		refused(t, offline, "not asked", "expired or is not complete")
	})
	t.Run("nobody there", func(t *testing.T) {
		gone := r
		gone.Cache = t.TempDir()
		server.Close()
		refused(t, gone, server.URL, "--trusted-root")
	})
}
