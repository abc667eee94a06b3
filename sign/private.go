package sign

import (
	"cmp"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// ErrPassword is an encrypted private key whose password is missing or wrong.
var ErrPassword = errors.New("password is missing or wrong")

// ParsePrivateKey reads the first private key of PEM: PKCS #8, SEC 1 or PKCS #1,
// as it is or encrypted (PBES2 with PBKDF2 or scrypt and AES or triple DES; the
// DEK-Info of older OpenSSL; cosign's own). Text around it is allowed. An
// encrypted key needs its password, without which the error is [ErrPassword].
func ParsePrivateKey(data, password []byte) (crypto.Signer, error) {
	key, err := parsePrivateKey(data, password)
	if err != nil {
		return nil, fmt.Errorf("sign: private key: %w", err)
	}
	return key, nil
}

func parsePrivateKey(data, password []byte) (crypto.Signer, error) {
	others := ""
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		der, kind := block.Bytes, block.Type
		var err error
		switch kind {
		case "EC PRIVATE KEY", "RSA PRIVATE KEY", "PRIVATE KEY":
			//lint:ignore SA1019 keys are still kept in this form
			if x509.IsEncryptedPEMBlock(block) {
				der, err = decryptDEK(block, password)
			}
		case "ENCRYPTED PRIVATE KEY":
			der, err = decryptPKCS8(der, password)
			kind = "PRIVATE KEY"
		case "ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY":
			der, err = decryptCosign(der, password)
			kind = "PRIVATE KEY"
		default:
			if block.Type != "EC PARAMETERS" {
				others = fmt.Sprintf(", but one of %.40q", block.Type)
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		encrypted := kind != block.Type || len(block.Headers) > 0
		key, err := parseDER(kind, der)
		if err != nil && encrypted {
			// A wrong password is not always found out by what it leaves.
			return nil, fmt.Errorf("%w, or the key is %w", ErrPassword, ErrMalformed)
		}
		if err != nil {
			// The rest is of the structure of DER, and quotes it.
			why, _, _ := strings.Cut(err.Error(), "asn1: ")
			return nil, malformed("%s", cmp.Or(strings.TrimSuffix(why, ": "), "its DER is not that of a key"))
		}
		return key, nil
	}
	return nil, malformed("there is no PEM of one%s", others)
}

func parseDER(kind string, der []byte) (crypto.Signer, error) {
	switch kind {
	case "EC PRIVATE KEY":
		return x509.ParseECPrivateKey(der)
	case "RSA PRIVATE KEY":
		return x509.ParsePKCS1PrivateKey(der)
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a %T does not sign", key)
	}
	return signer, nil
}

// decryptDEK decrypts PEM whose headers say how. Its key derivation is MD5's,
// once: it protects little, but is what the key is kept in.
func decryptDEK(block *pem.Block, password []byte) ([]byte, error) {
	if len(password) == 0 {
		return nil, fmt.Errorf("%w: it is encrypted", ErrPassword)
	}
	//lint:ignore SA1019 keys are still kept in this form
	der, err := x509.DecryptPEMBlock(block, password)
	if errors.Is(err, x509.IncorrectPasswordError) {
		return nil, ErrPassword
	}
	if err != nil {
		return nil, malformed("%v", err)
	}
	return der, nil
}
