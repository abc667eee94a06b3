module github.com/tensmith/tensmith

go 1.26.0

require (
	// Bills of materials, and the schemas that tests hold them to. Apache-2.0,
	// of the CycloneDX project itself, no cgo; nothing but yaml behind it is
	// compiled in.
	github.com/CycloneDX/cyclonedx-go v0.12.0

	// Tests: the one way to print how two values differ.
	github.com/google/go-cmp v0.7.0

	// Checkpoints compressed with zstd; the standard library has no reader.
	// BSD-3, a release a month, no other modules behind it; its zstd alone is
	// compiled in.
	github.com/klauspost/compress v1.20.3

	// SARIF 2.1.0, and its schema, which tests hold reports to. Unlicense, kept
	// since 2021; brings a validator of JSON schemas, no cgo.
	github.com/owenrumney/go-sarif/v3 v3.3.1

	// Policies; errors and unknown keys with line and column, which is why it
	// and not BurntSushi/toml. MIT, no other modules behind it.
	github.com/pelletier/go-toml/v2 v2.4.3

	// Checkpoints compressed with lz4, which joblib writes. BSD-3, kept for ten years, no other
	// modules behind it.
	github.com/pierrec/lz4/v4 v4.1.33

	// Tests: scripts of the command, one readable file a case.
	github.com/rogpeppe/go-internal v1.16.0

	// The command line: verbs, flags as scripts expect them, completion for
	// four shells and manual pages from one description.
	github.com/spf13/cobra v1.10.2

	// Checkpoints compressed with xz; the standard library has no reader.
	github.com/ulikunitz/xz v0.5.17

	// The front matter of model cards. MIT and Apache-2.0, kept by the YAML
	// organisation, and here already, behind cobra.
	go.yaml.in/yaml/v3 v3.0.5

	// BLAKE2b, which signatures of models may have, and what private keys are
	// encrypted with: scrypt, and the secretbox of cosign's. BSD-3, of the Go
	// project; a few small packages are compiled in.
	golang.org/x/crypto v0.58.0

	// What the processor can do, for the kernel of package internal/digest.
	golang.org/x/sys v0.49.0

	// Whether output is a terminal, and how wide, on every system.
	golang.org/x/term v0.47.0

	// BLAKE3, likewise: the kernels of its author's own Go port. MIT, and one
	// module behind it.
	lukechampine.com/blake3 v1.4.1
)

require (
	github.com/cpuguy83/go-md2man/v2 v2.0.6 // indirect
	github.com/inconshreveable/mousetrap v1.1.0 // indirect
	github.com/klauspost/cpuid/v2 v2.0.9 // indirect
	github.com/russross/blackfriday/v2 v2.1.0 // indirect
	github.com/spf13/pflag v1.0.9 // indirect
	github.com/xeipuuv/gojsonpointer v0.0.0-20180127040702-4e3ac2762d5f // indirect
	github.com/xeipuuv/gojsonreference v0.0.0-20180127040603-bd5ef7bd5415 // indirect
	github.com/xeipuuv/gojsonschema v1.2.0 // indirect
	golang.org/x/tools v0.26.0 // indirect
)
