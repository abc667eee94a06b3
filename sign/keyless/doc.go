// Package keyless signs with an identity instead of a key, and verifies such
// signatures, through Sigstore: an identity provider says who asks, a
// certificate authority (Fulcio) certifies a key that lives for one signature,
// a transparency log (Rekor) and a timestamp authority say when it signed.
//
// A [Verifier] needs nobody but the bundle: it works offline, against the
// public Sigstore as this program was built with it, a trusted root or trust
// configuration in a file ([ParseTrust]), or one that is kept fresh through TUF
// ([Repository]):
//
//	v := keyless.Verifier{Identities: []keyless.Identity{{
//		Subject: "release@example.com",
//		Issuer:  "https://accounts.google.com",
//	}}}
//	signer, err := v.Verify(ctx, bundle)
//
// A [Signer] asks the services that its trust names:
//
//	token, _, err := keyless.Ambient{}.Token(ctx)
//	bundle, err := keyless.Signer{Token: token}.Sign(ctx, sign.PayloadType, payload)
//
// Nothing of this package speaks to the network but [Signer], [Repository],
// [Ambient], [OAuth] and [Stamp], each when it is called.
//
// Who imports it compiles the Sigstore client, 76 modules; package sign
// does without.
//
// # Security
//
// A bundle is believed when a log and a certificate authority of the trust
// vouch for it, at a time that the log or a timestamp authority of the trust
// has signed, and its certificate names one of the identities asked for. It is
// only as good as the trust: the one built in does not hear of keys withdrawn
// since, which is why its age is reported. Nothing of a bundle is believed
// before, and its size is limited by who reads it, see [sign.ReadBundle].
package keyless
