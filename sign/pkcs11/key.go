//go:build pkcs11

package pkcs11

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/ThalesGroup/crypto11"
)

// A Key is a private key that stays in its token.
type Key struct {
	crypto.Signer
	// Certificate is the one that the token has with the key, or nil.
	Certificate *x509.Certificate

	session *crypto11.Context
}

// Open finds the key of a URI.
func Open(uri string) (*Key, error) {
	u, err := ParseURI(uri)
	if err != nil {
		return nil, err
	}
	config := &crypto11.Config{Path: u.Module, Pin: u.PIN, LoginNotSupported: u.PIN == ""}
	switch { // one names the token
	case u.SlotID != nil:
		config.SlotNumber = u.SlotID
	case u.Serial != "":
		config.TokenSerial = u.Serial
	default:
		config.TokenLabel = u.Token
	}
	session, err := crypto11.Configure(config)
	if err != nil {
		return nil, fmt.Errorf("pkcs11: %s: %w", u.Module, err)
	}
	k := &Key{session: session}
	id, label := u.ID, []byte(u.Object)
	if len(id) == 0 {
		id = nil
	}
	if len(label) == 0 {
		label = nil
	}
	found, err := session.FindKeyPairs(id, label)
	if err == nil && len(found) != 1 {
		// Of two by the same label, which one signs would be chance.
		err = fmt.Errorf("the token has %d key pairs of object %q, id %x: the URI has to name one", len(found), u.Object, u.ID)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("pkcs11: %w", err), session.Close())
	}
	k.Signer = found[0]
	if k.Certificate, err = session.FindCertificate(id, label, nil); err != nil {
		return nil, errors.Join(fmt.Errorf("pkcs11: certificate: %w", err), session.Close())
	}
	return k, nil
}

// Close ends the session with the token.
func (k *Key) Close() error { return k.session.Close() }
