package torch

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/tensmith/tensmith/pickle"
)

// check refuses options that do not exist.
func (o *Options) check() error {
	for _, c := range []struct {
		name, value string
		known       []string
	}{
		{"Tied", o.Tied, []string{"", "dedupe", "keep", "reference"}},
		{"Quantized", o.Quantized, []string{"", "parts"}},
		{"Sparse", o.Sparse, []string{"", "parts", "dense"}},
		{"Complex", o.Complex, []string{"", "split"}},
	} {
		if !slices.Contains(c.known, c.value) {
			return fmt.Errorf("torch: option %s is %q, not one of %q", c.name, c.value, c.known)
		}
	}
	return nil
}

// A content is what a container gave: a value of Python's that holds tensors,
// or named tensors.
type content struct {
	container string
	wrap      string
	framework string // "pt" or "np"
	value     pickle.Value
	b         *builder // of value
	tensors   []named  // where there is no value
	fixed     bool     // value is the whole state: no root is looked for
	shard     int64
}

// A named is a tensor and its name.
type named struct {
	name   string
	t      *tensor
	packed packedView // if t is not made yet
	b      *builder
}

// tensor returns the tensor. Brief is as in packedView.tensor.
func (n *named) tensor(brief bool) (*tensor, error) {
	if n.packed == "" {
		return n.t, nil
	}
	return n.packed.tensor(n.b, brief)
}

// openAny opens a file or directory and chooses what it holds.
func (r *reader) openAny(name string) (*File, error) {
	at := place{file: name, offset: -1}
	info, err := fs.Stat(r.fsys, name)
	if err != nil {
		return nil, at.wrap(err)
	}
	var c *content
	switch {
	case info.IsDir():
		c, err = r.directory(name)
	case strings.HasSuffix(name, ".index.json"):
		c, err = r.shards(name)
	default:
		c, err = r.file(name)
	}
	if err != nil {
		return nil, err
	}
	return r.finish(c, at)
}

// file opens a single file.
func (r *reader) file(name string) (*content, error) {
	src, err := r.open(name)
	if err != nil {
		return nil, err
	}
	return r.content(src, place{file: name, offset: -1}, 0)
}

// maxNested is how many containers may lie in one another.
const maxNested = 4

// content tells what src is by its first bytes, and opens it.
func (r *reader) content(src span, at place, depth int) (*content, error) {
	if depth > maxNested {
		return nil, at.fail(ErrLimit, "nested", "more than %d files within one another", maxNested)
	}
	head, err := src.head(1 << 10)
	if err != nil {
		return nil, at.wrap(err)
	}
	if wrap := compressionOf(head); wrap != "" && !looksLikePickle(head) {
		inner, err := r.inflate(src, head, at)
		if err != nil {
			return nil, err
		}
		c, err := r.content(inner, at.in(wrap), depth+1)
		if c != nil {
			c.wrap = wrap
		}
		return c, err
	}
	switch {
	case bytes.HasPrefix(head, []byte("PK\x03\x04")), bytes.HasPrefix(head, []byte("PK\x05\x06")):
		return r.zipContent(src, at, depth)
	case bytes.HasPrefix(head, []byte("\x93NUMPY")):
		t, err := r.npy(src, at)
		if err != nil {
			return nil, err
		}
		return &content{container: "npy", framework: "np", tensors: []named{{name: "tensor", t: t}}}, nil
	case isTar(head):
		return r.tar(src, at, depth)
	case looksLikePickle(head):
		return r.stream(src, at, depth)
	}
	return nil, at.fail(ErrUnknown, "unknown", "it looks like %s", lookalike(head))
}

// lookalike names what is often taken for a checkpoint.
func lookalike(head []byte) string {
	for _, l := range []struct{ magic, what string }{
		{"version https://git-lfs", "a Git LFS pointer: the file itself was not fetched"},
		{"7z\xbc\xaf\x27\x1c", "a 7z archive"}, {"<!DOCTYPE", "an HTML page"}, {"<html", "an HTML page"}, {"<!doctype", "an HTML page"},
		{"GGUF", "a GGUF file"}, {"\x89HDF", "an HDF5 file"},
		{"PYTORCH1", "a container of a preview of PyTorch 1.0, which no release reads"},
	} {
		if bytes.HasPrefix(head, []byte(l.magic)) {
			return l.what
		}
	}
	if len(head) > 9 && head[8] == '{' && binary.LittleEndian.Uint64(head) < 1<<32 {
		return "a safetensors file"
	}
	if len(head) == 0 {
		return "an empty file"
	}
	return "nothing that is known here"
}

// looksLikePickle takes a binary pickle by its protocol and a text one by
// trying its first opcodes.
func looksLikePickle(head []byte) bool {
	if len(head) >= 2 && head[0] == 0x80 {
		return head[1] <= 5
	}
	n := 0
	for in, err := range pickle.Disassemble(bytes.NewReader(head), 0, int64(len(head)), pickle.Limits{}) {
		if err != nil {
			return n >= 3 && errors.Is(err, io.ErrUnexpectedEOF)
		}
		if n++; in.Op == '.' {
			return n > 1
		}
		if n >= 16 {
			return true
		}
	}
	return false
}

// isTar checks the checksum of the first member, for the oldest archives have
// no other mark.
func isTar(head []byte) bool {
	if len(head) < 512 || head[0] == 0 {
		return false
	}
	_, err := tar.NewReader(bytes.NewReader(head)).Next()
	return err == nil
}

// stream opens what begins with a pickle.
func (r *reader) stream(src span, at place, depth int) (*content, error) {
	v, next, err := r.decode(src, 0, at)
	if err != nil {
		return nil, err
	}
	if isMagic(v) {
		return r.legacy(src, next, at, depth)
	}
	b := r.builder(src, at, nil)
	b.nest = depth
	r.trailing(src, next, at)
	c := &content{container: "pickle", framework: "np", value: v, b: b}
	pickle.Walk(v, nil, func(v pickle.Value) bool {
		if sym, ok := v.(*pickle.Symbol); ok {
			switch {
			case sym.Module == "torch" || strings.HasPrefix(sym.Module, "torch."):
				c.framework = "pt"
			case isJoblib(sym, "NumpyArrayWrapper"), isJoblib(sym, "NDArrayWrapper"), isJoblib(sym, "ZNDArrayWrapper"):
				c.container = "joblib"
			}
		}
		return true
	})
	return c, nil
}

// trailing judges what follows the last byte that torch reads.
func (r *reader) trailing(src span, off int64, at place) {
	if off >= src.size {
		return
	}
	r.note("container", "", "", fmt.Sprintf("%d bytes follow the end", src.size-off))
	r.trace.add(at.at(off), "trailing bytes", pickle.Suspicious, "no loader reads them")
	for range 16 {
		_, next, err := r.decode(src, off, at)
		if err != nil || next >= src.size {
			return
		}
		off = next
	}
}

// zipContent tells the archives apart by the records they hold.
func (r *reader) zipContent(src span, at place, depth int) (*content, error) {
	a, err := r.openZip(src, at)
	if err != nil {
		return nil, err
	}
	switch {
	case a.has("serialized_exported_program.json"), a.has("archive_format"):
		return a.export(depth)
	case a.has("constants.pkl"):
		return a.script()
	case a.has(".data/extern_modules"):
		return a.pkg()
	case a.has("data.pkl"):
		return a.torchZip(depth)
	case a.has("model.json"):
		return a.oldScript()
	}
	arrays := 0
	for i := range a.records {
		rec := &a.records[i]
		if strings.HasSuffix(rec.path, ".npy") {
			arrays++
		}
	}
	if arrays > 0 && arrays == len(a.records) {
		return a.npz()
	}
	if err := a.pickles(nil); err != nil {
		return nil, err
	}
	return nil, at.fail(ErrUnknown, "unknown", "a zip archive without data.pkl")
}

// torchZip opens what torch.save writes since 1.6.
func (a *archive) torchZip(depth int) (*content, error) {
	rec := a.first("data.pkl")
	src, err := a.open(rec)
	if err != nil {
		return nil, err
	}
	at := a.at.in(rec.path)
	v, next, shared, err := a.r.decodePacked(src, 0, at)
	if judged := a.pickles(rec); judged != nil {
		return nil, judged
	}
	if err != nil {
		return nil, err
	}
	if err := a.doubt(); err != nil {
		return nil, err
	}
	a.r.trailing(src, next, at)
	b, err := a.builder(src, at, "data/", "")
	if err != nil {
		return nil, err
	}
	b.nest, b.shared = depth, shared
	return &content{container: "torch-zip", framework: "pt", value: v, b: b}, nil
}

// directory opens a checkpoint of several files.
func (r *reader) directory(name string) (*content, error) {
	list, err := fs.ReadDir(r.fsys, name)
	if err != nil {
		return nil, place{file: name, offset: -1}.wrap(err)
	}
	var index []string
	for _, e := range list {
		if e.Name() == ".metadata" {
			return r.distributed(name)
		}
		if strings.HasSuffix(e.Name(), ".bin.index.json") {
			index = append(index, e.Name())
		}
	}
	holds := func(end string) bool {
		return slices.ContainsFunc(list, func(e fs.DirEntry) bool { return strings.HasSuffix(e.Name(), end) })
	}
	switch len(index) {
	case 0:
		if isZero(list) {
			return r.zero(name, list)
		}
		if holds(".safetensors") && !holds(".safetensors.index.json") {
			return r.sliced(name, list)
		}
		return nil, place{file: name, offset: -1}.fail(ErrUnknown, "unknown", "a directory with neither .metadata nor an index of .bin files")
	case 1:
		return r.shards(path.Join(name, index[0]))
	}
	return nil, place{file: name, offset: -1}.fail(ErrUnknown, "unknown", "a directory with several indices: %q", index)
}
