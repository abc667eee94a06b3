package scan

import (
	"bytes"
	"fmt"

	"github.com/tensmith/tensmith/safetensors"
)

// maxHeader is up to what size a header is read unless all is asked for: some
// 100,000 tensors have one of 10 MB. Of the quotes a tensor has ten, and an entry of
// the metadata four: what they become is 60 bytes for each.
const (
	maxHeader = 12 << 20
	maxQuotes = 1_200_000
)

// count counts a byte in a range of b.
func (t *trace) count(b blob, off, n int64, c byte) int {
	total := 0
	var room []byte
	for end := off + min(n, b.size-off); off < end && t.ctx.Err() == nil; {
		p, err := b.into(room, off, min(end-off, 64<<10))
		if err != nil || len(p) == 0 {
			break // whoever reads the header tells
		}
		room = p
		total += bytes.Count(p, []byte{c})
		off += int64(len(p))
	}
	return total
}

// safetensors reads the header of a safetensors file: its structure, and what
// its metadata hide.
func (t *trace) safetensors(b blob, at place) string {
	if head, _ := b.at(0, 8); len(head) == 8 && le.Uint64(head) > smallText {
		n := le.Uint64(head)
		if n > maxHeader && n < uint64(b.size) && !t.opts.Deep {
			t.note("ST404", at, 0, "", fmt.Sprintf("a header of %d bytes, which becomes several times as much: more than a scan reads", n))
			t.junk(b.rest(8+int64(n)), at, 8+int64(n))
			return "safetensors"
		}
		if quotes := t.count(b, 8, int64(min(n, 1<<40)), '"'); quotes > maxQuotes && !t.opts.Deep {
			t.note("ST404", at, 0, "", fmt.Sprintf("a header of about %d names and texts: more than a scan keeps", quotes/2))
			t.junk(b.rest(8+int64(min(n, 1<<40))), at, 8+int64(min(n, 1<<40)))
			return "safetensors"
		}
		t.large()
	}
	if head, _ := b.at(0, 8); len(head) == 8 {
		const short = 1 << 10 // of which there may be 20,000
		if n := int64(min(le.Uint64(head), uint64(b.size), maxHeader)); !t.work(workHeaderByte*max(n-short, 0)) && at.depth > 0 {
			return "safetensors" // which is told when all is done
		}
	}
	report, f, err := checkFile(b, b.size, at.file)
	for _, f := range report.Findings {
		f.File = at.file
		t.add(f)
	}
	t.dropped += report.Dropped
	if err != nil {
		t.unreadable(at, 0, err)
	}
	if f == nil {
		t.junk(b, at, 0)
		return "safetensors"
	}
	t.metadata(f, at)
	end := f.DataOffset()
	for tensor := range f.All() {
		end = max(end, tensor.Offset()+tensor.Size())
		t.storage(b, tensor.Offset(), min(tensor.Size(), b.size-tensor.Offset()), at)
	}
	if end < b.size {
		t.junk(b.rest(end), at, end)
	}
	t.padding(f, at)
	return "safetensors"
}

// padding tells of a header that is followed by far more room than aligning
// takes, which readers skip.
func (t *trace) padding(f *safetensors.File, at place) {
	header := f.Header()
	n := 0
	for n < len(header) && (header[len(header)-1-n] == ' ' || header[len(header)-1-n] == '\n' || header[len(header)-1-n] == '\t' || header[len(header)-1-n] == '\r') {
		n++
	}
	if odd := len(header) - n; n > 1<<16 {
		t.note("ST609", at, 8+int64(odd), "", fmt.Sprintf("%d bytes of white space behind the header", n))
	}
}
