package sbom

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"sync"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"golang.org/x/crypto/blake2b"
	"lukechampine.com/blake3"
)

// algorithms are the digests a bill can have, in the order they stand in.
var algorithms = []struct {
	name string // as options and package sign call it
	in   cdx.HashAlgorithm
	make func() hash.Hash
}{
	{"sha256", cdx.HashAlgoSHA256, sha256.New},
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

// digests computes the digests of files, several at a time, reading each once.
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
	for _, p := range parts {
		total += p.size
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		done int64
	)
	progress := func(n int) {
		mu.Lock()
		defer mu.Unlock()
		done += int64(n)
		opts.Progress(done, total)
	}
	if opts.Progress == nil {
		progress = func(int) {}
	}
	queue := make(chan *part)
	for range max(1, min(opts.Jobs, len(parts))) {
		wg.Go(func() {
			buf := make([]byte, 1<<20)
			for p := range queue {
				if err := p.digest(ctx, fsys, opts.Hashes, buf, progress); err != nil {
					cancel(fmt.Errorf("%s: %w", p.name, err))
				}
			}
		})
	}
	for _, p := range parts {
		queue <- p // workers go on to take them when one has failed
	}
	close(queue)
	wg.Wait()
	return context.Cause(ctx)
}

func (p *part) digest(ctx context.Context, fsys fs.FS, names []string, buf []byte, progress func(int)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f, err := fsys.Open(p.name)
	if err != nil {
		return err
	}
	defer f.Close()
	var hashes []hash.Hash
	for _, a := range algorithms {
		if wants(names, a.name) {
			hashes = append(hashes, a.make())
		}
	}
	read := int64(0)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := f.Read(buf)
		for _, h := range hashes {
			h.Write(buf[:n])
		}
		read += int64(n)
		progress(n)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	if read != p.size {
		return fmt.Errorf("it has changed from %d to %d bytes while it was read", p.size, read)
	}
	for _, a := range algorithms {
		if wants(names, a.name) {
			p.hashes = append(p.hashes, cdx.Hash{Algorithm: a.in, Value: hex.EncodeToString(hashes[len(p.hashes)].Sum(nil))})
		}
	}
	return nil
}

// wants tells whether a digest is to be in a bill. SHA-256 always is.
func wants(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return name == "sha256"
}
