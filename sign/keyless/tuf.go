package keyless

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/tuf"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// A Repository is where a deployment of Sigstore publishes its trust, by The
// Update Framework (TUF): what is downloaded is signed, complete and not older
// than what was seen before. The zero value is that of the public instance.
type Repository struct {
	// Mirror is its address: https, http, or file for a directory with a copy
	// of it. Empty is the public instance's.
	Mirror string

	// Root is the root.json to begin with, from a place one believes. Nil is
	// that of the public instance, or of staging if the mirror is [Staging].
	Root []byte

	// Cache is the directory of what was downloaded. Empty is .sigstore/root
	// in the home directory, which other programs of Sigstore use, too.
	Cache string

	// Offline takes what is in the cache, as long as it has not expired, and
	// asks nobody.
	Offline bool
}

// Staging is the mirror of the instance at which Sigstore tests itself.
const Staging = tuf.StagingMirror

// signingConfigs are the targets that a repository may have, by the version of
// Rekor they are for.
var signingConfigs = [...]string{1: "signing_config.v0.2.json", 2: "signing_config_rekor_v2.v0.2.json"}

// Trust downloads the trust, or takes it from the cache if the repository has
// none newer.
func (r Repository) Trust(ctx context.Context) (*Trust, error) {
	options := tuf.DefaultOptions().WithContext(ctx)
	if r.Mirror != "" {
		options.RepositoryBaseURL = strings.TrimSuffix(r.Mirror, "/")
	}
	if r.Cache != "" {
		options.CachePath = r.Cache
	}
	switch {
	case r.Root != nil:
		options.Root = r.Root
	case options.RepositoryBaseURL == tuf.StagingMirror:
		options.Root = tuf.StagingRoot()
	case options.RepositoryBaseURL != tuf.DefaultMirror:
		return nil, &Error{
			Err:  fmt.Errorf("%s: nothing to believe it by", options.RepositoryBaseURL),
			Hint: "give the root.json of that repository, as its publishers hand it out",
		}
	}
	options.Fetcher = fetcher{ctx: ctx, offline: r.Offline}
	if r.Offline {
		options.ForceCache = true
	}

	t := &Trust{Source: options.RepositoryBaseURL}
	// Without a network the client must not think that it has refreshed.
	seen := filepath.Join(options.CachePath, tuf.URLToPath(options.RepositoryBaseURL)+".json")
	if r.Offline {
		refreshed, err := tuf.LoadConfig(seen)
		if err != nil {
			return nil, &Error{
				Err:  fmt.Errorf("%s: %s holds nothing of it", t.Source, options.CachePath),
				Hint: "fill the cache once with a network, or name a copy of trusted_root.json: --trusted-root FILE",
			}
		}
		t.AsOf = refreshed.LastTimestamp
	}
	client, err := tuf.New(options)
	if err != nil {
		return nil, r.explain(t.Source, err)
	}
	if !r.Offline {
		t.AsOf = time.Now()
	}
	content, err := client.GetTarget("trusted_root.json")
	if err != nil {
		return nil, r.explain(t.Source, err)
	}
	if t.root, err = root.NewTrustedRootFromJSON(content); err != nil {
		return nil, fmt.Errorf("%s: trusted root: %w", t.Source, err)
	}

	// Who verifies alone needs none of these, and not every repository has them.
	for version, target := range signingConfigs {
		if target == "" {
			continue
		}
		content, err := client.GetTarget(target)
		if err != nil {
			continue
		}
		config, err := root.NewSigningConfigFromJSON(content)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", t.Source, target, err)
		}
		if version == 1 {
			t.config = config
		} else {
			t.rekor2 = config
		}
	}
	return t, nil
}

// explain says what can be done without the repository.
func (r Repository) explain(source string, err error) error {
	hint := "without the repository: a copy of trusted_root.json, --trusted-root FILE, or the one that is built in"
	var expired *metadata.ErrExpiredMetadata
	switch {
	case errors.Is(err, errOffline):
		hint = "what is in the cache has expired or is not complete: refresh it with a network, or name a copy of trusted_root.json: --trusted-root FILE"
	case errors.As(err, &expired):
		hint = "the repository's signatures have run out: a mirror that is no longer renewed, or this machine's clock is wrong"
	}
	return &Error{Err: fmt.Errorf("%s: %w", source, err), Hint: hint}
}

var errOffline = errors.New("not asked, for want of a network")

// fetcher gets a repository's files. Unlike the one of go-tuf it ends with its
// context, and it reads directories.
type fetcher struct {
	ctx     context.Context
	offline bool
}

func (f fetcher) DownloadFile(address string, limit int64, _ time.Duration) ([]byte, error) {
	if f.offline {
		return nil, errOffline
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	var body io.ReadCloser
	if u.Scheme == "file" {
		name := filepath.FromSlash(u.Path)
		if runtime.GOOS == "windows" {
			name = strings.TrimPrefix(name, `\`) // of file:///C:/
		}
		if body, err = os.Open(name); errors.Is(err, os.ErrNotExist) {
			// The way in which the client learns which root is the last.
			return nil, &metadata.ErrDownloadHTTP{StatusCode: http.StatusNotFound, URL: address}
		}
	} else {
		body, err = f.get(address)
	}
	if err != nil {
		return nil, err
	}
	defer body.Close()
	content, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err == nil && int64(len(content)) > limit {
		return nil, &metadata.ErrDownloadLengthMismatch{Msg: fmt.Sprintf("%s has more than %d bytes", address, limit)}
	}
	return content, err
}

func (f fetcher) get(address string) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(f.ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	response, err := (&http.Client{Timeout: timeout}).Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		response.Body.Close()
		return nil, &metadata.ErrDownloadHTTP{StatusCode: response.StatusCode, URL: address}
	}
	return response.Body, nil
}
