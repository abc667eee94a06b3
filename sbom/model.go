package sbom

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"

	"github.com/tensmith/tensmith/describe"
	"github.com/tensmith/tensmith/safetensors"
)

// Options say what a bill has besides what the files tell. The zero value is a
// bill of the files alone.
type Options struct {
	// Name is what the model is called; if empty it is the repository's name,
	// or else what the card calls it, or the name of the file or folder.
	Name    string
	Folder  string // name of the folder, where the file system does not tell
	Version string // if empty, the commit

	// Repo and Commit are those of the Hugging Face Hub, if it comes from there:
	// see Hub.
	Repo, Commit string

	// Source is what the model was made from, such as the pickle that was
	// converted; nil if that is not known.
	Source *Source

	Hashes []string  // besides sha256: blake2b, blake3
	Time   time.Time // when the bill was made; the zero time leaves it out
	Serial string    // urn:uuid:…, or empty for none
	Tool   string    // version of the program

	Jobs     int // files that are read at once; 0 is 1
	Progress func(done, total int64)
}

// A Source is a file that a model was made from.
type Source struct {
	Name   string
	SHA256 string
}

// Make looks at a model, as [safetensors.OpenCheckpointFS] opens it, and at the
// README.md and config.json beside it.
func Make(ctx context.Context, fsys fs.FS, name string, opts Options) (*cdx.BOM, error) {
	c, err := safetensors.OpenCheckpointFS(fsys, name)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	dir := path.Dir(path.Clean(name))
	if info, err := fs.Stat(fsys, name); err == nil && info.IsDir() {
		dir = path.Clean(name)
	}
	m := model{fsys: fsys, dir: dir, opts: &opts}
	if err := m.read(c); err != nil {
		return nil, err
	}
	if err := digests(ctx, fsys, m.parts, &opts); err != nil {
		return nil, err
	}
	bom := cdx.NewBOM()
	bom.SpecVersion, bom.JSONSchema = cdx.SpecVersion1_6, "http://cyclonedx.org/schema/bom-1.6.schema.json"
	bom.SerialNumber = opts.Serial
	bom.Metadata = &cdx.Metadata{
		Component: m.component(name),
		Tools:     &cdx.ToolsChoice{Components: &[]cdx.Component{{Type: cdx.ComponentTypeApplication, Name: "tensmith", Version: opts.Tool}}},
	}
	if !opts.Time.IsZero() {
		bom.Metadata.Timestamp = opts.Time.UTC().Format(time.RFC3339)
	}
	return bom, nil
}

// Write writes a bill as JSON.
func Write(w io.Writer, bom *cdx.BOM) error {
	e := cdx.NewBOMEncoder(w, cdx.BOMFileFormatJSON)
	e.SetPretty(true)
	e.SetEscapeHTML(false)
	return e.EncodeVersion(bom, cdx.SpecVersion1_6)
}

// A model is what was found out about one.
type model struct {
	fsys    fs.FS
	dir     string
	opts    *Options
	parts   []*part
	tensors map[string]int // by name of the file
	card    card
	config  struct {
		Architectures names  `json:"architectures"`
		Type          string `json:"model_type"`
	}
	summary describe.Summary
	dtypes  map[string]uint64 // elements
	count   int
	bytes   int64
}

const maxConfig = 16 << 20

// read takes in everything but the digests.
func (m *model) read(c *safetensors.Checkpoint) error {
	m.tensors, m.dtypes, m.count = map[string]int{}, map[string]uint64{}, c.Len()
	for _, f := range c.Files() {
		m.parts = append(m.parts, &part{name: f.Name(), size: f.Size()})
		m.tensors[f.Name()] = f.Len()
		if index := indexOf(f.Name()); index != "" {
			if err := m.beside(index); err != nil {
				return err
			}
		}
	}
	for t := range c.All() {
		m.dtypes[t.DType.String()] += uint64(t.Size()) * 8 / uint64(t.DType.Bits())
		m.bytes += t.Size()
	}
	var config []byte
	for _, beside := range []string{"config.json", "adapter_config.json", "model_index.json"} {
		text, err := m.text(beside, maxConfig)
		if err != nil {
			return err
		}
		if text != nil && config == nil {
			config = text
		}
	}
	if config != nil {
		// A config that makes no sense says nothing.
		if err := json.Unmarshal(config, &m.config); err != nil {
			m.config.Architectures, m.config.Type = nil, ""
		}
	}
	m.summary = describe.Describe(c, config)
	text, err := m.text("README.md", maxCard)
	if err != nil {
		return err
	}
	if m.card, err = parseCard(text); err != nil {
		return fmt.Errorf("%s: %w", path.Join(m.dir, "README.md"), err)
	}
	return nil
}

// names are strings of JSON, or nothing.
type names []string

// UnmarshalJSON implements json.Unmarshaler.
func (w *names) UnmarshalJSON(text []byte) error {
	var list []string
	if json.Unmarshal(text, &list) == nil {
		*w = list
	}
	return nil
}

// indexOf is the name of the index that a shard belongs to, if it is one.
func indexOf(shard string) string {
	i := strings.LastIndex(shard, "-of-")
	if i < 6 || !strings.HasSuffix(shard, ".safetensors") {
		return ""
	}
	return path.Base(shard[:i-6]) + ".safetensors.index.json"
}

// beside adds a file to the parts, if there is one.
func (m *model) beside(name string) error {
	name = path.Join(m.dir, name)
	if slices.ContainsFunc(m.parts, func(p *part) bool { return p.name == name }) {
		return nil
	}
	info, err := fs.Stat(m.fsys, name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return nil
	}
	if err != nil {
		return err
	}
	m.parts = append(m.parts, &part{name: name, size: info.Size()})
	return nil
}

// text reads the beginning of a file beside the model, and adds it to the parts.
func (m *model) text(name string, most int64) ([]byte, error) {
	before := len(m.parts)
	if err := m.beside(name); err != nil || len(m.parts) == before {
		return nil, err
	}
	f, err := m.fsys.Open(path.Join(m.dir, name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, most))
}

// component is the model itself.
func (m *model) component(name string) *cdx.Component {
	o := m.opts
	c := &cdx.Component{
		BOMRef: "model", Type: cdx.ComponentTypeMachineLearningModel, Version: cmp.Or(o.Version, o.Commit),
		Name:     cmp.Or(o.Name, o.Repo[strings.LastIndex(o.Repo, "/")+1:], m.card.Name, m.baseName(name)),
		Licenses: m.card.licenses(), ModelCard: &cdx.MLModelCard{ModelParameters: m.parameters()},
		Properties: m.properties(), Components: m.files(), Pedigree: m.pedigree(),
	}
	if len(m.card.Tags) > 0 {
		tags := []string(m.card.Tags)
		c.Tags = &tags
	}
	if o.Repo != "" {
		if owner, _, ok := strings.Cut(o.Repo, "/"); ok {
			c.Group = owner
		}
		c.PackageURL = purl(o.Repo, o.Commit)
		at := ""
		if o.Commit != "" {
			at = "/tree/" + o.Commit
		}
		c.ExternalReferences = &[]cdx.ExternalReference{{Type: cdx.ERTypeDistribution, URL: "https://huggingface.co/" + o.Repo + at}}
	}
	// The digest of a model in one file is the file's. One in several has none:
	// CycloneDX knows digests of bytes alone.
	if len(m.tensors) == 1 {
		c.Hashes = &m.parts[0].hashes
	}
	return c
}

// baseName is what a model is called that says nothing of itself.
func (m *model) baseName(name string) string {
	base := path.Base(name)
	switch {
	case strings.HasSuffix(base, ".safetensors"):
		return strings.TrimSuffix(base, ".safetensors")
	case m.dir != ".":
		return path.Base(m.dir)
	}
	return cmp.Or(m.opts.Folder, "model")
}

func (m *model) parameters() *cdx.MLModelParameters {
	p := &cdx.MLModelParameters{Task: m.card.Task, ArchitectureFamily: m.config.Type}
	if len(m.config.Architectures) > 0 {
		p.ModelArchitecture = m.config.Architectures[0]
	} else {
		p.ModelArchitecture = m.summary.Architecture
	}
	if len(m.card.Datasets) > 0 {
		p.Datasets = &[]cdx.MLDatasetChoice{}
		for _, name := range m.card.Datasets {
			data := &cdx.ComponentData{Type: cdx.ComponentDataTypeDataset, Name: name}
			if hubID().MatchString(name) {
				data.Contents = &cdx.ComponentDataContents{URL: "https://huggingface.co/datasets/" + name}
			}
			*p.Datasets = append(*p.Datasets, cdx.MLDatasetChoice{ComponentData: data})
		}
	}
	return p
}

func (m *model) properties() *[]cdx.Property {
	var list []cdx.Property
	add := func(name, value string) {
		if value != "" {
			list = append(list, cdx.Property{Name: "tensmith:" + name, Value: value})
		}
	}
	add("parameters", strconv.FormatUint(m.summary.Parameters, 10))
	add("elements", strconv.FormatUint(m.summary.Stored, 10))
	add("tensors", strconv.Itoa(m.count))
	add("bytes", strconv.FormatInt(m.bytes, 10))
	for _, dtype := range slices.Sorted(maps.Keys(m.dtypes)) {
		add("dtype:"+dtype, strconv.FormatUint(m.dtypes[dtype], 10))
	}
	if m.summary.Kind != "unknown" {
		add("kind", m.summary.Kind)
	}
	add("packing", m.summary.Packing)
	add("library", m.card.Library)
	add("base-model-relation", m.card.Relation)
	for _, language := range m.card.Language {
		add("language", language)
	}
	return &list
}

// files are the components of the files, in the order of their names.
func (m *model) files() *[]cdx.Component {
	list := []cdx.Component{}
	for _, p := range slices.SortedFunc(slices.Values(m.parts), func(x, y *part) int { return strings.Compare(x.name, y.name) }) {
		name := p.name
		if m.dir != "." {
			name = strings.TrimPrefix(name, m.dir+"/")
		}
		properties := []cdx.Property{{Name: "tensmith:bytes", Value: strconv.FormatInt(p.size, 10)}}
		c := cdx.Component{BOMRef: "file:" + name, Type: cdx.ComponentTypeFile, Name: name, Hashes: &p.hashes, Properties: &properties}
		if n, ok := m.tensors[p.name]; ok {
			properties = append(properties, cdx.Property{Name: "tensmith:tensors", Value: strconv.Itoa(n)})
		}
		list = append(list, c)
	}
	return &list
}

// pedigree is what the model comes from: what it was converted from, and the
// models that its card names.
func (m *model) pedigree() *cdx.Pedigree {
	var ancestors []cdx.Component
	if s := m.opts.Source; s != nil {
		ancestors = append(ancestors, cdx.Component{Type: cdx.ComponentTypeFile, Name: s.Name, Hashes: &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: s.SHA256}}})
	}
	for _, base := range m.card.BaseModel {
		c := cdx.Component{Type: cdx.ComponentTypeMachineLearningModel, Name: base}
		if hubID().MatchString(base) {
			if owner, name, ok := strings.Cut(base, "/"); ok {
				c.Group, c.Name = owner, name
			}
			c.PackageURL = purl(base, "")
		}
		ancestors = append(ancestors, c)
	}
	if len(ancestors) == 0 {
		return nil
	}
	return &cdx.Pedigree{Ancestors: &ancestors}
}
