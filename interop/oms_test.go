package interop_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tensmith/tensmith/sign"
)

const signData = "../sign/testdata/"

// A signJob is a line for oms_peer.py.
type signJob struct {
	Do             string   `json:"do"`
	Model          string   `json:"model"`
	Signature      string   `json:"signature"`
	Method         string   `json:"method"`
	Key            string   `json:"key,omitempty"`
	Certificate    string   `json:"certificate,omitempty"`
	Chain          []string `json:"chain,omitempty"`
	Algorithm      string   `json:"algorithm,omitempty"`
	ShardSize      int64    `json:"shard_size,omitempty"`
	AllowSymlinks  bool     `json:"allow_symlinks,omitempty"`
	Ignore         []string `json:"ignore,omitempty"`
	IgnoreUnsigned bool     `json:"ignore_unsigned,omitempty"`
}

// modelSigning starts oms_peer.py, and returns what hands it a job: it returns
// why that failed, or "".
func modelSigning(t *testing.T) func(signJob) string {
	t.Helper()
	python := os.Getenv("TENSMITH_PYTHON")
	if python == "" {
		t.Skip("TENSMITH_PYTHON does not name a Python that has the packages of requirements.txt")
	}
	cmd := exec.Command(python, "oms_peer.py")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	return func(j signJob) string {
		t.Helper()
		line, err := json.Marshal(j)
		if err != nil {
			t.Fatal(err)
		}
		in.Write(append(line, '\n'))
		if !lines.Scan() {
			cmd.Wait()
			if strings.Contains(stderr.String(), "no model_signing") {
				t.Skip("the Python that TENSMITH_PYTHON names has no model_signing; see requirements.txt")
			}
			t.Fatalf("oms_peer.py has ended: %s", stderr.String())
		}
		var answer struct{ Error string }
		if err := json.Unmarshal(lines.Bytes(), &answer); err != nil {
			t.Fatal(err)
		}
		return answer.Error
	}
}

// A keeper is a key or a certificate of sign's test data.
type keeper struct {
	method, key, leaf string
}

func (k keeper) job() signJob {
	data, err := filepath.Abs(signData + "keys")
	if err != nil {
		panic(err)
	}
	j := signJob{Method: k.method, Key: filepath.Join(data, k.key+".pem")}
	if k.method == "certificate" {
		j.Certificate, j.Chain = filepath.Join(data, k.leaf+".crt"), []string{filepath.Join(data, "between.crt")}
	}
	return j
}

func (k keeper) verifyJob() signJob {
	j := k.job()
	j.Certificate, j.Key = "", strings.TrimSuffix(j.Key, ".pem")+".pub.pem"
	if k.method == "certificate" {
		j.Key, j.Chain = "", []string{filepath.Join(filepath.Dir(j.Chain[0]), "root.crt")}
	}
	return j
}

func (k keeper) sign(t *testing.T, payload []byte) []byte {
	t.Helper()
	j := k.job()
	key, err := sign.ParsePrivateKey(readAll(t, j.Key), nil)
	if err != nil {
		t.Fatal(err)
	}
	seal := sign.Key{Signer: key}.Sign
	if k.method == "certificate" {
		chain, err := sign.ParseCertificates(append(readAll(t, j.Certificate), readAll(t, j.Chain[0])...))
		if err != nil {
			t.Fatal(err)
		}
		seal = sign.Certificate{Signer: key, Chain: chain}.Sign
	}
	bundle, err := seal(context.Background(), sign.PayloadType, payload)
	if err != nil {
		t.Fatal(err)
	}
	return bundle
}

func (k keeper) verifier(t *testing.T) sign.Verifier {
	t.Helper()
	j := k.verifyJob()
	if k.method == "certificate" {
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(readAll(t, j.Chain[0])) {
			t.Fatal("no root")
		}
		return sign.CertificateVerifier{Roots: roots}
	}
	key, err := sign.ParsePublicKey(readAll(t, j.Key))
	if err != nil {
		t.Fatal(err)
	}
	return sign.KeyVerifier{Key: crypto.PublicKey(key)}
}

func readAll(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func keepers() (all []keeper) {
	for _, curve := range []string{"p256", "p384", "p521"} {
		all = append(all, keeper{"key", curve, ""}, keeper{"certificate", curve, "leaf-" + curve})
	}
	return all
}

// signModel is the model of sign's test data, with what git does not keep.
func signModel(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "model")
	if err := os.CopyFS(dir, os.DirFS(signData+"model")); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{".git/HEAD": "ref", ".gitattributes": "*", "sub/.git/HEAD": "is signed", "a#b/\U0001f600": "😀"} {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestModelSigningVerifies has model_signing verify what we have signed, and
// refuse what was changed then.
func TestModelSigningVerifies(t *testing.T) {
	ask := modelSigning(t)
	model := signModel(t)
	signature := filepath.Join(t.TempDir(), "model.sig")
	for _, c := range []struct {
		name string
		h    sign.Hasher
		by   []keeper
		// refuses is what model_signing 1.1.1 says to what it should verify.
		refuses string
	}{
		{"files", sign.Hasher{}, keepers(), ""},
		{"its order", sign.Hasher{Reference: true}, keepers()[:1], ""},
		{"blake3", sign.Hasher{Algorithm: sign.BLAKE3}, keepers()[:1], ""},
		// It records blake2b, and knows it by the name of blake2 alone.
		{"blake2b", sign.Hasher{Algorithm: sign.BLAKE2b}, keepers()[:1], "ValueError: Unsupported hashing method blake2b"},
		{"ignored", sign.Hasher{Ignore: []string{"a", "empty"}}, keepers()[:1], ""},
		{"shards as it has them", sign.Hasher{ShardSize: 16, Reference: true}, keepers()[:1], ""},
		// It calls their algorithm sha256-sharded-16, the specification sha256.
		{"shards", sign.Hasher{ShardSize: 16}, keepers()[:1], "ValueError: Signature mismatch: [\"Hash mismatch"},
	} {
		for _, k := range c.by {
			made, err := c.h.Hash(t.Context(), model)
			if err != nil {
				t.Fatal(err)
			}
			payload, err := made.Manifest.Statement().Encode()
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(signature, k.sign(t, payload), 0o600); err != nil {
				t.Fatal(err)
			}
			j := k.verifyJob()
			j.Do, j.Model, j.Signature = "verify", model, signature
			if got := ask(j); !strings.HasPrefix(got, c.refuses) || c.refuses == "" && got != "" {
				t.Errorf("%s, %v: model_signing says %q", c.name, k, got)
			}
			p := filepath.Join(model, "weights.bin")
			old := readAll(t, p)
			if err := os.WriteFile(p, bytes.ToUpper(append(old, 'x')), 0o600); err != nil {
				t.Fatal(err)
			}
			if got := ask(j); got == "" {
				t.Errorf("%s, %v: model_signing verifies what was changed", c.name, k)
			}
			if err := os.WriteFile(p, old, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestVerifyModelSigning verifies what model_signing signs, and makes the same
// manifest.
func TestVerifyModelSigning(t *testing.T) {
	ask := modelSigning(t)
	model := signModel(t)
	for i, c := range []struct {
		job signJob
		h   sign.Hasher
	}{
		{signJob{}, sign.Hasher{}},
		{signJob{Algorithm: "blake2"}, sign.Hasher{Algorithm: sign.BLAKE2b}},
		{signJob{Algorithm: "blake3"}, sign.Hasher{Algorithm: sign.BLAKE3}},
		{signJob{ShardSize: 7}, sign.Hasher{ShardSize: 7}},
		{signJob{ShardSize: 1000, Algorithm: "blake2"}, sign.Hasher{Algorithm: sign.BLAKE2b, ShardSize: 1000}},
		{signJob{AllowSymlinks: true}, sign.Hasher{Links: sign.FollowLinks}},
	} {
		by := keepers()
		if i > 0 {
			by = by[:1]
		}
		if c.job.AllowSymlinks {
			if err := os.Symlink("weights.bin", filepath.Join(model, "link")); err != nil {
				t.Fatal(err)
			}
		}
		for _, k := range by {
			j := c.job
			base := k.job()
			j.Do, j.Model, j.Signature = "sign", model, filepath.Join(t.TempDir(), fmt.Sprintf("%d.sig", i))
			j.Method, j.Key, j.Certificate, j.Chain = base.Method, base.Key, base.Certificate, base.Chain
			j.Ignore = []string{filepath.Join(model, "a#b")}
			c.h.Ignore = []string{"a#b"}
			if got := ask(j); got != "" {
				t.Fatalf("%+v: %s", j, got)
			}
			b, err := sign.ReadBundle(j.Signature)
			if err != nil {
				t.Fatal(err)
			}
			v, err := sign.Check{Verifier: k.verifier(t)}.Model(t.Context(), model, b)
			if err != nil {
				t.Errorf("%+v: %v", j, err)
				continue
			}
			c.h.Reference = true
			made, err := c.h.Hash(t.Context(), model)
			if err != nil {
				t.Fatal(err)
			}
			if v.Manifest.Root() != made.Manifest.Root() {
				t.Errorf("%+v: root differs", j)
			}
			if diff := cmp.Diff(v.Manifest.Resources, made.Manifest.Resources); diff != "" {
				t.Errorf("%+v (-theirs +ours):\n%s", j, diff)
			}
			extra := filepath.Join(model, "extra")
			if err := os.WriteFile(extra, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := (sign.Check{Verifier: k.verifier(t)}).Model(t.Context(), model, b); !errors.Is(err, sign.ErrChanged) && c.job.ShardSize == 0 {
				t.Errorf("%+v: an extra file: %v", j, err)
			}
			if err := os.Remove(extra); err != nil {
				t.Fatal(err)
			}
		}
	}
}
