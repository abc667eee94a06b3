package sign

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Hasher makes manifests. The zero Hasher makes the one that the
// specification has by default: SHA-256 of whole files, no links, without the
// files of git.
type Hasher struct {
	Algorithm Algorithm // zero is SHA256
	// ShardSize is the number of bytes of a file that get a digest of their own,
	// so that several processors work on one file; the specification proposes
	// 1,000,000,000 (§6.3.2). Zero hashes whole files.
	// Shards leave out empty files.
	ShardSize int64
	Links     Links
	// Ignore has names that are no part of the model, relative to it and with
	// slashes; each also leaves out all below it.
	Ignore []string
	// GitPaths takes .git, .gitattributes, .github and .gitignore at the top of
	// the model, which are else ignored.
	GitPaths bool
	// Bundle is the path of the signature's file, which is no part of the model
	// that it may lie in. It need not exist.
	Bundle string
	// Reference makes a manifest in the form of the Python package; see
	// [Manifest]. The root digest depends on it.
	Reference bool
	Workers   int // zero is one for each processor

	// Known are asked for digests that need not be computed, in turn. The
	// result tells which they were.
	Known []Known
	// Cache, if set, is asked before them, and keeps what was computed.
	Cache *Cache

	// Progress, if set, is called now and then with the number of bytes that
	// were hashed, and of those that have to be; never twice at once.
	Progress func(done, total int64)
}

// A Known tells the digest, in hexadecimal, of a file that need not be read,
// and whence it has it. An empty digest means that it does not know.
type Known func(p Piece) (digest, source string)

// A Piece is what a [Known] is asked for: a file or a shard.
type Piece struct {
	Name       string // of the resource
	Path       string // of the file that has the bytes, links followed
	Size       int64  // of the file
	ModTime    time.Time
	Start, End int64 // the range of bytes; 0 and Size for all
	Algorithm  Algorithm
}

// Hashed is what a Hasher has found.
type Hashed struct {
	Manifest *Manifest
	// Reused maps names of resources that were not read to where their digests
	// are from.
	Reused   map[string]string
	Bytes    int64    // that were read
	Warnings []string // links that lead out of the model, or in circles; files left out
}

func gitPaths() []string { return []string{".git", ".gitattributes", ".github", ".gitignore"} }

// Hash makes the manifest of a model: a folder, or one file.
func (h *Hasher) Hash(ctx context.Context, model string) (*Hashed, error) {
	ignore, err := h.ignorePaths()
	if err != nil {
		return nil, err
	}
	return h.hash(ctx, model, ignore, nil, false)
}

// ignorePaths returns the names that a signer leaves out.
func (h *Hasher) ignorePaths() ([]string, error) {
	var all []string
	for _, name := range h.Ignore {
		clean := path.Clean(name)
		if err := checkName(clean); err != nil || clean == "." {
			return nil, fmt.Errorf("sign: path %q to ignore: %w: it has to be relative to the model, and in it", name, ErrRefused)
		}
		if strings.ContainsAny(clean, "*?[") {
			return nil, fmt.Errorf("sign: path %q to ignore: %w: the specification knows no patterns", name, ErrRefused)
		}
		all = append(all, clean)
	}
	return all, nil
}

// hash lists and hashes. Wanted are names that are looked at whatever is
// ignored; with only, nothing else is.
func (h *Hasher) hash(ctx context.Context, model string, ignore, wanted []string, only bool) (_ *Hashed, err error) {
	algorithm := cmp.Or(h.Algorithm, SHA256)
	if !algorithm.valid() || h.ShardSize < 0 {
		return nil, fmt.Errorf("sign: algorithm %q, shards of %d bytes: %w", algorithm, h.ShardSize, ErrRefused)
	}
	info, err := os.Stat(model)
	if err != nil {
		return nil, err
	}
	name, err := modelName(model)
	if err != nil {
		return nil, err
	}
	folder := model
	if !info.IsDir() {
		folder = filepath.Dir(model)
	}
	t, err := openTree(folder, h.Links)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	began := time.Now()
	out := &Hashed{Manifest: &Manifest{Name: name, Reference: h.Reference}, Reused: map[string]string{}}
	s := &out.Manifest.Serialization
	*s = Serialization{Method: Files, HashType: algorithm, ShardSize: h.ShardSize, AllowSymlinks: h.Links != RefuseLinks}
	if h.ShardSize > 0 {
		s.Method = Shards
	}
	if info.IsDir() {
		t.want(wanted)
		for _, name := range gitPaths() {
			// A folder of git that was signed must not have got more since.
			if !h.GitPaths && !t.above[name] {
				ignore = append(ignore, name)
			}
		}
		if own := h.bundleIn(t.model); own != "" {
			ignore = append(ignore, own)
		}
		slices.Sort(ignore)
		s.IgnorePaths = slices.Compact(ignore)
		t.leave(s.IgnorePaths)
		t.only = only
		err = t.list(ctx)
	} else {
		err = t.one(filepath.Base(model))
	}
	if err != nil {
		return nil, err
	}
	out.Warnings = t.warnings
	pieces, err := h.pieces(t.files, algorithm)
	if err != nil {
		return nil, fmt.Errorf("sign: %s: %w: %w", model, ErrRefused, err)
	}
	if len(pieces) == 0 && len(wanted) == 0 { // of a model that was signed, all is missing
		return nil, fmt.Errorf("sign: %s: %w: the model has no files", model, ErrRefused)
	}
	if names := emptyFiles(t.files); names != "" && h.ShardSize > 0 {
		out.Warnings = append(out.Warnings, "not signed, for shards leave out what is empty: "+names)
	}
	if err := h.digest(ctx, pieces, began, out); err != nil {
		return nil, err
	}
	// What was read first may be hours old. A manifest is of one moment, and
	// who takes digests from it goes by its time.
	for i := range t.files {
		if info, err := os.Lstat(t.files[i].path); err != nil || !t.files[i].is(info) {
			return nil, fmt.Errorf("sign: %s: it has changed while the model was read", t.files[i].path)
		}
	}
	for _, p := range pieces {
		out.Manifest.Resources = append(out.Manifest.Resources, Resource{p.Name, algorithm, p.digest})
	}
	out.Manifest.sort()
	return out, nil
}

// emptyFiles names files of no bytes, a few of them.
func emptyFiles(files []file) string {
	var names []string
	for _, f := range files {
		if f.info.Size() == 0 {
			names = append(names, f.name)
		}
	}
	return few(names, ", ")
}

// modelName is the last part of a model's path, without links' help.
func modelName(model string) (string, error) {
	abs, err := filepath.Abs(model)
	if err != nil {
		return "", err
	}
	if name := filepath.Base(abs); name != string(filepath.Separator) && strings.ToValidUTF8(name, "") == name {
		return name, nil
	}
	return "model", nil
}

// bundleIn returns the name of the signature's file in a model's folder, or "".
func (h *Hasher) bundleIn(model string) string {
	if h.Bundle == "" {
		return ""
	}
	// The file may be about to be made: it is its folder that links lead to.
	dir, err := filepath.Abs(filepath.Dir(h.Bundle))
	if err != nil {
		return ""
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	abs, err := filepath.Abs(model)
	if err != nil {
		return ""
	}
	rel, err := filepath.Rel(abs, filepath.Join(dir, filepath.Base(h.Bundle)))
	if err != nil || !filepath.IsLocal(rel) || rel == "." {
		return ""
	}
	return filepath.ToSlash(rel)
}

// A piece is a resource to be made.
type piece struct {
	Piece
	file   *file
	digest string
}

// maxPieces is how many digests a model may have: those of a bundle that
// ReadBundle takes are no more. Who signs with shards of a byte would else have
// verifiers cut terabytes into them.
const maxPieces = 1 << 21

// pieces cuts files into what gets a digest.
func (h *Hasher) pieces(files []file, algorithm Algorithm) (all []*piece, err error) {
	count := int64(len(files))
	for _, f := range files {
		if h.ShardSize > 0 {
			count += f.info.Size() / h.ShardSize
		}
		if count > maxPieces {
			in := ""
			if h.ShardSize > 0 {
				in = fmt.Sprintf(" in shards of %d bytes", h.ShardSize)
			}
			return nil, fmt.Errorf("its files%s have more than %d digests", in, maxPieces)
		}
	}
	for i := range files {
		f := &files[i]
		size := f.info.Size()
		whole := Piece{f.name, f.path, size, f.info.ModTime(), 0, size, algorithm}
		if h.ShardSize == 0 {
			all = append(all, &piece{Piece: whole, file: f})
			continue
		}
		for start := int64(0); start < size; {
			one := whole
			one.Start, one.End = start, start+min(h.ShardSize, size-start)
			one.Name = place{f.name, one.Start, one.End}.shard()
			all = append(all, &piece{Piece: one, file: f})
			start = one.End
		}
	}
	return all, nil
}

// digest fills in the digests of all pieces.
func (h *Hasher) digest(ctx context.Context, pieces []*piece, began time.Time, out *Hashed) error {
	var todo []*piece
	for _, p := range pieces {
		if source := h.known(p); source != "" {
			out.Reused[p.Name] = source
			continue
		}
		todo = append(todo, p)
		out.Bytes += p.End - p.Start
	}
	m := &meter{report: h.Progress, total: out.Bytes}
	workers := h.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	var err error
	if cmp.Or(h.Algorithm, SHA256) == SHA256 {
		err = hashTogether(ctx, todo, workers, m)
	} else {
		// The longest begin first, so that none is left alone at the end.
		slices.SortStableFunc(todo, func(a, b *piece) int { return cmp.Compare(b.End-b.Start, a.End-a.Start) })
		err = each(ctx, workers, todo, func(ctx context.Context, p *piece, buf []byte) error { return p.read(ctx, buf, m) })
	}
	if err != nil {
		return err
	}
	for _, p := range todo {
		h.Cache.add(p.Piece, p.digest, began)
	}
	return nil
}

// known asks for a piece's digest. It returns where that is from.
func (h *Hasher) known(p *piece) string {
	ask := h.Known
	if h.Cache != nil {
		ask = append([]Known{h.Cache.known}, ask...)
	}
	for _, k := range ask {
		if sum, source := k(p.Piece); lowerHex(sum) && len(sum) == 2*p.Algorithm.size() {
			p.digest = sum
			return cmp.Or(source, "known")
		}
	}
	return ""
}

// openSame opens the file that was listed, and no other that has taken its
// name since.
func (f *file) openSame() (*os.File, error) {
	o, err := f.open()
	if err != nil {
		return nil, err
	}
	info, err := o.Stat()
	if err == nil && (!info.Mode().IsRegular() || !os.SameFile(info, f.info)) {
		err = fmt.Errorf("sign: %s: it was replaced while the model was read", f.path)
	}
	if err != nil {
		return nil, errors.Join(err, o.Close())
	}
	return o, nil
}

// unchanged tells whether an open file is as it was when it was listed.
func (f *file) unchanged(o *os.File) error {
	info, err := o.Stat()
	if err != nil {
		return err
	}
	if !f.is(info) {
		return fmt.Errorf("sign: %s: it has changed while it was read", f.path)
	}
	return nil
}

// is tells whether a file is the one that was listed, and as it was.
func (f *file) is(now os.FileInfo) bool {
	return os.SameFile(now, f.info) && now.Size() == f.info.Size() && now.ModTime().Equal(f.info.ModTime())
}

// A meter tells how far the work is.
type meter struct {
	report      func(done, total int64)
	total, done int64
	told        time.Time
	mu          sync.Mutex
}

func (m *meter) add(n int64) {
	if m.report == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done += n
	if now := time.Now(); m.done == m.total || now.Sub(m.told) > 50*time.Millisecond {
		m.told = now
		m.report(m.done, m.total)
	}
}
