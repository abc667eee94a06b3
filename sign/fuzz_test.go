package sign_test

import (
	"encoding/json"
	"errors"
	"os"
	"path"
	"path/filepath"
	"runtime/metrics"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tensmith/tensmith/sign"
)

// allocated is how many bytes the program has asked for so far.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// FuzzBundle parses anything, in memory in proportion to its size. What is
// accepted is the same after it was written and read again.
func FuzzBundle(f *testing.F) {
	f.Add([]byte(goodBundle))
	all, err := filepath.Glob("testdata/bundles/*.sig")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range all {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		before := allocated()
		b, err := sign.ParseBundle(data)
		if err == nil {
			checkPayload(t, b.Payload)
		}
		// The walk over keys, a copy for each level of objects, base64.
		if used := allocated() - before; used > 1<<20+uint64(200*len(data)) {
			t.Errorf("%d bytes of bundle take %d", len(data), used)
		}
		if err != nil && !errors.Is(err, sign.ErrMalformed) {
			t.Errorf("error of another kind: %v", err)
		}
		checkPayload(t, data)
	})
}

// checkPayload parses a payload, which may be one of a model.
func checkPayload(t *testing.T, payload []byte) {
	s, err := sign.ParseStatement(payload)
	if err != nil {
		if !errors.Is(err, sign.ErrMalformed) {
			t.Errorf("error of another kind: %v", err)
		}
		return
	}
	m, err := s.Manifest()
	if err != nil {
		return
	}
	for _, r := range m.Resources {
		name := r.Name
		if m.Serialization.Method == sign.Shards {
			name = name[:strings.LastIndexByte(name[:strings.LastIndexByte(name, ':')], ':')]
		}
		if !filepath.IsLocal(name) || path.Clean(name) != name || strings.ContainsAny(name, "\\\x00") {
			t.Errorf("name %q", name)
		}
	}
	m.Name += "x"
	again, err := m.Statement().Encode()
	if err != nil {
		t.Fatal(err)
	}
	s, err = sign.ParseStatement(again)
	if err != nil {
		t.Fatalf("%v: %s", err, again)
	}
	got, err := s.Manifest()
	if err != nil {
		t.Fatalf("%v: %s", err, again)
	}
	if diff := cmp.Diff(m, got); diff != "" {
		t.Errorf("(-first +again):\n%s", diff)
	}
}

// FuzzName accepts as a resource's name what is a path in the model, in the
// only way to write it.
func FuzzName(f *testing.F) {
	for _, name := range []string{"a", "a/b", "../a", "/a", "a//b", ".", "a/.", `a\b`, "a:0:5", "\u2028", "CON", "a/..b"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		quoted, err := json.Marshal(name)
		if err != nil {
			t.Fatal(err)
		}
		m, err := manifestOf(strings.Replace(goodStatement, `"name":"a"`, `"name":`+string(quoted), 1))
		if err != nil {
			if !errors.Is(err, sign.ErrMalformed) {
				t.Errorf("%q: %v", name, err)
			}
			return
		}
		got := m.Resources[0].Name
		joined := filepath.Join("/model", filepath.FromSlash(got))
		if got != "." && (joined != "/model/"+got || !filepath.IsLocal(got)) {
			t.Errorf("%q is %s", got, joined)
		}
	})
}

// FuzzPrivateKey parses anything, with bounded time and memory.
func FuzzPrivateKey(f *testing.F) {
	all, err := filepath.Glob("testdata/keys/p256*.pem")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range all {
		if strings.Contains(name, "pbkdf2") || strings.Contains(name, "cosign") {
			continue // slow by intention
		}
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if strings.Contains(string(data), "ENCRYPTED") && len(data) > 4<<10 {
			return
		}
		key, err := sign.ParsePrivateKey(data, nil)
		if (key == nil) == (err == nil) || err != nil && !errors.Is(err, sign.ErrMalformed) && !errors.Is(err, sign.ErrPassword) {
			t.Errorf("%v, %v", key, err)
		}
	})
}
