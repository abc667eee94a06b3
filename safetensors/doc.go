// Package safetensors reads and writes the safetensors format: a header of
// JSON that names tensors, and their bytes.
//
// [Open] opens a file, and a [Tensor] of it is a handle on bytes that are
// read when asked for; an [Encoder] writes tensors to a file:
//
//	f, err := safetensors.Open("model.safetensors")
//	if err != nil {
//		return err
//	}
//	defer f.Close()
//	t, err := f.Tensor("embed.weight")
//	if err != nil {
//		return err
//	}
//	fmt.Println(t.DType, t.Shape)
//	data, err := t.Bytes()
//
// [OpenCheckpoint] reads a model that lies in several files as one. Bytes are as
// they are stored: package numeric makes numbers of them, whatever their dtype,
// and package load brings whole models into memory.
//
// # The format
//
// The first 8 bytes are the length of the header, little-endian. The header
// is a JSON object that maps each tensor's name to its dtype, its shape and
// the two offsets of its data, which count from the end of the header. One
// key, __metadata__, maps to an object of strings instead. The tensors' data
// follow, without a gap between them or a byte behind them, in any order.
// Elements are little-endian and row-major.
//
// The reader accepts what the reference implementation, version 0.8 of the
// Rust crate safetensors, accepts, and refuses what it refuses, but for
// three things that the reference's code accepts and its specification
// forbids or does not mean. They are errors here: a name that occurs twice
// among the tensors or in the metadata ([ErrDuplicate]), a tensor's entry
// spelled as an array of three values, and a dtype spelled as an object
// ([ErrForm]). Like the reference, and unlike its specification, it accepts
// whitespace before the header's brace, JSON whitespace other than spaces
// behind the last one, unknown fields of an entry, and null for metadata.
//
// # Security
//
// Any bytes may be given to this package as a file. It does not panic on
// them, and reading a header takes memory below four times its length, plus
// one MiB, and time in proportion to its length. No data is read or
// allocated for before a caller asks for a tensor of a size that the file
// has been found to hold. Three things are the caller's to decide: the memory
// of [Tensor.Bytes], for which [Tensor.Size] tells the price; whether to
// trust a mapping of a file that others may truncate, see [Map]; and whether
// to open a compressed file by [OpenFS], which unpacks all of it. Names and
// metadata are any strings at all, with control characters, path separators
// and look-alikes among them.
package safetensors
