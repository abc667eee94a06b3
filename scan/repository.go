package scan

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"path"
	"strings"
)

// repository looks at what the files of a directory are to each other.
func (s *scanner) repository(ctx context.Context) {
	byPath := s.byPath()
	s.bundles(ctx, byPath)
	s.external(byPath)
	folders := map[string][]*File{}
	for i := range s.files {
		f := &s.files[i]
		folders[path.Dir(f.Path)] = append(folders[path.Dir(f.Path)], f)
	}
	for i := range s.files {
		f := &s.files[i]
		if !strings.HasSuffix(f.Path, ".index.json") {
			continue
		}
		if text := s.target(f, byPath); text != nil && text.Format == "json" {
			s.index(f, text.Path, byPath)
		}
	}
	for _, files := range folders {
		s.pickles(files, byPath)
	}
}

func (f *File) add(id string, offset int64, name, message string) {
	rule, err := Explain(id)
	if err != nil {
		panic(err) // as in trace.add
	}
	f.Findings = append(f.Findings, Finding{ID: id, Severity: rule.Severity, File: f.Path, Offset: offset, Name: clip(name, 200), Message: clip(message, 500)})
}

// index compares the index of a model with the files beside it. The index may be
// a link, and what it names beside the link; its text is at another place then.
func (s *scanner) index(f *File, at string, byPath map[string]*File) {
	tensors := listing{seed: maphash.MakeSeed()}
	names, err := s.shardNames(at, tensors.add)
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return // the scan of the file has told
	}
	if err != nil {
		why := err.Error()
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			why = "it ends too soon"
		}
		f.add("ST506", -1, "", "the index is not what one is: "+why)
		return
	}
	safe := strings.HasSuffix(f.Path, ".safetensors.index.json")
	for _, name := range names {
		if len(f.Findings) >= maxKept {
			break
		}
		there := byPath[path.Join(path.Dir(f.Path), name)]
		target := s.target(there, byPath)
		shown := fmt.Sprintf("%+q", clip(name, 80))
		switch {
		case leaves(name):
			f.add("ST506", -1, name, "names "+shown+", which is outside of its directory")
		case there == nil:
			f.add("ST506", -1, name, "names "+shown+", which is not there")
		case safe && target != nil && target.Format == "": // it could not be read, which it says itself
		case safe && target != nil && target.Format != "safetensors":
			f.add("ST506", -1, name, fmt.Sprintf("names %s, which is no safetensors file but %s", shown, target.Format))
		}
	}
	s.tensors(f, at, names, &tensors, byPath)
}

// small reads a file of the place that is short: the settings of a model, or an index,
// of which those of 300,000 tensors are.
func (s *scanner) small(name string) ([]byte, error) {
	const most = 32 << 20
	f, err := s.fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > most {
		return nil, errors.New("too long")
	}
	text := make([]byte, max(info.Size(), 0))
	_, err = io.ReadFull(f, text)
	return text, err
}

// pickles notes those that lie beside weights in safetensors.
func (s *scanner) pickles(files []*File, byPath map[string]*File) {
	safe := false
	formats := make([]string, len(files))
	for i, f := range files {
		if f = s.target(f, byPath); f != nil {
			formats[i], _, _ = strings.Cut(f.Format, " in ")
			safe = safe || f.Format == "safetensors"
		}
	}
	if !safe {
		return
	}
	for i, f := range files {
		format := formats[i]
		switch format {
		case "pickle", "torch-zip", "torch-legacy", "torch-tar", "joblib":
			switch path.Base(f.Path) {
			case "training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth", "scaler.pt":
				continue // no copy of the weights
			}
			f.add("ST505", -1, "", "a pickle beside weights in safetensors")
		}
	}
}

// maxNeeds is how many names of other files are kept of one.
const maxNeeds = 1000

// need remembers a file that this one asks for, which whoever knows the
// directory looks for. Of what lies in an archive it cannot be told.
func (t *trace) need(at place, name string) {
	name = path.Clean(name)
	if at.depth > 0 || len(t.spent.needs) == maxNeeds || len(name) > 4096 || t.spent.needed[name] || leaves(name) {
		return
	}
	if t.spent.needed == nil {
		t.spent.needed = map[string]bool{}
	}
	t.spent.needed[name] = true
	t.spent.needs = append(t.spent.needs, name)
}
