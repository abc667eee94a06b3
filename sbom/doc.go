// Package sbom writes bills of materials of models: what a model consists of,
// where it comes from and under which licence, as CycloneDX 1.6.
//
// Make looks at a model, and Write writes what it found:
//
//	bom, err := sbom.Make(ctx, os.DirFS("models/llama"), ".", sbom.Options{})
//	if err != nil {
//		return err
//	}
//	err = sbom.Write(os.Stdout, bom)
//
// The component of the bill is a machine-learning-model; each file of it is a
// component below, with its digests. What the weights themselves tell (parameters,
// dtypes, bytes) is counted, and stands in properties whose names begin with
// tensmith:, for CycloneDX has no members for it. What the model card and
// config.json say (task, licence, base models, data sets, architecture) is
// repeated as their author has it. Nothing is guessed, and nothing is fetched.
//
// The same files make the same bill, to the byte: it has a time and a serial
// number only if the options have them.
//
// # Security
//
// A model may come from anyone. Of its card no more than 1 MiB and of its
// config no more than 16 MiB is read. What either claims is a claim of whoever
// wrote it, in the bill as in the model.
package sbom
