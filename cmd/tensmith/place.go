package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/tensmith/tensmith/convert"
	"github.com/tensmith/tensmith/safetensors"
)

// A place is where an address leads: a name in a file system, and how to call
// the files of it when talking to the user.
type place struct {
	fsys fs.FS
	name string
	dir  string
}

// locate finds what an address leads to.
func locate(address string) (place, error) {
	info, err := os.Stat(address)
	if err != nil {
		return place{}, missing(address, err)
	}
	switch {
	case info.IsDir():
		return place{os.DirFS(address), ".", address}, nil
	case !info.Mode().IsRegular():
		err := fmt.Errorf("%s: not a regular file, but a %s", address, special(info.Mode()))
		if info.Mode().Type() == fs.ModeNamedPipe {
			err = hinted{err, "write what comes through it to a file first: a model is read at any place of it"}
		}
		return place{}, err
	}
	dir, base := filepath.Split(address)
	return place{os.DirFS(filepath.Clean(dir + ".")), base, dir}, nil
}

// special is what to call a file that is no regular one.
func special(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeNamedPipe != 0:
		return "pipe"
	case mode&fs.ModeSocket != 0:
		return "socket"
	}
	return "device"
}

// path returns what to call a file of the place.
func (p place) path(name string) string {
	if name == "" {
		name = p.name
	}
	return filepath.Join(p.dir, filepath.FromSlash(name))
}

// simplify takes the system call's name and the temporary path out of err:
// the user knows which file it is about.
func simplify(address string, err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	return fmt.Errorf("%s: %w", cmp.Or(address, `""`), err)
}

// missing is simplify for an address that leads nowhere.
func missing(address string, err error) error {
	err = simplify(address, err)
	switch {
	case address == "":
		return hinted{err, "a variable of the script may not be set"}
	case address == "-":
		return hinted{err, "a model is read at any place of it, which standard input has not: name a file"}
	case strings.Contains(address, "://"):
		return hinted{err, "download it first, and name the file"}
	}
	return err
}

// simplify is simplify for what happened in the place: of a model in several
// files it names the one that it happened to, not what the user called it by.
func (p place) simplify(address string, err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok && e.Path != p.name && fs.ValidPath(e.Path) {
		address = p.path(e.Path)
	}
	return simplify(address, err)
}

// open opens a model for reading.
func (a *app) open(address string) (*safetensors.Checkpoint, error) {
	p, err := locate(address)
	if err != nil {
		return nil, err
	}
	c, err := safetensors.OpenCheckpointFS(p.fsys, p.name)
	if err == nil {
		return c, nil
	}
	e, ok := errors.AsType[*safetensors.FormatError](err)
	if !ok {
		return nil, p.unopened(address, err)
	}
	name := e.File
	e.File = p.path(e.File)
	// What the first bytes are as a header's length helps nobody.
	switch format := p.detect(name); {
	case foreign(format):
		return nil, hinted{fmt.Errorf("%s: no safetensors file: it is %s", e.File, format), advice(format, e.File)}
	case format == convert.JSON && !strings.HasSuffix(name, ".index.json"):
		return nil, hinted{fmt.Errorf("%s: no model: it is JSON, and no index of shards", e.File), "if it describes a model, that is the directory: " + quoted(filepath.Dir(e.File))}
	case format == convert.Unknown && e.Err == safetensors.ErrHeaderTooLarge:
		err = plainError{e, e.File + ": no safetensors file, nor any other that is known here"}
		return nil, hinted{err, "it may be raw data, a part of another file, or encrypted"}
	}
	return nil, hinted{plainly(e), "`tensmith check " + quoted(address) + "` lists every problem"}
}

// unopened is an error about a model that could not be opened, with what lies
// in its place instead.
func (p place) unopened(address string, err error) error {
	err = p.simplify(address, err)
	if hint := p.inside("`tensmith convert " + quoted(address) + "`"); hint != "" {
		err = hinted{err, hint}
	}
	return err
}

// A plainError is an error in other words.
type plainError struct {
	error
	text string
}

func (e plainError) Error() string { return e.text }
func (e plainError) Unwrap() error { return e.error }

// plainly takes the io.ErrUnexpectedEOF out of what is said of a file that is
// too short: the file has a cause of its own, and that is there for programs.
func plainly(err error) error {
	if _, ok := errors.AsType[*safetensors.FormatError](err); !ok {
		return err
	}
	return plainError{err, strings.Replace(err.Error(), ": "+io.ErrUnexpectedEOF.Error(), "", 1)}
}

// detect tells what a file of the place is; convert.Unknown if it cannot.
func (p place) detect(name string) convert.Format {
	if name == "" {
		name = p.name
	}
	if info, err := fs.Stat(p.fsys, name); err != nil || !info.Mode().IsRegular() {
		return convert.Unknown // a pipe would be waited for
	}
	f, err := os.Open(p.path(name))
	if err != nil {
		return convert.Unknown
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return convert.Unknown
	}
	format, err := convert.Detect(f, info.Size())
	if err != nil {
		return convert.Unknown
	}
	return format
}

// foreign reports whether a file that breaks the format of safetensors does so
// because it is of another. An index is JSON, sound or not.
func foreign(format convert.Format) bool {
	return format != convert.Safetensors && format != convert.Unknown && format != convert.JSON
}

// isModel reports whether a format is one of models, or may hold one.
func isModel(format convert.Format) bool {
	switch format {
	case convert.GGUF, convert.GGML, convert.HDF5, convert.ONNX, convert.SavedModel, convert.TensorIndex, convert.TFLite,
		convert.Flax, convert.IRPA, convert.MLIR, convert.Paddle, convert.TVM:
		return true
	case convert.Safetensors, convert.Gzip, convert.Bzip2, convert.XZ, convert.Zlib, convert.Zstd, convert.LZ4:
		return false
	}
	return format.Convertible()
}

// advice is what to do with a file of another format.
func advice(format convert.Format, name string) string {
	switch format {
	case convert.LFSPointer:
		return "run `git lfs pull`"
	case convert.HTML:
		return "download the raw file, and log in if the repository is gated"
	case convert.Gzip, convert.Bzip2, convert.XZ, convert.Zlib, convert.Zstd, convert.LZ4:
		if format.Convertible() {
			return "decompress it and look again; if it is a checkpoint, `tensmith convert " + quoted(name) + "` reads it as it is"
		}
		return "decompress it and look again"
	case convert.SevenZip:
		return "unpack it and look again"
	case convert.Empty, convert.Zeros:
		return "fetch the file again: a download or copy went wrong"
	}
	switch {
	case format.Convertible():
		return "try `tensmith convert " + quoted(name) + "`"
	case isModel(format):
		return "tensmith knows such files by sight, but does not convert them yet; `tensmith convert --help` lists what it does"
	}
	return ""
}

// inside is a hint at what a directory holds that is no model of this format,
// and at the command for what can be converted, if there is one.
func (p place) inside(command string) string {
	const most = 200 // a directory of more is no model's
	list, err := fs.ReadDir(p.fsys, p.name)
	if err != nil || len(list) > most {
		return ""
	}
	for _, e := range list {
		name := path.Join(p.name, e.Name())
		switch format := p.detect(name); {
		case format == convert.Safetensors && path.Ext(e.Name()) != ".safetensors":
			return e.Name() + " is a safetensors file by another name: name the file itself"
		case format.Convertible():
			if isModel(format) && command != "" {
				return e.Name() + " is " + format.String() + ": try " + command
			}
		case isModel(format):
			return e.Name() + " is " + format.String() + ", which tensmith does not convert yet"
		case format == convert.LFSPointer:
			return e.Name() + " is " + format.String() + ": run `git lfs pull`"
		}
	}
	return ""
}
