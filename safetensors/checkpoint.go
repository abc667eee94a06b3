package safetensors

import (
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"iter"
	"maps"
	"math/bits"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
	"sync"
)

// A Checkpoint is a model in one or more files, read as one: a single file,
// the shards of an index, or a directory. Its methods, but for Close, are
// safe for concurrent use.
type Checkpoint struct {
	parts []part
	names names // of the tensors of all parts; none if there is one part, without a prefix
}

// A part is a file and what its tensors' names are preceded by.
type part struct {
	file   *File
	prefix string
	first  int // how many tensors the parts before it have
}

// named tells whether the part's i-th tensor has a name.
func (p *part) named(i int, name string) bool {
	rest, ok := strings.CutPrefix(name, p.prefix)
	return ok && p.file.h.name(&p.file.h.entries[i]) == rest
}

// names are the tensors of several parts by name, in a table of eight bytes for
// each, or little more: the names themselves are in the headers.
type names struct {
	seed  maphash.Seed
	slots []slot // as of a header; an entry counts through all parts
}

// find returns the slot of the tensor called name, or one that is free for it.
func (c *Checkpoint) find(name string) (at, hash uint32, found bool) {
	hash = uint32(maphash.String(c.names.seed, name))
	mask := uint32(len(c.names.slots) - 1)
	for at = hash & mask; c.names.slots[at].entry != 0; at = (at + 1) & mask {
		if s := c.names.slots[at]; s.hash == hash {
			if p := c.part(s); p.named(int(s.entry-1)-p.first, name) {
				return at, hash, true
			}
		}
	}
	return at, hash, false
}

// part returns the part of a slot.
func (c *Checkpoint) part(s slot) *part {
	i := sort.Search(len(c.parts), func(i int) bool { return c.parts[i].first > int(s.entry-1) })
	return &c.parts[i-1]
}

// OpenCheckpoint opens a file, an index (*.safetensors.index.json) with its
// shards, or a directory. Of a directory it reads the index if there is one,
// else all files. Variants (model.fp16.safetensors beside model.safetensors)
// and the second copy of the weights that Mistral ships
// (consolidated*.safetensors) are left out. In a diffusers directory, which
// has a model_index.json, every sub-directory is a sub-model, and its name
// and a slash precede its tensors' names.
//
// Index and shards must agree: a shard that is missing ([ErrShard]), a tensor
// that is not where the index says ([ErrIndex]), a name that leaves the
// directory ([ErrPath]) and a tensor in two files are errors. A tensor that
// the index forgot is a part of the model.
func OpenCheckpoint(name string) (*Checkpoint, error) {
	if info, err := os.Stat(name); err != nil {
		return nil, err
	} else if info.IsDir() {
		return openIn(name, ".")
	}
	dir, base := filepath.Split(name)
	return openIn(filepath.Join(dir, "."), base)
}

// openIn is OpenCheckpointFS in a directory of the system, whose name the
// files and the errors bear too.
func openIn(dir, name string) (*Checkpoint, error) {
	c, err := OpenCheckpointFS(os.DirFS(dir), name)
	if e, ok := errors.AsType[*FormatError](err); ok && e.File != "" {
		e.File = filepath.Join(dir, filepath.FromSlash(e.File))
	} else if e, ok := errors.AsType[*fs.PathError](err); ok && !filepath.IsAbs(e.Path) {
		e.Path = filepath.Join(dir, filepath.FromSlash(e.Path))
	}
	if c != nil {
		for _, p := range c.parts {
			p.file.name = filepath.Join(dir, filepath.FromSlash(p.file.name))
		}
	}
	return c, err
}

// OpenCheckpointFS is [OpenCheckpoint] for a file system. Files are read as
// [OpenFS] reads them.
func OpenCheckpointFS(fsys fs.FS, name string) (*Checkpoint, error) {
	var first *FormatError
	c, err := CheckCheckpoint(fsys, name, firstError(&first))
	if first != nil {
		return nil, first
	}
	return c, err
}

// CheckCheckpoint opens like [OpenCheckpointFS] but reports every error and
// every Note it can find, until report returns false. The Checkpoint is nil
// if there was an error. CheckCheckpoint itself fails if something cannot be
// read, or if there is nothing to read.
func CheckCheckpoint(fsys fs.FS, name string, report func(*FormatError) bool) (*Checkpoint, error) {
	o := opener{fsys: fsys, c: &Checkpoint{}}
	o.report = func(e *FormatError) {
		o.failed = o.failed || !e.isNote()
		o.stopped = o.stopped || !report(e)
	}
	err := o.open(name)
	if err == nil && !o.failed && !o.stopped {
		if err = o.merge(); err == nil && !o.failed {
			return o.c, nil
		}
	}
	o.c.Close()
	return nil, err
}

// Close closes all files.
func (c *Checkpoint) Close() error {
	var errs []error
	for _, p := range c.parts {
		errs = append(errs, p.file.Close())
	}
	return errors.Join(errs...)
}

// Files returns the open files. Their tensors have no prefixes.
func (c *Checkpoint) Files() []*File {
	files := make([]*File, len(c.parts))
	for i, p := range c.parts {
		files[i] = p.file
	}
	return files
}

// Len returns the number of tensors.
func (c *Checkpoint) Len() (n int) {
	for _, p := range c.parts {
		n += p.file.Len()
	}
	return n
}

// All returns the tensors, file by file in the order of their data. Those of one
// shape may share it, as of [File.All].
func (c *Checkpoint) All() iter.Seq[*Tensor] {
	return func(yield func(*Tensor) bool) {
		for _, p := range c.parts {
			for t := range p.file.All() {
				t.Name = p.prefix + t.Name
				if !yield(t) {
					return
				}
			}
		}
	}
}

// Tensor returns the tensor called name. If there is none the error is an
// [ErrNotFound].
func (c *Checkpoint) Tensor(name string) (*Tensor, error) {
	if len(c.names.slots) == 0 && len(c.parts) == 1 {
		t, err := c.parts[0].file.Tensor(name)
		if err == nil {
			t.Name = name
		}
		return t, err
	}
	if len(c.names.slots) > 0 {
		if at, _, ok := c.find(name); ok {
			s := c.names.slots[at]
			p := c.part(s)
			t := p.file.tensor(&p.file.h.entries[int(s.entry-1)-p.first], nil)
			t.Name = name
			return t, nil
		}
	}
	return nil, fmt.Errorf("%w: %s", ErrNotFound, quote(name))
}

// Metadata returns the metadata of all files in a new map, or nil if none has
// any. Where two files disagree the first one's value stands.
func (c *Checkpoint) Metadata() map[string]string {
	var all map[string]string
	for _, p := range slices.Backward(c.parts) {
		if m := p.file.Metadata(); all == nil {
			all = m
		} else {
			maps.Copy(all, m)
		}
	}
	return all
}

// An opener gathers the parts of a checkpoint.
type opener struct {
	fsys            fs.FS
	c               *Checkpoint
	report          func(*FormatError)
	failed, stopped bool
}

const (
	suffix      = ".safetensors"
	indexSuffix = suffix + ".index.json"
)

var (
	shardName   = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(.*[-_])(\d{5})-of-(\d{5})\.safetensors$`) })
	indexName   = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\.safetensors\.index(\.[^.]+)?\.json$`) })
	variantName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(.+)\.[^.]+\.safetensors$`) })
	variantPart = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(.+)\.[^.]+([-_])\d{5}-of-\d{5}\.safetensors$`) })
)

func (o *opener) open(name string) error {
	info, err := fs.Stat(o.fsys, name)
	switch {
	case err != nil:
		return err
	case !info.IsDir() && (indexName().MatchString(name) || strings.HasSuffix(name, ".json")):
		return o.index(name, "")
	case !info.IsDir():
		_, err := o.file(name, "")
		return err
	}
	if _, err := fs.Stat(o.fsys, path.Join(name, "model_index.json")); err == nil {
		if err := o.subModels(name); err != nil || len(o.c.parts) > 0 || o.failed {
			return err
		}
	}
	n, err := o.directory(name, "")
	if err == nil && n == 0 {
		err = &fs.PathError{Op: "open", Path: name, Err: errors.New("no safetensors files in the directory")}
	}
	return err
}

// file opens one file as a part. It returns nil if it reported an error.
func (o *opener) file(name, prefix string) (*File, error) {
	if err := regular(fs.Stat(o.fsys, name)); err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	f, err := o.fsys.Open(name)
	if err != nil {
		return nil, err
	}
	file, err := checkFile(f, name, func(e *FormatError) bool {
		o.report(e)
		return !o.stopped
	})
	if file != nil {
		o.c.parts = append(o.c.parts, part{file: file, prefix: prefix})
	}
	return file, err
}

// subModels opens the sub-directories of a diffusers directory.
func (o *opener) subModels(dir string) error {
	entries, err := fs.ReadDir(o.fsys, dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		sub := path.Join(dir, entry.Name())
		if strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		if info, err := fs.Stat(o.fsys, sub); err != nil || !info.IsDir() {
			continue
		}
		if _, err := o.directory(sub, entry.Name()+"/"); err != nil || o.stopped {
			return err
		}
	}
	return nil
}

// directory opens the model in a directory and returns how many files it
// found.
func (o *opener) directory(dir, prefix string) (int, error) {
	entries, err := fs.ReadDir(o.fsys, dir)
	if err != nil {
		return 0, err
	}
	var files, indexes []string
	for _, entry := range entries {
		switch name := entry.Name(); {
		case strings.HasPrefix(name, "."):
			// Hidden, such as what macOS and interrupted writers leave.
		case indexName().MatchString(name):
			indexes = append(indexes, name)
		case strings.HasSuffix(name, suffix):
			files = append(files, name)
		}
	}
	leave := func(name, why string) {
		o.report(&FormatError{File: path.Join(dir, name), Offset: -1, Err: NoteFile, Detail: why})
	}
	indexes = slices.DeleteFunc(indexes, func(name string) bool {
		m := indexName().FindStringSubmatchIndex(name)
		whole := name[:m[0]] + suffix
		if m[2] >= 0 && slices.Contains(files, whole) {
			leave(name, "a variant of "+whole)
			return true
		}
		return false
	})
	if len(indexes) > 0 {
		// The shortest name is the one without a variant in it.
		main := slices.MinFunc(indexes, func(a, b string) int { return len(a) - len(b) })
		for _, name := range indexes {
			if name != main {
				leave(name, "the directory has another index, "+main)
			}
		}
		before := len(o.c.parts)
		if err := o.index(path.Join(dir, main), prefix); err != nil || o.failed || o.stopped {
			return 1, err
		}
		for _, name := range files {
			if full := path.Join(dir, name); !slices.ContainsFunc(o.c.parts[before:], func(p part) bool { return p.file.name == full }) {
				leave(name, main+" does not name it")
			}
		}
		return 1, nil
	}
	all := slices.Clone(files)
	files = slices.DeleteFunc(files, func(name string) bool {
		if whole := variantOf(name, all); whole != "" {
			leave(name, "a variant of "+whole)
			return true
		}
		if strings.HasPrefix(name, "consolidated") && slices.ContainsFunc(all, func(s string) bool { return !strings.HasPrefix(s, "consolidated") }) {
			leave(name, "a second copy of the weights")
			return true
		}
		return false
	})
	o.complete(dir, files)
	for _, name := range files {
		if _, err := o.file(path.Join(dir, name), prefix); err != nil || o.stopped {
			return len(files), err
		}
	}
	return len(files), nil
}

// variantOf returns the file of all that name is a variant of, if there is
// one: model.safetensors for model.fp16.safetensors, and any shard of model
// for model.fp16-00001-of-00002.safetensors.
func variantOf(name string, all []string) string {
	if m := variantName().FindStringSubmatch(name); m != nil && slices.Contains(all, m[1]+suffix) {
		return m[1] + suffix
	}
	if m := variantPart().FindStringSubmatch(name); m != nil {
		for _, other := range all {
			if s := shardName().FindStringSubmatch(other); s != nil && s[1] == m[1]+m[2] {
				return other
			}
		}
	}
	return ""
}

// complete reports shards that the names of the others promise.
func (o *opener) complete(dir string, files []string) {
	seen := map[string]bool{}
	for _, name := range files {
		m := shardName().FindStringSubmatch(name)
		if m == nil || seen[m[1]+m[3]] {
			continue
		}
		seen[m[1]+m[3]] = true
		var total int
		fmt.Sscanf(m[3], "%d", &total) // five digits
		for i := 1; i <= total && !o.stopped; i++ {
			if want := fmt.Sprintf("%s%05d-of-%s%s", m[1], i, m[3], suffix); !slices.Contains(files, want) {
				o.report(&FormatError{File: path.Join(dir, want), Offset: -1, Err: ErrShard, Detail: "named like its neighbours"})
			}
		}
	}
}

// merge finds tensors that stand in two parts.
func (o *opener) merge() error {
	c := o.c
	if len(c.parts) == 1 && c.parts[0].prefix == "" {
		return nil
	}
	n := c.Len()
	c.names = names{maphash.MakeSeed(), make([]slot, 1<<bits.Len(uint(n+n/4)))}
	for i, first := 0, 0; i < len(c.parts); i++ {
		p := &c.parts[i]
		p.first = first
		first += p.file.Len()
	}
	for i := range c.parts {
		p := &c.parts[i]
		for n := range p.file.h.entries {
			name := p.prefix + p.file.h.name(&p.file.h.entries[n])
			at, hash, twice := c.find(name)
			if !twice {
				c.names.slots[at] = slot{hash, uint32(p.first+n) + 1}
				continue
			}
			o.report(&FormatError{File: p.file.name, Offset: -1, Tensor: name, Err: ErrDuplicate,
				Detail: "the tensor is also in " + c.part(c.names.slots[at]).file.name})
			if o.stopped {
				return nil
			}
		}
	}
	return nil
}
