//go:build pkcs11

package main

import (
	"context"
	"crypto"

	"github.com/tensmith/tensmith/sign/pkcs11"
)

// openHardware finds a private key in hardware. It is in use until the process
// ends.
func openHardware(_ context.Context, uri string) (crypto.Signer, error) {
	key, err := pkcs11.Open(uri)
	if err != nil {
		return nil, err
	}
	return key.Signer, nil
}
