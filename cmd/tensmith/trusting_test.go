//go:build !nokeyless

package main

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tufsign "github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// TestVerifyByRepository verifies an identity by a repository of TUF in a
// folder, as an air-gapped site carries one, and then by its cache alone.
func TestVerifyByRepository(t *testing.T) {
	const vectors = "../../sign/keyless/"
	root, err := os.ReadFile(vectors + "publicgood/trusted_root.json")
	if err != nil {
		t.Fatal(err)
	}
	dir, model := t.TempDir(), t.TempDir()
	repository := filepath.Join(dir, "repository")
	publishTUF(t, repository, root)
	for _, name := range []string{"signme-1", "signme-2"} {
		if err := os.WriteFile(filepath.Join(model, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	verify := func(args ...string) (int, verification, string) {
		line := []string{"verify", "--json", "--signature", vectors + "testdata/model-transparency/v1.1.0.sig", "--identity", "stefanb@us.ibm.com",
			"--identity-provider", "https://sigstore.verify.ibm.com/oauth2", "--tuf-cache", filepath.Join(dir, "cache")}
		var out, words bytes.Buffer
		code := run(t.Context(), append(append(line, args...), model), nil, &out, &words)
		var doc verification
		if out.Len() > 0 {
			if err := json.Unmarshal(out.Bytes(), &doc); err != nil {
				t.Fatal(err)
			}
		}
		return code, doc, words.String()
	}
	address := "file://" + filepath.ToSlash(repository)
	if !strings.HasPrefix(filepath.ToSlash(repository), "/") {
		address = "file:///" + filepath.ToSlash(repository) // of Windows
	}
	mirror := []string{"--tuf-mirror", address, "--tuf-root", filepath.Join(repository, "1.root.json")}
	offline := append([]string{"--tuf-offline"}, mirror...)
	if code, _, words := verify(offline...); code != exitTrouble || !strings.Contains(words, "holds nothing of it") {
		t.Errorf("an empty cache: exit status %d, %s", code, words)
	}
	code, doc, words := verify(mirror...)
	if code != exitYes || doc.Trust == nil || doc.Trust.Source != address || doc.Trust.AgeDays == nil || *doc.Trust.AgeDays != 0 {
		t.Fatalf("by the repository: exit status %d, %+v\n%s", code, doc, words)
	}
	if doc.Log == nil || doc.Log.Index != 598151086 {
		t.Errorf("the log is %+v", doc.Log)
	}
	if err := os.Rename(repository, repository+"-gone"); err != nil {
		t.Fatal(err)
	}
	mirror[3] = filepath.Join(repository+"-gone", "1.root.json")
	if code, doc, words := verify(append([]string{"--tuf-offline"}, mirror...)...); code != exitYes || !doc.Verified {
		t.Errorf("by the cache: exit status %d\n%s", code, words)
	}
	if code, _, words := verify(mirror...); code != exitTrouble || !strings.Contains(words, "hint: ") {
		t.Errorf("without a repository: exit status %d, %s", code, words)
	}
}

// publishTUF writes a repository of one target, which one key signs.
func publishTUF(t *testing.T, dir string, trustedRoot []byte) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	key, err := tufsign.LoadSigner(private, crypto.Hash(0))
	must(err)
	known, err := metadata.KeyFromPublicKey(private.Public())
	must(err)
	expiry := time.Now().Add(time.Hour)
	root, targets, snapshot, timestamp := metadata.Root(expiry), metadata.Targets(expiry), metadata.Snapshot(expiry), metadata.Timestamp(expiry)
	for _, role := range metadata.TOP_LEVEL_ROLE_NAMES {
		must(root.Signed.AddKey(known, role))
	}
	file, err := metadata.TargetFile().FromBytes("trusted_root.json", trustedRoot, "sha256")
	must(err)
	targets.Signed.Targets["trusted_root.json"] = file
	must(os.MkdirAll(filepath.Join(dir, "targets"), 0o755))
	for _, sign := range []func() error{
		func() error { _, err := root.Sign(key); return err }, func() error { _, err := targets.Sign(key); return err },
		func() error { _, err := snapshot.Sign(key); return err }, func() error { _, err := timestamp.Sign(key); return err },
	} {
		must(sign())
	}
	must(os.WriteFile(filepath.Join(dir, "targets", fmt.Sprintf("%x.trusted_root.json", sha256.Sum256(trustedRoot))), trustedRoot, 0o644))
	must(root.ToFile(filepath.Join(dir, "1.root.json"), false))
	must(targets.ToFile(filepath.Join(dir, "1.targets.json"), false))
	must(snapshot.ToFile(filepath.Join(dir, "1.snapshot.json"), false))
	must(timestamp.ToFile(filepath.Join(dir, "timestamp.json"), false))
}
