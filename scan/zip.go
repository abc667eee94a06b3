package scan

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// The archive is read here and not by archive/zip, because what readers
// disagree about is what matters: torch goes by the central directory, Python's
// zipfile compares it with the local headers, others look for local headers.
// Sections are those of PKWARE's APPNOTE 6.3.

// A member is an entry of the central directory. There may be 200,000 of them,
// or more with --deep, so it is small, and points nowhere: the collector leaves
// them alone.
type member struct {
	packed, size  uint64
	header        uint64 // of the local header, as the directory says
	entry         int64  // offset of the entry
	crc           uint32
	lead          uint32 // bytes of the local header with its name and fields
	name          uint32 // where it begins in directory.names
	nameLen       uint16
	flags, method uint16
	mode          uint16 // the upper half of the external attributes
	system        uint8  // that it was made on
	descriptor    uint8  // bytes behind its own that tell their number
	readable      bool
}

// opens tells whether a member is where its entry says, and stored or compressed as
// is read here.
func (m *member) opens() bool { return m.readable && (m.method == 0 || m.method == 8) }

// A directory is the central directory of a zip archive.
type directory struct {
	members []member
	names   string
	begin   int64 // of the first byte of the archive: more than 0 behind other bytes
	central int64 // of the directory
	tail    int64 // behind the directory: its end records
	locator int64 // of the first of them, if it is that of zip64
	end     int64 // behind the last record and its comment
	comment []byte
	zip64   bool
	over    bool // more members than are read
	scratch []byte
}

// name is what a member is called.
func (d *directory) name(m *member) string { return d.names[m.name:][:m.nameLen] }

// data is where the bytes of a readable member begin.
func (d *directory) data(m *member) int64 { return d.begin + int64(m.header) + int64(m.lead) }

// after is where the next may begin.
func (d *directory) after(m *member) int64 { return d.data(m) + int64(m.packed) + int64(m.descriptor) }

const (
	sigLocal   = 0x04034b50
	sigCentral = 0x02014b50
	sigEnd     = 0x06054b50
	sigEnd64   = 0x06064b50
	sigLocator = 0x07064b50
	sigData    = 0x08074b50
)

var le = binary.LittleEndian

// findEnd looks for the end record (4.3.16) and returns its offset, or -1.
// The comment behind it is up to 65,535 bytes long. Of several it is the last, for
// Python and miniz ask of none how long its comment is, and take one that is cut off.
func findEnd(b blob) (off int64, record []byte, err error) {
	n := min(b.size, 22+0xffff)
	tail, err := b.at(b.size-n, n)
	if err != nil || len(tail) < 22 {
		return -1, nil, err
	}
	for i := len(tail) - 22; i >= 0; i-- {
		if tail[i] == 'P' && le.Uint32(tail[i:]) == sigEnd {
			return b.size - n + int64(i), tail[i:], nil
		}
	}
	return -1, nil, nil
}

// openZip reads the central directory. Without one it returns nil.
func (t *trace) openZip(b blob, at place) (*directory, error) {
	off, record, err := findEnd(b)
	if err != nil || off < 0 {
		return nil, err
	}
	announced := int(le.Uint16(record[20:]))
	comment := record[22:min(22+announced, len(record))]
	d := &directory{comment: comment, end: off + 22 + int64(len(comment))}
	if len(comment) < announced {
		t.note("ST414", at, off, "comment", fmt.Sprintf("a comment of %d bytes, %d are left: other readers take an end record before it", announced, len(comment)))
	}
	count, size, begin := uint64(le.Uint16(record[10:])), uint64(le.Uint32(record[12:])), uint64(le.Uint32(record[16:]))
	d.tail = off
	if locator, err := b.at(off-20, 20); err == nil && len(locator) == 20 && le.Uint32(locator) == sigLocator {
		at64 := int64(le.Uint64(locator[8:]))
		wide, err := b.at(at64, 56)
		if err == nil && (len(wide) < 56 || le.Uint32(wide) != sigEnd64) && off >= 76 {
			at64 = off - 76 // bytes before the archive shift it
			wide, err = b.at(at64, 56)
		}
		if base := off - 76 - at64; err == nil && base > 0 && follows(b, base) {
			// Of archives back to back, as torch.distributed.checkpoint writes them, the offset counts
			// from where the last begins, and leads into another by chance.
			if last, err := b.at(off-76, 56); err == nil && len(last) == 56 && le.Uint32(last) == sigEnd64 {
				at64, wide = off-76, last
			}
		}
		if err == nil && len(wide) == 56 && le.Uint32(wide) == sigEnd64 {
			d.zip64, d.tail, d.locator = true, at64, off-20
			c, s, o := le.Uint64(wide[32:]), le.Uint64(wide[40:]), le.Uint64(wide[48:])
			if count != 0xffff && count != c || size != 0xffffffff && size != s || begin != 0xffffffff && begin != o {
				t.note("ST414", at, at64, "end record", "the two end records of the archive disagree")
			}
			count, size, begin = c, s, o
		}
	}
	if size > uint64(d.tail) {
		return nil, nil
	}
	d.central = d.tail - int64(size)
	if begin > uint64(d.central) {
		return nil, nil
	}
	d.begin = d.central - int64(begin)
	if head, err := b.at(d.central, 4); d.begin > 0 && (err != nil || len(head) < 4 || le.Uint32(head) != sigCentral) {
		// The directory may be where it says, with other bytes behind it.
		if head, err = b.at(int64(begin), 4); err == nil && len(head) == 4 && le.Uint32(head) == sigCentral {
			d.central, d.begin = int64(begin), 0
		}
	}
	return d, t.entries(b, at, d, count)
}

// follows tells whether one archive ends and another begins at off.
func follows(b blob, off int64) bool {
	between, err := b.at(max(off-22, 0), 26)
	return err == nil && off >= 22 && len(between) == 26 && le.Uint32(between) == sigEnd && le.Uint16(between[20:]) == 0 && le.Uint32(between[22:]) == sigLocal
}

// maxNames is how many bytes the names of an archive's members may take.
const maxNames = 12 << 20

// entries reads the entries of the directory (4.3.12).
func (t *trace) entries(b blob, at place, d *directory, count uint64) error {
	size := d.tail - d.central
	const most = 96 << 20
	if size > most {
		d.over = true
		size = most
	}
	if size > smallText {
		t.large()
	}
	off := d.central
	// Names and members are kept in few pieces: there may be 100,000 of them.
	// What the end record says of them is room for no more than the directory
	// can have, and nothing is copied to grow.
	var names strings.Builder
	if expected := min(count, uint64(size)/46, uint64(max(t.spent.members, 0))); size > smallText {
		names.Grow(int(min(size-46*int64(expected), maxNames)))
		d.members = make([]member, 0, expected)
	}
	var text []byte
	for room := []byte(nil); ; {
		if left := d.central + size - off; entryLen(text) > len(text) && left > int64(len(text)) {
			read, err := b.into(room, off, min(left, 256<<10)) // the longest entry is shorter
			if err != nil {
				return err
			}
			room, text = read, read
		}
		if entryLen(text) > len(text) || le.Uint32(text) != sigCentral {
			break
		}
		n, extra, comment := int(le.Uint16(text[28:])), int(le.Uint16(text[30:])), int(le.Uint16(text[32:]))
		if t.spent.members--; t.spent.members < 0 || names.Len()+n > maxNames {
			d.over = true
			break
		}
		m := member{
			flags: le.Uint16(text[8:]), method: le.Uint16(text[10:]), crc: le.Uint32(text[16:]),
			packed: uint64(le.Uint32(text[20:])), size: uint64(le.Uint32(text[24:])), header: uint64(le.Uint32(text[42:])), entry: off,
			mode: le.Uint16(text[40:]), system: text[5], name: uint32(names.Len()), nameLen: uint16(n),
		}
		names.Write(text[46 : 46+n])
		m.wide(text[46+n : 46+n+extra])
		d.members = append(d.members, m)
		text = text[46+n+extra+comment:]
		off += int64(46 + n + extra + comment)
	}
	d.names = names.String()
	switch {
	case d.over:
		t.note("ST404", at, d.central, "", fmt.Sprintf("more members than a scan reads: %d, or %d with --deep", maxMembers, 8*maxMembers))
	case off != d.tail && off != d.end:
		t.note("ST414", at, off, "directory", fmt.Sprintf("the directory of the archive ends %d bytes early", d.tail-off))
	case uint64(len(d.members)) != count && uint64(len(d.members))&0xffff != count:
		t.note("ST414", at, d.central, "directory", fmt.Sprintf("the directory has %d entries, the end record says %d", len(d.members), count))
	}
	return nil
}

// entryLen is how long the entry is that text begins with, as far as text tells.
func entryLen(text []byte) int {
	if len(text) < 46 {
		return 46
	}
	return 46 + int(le.Uint16(text[28:])) + int(le.Uint16(text[30:])) + int(le.Uint16(text[32:]))
}

// wide applies the extra field of zip64 (4.5.3).
func (m *member) wide(extra []byte) {
	for len(extra) >= 4 {
		id, n := le.Uint16(extra), int(le.Uint16(extra[2:]))
		if n > len(extra)-4 {
			return
		}
		field := extra[4 : 4+n]
		extra = extra[4+n:]
		if id != 1 {
			continue
		}
		for _, v := range []*uint64{&m.size, &m.packed, &m.header} {
			if *v == 0xffffffff && len(field) >= 8 {
				*v, field = le.Uint64(field), field[8:]
			}
		}
	}
}

// locate finds the bytes of a member by its local header (4.3.7) and compares
// that with the directory.
func (t *trace) locate(b blob, at place, d *directory, m *member) {
	name := d.name(m)
	if m.header > uint64(b.size-d.begin) {
		t.note("ST402", at.in(name), m.entry, "", "its header is said to be beyond the end of the archive")
		return
	}
	off := d.begin + int64(m.header)
	h, err := b.into(d.scratch[:0], off, 30+int64(len(name)))
	if err != nil {
		t.unreadable(at.in(name), off, err)
		return
	}
	d.scratch = h
	if len(h) < 30 || le.Uint32(h) != sigLocal {
		t.note("ST402", at.in(name), off, "", "there is no header where the directory says")
		return
	}
	n, extra := int64(le.Uint16(h[26:])), int64(le.Uint16(h[28:]))
	m.lead = uint32(30 + n + extra)
	data := d.data(m)
	if data > d.central && m.size > 0 || m.packed > uint64(max(b.size-data, 0)) {
		t.note("ST402", at.in(name), off, "", "its bytes reach beyond the end of the archive")
		return
	}
	m.readable = true
	local := h[30:]
	if n != int64(len(name)) {
		local, _ = b.at(off+30, n)
	}
	if string(local) != name {
		t.note("ST413", at.in(name), off, "", fmt.Sprintf("called %+q in the directory and %+q in its own header", clip(name, 80), clip(string(local), 80)))
	}
	flags, method := le.Uint16(h[6:]), le.Uint16(h[8:])
	const streamed, deflating = 0x8, 0x6 // what writers set in one of the places alone
	if (flags^m.flags)&^(streamed|deflating|0x800) != 0 || method != m.method {
		t.note("ST414", at.in(name), off, "header", fmt.Sprintf("flags %#x and method %d in the directory, %#x and %d in its own header", m.flags, m.method, flags, method))
	}
	if flags&streamed == 0 && m.flags&streamed == 0 {
		packed, size, crc := uint64(le.Uint32(h[18:])), uint64(le.Uint32(h[22:])), le.Uint32(h[14:])
		if packed != 0xffffffff && packed != m.packed || size != 0xffffffff && size != m.size || crc != m.crc {
			t.note("ST414", at.in(name), off, "sizes", "sizes or checksum in the directory are not those of its own header")
		}
	}
	if flags&streamed != 0 || m.flags&streamed != 0 {
		m.descriptor = t.descriptor(b, m, data+int64(m.packed))
	}
}

// descriptor returns the length of the descriptor behind the data (4.3.9),
// which is of four kinds that nothing tells apart but its content.
func (t *trace) descriptor(b blob, m *member, end int64) uint8 {
	p, err := b.at(end, 24)
	if err != nil {
		return 0
	}
	for _, sig := range []int{4, 0} {
		if sig == 4 && (len(p) < 4 || le.Uint32(p) != sigData) {
			continue
		}
		q := p[min(sig, len(p)):]
		if len(q) >= 20 && le.Uint64(q[4:]) == m.packed && le.Uint64(q[12:]) == m.size {
			return uint8(sig) + 20
		}
		if len(q) >= 12 && uint64(le.Uint32(q[4:])) == m.packed&0xffffffff && uint64(le.Uint32(q[8:])) == m.size&0xffffffff {
			return uint8(sig) + 12
		}
		if sig == 4 && len(p) >= 16 {
			return 16
		}
	}
	return 0
}

// gaps tells of bytes that no member of the archive owns, of members that
// share bytes, and of what stands before and behind.
func (t *trace) gaps(b blob, at place, d *directory) {
	sorted := make([]int32, 0, len(d.members))
	for i := range d.members {
		if d.members[i].readable {
			sorted = append(sorted, int32(i))
		}
	}
	slices.SortFunc(sorted, func(i, j int32) int {
		a, b := &d.members[i], &d.members[j]
		return cmp.Or(cmp.Compare(a.header, b.header), cmp.Compare(d.after(a), d.after(b)))
	})
	if d.begin > 0 && !t.archivesBefore(b, at, d.begin) {
		t.note("ST415", at, 0, "before", fmt.Sprintf("%d bytes before the archive", d.begin))
		before, _ := b.sub(0, d.begin)
		t.junk(before, at, 0)
	}
	end := d.begin
	complete := len(sorted) == len(d.members) && !d.over
	for _, i := range sorted {
		m := &d.members[i]
		off := d.begin + int64(m.header)
		switch {
		case off < end:
			t.note("ST416", at.in(d.name(m)), off, "", "shares bytes with the member before it")
		case off > end && complete:
			t.hidden(b, at, end, off)
		}
		end = max(end, d.after(m))
	}
	if complete && d.central > end {
		t.hidden(b, at, end, d.central)
	}
	// Python takes for the end record of zip64 what stands before its locator, wherever
	// that leads to.
	if behind := d.tail + 56; d.zip64 && behind < d.locator {
		t.note("ST414", at, behind, "end record", fmt.Sprintf("%d bytes behind the end record of zip64, where some readers look for another", d.locator-behind))
		t.hidden(b, at, behind, d.locator)
	} else if d.zip64 && behind > d.locator {
		t.note("ST414", at, d.tail, "end record", "the end records of the archive share bytes")
	}
	if !complete && !d.over {
		t.unlisted(b.rest(d.begin), at)
	}
	if len(d.comment) > 0 {
		t.note("ST417", at, d.end-int64(len(d.comment)), "comment", fmt.Sprintf("a comment of %d bytes: %+q", len(d.comment), excerpt(string(d.comment), 60)))
		t.junk(inMemory(d.comment), at, d.end-int64(len(d.comment)))
	}
	if d.end < b.size {
		t.note("ST415", at, d.end, "behind", fmt.Sprintf("%d bytes behind the archive", b.size-d.end))
		t.junk(b.rest(d.end), at, d.end)
	}
}

// archivesBefore reads archives that stand back to back before the last, as
// in the files of torch.distributed.checkpoint. It tells whether that is all
// there is.
func (t *trace) archivesBefore(b blob, at place, end int64) bool {
	before, _ := b.sub(0, end)
	for n := 0; before.size > 0; n++ {
		d, err := t.apart().openZip(before, at)
		if err != nil || d == nil || d.end != before.size || len(d.members) == 0 {
			return false
		}
		if t.spent.inner--; t.spent.inner < 0 {
			t.note("ST404", at, -1, "", "more archives within each other than a scan reads")
			return true
		}
		part, _ := before.sub(d.begin, before.size-d.begin)
		t.join(t.within(part, place{file: at.file, name: at.name, depth: at.depth + 1}))
		before, _ = before.sub(0, d.begin)
		if before.size == 0 {
			t.note("ST425", at, 0, "", "archives back to back, of which most readers see the last")
			return true
		}
	}
	return false
}

// hidden looks into bytes between the members. Some writers align data with
// zeros there.
func (t *trace) hidden(b blob, at place, from, to int64) {
	gap, _ := b.sub(from, to-from)
	data, err := gap.at(0, min(gap.size, 4096))
	if err != nil {
		t.unreadable(at, from, err)
		return
	}
	if gap.size <= 4096 && len(bytes.Trim(data, "\x00")) == 0 {
		return
	}
	t.note("ST415", at, from, "between", fmt.Sprintf("%d bytes between the members, which no entry of the directory owns", gap.size))
	t.junk(gap, at, from)
	t.unlisted(gap, at)
}

// unlisted looks into members that are there, though the directory does not lead
// to them: one reader takes an entry that is cut off, or another size, where the
// next gives up.
func (t *trace) unlisted(b blob, at place) {
	apart := t.apart()
	if apart.locals(b, at); apart.has(Dangerous) {
		t.join(apart)
	}
}
