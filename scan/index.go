package scan

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
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
	names, err := s.shardNames(f.Path, nil)
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
// sorted and each once. Of an index of millions of tensors that is little. It visits
// the tensors, too, if that is asked for.
func (s *scanner) shardNames(name string, visit func(tensor, shard string)) ([]string, error) {
	seen := map[string]bool{}
	err := s.weightMap(name, func(tensor, shard string) {
		if visit != nil {
			visit(tensor, shard)
		}
		if len(seen) < maxShardNames {
			seen[shard] = true
		}
	})
	if err != nil {
		return nil, err
	}
	names := slices.AppendSeq(make([]string, 0, len(seen)), maps.Keys(seen))
	slices.Sort(names)
	return names, nil
}

// weightMap visits the tensors that an index in the place lists, and the files
// that it says they are in.
func (s *scanner) weightMap(name string, visit func(tensor, shard string)) error {
	f, err := s.fsys.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	d := newJSONTokens(io.LimitReader(f, maxJSON))
	depth, key, tensor := 0, "", "" // the last of the outermost object, and of the map
	within, done := false, false    // the map is open; the object is not
	for range maxTokens {
		kind, text, err := d.next()
		if err == io.EOF && depth == 0 {
			return nil
		}
		if err != nil {
			return err
		}
		if done {
			return errors.New("something behind the object")
		}
		switch {
		case kind == '}' || kind == ']':
			depth--
			within = within && depth > 1
			done = depth == 0
			continue
		case kind == 'k':
			switch depth {
			case 1:
				key = text
			case 2:
				tensor = text
			}
			continue
		case depth == 0 && kind != '{':
			return errors.New("no object")
		case depth == 1 && key == "weight_map" && kind != '{' && kind != 'n':
			return errors.New("the weight_map is no object")
		case depth == 2 && within && kind == '"':
			visit(tensor, text)
		}
		if kind == '{' || kind == '[' {
			if depth++; depth == 2 {
				within = kind == '{' && key == "weight_map"
			}
		}
	}
	return fmt.Errorf("more than %d words", maxTokens)
}
