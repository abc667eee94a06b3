package scan

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"unicode/utf8"
)

// special names what is neither a file nor a directory nor a link.
func special(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	case mode&fs.ModeDevice != 0:
		return "a device"
	}
	return "no regular file: " + mode.String()
}

func trouble(name string, err error) Finding {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	if !utf8.ValidString(name) {
		// Package fs takes no such name, and says only that it is invalid.
		err = errors.New("the name is no UTF-8, so the file was not opened: rename it")
	}
	return Finding{ID: "ST401", Severity: Error, File: name, Offset: -1, Message: err.Error()}
}

// link judges a symbolic link. What it leads to is scanned where it lies, if
// that is in the place that is scanned.
func (s *scanner) link(root, name string) {
	target, err := fs.ReadLink(s.fsys, name)
	f := File{Path: name, Format: "link"}
	if err == nil {
		if s.links == nil {
			s.links = map[string]string{}
		}
		s.links[name] = path.Join(path.Dir(name), target)
	}
	switch {
	case err != nil:
		f.Findings = []Finding{trouble(name, err)}
	case path.IsAbs(target) || strings.Contains(target, `\`) || climbs(target) || !within(root, path.Join(path.Dir(name), target)):
		f.Findings = []Finding{{ID: "ST510", Severity: Suspicious, File: name, Offset: -1, Name: clip(target, 120),
			Message: fmt.Sprintf("a link to %+q, outside of what is scanned; it was not followed", clip(target, 120))}}
	}
	s.files = append(s.files, f)
}

// within tells whether a cleaned path lies below root.
func within(root, name string) bool {
	if root == "." {
		return name != ".." && !strings.HasPrefix(name, "../")
	}
	return name == root || strings.HasPrefix(name, root+"/")
}

// climbs tells whether a target goes up again from a folder that it names: if
// that folder is a link itself, nobody can tell from the words where it ends.
func climbs(target string) bool {
	down := false
	for part := range strings.SplitSeq(target, "/") {
		switch part {
		case "", ".":
		case "..":
			if down {
				return true
			}
		default:
			down = true
		}
	}
	return false
}

// maxHops is how many links in a row are followed by name, as Linux has it.
const maxHops = 40

// target is the file that a file of the place stands for: itself, or what a
// link leads to, if that was scanned.
func (s *scanner) target(f *File, byPath map[string]*File) *File {
	for range maxHops {
		if f == nil || f.Format != "link" {
			return f
		}
		to, ok := s.links[f.Path]
		if !ok {
			return nil
		}
		f = byPath[to]
	}
	return nil
}

// linked tells of links what was found where they lead, for it is their names
// that people and loaders know: in the cache of Hugging Face all files but
// links are called after their digests.
func (s *scanner) linked() {
	var byPath map[string]*File
	for i := range s.files {
		f := &s.files[i]
		if f.Format != "link" || verdict(f.Findings) != Clean {
			continue
		}
		if byPath == nil {
			byPath = s.byPath()
		}
		to, ok := s.links[f.Path]
		if !ok {
			continue // told when the directory was listed
		}
		target := s.target(f, byPath)
		switch {
		case target == nil:
			if _, err := fs.Lstat(s.fsys, to); errors.Is(err, fs.ErrNotExist) {
				f.add("ST513", -1, to, fmt.Sprintf("a link to %+q, which is not there", clip(to, 120)))
			}
		case verdict(target.Findings) != Clean:
			order(target.Findings)
			f.add("ST513", -1, target.Path, fmt.Sprintf("a link to %+q, where %s was found", clip(target.Path, 120), target.Findings[0].ID))
		}
	}
}

func (s *scanner) byPath() map[string]*File {
	byPath := make(map[string]*File, len(s.files))
	for i := range s.files {
		byPath[s.files[i].Path] = &s.files[i]
	}
	return byPath
}
