package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/tensmith/tensmith/sign"
	"github.com/tensmith/tensmith/sign/keyless"
)

// A trusting is the flags that say which deployment of Sigstore is meant.
type trusting struct {
	staging, refresh, offline bool
	config                    string // a client's trust configuration
	file                      string // trusted_root.json
	mirror, root, cache       string // of a repository
}

func (t *trusting) flags(cmd *cobra.Command, what string) {
	f := cmd.Flags()
	f.BoolVar(&t.staging, "use-staging", false, what+" the instance at which Sigstore tests itself")
	f.StringVar(&t.config, "trust-config", "", what+" the instance of this `FILE`, a client trust configuration")
	f.BoolVar(&t.refresh, "refresh-trust", false, "ask the public instance what it publishes now (TUF)")
	f.StringVar(&t.mirror, "tuf-mirror", "", what+" the instance whose repository (TUF) is at this `URL`; file:// for a copy in a folder")
	f.StringVar(&t.root, "tuf-root", "", "`FILE` of the root.json to begin with there")
	f.StringVar(&t.cache, "tuf-cache", "", "keep what was downloaded in this `DIR` (default: ~/.sigstore/root)")
	f.BoolVar(&t.offline, "tuf-offline", false, "take what was downloaded before, and ask nobody")
}

func (t *trusting) check() error {
	sources := 0
	for _, given := range []bool{t.staging, t.config != "", t.file != "", t.refresh, t.mirror != ""} {
		if given {
			sources++
		}
	}
	switch {
	case sources > 1:
		return usagef("--use-staging, --trust-config, --trusted-root, --refresh-trust and --tuf-mirror exclude each other")
	case (t.config != "" || t.file != "") && t.repository():
		return usagef("--tuf-root, --tuf-cache and --tuf-offline do not go with a file that says whom to believe")
	case t.mirror != "" && t.root == "":
		return hinted{usagef("--tuf-root is missing"), "the root.json of that repository, as its publishers hand it out"}
	case t.root != "" && t.mirror == "":
		return usagef("--tuf-root goes with --tuf-mirror")
	case t.cache != "" && !t.staging && !t.refresh && t.mirror == "" && !t.offline:
		return usagef("--tuf-cache goes with --refresh-trust, --use-staging, --tuf-mirror or --tuf-offline")
	}
	return nil
}

// repository tells whether a flag is about one.
func (t *trusting) repository() bool {
	return t.mirror != "" || t.root != "" || t.cache != "" || t.offline
}

// trust returns the deployment of Sigstore that the flags name.
func (t *trusting) trust(ctx context.Context) (trust *keyless.Trust, err error) {
	switch {
	case t.config != "":
		trust, err = readTrust("trust-config", t.config)
	case t.file != "":
		trust, err = readTrust("trusted-root", t.file)
	case t.staging || t.refresh || t.repository():
		r := keyless.Repository{Mirror: t.mirror, Cache: t.cache, Offline: t.offline}
		if t.staging {
			r.Mirror = keyless.Staging
		}
		if t.root != "" {
			if r.Root, err = readFile("tuf-root", t.root); err != nil {
				return nil, err
			}
		}
		trust, err = r.Trust(ctx)
	default:
		trust, err = keyless.PublicGood()
	}
	if err != nil {
		return nil, withoutPackage(err)
	}
	return trust, nil
}

func readTrust(flag, name string) (*keyless.Trust, error) {
	text, err := readFile(flag, name)
	if err != nil {
		return nil, err
	}
	return keyless.ParseTrust(name, text)
}

// tellTrust tells whom a verification believes, and how old that is.
func (a *app) tellTrust(t *keyless.Trust) {
	if t.AsOf.IsZero() {
		a.words("note: trusted root: %s", t.Source)
		return
	}
	a.words("note: trusted root: %s, as of %s, %s ago", t.Source, t.AsOf.UTC().Format(time.DateOnly), plural(daysSince(t.AsOf), "day"))
}

func daysSince(t time.Time) int { return max(0, int(time.Since(t).Hours()/24)) }

// An evidenceJSON is what the bundle of an identity has beside who has signed.
type evidenceJSON struct {
	Log   *logJSON   `json:"log,omitempty"`
	Trust *trustJSON `json:"trust,omitempty"`
}

// A logJSON is the entry of a transparency log.
type logJSON struct {
	URL   string `json:"url"`
	Index int64  `json:"index"`
	Time  string `json:"time,omitempty"` // Rekor v2 tells none
}

// A trustJSON is whom a verification believed. A file does not say how old it is.
type trustJSON struct {
	Source  string `json:"source"`
	AsOf    string `json:"as_of,omitempty"`
	AgeDays *int   `json:"age_days,omitempty"`
}

// jsonEvidence has nothing of verifiers of other methods.
func jsonEvidence(v sign.Verifier) (j evidenceJSON) {
	by, ok := v.(*identityVerifier)
	if !ok {
		return j
	}
	j.Trust = &trustJSON{Source: by.Trust.Source}
	if as := by.Trust.AsOf; !as.IsZero() {
		days := daysSince(as)
		j.Trust.AsOf, j.Trust.AgeDays = as.UTC().Format(time.DateOnly), &days
	}
	if e := by.found; e != nil && e.Log != "" {
		j.Log = &logJSON{URL: e.Log, Index: e.LogIndex}
		if !e.Logged.IsZero() {
			j.Log.Time = e.Logged.UTC().Format(time.RFC3339)
		}
	}
	return j
}

// tellLog tells where a signature was logged.
func (a *app) tellLog(e evidenceJSON) {
	if e.Log != nil {
		a.words("note: entry %d of the log %s", e.Log.Index, e.Log.URL)
	}
}
