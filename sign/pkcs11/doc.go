// Package pkcs11 finds private keys in hardware: a [Key] is a crypto.Signer for
// [github.com/tensmith/tensmith/sign.Key] and sign.Certificate.
//
// PKCS #11 is a library that a program loads, so this needs cgo: [Open] is there
// only with the build tag pkcs11, and the command has no such keys without it.
//
//	CGO_ENABLED=1 go build -tags pkcs11 ./cmd/tensmith
//
// # Security
//
// The library that a URI names is code that runs. Open takes URIs from whoever
// runs the program, and from nobody else.
package pkcs11
