package sign

import (
	"crypto/sha256"
	"errors"
	"hash"

	"golang.org/x/crypto/blake2b"
	"lukechampine.com/blake3"
)

// An Algorithm is a hash function for the files of a model, by its identifier
// in the algorithm registry of the specification.
type Algorithm string

const (
	SHA256  Algorithm = "sha256"  // the one that every verifier has; 32 bytes
	BLAKE2b Algorithm = "blake2b" // RFC 7693; 64 bytes
	BLAKE3  Algorithm = "blake3"  // 32 bytes
)

// Errors of this package wrap one of these where it is not the system that
// failed.
var (
	// ErrMalformed is a bundle, statement, key or certificate that is not what
	// its format demands.
	ErrMalformed = errors.New("malformed")
	// ErrSignature is a signature, key or certificate that does not verify.
	ErrSignature = errors.New("signature does not verify")
	// ErrChanged is a model that is not what was signed.
	ErrChanged = errors.New("model is not what was signed")
	// ErrRefused is a model, or a key, that could be signed with, but should
	// not: links, names that are not UTF-8, no files at all, keys outside the
	// registry.
	ErrRefused = errors.New("refused")
)

// valid tells whether the algorithm is in the registry.
func (a Algorithm) valid() bool { return a.size() > 0 }

// size is the length of a digest in bytes, 0 for what is unknown.
func (a Algorithm) size() int {
	switch a {
	case SHA256, BLAKE3:
		return 32
	case BLAKE2b:
		return 64
	}
	return 0
}

// new returns the algorithm's hash. It is one of the registry.
func (a Algorithm) new() hash.Hash {
	switch a {
	case BLAKE2b:
		h, err := blake2b.New512(nil)
		if err != nil {
			panic(err) // only a key can be wrong
		}
		return h
	case BLAKE3:
		return blake3.New(32, nil)
	}
	return sha256.New()
}
