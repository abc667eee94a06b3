package main

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tensmith/tensmith/describe"
	"github.com/tensmith/tensmith/safetensors"
	"github.com/tensmith/tensmith/scan"
)

func infoCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "info [flags] MODEL…",
		Short: "say what a model is, on one screen",
		Long: `Say what a model is: its kind as far as names and metadata tell, parameters,
dtypes, size, files, metadata and what is unusual about it. Parameters are
counted as the model has them: a packed 4-bit weight counts as the weights it
stands for, its scales do not count.

--json prints one document; that of several models has what each of theirs would
be in "models". With --format jsonl each is a line.

Exit status: 0 done, 2 something could not be read or is no safetensors model.`,
		Example: `  tensmith info model.safetensors
  tensmith info models/*/ --format tsv`,
		Args: args(1, -1, "MODEL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			list := []infoJSON{}
			for i, address := range args {
				if i > 0 && a.format == "human" {
					fmt.Fprintln(a.stdout)
				}
				doc, err := a.info(cmd.Context(), address)
				if err != nil {
					return err
				}
				list = append(list, doc)
			}
			return a.printInfos(list)
		},
	}
}

// An infoJSON is the document of info.
type infoJSON struct {
	Schema       string            `json:"schema,omitempty"` // not where it is one of several
	Path         string            `json:"path"`
	Kind         string            `json:"kind"`
	Evidence     string            `json:"evidence,omitempty"`
	Architecture string            `json:"architecture,omitempty"`
	Base         string            `json:"base,omitempty"`
	Packing      string            `json:"packing,omitempty"`
	Parameters   uint64            `json:"parameters"`
	Tensors      int               `json:"tensors"`
	Bytes        int64             `json:"bytes"`
	Files        []infoFile        `json:"files"`
	DTypes       []infoDType       `json:"dtypes"`
	Metadata     map[string]string `json:"metadata"`
	Findings     []checkFinding    `json:"findings"`
}

type infoFile struct {
	File       string `json:"file"`
	Bytes      int64  `json:"bytes"`
	DataOffset int64  `json:"data_offset"`
	Tensors    int    `json:"tensors"`
}

type infoDType struct {
	DType    string `json:"dtype"`
	Tensors  int    `json:"tensors"`
	Elements uint64 `json:"elements"`
	Bytes    int64  `json:"bytes"`
}

// info describes a model, and tells people at once.
func (a *app) info(ctx context.Context, address string) (infoJSON, error) {
	c, err := a.open(address)
	if err != nil {
		return infoJSON{}, err
	}
	p, err := locate(address)
	if err != nil {
		c.Close()
		return infoJSON{}, err
	}
	config, _ := fs.ReadFile(p.fsys, path.Join(path.Dir(p.name), "config.json"))
	summary := describe.Describe(c, config)
	doc := infoJSON{Schema: "tensmith.info/1", Path: address, Kind: summary.Kind, Evidence: summary.Evidence, Base: summary.Base, Architecture: summary.Architecture, Packing: summary.Packing,
		Parameters: summary.Parameters, Tensors: c.Len(), Metadata: orEmpty(c.Metadata()), DTypes: countDTypes(c)}
	for _, f := range c.Files() {
		doc.Files = append(doc.Files, infoFile{p.path(f.Name()), f.Size(), f.DataOffset(), f.Len()})
	}
	for _, d := range doc.DTypes {
		doc.Bytes += d.Bytes
	}
	// What follows opens the model once more. A million tensors are to be in memory
	// once.
	summary.Tensors = nil
	if err := c.Close(); err != nil {
		return infoJSON{}, simplify(address, err)
	}
	c = nil
	report, err := scan.Check(ctx, p.fsys, p.name)
	if err != nil {
		return infoJSON{}, p.simplify(address, err)
	}
	doc.Findings = jsonFindings(p, report.Findings, true)
	if a.format == "human" {
		err = a.printInfo(doc, summary, report)
	}
	return doc, err
}

// printInfos prints what programs read.
func (a *app) printInfos(list []infoJSON) error {
	switch a.format {
	case "json":
		if len(list) == 1 {
			return a.printJSON(list[0])
		}
		for i := range list {
			list[i].Schema = ""
		}
		return a.printJSON(struct {
			Schema string     `json:"schema"`
			Models []infoJSON `json:"models"`
		}{"tensmith.info/1", list})
	case "jsonl":
		return printLines(a, slices.Values(list))
	case "tsv":
		s := a.sheet("path", "kind", "architecture", "base", "packing", "parameters", "tensors", "bytes", "files", "dtypes", "findings")
		for _, d := range list {
			var dtypes, findings []string
			for _, t := range d.DTypes {
				dtypes = append(dtypes, t.DType)
			}
			for _, f := range d.Findings {
				findings = append(findings, f.ID)
			}
			s.row(d.Path, d.Kind, d.Architecture, d.Base, d.Packing, d.Parameters, d.Tensors, d.Bytes, len(d.Files), dtypes, slices.Compact(findings))
		}
		return s.flush()
	}
	return nil
}

func countDTypes(c *safetensors.Checkpoint) []infoDType {
	by := map[safetensors.DType]*infoDType{}
	for t := range c.All() {
		d := by[t.DType]
		if d == nil {
			d = &infoDType{DType: t.DType.String()}
			by[t.DType] = d
		}
		d.Tensors++
		d.Bytes += t.Size()
		d.Elements += uint64(t.Size()) * 8 / uint64(t.DType.Bits())
	}
	list := []infoDType{}
	for _, d := range by {
		list = append(list, *d)
	}
	slices.SortFunc(list, func(x, y infoDType) int {
		return cmp.Or(cmp.Compare(y.Bytes, x.Bytes), cmp.Compare(x.DType, y.DType))
	})
	return list
}

func (a *app) printInfo(doc infoJSON, s describe.Summary, report scan.CheckReport) error {
	width := 1000 // nothing is cut but for the eye
	if w, ok := terminal(a.stdout); ok {
		width = w
	}
	line := func(name, format string, args ...any) {
		fmt.Fprintf(a.stdout, "%s  %s\n", a.paint(dim, pad(name, 12)), fmt.Sprintf(format, args...))
	}
	fmt.Fprintln(a.stdout, a.paint(bold, harmless(doc.Path)))
	kind := doc.Kind
	if name := cmp.Or(doc.Architecture, doc.Base); name != "" {
		kind += ", " + safe(name)
	}
	line("kind", "%s", shorten(kind, width-14))
	parameters := count(doc.Parameters)
	if doc.Parameters >= 10_000 {
		parameters += fmt.Sprintf(" (%s)", group(int64(doc.Parameters)))
	}
	if doc.Packing != "" {
		parameters += ", " + doc.Packing
	}
	line("parameters", "%s", parameters)
	var dtypes []string
	for _, d := range doc.DTypes {
		part := a.paint(cyan, d.DType)
		if len(doc.DTypes) > 1 && doc.Bytes > 0 {
			part += fmt.Sprintf(" %.3g %%", 100*float64(d.Bytes)/float64(doc.Bytes))
		}
		dtypes = append(dtypes, part)
	}
	if len(dtypes) > 8 {
		dtypes = append(dtypes[:8], fmt.Sprintf("%d more", len(dtypes)-8))
	}
	if len(dtypes) > 0 {
		line("dtypes", "%s", strings.Join(dtypes, ", "))
	}
	line("tensors", "%s, %s", plural(doc.Tensors, "tensor"), size(doc.Bytes))
	if s.Layers > 0 {
		line("layers", "%d", s.Layers)
	}
	for i, c := range s.Components {
		name := ""
		if i == 0 {
			name = "components"
		}
		line(name, "%s  %s, %s parameters", safe(c.Name), c.Kind, count(c.Parameters))
	}
	if len(doc.Files) == 1 {
		f := doc.Files[0]
		line("file", "%s, data at byte %d%s", size(f.Bytes), f.DataOffset, alignment(f.DataOffset))
	} else {
		line("files", "%d", len(doc.Files))
		for _, f := range doc.Files[:min(len(doc.Files), 6)] {
			figures := size(f.Bytes) + ", " + plural(f.Tensors, "tensor")
			name := strings.TrimPrefix(f.File, strings.TrimSuffix(doc.Path, "/")+"/")
			line("", "%s  %s", shorten(harmless(name), max(20, width-16-len(figures))), figures)
		}
		if n := len(doc.Files) - 6; n > 0 {
			line("", "and %d more", n)
		}
	}
	a.printMetadata(doc.Metadata, width, line)
	for i, f := range report.Findings {
		if i == 6 {
			line("", "and %d more: `tensmith check %s`", len(report.Findings)-i, doc.Path)
			break
		}
		name := ""
		if i == 0 {
			name = "notes"
		}
		line(name, "%s %s", a.paint(yellow, f.ID), shorten(f.Message, width-20))
	}
	return nil
}

func alignment(offset int64) string {
	for _, n := range []int64{4096, 256, 64} {
		if offset%n == 0 {
			return fmt.Sprintf(" (a multiple of %d)", n)
		}
	}
	return ""
}

func (a *app) printMetadata(metadata map[string]string, width int, line func(string, string, ...any)) {
	const most = 8
	for i, key := range slices.Sorted(maps.Keys(metadata)) {
		if i == most {
			line("", "and %d more: `tensmith meta`", len(metadata)-most)
			return
		}
		name := ""
		if i == 0 {
			name = "metadata"
		}
		line(name, "%s", shorten(safe(key)+" = "+safe(metadata[key]), width-14))
	}
}
