package sign_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/tensmith/tensmith/sign"
)

// A model is signed, and changed behind its signer's back.
func Example() {
	ctx := context.Background()
	model, err := os.MkdirTemp("", "model")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(model)
	for name, content := range map[string]string{"config.json": "{}", "model.safetensors": "weights"} {
		if err := os.WriteFile(filepath.Join(model, name), []byte(content), 0o600); err != nil {
			log.Fatal(err)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}

	hasher := sign.Hasher{Bundle: filepath.Join(model, "model.sig")}
	made, err := hasher.Hash(ctx, model)
	if err != nil {
		log.Fatal(err)
	}
	payload, err := made.Manifest.Statement().Encode()
	if err != nil {
		log.Fatal(err)
	}
	bundle, err := sign.Key{Signer: key}.Sign(ctx, sign.PayloadType, payload)
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(hasher.Bundle, bundle, 0o600); err != nil {
		log.Fatal(err)
	}

	check := sign.Check{Verifier: sign.KeyVerifier{Key: key.Public()}, Hasher: hasher}
	for range 2 {
		b, err := sign.ReadBundle(hasher.Bundle)
		if err != nil {
			log.Fatal(err)
		}
		verdict, err := check.Model(ctx, model, b)
		fmt.Printf("%s, %d files, good: %t, %q\n", verdict.Signer.Method, len(verdict.Manifest.Resources), err == nil, verdict.Difference.String())
		os.WriteFile(filepath.Join(model, "config.json"), []byte("[]"), 0o600)
	}
	// Output:
	// key, 2 files, good: true, ""
	// key, 2 files, good: false, "changed: config.json"
}
