//go:build !pkcs11

package main

import (
	"context"
	"crypto"
	"errors"
)

// openHardware fails: PKCS #11 takes a library of C, and this is one static
// program.
func openHardware(context.Context, string) (crypto.Signer, error) {
	return nil, hinted{errors.New("this program was built without PKCS #11"), "build it with cgo: CGO_ENABLED=1 go build -tags pkcs11 ./cmd/tensmith"}
}
