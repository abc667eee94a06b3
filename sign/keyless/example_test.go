package keyless_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/tensmith/tensmith/sign"
	"github.com/tensmith/tensmith/sign/keyless"
)

// Who has signed a model, without a network. Whether the model is what was
// signed, sign.Check says, which takes the Verifier.
func ExampleVerifier() {
	bundle, err := sign.ReadBundle("testdata/model-transparency/v1.1.0.sig")
	if err != nil {
		log.Fatal(err)
	}
	verifier := keyless.Verifier{Identities: []keyless.Identity{{
		Subject: "stefanb@us.ibm.com",
		Issuer:  "https://sigstore.verify.ibm.com/oauth2",
	}}}
	signer, err := verifier.Verify(context.Background(), bundle)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(signer.Identity, signer.Time.Format(time.DateOnly), signer.TimeSource)
	// Output: stefanb@us.ibm.com 2025-10-10 rfc3161
}
