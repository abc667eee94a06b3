package scan

import (
	"context"
	"fmt"

	"github.com/tensmith/tensmith/safetensors"
)

// safetensors reads the header of a safetensors file: its structure, and what
// its metadata hide.
func (t *trace) safetensors(b blob, at place) string {
	if head, _ := b.at(0, 8); len(head) == 8 && le.Uint64(head) > smallText {
		t.large()
	}
	report, err := CheckBytes(b, b.size, at.file)
	for _, f := range report.Findings {
		f.File = at.file
		t.add(f)
	}
	t.dropped += report.Dropped
	if err != nil {
		t.unreadable(at, 0, err)
	}
	f, _ := safetensors.Check(b, b.size, func(*safetensors.FormatError) bool { return true }) // whose errors CheckBytes has told
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

// values reads the numbers of all safetensors files, one after the other, for
// each is read by all workers.
func (s *scanner) values(ctx context.Context) {
	for i := range s.files {
		f := &s.files[i]
		if f.Format != "safetensors" || ctx.Err() != nil {
			continue
		}
		c, err := safetensors.OpenCheckpointFS(s.fsys, f.Path)
		if err != nil {
			continue // the structure was reported
		}
		report, err := Values(ctx, c, ValueOptions{Jobs: s.opts.Jobs})
		c.Close()
		for _, finding := range report.Findings {
			if finding.Severity == Error {
				finding.Severity = Suspicious
			}
			finding.File = f.Path
			f.Findings = append(f.Findings, finding)
		}
		f.Dropped += report.Dropped
		if err != nil && ctx.Err() == nil {
			f.Findings = append(f.Findings, trouble(f.Path, err))
		}
	}
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
