package sign

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/tensmith/tensmith/internal/digest"
)

// block is how many bytes of a file are read at once.
const block = 1 << 20

// hashTogether computes the SHA-256 of pieces, several side by side.
func hashTogether(ctx context.Context, todo []*piece, workers int, m *meter) error {
	sources := make([]*digest.Source, len(todo))
	for i, p := range todo {
		sources[i] = &digest.Source{Size: p.End - p.Start, Open: func() (io.ReadCloser, error) {
			f, err := p.file.openSame()
			if err != nil {
				return nil, err
			}
			return &pieceReader{p, f, p.Start}, nil
		}}
	}
	if err := digest.Each(ctx, sources, workers, m.add); err != nil {
		return err
	}
	for i, p := range todo {
		p.digest = hex.EncodeToString(sources[i].Sum[:])
	}
	return nil
}

// A pieceReader reads a piece of an open file.
type pieceReader struct {
	*piece
	f  *os.File
	at int64
}

// Read implements io.Reader.
func (r *pieceReader) Read(buf []byte) (int, error) {
	n, err := r.readAt(r.f, buf, r.at)
	r.at += int64(n)
	return n, err
}

// Close also tells whether the file has changed since it was listed.
func (r *pieceReader) Close() error { return errors.Join(r.file.unchanged(r.f), r.f.Close()) }

// readAt reads the next bytes of a piece: as many as there is room for.
func (p *piece) readAt(f *os.File, buf []byte, at int64) (int, error) {
	n, err := f.ReadAt(buf[:min(int64(len(buf)), p.End-at)], at)
	if errors.Is(err, io.EOF) {
		if err = nil; at+int64(n) < p.End {
			err = fmt.Errorf("sign: %s: %w: it changes while it is read", p.Path, io.ErrUnexpectedEOF)
		}
	}
	return n, err
}

// read computes the digest of a piece by itself.
func (p *piece) read(ctx context.Context, buf []byte, m *meter) (err error) {
	f, err := p.file.openSame()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := p.Algorithm.new()
	for at := p.Start; at < p.End; {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		n, err := p.readAt(f, buf, at)
		if err != nil {
			return err
		}
		h.Write(buf[:n])
		at += int64(n)
		m.add(int64(n))
	}
	p.digest = hex.EncodeToString(h.Sum(nil))
	return p.file.unchanged(f)
}

// each hands the pieces to workers until one fails.
func each(ctx context.Context, workers int, todo []*piece, work func(ctx context.Context, p *piece, buf []byte) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	ended := make(chan struct{})
	workers = min(workers, len(todo))
	for range workers {
		go func() {
			defer func() { ended <- struct{}{} }()
			buf := make([]byte, block)
			for i := next.Add(1) - 1; i < int64(len(todo)); i = next.Add(1) - 1 {
				if err := work(ctx, todo[i], buf); err != nil {
					cancel(err)
					return
				}
			}
		}()
	}
	for range workers {
		<-ended
	}
	return context.Cause(ctx)
}
