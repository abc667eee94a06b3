package scan

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz"
	"github.com/ulikunitz/xz/lzma"

	"github.com/tensmith/tensmith/internal/xzwindow"
)

// maxDictionary bounds the memory of a decompressor in bytes: xz -6 asks for 8
// MiB, joblib too.
const maxDictionary = 16 << 20

// errDictionary is the cause of an error about compressed bytes whose window
// takes more memory than a scan has.
var errDictionary = fmt.Errorf("a window of more than %d MiB", maxDictionary>>20)

// decompressor opens what is compressed as a whole: r reads b. Of xz
// the window that a header names is allocated at once, up to 4 GiB.
func decompressor(k kind, b blob, r io.Reader) (io.Reader, error) {
	switch k {
	case kindGzip:
		return gzip.NewReader(r)
	case kindBzip2:
		return bzip2.NewReader(r), nil
	case kindXZ:
		if xzwindow.Check(b, b.size, maxDictionary) == xzwindow.ErrWindow {
			return nil, errDictionary
		}
		return xz.ReaderConfig{DictCap: lzma.MinDictCap}.NewReader(r)
	case kindZstd:
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxDictionary), zstd.WithDecoderMaxMemory(2*maxDictionary))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	case kindLZ4:
		return lz4.NewReader(r), nil
	case kindLZMA:
		return lzma.ReaderConfig{DictCap: maxDictionary}.NewReader(r) // the most, here
	}
	return zlib.NewReader(r)
}

// unpacks tells whether bytes are what their mark says: of some formats it is
// two bytes long.
func unpacks(b blob, k kind) bool {
	r, err := decompressor(k, b, io.NewSectionReader(b, 0, b.size))
	if err != nil {
		return err == errDictionary
	}
	if c, ok := r.(io.Closer); ok {
		defer c.Close()
	}
	var some [64]byte
	n, err := io.ReadFull(r, some[:])
	return n > 0 && (err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF))
}

// A growing is a compressed file that ends where it becomes less by unpacking: one
// of two million empty streams in a row takes seconds.
type growing struct {
	r    io.Reader
	read int64
	data *unpacked
}

var errShrinks = errors.New("millions of bytes that unpack to nothing")

func (g *growing) Read(p []byte) (int, error) {
	const most = 4 << 20
	if g.read > most+g.data.size+g.data.size/8 {
		return 0, errShrinks
	}
	n, err := g.r.Read(p)
	g.read += int64(n)
	return n, err
}

// compressed reads what is inside of a compressed file.
func (t *trace) compressed(b blob, at place, k kind, format string) string {
	if k == kindZstd && !t.work(zstdWindow(b)/8) && at.depth > 0 {
		return format // which is told when all is done
	}
	// A reader of bytes, so that decompressors take no more than they need.
	data := &unpacked{}
	source := bufio.NewReader(&growing{io.NewSectionReader(b, 0, b.size), 0, data})
	r, err := decompressor(k, b, source)
	if err == errDictionary {
		t.note("ST404", at, 0, "", format+" asks for "+err.Error()+", and was not unpacked")
		return format
	}
	if err != nil {
		t.note("ST402", at, 0, "", format+": "+err.Error())
		return format
	}
	if c, ok := r.(io.Closer); ok {
		defer c.Close()
	}
	room, slow := t.spent.unpack, int64(workFlate)
	switch k {
	case kindBzip2:
		slow = workBzip2
	case kindXZ, kindLZMA:
		slow = workLZMA
	}
	if at.loose {
		room = min(room, t.spent.loose)
	}
	if !t.opts.Deep { // of which the bytes are enough
		room = min(room, max(t.spent.work, 0)/slow)
	}
	left := room
	data.src, data.budget = r, &left
	t.keepLittle(data, at.depth, func() (io.Reader, error) {
		return decompressor(k, b, bufio.NewReader(io.NewSectionReader(b, 0, b.size)))
	})
	defer data.close()
	data.grow(smallText)
	if data.err == nil {
		t.large()
		data.grow(1 << 50)
	}
	n := data.size
	t.spent.unpack -= room - left
	if at.loose {
		t.spent.loose -= room - left
	}
	if !t.opts.Deep {
		t.spent.work -= slow * (room - left)
	}
	in := at
	in.file, in.depth = at.file+"!"+format, at.depth+1
	in.name = strings.TrimSuffix(at.name, "."+map[string]string{"gzip": "gz", "bzip2": "bz2", "xz": "xz", "lzma": "lzma", "zstd": "zst", "lz4": "lz4", "zlib": "zlib"}[format])
	if in.depth > maxDepth {
		t.note("ST404", at, -1, "", fmt.Sprintf("more than %d containers within each other", maxDepth))
		return format
	}
	loose := at.loose
	switch {
	case data.err == errBudget:
		t.note("ST404", at, -1, "", fmt.Sprintf("%d bytes of %s become more than a scan unpacks; what came first was read", b.size, format))
	case data.err != nil && data.err != io.EOF && !loose:
		t.note("ST402", at, -1, "", format+" breaks off: "+data.err.Error())
	}
	if data.err == io.EOF && !loose {
		if _, err := source.Peek(1); err == nil {
			t.note("ST320", at, -1, "", "bytes behind the end of what is compressed")
			t.junk(b, at, 0)
		}
	}
	if n == 0 {
		return format
	}
	in.loose = loose
	sub := t.apart()
	inner := sub.content(blob{data, 0, n}, in)
	if data.err == errBudget {
		// The cut is ours: what it breaks is told already.
		sub.forget("ST402")
	}
	t.join(sub)
	if loose && inner == "" && data.err != errBudget {
		return ""
	}
	if inner == "" {
		return format
	}
	return inner + " in " + format
}

// zstdWindow is the largest window that the first frames of a stream ask for: the
// decompressor allocates it, however little there is to unpack (RFC 8878, 3.1.1.1.2).
func zstdWindow(b blob) (window int64) {
	const magic, most = "\x28\xb5\x2f\xfd", 1 << 20
	head, err := b.at(0, most)
	if err != nil {
		return maxDictionary // told by whoever reads it
	}
	for {
		i := bytes.Index(head, []byte(magic))
		if i < 0 || len(head)-i < 6 {
			return window
		}
		head = head[i+len(magic):]
		if head[0]&0x20 != 0 { // as large as the content, whose size is behind the dictionary's number
			content := int64(1<<16 + 256)
			if at := 1 + [...]int{0, 1, 2, 4}[head[0]&3]; head[0]>>6 > 1 && len(head) >= at+4 {
				content = int64(le.Uint32(head[at:]))
			}
			window = max(window, min(content, maxDictionary))
			continue
		}
		base := int64(1) << min(10+head[1]>>3, 40)
		window = max(window, min(base+base/8*int64(head[1]&7), maxDictionary))
	}
}

// forget drops the findings of an id.
func (t *trace) forget(id string) {
	kept := t.findings[:0]
	for _, f := range t.findings {
		if f.ID == id {
			t.kept[f.Severity.rank()]--
			continue
		}
		kept = append(kept, f)
	}
	t.findings = kept
}
