package sign

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync/atomic"

	"github.com/tensmith/tensmith/internal/digest"
)

// block is how many bytes of a file are read at once.
const block = 1 << 20

// lanes computes the SHA-256 of many pieces side by side.
type lanes struct {
	pool    digest.Pool
	longest int64 // bytes; see digest.Longest
}

// sideBySide tells whether pieces are better hashed that way than one after
// the other by each worker: whether there are more of them than processors.
func (h *Hasher) sideBySide(todo []*piece) bool {
	long := 0
	for _, p := range todo {
		if p.Algorithm != SHA256 {
			return false
		}
		if p.End-p.Start >= block {
			long++
		}
	}
	return long > runtime.GOMAXPROCS(0) && (h.Workers <= 0 || h.Workers >= runtime.GOMAXPROCS(0))
}

func newLanes(todo []*piece) *lanes {
	return &lanes{longest: digest.Longest(func(yield func(int64) bool) {
		for _, p := range todo {
			if !yield(p.End - p.Start) {
				return
			}
		}
	})}
}

// read computes the digest of a piece, of which one half of buf is read while
// the other is hashed.
func (l *lanes) read(ctx context.Context, p *piece, buf []byte, m *meter) (err error) {
	f, err := p.file.openSame()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	stream := &digest.Stream{Alone: p.End-p.Start > l.longest}
	hashed := make(chan struct{}, 1)
	done := func() { hashed <- struct{}{} }
	hashed <- struct{}{}
	half := len(buf) / 2
	for at, turn := p.Start, 0; at < p.End; turn ^= 1 {
		part := buf[turn*half : (turn+1)*half]
		var n int
		if err = context.Cause(ctx); err == nil {
			n, err = p.readAt(f, part, at)
		}
		<-hashed // the other half
		if err != nil {
			return err
		}
		at += int64(n)
		m.add(int64(n))
		l.pool.Write(stream, part[:n], done)
	}
	<-hashed
	sum := stream.Sum()
	p.digest = hex.EncodeToString(sum[:])
	return p.file.unchanged(f)
}

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
func each(ctx context.Context, workers int, todo []*piece, size int, work func(ctx context.Context, p *piece, buf []byte) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	ended := make(chan struct{})
	workers = min(workers, len(todo))
	for range workers {
		go func() {
			defer func() { ended <- struct{}{} }()
			buf := make([]byte, size)
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
