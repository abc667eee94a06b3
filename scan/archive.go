package scan

import (
	"cmp"
	"compress/flate"
	"fmt"
	"hash/crc32"
	"hash/maphash"
	"io"
	"slices"
	"strings"
)

// zip reads a zip archive: torch's, NumPy's, Keras' or any other.
func (t *trace) zip(b blob, at place) string {
	d, err := t.openZip(b, at)
	if err != nil {
		t.unreadable(at, 0, err)
		return "zip"
	}
	if d == nil {
		if at.depth == 0 || claimsModel(at.name) {
			t.note("ST402", at, 0, "", "the directory at the end of the zip archive is missing or broken")
			t.locals(b, at)
		}
		return "zip"
	}
	t.format = "zip"
	for i := range d.members {
		t.locate(b, at, d, &d.members[i])
	}
	t.names(b, at, d)
	t.gaps(b, at, d)
	valid := false
	if t.format, valid = t.readZip(b, at, d); valid {
		t.validate(b, at)
	}
	return t.format
}

// readZip reads the members. It tells what the archive is, and whether it holds
// tensors that can be put together.
func (t *trace) readZip(b blob, at place, d *directory) (format string, valid bool) {
	z := &zipFile{t: t, b: b, at: at, d: d}
	z.read()
	return z.format(), z.valid
}

// appended looks for a zip archive at the end of a file that is something
// else: zip readers go by the end, others by the beginning.
func (t *trace) appended(b blob, at place) {
	off, _, err := findEnd(b)
	if err != nil || off < 0 {
		return
	}
	apart := t.apart()
	d, err := apart.openZip(b, at)
	if err != nil || d == nil || len(d.members) == 0 {
		return
	}
	t.note("ST420", at, d.begin, "zip", "the file is also a zip archive: which of the two is read depends on the reader")
	apart.zip(b, at)
	t.join(apart)
}

// locals reads the members of an archive without a directory, as readers of
// streams do.
func (t *trace) locals(b blob, at place) {
	for off := int64(0); off < b.size; {
		h, err := b.at(off, 30)
		if err != nil || len(h) < 30 || le.Uint32(h) != sigLocal {
			return
		}
		if t.spent.members--; t.spent.members < 0 {
			return
		}
		n, extra := int64(le.Uint16(h[26:])), int64(le.Uint16(h[28:]))
		name, _ := b.at(off+30, n)
		d := &directory{names: string(name), central: b.size}
		m := &member{nameLen: uint16(len(name)), method: le.Uint16(h[8:]), packed: uint64(le.Uint32(h[18:])), size: uint64(le.Uint32(h[22:])),
			lead: uint32(30 + n + extra), readable: true, header: uint64(off)}
		left := uint64(max(b.size-d.data(m), 0))
		if le.Uint16(h[6:])&8 != 0 {
			m.packed, m.size = left, left
		}
		m.packed = min(m.packed, left)
		z := &zipFile{t: t, b: b, at: at, d: d}
		data, ok := z.open(m)
		if ok {
			in := at.in(d.names)
			in.loose = true
			t.content(data, in)
		}
		off = d.data(m) + int64(m.packed)
		if le.Uint16(h[6:])&8 != 0 {
			return
		}
	}
}

// A zipFile is an archive whose members are being read.
type zipFile struct {
	t       *trace
	b       blob
	at      place
	d       *directory
	top     string // folder of all members with its slash, or none
	pickled bool
	valid   bool
	keys    keySet
	scratch []byte
	opened  int64 // bytes of members that were opened, as they are packed
	beyond  int   // members that were to be opened when there was no work left for it
	script  bool
	isSkops bool
}

// read reads every member. Pickles come first, for they tell which members are
// numbers.
func (z *zipFile) read() {
	t := z.t
	if len(z.d.members) > 0 {
		first := z.d.name(&z.d.members[0])
		if i := strings.IndexByte(first, '/'); i > 0 {
			z.top = first[:i+1]
		}
	}
	// What torch loads comes before all others, which may take all that a scan does.
	loads := z.top + "data.pkl"
	for i := range z.d.members {
		if m := &z.d.members[i]; m.opens() && z.d.name(m) == loads {
			z.pickle(m)
		}
	}
	for i := range z.d.members {
		m := &z.d.members[i]
		name := z.d.name(m)
		switch {
		case !m.readable, strings.HasSuffix(name, "/") && m.size == 0:
			continue
		case m.flags&0x2061 != 0:
			t.note("ST403", z.at.in(name), m.entry, "", fmt.Sprintf("encrypted or a patch (flags %#x), so that it cannot be read here", m.flags))
		case m.method != 0 && m.method != 8:
			t.note("ST403", z.at.in(name), m.entry, "", fmt.Sprintf("compressed by method %d, so that it cannot be read here", m.method))
			continue
		}
		if isPickleName(name) && name != loads {
			z.pickle(m)
		}
	}
	for i := range z.d.members {
		if t.ctx.Err() != nil || t.spent.work < 0 {
			break
		}
		m := &z.d.members[i]
		name := z.d.name(m)
		if !m.opens() || isPickleName(name) || strings.HasSuffix(name, "/") && m.size == 0 {
			continue
		}
		z.member(m)
	}
	if z.pickled && !z.d.over { // of the others nothing is known
		z.storages()
	}
	z.code()
	z.isSkops = z.skops()
	z.handlers()
}

func isPickleName(name string) bool { return strings.HasSuffix(strings.ToLower(name), ".pkl") }

// pickle reads a member that is called one.
func (z *zipFile) pickle(m *member) {
	data, ok := z.open(m)
	if !ok {
		return
	}
	in := z.at.in(z.d.name(m))
	head, _ := data.at(0, 4096)
	if k, _ := identify(head); k != kindPickle && k != kindUnknown {
		z.t.content(data, in)
		return
	}
	r := z.t.pickles(data, in)
	z.t.behind(data, in, r)
	z.pickled = true
	if z.keys.sizes == nil {
		z.keys.sizes, r.keys.sizes = r.keys.sizes, nil
	}
	for key, size := range r.keys.sizes {
		z.keys.sizes[key] = max(size, z.keys.sizes[key])
	}
	z.check(data, m)
}

// isRaw tells whether a member may hold bare numbers.
func (z *zipFile) isRaw(m *member) bool {
	name := strings.TrimPrefix(z.d.name(m), z.top)
	folder, base, ok := strings.Cut(name, "/")
	if !ok {
		return false
	}
	switch folder {
	case "data", "constants", "tensors", ".data", "xl_model_weights":
		return z.pickled || strings.HasPrefix(base, "weights/") || strings.HasPrefix(base, "constants/") || strings.HasPrefix(base, "sample_inputs/") || folder == "tensors"
	}
	return false
}

// member reads any other member.
func (z *zipFile) member(m *member) {
	data, ok := z.open(m)
	if !ok {
		return
	}
	name := strings.TrimPrefix(z.d.name(m), z.top)
	if z.isRaw(m) && !isScriptName(name) && z.nothing(data) {
		return
	}
	in := z.at.in(z.d.name(m))
	if z.isRaw(m) && !isScriptName(name) {
		in.loose = true
		apart := z.t.apart()
		format := apart.content(data, in)
		if format == "" || format == "empty" {
			return
		}
		z.t.join(apart)
		if _, isKey := z.keys.sizes[strings.TrimPrefix(name, "data/")]; isKey {
			z.t.note("ST334", in, 0, format, "the numbers of a tensor are a file: "+format)
		}
		return
	}
	switch name {
	case "version", "byteorder", ".format_version", ".storage_alignment", ".data/serialization_id", "archive_format", "archive_version":
		if text, err := data.at(0, 128); err == nil && data.size < 128 && !strings.ContainsFunc(string(text), func(r rune) bool { return r < ' ' && r != '\n' || r > '~' }) {
			return
		}
	}
	sub := z.t.sub()
	sub.content(data, in)
	z.t.join(sub)
}

// nothing tells whether the numbers of a tensor begin like nothing that is
// looked into: like nearly all.
func (z *zipFile) nothing(data blob) bool {
	if data.size == 0 {
		return true
	}
	head, err := data.into(z.scratch, 0, 4096)
	if err != nil || len(head) == 0 {
		return false
	}
	z.scratch = head
	k, _ := identify(head)
	return k == kindUnknown && strings.IndexByte(openings, head[0]) < 0
}

// sub is a trace of a part that has a format of its own.
func (t *trace) sub() *trace { return t.apart() }

// open returns the bytes of a member.
func (z *zipFile) open(m *member) (blob, bool) {
	raw, ok := z.b.sub(z.d.data(m), int64(m.packed))
	if !ok {
		return blob{}, false
	}
	// Members that lie one over the other are read as often as there are entries,
	// and cost nothing to write.
	const often, pickles = 4, 1 << 13
	z.opened += raw.size
	again := z.opened > often*z.b.size
	if again && !z.t.work(2*raw.size+workPart) {
		if z.beyond++; z.beyond > pickles || !isPickleName(z.d.name(m)) {
			return blob{}, false // which is told when all is done
		}
	}
	if m.method == 0 {
		if m.size != m.packed {
			z.t.note("ST414", z.at.in(z.d.name(m)), m.entry, "size", fmt.Sprintf("stored in %d bytes, announced as %d", m.packed, m.size))
		}
		if !again {
			z.checksum(m, raw)
		}
		return raw, true
	}
	if m.size > 1<<50 {
		z.t.note("ST404", z.at.in(z.d.name(m)), m.entry, "", fmt.Sprintf("is to become %d bytes", m.size))
		return blob{}, false
	}
	in := z.at.in(z.d.name(m))
	if !z.t.work(workPart + workFlate*int64(min(m.size, uint64(max(z.t.spent.unpack, 0))))) {
		return blob{}, false // which is told when all is done
	}
	if z.t.spent.unpack <= 0 {
		z.t.note("ST404", in, m.entry, "", fmt.Sprintf("%d bytes become more than a scan unpacks", m.packed))
		return blob{}, false
	}
	data := &unpacked{src: z.t.inflate(raw), budget: &z.t.spent.unpack}
	z.t.keepLittle(data, z.at.depth, func() (io.Reader, error) { return flate.NewReader(io.NewSectionReader(raw, 0, raw.size)), nil })
	if m.size > smallText || z.t.spent.unpacks-z.t.spent.unpack > smallText {
		z.t.large()
	}
	const eager = 1 << 20
	if m.size <= eager || m.packed < eager {
		data.grow(int64(min(m.size, 1<<40)) + 1)
		n := data.size
		switch {
		case data.err == errBudget:
			z.t.note("ST404", in, m.entry, "", fmt.Sprintf("%d bytes become more than a scan unpacks", m.packed))
		case data.err != nil && data.err != io.EOF:
			z.t.note("ST402", in, z.d.data(m), "", "does not unpack: "+data.err.Error())
		case n != int64(m.size):
			z.t.note("ST414", in, m.entry, "size", fmt.Sprintf("unpacks to %d bytes or more, announced as %d", n, m.size))
		case data.sum != m.crc:
			z.t.note("ST421", in, m.entry, "", "the checksum is wrong: some readers refuse the file, and torch does not")
		}
		if n != int64(m.size) && data.err == nil {
			z.t.large()
			data.grow(1 << 40)
		}
		if data.err != nil {
			z.t.spent.inflater, data.src = data.src, nil
		}
		return blob{data, 0, data.size}, true
	}
	return blob{data, 0, int64(m.size)}, true
}

// inflate unpacks by a reader that is done with another member, if there is one:
// its tables take longer to make than a small member to read.
func (t *trace) inflate(raw blob) io.Reader {
	section := io.NewSectionReader(raw, 0, raw.size)
	if r, ok := t.spent.inflater.(flate.Resetter); ok && r.Reset(section, nil) == nil {
		src := t.spent.inflater
		t.spent.inflater = nil
		return src
	}
	return flate.NewReader(section)
}

// checksum verifies small members, and all of them if that was asked for.
func (z *zipFile) checksum(m *member, raw blob) {
	if raw.size > 1<<20 && !z.t.opts.Deep || m.crc == 0 && raw.size > 0 {
		return // torch can be told to leave it out
	}
	sum := uint32(0)
	for off := int64(0); off < raw.size; {
		p, err := raw.into(z.scratch, off, 32<<10)
		if err != nil || len(p) == 0 {
			z.t.unreadable(z.at.in(z.d.name(m)), off, cmp.Or(err, io.ErrUnexpectedEOF))
			return
		}
		z.scratch = p
		sum = crc32.Update(sum, crc32.IEEETable, p)
		off += int64(len(p))
	}
	if sum != m.crc {
		z.t.note("ST421", z.at.in(z.d.name(m)), m.entry, "", "the checksum is wrong: some readers refuse the file, and torch does not")
	}
}

// storages compares what the pickles ask for with what is there.
func (z *zipFile) storages() {
	if len(z.keys.sizes) == 0 {
		return
	}
	// Nearly all stand where they are looked for first.
	for i := range z.d.members {
		m := &z.d.members[i]
		key := strings.TrimPrefix(strings.TrimPrefix(z.d.name(m), z.top), "data/")
		if size, ok := z.keys.sizes[key]; ok && size >= 0 && uint64(size) <= m.size {
			delete(z.keys.sizes, key)
		}
	}
	if len(z.keys.sizes) == 0 {
		return
	}
	// By sums of the names, which would take as much again as the directory.
	seed := maphash.MakeSeed()
	sizes := make(map[uint64]uint64, len(z.d.members))
	for i := range z.d.members {
		m := &z.d.members[i]
		sizes[maphash.String(seed, strings.ToLower(strings.TrimPrefix(z.d.name(m), z.top)))] = m.size
	}
	var missing, short []string
	for key, size := range z.keys.sizes {
		have, ok := uint64(0), false
		for _, name := range []string{"data/" + key, "constants/" + key, "tensors/" + key, ".data/" + key + ".storage", key, "data/sample_inputs/" + key} {
			if n, there := sizes[maphash.String(seed, strings.ToLower(name))]; there {
				have, ok = max(have, n), true
			}
		}
		switch {
		case !ok:
			missing = append(missing, key)
		case size >= 0 && uint64(size) > have:
			short = append(short, key)
		}
	}
	slices.Sort(missing)
	slices.Sort(short)
	if len(missing) > 0 {
		z.t.note("ST422", z.at, -1, "", fmt.Sprintf("%d storages are missing, the first is %+q", len(missing), clip(missing[0], 60)))
	}
	if len(short) > 0 {
		z.t.note("ST423", z.at, -1, "", fmt.Sprintf("%d storages have fewer bytes than their tensors ask for, the first is %+q", len(short), clip(short[0], 60)))
	}
}

// has tells whether there is a member of that name below the top folder.
func (z *zipFile) has(match func(name string) bool) bool {
	for i := range z.d.members {
		if match(strings.ToLower(strings.TrimPrefix(z.d.name(&z.d.members[i]), z.top))) {
			return true
		}
	}
	return false
}

// format names what the archive is, by its members.
func (z *zipFile) format() string {
	is := func(want ...string) bool {
		return z.has(func(name string) bool { return slices.Contains(want, name) })
	}
	ends := func(suffix string) bool {
		return z.has(func(name string) bool { return strings.HasSuffix(name, suffix) })
	}
	switch {
	case z.isSkops:
		return "skops"
	case is("mar-inf/manifest.json"):
		return "torch-mar"
	case is("constants.pkl"):
		return "torchscript"
	case is("data.pkl"):
		return "torch-zip"
	case is("model.json") && z.has(func(name string) bool { return strings.HasPrefix(name, "code/") }):
		return "torchscript"
	case is(".data/extern_modules", "extern_modules"):
		return "torch-package"
	case is("archive_format", "serialized_exported_program.json"):
		return "pt2"
	case is("model.weights.h5"), is("config.json") && is("metadata.json"):
		return "keras"
	case ends(".npy"):
		return "npz"
	case is("meta-inf/manifest.mf"):
		return "jar"
	}
	return "zip"
}
