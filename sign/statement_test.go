package sign_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tensmith/tensmith/sign"
)

const (
	digestA = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb" // printf a | sha256sum
	rootA   = "bf5d3affb73efd2ec6c36ad3112dd933efed63c4e1cbffcfa88e2759c144f2d8" // that, xxd -r -p | sha256sum

	goodStatement = `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"m","digest":{"sha256":"` + rootA + `"}}],` +
		`"predicateType":"https://model_signing/signature/v1.0","predicate":{"resources":[{"name":"a","digest":"` + digestA + `","algorithm":"sha256"}],` +
		`"serialization":{"method":"files","hash_type":"sha256","allow_symlinks":false}}}`
)

func manifestOf(payload string) (*sign.Manifest, error) {
	s, err := sign.ParseStatement([]byte(payload))
	if err != nil {
		return nil, err
	}
	return s.Manifest()
}

// TestStatementSchema changes one thing of a good statement. What may stand
// there, and what may not, is the specification's schemas' to say, beyond which
// only names, duplicates and the root digest are held to its text.
func TestStatementSchema(t *testing.T) {
	if _, err := manifestOf(goodStatement); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		old, new string
		ok       bool
	}{
		// Open and closed objects.
		{`{"_type"`, `{"x":1,"_type"`, false},
		{`{"name":"m"`, `{"x":1,"name":"m"`, true},
		{`{"resources"`, `{"x":1,"resources"`, false},
		{`{"name":"a"`, `{"annotations":{"x":[]},"name":"a"`, true},
		{`{"method"`, `{"x":1,"method"`, false},
		// Later minors have added members.
		{`signature/v1.0","predicate":{"resources"`, `signature/v1.1","predicate":{"x":1,"resources"`, true},
		{`signature/v1.0"`, `signature/v1.10"`, true},
		{`signature/v1.0"`, `signature/v1.01"`, false},
		{`signature/v1.0"`, `signature/v1."`, false},
		{`signature/v1.0"`, `signature/v1"`, false},
		{`signature/v1.0"`, `signature/v2.0"`, false},
		{`signature/v1.0"`, `signature/v1.0/"`, false},
		{`https://model_signing/`, `http://model_signing/`, false},
		{`Statement/v1"`, `Statement/v0.1"`, false},
		// What is required, and of which type.
		{`"_type":"https://in-toto.io/Statement/v1",`, ``, false},
		{`"name":"m",`, ``, false},
		{`"name":"m"`, `"name":""`, false},
		{`"name":"m"`, `"name":1`, false},
		{`{"sha256":"` + rootA + `"}`, `{}`, false},
		{`{"sha256":"` + rootA + `"}`, `{"sha256":"` + rootA + `","sha512":"00"}`, true},
		{`{"sha256":"` + rootA + `"}`, `{"sha256":"` + rootA + `","sha512":"XX"}`, false},
		{`{"sha256":"` + rootA + `"}`, `{"sha512":"` + rootA + `"}`, false},
		{rootA, strings.ToUpper(rootA), false},
		{rootA, digestA, false},
		{`"subject":[`, `"subject":[{"name":"n","digest":{"sha256":"` + rootA + `"}},`, false},
		{`,"algorithm":"sha256"`, ``, false},
		{`,"algorithm":"sha256"`, `,"algorithm":"blake3"`, false},
		{`,"algorithm":"sha256"`, `,"algorithm":"SHA256"`, false},
		{`,"algorithm":"sha256"`, `,"algorithm":"md5"`, false},
		{`"hash_type":"sha256"`, `"hash_type":"blake2b"`, false},
		{digestA, digestA + "00", false},
		{digestA, "", false},
		{`"method":"files"`, `"method":"dirs"`, false},
		{`"method":"files"`, `"method":"files","shard_size":5`, false},
		{`"method":"files"`, `"method":"shards"`, false},
		{`"allow_symlinks":false`, `"allow_symlinks":"false"`, false},
		{`"allow_symlinks":false`, `"allow_symlinks":true`, true},
		{`"allow_symlinks":false`, `"allow_symlinks":false,"ignore_paths":[]`, true},
		{`"allow_symlinks":false`, `"allow_symlinks":false,"ignore_paths":["x","y"]`, true},
		{`"allow_symlinks":false`, `"allow_symlinks":false,"ignore_paths":[""]`, false},
		{`"allow_symlinks":false`, `"allow_symlinks":false,"ignore_paths":"x"`, false},
		{`"allow_symlinks":false`, `"allow_symlinks":false,"ignore_paths":null`, false},
		{`"name":"a"`, `"Name":"a"`, false},
		// Two readers must not see two things.
		{`"name":"a"`, `"name":"a","name":"b"`, false},
		{`{"resources"`, `{"serialization":{},"resources"`, false},
		{`"name":"a"`, `"name":"a","n\u0061me":"b"`, false},
		{`}}}`, `}}} {}`, false},
		{`}}}`, `}}}` + "\n", true},
		{`}}}`, `}}`, false},
		{`"name":"m"`, "\"name\":\"\xff\"", false},
	} {
		text := strings.Replace(goodStatement, c.old, c.new, 1)
		if text == goodStatement {
			t.Fatalf("%s is not there", c.old)
		}
		if _, err := manifestOf(text); (err == nil) != c.ok || err != nil && !errors.Is(err, sign.ErrMalformed) {
			t.Errorf("%s for %s: %v", c.new, c.old, err)
		}
	}
	for _, text := range []string{"", "null", "[]", "{}", "1", `"x"`, strings.Repeat("[", 1<<20), strings.Repeat(`{"a":`, 1<<18)} {
		if _, err := manifestOf(text); !errors.Is(err, sign.ErrMalformed) {
			t.Errorf("%.20s: %v", text, err)
		}
	}
}

// TestNames refuses names that lead out of a model, or that another reader
// would take for another file.
func TestNames(t *testing.T) {
	for _, name := range []string{"", "/a", "../a", "a/../b", "a/..", "..", ".", "./a", "a//b", "a/", "a/.", `a\b`, `..\a`, `C:\a`, "a\x00b"} {
		for _, method := range []string{`"method":"files"`, `"method":"shards","shard_size":5`} {
			quoted, err := json.Marshal(name)
			if err != nil {
				t.Fatal(err)
			}
			text := strings.Replace(goodStatement, `"method":"files"`, method, 1)
			if strings.Contains(method, "shards") {
				if name == "." {
					continue // the one file that the model is
				}
				quoted = append(quoted[:len(quoted)-1], `:0:1"`...)
			} else if name == "." {
				continue
			}
			text = strings.Replace(text, `"name":"a"`, `"name":`+string(quoted), 1)
			if _, err := manifestOf(text); !errors.Is(err, sign.ErrMalformed) {
				t.Errorf("%q, %s: %v", name, method, err)
			}
		}
	}
	shards := strings.Replace(goodStatement, `"method":"files"`, `"method":"shards","shard_size":5`, 1)
	for name, ok := range map[string]bool{
		"a:0:5": true, "a:5:7": true, "a:b:0:5": true, "a:0:1:0:5": true,
		"a": false, "a:0": false, "a:0:6": false, "a:1:5": false, "a:5:5": false, "a:5:0": false, ":0:5": false,
		"a:00:5": false, "a:0:05": false, "a:+0:5": false, "a:-5:0": false, "a:0: 5": false,
		"a:0:99999999999999999999": false, "a:18446744073709551615:18446744073709551616": false,
	} {
		_, err := manifestOf(strings.Replace(shards, `"name":"a"`, `"name":"`+name+`"`, 1))
		if (err == nil) != ok {
			t.Errorf("shard %s: %v", name, err)
		}
	}
	both := strings.Replace(goodStatement, `[{"name":"a"`, `[{"name":".","digest":"`+digestA+`","algorithm":"sha256"},{"name":"a"`, 1)
	if _, err := manifestOf(both); !errors.Is(err, sign.ErrMalformed) {
		t.Errorf("a file beside the model: %v", err)
	}
	twice := strings.Replace(goodStatement, `[{"name":"a"`, `[{"name":"a","digest":"`+digestA+`","algorithm":"sha256"},{"name":"a"`, 1)
	if _, err := manifestOf(twice); !errors.Is(err, sign.ErrMalformed) || !strings.Contains(err.Error(), "twice") {
		t.Errorf("a file twice: %v", err)
	}
}

// TestStatementRoundTrip encodes what it has parsed, of any predicate.
func TestStatementRoundTrip(t *testing.T) {
	for _, text := range []string{
		goodStatement,
		strings.Replace(goodStatement, `"method":"files"`, `"method":"files"`, 1),
		`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"x","digest":{"sha256":"00"}},{"name":"y","digest":{"gitCommit":"00"}}],"predicateType":"https://slsa.dev/provenance/v1","predicate":{"b":1,"a":[1.5e300,"<"]}}`,
	} {
		s, err := sign.ParseStatement([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		again, err := s.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(text, string(again)); diff != "" {
			t.Errorf("(-text +again):\n%s", diff)
		}
	}
	other, err := sign.ParseStatement([]byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"00"}}],"predicateType":"https://slsa.dev/provenance/v1","predicate":{}}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Manifest(); !errors.Is(err, sign.ErrMalformed) {
		t.Errorf("another predicate is taken for a model's: %v", err)
	}
}

// goodBundle has no good signature, but the form of one.
const goodBundle = `{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":{"hint":"00"}},` +
	`"dsseEnvelope":{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"AAAA"}]}}`

// TestBundleSchema changes one thing of a good bundle, as TestStatementSchema.
func TestBundleSchema(t *testing.T) {
	if _, err := sign.ParseBundle([]byte(goodBundle)); err != nil {
		t.Fatal(err)
	}
	entry := `"tlogEntries":[{"logIndex":"1","x":1}]`
	for _, c := range []struct {
		old, new string
		ok       bool
	}{
		{`{"mediaType"`, `{"x":1,"mediaType"`, false},
		{`{"publicKey"`, `{"x":1,"publicKey"`, true},
		{`{"hint"`, `{"x":1,"hint"`, true},
		{`{"payload"`, `{"x":1,"payload"`, false},
		{`{"sig"`, `{"x":1,"sig"`, false},
		{`"mediaType"`, `"mediatype"`, false},
		{`.v0.3+json`, `.v0.3.2+json`, true},
		{`.v0.3+json`, `+json;version=0.2`, true},
		{`.v0.3+json`, `.v0.4+json`, false},
		{`.v0.3+json`, `+json;version=9`, false},
		{`.v0.3+json`, `.v0.3`, false},
		{`.v0.3+json`, `.v0.3.x+json`, false},
		{`{"sig":"AAAA"}`, `{"sig":"AAAA","keyid":null}`, true},
		{`{"sig":"AAAA"}`, `{"sig":"AAAA","keyid":""}`, true},
		{`{"sig":"AAAA"}`, `{"sig":"AAAA","keyid":"x"}`, true},
		{`{"sig":"AAAA"}`, `{"sig":"AAAA","keyid":1}`, false},
		{`{"sig":"AAAA"}`, `{"keyid":""}`, false},
		{`{"sig":"AAAA"}`, ``, false},
		{`{"sig":"AAAA"}`, `{"sig":"AAAA"},{"sig":"BBBB"}`, true},
		{`{"sig":"AAAA"}`, `{"sig":"AAAA"},{"sig":""}`, false},
		{`"AAAA"`, `""`, false},
		{`"AAAA"`, `"AAA"`, false},
		{`"AAAA"`, `"AAB="`, false}, // bits that stand for nothing
		{`"AAAA"`, `"AAAA\n"`, false},
		{`"AAAA"`, `"-_-_"`, true},
		{`"AAAA"`, `"-_+/"`, false},
		{`"e30="`, `""`, false},
		{`application/vnd.in-toto+json`, `application/json`, false},
		{`{"hint":"00"}`, `{}`, false},
		{`{"hint":"00"}`, `{"rawBytes":"AAAA"}`, true},
		{`{"hint":"00"}`, `{"hint":1}`, false},
		{`{"hint":"00"}`, `null`, false},
		{`"publicKey":{"hint":"00"}`, ``, false},
		{`"publicKey":{"hint":"00"}`, entry, false},
		{`"publicKey":{"hint":"00"}`, `"publicKey":{"hint":"00"},` + entry, true},
		{`"publicKey":{"hint":"00"}`, `"publicKey":{"hint":"00"},"tlogEntries":[]`, true},
		{`"publicKey":{"hint":"00"}`, `"publicKey":{"hint":"00"},"tlogEntries":{}`, false},
		{`"publicKey":{"hint":"00"}`, `"publicKey":{"hint":"00"},"tlogEntries":[1]`, false},
		{`"publicKey":{"hint":"00"}`, `"publicKey":{"hint":"00"},"tlogEntries":[{"logIndex":1}]`, false},
		{`"publicKey":{"hint":"00"}`, `"publicKey":{"hint":"00"},"tlogEntries":[{"inclusionProof":{"hashes":[1]}}]`, false},
		{`"publicKey":{"hint":"00"}`, `"publicKey":{"hint":"00"},"tlogEntries":[{"inclusionProof":{"checkpoint":{"envelope":1}}}]`, false},
		{`"publicKey":{"hint":"00"}`, `"publicKey":{"hint":"00"},"timestampVerificationData":{"rfc3161Timestamps":[{"signedTimestamp":"AAAA"}]}`, true},
		{`"publicKey":{"hint":"00"}`, `"publicKey":{"hint":"00"},"timestampVerificationData":{"rfc3161Timestamps":[{"signedTimestamp":1}]}`, false},
		{`"publicKey":{"hint":"00"}`, `"publicKey":{"hint":"00"},"certificate":{"rawBytes":"AAAA"}`, false},
		{`"publicKey":{"hint":"00"}`, `"certificate":{"rawBytes":"AAAA"}`, false},
		{`"publicKey":{"hint":"00"}`, `"certificate":{"rawBytes":"AAAA"},"tlogEntries":[]`, false},
		{`"publicKey":{"hint":"00"}`, `"certificate":{"rawBytes":"AAAA"},` + entry, true},
		{`"publicKey":{"hint":"00"}`, `"certificate":{"rawBytes":""},` + entry, false},
		{`"publicKey":{"hint":"00"}`, `"x509CertificateChain":{"certificates":[{"rawBytes":"AAAA","x":1}],"x":1}`, true},
		{`"publicKey":{"hint":"00"}`, `"x509CertificateChain":{"certificates":[]}`, false},
		{`"publicKey":{"hint":"00"}`, `"x509CertificateChain":{"certificates":[` + strings.Repeat(`{"rawBytes":"AAAA"},`, 99) + `{"rawBytes":"AAAA"}]}`, false},
		{`"sig":"AAAA"`, `"sig":"AAAA","sig":"AAAA"`, false},
	} {
		text := strings.Replace(goodBundle, c.old, c.new, 1)
		if text == goodBundle {
			t.Fatalf("%s is not there", c.old)
		}
		if _, err := sign.ParseBundle([]byte(text)); (err == nil) != c.ok || err != nil && !errors.Is(err, sign.ErrMalformed) {
			t.Errorf("%.200s for %s: %v", c.new, c.old, err)
		}
	}
}

// TestMethods does not let one method's bundle pass for another's.
func TestMethods(t *testing.T) {
	for method, material := range map[sign.Method]string{
		sign.MethodKey:         `"publicKey":{"hint":""}`,
		sign.MethodCertificate: `"x509CertificateChain":{"certificates":[{"rawBytes":"AAAA"}]}`,
		sign.MethodSigstore:    `"certificate":{"rawBytes":"AAAA"},"tlogEntries":[{}]`,
	} {
		b := parse(t, []byte(strings.Replace(goodBundle, `"publicKey":{"hint":"00"}`, material, 1)), nil)
		if b.Method != method || string(b.Material) != "{"+material+"}" {
			t.Errorf("%s: %s, %s", method, b.Method, b.Material)
		}
		for _, v := range []sign.Verifier{keyVerifier(t, "p256"), sign.CertificateVerifier{Roots: rootsOf(t, "testdata/keys/root.crt")}} {
			if s, err := v.Verify(t.Context(), b); !errors.Is(err, sign.ErrSignature) && !errors.Is(err, sign.ErrMalformed) {
				t.Errorf("%s by %T: %v, %v", method, v, s, err)
			}
		}
	}
}
