package torch

import (
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"io/fs"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz"
	"github.com/ulikunitz/xz/lzma"

	"github.com/tensmith/tensmith/internal/xzwindow"
)

// compressions are the formats around a checkpoint, by their first bytes.
var compressions = []struct {
	name, magic string
	open        func(io.Reader) (io.Reader, error)
}{
	{"gzip", "\x1f\x8b", func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }},
	{"bzip2", "BZh", func(r io.Reader) (io.Reader, error) { return bzip2.NewReader(r), nil }},
	// The window is memory: 64 MiB is what xz -9 asks for, and 16 is room for
	// what joblib and xz -7 write. For xz the setting is the least that the
	// library takes, and xzwindow has seen to the most.
	{"xz", "\xfd7zXZ\x00", func(r io.Reader) (io.Reader, error) {
		return xz.ReaderConfig{DictCap: lzma.MinDictCap}.NewReader(r)
	}},
	{"lzma", "\x5d\x00\x00", func(r io.Reader) (io.Reader, error) {
		return lzma.ReaderConfig{DictCap: maxDictionary}.NewReader(r)
	}},
	{"zstd", "\x28\xb5\x2f\xfd", openZstd},
	{"lz4", "\x04\x22\x4d\x18", func(r io.Reader) (io.Reader, error) { return lz4.NewReader(r), nil }}, // blocks of 4 MiB at most
	{"zlib", "ZF0x", openZFile},
	{"zlib", "\x78\x01", openZlib}, {"zlib", "\x78\x5e", openZlib}, {"zlib", "\x78\x9c", openZlib}, {"zlib", "\x78\xda", openZlib},
}

// openZstd unpacks in the goroutine that asks. The window is memory: 8 MiB is
// what zstd -19 asks for, and more is a matter of --ultra and --long.
func openZstd(r io.Reader) (io.Reader, error) {
	d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxDictionary))
	if err != nil {
		return nil, err
	}
	return d.IOReadCloser(), nil
}

func openZlib(r io.Reader) (io.Reader, error) { return zlib.NewReader(r) }

// maxDictionary bounds the memory of a decompressor, in bytes.
const maxDictionary = 16 << 20

// compressionOf returns the name of the compression, or "".
func compressionOf(head []byte) string {
	for _, c := range compressions {
		if bytes.HasPrefix(head, []byte(c.magic)) {
			return c.name
		}
	}
	return ""
}

// inflateRoom is how many bytes may come of size compressed ones. Weights
// hardly compress; zeros do, by a factor of 1000.
func (r *reader) inflateRoom(size int64) int64 {
	limit := r.opts.MaxInflated
	if limit <= 0 {
		limit = 64<<20 + min(size, 1<<40)*256
	}
	return max(limit-r.inflated, 0)
}

// inflate unpacks the whole of src.
func (r *reader) inflate(src span, head []byte, at place) (span, error) {
	for _, c := range compressions {
		if !bytes.HasPrefix(head, []byte(c.magic)) {
			continue
		}
		if c.name == "xz" {
			switch err := xzwindow.Check(src, src.size, maxDictionary); err {
			case xzwindow.ErrWindow:
				e := at.fail(ErrLimit, "window", "%s: a window of more than 16 MiB, which is memory", c.name)
				e.Hint = "unpack it first: xz -d"
				return span{}, e
			case xzwindow.ErrFormat:
				return span{}, at.malformed("compressed", "%s: %v", c.name, err)
			case io.ErrUnexpectedEOF:
				return span{}, at.malformed("truncated", "%s: %v", c.name, err)
			}
		}
		room := r.inflateRoom(src.size)
		in, err := c.open(io.NewSectionReader(src, 0, src.size))
		var out span
		if err == nil {
			out, err = r.keep(in, room)
			if c, ok := in.(io.Closer); ok {
				c.Close() // what it could say, reading has said
			}
		}
		if err == nil && out.size > room {
			return span{}, at.fail(ErrLimit, "inflate", "%s of %d bytes gives more than %d", c.name, src.size, room)
		}
		if isIO(err) {
			return span{}, at.wrap(err)
		}
		if err != nil {
			reason := "compressed"
			if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
				reason, err = "truncated", io.ErrUnexpectedEOF
			}
			return span{}, at.malformed(reason, "%s: %v", c.name, err)
		}
		return out, nil
	}
	return src, nil
}

// isIO tells whether an error is one of a file, such as of a disk that is full:
// what is unpacked is not to blame.
func isIO(err error) bool {
	_, ok := errors.AsType[*fs.PathError](err)
	return ok
}
