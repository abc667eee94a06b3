package scan

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tensmith/tensmith/sign"
)

// signer makes a key, and the file of its public one.
func signer(t *testing.T, public string) sign.Key {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	put(t, public, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	return sign.Key{Signer: key}
}

func put(t *testing.T, name string, text []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, text, 0o666); err != nil {
		t.Fatal(err)
	}
}

func signed1(t *testing.T, k sign.Key, h sign.Hasher, model, name string) {
	t.Helper()
	h.Bundle = name
	made, err := h.Hash(t.Context(), model)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := made.Manifest.Statement().Encode()
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := k.Sign(t.Context(), sign.PayloadType, payload)
	if err != nil {
		t.Fatal(err)
	}
	put(t, name, bundle)
}

func TestSignatures(t *testing.T) {
	const rule = "[[signature]]\npath = '**'\nkeys = ['pub.pem']\n"
	for _, test := range []struct {
		name, policy string
		hasher       sign.Hasher
		after        func(t *testing.T, up string) // what happens once it is signed
		want         []string
	}{
		{"signed", rule, sign.Hasher{}, nil, nil},
		{"in pieces", rule, sign.Hasher{ShardSize: 5, Algorithm: sign.BLAKE3}, nil, nil},
		{"changed", rule, sign.Hasher{}, func(t *testing.T, up string) { put(t, up+"/a/x.txt", []byte("other text")) }, []string{"dangerous ST532 a/x.txt"}},
		{"a piece changed", rule, sign.Hasher{ShardSize: 5}, func(t *testing.T, up string) { put(t, up+"/a/x.txt", []byte("hello w0rld")) }, []string{"dangerous ST532 a/x.txt"}},
		{"shorter", rule, sign.Hasher{ShardSize: 5}, func(t *testing.T, up string) { put(t, up+"/a/x.txt", []byte("hello")) }, []string{"dangerous ST532 a/x.txt"}},
		{"longer", rule, sign.Hasher{ShardSize: 5}, func(t *testing.T, up string) { put(t, up+"/a/x.txt", []byte("hello world, and more")) }, []string{"dangerous ST532 a/x.txt"}},
		{"put in", rule, sign.Hasher{}, func(t *testing.T, up string) { put(t, up+"/a/b/new.txt", []byte("new")) }, []string{"dangerous ST530 a/b/new.txt"}},
		{"gone", rule, sign.Hasher{}, func(t *testing.T, up string) { os.Remove(up + "/a/x.txt") }, nil},
		{"left out", rule, sign.Hasher{Ignore: []string{"a/x.txt"}}, nil, []string{"dangerous ST530 a/x.txt"}},
		{"no signature", rule, sign.Hasher{}, func(t *testing.T, up string) { os.Remove(up + "/model.sig") },
			[]string{"dangerous ST530 a/x.txt", "dangerous ST530 y.txt"}},
		{"a signature that is none", rule, sign.Hasher{}, func(t *testing.T, up string) { put(t, up+"/model.sig", []byte("text")) },
			[]string{"dangerous ST531 a/x.txt", "dangerous ST531 model.sig", "dangerous ST531 y.txt"}},
		{"a signature below, of somebody else", rule, sign.Hasher{}, func(t *testing.T, up string) {
			signed1(t, signer(t, filepath.Join(t.TempDir(), "other.pem")), sign.Hasher{}, up+"/a", up+"/a/model.sig")
		}, []string{"dangerous ST531 a/model.sig", "dangerous ST531 a/x.txt"}},
		{"a file's own, of somebody else", rule, sign.Hasher{}, func(t *testing.T, up string) {
			signed1(t, signer(t, filepath.Join(t.TempDir(), "other.pem")), sign.Hasher{}, up+"/y.txt", up+"/y.txt.sig")
		}, []string{"dangerous ST531 y.txt", "dangerous ST530 y.txt.sig"}},
		{"another name", "[[signature]]\npath = '**'\nkeys = ['pub.pem']\nfile = 'oms.sig'\n", sign.Hasher{}, nil,
			[]string{"dangerous ST530 a/x.txt", "dangerous ST530 model.sig", "dangerous ST530 y.txt"}},
		{"warn", rule + "mode = 'warn'\n", sign.Hasher{}, func(t *testing.T, up string) { os.Remove(up + "/model.sig") }, []string{"note ST530 a/x.txt", "note ST530 y.txt"}},
		{"off before", "[[signature]]\npath = 'a/**'\nmode = 'off'\n" + rule, sign.Hasher{}, func(t *testing.T, up string) { os.Remove(up + "/model.sig") }, []string{"dangerous ST530 y.txt"}},
		{"policy off", "mode = 'off'\n" + rule, sign.Hasher{}, func(t *testing.T, up string) { os.Remove(up + "/model.sig") }, nil},
		{"required", "[signatures]\nrequired = true\n[[signature]]\npath = 'a/*'\nkeys = ['pub.pem']\n", sign.Hasher{}, nil,
			[]string{"dangerous ST530 y.txt"}},
		{"identities alone", "[[signature]]\npath = 'y.txt'\nidentities = [{ identity = 'a', issuer = 'b' }]\n", sign.Hasher{}, nil, []string{"dangerous ST531 y.txt"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			up := filepath.Join(dir, "up")
			put(t, up+"/a/x.txt", []byte("hello world"))
			put(t, up+"/y.txt", []byte("y"))
			signed1(t, signer(t, dir+"/pub.pem"), test.hasher, up, up+"/model.sig")
			if test.after != nil {
				test.after(t, up)
			}
			p, err := ParsePolicy(dir+"/p.toml", []byte(test.policy))
			if err != nil {
				t.Fatal(err)
			}
			r, err := Path(t.Context(), os.DirFS(up), ".", Options{})
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Signatures(t.Context(), r, SignatureOptions{Dir: up}); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, d := range p.Apply(r, november) {
				got = append(got, fmt.Sprintf("%s %s %s", d.Finding.Severity, d.Finding.ID, d.Finding.File))
				if d.By == "default" {
					t.Errorf("%s is by default", d.Finding.ID)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			if want := len(test.want) > 0 && test.want[0][:4] != "note"; (r.Verdict == VerdictDangerous) != want {
				t.Errorf("the verdict is %s", r.Verdict)
			}
		})
	}
}
