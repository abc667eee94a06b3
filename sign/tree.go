package sign

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Links says what becomes of symbolic links in a model.
type Links int

const (
	// RefuseLinks fails where there is a link that is not ignored.
	RefuseLinks Links = iota
	// HubLinks takes what the links of a snapshot in a Hugging Face cache lead
	// to for the snapshot's own files: blobs of the same repository's folder,
	// and nothing else.
	HubLinks
	// FollowLinks takes what links lead to, files and folders, wherever they
	// are.
	FollowLinks
)

const (
	maxEntries = 20_000_000 // of a model; links can make a small tree endless
	maxNesting = 1000       // folders
)

// A file is a regular file of a model.
type file struct {
	name string // in the manifest
	path string // as the system opens it, for messages and caches
	open func() (*os.File, error)
	info fs.FileInfo // when it was listed
}

// A tree lists the files of a model.
type tree struct {
	model string // the folder
	links Links
	// root is where files are opened beneath: the model's folder, or that of
	// the repository in a cache; nil where links are followed. Prefix leads from
	// it to the model.
	root   *os.Root
	prefix string

	ignore map[string]bool // names that are left out, with all below them
	wanted map[string]bool // names that are not, whatever is ignored
	above  map[string]bool // and the folders they are in
	only   bool            // all others are left out

	files    []file
	warnings []string
	entries  int
}

// openTree prepares listing a folder.
func openTree(model string, links Links) (*tree, error) {
	// That it is called by a link is its user's choice.
	model, err := filepath.EvalSymlinks(model)
	if err != nil {
		return nil, err
	}
	t := &tree{model: model, links: links}
	top := model
	switch links {
	case FollowLinks:
		return t, nil
	case HubLinks:
		repo, rest, err := hubRepo(model)
		if err != nil {
			return nil, err
		}
		top, t.prefix = repo, rest
	}
	t.root, err = os.OpenRoot(top)
	return t, err
}

func (t *tree) close() error {
	if t.root == nil {
		return nil
	}
	return t.root.Close()
}

// hubRepo splits the path of a snapshot, or of something in one, into the
// folder of the repository and the rest.
func hubRepo(name string) (repo, rest string, err error) {
	name, err = filepath.Abs(name)
	if err != nil {
		return "", "", err
	}
	for at := name; ; {
		above := filepath.Dir(at)
		if above == at {
			return "", "", fmt.Errorf("sign: %s: %w: it is in no snapshot of a Hub cache", name, ErrRefused)
		}
		if filepath.Base(above) == "snapshots" {
			repo = filepath.Dir(above)
			if info, err := os.Lstat(filepath.Join(repo, "blobs")); err == nil && info.IsDir() {
				rest, err = filepath.Rel(repo, name)
				return repo, filepath.ToSlash(rest), err
			}
		}
		at = above
	}
}

// InHub tells whether a path is a snapshot of a Hugging Face cache, or in one,
// so that HubLinks is what its links need.
func InHub(name string) bool {
	name, err := filepath.Abs(name)
	if err != nil {
		return false
	}
	_, _, err = hubRepo(name)
	return err == nil
}

// ignored tells whether a name is left out.
func (t *tree) ignored(name string, dir bool) bool {
	if t.wanted[name] || dir && t.above[name] {
		return false
	}
	for end := len(name); end > 0; end = strings.LastIndexByte(name[:end], '/') {
		if t.ignore[name[:end]] {
			return true
		}
	}
	return t.only
}

// leave sets the names that are left out.
func (t *tree) leave(names []string) {
	t.ignore = make(map[string]bool, len(names))
	for _, name := range names {
		t.ignore[name] = true
	}
}

// want sets the names that are looked at whatever is ignored.
func (t *tree) want(names []string) {
	t.wanted, t.above = map[string]bool{}, map[string]bool{}
	for _, name := range names {
		t.wanted[name] = true
		for dir := path.Dir(name); dir != "." && !t.above[dir]; dir = path.Dir(dir) {
			t.above[dir] = true
		}
	}
}

// A dir is a folder that is still to be listed.
type dir struct {
	name  string   // in the manifest; "" is the model
	real  string   // where links are followed: without any
	above []string // and those of the folders it is in
}

// list finds the files of the folder.
func (t *tree) list(ctx context.Context) error {
	for stack := []dir{{real: t.model}}; len(stack) > 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		d := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		entries, err := t.readDir(d.name)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if t.entries++; t.entries > maxEntries {
				return fmt.Errorf("sign: %s: %w: more than %d files", t.model, ErrRefused, maxEntries)
			}
			name := path.Join(d.name, e.Name())
			if t.ignored(name, e.IsDir() || e.Type()&fs.ModeSymlink != 0) {
				continue
			}
			if err := checkName(name); err != nil {
				return fmt.Errorf("sign: %s: %w: %w", t.model, ErrRefused, err)
			}
			sub, err := t.entry(name, d)
			if err != nil {
				return err
			}
			if sub != nil {
				stack = append(stack, *sub)
			}
		}
	}
	return nil
}

func (t *tree) readDir(name string) ([]fs.DirEntry, error) {
	if strings.Count(name, "/") > maxNesting {
		return nil, fmt.Errorf("sign: %s: %w: folders are more than %d deep", t.model, ErrRefused, maxNesting)
	}
	var f *os.File
	var err error
	if t.root == nil {
		f, err = os.OpenFile(t.path(name), toRead, 0)
	} else {
		f, err = t.root.OpenFile(path.Join(t.prefix, orDot(name)), toRead, 0)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.ReadDir(-1)
}

func orDot(name string) string {
	if name == "" {
		return "."
	}
	return name
}

func (t *tree) path(name string) string { return filepath.Join(t.model, filepath.FromSlash(name)) }

func (t *tree) lstat(name string) (fs.FileInfo, error) {
	if t.root == nil {
		return os.Lstat(t.path(name))
	}
	return t.root.Lstat(path.Join(t.prefix, name))
}

// entry takes one name of a folder: a file into the list, or a folder, which it
// returns.
func (t *tree) entry(name string, in dir) (*dir, error) {
	info, err := t.lstat(name)
	if err != nil {
		return nil, err
	}
	switch mode := info.Mode(); {
	case mode.IsRegular():
		t.add(name, info)
		return nil, nil
	case mode.IsDir():
		return &dir{name, filepath.Join(in.real, path.Base(name)), append(in.above[:len(in.above):len(in.above)], in.real)}, nil
	case mode&fs.ModeSymlink != 0:
		return t.link(name, in)
	default:
		return nil, fmt.Errorf("sign: %s: %w: it is no file (%s)", t.path(name), ErrRefused, mode)
	}
}

// add takes a file that is no link.
func (t *tree) add(name string, info fs.FileInfo) {
	p := t.path(name)
	if t.root == nil {
		t.files = append(t.files, file{name, p, func() (*os.File, error) { return os.OpenFile(p, toRead, 0) }, info})
		return
	}
	in := path.Join(t.prefix, name)
	t.files = append(t.files, file{name, p, func() (*os.File, error) { return t.root.OpenFile(in, toRead, 0) }, info})
}

// link takes a symbolic link as the policy has it.
func (t *tree) link(name string, in dir) (*dir, error) {
	switch t.links {
	case HubLinks:
		return nil, t.hubLink(name)
	case FollowLinks:
		return t.follow(name, in)
	}
	return nil, fmt.Errorf("sign: %s: %w: it is a symbolic link", t.path(name), ErrRefused)
}

// hubLink takes a link into the blobs of the same repository. The blob is then
// opened by its own name: the link is not asked again.
func (t *tree) hubLink(name string) error {
	in := path.Join(t.prefix, name)
	target, err := t.root.Readlink(in)
	if err != nil {
		return err
	}
	blob, ok := strings.CutPrefix(path.Join(path.Dir(in), filepath.ToSlash(target)), "blobs/")
	if filepath.IsAbs(target) || !ok || blob == "" || strings.Contains(blob, "/") {
		return fmt.Errorf("sign: %s: %w: it links to %.200q, which is no blob of its repository", t.path(name), ErrRefused, target)
	}
	info, err := t.root.Lstat("blobs/" + blob)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("sign: %s: %w: the blob it links to is no file", t.path(name), ErrRefused)
	}
	t.files = append(t.files, file{name, filepath.Join(t.root.Name(), "blobs", blob),
		func() (*os.File, error) { return t.root.OpenFile("blobs/"+blob, toRead, 0) }, info})
	return nil
}

// follow takes what a link leads to, and warns of what the specification wants
// warnings of (§6.1.1).
func (t *tree) follow(name string, in dir) (*dir, error) {
	p := t.path(name)
	real, err := filepath.EvalSymlinks(p)
	if err != nil {
		return nil, fmt.Errorf("sign: link leads nowhere: %w", err)
	}
	info, err := os.Stat(real)
	if err != nil {
		return nil, err
	}
	if rel, err := filepath.Rel(t.model, real); err != nil || !filepath.IsLocal(rel) {
		t.warnings = append(t.warnings, fmt.Sprintf("%s links out of the model, to %s", name, real))
	}
	switch {
	case info.Mode().IsRegular():
		t.files = append(t.files, file{name, real, func() (*os.File, error) { return os.OpenFile(real, toRead, 0) }, info})
		return nil, nil
	case !info.IsDir():
		return nil, fmt.Errorf("sign: %s: %w: it links to what is no file (%s)", p, ErrRefused, info.Mode())
	case real == in.real || slices.Contains(in.above, real):
		t.warnings = append(t.warnings, name+" links to a folder that it is in: what is below it is left out")
		return nil, nil
	}
	return &dir{name, real, append(in.above[:len(in.above):len(in.above)], in.real)}, nil
}

// one takes a model that is a single file. How it is reached by a link, the
// policy tells.
func (t *tree) one(name string) error {
	info, err := t.lstat(name)
	if err != nil {
		return err
	}
	if err := checkName(name); err != nil {
		return fmt.Errorf("sign: %s: %w: %w", t.model, ErrRefused, err)
	}
	sub, err := t.entry(name, dir{real: t.model})
	if err == nil && (sub != nil || info.IsDir()) {
		err = errors.New("is a folder")
	}
	return err
}
