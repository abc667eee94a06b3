// Package attest makes statements about the tensors of a model, and about where
// they come from, for package sign to sign.
//
// Tensors is a statement of what the weights are, whatever files they lie in:
// it tells re-sharding and other metadata from other weights. Conversion is a
// statement of what a model was converted from, and how.
//
//	statement, err := attest.NewTensors(files, tensors)
//	…
//	t, err := attest.ParseTensors(statement)
//	d := t.Compare(found)
//	fmt.Println(d.Empty())
//
// Both are statements of in-toto, version 1: https://github.com/in-toto/attestation.
// The predicate of Tensors is of this package; that of Conversion is SLSA
// provenance 1: https://slsa.dev/spec/v1.0/provenance.
//
// # Security
//
// A statement says what its signer says. Parsing takes memory in proportion to
// the statement, whose size whoever reads it limits, as package sign does; and
// what it says of digests is checked for form: a digest that is none matches
// nothing.
package attest
