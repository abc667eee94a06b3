package convert

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/tensmith/tensmith/convert/torch"
	"github.com/tensmith/tensmith/safetensors"
)

// ErrUnknown is the cause of an error about a file that is no model, or of a
// format that there is no importer for.
var ErrUnknown = errors.New("cannot be converted")

// Options are the options of the formats, each under its own name.
type Options struct {
	Torch torch.Options
}

// importers say which package opens what [Detect] finds.
var importers = map[Format]func(fsys fs.FS, name string, opts *Options) (*File, error){
	Safetensors: openSafetensors,
	TorchLegacy: openTorch,
	Pickle:      openTorch,
	Zip:         openTorch,
	Tar:         openTorch,
	NPY:         openTorch,
	Gzip:        openTorch,
	Bzip2:       openTorch,
	XZ:          openTorch,
	Zlib:        openTorch,
	Zstd:        openTorch,
	LZ4:         openTorch,
}

// Open opens a model of any known format: a file, a directory, or an index of
// several files (*.index.json). The error is an [ErrUnknown] for what is no model
// of such a format, and names the place for one that is malformed, dangerous or
// has no safetensors form: [torch.Error]. Entries are read from the files
// when they are written, so these stay open until Close.
func Open(fsys fs.FS, name string, opts *Options) (*File, error) {
	if opts == nil {
		opts = &Options{}
	}
	info, err := fs.Stat(fsys, name)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return openDirectory(fsys, name, opts)
	}
	format, head, err := detectFile(fsys, name, info.Size())
	if err != nil {
		return nil, err
	}
	open := importers[format]
	switch {
	case format == JSON && strings.HasSuffix(name, ".json"):
		open = openIndex
	case format == Unknown && bytes.HasPrefix(head, []byte("\x5d\x00\x00")):
		open = openTorch // lzma, of joblib
	}
	if open == nil {
		return nil, &fs.PathError{Op: "convert", Path: name, Err: fmt.Errorf("%w: it is %s", ErrUnknown, format)}
	}
	return open(fsys, name, opts)
}

// detectFile asks Detect about a file whether or not it can be read at
// offsets.
func detectFile(fsys fs.FS, name string, size int64) (Format, []byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return Unknown, nil, err
	}
	defer f.Close()
	head := make([]byte, min(max(size, 0), 4096))
	n, err := io.ReadFull(f, head)
	if err != nil && err != io.ErrUnexpectedEOF && err != io.EOF {
		return Unknown, nil, err
	}
	head = head[:n]
	format, err := Detect(headReader{head}, size)
	return format, head, err
}

// A headReader has the beginning of a file.
type headReader struct{ head []byte }

func (r headReader) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(r.head).ReadAt(p, off)
}

func openDirectory(fsys fs.FS, name string, opts *Options) (*File, error) {
	list, err := fs.ReadDir(fsys, name)
	if err != nil {
		return nil, err
	}
	for _, e := range list {
		if e.Name() == ".metadata" || strings.HasSuffix(e.Name(), ".bin.index.json") && !slices.ContainsFunc(list, isSafetensors) {
			return openTorch(fsys, name, opts)
		}
	}
	if slices.ContainsFunc(list, isSafetensors) {
		if sliced(fsys, name, list) {
			return openTorch(fsys, name, opts)
		}
	} else if isDeepSpeed(fsys, name, list) {
		return openTorch(fsys, name, opts)
	}
	if !slices.ContainsFunc(list, isSafetensors) && !slices.ContainsFunc(list, func(e fs.DirEntry) bool { return e.Name() == "model_index.json" }) {
		return openOnly(fsys, name, list, opts)
	}
	return openSafetensors(fsys, name, opts)
}

// openOnly opens the one checkpoint among the files of a directory.
func openOnly(fsys fs.FS, name string, list []fs.DirEntry, opts *Options) (*File, error) {
	var found []string
	for _, e := range list {
		full := path.Join(name, e.Name())
		info, err := fs.Stat(fsys, full)
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		switch format, _, err := detectFile(fsys, full, info.Size()); {
		case err != nil:
			return nil, err
		case format == TorchLegacy || format == Zip || format == Pickle || format == Tar:
			found = append(found, full)
		}
	}
	switch len(found) {
	case 0:
		return nil, &fs.PathError{Op: "convert", Path: name, Err: fmt.Errorf("%w: it is a directory without a model", ErrUnknown)}
	case 1:
		return Open(fsys, found[0], opts)
	}
	return nil, &fs.PathError{Op: "convert", Path: name, Err: fmt.Errorf("%w: it is a directory of several checkpoints, such as %s and %s: name one", ErrUnknown, path.Base(found[0]), path.Base(found[1]))}
}

func isSafetensors(e fs.DirEntry) bool {
	return strings.HasSuffix(e.Name(), ".safetensors") || strings.HasSuffix(e.Name(), ".safetensors.index.json")
}

// isDeepSpeed tells whether a directory is a checkpoint of DeepSpeed's ZeRO, or
// has the file that names one below it.
func isDeepSpeed(fsys fs.FS, name string, list []fs.DirEntry) bool {
	states := func(e fs.DirEntry) bool {
		return strings.HasSuffix(e.Name(), "_optim_states.pt") || strings.HasSuffix(e.Name(), "_model_states.pt")
	}
	for _, e := range list {
		if e.Name() != "latest" || !e.Type().IsRegular() {
			continue
		}
		info, err := e.Info()
		if err != nil || info.Size() > 1<<10 {
			continue
		}
		tag, err := fs.ReadFile(fsys, path.Join(name, e.Name()))
		if step := strings.TrimSpace(string(tag)); err == nil && fs.ValidPath(step) {
			below, err := fs.ReadDir(fsys, path.Join(name, step))
			return err == nil && slices.ContainsFunc(below, states)
		}
	}
	return slices.ContainsFunc(list, states)
}

// slicesKey is the metadata in which torch.distributed.checkpoint says which
// slices of tensors a file holds.
const slicesKey = "DCP_SHARDING_INFO"

// sliced tells whether the files hold slices that are to be put together. An
// index says that they hold whole tensors.
func sliced(fsys fs.FS, name string, list []fs.DirEntry) bool {
	for _, e := range list {
		if strings.HasSuffix(e.Name(), ".index.json") || e.Name() == "model_index.json" {
			return false
		}
	}
	for _, e := range list {
		if !strings.HasSuffix(e.Name(), ".safetensors") {
			continue
		}
		f, err := safetensors.OpenFS(fsys, path.Join(name, e.Name()))
		if err != nil {
			return false // what is wrong, the reader of all of them says
		}
		_, ok := f.Metadata()[slicesKey]
		f.Close()
		if ok {
			return true
		}
	}
	return false
}

// openIndex opens an index by the files that it names.
func openIndex(fsys fs.FS, name string, opts *Options) (*File, error) {
	text, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, err
	}
	var index struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	if json.Unmarshal(text, &index) != nil || len(index.WeightMap) == 0 {
		return nil, &fs.PathError{Op: "convert", Path: name, Err: fmt.Errorf("%w: it is %s, and no index of weights", ErrUnknown, JSON)}
	}
	for _, file := range index.WeightMap {
		if strings.HasSuffix(file, ".safetensors") {
			return openSafetensors(fsys, name, opts)
		}
	}
	return openTorch(fsys, name, opts)
}

// A Note is something about the conversion that a person may want to know.
type Note struct {
	Kind   string `json:"kind"`             // alias, copy, cast, container, …: words that will not change
	Tensor string `json:"tensor,omitempty"` // the tensor it is about, if it is about one
	Other  string `json:"other,omitempty"`  // for an alias the tensor that was kept
	Text   string `json:"text"`
}

// A Skipped is a part of the input that has no place in the output.
type Skipped struct {
	Path    string `json:"path"`
	Kind    string `json:"kind"`
	Tensors int    `json:"tensors"`
	Bytes   int64  `json:"bytes"`
}

// A Finding is something in the input that is not known to be harmless.
type Finding struct {
	Place   string `json:"place"`
	Name    string `json:"name"`
	Verdict string `json:"verdict"` // suspicious or dangerous
	Why     string `json:"why"`
}

// A File is an open model of any format.
type File struct {
	Format   string // as the importer calls it, such as "torch-zip" or "torch-legacy in gzip"
	Root     string // path within the file of what holds the weights; "" for all of it
	Verdict  string // allowed, suspicious or dangerous: the worst of the findings
	Metadata map[string]string
	Entries  []safetensors.Entry // in the order of the file
	Notes    []Note
	Skipped  []Skipped
	Findings []Finding

	// ShardSize is the size in bytes of the largest file of a model that came
	// in several, else 0.
	ShardSize int64

	name  string
	close func() error
}

// Close closes the file. The entries cannot be read any more.
func (f *File) Close() error { return f.close() }

func openTorch(fsys fs.FS, name string, opts *Options) (*File, error) {
	t, err := torch.Open(fsys, name, &opts.Torch)
	if err != nil {
		return nil, err
	}
	kind, wrap := t.Container()
	f := &File{Format: kind, Root: t.Root(), Verdict: t.Verdict().String(), Metadata: t.Metadata(), Entries: t.Entries(),
		ShardSize: t.ShardSize(), name: name, close: t.Close}
	if wrap != "" {
		f.Format += " in " + wrap
	}
	for _, n := range t.Notes() {
		f.Notes = append(f.Notes, Note(n))
	}
	for _, l := range t.LeftOut() {
		f.Skipped = append(f.Skipped, Skipped(l))
	}
	for _, x := range t.Findings() {
		f.Findings = append(f.Findings, Finding{x.Place, x.Name, x.Verdict.String(), x.Why})
	}
	return f, nil
}

// openSafetensors opens what needs no conversion, to cut or cast it.
func openSafetensors(fsys fs.FS, name string, _ *Options) (*File, error) {
	c, err := safetensors.OpenCheckpointFS(fsys, name)
	if err != nil {
		return nil, err
	}
	f := &File{Format: string(Safetensors), Verdict: "allowed", Metadata: maps.Clone(c.Metadata()), name: name, close: c.Close}
	for t := range c.All() {
		f.Entries = append(f.Entries, safetensors.Entry{Info: t.Info, Data: t})
	}
	if info, err := fs.Stat(fsys, name); err == nil && !info.IsDir() && f.Metadata[slicesKey] != "" {
		f.Notes = append(f.Notes, Note{Kind: "container", Text: "its tensors may be slices of those of the model: the directory it is in has all of them"})
	}
	if files := c.Files(); len(files) > 1 {
		for _, file := range files {
			f.ShardSize = max(f.ShardSize, file.Size()-file.DataOffset())
		}
	}
	return f, nil
}
