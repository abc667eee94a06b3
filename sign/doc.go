// Package sign signs models and verifies who has signed them, in the format of
// OpenSSF Model Signing (OMS), with keys and certificates.
//
// A [Hasher] makes the [Manifest] of a model: the digest of each of its files.
// Its statement is signed by a [Key] or a [Certificate], and the signature is
// a [Bundle], the JSON of a file that is usually called model.sig:
//
//	made, err := new(sign.Hasher).Hash(ctx, "model")
//	payload, err := made.Manifest.Statement().Encode()
//	bundle, err := sign.Key{Signer: key}.Sign(ctx, sign.PayloadType, payload)
//
// A [Check] takes a bundle back: who has signed it, and in what the model
// differs from what was signed.
//
//	b, err := sign.ReadBundle("model.sig")
//	verdict, err := sign.Check{Verifier: sign.KeyVerifier{Key: public}}.Model(ctx, "model", b)
//
// Any other in-toto statement is signed and verified by the same keys; a
// [Statement] is one of any predicate. Whatever signs has the method Sign of
// Key, and whatever verifies is a [Verifier]: package sign/keyless has both for
// identities of Sigstore.
//
// The format is specified in https://github.com/ossf/model-signing-spec (1.0);
// bundles of the Python package model_signing from 0.2.0 on are read, too.
//
// # Security
//
// Bundles come from anyone. Parsing one takes memory in proportion to its size,
// which is limited, and no name in it leads out of the model's folder. What a
// bundle says is to be believed after its Verifier has said so, which Check
// does first. Files are opened beneath the model's folder, so that a link put
// there meanwhile does not lead elsewhere, unless links are asked to be
// followed; what is no file by then is refused without waiting for it. The
// digests of a model are those of the moment in which it was read: whoever can
// write to it afterwards can change it.
package sign
