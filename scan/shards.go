package scan

import (
	"context"
	"errors"
	"path"

	"github.com/tensmith/tensmith/safetensors"
)

var (
	shardIndex = regular(`\.safetensors\.index(\.[^.]+)?\.json$`)
	shardName  = regular(`^(.*[-_])\d{5}(-of-\d{5})\.safetensors$`)
)

// maxShards is how many files of a model are open at a time. The largest
// models that are published have some 200.
const maxShards = 512

// models are the safetensors files of the place, those of one model together:
// what an index names, and what the names of shards say. An index that is wrong
// in part binds what it names all the same, and what two of them name is one.
func (s *scanner) models() [][]*File {
	byPath := s.byPath()
	parent := map[*File]*File{} // towards one file that stands for the model
	root := func(f *File) *File {
		for parent[f] != nil {
			if up := parent[parent[f]]; up != nil {
				parent[f] = up // halves the way for those who come next
			}
			f = parent[f]
		}
		return f
	}
	bind := func(a, b *File) {
		if a, b = root(a), root(b); a != b {
			parent[b] = a
		}
	}
	named := map[string]*File{}
	for i := range s.files {
		f := &s.files[i]
		if shardIndex().MatchString(f.Path) {
			var first *File
			for _, name := range s.indexed(f, byPath) {
				shard := s.target(byPath[path.Join(path.Dir(f.Path), name)], byPath)
				switch {
				case shard == nil || shard.Format != "safetensors":
				case first == nil:
					first = shard
				default:
					bind(first, shard)
				}
			}
		}
		m := shardName().FindStringSubmatch(f.Path)
		shard := s.target(f, byPath)
		if m == nil || shard == nil || shard.Format != "safetensors" {
			continue
		}
		if key := m[1] + m[2]; named[key] == nil {
			named[key] = shard
		} else {
			bind(named[key], shard)
		}
	}
	at := map[*File]int{}
	var models [][]*File
	for i := range s.files { // which are sorted
		f := &s.files[i]
		if f.Format != "safetensors" {
			continue
		}
		r := root(f)
		n, ok := at[r]
		if !ok || len(models[n]) == maxShards {
			n = len(models)
			at[r] = n
			models = append(models, nil)
		}
		models[n] = append(models[n], f)
	}
	return models
}

// indexed returns the names of the files that an index names, each once.
func (s *scanner) indexed(f *File, byPath map[string]*File) []string {
	text := s.target(f, byPath)
	if text == nil || text.Format != "json" {
		return nil
	}
	names, err := s.shardNames(text.Path, nil)
	if err != nil {
		return nil // told where the index was judged
	}
	return names
}

// values reads the numbers of all safetensors files, one model after the other,
// for each is read by all workers.
func (s *scanner) values(ctx context.Context) {
	models := s.models()
	for _, files := range models {
		for _, f := range files {
			s.total += f.Size
		}
	}
	for _, files := range models {
		if ctx.Err() != nil {
			return
		}
		s.model(ctx, files)
	}
}

// model reads the numbers of the files of one model.
func (s *scanner) model(ctx context.Context, files []*File) {
	var parts []*safetensors.Checkpoint
	byName := map[string]*File{}
	for _, f := range files {
		c, err := safetensors.OpenCheckpointFS(s.fsys, f.Path)
		if err != nil {
			if _, ok := errors.AsType[*safetensors.FormatError](err); !ok { // which was reported
				f.Findings = append(f.Findings, trouble(f.Path, err))
			}
			continue
		}
		defer c.Close()
		parts = append(parts, c)
		for _, open := range c.Files() {
			byName[open.Name()] = f
		}
	}
	if len(parts) == 0 {
		return
	}
	// Without it, packed weights are told by their names alone.
	config, _ := s.small(path.Join(path.Dir(files[0].Path), "config.json"))
	before := int64(0)
	report, err := valuesOf(ctx, parts, ValueOptions{Config: config, Jobs: s.opts.Jobs, Progress: func(read int64) {
		s.step(read - before)
		before = read
	}})
	for _, finding := range report.Findings {
		if finding.Severity == Error {
			finding.Severity = Suspicious
		}
		f := byName[finding.File]
		finding.File = f.Path
		f.Findings = append(f.Findings, finding)
	}
	files[0].Dropped += report.Dropped
	switch {
	case err == nil || ctx.Err() != nil:
	case len(files) == 1:
		files[0].Findings = append(files[0].Findings, trouble(files[0].Path, err))
	default:
		// One of them cannot be read, which is no reason to judge none.
		for i := range files {
			s.model(ctx, files[i:i+1])
		}
	}
}
