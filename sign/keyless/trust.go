package keyless

import (
	"crypto/x509"
	_ "embed"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"time"

	"github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
)

// Trust is a deployment of Sigstore as its users know it: the keys of its
// certificate authorities, logs and timestamp authorities, and, where it can
// sign, the addresses of its services.
type Trust struct {
	// Source says where it is from: "built in", the name of a file, the
	// address of a TUF repository.
	Source string

	// AsOf is when it was last known to be what the deployment publishes. It
	// is zero for one from a file, which does not say.
	AsOf time.Time

	root   root.TrustedMaterial
	config *root.SigningConfig // nil: it cannot sign

	// rekor2 is the configuration of who chooses Rekor v2, where it is another.
	rekor2 *root.SigningConfig
}

// stale is the age after which a trust is warned about. Sigstore has changed
// its own about twice a year.
const stale = 180 * 24 * time.Hour

//go:embed publicgood/trusted_root.json
var publicGoodRoot []byte

//go:embed publicgood/as-of.txt
var publicGoodDate string

// PublicGood is the public instance of Sigstore as this program was built with
// it. Its services are those of the signing configuration that Sigstore
// publishes: Rekor v1, and v2 for who chooses it.
func PublicGood() (*Trust, error) {
	date, err := time.Parse(time.DateOnly, strings.TrimSpace(publicGoodDate))
	if err != nil {
		return nil, fmt.Errorf("the trusted root that is built in: %w", err)
	}
	material, err := root.NewTrustedRootFromJSON(publicGoodRoot)
	if err != nil {
		return nil, fmt.Errorf("the trusted root that is built in: %w", err)
	}
	t := &Trust{Source: "built in", AsOf: date, root: material}
	rekor := root.Service{URL: "https://rekor.sigstore.dev", MajorAPIVersion: 1}
	if t.config, err = publicServices(rekor); err != nil {
		return nil, err
	}
	rekor = root.Service{URL: "https://log2025-1.rekor.sigstore.dev", MajorAPIVersion: 2}
	t.rekor2, err = publicServices(rekor)
	return t, err
}

// publicServices is signing_config.v0.2.json of the public instance, as of
// 2026-08-21; its signing_config_rekor_v2.v0.2.json with the other log.
func publicServices(rekor root.Service) (*root.SigningConfig, error) {
	service := func(url string) []root.Service {
		return []root.Service{{URL: url, MajorAPIVersion: 1, Operator: "sigstore.dev"}}
	}
	rekor.Operator = "sigstore.dev"
	one := root.ServiceConfiguration{Selector: v1.ServiceSelector_ANY}
	return root.NewSigningConfig(root.SigningConfigMediaType02,
		service("https://fulcio.sigstore.dev"),
		service("https://oauth2.sigstore.dev/auth"),
		[]root.Service{rekor}, one,
		service("https://timestamp.sigstore.dev/api/v1/timestamp"), one)
}

const (
	trustedRootType = "application/vnd.dev.sigstore.trustedroot"
	trustConfigType = "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json"
)

// ParseTrust reads a trusted root (trusted_root.json), with which one can
// verify, or a client's trust configuration (mediaType
// application/vnd.dev.sigstore.clienttrustconfig.v0.1+json), with which one can
// sign, too. The source is for reports, usually the file's name.
func ParseTrust(source string, content []byte) (*Trust, error) {
	var document struct {
		MediaType     string          `json:"mediaType"`
		TrustedRoot   json.RawMessage `json:"trustedRoot"`
		SigningConfig json.RawMessage `json:"signingConfig"`
	}
	if err := json.Unmarshal(content, &document); err != nil {
		return nil, fmt.Errorf("%s: no trusted root: %w", source, err)
	}
	t := &Trust{Source: source}
	switch {
	case document.MediaType == trustConfigType:
		if document.TrustedRoot == nil || document.SigningConfig == nil {
			return nil, fmt.Errorf("%s: a trust configuration has a trustedRoot and a signingConfig", source)
		}
		config, err := root.NewSigningConfigFromJSON(document.SigningConfig)
		if err != nil {
			return nil, fmt.Errorf("%s: signingConfig: %w", source, err)
		}
		t.config, content = config, document.TrustedRoot
	case !strings.HasPrefix(document.MediaType, trustedRootType):
		return nil, &Error{
			Err:  fmt.Errorf("%s: mediaType %q is that of no trusted root", source, document.MediaType),
			Hint: "a trusted root has " + root.TrustedRootMediaType01 + ", a trust configuration " + trustConfigType,
		}
	}
	material, err := root.NewTrustedRootFromJSON(content)
	if err != nil {
		return nil, fmt.Errorf("%s: trusted root: %w", source, err)
	}
	t.root = material
	return t, nil
}

// ParseTimestampAuthority reads the certificates of a timestamp authority, PEM,
// the leaf first, the root last. The trust knows nobody else: it is good for
// [Trust.Time] alone.
func ParseTimestampAuthority(source string, content []byte) (*Trust, error) {
	var chain []*x509.Certificate
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: certificate %d: %w", source, len(chain), err)
		}
		chain = append(chain, certificate)
	}
	if len(chain) == 0 {
		return nil, fmt.Errorf("%s: no certificate in PEM", source)
	}
	authority := &root.SigstoreTimestampingAuthority{URI: source, Root: chain[len(chain)-1]}
	if len(chain) > 1 {
		authority.Leaf, authority.Intermediates = chain[0], chain[1:len(chain)-1]
	}
	material, err := root.NewTrustedRoot(root.TrustedRootMediaType01, nil, nil, []root.TimestampingAuthority{authority}, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", source, err)
	}
	return &Trust{Source: source, root: material}, nil
}

// Provider is the address of the identity provider that a person is asked by,
// see [OAuth]; empty if the trust names none.
func (t *Trust) Provider() string {
	if t.config == nil {
		return ""
	}
	service, err := root.SelectService(t.config.OIDCProviderURLs(), []uint32{1}, time.Now())
	if err != nil {
		return ""
	}
	return service.URL
}

// CanSign tells whether the trust names services to sign with.
func (t *Trust) CanSign() bool { return t.config != nil }

// warnings are what a reader of a verdict should know of the trust.
func (t *Trust) warnings(now time.Time) (all []string) {
	if age := now.Sub(t.AsOf); !t.AsOf.IsZero() && age > stale {
		all = append(all, fmt.Sprintf("the trusted root (%s) is of %s, %d days ago: it knows of no key added or withdrawn since",
			t.Source, t.AsOf.Format(time.DateOnly), int(age.Hours()/24)))
	}
	return all
}

// An Error is one with advice.
type Error struct {
	Err  error
	Hint string // what to do, in words for the command line's user; may be empty
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }
