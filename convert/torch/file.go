package torch

import (
	"io/fs"
	"maps"
	"slices"

	"github.com/tensmith/tensmith/pickle"
	"github.com/tensmith/tensmith/safetensors"
)

// Options say how a file is to be read. The zero Options, like a nil pointer,
// refuse what would lose anything.
type Options struct {
	// Root is the path, with dots, of what holds the weights. If it is empty
	// they are looked for under the names that programs use, such as
	// "state_dict"; "." stands for the whole file.
	Root string
	// Tied says what becomes of names for the very same view. "dedupe", or
	// "", keeps the first in the order of names, and records the others in
	// the metadata: metadata[left out] = kept. "keep" writes each. "reference"
	// does what the reference converter does: of all tensors that share bytes
	// it keeps the first that covers the whole storage, and where there is
	// none it fails.
	Tied string
	// Quantized "parts" writes a quantised tensor as NAME.int_repr,
	// NAME.scale and NAME.zero_point; "" refuses.
	Quantized string
	// Sparse "parts" writes indices and values of a sparse tensor as tensors
	// of their own, "dense" writes all its elements; "" refuses.
	Sparse string
	// Complex "split" writes complex64, complex128 and complex32 tensors that
	// have no type in the format as NAME.real and NAME.imag; "" refuses.
	Complex string
	// ExtractOnly takes the tensors of files that would run code when torch
	// loads them.
	ExtractOnly bool
	// MaxOutput bounds the bytes of all tensors together, for a few bytes can
	// claim to be many; 0 is 64 MiB and 16 times the size of the input.
	MaxOutput int64
	// MaxInflated bounds the bytes that decompression gives; 0 is 64 MiB and
	// 256 times the size of what is compressed.
	MaxInflated int64
	// TempDir is the directory for what is decompressed; "" is os.TempDir.
	TempDir string
}

// A Note is something about the conversion that a person may want to know.
type Note struct {
	Kind   string // alias, copy, dropped, bool, container, metadata, layout: a word that will not change
	Tensor string // the name it is about, if it is about one
	Other  string // for an alias the name that was kept
	Text   string
}

// A LeftOut is a part of the file that has no place in the output.
type LeftOut struct {
	Path    string // with dots
	Kind    string // what it is
	Tensors int    // how many tensors it holds
	Bytes   int64  // of these tensors, each view counted for itself
}

// A File is an open checkpoint.
type File struct {
	r         *reader
	container string
	wrap      string
	root      string
	entries   []safetensors.Entry
	metadata  map[string]string
	shard     int64
}

// Entries returns the tensors in the order of the file. Their data can be read
// until Close. Data that lies in the file as it will in the output also has
// Size and ReadAt. The list is the file's own, for there may be hundreds of
// thousands: who changes it changes what the next call returns.
func (f *File) Entries() []safetensors.Entry { return slices.Clip(f.entries) }

// Metadata returns the strings to store with the tensors: their framework
// under "format", and aliases as [Options].Tied says.
func (f *File) Metadata() map[string]string { return maps.Clone(f.metadata) }

// Notes returns what was done besides copying.
func (f *File) Notes() []Note { return slices.Clone(f.r.notes) }

// LeftOut returns what the file holds besides the entries.
func (f *File) LeftOut() []LeftOut { return slices.Clone(f.r.left) }

// Findings returns what is not known to be harmless. There are at most a few
// thousand, each name of a pickle once.
func (f *File) Findings() []Finding { return slices.Clone(f.r.trace.findings) }

// Verdict returns the worst of the findings.
func (f *File) Verdict() pickle.Verdict { return f.r.trace.worst }

// Container returns what kind of file it is: torch-zip, torch-legacy,
// torch-tar, torchscript, torch-package, pt2, dcp, dcp-safetensors, deepspeed,
// hf-shards, pickle, joblib, npy or npz; and the compression around it, or "".
func (f *File) Container() (kind, compression string) { return f.container, f.wrap }

// Root returns the path of what holds the weights, "" for the whole file.
func (f *File) Root() string { return f.root }

// ShardSize returns the bytes of tensors in the largest file if the checkpoint
// came in several that an index joins, else 0: for the output to have files of
// the same size.
func (f *File) ShardSize() int64 { return f.shard }

// Close closes the file and removes what was decompressed.
func (f *File) Close() error { return f.r.close() }

// Open opens the checkpoint called name. The error is an [*Error], but for
// options that do not exist.
func Open(fsys fs.FS, name string, opts *Options) (*File, error) {
	r := &reader{fsys: fsys}
	if opts != nil {
		r.opts = *opts
	}
	if err := r.opts.check(); err != nil {
		return nil, err
	}
	f, err := r.openAny(name)
	if err != nil {
		r.close()
		// What a file would do outweighs what else is wrong with it.
		if bad := r.trace.dangerous(); bad != nil && !r.opts.ExtractOnly {
			bad.File = name
			return nil, bad
		}
		return nil, place{file: name, offset: -1}.wrap(err)
	}
	return f, nil
}
