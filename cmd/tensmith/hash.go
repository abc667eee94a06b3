package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	sums "github.com/tensmith/tensmith/internal/digest"
)

// A hashKind is what the digests are of.
type hashKind struct{ tensors, payload bool }

func hashCommand(a *app) *cobra.Command {
	var kind hashKind
	var list string
	cmd := &cobra.Command{
		Use:   "hash [flags] MODEL…",
		Short: "print SHA-256 digests of files, data or tensors, or check them",
		Long: `Print the SHA-256 of each file of a model; with --payload, of all bytes behind
the header, which editing metadata does not change; with --tensors, of each
tensor's bytes, in the order of names, which re-sharding does not change.

-c LIST checks such a list: of files by itself, of tensors or payloads with
the same flag; tensors need the MODEL, too.

Exit status: 0 printed, or all agree; 1 a digest differs, or something listed is
missing; 2 something could not be read.`,
		Example: `  tensmith hash model.safetensors > SHA256SUMS
  tensmith hash -c SHA256SUMS
  tensmith hash --tensors model/ > tensors.txt
  tensmith hash --tensors -c tensors.txt resharded/`,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			switch {
			case kind.tensors && kind.payload:
				return usagef("--tensors and --payload exclude each other")
			case list != "":
				return a.hashCheck(ctx, list, kind, args)
			case len(args) == 0:
				return usagef("MODEL is missing")
			}
			out := a.digests(kind)
			for _, address := range args {
				jobs, done, err := a.hashJobs(address, kind)
				if err != nil {
					return err
				}
				err = a.hash(ctx, jobs, out.add)
				if err := errors.Join(err, done()); err != nil {
					return err
				}
			}
			return out.end()
		},
	}
	cmd.Flags().BoolVar(&kind.tensors, "tensors", false, "digests of tensors")
	cmd.Flags().BoolVar(&kind.payload, "payload", false, "digests of the data behind the header")
	cmd.Flags().StringVarP(&list, "check", "c", "", "check the digests of this `LIST`")
	return cmd
}

// A hashJob is one digest to be computed.
type hashJob struct {
	name string
	size int64
	data io.ReaderAt // nil for the file called name
	sum  string
	err  error
}

// hashJobs lists the digests of a model.
func (a *app) hashJobs(address string, kind hashKind) ([]*hashJob, func() error, error) {
	if !kind.tensors && !kind.payload {
		if info, err := os.Stat(address); err == nil && info.Mode().IsRegular() {
			// Any file has a digest, sound or not.
			return []*hashJob{{name: address, size: info.Size()}}, func() error { return nil }, nil
		}
	}
	c, err := a.open(address)
	if err != nil {
		return nil, nil, err
	}
	var jobs []*hashJob
	if kind.tensors {
		for t := range c.All() {
			jobs = append(jobs, &hashJob{name: t.Name, size: t.Size(), data: t})
		}
		slices.SortFunc(jobs, func(x, y *hashJob) int { return strings.Compare(x.name, y.name) })
		return jobs, c.Close, nil
	}
	p, _ := locate(address)
	for _, f := range c.Files() {
		j := &hashJob{name: p.path(f.Name()), size: f.Size(), data: f}
		if kind.payload {
			j.data = io.NewSectionReader(f, f.DataOffset(), f.Size()-f.DataOffset())
			j.size = f.Size() - f.DataOffset()
		}
		jobs = append(jobs, j)
	}
	return jobs, c.Close, nil
}

// hash computes digests with several workers and hands them on in order.
func (a *app) hash(ctx context.Context, jobs []*hashJob, done func(*hashJob) error) error {
	total := int64(0)
	for _, j := range jobs {
		total += j.size
	}
	m := a.meter("hashing", total)
	defer m.end()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ready := make([]chan struct{}, len(jobs))
	for i := range ready {
		ready[i] = make(chan struct{})
	}
	sources := make([]*sums.Source, len(jobs))
	for i, j := range jobs {
		s := &sums.Source{Size: j.size, Open: func() (io.ReadCloser, error) { return j.open() }}
		s.Done = func(err error) error {
			if j.err = err; err == nil {
				j.sum = hex.EncodeToString(s.Sum[:])
			}
			close(ready[i])
			return nil
		}
		sources[i] = s
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { _ = sums.Each(ctx, sources, a.jobs, m.add) }) // each source has its own error
	for i, j := range jobs {
		select {
		case <-ready[i]:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err := done(j); err != nil {
			return err
		}
	}
	return nil
}

// open returns what reads the data.
func (j *hashJob) open() (io.ReadCloser, error) {
	if j.data != nil {
		return io.NopCloser(io.NewSectionReader(j.data, 0, j.size)), nil
	}
	return os.Open(j.name)
}

// trouble is what kept the data from being read.
func (j *hashJob) trouble() error {
	switch {
	case j.err == nil:
		return nil
	case j.data == nil: // a file, which its error names, too
		return simplify(safe(j.name), j.err)
	}
	return fmt.Errorf("%s: %w", safe(j.name), j.err)
}

// A digest is a digest in JSON.
type digest struct {
	Schema string `json:"schema,omitempty"`
	Of     string `json:"of,omitempty"`
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
	Bytes  int64  `json:"bytes"`
}

// digests prints digests as they become known, or in one document at the end.
type digests struct {
	a     *app
	of    string
	list  []digest
	sheet *sheet
}

func (a *app) digests(kind hashKind) *digests {
	d := &digests{a: a, of: "file", list: []digest{}}
	if kind.tensors {
		d.of = "tensor"
	} else if kind.payload {
		d.of = "payload"
	}
	if a.format == "tsv" {
		d.sheet = a.sheet("sha256", "name", "bytes")
	}
	return d
}

func (d *digests) add(j *hashJob) error {
	if err := j.trouble(); err != nil {
		return err
	}
	switch d.a.format {
	case "json":
		d.list = append(d.list, digest{Name: j.name, SHA256: j.sum, Bytes: j.size})
		return nil
	case "jsonl":
		return d.a.printJSON(digest{"tensmith.hash/1", d.of, j.name, j.sum, j.size})
	case "tsv":
		d.sheet.row(j.sum, j.name, j.size)
		return nil
	}
	line := sumLine(j.sum, j.name)
	if _, ok := terminal(d.a.stdout); ok {
		line = harmless(line) // who copies a list with such names takes a file
	}
	_, err := fmt.Fprintln(d.a.stdout, line)
	return err
}

func (d *digests) end() error {
	switch d.a.format {
	case "json":
		return d.a.printJSON(struct {
			Schema  string   `json:"schema"`
			Of      string   `json:"of"`
			Digests []digest `json:"digests"`
		}{"tensmith.hash/1", d.of, d.list})
	case "tsv":
		return d.sheet.flush()
	}
	return nil
}

// sumLine is a line of sha256sum, which marks names that it has to escape.
func sumLine(sum, name string) string {
	escaped := strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`).Replace(name)
	if escaped != name {
		sum = `\` + sum
	}
	return sum + "  " + escaped
}

// parseSumLine reads what sumLine writes.
func parseSumLine(line string) (sum, name string, ok bool) {
	line, escaped := strings.CutPrefix(line, `\`)
	sum, name, ok = strings.Cut(line, "  ")
	if !ok {
		sum, name, ok = strings.Cut(line, " *") // sha256sum --binary
	}
	if _, err := hex.DecodeString(sum); !ok || err != nil || len(sum) != 2*sha256.Size {
		return "", "", false
	}
	if escaped {
		name = strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\r`, "\r").Replace(name)
	}
	return strings.ToLower(sum), name, true
}

// hashCheck compares a list of digests with what there is.
func (a *app) hashCheck(ctx context.Context, list string, kind hashKind, models []string) error {
	want, order, err := a.readSums(list)
	if err != nil {
		return err
	}
	have := map[string]*hashJob{}
	var jobs []*hashJob
	add := func(j *hashJob) {
		if _, listed := want[j.name]; listed {
			jobs = append(jobs, j)
		}
		have[j.name] = j
	}
	if kind.tensors || len(models) > 0 {
		if len(models) == 0 {
			return usagef("--tensors -c needs the MODEL whose tensors are listed")
		}
		for _, address := range models {
			all, done, err := a.hashJobs(address, kind)
			if err != nil {
				return err
			}
			defer done()
			for _, j := range all {
				add(j)
			}
		}
	} else {
		for _, name := range order {
			all, done, err := a.hashJobs(name, kind)
			if errors.Is(err, os.ErrNotExist) {
				continue // reported as missing below
			}
			if err != nil {
				return err
			}
			defer done()
			for _, j := range all {
				add(j)
			}
		}
	}
	bad := []problem{}
	err = a.hash(ctx, jobs, func(j *hashJob) error {
		if err := j.trouble(); err != nil {
			return err
		}
		if j.sum != want[j.name] {
			bad = append(bad, problem{"differs", j.name})
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, name := range order {
		if have[name] == nil {
			bad = append(bad, problem{"missing", name})
		}
	}
	for name := range have {
		if _, listed := want[name]; !listed && kind.tensors {
			bad = append(bad, problem{"not listed", name})
		}
	}
	slices.SortFunc(bad, func(x, y problem) int {
		return cmp.Or(strings.Compare(x.What, y.What), strings.Compare(x.Name, y.Name))
	})
	if err := a.printProblems(list, len(order), bad); err != nil {
		return err
	}
	if len(bad) > 0 {
		return errNo
	}
	return nil
}

// A problem is a digest that is not as a list has it.
type problem struct {
	What string `json:"problem"`
	Name string `json:"name"`
}

func (a *app) printProblems(list string, checked int, bad []problem) error {
	switch {
	case a.isJSON():
		return a.printJSON(struct {
			Schema   string    `json:"schema"`
			Checked  int       `json:"checked"`
			Same     bool      `json:"same"`
			Problems []problem `json:"problems"`
		}{"tensmith.hash/1", checked, len(bad) == 0, bad})
	case a.format == "tsv":
		s := a.sheet("problem", "name")
		for _, b := range bad {
			s.row(b.What, b.Name)
		}
		return s.flush()
	}
	for _, b := range bad {
		fmt.Fprintln(a.stdout, a.paint(red, b.What+": "+safe(b.Name)))
	}
	switch {
	case len(bad) > 0:
	case checked == 1:
		a.words("%s: the digest agrees", list)
	default:
		a.words("%s: all %s digests agree", list, group(int64(checked)))
	}
	return nil
}

// readSums reads a list of digests. "-" is standard input.
func (a *app) readSums(list string) (sums map[string]string, order []string, err error) {
	in := a.stdin
	if list != "-" {
		f, err := os.Open(list)
		if err != nil {
			return nil, nil, simplify(list, err)
		}
		defer f.Close()
		in = f
	}
	sums = map[string]string{}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxText)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSuffix(lines.Text(), "\r")
		if line == "" {
			continue
		}
		sum, name, ok := parseSumLine(line)
		if !ok {
			return nil, nil, fmt.Errorf("%s: line %d is no digest and name", list, n)
		}
		if _, twice := sums[name]; twice {
			return nil, nil, fmt.Errorf("%s: line %d lists %s again", list, n, safe(name))
		}
		sums[name] = sum
		order = append(order, name)
	}
	if err := lines.Err(); err != nil {
		return nil, nil, simplify(list, err)
	}
	if len(order) == 0 {
		return nil, nil, fmt.Errorf("%s: no digests to check", list)
	}
	return sums, order, nil
}
