package main

import "github.com/spf13/cobra"

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

// tellLog tells where a signature was logged.
func (a *app) tellLog(e evidenceJSON) {
	if e.Log != nil {
		a.words("note: entry %d of the log %s", e.Log.Index, e.Log.URL)
	}
}
