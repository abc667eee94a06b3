package keyless_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tensmith/tensmith/sign"
	"github.com/tensmith/tensmith/sign/keyless"
)

// vectors are the keyless signatures of model-transparency's tests. Times and
// indices are those of the log.
var vectors = []struct {
	version string
	time    string
	source  string
	index   int64
}{
	{"v0.3.1", "2025-05-03T01:10:02Z", "rekor", 206342049},
	{"v1.0.0", "2025-05-03T01:34:46Z", "rekor", 206344181},
	{"v1.0.1", "2025-10-07T15:33:48Z", "rekor", 588939812},
	{"v1.1.0", "2025-10-10T02:12:20Z", "rfc3161", 598151086},
}

var stefan = keyless.Identity{Subject: "stefanb@us.ibm.com", Issuer: "https://sigstore.verify.ibm.com/oauth2"}

func vector(t testing.TB, version string) []byte {
	t.Helper()
	content, err := os.ReadFile("testdata/model-transparency/" + version + ".sig")
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestVectors(t *testing.T) {
	for _, c := range vectors {
		v := keyless.Verifier{Identities: []keyless.Identity{stefan}, Now: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)}
		got, err := v.Evidence(t.Context(), parse(t, vector(t, c.version)))
		if err != nil {
			t.Errorf("%s: %v", c.version, err)
			continue
		}
		when, err := time.Parse(time.RFC3339, c.time)
		if err != nil {
			t.Fatal(err)
		}
		public, err := keyless.PublicGood()
		if err != nil {
			t.Fatal(err)
		}
		want := &keyless.Evidence{
			Signer: sign.Signer{
				Method: sign.MethodSigstore, Subject: stefan.Subject, Identity: stefan.Subject, Issuer: stefan.Issuer,
				Time: when, TimeSource: c.source,
			},
			Log: "https://rekor.sigstore.dev", LogIndex: c.index, Logged: when,
			TrustSource: "built in", TrustAsOf: public.AsOf,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.version, diff)
		}
	}
}

func TestIdentities(t *testing.T) {
	b := parse(t, vector(t, "v1.1.0"))
	other := keyless.Identity{Subject: "someone@us.ibm.com", Issuer: stefan.Issuer}
	for _, c := range []struct {
		name string
		ask  []keyless.Identity
		err  string // empty: accepted
	}{
		{"exact", []keyless.Identity{stefan}, ""},
		{"any of two", []keyless.Identity{other, stefan}, ""},
		{"patterns", []keyless.Identity{{SubjectPattern: `.*@us\.ibm\.com`, IssuerPattern: `https://[^/]*\.ibm\.com/.*`}}, ""},
		{"alternatives", []keyless.Identity{{SubjectPattern: `nobody|stefanb@us\.ibm\.com`, Issuer: stefan.Issuer}}, ""},
		{"other subject", []keyless.Identity{other}, "signed by another identity: stefanb@us.ibm.com by https://sigstore.verify.ibm.com/oauth2, asked for someone@us.ibm.com by "},
		{"other issuer", []keyless.Identity{{Subject: stefan.Subject, Issuer: "https://accounts.google.com"}}, "another identity"},
		{"halves of two", []keyless.Identity{{Subject: stefan.Subject, Issuer: "https://a"}, {Subject: "b", Issuer: stefan.Issuer}}, "another identity"},
		{"case", []keyless.Identity{{Subject: "Stefanb@us.ibm.com", Issuer: stefan.Issuer}}, "another identity"},
		{"part of the subject", []keyless.Identity{{SubjectPattern: `us\.ibm\.com`, Issuer: stefan.Issuer}}, "another identity"},
		{"part of an alternative", []keyless.Identity{{SubjectPattern: `stefanb|x`, Issuer: stefan.Issuer}}, "another identity"},
		{"closed group", []keyless.Identity{{SubjectPattern: `a)|(?:.*`, Issuer: stefan.Issuer}}, "error parsing regexp"},
		{"none", nil, "one of them is missing"},
		{"no subject", []keyless.Identity{{Issuer: stefan.Issuer}}, "one of them is missing"},
		{"no issuer", []keyless.Identity{stefan, {Subject: stefan.Subject}}, "one of them is missing"},
	} {
		signer, err := keyless.Verifier{Identities: c.ask}.Verify(t.Context(), b)
		switch {
		case c.err == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.err == "" && signer.Identity != stefan.Subject:
			t.Errorf("%s: signed by %s", c.name, signer.Identity)
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%s: error %v, want %q", c.name, err, c.err)
		case strings.HasPrefix(c.err, "signed") && !(errors.Is(err, keyless.ErrIdentity) && errors.Is(err, sign.ErrSignature)):
			t.Errorf("%s: %v is of another kind", c.name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (keyless.Verifier{Identities: []keyless.Identity{stefan}}).Verify(ctx, b); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// object is JSON that tests change a part of.
type object = map[string]any

func document(t *testing.T, content []byte) (o object) {
	t.Helper()
	if err := json.Unmarshal(content, &o); err != nil {
		t.Fatal(err)
	}
	return o
}

// at follows keys and indices.
func at(t *testing.T, o any, path ...any) object {
	t.Helper()
	for _, step := range path {
		switch step := step.(type) {
		case string:
			o = o.(object)[step]
		case int:
			o = o.([]any)[step]
		}
	}
	return o.(object)
}

// flip changes a bit in the middle of base64.
func flip(t *testing.T, o object, key string) {
	t.Helper()
	content, err := base64.StdEncoding.DecodeString(o[key].(string))
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)/2] ^= 1
	o[key] = base64.StdEncoding.EncodeToString(content)
}

func TestTampered(t *testing.T) {
	public, err := os.ReadFile("publicgood/trusted_root.json")
	if err != nil {
		t.Fatal(err)
	}
	material := func(o object, path ...any) object { return at(t, o, append([]any{"verificationMaterial"}, path...)...) }
	for _, c := range []struct {
		name    string
		version string
		bundle  func(o object)
		root    func(o object)
		err     string
		hint    string
	}{
		{"nothing", "v1.1.0", nil, nil, "", ""},
		{"payload", "v1.1.0", func(o object) {
			e := at(t, o, "dsseEnvelope")
			text, _ := base64.StdEncoding.DecodeString(e["payload"].(string))
			e["payload"] = base64.StdEncoding.EncodeToString(bytes.Replace(text, []byte("signme-1"), []byte("signme-3"), 1))
		}, nil, "payload hash", ""},
		{"signature", "v1.1.0", func(o object) { flip(t, at(t, o, "dsseEnvelope", "signatures", 0), "sig") }, nil, "signature", ""},
		{"certificate", "v1.1.0", func(o object) { flip(t, material(o, "certificate"), "rawBytes") }, nil, "", ""},
		{"signed entry timestamp", "v1.1.0", func(o object) {
			flip(t, material(o, "tlogEntries", 0, "inclusionPromise"), "signedEntryTimestamp")
		}, nil, "not enough verified log entries", ""},
		{"time of the log", "v1.0.1", func(o object) { material(o, "tlogEntries", 0)["integratedTime"] = "1760062341" }, nil, "not enough verified log entries", ""},
		{"index in the log", "v1.1.0", func(o object) { material(o, "tlogEntries", 0)["logIndex"] = "598151087" }, nil, "not enough verified log entries", ""},
		{"body of the entry", "v1.1.0", func(o object) { flip(t, material(o, "tlogEntries", 0), "canonicalizedBody") }, nil, "", ""},
		{"root hash", "v1.1.0", func(o object) { flip(t, material(o, "tlogEntries", 0, "inclusionProof"), "rootHash") }, nil, "inclusion", ""},
		{"hash of the proof", "v1.1.0", func(o object) {
			hashes := material(o, "tlogEntries", 0, "inclusionProof")["hashes"].([]any)
			hashes[0] = hashes[1]
		}, nil, "inclusion", ""},
		{"checkpoint", "v1.1.0", func(o object) {
			c := material(o, "tlogEntries", 0, "inclusionProof", "checkpoint")
			c["envelope"] = strings.Replace(c["envelope"].(string), "476246825", "476246826", 1)
		}, nil, "inclusion", ""},
		{"another log", "v1.1.0", func(o object) { flip(t, material(o, "tlogEntries", 0, "logId"), "keyId") }, nil, "does not know the log", "--trusted-root"},
		{"twice the entry", "v1.1.0", func(o object) {
			all := material(o)["tlogEntries"].([]any)
			material(o)["tlogEntries"] = append(all, all[0])
		}, nil, "duplicate", ""},
		{"no proof", "v1.1.0", func(o object) { delete(material(o, "tlogEntries", 0), "inclusionProof") }, nil, "inclusion proof missing", ""},
		{"no promise and no timestamp", "v1.0.1", func(o object) { delete(material(o, "tlogEntries", 0), "inclusionPromise") }, nil, "timestamps", ""},
		{"timestamp", "v1.1.0", func(o object) {
			flip(t, material(o, "timestampVerificationData", "rfc3161Timestamps", 0), "signedTimestamp")
		}, nil, "1 of the bundle's 1 timestamps are not of an authority", "--trusted-root"},
		{"two signatures", "v1.1.0", func(o object) {
			e := at(t, o, "dsseEnvelope")
			e["signatures"] = append(e["signatures"].([]any), e["signatures"].([]any)[0])
		}, nil, "more than one statement", ""},
		{"entry of another bundle", "v1.0.1", func(o object) {
			other := document(t, vector(t, "v1.0.0"))
			material(o)["tlogEntries"] = material(other)["tlogEntries"]
		}, nil, "does not match", ""},

		{"root without the log", "v1.1.0", nil, func(o object) { o["tlogs"] = o["tlogs"].([]any)[1:] }, "does not know the log c0d23d6ad406973f", "--trusted-root"},
		{"root without the authority", "v1.1.0", nil, func(o object) { o["certificateAuthorities"] = o["certificateAuthorities"].([]any)[:1] }, "leaf certificate", ""},
		{"authority that had ended", "v1.1.0", nil, func(o object) {
			at(t, o, "certificateAuthorities", 1)["validFor"] = object{"start": "2022-04-13T20:06:15Z", "end": "2025-01-01T00:00:00Z"}
		}, "leaf certificate", ""},
		{"log that had ended", "v1.0.1", nil, func(o object) {
			at(t, o, "tlogs", 0, "publicKey")["validFor"] = object{"start": "2021-01-12T11:53:27Z", "end": "2025-01-01T00:00:00Z"}
		}, "log entries", ""},
		{"certificate log that had ended", "v1.1.0", nil, func(o object) {
			at(t, o, "ctlogs", 1, "publicKey")["validFor"] = object{"start": "2022-10-20T00:00:00Z", "end": "2025-01-01T00:00:00Z"}
		}, "signed certificate timestamp", ""},
		{"other key of certificate log", "v1.1.0", nil, func(o object) {
			at(t, o, "ctlogs", 1, "publicKey")["rawBytes"] = at(t, o, "ctlogs", 0, "publicKey")["rawBytes"]
		}, "signed certificate timestamp", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			changed, believed := document(t, vector(t, c.version)), document(t, public)
			if c.bundle != nil {
				c.bundle(changed)
			}
			if c.root != nil {
				c.root(believed)
			}
			content, err := json.Marshal(changed)
			if err != nil {
				t.Fatal(err)
			}
			v := keyless.Verifier{Trust: trust(t, believed), Identities: []keyless.Identity{stefan}}
			_, err = v.Verify(t.Context(), parse(t, content))
			if c.name == "nothing" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Fatalf("error %v, want %q", err, c.err)
			}
			if !errors.Is(err, sign.ErrSignature) && !errors.Is(err, sign.ErrMalformed) {
				t.Errorf("%v is neither of a signature nor malformed", err)
			}
			var advised *keyless.Error
			if errors.As(err, &advised) != (c.hint != "") || advised != nil && !strings.Contains(advised.Hint, c.hint) {
				t.Errorf("hint of %#v, want %q", advised, c.hint)
			}
		})
	}
}

// A trust without the bundle's timestamp authority falls back to the log's
// time and says so.
func TestWarnings(t *testing.T) {
	public, err := os.ReadFile("publicgood/trusted_root.json")
	if err != nil {
		t.Fatal(err)
	}
	b := parse(t, vector(t, "v1.1.0"))
	believed := document(t, public)
	delete(believed, "timestampAuthorities")
	delete(believed, "ctlogs")
	got, err := keyless.Verifier{Trust: trust(t, believed), Identities: []keyless.Identity{stefan}}.Verify(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"the trusted root (instance.json) knows no timestamp authority: the bundle's timestamps were not verified",
		"the trusted root (instance.json) knows no log of certificates: that the certificate was made public was not verified",
	}
	if diff := cmp.Diff(want, got.Warnings); diff != "" || got.TimeSource != "rekor" {
		t.Errorf("time of %s, warnings (-want +got):\n%s", got.TimeSource, diff)
	}

	old, err := keyless.PublicGood()
	if err != nil {
		t.Fatal(err)
	}
	old.AsOf = time.Date(2026, 11, 5, 0, 0, 0, 0, time.UTC)
	for days, want := range map[int][]string{
		180: nil,
		200: {"the trusted root (built in) is of 2026-11-05, 200 days ago: it knows of no key added or withdrawn since"},
	} {
		got, err := keyless.Verifier{Trust: old, Identities: []keyless.Identity{stefan}, Now: old.AsOf.AddDate(0, 0, days)}.Verify(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got.Warnings); diff != "" {
			t.Errorf("after %d days (-want +got):\n%s", days, diff)
		}
	}
}

// A change of a bit is refused, or changes nothing that is reported: nobody
// signs the kind of an entry beside its body, the name of who has signed a
// checkpoint of Rekor v1 beside the key, the list of algorithms at the head of
// a timestamp, and what is left over of the last character of base64.
func TestEveryByte(t *testing.T) {
	content := vector(t, "v1.1.0")
	v := keyless.Verifier{Identities: []keyless.Identity{stefan}, Now: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)}
	want, err := v.Evidence(t.Context(), parse(t, content))
	if err != nil {
		t.Fatal(err)
	}
	payload := parse(t, content).Payload
	// A prime, so that all bits have their turn. All bytes take 20 s: 8069 are
	// refused, and 52 without consequence.
	stride := 23
	if os.Getenv("TENSMITH_EVERY_BYTE") != "" {
		stride = 1
	}
	refused, same := 0, 0
	for n := 0; n < len(content); n += stride {
		changed := bytes.Clone(content)
		changed[n] ^= 1 << (n % 7)
		b, err := sign.ParseBundle(changed)
		if err != nil {
			refused++
			continue
		}
		got, err := v.Evidence(t.Context(), b)
		if err != nil {
			refused++
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" || !bytes.Equal(payload, b.Payload) {
			t.Fatalf("byte %d, %q: accepted, with\n%s", n, content[max(0, n-20):n+1], diff)
		}
		same++
	}
	t.Logf("%d refused, %d without consequence", refused, same)
	if refused < same {
		t.Error("most changes are accepted")
	}
}

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	content, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func FuzzVerify(f *testing.F) {
	for _, c := range vectors {
		f.Add(vector(f, c.version))
	}
	trust, err := keyless.PublicGood() // to read it takes as long as to verify
	if err != nil {
		f.Fatal(err)
	}
	v := keyless.Verifier{Trust: trust, Identities: []keyless.Identity{stefan}}
	known := map[string]bool{}
	for _, c := range vectors {
		b, err := sign.ParseBundle(vector(f, c.version))
		if err != nil {
			f.Fatal(err)
		}
		known[string(b.Payload)] = true
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		b, err := sign.ParseBundle(content)
		if err != nil {
			return
		}
		// Nobody here has stefan's key: what is accepted is what he has signed.
		if s, err := v.Verify(t.Context(), b); err == nil && (!known[string(b.Payload)] || s.Identity != stefan.Subject) {
			t.Errorf("%s is accepted, of %+v", b.Payload, s)
		} else if err != nil && b.Method == sign.MethodSigstore && !errors.Is(err, sign.ErrSignature) && !errors.Is(err, sign.ErrMalformed) {
			t.Errorf("%v is neither of a signature nor malformed", err)
		}
	})
}
