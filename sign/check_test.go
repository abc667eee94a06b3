package sign_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tensmith/tensmith/sign"
)

// TestNothingSet has an error, and no panic, where a field is missing.
func TestNothingSet(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "model")
	write(t, dir, map[string]string{"a": "b"})
	made, err := new(sign.Hasher).Hash(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := sign.ParseBundle(signed(t, made.Manifest))
	if err != nil {
		t.Fatal(err)
	}
	payload, chain := statement(t), certificates(t, "leaf-p256")
	check := func(b *sign.Bundle, v sign.Verifier) error {
		_, err := sign.Check{Verifier: v}.Model(t.Context(), dir, b)
		return err
	}
	_, key := sign.Key{}.Sign(t.Context(), sign.PayloadType, payload)
	_, certificate := sign.Certificate{Chain: chain}.Sign(t.Context(), sign.PayloadType, payload)
	for what, test := range map[string]struct{ got, want error }{
		"Check without Verifier":         {check(bundle, nil), sign.ErrRefused},
		"Check without bundle":           {check(nil, sign.KeyVerifier{}), sign.ErrRefused},
		"KeyVerifier without Key":        {check(bundle, sign.KeyVerifier{}), sign.ErrRefused},
		"bundle without certificates":    {check(&sign.Bundle{Method: sign.MethodCertificate}, sign.CertificateVerifier{}), sign.ErrMalformed},
		"Key without Signer":             {key, sign.ErrRefused},
		"Certificate without its Signer": {certificate, sign.ErrRefused},
	} {
		if !errors.Is(test.got, test.want) {
			t.Errorf("%s: %v", what, test.got)
		}
	}
}

// TestTampering changes every bit of a model, of what its bundle's envelope
// has, and of its list of names; none is left unnoticed.
func TestTampering(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "model")
	files := map[string]string{"a.bin": "0123456789abcdef", "sub/b.txt": "text\n", "c": "\x00"}
	write(t, dir, files)
	for _, h := range []sign.Hasher{{}, {Algorithm: sign.BLAKE3, ShardSize: 5}} {
		made, err := h.Hash(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		bundle := signed(t, made.Manifest)
		if _, err := verify(t, dir, bundle, sign.Hasher{}); err != nil {
			t.Fatal(err)
		}
		for name, content := range files {
			p := filepath.Join(dir, name)
			flips(content, func(changed string) {
				if err := os.WriteFile(p, []byte(changed), 0o600); err != nil {
					t.Fatal(err)
				}
				if v, err := verify(t, dir, bundle, sign.Hasher{}); !errors.Is(err, sign.ErrChanged) || len(v.Difference.Changed) != 1 {
					t.Errorf("%s as %q: %v", name, changed, err)
				}
			})
			if err := os.WriteFile(p, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for name := range files {
			flips(name, func(changed string) {
				to := filepath.Join(dir, changed)
				if strings.ContainsRune(changed, 0) || os.MkdirAll(filepath.Dir(to), 0o777) != nil || os.Rename(filepath.Join(dir, name), to) != nil {
					return // no name that a file has
				}
				if _, err := verify(t, dir, bundle, sign.Hasher{}); !errors.Is(err, sign.ErrChanged) && !errors.Is(err, sign.ErrRefused) {
					t.Errorf("%s called %q: %v", name, changed, err)
				}
				if err := os.Rename(to, filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
				if top, _, ok := strings.Cut(changed, "/"); ok && !strings.HasPrefix(name, top+"/") {
					if err := os.RemoveAll(filepath.Join(dir, top)); err != nil {
						t.Fatal(err)
					}
				}
			})
		}
		if h.ShardSize > 0 {
			continue // the envelope is the same
		}
		b := parse(t, bundle, nil)
		for what, part := range map[string]string{
			"payload":   base64.StdEncoding.EncodeToString(b.Payload),
			"signature": base64.StdEncoding.EncodeToString(b.Signature),
			"hint":      b.KeyHint,
			"type":      sign.PayloadType,
		} {
			if strings.Count(string(bundle), part) != 1 {
				t.Fatalf("%s is not there", what)
			}
			before, after, _ := strings.Cut(string(bundle), part)
			flips(part, func(changed string) {
				if _, err := verify(t, dir, []byte(before+changed+after), sign.Hasher{}); !errors.Is(err, sign.ErrSignature) && !errors.Is(err, sign.ErrMalformed) {
					t.Errorf("%s as %q: %v", what, changed, err)
				}
			})
		}
	}
}

// flips calls f with s, each of its bits changed in turn.
func flips(s string, f func(changed string)) {
	data := []byte(s)
	for i := range data {
		for bit := range 8 {
			data[i] ^= 1 << bit
			f(string(data))
			data[i] ^= 1 << bit
		}
	}
}

// TestDifference names what is extra, missing and changed.
func TestDifference(t *testing.T) {
	dir := copyModel(t)
	made, err := new(sign.Hasher).Hash(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	bundle := signed(t, made.Manifest)
	write(t, dir, map[string]string{"a.txt": "other", "new/x": "", "new/y": ""})
	for _, name := range []string{"README.md", "a/b"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	v, err := verify(t, dir, bundle, sign.Hasher{})
	if !errors.Is(err, sign.ErrChanged) || !strings.Contains(err.Error(), "changed: a.txt; missing: README.md; missing: a/b; not signed: new/x; not signed: new/y") {
		t.Errorf("%v", err)
	}
	want := sign.Difference{
		Extra:   []string{"new/x", "new/y"},
		Missing: []string{"README.md", "a/b"},
		Changed: []sign.Change{{
			Name: "a.txt",
			// printf 'text\n' | sha256sum; printf other | sha256sum
			Signed: "b9e68e1bea3e5b19ca6b2f98b73a54b73daafaa250484902e09982e07a12e733",
			Found:  "d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa",
		}},
	}
	if diff := cmp.Diff(want, v.Difference); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if v.Signer == nil || v.Signer.KeyHint == "" {
		t.Errorf("signer %v", v.Signer)
	}
	// Who ignores what was not signed still sees the rest.
	b := parse(t, bundle, nil)
	c := sign.Check{Verifier: keyVerifier(t, "p256"), IgnoreUnsigned: true}
	if v, err = c.Model(t.Context(), dir, b); !errors.Is(err, sign.ErrChanged) {
		t.Errorf("%v", err)
	}
	want.Extra = nil
	if diff := cmp.Diff(want, v.Difference); diff != "" {
		t.Errorf("unsigned files ignored (-want +got):\n%s", diff)
	}
}

// TestIgnoreUnsigned lets a model have more than was signed, links too, but
// no more of a file that was.
func TestIgnoreUnsigned(t *testing.T) {
	for _, h := range []sign.Hasher{{}, {ShardSize: 10}} {
		dir := copyModel(t)
		made, err := h.Hash(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		b := parse(t, signed(t, made.Manifest), nil)
		write(t, dir, map[string]string{"new/x": "", "link": "->/etc/passwd", "a/link": "->..", "weights.bin:100:110": "0123456789"})
		c := sign.Check{Verifier: keyVerifier(t, "p256"), IgnoreUnsigned: true}
		if v, err := c.Model(t.Context(), dir, b); err != nil || !v.Difference.Empty() {
			t.Errorf("%v", err)
		}
		c.IgnoreUnsigned = false
		if _, err := c.Model(t.Context(), dir, b); !errors.Is(err, sign.ErrRefused) {
			t.Errorf("a link: %v", err)
		}
		c.IgnoreUnsigned = true
		f, err := os.OpenFile(filepath.Join(dir, "weights.bin"), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString("appended in a shard of its own"); err != nil {
			t.Fatal(err)
		}
		f.Close()
		if _, err := c.Model(t.Context(), dir, b); !errors.Is(err, sign.ErrChanged) {
			t.Errorf("appended: %v", err)
		}
		// A signed file that is now a link is not what was signed.
		if err := os.Rename(filepath.Join(dir, "weights.bin"), filepath.Join(dir, "other.bin")); err != nil {
			t.Fatal(err)
		}
		write(t, dir, map[string]string{"weights.bin": "->other.bin"})
		if _, err := c.Model(t.Context(), dir, b); !errors.Is(err, sign.ErrRefused) {
			t.Errorf("linked: %v", err)
		}
	}
}

// TestSignedWinsOverIgnored reads a file that was signed, whatever says to
// ignore it.
func TestSignedWinsOverIgnored(t *testing.T) {
	dir := copyModel(t)
	write(t, dir, map[string]string{".gitattributes": "x", "model.sig": "is to be replaced"})
	made, err := (&sign.Hasher{GitPaths: true, Bundle: filepath.Join(dir, "model.sig")}).Hash(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := made.Manifest.Serialization.IgnorePaths; !cmp.Equal(got, []string{"model.sig"}) {
		t.Errorf("ignored %q", got)
	}
	bundle := signed(t, made.Manifest)
	if _, err := verify(t, dir, bundle, sign.Hasher{}); err != nil {
		t.Error(err)
	}
	write(t, dir, map[string]string{".git/config": "not signed, and nothing of .git was"})
	if _, err := verify(t, dir, bundle, sign.Hasher{}); err != nil {
		t.Error(err)
	}
	write(t, dir, map[string]string{".gitattributes": "y"})
	for _, ignore := range [][]string{nil, {".gitattributes"}} {
		if _, err := verify(t, dir, bundle, sign.Hasher{Ignore: ignore}); !errors.Is(err, sign.ErrChanged) {
			t.Errorf("ignoring %q: %v", ignore, err)
		}
	}
}

// TestSignedGit finds what was added to a folder of git that was signed.
func TestSignedGit(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"a": "a", ".git/HEAD": "x"})
	made, err := (&sign.Hasher{GitPaths: true}).Hash(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	bundle := signed(t, made.Manifest)
	if _, err := verify(t, dir, bundle, sign.Hasher{}); err != nil {
		t.Error(err)
	}
	write(t, dir, map[string]string{".git/hooks/post-checkout": "#!/bin/sh"})
	v, err := verify(t, dir, bundle, sign.Hasher{})
	if !errors.Is(err, sign.ErrChanged) || !cmp.Equal(v.Difference.Extra, []string{".git/hooks/post-checkout"}) {
		t.Errorf("%v", err)
	}
}

// TestTooManyDigests refuses shards so small that their list would be endless,
// before anything is read.
func TestTooManyDigests(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"a": "a", "empty": ""})
	made, err := (&sign.Hasher{ShardSize: 1}).Hash(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"not signed, for shards leave out what is empty: empty"}; !cmp.Equal(made.Warnings, want) {
		t.Errorf("warnings %q", made.Warnings)
	}
	if err := os.Truncate(filepath.Join(dir, "a"), 1<<40); err != nil {
		t.Skip(err)
	}
	if _, err := verify(t, dir, signed(t, made.Manifest), sign.Hasher{}); !errors.Is(err, sign.ErrRefused) || !strings.Contains(err.Error(), "in shards of 1 bytes") {
		t.Errorf("%v", err)
	}
}

// TestManySideBySide has enough large files for the lanes of the kernel, and
// compares them with one worker's.
func TestManySideBySide(t *testing.T) {
	dir := t.TempDir()
	for i := range 9 {
		data := make([]byte, 1<<20+i*300_007)
		for j := range data {
			data[j] = byte(j * (i + 3) >> 3)
		}
		if err := os.WriteFile(filepath.Join(dir, string(rune('a'+i))), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(t, dir, map[string]string{"empty": "", "small": "x"})
	var last, total int64
	calls := 0
	many, err := (&sign.Hasher{Progress: func(done, all int64) {
		if calls++; done < last || all == 0 {
			t.Errorf("progress from %d to %d of %d", last, done, all)
		}
		last, total = done, all
	}}).Hash(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if last != total || total != many.Bytes || calls == 0 {
		t.Errorf("progress ends at %d of %d, %d bytes", last, total, many.Bytes)
	}
	one, err := (&sign.Hasher{Workers: 1}).Hash(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(one, many); diff != "" {
		t.Errorf("(-one +many):\n%s", diff)
	}
	for _, h := range []sign.Hasher{{}, {Workers: 1}} {
		ctx, cancel := context.WithCancel(t.Context())
		h.Progress = func(int64, int64) { cancel() }
		if _, err := h.Hash(ctx, dir); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	}
}

// TestChangedMeanwhile fails where a file grows while it is read.
func TestChangedMeanwhile(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"a": strings.Repeat("a", 3<<20)})
	grown := false
	h := sign.Hasher{Progress: func(int64, int64) {
		if !grown {
			grown = true
			if err := os.WriteFile(filepath.Join(dir, "a"), []byte("short"), 0o600); err != nil {
				t.Error(err)
			}
		}
	}}
	if made, err := h.Hash(t.Context(), dir); err == nil {
		t.Errorf("%+v", made)
	}
	// Or after it was read, while others are; how many are read side by side is
	// up to the processor.
	write(t, dir, map[string]string{"a": "a", "b": strings.Repeat("b", 3<<20)})
	h = sign.Hasher{Workers: 1, Progress: func(done, total int64) {
		if done == total {
			write(t, dir, map[string]string{"a": "A"})
		}
	}}
	if made, err := h.Hash(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "a: it has changed while ") {
		t.Errorf("%+v, %v", made, err)
	}
}

// TestStatement makes the statement of the specification's example of files,
// to the byte.
func TestStatement(t *testing.T) {
	made, err := (&sign.Hasher{Ignore: []string{"model.sig"}}).Hash(t.Context(), "testdata/model/a")
	if err != nil {
		t.Fatal(err)
	}
	payload, err := made.Manifest.Statement().Encode()
	if err != nil {
		t.Fatal(err)
	}
	// The digest: printf 'below a\n' | sha256sum. The root: that, xxd -r -p | sha256sum.
	want := `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"a","digest":{"sha256":"ROOT"}}],` +
		`"predicateType":"https://model_signing/signature/v1.0","predicate":{"resources":[{"name":"b","digest":"DIGEST","algorithm":"sha256"}],` +
		`"serialization":{"method":"files","hash_type":"sha256","allow_symlinks":false,"ignore_paths":[".git",".gitattributes",".github",".gitignore","model.sig"]}}}`
	want = strings.NewReplacer("DIGEST", digestOfB, "ROOT", rootOfB).Replace(want)
	if diff := cmp.Diff(want, string(payload)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !json.Valid(payload) {
		t.Error("not JSON")
	}
}

const (
	digestOfB = "e1e08f12f56fa957c0b83735947a6dafdb1644f44f4ab68aa92f02195c28ed43"
	rootOfB   = "608173e73541c89a07d8ac4746db86e535fa60d89e63db192a868c0d950ae4e8"
)
