package sbom

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"slices"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"golang.org/x/crypto/blake2b"
	"lukechampine.com/blake3"

	"github.com/tensmith/tensmith/internal/digest"
)

// algorithms are the digests a bill can have, in the order they stand in.
var algorithms = []struct {
	name string // as options and package sign call it
	in   cdx.HashAlgorithm
	make func() hash.Hash // nil for SHA-256, which every bill has
}{
	{"sha256", cdx.HashAlgoSHA256, nil},
	{"blake2b", cdx.HashAlgoBlake2b_512, func() hash.Hash {
		h, err := blake2b.New512(nil)
		if err != nil {
			panic(err) // of keys that are too long, and there is none
		}
		return h
	}},
	{"blake3", cdx.HashAlgoBlake3, func() hash.Hash { return blake3.New(32, nil) }},
}

// A part is a file of a model.
type part struct {
	name   string
	size   int64
	hashes []cdx.Hash
}

// digests computes the digests of files, reading each once.
func digests(ctx context.Context, fsys fs.FS, parts []*part, opts *Options) error {
	for _, name := range opts.Hashes {
		known := false
		for _, a := range algorithms {
			known = known || a.name == name
		}
		if !known {
			return fmt.Errorf("%q is no digest; there are sha256, blake2b and blake3", name)
		}
	}
	total := int64(0)
	sources := make([]*digest.Source, len(parts))
	for i, p := range parts {
		total += p.size
		r := &partReader{part: p, hashes: make([]hash.Hash, len(algorithms))}
		s := &digest.Source{Size: p.size, Open: func() (io.ReadCloser, error) { return r.open(fsys, opts.Hashes) }}
		s.Done = func(err error) error {
			if err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			p.hashes = r.sums(s.Sum[:])
			return nil
		}
		sources[i] = s
	}
	return digest.Each(ctx, sources, opts.Jobs, digest.Progress(opts.Progress, total))
}

// A partReader reads a part, and makes the digests of it that are not SHA-256.
type partReader struct {
	*part
	fs.File
	hashes []hash.Hash // as algorithms has them; nil for those nobody wants
}

func (r *partReader) open(fsys fs.FS, names []string) (_ io.ReadCloser, err error) {
	for i, a := range algorithms {
		if a.make != nil && slices.Contains(names, a.name) {
			r.hashes[i] = a.make()
		}
	}
	r.File, err = fsys.Open(r.name)
	return r, err
}

// Read implements io.Reader.
func (r *partReader) Read(p []byte) (int, error) {
	n, err := r.File.Read(p)
	for _, h := range r.hashes {
		if h != nil {
			h.Write(p[:n])
		}
	}
	if errors.Is(err, io.EOF) && n == 0 { // more was to come
		err = r.unchanged()
		if err == nil {
			err = io.ErrUnexpectedEOF
		}
	}
	return n, err
}

// Close also tells whether the file has got longer.
func (r *partReader) Close() error { return errors.Join(r.unchanged(), r.File.Close()) }

func (r *partReader) unchanged() error {
	info, err := r.Stat()
	if err == nil && info.Size() != r.size {
		err = fmt.Errorf("it has changed from %d to %d bytes while it was read", r.size, info.Size())
	}
	return err
}

// sums are the digests as a bill has them.
func (r *partReader) sums(sha []byte) (all []cdx.Hash) {
	for i, a := range algorithms {
		switch {
		case a.make == nil:
			all = append(all, cdx.Hash{Algorithm: a.in, Value: hex.EncodeToString(sha)})
		case r.hashes[i] != nil:
			all = append(all, cdx.Hash{Algorithm: a.in, Value: hex.EncodeToString(r.hashes[i].Sum(nil))})
		}
	}
	return all
}
