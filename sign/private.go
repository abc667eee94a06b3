package sign

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"fmt"
)

// ParsePrivateKey reads a private key of PEM: PKCS #8 or SEC 1, as it is or
// encrypted (PBES2 with scrypt or PBKDF2, the DEK-Info of OpenSSL before 1.0,
// cosign's). Text around it is allowed. An encrypted key needs its password.
func ParsePrivateKey(data, password []byte) (crypto.Signer, error) {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		var key any
		var err error
		switch block.Type {
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		default:
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("sign: private key: %w: %v", ErrMalformed, err)
		}
		signer, ok := key.(crypto.Signer)
		if !ok {
			return nil, fmt.Errorf("sign: private key: %w: %T does not sign", ErrMalformed, key)
		}
		return signer, nil
	}
	return nil, fmt.Errorf("sign: private key: %w: there is no PEM of one", ErrMalformed)
}
