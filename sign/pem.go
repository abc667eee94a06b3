package sign

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"fmt"
)

// ParsePublicKey reads the first public key of PEM (PKIX, "PUBLIC KEY"). Text
// around it is allowed.
func ParsePublicKey(data []byte) (crypto.PublicKey, error) {
	others := ""
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "PUBLIC KEY" {
			others = fmt.Sprintf(", but one of %.40q: openssl makes it of a private key by pkey -pubout, of a certificate by x509 -pubkey -noout", block.Type)
			continue
		}
		key, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("sign: public key: %w: %v", ErrMalformed, err)
		}
		return key, nil
	}
	return nil, fmt.Errorf("sign: public key: %w: there is no PEM of a PUBLIC KEY%s", ErrMalformed, others)
}

// ParseCertificates reads all certificates of PEM, in their order. Text around
// them is allowed.
func ParseCertificates(data []byte) (all []*x509.Certificate, err error) {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("sign: certificate %d: %w: %v", len(all)+1, ErrMalformed, err)
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("sign: certificates: %w: there is no PEM of a CERTIFICATE", ErrMalformed)
	}
	return all, nil
}
