package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/spf13/cobra"

	"github.com/tensmith/tensmith/audit"
	"github.com/tensmith/tensmith/safetensors"
	"github.com/tensmith/tensmith/sbom"
)

// A billing is the flags of sbom.
type billing struct {
	out                         string
	force                       bool
	name, version, repo, commit string
	source                      string
	hashes                      []string
	time, serial                string
}

func sbomCommand(a *app) *cobra.Command {
	var b billing
	cmd := &cobra.Command{
		Use:   "sbom [flags] MODEL",
		Short: "write a bill of materials of a model (CycloneDX)",
		Long: `Write what a model consists of as a CycloneDX 1.6 ML-BOM, JSON: its files with
digests, parameters and dtypes, counted; and what README.md and config.json
beside it say of licence, base models, data sets, task and architecture. Of a
path in a Hub cache the repository and commit are known; --repo names them.

The same model makes the same bill: a time and a serial number are in it only
if they are asked for. Of $SOURCE_DATE_EPOCH the time is taken, too.

With --json the bill is the member "bom" of a document of ours, and with
--format tsv there is a list of the files.

Exit status: 0 written, 2 the model could not be read.`,
		Example: `  tensmith sbom model/ -o bom.json
  tensmith sbom model/ --repo acme/zephyr --hash blake3 --time now`,
		Args: args(1, 1, "MODEL"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.sbom(cmd.Context(), args[0], &b) },
	}
	f := cmd.Flags()
	f.StringVarP(&b.out, "output", "o", "", "the `FILE` to write (default: standard output)")
	f.BoolVar(&b.force, "force", false, "replace what exists under that name")
	f.StringSliceVar(&b.hashes, "hash", nil, "`ALGORITHM` besides sha256: blake2b, blake3; may be given again")
	f.StringVar(&b.name, "name", "", "the `NAME` of the model (default: by repository, card or file)")
	f.StringVar(&b.version, "version", "", "`VERSION` of the model (default: the commit)")
	f.StringVar(&b.repo, "repo", "", "`OWNER/NAME` at the Hugging Face Hub")
	f.StringVar(&b.commit, "commit", "", "`COMMIT` there")
	f.StringVar(&b.source, "source", "", "`FILE` that the model was made from, such as the checkpoint that was converted")
	f.StringVar(&b.time, "time", "", "`TIME` of the bill: now, or as in 2026-11-23T12:00:00Z")
	f.StringVar(&b.serial, "serial", "", "serial `NUMBER`, urn:uuid:…, or random")
	return cmd
}

var (
	repoName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)?$`) })
	urnUUID  = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	})
)

// options checks the flags.
func (b *billing) options(address string) (o sbom.Options, err error) {
	o = sbom.Options{Name: b.name, Version: b.version, Repo: b.repo, Commit: b.commit, Serial: b.serial, Hashes: b.hashes}
	for _, h := range b.hashes {
		if !slices.Contains([]string{"sha256", "blake2b", "blake3"}, h) {
			return o, usagef("--hash is %q, not one of sha256, blake2b, blake3", h)
		}
	}
	switch {
	case b.repo != "" && !repoName().MatchString(b.repo):
		return o, usagef("--repo is %q, not OWNER/NAME", b.repo)
	case b.commit != "" && strings.Trim(b.commit, "0123456789abcdef") != "":
		return o, usagef("--commit is %q, no commit", b.commit)
	case b.serial == "random":
		o.Serial = randomUUID()
	case b.serial != "" && !urnUUID().MatchString(b.serial):
		return o, usagef("--serial is %q, not random, nor as in urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79", b.serial)
	}
	switch b.time {
	case "now":
		o.Time = time.Now()
	case "":
		if o.Time, _, err = sourceDate(); err != nil {
			return o, err
		}
	default:
		if o.Time, err = time.Parse(time.RFC3339, b.time); err != nil {
			return o, usagef("--time is %q, not now, nor as in 2026-11-23T12:00:00Z", b.time)
		}
	}
	full, err := filepath.Abs(address)
	if err != nil {
		return o, err
	}
	if o.Repo == "" {
		repo, commit, ok := sbom.Hub(full)
		if ok {
			o.Repo = repo
			if o.Commit == "" {
				o.Commit = commit
			}
		}
	}
	return o, nil
}

// sourceDate is the time that $SOURCE_DATE_EPOCH has for all that is made, if
// it is set: https://reproducible-builds.org/specs/source-date-epoch/
func sourceDate() (t time.Time, ok bool, err error) {
	epoch := os.Getenv("SOURCE_DATE_EPOCH")
	if epoch == "" {
		return t, false, nil
	}
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil || seconds < 0 || seconds > 1<<37 {
		return t, false, usagef("SOURCE_DATE_EPOCH is %q, no number of seconds", epoch)
	}
	return time.Unix(seconds, 0), true, nil
}

// randomUUID is a UUID of version 4 (RFC 9562) as a URN.
func randomUUID() string {
	var u [16]byte
	rand.Read(u[:])
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

func (a *app) sbom(ctx context.Context, address string, b *billing) error {
	o, err := b.options(address)
	if err != nil {
		return err
	}
	if b.out != "" {
		if err := refuse(b.out, b.force); err != nil {
			return err
		}
	}
	p, err := locate(address)
	if err != nil {
		return err
	}
	if b.source != "" {
		sum, err := fileSum(b.source)
		if err != nil {
			return simplify(b.source, err)
		}
		o.Source = &sbom.Source{Name: filepath.Base(b.source), SHA256: sum}
	}
	if full, err := filepath.Abs(address); err == nil && p.name == "." {
		o.Folder = filepath.Base(full)
	}
	o.Tool, _ = version()
	o.Jobs = a.jobs
	m := a.meter("hashing", 0)
	defer m.end()
	o.Progress = func(done, total int64) {
		m.mu.Lock()
		m.total = total
		m.mu.Unlock()
		m.set(done)
	}
	bom, err := sbom.Make(ctx, p.fsys, p.name, o)
	m.end()
	if err != nil {
		return a.unreadable(address, p, err)
	}
	a.ledger.readBill(p, bom)
	var text bytes.Buffer
	if err := sbom.Write(&text, bom); err != nil {
		return err
	}
	if b.out != "" {
		if err := writeWhole(b.out, text.Bytes(), b.force); err != nil {
			return err
		}
		a.ledger.wrote(b.out)
		a.words("wrote %s: %s", b.out, plural(len(*bom.Metadata.Component.Components), "file"))
		if a.format == "human" {
			return nil
		}
	}
	switch {
	case a.format == "tsv":
		s := a.sheet("name", "bytes", "algorithm", "digest")
		for _, c := range *bom.Metadata.Component.Components {
			for _, h := range *c.Hashes {
				s.row(c.Name, (*c.Properties)[0].Value, string(h.Algorithm), h.Value)
			}
		}
		return s.flush()
	case a.isJSON():
		return a.printBill(b.out, text.Bytes())
	}
	_, err = a.stdout.Write(text.Bytes())
	return err
}

// readBill takes the files of a bill for inputs.
func (l *ledger) readBill(p place, bom *cdx.BOM) {
	if l == nil {
		return
	}
	dir := filepath.Dir(p.path(""))
	if p.name == "." {
		dir = p.dir
	}
	for _, c := range *bom.Metadata.Component.Components {
		size, _ := strconv.ParseInt((*c.Properties)[0].Value, 10, 64)
		l.inputs = append(l.inputs, audit.Artifact{Path: filepath.ToSlash(filepath.Join(dir, c.Name)), SHA256: (*c.Hashes)[0].Value, Bytes: size})
	}
}

// printBill is the answer for programs that ask for a document of ours.
func (a *app) printBill(name string, text []byte) error {
	return a.printJSON(struct {
		Schema string  `json:"schema"`
		Output string  `json:"output"`
		BOM    rawJSON `json:"bom"`
	}{"tensmith.sbom/1", filepath.ToSlash(name), rawJSON(text)})
}

// rawJSON is JSON as it is.
type rawJSON []byte

func (r rawJSON) MarshalJSON() ([]byte, error) { return r, nil }

// unreadable gives an error about a model the words that open has for it.
func (a *app) unreadable(address string, p place, err error) error {
	if _, ok := errors.AsType[*safetensors.FormatError](err); ok {
		c, again := a.open(address)
		if again != nil {
			return again
		}
		c.Close()
	}
	return p.unopened(address, err)
}

// fileSum is the SHA-256 of a file.
func fileSum(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
