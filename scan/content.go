package scan

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/tensmith/tensmith/convert"
	"github.com/tensmith/tensmith/pickle"
)

// content looks into what is at a place, whatever it is called, and returns
// its format. Of a loose place it returns "" if nothing there is certain.
func (t *trace) content(b blob, at place) string {
	if t.ctx.Err() != nil {
		return ""
	}
	if at.depth > maxDepth {
		t.note("ST404", at, -1, "", fmt.Sprintf("more than %d containers within each other", maxDepth))
		return ""
	}
	head, err := b.at(0, 4096)
	if err != nil && len(head) == 0 {
		t.unreadable(at, 0, err)
		return ""
	}
	if b.size == 0 {
		if !at.loose && claimsModel(at.name) {
			t.note("ST405", at, -1, "", "the file is empty")
		}
		return "empty"
	}
	k, format := identify(head)
	switch k {
	case kindZip, kindTar, kindGzip, kindBzip2, kindXZ, kindLZMA, kindZlib, kindZstd, kindLZ4, kindSevenZip:
		if t.spent.inner--; t.spent.inner < 0 {
			t.note("ST404", at, -1, "", "more archives within each other than a scan reads")
			return format
		}
	}
	if k != kindNative && k != kindPickle && !t.part(k) && at.depth > 0 {
		return "" // which is told when all is done
	}
	if at.loose {
		return t.looseContent(b, at, k, format)
	}
	if isHeader(head) {
		k, format = t.header(b, at, k, format)
	}
	block := k != kindHDF5 && at.depth < 2 && hdf5Begin(b) > 0
	if block && allZero(head[:min(len(head), 512)]) {
		k, format, block = kindHDF5, "hdf5", false
	}
	format = t.kind(b, at, k, format, head)
	if block {
		t.note("ST420", at, hdf5Begin(b), "hdf5", "the file is also an HDF5 file, with a block in front that is "+format+": which of the two is read depends on the reader")
		t.hdf5(b, at)
	}
	if k != kindPickle && k != kindUnknown {
		t.alsoPickle(b, at, head[0])
	}
	if strings.HasSuffix(strings.ToLower(at.name), ".safetensors") && format != "safetensors" && k != kindPointer {
		// Loaders that go by the name are one kind, those that look are
		// another.
		t.note("ST026", at, 0, format, "called safetensors, and is "+format)
	}
	if k != kindZip && k != kindTar && at.depth < 2 {
		t.appended(b, at)
	}
	return format
}

// header tells what a file is that begins as safetensors do and has the mark of
// something else as well, for the length of a header can be any: fonts begin
// as a header of 256 bytes does.
func (t *trace) header(b blob, at place, k kind, format string) (kind, string) {
	switch k {
	case kindMedia, kindData, kindScript:
		return kindSafetensors, "safetensors"
	case kindGzip, kindBzip2, kindXZ, kindLZMA, kindZlib, kindZstd, kindLZ4:
		if !unpacks(b, k) {
			return kindSafetensors, "safetensors"
		}
		t.note("ST420", at, 0, "safetensors", "the file also begins as safetensors do: which of the two is read depends on the reader")
	}
	return k, format
}

// alsoPickle reads a file of another format as a pickle, if its first byte
// lets it: the mark of GIF is a float and that of a tar the name of a member,
// behind which opcodes can follow.
func (t *trace) alsoPickle(b blob, at place, first byte) {
	if strings.IndexByte(openings, first) < 0 {
		return
	}
	if apart, r, ok := t.tryPickle(b, at); ok && r.named || r.imports > 0 && (r.count > 0 || r.calls > 0 && apart.has(Dangerous)) {
		t.join(apart)
		t.note("ST420", at, 0, "pickle", "the file is also a pickle: which of the two is read depends on the reader")
	}
}

// unreadable tells of an error of the reader.
func (t *trace) unreadable(at place, offset int64, err error) {
	if errors.Is(err, errBudget) {
		t.note("ST404", at, offset, "", errBudget.Error())
		return
	}
	t.note("ST401", at, offset, "", err.Error())
}

// kind reads what is no loose bytes.
func (t *trace) kind(b blob, at place, k kind, format string, head []byte) string {
	switch k {
	case kindSafetensors:
		return t.safetensors(b, at)
	case kindPickle:
		return t.pickleFile(b, at)
	case kindZip:
		return t.zip(b, at)
	case kindTar:
		return t.tar(b, at)
	case kindGzip, kindBzip2, kindXZ, kindLZMA, kindZlib, kindZstd, kindLZ4:
		if k == kindZlib || k == kindLZMA {
			// Two or three bytes are no mark: what does not unpack is
			// something else.
			if !unpacks(b, k) {
				break
			}
		}
		return t.compressed(b, at, k, format)
	case kindZFile:
		const mark = 21 // ZF, and the length in 19 characters (joblib/numpy_pickle_compat.py)
		return t.compressed(b.rest(mark), at, kindZlib, format)
	case kindSevenZip:
		if format == "7z" {
			t.sevenZip(b, at)
			return format
		}
		t.note("ST403", at, 0, format, "a "+format+" archive, which is not opened here")
		return format
	case kindNPY:
		t.npy(b, at)
		return format
	case kindHDF5:
		t.hdf5(b, at)
		return format
	case kindGGUF:
		t.gguf(b, at)
		return format
	case kindNative:
		if format == "elf" && isHollow(head) {
			t.add(Finding{ID: "ST350", Severity: Suspicious, File: at.file, Name: format, Message: "the mark of machine code (elf), in a header for no system: none runs or links it"})
			t.commandsIn(b, at)
			return format
		}
		t.note("ST350", at, 0, format, "machine code ("+format+")")
		return format
	case kindScript:
		line, _, _ := bytes.Cut(head, []byte("\n"))
		t.script(b, at, "script", fmt.Sprintf("a program for %q", excerpt(string(bytes.TrimSpace(line[2:])), 60)))
		return format
	case kindPointer:
		t.note("ST020", at, 0, "", "the file is a Git LFS pointer: the weights are not there to be scanned")
		return format
	case kindMedia:
		if claimsModel(at.name) {
			t.note("ST405", at, 0, format, "called a model, and is "+format)
		} else {
			t.note("ST407", at, 0, format, "is "+format+", no model")
		}
		return format
	case kindData:
		switch format {
		case "parquet", "arrow":
			t.arrow(b, at, format)
		case "tflite":
			t.tflite(b, at)
		}
		t.note("ST409", at, 0, format, "is "+format+", which holds no code")
		return format
	}
	return t.unmarked(b, at, head)
}

// unmarked reads files that no first bytes tell apart.
func (t *trace) unmarked(b blob, at place, head []byte) string {
	detected, err := convert.Detect(b, b.size)
	if err != nil {
		t.unreadable(at, 0, err)
		return ""
	}
	switch detected {
	case convert.Safetensors:
		if isSafetensors(b, head, at) {
			return t.safetensors(b, at)
		}
	case convert.TorchLegacy:
		return t.pickleFile(b, at)
	case convert.TensorIndex:
		t.tensorIndex(b, at)
		return string(detected)
	case convert.MLIR:
		t.mlir(b, at)
		return string(detected)
	case convert.IRPA, convert.TVM:
		t.note("ST409", at, 0, string(detected), "is "+detected.String()+", which holds no code")
		return string(detected)
	case convert.Zeros:
		if claimsModel(at.name) {
			t.note("ST405", at, 0, "", "the file is nothing but zeros")
		}
		return string(detected)
	}
	// Protocols 0 and 1 have no mark: whatever is read as a pickle to its end,
	// or imports something, is one.
	apart, r, ok := t.tryPickle(b, at)
	if ok {
		t.join(apart)
		t.behind(b, at, r)
		return r.format()
	}
	switch detected {
	case convert.JSON:
		if isTemplateName(at.name) || !t.json(b, at) {
			t.noJSON(b, at) // a brace, and then something else
			t.text(b, at, head, "text")
		}
		return string(detected)
	case convert.HTML, convert.XML, convert.Text:
		if claimsModel(at.name) {
			t.join(apart)
		} else if r.imports > 0 && apart.has(Dangerous) {
			// Words may be so by chance, one below the other.
			t.note("ST420", at, 0, "pickle", "the text begins as a pickle that imports what can run code, and breaks off before it calls that")
		}
		t.text(b, at, head, string(detected))
		return string(detected)
	}
	if !t.work(workUnknown) && at.depth > 0 {
		return ""
	}
	if format := t.protobuf(b, at, head); format != "" {
		return format
	}
	if detected == convert.Safetensors {
		return t.safetensors(b, at)
	}
	if t.fingerprint(b) {
		t.note("ST409", at, 0, "tf-fingerprint", "is the fingerprint of a SavedModel, which holds no code")
		return "tf-fingerprint"
	}
	if isProgramName(at.name) && (bytes.HasPrefix(head, []byte("MZ")) || strings.HasSuffix(strings.ToLower(at.name), ".com")) {
		t.note("ST350", at, 0, "pe", "machine code, by its name")
		return "pe"
	}
	if t.msgpack(b, at, head) {
		return "msgpack"
	}
	if format := t.records(b, at); format != "" {
		return format
	}
	if claimsModel(at.name) && (r.count > 0 || r.imports > 0 || apart.has(Dangerous)) {
		t.join(apart) // of which it is no sound one
	}
	t.note("ST405", at, 0, "", "a format that is not known here")
	t.commandsIn(b, at)
	return "unknown"
}

// isSafetensors tells a safetensors file, sound or not, from other bytes that
// begin with a small number.
func isSafetensors(b blob, head []byte, at place) bool {
	return len(head) > 9 && (bytes.HasPrefix(bytes.TrimLeft(head[8:], " \t\r\n"), []byte("{")) || strings.HasSuffix(strings.ToLower(at.name), ".safetensors"))
}

// looseContent looks into bytes that may be anything, and keeps what cannot
// be chance.
func (t *trace) looseContent(b blob, at place, k kind, format string) string {
	switch k {
	case kindZip:
		at.loose = false
		apart := t.apart()
		if apart.zip(b, at); apart.format != "" {
			t.join(apart)
			return apart.format
		}
	case kindTar:
		at.loose = false
		format := t.tar(b, at)
		if first, err := b.at(0, 1); err == nil && len(first) > 0 {
			t.alsoPickle(b, at, first[0])
		}
		return format
	case kindGzip, kindBzip2, kindXZ, kindLZMA, kindZlib, kindZstd, kindLZ4:
		if unpacks(b, k) {
			return t.compressed(b, at, k, format)
		}
	case kindSevenZip:
		if format == "7z" {
			t.sevenZip(b, at)
			return format
		}
		t.note("ST403", at, 0, format, "a "+format+" archive, which is not opened here")
		return format
	case kindNPY:
		at.loose = false
		t.npy(b, at)
		return format
	case kindNative:
		head, _ := b.at(0, 1024)
		if certainNative(head) {
			t.note("ST350", at, 0, format, "machine code ("+format+")")
			return format
		}
	case kindScript:
		head, _ := b.at(0, 64)
		if line, _, ok := bytes.Cut(head, []byte("\n")); ok && bytes.HasPrefix(line, []byte("#!/")) {
			t.note("ST351", at, 0, format, fmt.Sprintf("a program for %q", excerpt(string(line[2:]), 60)))
			return format
		}
	case kindUnknown, kindPickle:
		first, err := b.at(0, 1)
		if err != nil || len(first) == 0 || strings.IndexByte(openings, first[0]) < 0 {
			return ""
		}
		if apart, r, ok := t.tryPickle(b, at); ok {
			t.join(apart)
			return r.format()
		}
	}
	return ""
}

// openings are opcodes with which a pickle begins that does something: PROTO,
// FRAME, imports, strings that become names, marks and containers.
const openings = "\x80\x95c(i)]}N\x8c\x8d\x8eXSTUVIJKLMGFBCP\x88\x89\x8a\x8b\x8f\x96\x82\x83\x84"

// mayBegin tells whether a decoder gets beyond the first opcode: most need
// something on the stack.
func mayBegin(head []byte, size int64) bool {
	if len(head) == 0 || strings.IndexByte(openings, head[0]) < 0 {
		return false
	}
	switch head[0] {
	case 'T', 'X', 'B': // of a length
		return len(head) == 5 && int64(le.Uint32(head[1:])) <= size
	}
	return true
}

// certainNative tells machine code from numbers that look like its mark.
func certainNative(head []byte) bool {
	switch {
	case len(head) < 20:
		return false
	case bytes.HasPrefix(head, []byte("\x7fELF")):
		return (head[4] == 1 || head[4] == 2) && (head[5] == 1 || head[5] == 2) && head[6] == 1
	case bytes.HasPrefix(head, []byte("MZ")):
		return isPE(head)
	}
	return true
}

// tryPickle reads bytes as a pickle that need be none. It is one if it imports
// names that can be names, or is read to its end and holds something.
func (t *trace) tryPickle(b blob, at place) (*trace, reading, bool) {
	apart := t.apart()
	before := t.spent.pickles
	// What is called a model is told of, however it begins.
	if !at.loose && !claimsModel(at.name) {
		if first, err := b.at(0, 5); err == nil && !mayBegin(first, b.size) {
			return apart, reading{}, false
		}
		if before <= 0 {
			t.note("ST404", at, 0, "", "more files that may be pickles than a scan reads")
			return apart, reading{}, false
		}
	}
	r := apart.pickles(b, at)
	if spent := before - t.spent.pickles; !at.loose && r.count == 0 && r.imports == 0 && spent < 2*pickleWork {
		t.spent.pickles += spent - min(spent, triedWork) // an archive may have 200,000 texts
	}
	if r.legacy {
		return apart, r, true
	}
	odd, certain := false, false
	for _, f := range apart.findings {
		if f.Name != "" && (f.ID == "ST301" || f.ID == "ST302" || f.ID == "ST303") {
			dotted := isDotted(f.Name)
			odd, certain = odd || !dotted, certain || dotted && f.ID == "ST301"
		}
	}
	// Of what is behind a bound no imports, calls and STOP are counted, and whoever
	// loads the file comes to them.
	bounded := r.err != nil && (errors.Is(r.err, errBudget) || errors.Is(r.err, pickle.ErrLimit))
	long := tooLong(r.err) // which begins many a text, behind which a pickle goes on by chance
	switch {
	case !bounded:
	case certain && r.named && (!long || r.skimmed):
		return apart, r, true
	case !at.loose && (!long || r.skimmed || r.named):
		t.note("ST404", at, -1, "", "may be a pickle, and is over a bound of this scan")
	case at.loose && before <= 0:
		if head, err := b.at(0, 4); err == nil && kindOf(head) == kindPickle {
			t.note("ST404", at, -1, "", "more numbers that may be pickles than a scan reads")
		}
	}
	if odd && !(certain && r.calls > 0) {
		return apart, r, false
	}
	switch {
	case r.imports > 0 && r.count > 0, r.calls > 0 && apart.has(Dangerous):
		return apart, r, true
	case at.loose:
		// Without imports it is one if it says so and fills the bytes.
		first, _ := b.at(0, 1)
		return apart, r, r.count == 1 && r.end == b.size && b.size >= minPayload && len(first) == 1 && first[0] == 0x80
	}
	return apart, r, r.count == 1 && r.end == b.size && (b.size > 8 || claimsModel(at.name))
}

// pickleFile reads a file that is a pickle.
func (t *trace) pickleFile(b blob, at place) string {
	r := t.pickles(b, at)
	t.behind(b, at, r)
	return r.format()
}

// behind looks at what follows the last pickle of a file.
func (t *trace) behind(b blob, at place, r reading) {
	if r.count == 0 {
		// Nothing was read to its end, and a reader that tries again further
		// on finds what stands there.
		if e, ok := errors.AsType[*pickle.Error](r.err); ok && errors.Is(r.err, pickle.ErrMalformed) && !at.loose {
			t.junk(b.rest(e.Offset+1), at, e.Offset+1)
		}
		return
	}
	if r.end >= b.size || r.legacy {
		return
	}
	t.note("ST320", at, r.end, "", fmt.Sprintf("%d bytes behind the pickle", b.size-r.end))
	t.junk(b.rest(r.end), at, r.end)
}

// junk looks for pickles and archives in bytes that belong to nothing.
func (t *trace) junk(b blob, at place, offset int64) {
	if at.junk {
		return // what lies in junk is not searched for more of it, or time would multiply
	}
	const window, most = 1 << 20, 512
	if !t.work(workJunk * min(window, b.size)) {
		return
	}
	data, err := b.at(0, window)
	if err != nil {
		t.unreadable(at, offset, err)
	}
	tries := 0
	for i := 0; i+4 <= len(data) && tries < most; i++ {
		if i%4096 == 0 && t.ctx.Err() != nil {
			break
		}
		switch c := data[i]; {
		case c == 0x80 && data[i+1] <= 5, c == 'c' && isImport(data[i:min(len(data), i+520)]),
			c == 'P' && bytes.HasPrefix(data[i:], []byte("PK\x03\x04")), c == 0x7f && bytes.HasPrefix(data[i:], []byte("\x7fELF")),
			c == 'M' && isPE(data[i:min(len(data), i+4096)]), c == '\x1f' && bytes.HasPrefix(data[i:], []byte("\x1f\x8b\x08")):
			tries++
			loose := at.in(fmt.Sprintf("bytes@%d", offset+int64(i)))
			loose.loose, loose.junk = true, true
			apart := t.apart()
			if apart.content(b.rest(int64(i)), loose) != "" && len(apart.findings) > 0 {
				t.join(apart)
			} else if c == 0x7f {
				t.note("ST354", at, offset+int64(i), "elf", "the mark of a program (elf) in bytes that belong to nothing")
			}
		}
	}
}
