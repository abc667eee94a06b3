package scan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/bits"
	"path"
	"strings"
	"unicode"

	"github.com/tensmith/tensmith/convert"
	"github.com/tensmith/tensmith/safetensors"
)

// MaxFindings is how many findings a [CheckReport] holds at most.
const MaxFindings = 10_000

// A CheckReport is the outcome of a [Check].
type CheckReport struct {
	Valid    bool      // nothing that the format forbids was found
	Findings []Finding // in the order of files, then as they were met
	Dropped  int       // findings beyond MaxFindings
}

// Check reads the structure of the model that name stands for in fsys: a
// file, an index or a directory, as safetensors.OpenCheckpoint reads them. An
// error says that something could not be read; what was found before then is
// in the report all the same.
func Check(ctx context.Context, fsys fs.FS, name string) (CheckReport, error) {
	c := checker{fsys: fsys, report: CheckReport{Valid: true}, seen: map[string]bool{}}
	if _, err := fs.Stat(fsys, name); err != nil {
		return c.report, err
	}
	model, err := safetensors.CheckCheckpoint(fsys, name, func(e *safetensors.FormatError) bool {
		c.format(e)
		return ctx.Err() == nil
	})
	if model != nil {
		defer model.Close()
		for _, f := range model.Files() {
			c.legal(f)
		}
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return c.report, err
}

// CheckBytes is Check for one file in memory or wherever else r leads.
func CheckBytes(r io.ReaderAt, size int64, name string) (CheckReport, error) {
	report, _, err := checkFile(r, size, name)
	return report, err
}

// checkFile also returns the file, as far as it could be read, or nil.
func checkFile(r io.ReaderAt, size int64, name string) (CheckReport, *safetensors.File, error) {
	c := checker{report: CheckReport{Valid: true}, seen: map[string]bool{name: true}}
	if err := c.foreignFile(r, size, name); err != nil {
		return c.report, nil, err
	}
	f, err := safetensors.Check(r, size, func(e *safetensors.FormatError) bool {
		e.File = name
		c.format(e)
		return true
	})
	if f != nil {
		c.legal(f)
	}
	return c.report, f, err
}

type checker struct {
	fsys   fs.FS
	report CheckReport
	seen   map[string]bool // files that were asked what they are
}

func (c *checker) add(f Finding) {
	rule, err := Explain(f.ID)
	if err != nil {
		panic(err) // a finding without a rule is a mistake in this package
	}
	f.Severity = rule.Severity
	if f.Severity == Error {
		c.report.Valid = false
	}
	if len(c.report.Findings) == MaxFindings {
		c.report.Dropped++
		return
	}
	c.report.Findings = append(c.report.Findings, f)
}

// foreign says what a file is that has an error, if it is no safetensors file
// and no index.
func (c *checker) foreign(name string) {
	if c.seen[name] || strings.HasSuffix(name, ".json") {
		return
	}
	c.seen[name] = true
	// Whatever goes wrong here has gone wrong before, and was reported then.
	if info, err := fs.Stat(c.fsys, name); err != nil || !info.Mode().IsRegular() {
		return
	}
	f, err := c.fsys.Open(name)
	if err != nil {
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if r, ok := f.(io.ReaderAt); ok && err == nil {
		_ = c.foreignFile(r, info.Size(), name)
	}
}

func (c *checker) foreignFile(r io.ReaderAt, size int64, name string) error {
	format, err := convert.Detect(r, size)
	if err != nil {
		return err
	}
	head := make([]byte, 10)
	if n, _ := r.ReadAt(head, 0); isHeader(head[:n]) {
		format = convert.Safetensors // whose length has the mark of something else
	}
	finding := Finding{File: name, Message: "the file is " + format.String()}
	switch format {
	case convert.Safetensors, convert.Unknown:
		return c.oldWriter(r, size, name)
	case convert.LFSPointer:
		finding.ID = "ST020"
	case convert.HTML:
		finding.ID = "ST021"
	case convert.Gzip, convert.Bzip2, convert.XZ, convert.Zstd, convert.LZ4, convert.Zlib:
		finding.ID = "ST022"
	case convert.Zip:
		finding.ID = "ST023"
	case convert.Pickle, convert.TorchLegacy:
		finding.ID = "ST024"
	case convert.GGUF, convert.GGML:
		finding.ID = "ST025"
	default:
		finding.ID = "ST026"
	}
	c.add(finding)
	return nil
}

// oldWriter recognises what the reference's releases 0.4.x wrote for metadata
// without tensors, and 0.8.0 writes for an empty map of them.
func (c *checker) oldWriter(r io.ReaderAt, size int64, name string) error {
	const mark = `{},"__metadata__":`
	head := make([]byte, 8+len(mark))
	if size < int64(len(head)) {
		return nil
	}
	if n, err := r.ReadAt(head, 0); n < len(head) {
		return err
	}
	if bytes.HasSuffix(head, []byte(mark)) {
		c.add(Finding{ID: "ST027", File: name, Offset: 8, Message: "the header begins with " + mark})
	}
	return nil
}

// causes has the rule for each error of package safetensors.
var causes = []struct {
	err error
	id  string
}{
	{safetensors.ErrTooShort, "ST001"},
	{safetensors.ErrHeaderTooLarge, "ST002"},
	{safetensors.ErrHeaderTruncated, "ST003"},
	{safetensors.ErrUTF8, "ST004"},
	{safetensors.ErrSyntax, "ST005"},
	{safetensors.ErrType, "ST006"},
	{safetensors.ErrDuplicate, "ST007"},
	{safetensors.ErrForm, "ST008"},
	{safetensors.ErrDType, "ST009"},
	{safetensors.ErrOffset, "ST010"},
	{safetensors.ErrOverflow, "ST011"},
	{safetensors.ErrMisaligned, "ST012"},
	{safetensors.ErrSize, "ST013"},
	{safetensors.ErrTruncated, "ST014"},
	{safetensors.ErrTrailing, "ST015"},
	{safetensors.ErrShard, "ST030"},
	{safetensors.ErrIndex, "ST031"},
	{safetensors.ErrPath, "ST032"},
	{safetensors.NoteField, "ST105"},
	{safetensors.NoteNull, "ST106"},
	{safetensors.NoteIndex, "ST109"},
	{safetensors.NoteFile, "ST110"},
}

func (c *checker) format(e *safetensors.FormatError) {
	message, _, _ := strings.Cut(e.Err.Error(), ": unexpected EOF")
	if e.Detail != "" {
		message = strings.TrimSuffix(message, ": file does not exist") + ": " + e.Detail
	}
	for _, cause := range causes {
		if errors.Is(e.Err, cause.err) {
			if cause.id <= "ST015" {
				c.foreign(e.File)
			}
			c.add(Finding{ID: cause.id, File: e.File, Offset: e.Offset, Tensor: e.Tensor, Message: message})
			return
		}
	}
	panic("no rule for " + e.Error())
}

// legal notes what is unusual about a file that is sound.
func (c *checker) legal(f *safetensors.File) {
	note := func(id string, offset int64, tensor, format string, args ...any) {
		c.add(Finding{ID: id, File: f.Name(), Offset: offset, Tensor: tensor, Message: fmt.Sprintf(format, args...)})
	}
	header := f.Header()
	if brace := bytes.IndexByte(header, '{'); brace > 0 {
		note("ST101", 8, "", "%d bytes of whitespace before the header's brace", brace)
	}
	padding := header[bytes.LastIndexByte(header, '}')+1:]
	if i := bytes.IndexFunc(padding, func(r rune) bool { return r != ' ' }); i >= 0 {
		note("ST102", f.DataOffset()-int64(len(padding)-i), "", "the header's padding holds byte 0x%02x", padding[i])
	}
	if f.DataOffset()%8 != 0 && f.Len() > 0 {
		note("ST103", f.DataOffset(), "", "the data begins at byte %d", f.DataOffset())
	}
	if len(header) > 25_000_000 {
		note("ST107", 0, "", "the header is %d bytes long", len(header))
	}
	unaligned, odd := 0, false
	var last *safetensors.Tensor
	for t := range f.All() {
		if size := int64(t.DType.Bits() / 8); size > 1 && t.Offset()%size != 0 && t.Size() > 0 {
			if unaligned++; unaligned == 1 {
				defer func(t *safetensors.Tensor) {
					note("ST104", t.Offset(), t.Name, "tensors that are not aligned to their elements: %d, first %s (%s at byte %d)", unaligned, quote(t.Name), t.DType, t.Offset())
				}(t)
			}
		}
		for _, n := range t.Shape {
			if n > 1<<53 {
				note("ST108", t.Offset(), t.Name, "a dimension of %d", n)
			}
		}
		if strings.ContainsFunc(t.Name, unprintable) || strings.HasPrefix(t.Name, "/") || path.Clean("/"+t.Name) != "/"+t.Name && strings.Contains(t.Name, "..") || strings.Contains(t.Name, `\`) {
			note("ST111", t.Offset(), t.Name, "the name %s", quote(t.Name))
		}
		if last != nil && !odd && (last.DType < t.DType || last.DType == t.DType && last.Name > t.Name) {
			if odd = true; !inAlignedOrder(f) {
				note("ST112", t.Offset(), t.Name, "%s stands behind %s", quote(t.Name), quote(last.Name))
			}
		}
		last = t
	}
}

// inAlignedOrder reports whether the tensors are in the order that an Encoder
// gives them for an alignment the data has: by the alignment that their size
// keeps up, and only then as the reference does. A file that was written so
// has nothing unusual about it.
func inAlignedOrder(f *safetensors.File) bool {
	for align := uint64(16); align <= 1<<26 && uint64(f.DataOffset())%align == 0; align *= 2 {
		sorted, last, kept := true, (*safetensors.Tensor)(nil), 0
		for t := range f.All() {
			k := bits.TrailingZeros64(uint64(t.Size()) | align)
			if last != nil && (k > kept || k == kept && (last.DType < t.DType || last.DType == t.DType && last.Name > t.Name)) {
				sorted = false
				break
			}
			last, kept = t, k
		}
		if sorted {
			return true
		}
	}
	return false
}

func unprintable(r rune) bool { return !unicode.IsGraphic(r) }

func quote(name string) string { return fmt.Sprintf("%+q", name) }
