package sign

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"hash"

	"golang.org/x/crypto/nacl/secretbox"
	"golang.org/x/crypto/scrypt"
)

// What a file may ask of us before its password is known to be right.
const (
	maxIterations = 20_000_000 // of PBKDF2
	maxScrypt     = 1 << 30    // bytes
)

// The identifiers of PKCS #5 (RFC 8018) and scrypt (RFC 7914).
var (
	oidPBES2  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidScrypt = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11591, 4, 11}
)

// prfs are the hashes of PBKDF2's HMAC, and ciphers what the key is encrypted
// with, in CBC.
var (
	prfs = map[string]func() hash.Hash{
		"1.2.840.113549.2.7":  sha1.New,
		"1.2.840.113549.2.8":  sha256.New224,
		"1.2.840.113549.2.9":  sha256.New,
		"1.2.840.113549.2.10": sha512.New384,
		"1.2.840.113549.2.11": sha512.New,
		"1.2.840.113549.2.12": sha512.New512_224,
		"1.2.840.113549.2.13": sha512.New512_256,
	}
	ciphers = map[string]struct {
		key int // bytes
		new func(key []byte) (cipher.Block, error)
	}{
		"2.16.840.1.101.3.4.1.2":  {16, aes.NewCipher},
		"2.16.840.1.101.3.4.1.22": {24, aes.NewCipher},
		"2.16.840.1.101.3.4.1.42": {32, aes.NewCipher},
		"1.2.840.113549.3.7":      {24, des.NewTripleDESCipher},
	}
)

// unmarshal reads DER that has to be all of v.
func unmarshal(der []byte, v any) error {
	rest, err := asn1.Unmarshal(der, v)
	if err != nil || len(rest) > 0 {
		return malformed("its encryption is not as PKCS #5 has it")
	}
	return nil
}

// decryptPKCS8 decrypts an EncryptedPrivateKeyInfo (RFC 5958).
func decryptPKCS8(der, password []byte) ([]byte, error) {
	if len(password) == 0 {
		return nil, fmt.Errorf("%w: it is encrypted", ErrPassword)
	}
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}
	if err := unmarshal(der, &info); err != nil {
		return nil, err
	}
	if !info.Algorithm.Algorithm.Equal(oidPBES2) {
		return nil, malformed("encrypted with %s, where PBES2 is known: openssl pkcs8 -topk8 -v2 aes256 converts it", info.Algorithm.Algorithm)
	}
	var params struct{ Derivation, Cipher pkix.AlgorithmIdentifier }
	if err := unmarshal(info.Algorithm.Parameters.FullBytes, &params); err != nil {
		return nil, err
	}
	c, ok := ciphers[params.Cipher.Algorithm.String()]
	if !ok {
		return nil, malformed("encrypted with cipher %s, where AES and triple DES in CBC are known", params.Cipher.Algorithm)
	}
	var iv []byte
	if err := unmarshal(params.Cipher.Parameters.FullBytes, &iv); err != nil {
		return nil, err
	}
	key, err := derive(params.Derivation, password, c.key)
	if err != nil {
		return nil, err
	}
	block, err := c.new(key)
	if err != nil {
		return nil, err
	}
	if len(iv) != block.BlockSize() || len(info.Data) == 0 || len(info.Data)%block.BlockSize() != 0 {
		return nil, malformed("what is encrypted is not whole blocks")
	}
	plain := make([]byte, len(info.Data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, info.Data)
	return unpad(plain, block.BlockSize())
}

// unpad takes away what fills the last block: n bytes of value n.
func unpad(plain []byte, size int) ([]byte, error) {
	n := int(plain[len(plain)-1])
	if n == 0 || n > size {
		return nil, ErrPassword
	}
	for _, c := range plain[len(plain)-n:] {
		if int(c) != n {
			return nil, ErrPassword
		}
	}
	return plain[:len(plain)-n], nil
}

// derive makes the key of a cipher from a password.
func derive(how pkix.AlgorithmIdentifier, password []byte, size int) ([]byte, error) {
	switch {
	case how.Algorithm.Equal(oidPBKDF2):
		var p struct {
			Salt       []byte
			Iterations int
			Size       int                      `asn1:"optional"`
			PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
		}
		if err := unmarshal(how.Parameters.FullBytes, &p); err != nil {
			return nil, err
		}
		if p.Iterations < 1 || p.Iterations > maxIterations {
			return nil, malformed("%d iterations of PBKDF2 are not 1 to %d", p.Iterations, maxIterations)
		}
		prf := sha1.New // where none is named (RFC 8018, A.2)
		if len(p.PRF.Algorithm) > 0 {
			var ok bool
			if prf, ok = prfs[p.PRF.Algorithm.String()]; !ok {
				return nil, malformed("hash %s of PBKDF2 is unknown", p.PRF.Algorithm)
			}
		}
		return pbkdf2.Key(prf, string(password), p.Salt, p.Iterations, size)
	case how.Algorithm.Equal(oidScrypt):
		var p struct {
			Salt    []byte
			N, R, P int
			Size    int `asn1:"optional"`
		}
		if err := unmarshal(how.Parameters.FullBytes, &p); err != nil {
			return nil, err
		}
		return scryptKey(password, p.Salt, p.N, p.R, p.P, size)
	}
	return nil, malformed("key derivation %s is unknown: PBKDF2 and scrypt are known", how.Algorithm)
}

func scryptKey(password, salt []byte, n, r, p, size int) ([]byte, error) {
	if n < 2 || n > 1<<24 || r < 1 || r > 1<<10 || p < 1 || p > 1<<4 || 128*int64(n)*int64(r) > maxScrypt {
		return nil, malformed("scrypt with N %d, r %d, p %d takes more than is reasonable", n, r, p)
	}
	key, err := scrypt.Key(password, salt, n, r, p, size)
	if err != nil {
		return nil, malformed("%v", err)
	}
	return key, nil
}

// decryptCosign decrypts the JSON in which cosign keeps PKCS #8: scrypt, and
// NaCl's secretbox. The password may be empty.
func decryptCosign(data, password []byte) ([]byte, error) {
	o, err := parseObject(data)
	if err != nil {
		return nil, err
	}
	kdf, err := o.object("kdf")
	if err != nil {
		return nil, err
	}
	box, err := o.object("cipher")
	if err != nil {
		return nil, err
	}
	for _, part := range []struct {
		o    object
		name string
	}{{kdf, "scrypt"}, {box, "nacl/secretbox"}} {
		if name, err := part.o.text("name"); err != nil || name != part.name {
			return nil, malformed("%s is not %s", part.o.path("name"), part.name)
		}
	}
	params, err := kdf.object("params")
	if err != nil {
		return nil, err
	}
	var numbers [3]int
	for i, name := range []string{"N", "r", "p"} {
		n, err := params.positive(name)
		if err != nil {
			return nil, err
		}
		numbers[i] = int(min(n, 1<<30))
	}
	salt, err := kdf.bytes("salt")
	if err != nil {
		return nil, err
	}
	nonce, err := box.bytes("nonce")
	if err != nil || len(nonce) != 24 {
		return nil, malformed("cipher.nonce is not of 24 bytes")
	}
	sealed, err := o.bytes("ciphertext")
	if err != nil {
		return nil, err
	}
	key, err := scryptKey(password, salt, numbers[0], numbers[1], numbers[2], 32)
	if err != nil {
		return nil, err
	}
	plain, ok := secretbox.Open(nil, sealed, (*[24]byte)(nonce), (*[32]byte)(key))
	if !ok {
		return nil, ErrPassword
	}
	return plain, nil
}
