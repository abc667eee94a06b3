package scan

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// maxShardNames is how many files of an index are kept. The largest models that
// are published have some 200.
const maxShardNames = 50_000

// indexAlone tells what an index names that its model cannot have, where it is
// scanned by itself. What is beside it was not scanned, so that it is only looked
// up whether it is there.
func (s *scanner) indexAlone(f *File) {
	if f.Format != "json" || !strings.HasSuffix(f.Path, ".index.json") {
		return
	}
	names, err := s.shardNames(f.Path)
	if err != nil {
		return // settings of something else
	}
	for _, name := range names {
		if len(f.Findings) >= maxKept {
			return
		}
		if leaves(name) {
			f.add("ST506", -1, name, fmt.Sprintf("names %+q, which is outside of its directory", clip(name, 80)))
		} else if _, err := fs.Stat(s.fsys, path.Join(path.Dir(f.Path), name)); errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
			f.add("ST506", -1, name, fmt.Sprintf("names %+q, which is not there", clip(name, 80)))
		}
	}
}

// shardNames returns the names of the files that an index in the place names,
// sorted and each once. Of an index of millions of tensors that is little.
func (s *scanner) shardNames(name string) ([]string, error) {
	f, err := s.fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	d := newJSONTokens(io.LimitReader(f, maxJSON))
	seen := map[string]bool{}
	depth, key := 0, ""          // the last of the outermost object
	within, done := false, false // the map is open; the object is not
	for range maxTokens {
		kind, text, err := d.next()
		if err == io.EOF && depth == 0 {
			names := make([]string, 0, len(seen))
			for name := range seen {
				names = append(names, name)
			}
			slices.Sort(names)
			return names, nil
		}
		if err != nil {
			return nil, err
		}
		if done {
			return nil, errors.New("something behind the object")
		}
		switch {
		case kind == '}' || kind == ']':
			depth--
			within = within && depth > 1
			done = depth == 0
			continue
		case kind == 'k':
			if depth == 1 {
				key = text
			}
			continue
		case depth == 0 && kind != '{':
			return nil, errors.New("no object")
		case depth == 1 && key == "weight_map" && kind != '{' && kind != 'n':
			return nil, errors.New("the weight_map is no object")
		case depth == 2 && within && kind == '"' && len(seen) < maxShardNames:
			seen[text] = true
		}
		if kind == '{' || kind == '[' {
			if depth++; depth == 2 {
				within = kind == '{' && key == "weight_map"
			}
		}
	}
	return nil, fmt.Errorf("more than %d words", maxTokens)
}
