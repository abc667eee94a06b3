// Package pkcs11 finds private keys in hardware: a Key is a crypto.Signer for
// [github.com/tensmith/tensmith/sign.Key] and sign.Certificate.
//
// PKCS #11 is a library that a program loads, so this needs cgo: Key and Open are
// there only with the build tag pkcs11, for programs that are built with it.
//
//	key, err := pkcs11.Open("pkcs11:token=models;object=release?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=/run/pin")
//	bundle, err := sign.Key{Signer: key}.Sign(ctx, sign.PayloadType, payload)
//
// # Security
//
// The library that a URI names is code that runs. Open takes URIs from whoever
// runs the program, and from nobody else.
package pkcs11
