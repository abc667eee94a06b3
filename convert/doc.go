// Package convert tells foreign model formats apart and turns them into
// safetensors.
//
// Begin with [Open], which knows a file by its content, and [File.Write],
// which writes it and reports what it did:
//
//	f, err := convert.Open(os.DirFS("models"), "model.pt", nil)
//	if err != nil {
//		return err
//	}
//	defer f.Close()
//	report, err := f.Write(ctx, convert.Plan{Output: "model.safetensors", Verify: true})
//
// A conversion streams: it takes some 20 MiB of memory whatever the size of
// the model, and what is stored as it will be written is copied as fast as a
// file is. A model in memory comes by a file system in memory, and what becomes
// of it need be no file: [safetensors.Encoder.Encode] takes File.Entries and File.Metadata.
//
// # Security
//
// Files may come from anyone. Nothing they contain is run, no path they name
// is opened outside of the given file system, and a file that would run code
// in the program it was made for is refused unless the options say otherwise.
// See the packages of the formats for what each promises.
package convert
