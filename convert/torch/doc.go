// Package torch reads what PyTorch, NumPy and joblib have saved, for writing
// it as safetensors. It runs nothing that a file contains.
//
// Begin with [Open], whose entries an encoder takes as they are:
//
//	f, err := torch.Open(os.DirFS("."), "model.pt", nil)
//	if err != nil {
//		return err
//	}
//	defer f.Close()
//	enc := safetensors.Encoder{Metadata: f.Metadata()}
//	return enc.WriteFile(ctx, "model.safetensors", f.Entries())
//
// Files are told apart by their content: the zip archives of torch.save since
// version 1.6, TorchScript, torch.package and torch.export (.pt2); the streams
// of torch.save before 1.6 and the tar archives before 0.1.10; plain pickles,
// with checkpoints inside or without; joblib, .npy and .npz; and each of these
// within gzip, bzip2, xz, lzma, zlib, zstd or lz4. A directory is a checkpoint of
// torch.distributed.checkpoint, in its own files or in safetensors files of
// slices; one of DeepSpeed's ZeRO, whose partitions become the weights in fp32;
// or one of Hugging Face in several .bin files, which its index also names.
//
// Bytes are copied from where they lie. What does not lie in row-major order
// is gathered in bounded memory.
//
// # Security
//
// Nothing is imported or called: a table of constructors gives tensors their
// meaning, and all else is left out and listed. Every name a file imports is
// judged by [pickle.Judge]; one that is Dangerous refuses the whole file
// unless [Options].ExtractOnly is set, and even then nothing runs. No input
// makes this package panic. Memory is bounded by the bytes of the pickles, a
// few dozen times that at most, and 64 MiB, not by what they claim, and no
// tensor is taken beyond the bytes that are there. Missing data is an error,
// never zeros.
package torch
