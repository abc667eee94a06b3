// Package pickle reads Python pickles, protocols 0 to 5, without running them.
//
// Begin with [Unmarshal] for bytes in memory and with [NewDecoder] for a
// file:
//
//	v, err := pickle.Unmarshal(data)
//
// The result is plain data: nil, bool, int64, [*math/big.Int], float64,
// string, []byte and the types of this package ([*List], [*Dict], [*Tuple],
// …). Where Python would import a name there is a [*Symbol], and where it
// would call something there is an [*Object] that holds what would have been
// called and with what. What they mean is for the caller to decide.
//
// [Decoder.OnEvent] is told of every import, every call that was not made and
// every irregularity as it is met, so that what a file would have done is
// known even if the file breaks off later. [Disassemble] and [Dump] list the
// opcodes; they stand on the same decoder of operands.
//
// The machine follows CPython's C implementation (Modules/_pickle.c, 3.8 to
// 3.13), including the readings of text numbers that pickletools refuses.
//
// # Security
//
// Nothing in a file is imported, called or interpreted, and no input makes
// this package panic or recurse. Every length is compared with the bytes left
// before anything is allocated. What decoding keeps is accounted node by
// node against [Limits.Memory], by default the size of the input and 64 MiB.
// Time is linear in the input; shared and cyclic values are not expanded.
// Values may be cyclic and as deep as the file is long: use [Walk], not
// recursion, to visit them.
package pickle
