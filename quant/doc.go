// Package quant reads and makes block-scaled and packed weights: integers and
// small floats that mean something only together with their scales.
//
// Begin with [Open], which finds the packed weights among the tensors of a
// model, and [Model.Unpacked], which is the model without them:
//
//	m := quant.Open(c, config) // a checkpoint, and its config.json or nil
//	plain, err := m.Unpacked(safetensors.BF16, nil)
//	if err != nil {
//		return err
//	}
//	err = new(safetensors.Encoder).WriteFile(ctx, "model.safetensors", plain)
//
// A [Weight] is computed as it is read, in pieces, by as many workers as read
// it. The other way goes by [Quantize], whose result is a weight and its
// scales, each computed as it is read, too.
//
// # Arithmetic
//
// Codes, scales and zero points are widened to float32, in which every one of
// them is exact, multiplied there, in the order of the library that made the
// scheme, and rounded once to the type asked for; MLX and AQLM also round in
// between, as their libraries do. So the numbers are, bit by
// bit, those of the library if that computes in float32, or in the type that is
// asked for; docs/quantised.md names for each scheme the program that it was
// held to.
//
// # Schemes
//
// The schemes are those of package describe, which recognises them. FP8 and
// INT8 with scales for a tensor, its rows or its blocks; MXFP4 and NVFP4 of the
// OCP Microscaling Formats Specification v1.0 and of NVIDIA; GPTQ
// (arXiv 2210.17323), AWQ (arXiv 2306.00978), AQLM (arXiv 2401.06118), pack-quantized of
// compressed-tensors; NF4 (arXiv 2305.14314), FP4 and LLM.int8()
// (arXiv 2208.07339) of bitsandbytes; MLX, Quanto, torchao and BitNet
// (arXiv 2402.17764). EXL2, EXL3, SVDQuant, four-bit torchao and integers of unknown layout
// are an [ErrScheme].
//
// # Security
//
// Models may come from anyone. A packed weight is held against its companions
// before anything is read: shapes, types and presence. What a tensor holds,
// such as a group index, is checked when it is read. Either gives an [*Error]
// that names the tensor; nothing panics. A reader takes about eight MiB of
// memory, and the code books of AQLM, whatever the size of the tensors;
// [Quantize] keeps one F32 for each block of 128 by 128 besides.
package quant
