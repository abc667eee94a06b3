package keyless_test

import (
	"encoding/hex"
	"errors"
	"reflect"
	"strconv"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
	"github.com/tensmith/tensmith/sign"
	"github.com/tensmith/tensmith/sign/keyless"
)

// Bundles of sigstore-go's own instance in memory, which is made by other
// people than [instance].
func TestVirtualSigstore(t *testing.T) {
	virtual, err := ca.NewVirtualSigstore()
	if err != nil {
		t.Fatal(err)
	}
	logs := virtual.RekorLogs()
	for id, log := range logs {
		// It has the hexadecimal form in its place.
		if log.ID, err = hex.DecodeString(id); err != nil {
			t.Fatal(err)
		}
	}
	material, err := root.NewTrustedRoot(root.TrustedRootMediaType01, virtual.FulcioCertificateAuthorities(), nil,
		virtual.TimestampingAuthorities(), logs)
	if err != nil {
		t.Fatal(err)
	}
	const issuer = "https://issuer.example"
	asked := []keyless.Identity{{Subject: someone, Issuer: issuer}}
	believed := keyless.Verifier{Trust: trust(t, material), Identities: asked}
	for _, c := range []struct {
		name   string
		attest func() (*ca.TestEntity, error)
		good   bool
	}{
		{"v1", func() (*ca.TestEntity, error) {
			return virtual.AttestAtTime(someone, issuer, payload, time.Now().Add(time.Minute), true)
		}, true},
		{"v2", func() (*ca.TestEntity, error) {
			return virtual.AttestAtTimeHashedRekordV2(someone, issuer, payload, time.Unix(0, 0))
		}, true},
		{"logged before the certificate", func() (*ca.TestEntity, error) {
			return virtual.AttestAtTime(someone, issuer, payload, time.Now().Add(-time.Minute), true)
		}, false},
		{"logged after the certificate", func() (*ca.TestEntity, error) {
			return virtual.AttestAtTime(someone, issuer, payload, time.Now().Add(11*time.Minute), true)
		}, false},
		{"someone else", func() (*ca.TestEntity, error) {
			return virtual.AttestAtTime("x@example.com", issuer, payload, time.Now().Add(time.Minute), true)
		}, false},
	} {
		entity, err := c.attest()
		if err != nil {
			t.Fatal(err)
		}
		b := parse(t, bundleOf(t, entity))
		got, err := believed.Evidence(t.Context(), b)
		switch {
		case !c.good && !errors.Is(err, sign.ErrSignature):
			t.Errorf("%s: %v", c.name, err)
		case c.good && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.good && (got.Identity != someone || got.Issuer != issuer || got.TimeSource != "rfc3161" || got.Log != "https://rekor.localhost"):
			t.Errorf("%s: %+v", c.name, got)
		}
		if _, err := (keyless.Verifier{Identities: asked}).Verify(t.Context(), b); !errors.Is(err, sign.ErrSignature) {
			t.Errorf("%s: by the public instance: %v", c.name, err)
		}
	}
}

// bundleOf writes the JSON of an entity, which knows no JSON itself.
func bundleOf(t *testing.T, e *ca.TestEntity) []byte {
	t.Helper()
	material, err := e.VerificationContent()
	if err != nil {
		t.Fatal(err)
	}
	signed, err := e.SignatureContent()
	if err != nil {
		t.Fatal(err)
	}
	entries, err := e.TlogEntries()
	if err != nil {
		t.Fatal(err)
	}
	stamps, err := e.Timestamps()
	if err != nil {
		t.Fatal(err)
	}
	entry := entries[0].TransparencyLogEntry()
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	kind := object{"kind": "dsse", "version": "0.0.1"}
	if entry.KindVersion != nil {
		kind = object{"kind": entry.KindVersion.Kind, "version": entry.KindVersion.Version}
	}
	logged := object{
		"logIndex": number(entry.LogIndex), "logId": object{"keyId": entry.LogId.KeyId}, "integratedTime": number(entry.IntegratedTime),
		"kindVersion":       kind,
		"canonicalizedBody": entry.CanonicalizedBody,
		"inclusionProof": object{
			"logIndex": number(entry.InclusionProof.LogIndex), "treeSize": number(entry.InclusionProof.TreeSize),
			"rootHash": entry.InclusionProof.RootHash, "hashes": append([][]byte{}, entry.InclusionProof.Hashes...),
			"checkpoint": object{"envelope": entry.InclusionProof.Checkpoint.Envelope},
		},
	}
	if promise := reflect.ValueOf(entries[0]).Elem().FieldByName("signedEntryTimestamp"); promise.Len() > 0 {
		logged["inclusionPromise"] = object{"signedEntryTimestamp": promise.Bytes()}
	}
	envelope := signed.EnvelopeContent().RawEnvelope()
	return mustJSON(t, object{
		"mediaType": sign.MediaType,
		"verificationMaterial": object{
			"certificate": object{"rawBytes": material.Certificate().Raw},
			"tlogEntries": []any{logged},
			"timestampVerificationData": object{
				"rfc3161Timestamps": []any{object{"signedTimestamp": stamps[0]}}},
		},
		"dsseEnvelope": object{"payload": envelope.Payload, "payloadType": envelope.PayloadType,
			"signatures": []any{object{"sig": envelope.Signatures[0].Sig}}},
	})
}
