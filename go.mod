module github.com/tensmith/tensmith

go 1.26.0

require (
	// Bills of materials, and the schemas that tests hold them to. Apache-2.0,
	// of the CycloneDX project itself, no cgo; nothing that is behind it is
	// compiled in.
	github.com/CycloneDX/cyclonedx-go v0.12.0

	// Keys in hardware, in builds with the tag pkcs11 alone: it is cgo over the
	// library that a vendor gives. MIT, kept by Thales since 2016; two small
	// modules behind it.
	github.com/ThalesGroup/crypto11 v1.6.2

	// Signing without a key: asks the identity provider for who a person is. It
	// comes with the client of Sigstore. Apache-2.0.
	github.com/coreos/go-oidc/v3 v3.17.0

	// Tests: answers of a timestamp authority. BSD-2, and behind the client of
	// Sigstore in any case.
	github.com/digitorus/timestamp v0.0.0-20231217203849-220c5c2851b7

	// Tests: the log of certificates that an instance of Sigstore asks. Apache-2.0,
	// and behind the client of Sigstore in any case.
	github.com/google/certificate-transparency-go v1.3.3

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

	// Signing without a key: the one name that a signing configuration needs. It
	// comes with the client of Sigstore. Apache-2.0.
	github.com/sigstore/protobuf-specs v0.5.1

	// Signing without a key: the way through a browser. It comes with the client
	// of Sigstore. Apache-2.0.
	github.com/sigstore/sigstore v1.10.8

	// The client of Sigstore: signing without a key, and verifying it. Nobody
	// else's of Go is kept by Sigstore. Apache-2.0, no cgo. With it come most of
	// the modules below, and into package sign/keyless alone; v1.4.0 needs
	// go 1.27.
	github.com/sigstore/sigstore-go v1.3.0

	// The command line: verbs, flags as scripts expect them, and completion for
	// four shells, from one description.
	github.com/spf13/cobra v1.10.2

	// Flags that have other names in another program: cobra's own flags.
	github.com/spf13/pflag v1.0.10

	// Signing without a key: errors by which the client of Sigstore learns which
	// root is the last. It comes with that client. Apache-2.0.
	github.com/theupdateframework/go-tuf/v2 v2.4.2

	// Checkpoints compressed with xz; the standard library has no reader.
	github.com/ulikunitz/xz v0.5.17

	// Tests: holds bills of materials to their schema. Apache-2.0, and behind
	// go-sarif and cyclonedx-go in any case.
	github.com/xeipuuv/gojsonschema v1.2.0

	// The front matter of model cards. MIT and Apache-2.0, kept by the YAML
	// organisation, and here already, behind cobra.
	go.yaml.in/yaml/v3 v3.0.5

	// BLAKE2b, which signatures of models may have, and what private keys are
	// encrypted with: scrypt, and the secretbox of cosign's. BSD-3, of the Go
	// project; a few small packages are compiled in.
	golang.org/x/crypto v0.58.0

	// Signing without a key: the exchange with the identity provider. It comes
	// with the client of Sigstore. BSD-3.
	golang.org/x/oauth2 v0.36.0

	// What the processor can do, for the kernel of package internal/digest; mappings
	// and the page cache, for load and the probes of internal/bench.
	golang.org/x/sys v0.49.0

	// Whether output is a terminal, and how wide, on every system.
	golang.org/x/term v0.47.0

	// BLAKE3, likewise: the kernels of its author's own Go port. MIT, and one
	// module behind it.
	lukechampine.com/blake3 v1.4.1
)

require (
	github.com/asaskevich/govalidator v0.0.0-20230301143203-a9d515a09cc2 // indirect
	github.com/blang/semver v3.5.1+incompatible // indirect
	github.com/cenkalti/backoff/v5 v5.0.3 // indirect
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/cyberphone/json-canonicalization v0.0.0-20241213102144-19d51d7fe467 // indirect
	github.com/digitorus/pkcs7 v0.0.0-20230818184609-3a137a874352 // indirect
	github.com/go-jose/go-jose/v4 v4.1.4 // indirect
	github.com/go-logr/logr v1.4.4 // indirect
	github.com/go-logr/stdr v1.2.2 // indirect
	github.com/go-openapi/analysis v0.25.5 // indirect
	github.com/go-openapi/errors v0.22.8 // indirect
	github.com/go-openapi/jsonpointer v1.0.0 // indirect
	github.com/go-openapi/jsonreference v1.0.0 // indirect
	github.com/go-openapi/loads v0.25.0 // indirect
	github.com/go-openapi/runtime v0.33.0 // indirect
	github.com/go-openapi/runtime/server-middleware v0.30.0 // indirect
	github.com/go-openapi/spec v0.22.9 // indirect
	github.com/go-openapi/strfmt v0.27.0 // indirect
	github.com/go-openapi/swag v0.26.1 // indirect
	github.com/go-openapi/swag/cmdutils v0.27.0 // indirect
	github.com/go-openapi/swag/conv v0.27.3 // indirect
	github.com/go-openapi/swag/fileutils v0.27.3 // indirect
	github.com/go-openapi/swag/jsonname v0.26.1 // indirect
	github.com/go-openapi/swag/jsonutils v0.27.3 // indirect
	github.com/go-openapi/swag/loading v0.27.3 // indirect
	github.com/go-openapi/swag/mangling v0.27.3 // indirect
	github.com/go-openapi/swag/netutils v0.27.0 // indirect
	github.com/go-openapi/swag/pools v0.27.3 // indirect
	github.com/go-openapi/swag/stringutils v0.27.3 // indirect
	github.com/go-openapi/swag/typeutils v0.27.3 // indirect
	github.com/go-openapi/swag/yamlutils v0.27.3 // indirect
	github.com/go-openapi/validate v0.26.1 // indirect
	github.com/go-viper/mapstructure/v2 v2.5.0 // indirect
	github.com/google/go-containerregistry v0.21.7 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/grpc-ecosystem/grpc-gateway/v2 v2.29.0 // indirect
	github.com/hashicorp/go-cleanhttp v0.5.2 // indirect
	github.com/hashicorp/go-retryablehttp v0.7.8 // indirect
	github.com/in-toto/attestation v1.2.0 // indirect
	github.com/in-toto/in-toto-golang v0.11.0 // indirect
	github.com/inconshreveable/mousetrap v1.1.0 // indirect
	github.com/jedisct1/go-minisign v0.0.0-20211028175153-1c139d1cc84b // indirect
	github.com/klauspost/cpuid/v2 v2.0.9 // indirect
	github.com/letsencrypt/boulder v0.20260309.0 // indirect
	github.com/miekg/pkcs11 v1.1.2 // indirect
	github.com/oklog/ulid/v2 v2.1.1 // indirect
	github.com/opencontainers/go-digest v1.0.0 // indirect
	github.com/pkg/browser v0.0.0-20240102092130-5ac0b6a4141c // indirect
	github.com/pkg/errors v0.9.1 // indirect
	github.com/sassoftware/relic v7.2.1+incompatible // indirect
	github.com/secure-systems-lab/go-securesystemslib v0.11.0 // indirect
	github.com/shibumi/go-pathspec v1.3.0 // indirect
	github.com/sigstore/rekor v1.5.3 // indirect
	github.com/sigstore/rekor-tiles/v2 v2.3.0 // indirect
	github.com/sigstore/timestamp-authority/v2 v2.1.3 // indirect
	github.com/thales-e-security/pool v0.0.2 // indirect
	github.com/theupdateframework/go-tuf v0.7.0 // indirect
	github.com/titanous/rocacheck v0.0.0-20171023193734-afe73141d399 // indirect
	github.com/transparency-dev/formats v0.1.1 // indirect
	github.com/transparency-dev/merkle v0.0.2 // indirect
	github.com/xeipuuv/gojsonpointer v0.0.0-20180127040702-4e3ac2762d5f // indirect
	github.com/xeipuuv/gojsonreference v0.0.0-20180127040603-bd5ef7bd5415 // indirect
	github.com/youmark/pkcs8 v0.0.0-20240726163527-a2c0da244d78 // indirect
	go.opentelemetry.io/auto/sdk v1.2.1 // indirect
	go.opentelemetry.io/otel v1.44.0 // indirect
	go.opentelemetry.io/otel/metric v1.44.0 // indirect
	go.opentelemetry.io/otel/trace v1.44.0 // indirect
	golang.org/x/mod v0.41.0 // indirect
	golang.org/x/net v0.60.0 // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/text v0.43.0 // indirect
	golang.org/x/tools v0.51.0 // indirect
	google.golang.org/genproto/googleapis/api v0.0.0-20260526163538-3dc84a4a5aaa // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20260523011958-0a33c5d7ca68 // indirect
	google.golang.org/grpc v1.82.1 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
	k8s.io/klog/v2 v2.140.0 // indirect
)
