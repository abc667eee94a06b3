package torch

import (
	"archive/zip"
	"bytes"
	"cmp"
	"compress/flate"
	"encoding/binary"
	"io"
	"slices"
	"strings"
)

// An archive is a zip file. Names are looked up without regard to case, as
// torch's own reader does, and only what the central directory says counts.
type archive struct {
	r       *reader
	at      place
	src     span
	top     string // folder of all records with its slash, or none
	records []record
	byName  *index // of the first record of each name; the others follow
	strays  int    // records outside of top; the first is stray
	stray   int
}

// A record is a member of an archive: of each of hundreds of thousands, what is
// needed of its entry in the directory.
type record struct {
	path      string // all of it
	off, size int64  // of its bytes, within the archive
	deflated  *deflated
	next      int32 // number and 1 of the next of the same name in lower case
	compared  bool  // with all those, and they are the same
}

// A deflated is what more is known of a record that is compressed.
type deflated struct {
	full     uint64 // size as the directory announces it
	inflated *span  // if it was opened
}

// full returns the size of the record as the directory announces it.
func (rec *record) full() uint64 {
	if rec.deflated != nil {
		return rec.deflated.full
	}
	return uint64(rec.size)
}

// name returns the name of a record below the top folder, "" for one outside.
func (a *archive) name(rec *record) string {
	name, ok := strings.CutPrefix(rec.path, a.top)
	if !ok {
		return ""
	}
	return name
}

// has tells whether there is a record of that name, in whatever case.
func (a *archive) has(name string) bool { return a.first(name) != nil }

// first returns the first record of that name.
func (a *archive) first(name string) *record {
	name = strings.ToLower(name)
	i := a.byName.find(name, func(i int) bool { return strings.ToLower(a.name(&a.records[i])) == name })
	if i < 0 {
		return nil
	}
	return &a.records[i]
}

// openZip reads the central directory and refuses what cannot be read without
// doubt.
func (r *reader) openZip(src span, at place) (*archive, error) {
	z, err := zip.NewReader(src, src.size)
	if err != nil {
		if err == zip.ErrFormat {
			if err := (&archive{r: r, at: at, src: src}).single(); err != nil {
				return nil, err
			}
			return nil, at.malformed("truncated", "the directory at the end of the zip archive is missing or broken")
		}
		return nil, at.wrap(err)
	}
	a := &archive{r: r, at: at, src: src, records: make([]record, 0, len(z.File))}
	if len(z.File) > 0 {
		if i := strings.IndexByte(z.File[0].Name, '/'); i > 0 {
			a.top = z.File[0].Name[:i+1]
		}
	}
	var paths arena
	for i, f := range z.File {
		z.File[i] = nil // for it takes several times as much as what is kept of it
		if strings.HasSuffix(f.Name, "/") && f.UncompressedSize64 == 0 {
			continue // a folder
		}
		rec, err := a.check(f)
		if err != nil {
			return nil, err
		}
		rec.path = paths.cut([]byte(rec.path))
		a.records = append(a.records, rec)
	}
	z = nil // its entries take more than all that follows
	byOffset := make([]int32, len(a.records))
	for i := range byOffset {
		byOffset[i] = int32(i)
	}
	slices.SortFunc(byOffset, func(i, j int32) int { return cmp.Compare(a.records[i].off, a.records[j].off) })
	for i := 1; i < len(byOffset); i++ {
		before, rec := &a.records[byOffset[i-1]], &a.records[byOffset[i]]
		if before.off+before.size > rec.off && before.size > 0 && rec.size > 0 {
			return nil, at.in(rec.path).malformed("overlap", "its bytes are also those of %q", before.path)
		}
	}
	if err := a.single(); err != nil {
		return nil, err
	}
	// A top folder is one that all share.
	for i := range a.records {
		if !strings.HasPrefix(a.records[i].path, a.top) {
			if a.strays == 0 {
				a.stray = i
			}
			a.strays++
		}
	}
	if a.strays > 0 && !a.torch() {
		a.top, a.strays = "", 0
	}
	a.byName = newIndex(len(a.records))
	for i := range a.records {
		rec := &a.records[i]
		if !strings.HasPrefix(rec.path, a.top) {
			continue
		}
		key := strings.ToLower(a.name(rec))
		first := a.byName.add(key, i, func(j int) bool { return strings.ToLower(a.name(&a.records[j])) == key })
		if first != i {
			rec.next, a.records[first].next = a.records[first].next, int32(i+1)
		}
	}
	return a, nil
}

// single refuses archives back to back: readers differ in which of them they
// take, and one would take a part of the tensors for all. In a single archive
// the directory ends where its end record begins, and the offsets count from
// the first byte.
func (a *archive) single() error {
	const most = 22 + 1<<16 // the end record and its comment
	tail, ok := a.src.sub(max(0, a.src.size-most), min(a.src.size, most))
	if !ok {
		return nil
	}
	b, err := tail.bytes()
	if err != nil {
		return a.at.wrap(err)
	}
	le := binary.LittleEndian
	i := len(b) - 22
	for ; i >= 0; i-- {
		if string(b[i:i+4]) == "PK\x05\x06" && i+22+int(le.Uint16(b[i+20:])) <= len(b) {
			break
		}
	}
	if i < 0 {
		return nil // for zip.NewReader to miss
	}
	end := a.src.size - int64(len(b)) + int64(i)
	size, off := uint64(le.Uint32(b[i+12:])), uint64(le.Uint32(b[i+16:]))
	if i >= 20 && string(b[i-20:i-16]) == "PK\x06\x07" {
		record, ok := a.src.sub(int64(le.Uint64(b[i-12:])&(1<<62-1)), 56)
		if ok {
			var p []byte
			if p, err = record.bytes(); err != nil {
				return a.at.wrap(err)
			}
			ok = string(p[:4]) == "PK\x06\x06" && le.Uint64(p[4:]) == uint64(end-20-12-(record.off-a.src.off))
			size, off = le.Uint64(p[40:]), le.Uint64(p[48:])
			end = record.off - a.src.off
		}
		if !ok {
			size = 1 // nowhere
			off = uint64(end)
		}
	}
	if off <= uint64(end) && size == uint64(end)-off {
		return nil
	}
	e := a.at.fail(ErrUnsupported, "several", "archives back to back, as in the .distcp files of a distributed checkpoint, or bytes in front of one")
	e.Hint = "a directory that has .metadata is a checkpoint as a whole"
	return e
}

// torch tells whether the first folder holds a checkpoint.
func (a *archive) torch() bool {
	return slices.ContainsFunc(a.records, func(rec record) bool {
		name, ok := strings.CutPrefix(rec.path, a.top)
		return ok && a.top != "" && strings.EqualFold(name, "data.pkl")
	})
}

// check checks one entry of the directory.
func (a *archive) check(f *zip.File) (rec record, err error) {
	at := a.at.in(f.Name)
	switch name := f.Name; {
	case name == "", name[0] == '/', strings.ContainsAny(name, "\\\x00"),
		strings.Contains(name, "..") && slices.Contains(strings.Split(name, "/"), ".."):
		return rec, at.malformed("name", "a name that leaves the archive")
	case f.Flags&0x2061 != 0:
		return rec, at.fail(ErrUnsupported, "encrypted", "the record is encrypted or a patch")
	case f.Method != zip.Store && f.Method != zip.Deflate:
		return rec, at.fail(ErrUnsupported, "method", "compressed by method %d", f.Method)
	case f.Method == zip.Store && f.CompressedSize64 != f.UncompressedSize64:
		return rec, at.malformed("size", "stored in %d bytes, announced as %d", f.CompressedSize64, f.UncompressedSize64)
	}
	off, err := f.DataOffset()
	if err != nil {
		return rec, at.malformed("truncated", "no local header where the directory says: %v", err)
	}
	if off < 0 || off > a.src.size || f.CompressedSize64 > uint64(a.src.size-off) {
		return rec, at.malformed("truncated", "reaches beyond the end of the file")
	}
	rec = record{path: f.Name, off: off, size: int64(f.CompressedSize64)}
	if f.Method == zip.Deflate {
		rec.deflated = &deflated{full: f.UncompressedSize64}
	}
	return rec, nil
}

// find returns the record with that name. Two of a name must be the same.
func (a *archive) find(name string) (*record, error) {
	first := a.first(name)
	if first == nil {
		return nil, nil
	}
	if first.compared { // there may be thousands, and as many who ask
		return first, nil
	}
	for next := first.next; next != 0; {
		other := &a.records[next-1]
		next = other.next
		same, err := a.same(first, other)
		if err != nil {
			return nil, err
		}
		if !same {
			return nil, a.at.in(other.path).malformed("duplicate", "also a record %q, which differs", first.path)
		}
	}
	first.compared = true
	return first, nil
}

func (a *archive) same(x, y *record) (bool, error) {
	if x.full() != y.full() || x.full() > 1<<20 {
		return false, nil
	}
	p, err := a.open(x)
	if err != nil {
		return false, err
	}
	q, err := a.open(y)
	if err != nil {
		return false, err
	}
	s, err := p.bytes()
	if err != nil {
		return false, a.at.wrap(err)
	}
	t, err := q.bytes()
	return bytes.Equal(s, t), a.at.wrap(err)
}

// open returns the bytes of a record, inflated if need be.
func (a *archive) open(rec *record) (span, error) {
	s := span{a.src.r, a.src.off + rec.off, rec.size}
	if rec.deflated == nil {
		return s, nil
	}
	if in := rec.deflated.inflated; in != nil {
		return *in, nil
	}
	at := a.at.in(rec.path)
	if rec.full() > uint64(a.r.inflateRoom(rec.size)) {
		return span{}, at.fail(ErrLimit, "inflate", "%d bytes are to become %d", rec.size, rec.full())
	}
	in := flate.NewReader(io.NewSectionReader(s, 0, rec.size))
	out, err := a.r.keep(in, int64(rec.full()))
	if isIO(err) {
		return span{}, at.wrap(err)
	}
	if err != nil {
		return span{}, at.malformed("deflate", "%v", err)
	}
	if out.size != int64(rec.full()) {
		return span{}, at.malformed("deflate", "%d bytes announced, there are %d or more", rec.full(), out.size)
	}
	rec.deflated.inflated = &out
	return out, nil
}

// read finds and opens a record. ok is false if there is none.
func (a *archive) read(name string) (s span, at place, ok bool, err error) {
	rec, err := a.find(name)
	if rec == nil || err != nil {
		return span{}, place{}, false, err
	}
	s, err = a.open(rec)
	return s, a.at.in(rec.path), err == nil, err
}

// text returns a short record, or "".
func (a *archive) text(name string) (string, error) {
	s, at, ok, err := a.read(name)
	if !ok || err != nil {
		return "", err
	}
	b, err := s.head(64)
	return strings.TrimSpace(string(b)), at.wrap(err)
}

// pickles judges the pickles of the archive that are not read for their
// tensors: those that a doubtful directory hides first of all.
func (a *archive) pickles(read *record) error {
	for i := range a.records {
		rec := &a.records[i]
		if rec == read || !strings.HasSuffix(strings.ToLower(rec.path), ".pkl") {
			continue
		}
		s, err := a.open(rec)
		if err != nil {
			return err
		}
		if _, _, err := a.r.decode(s, 0, a.at.in(rec.path)); err != nil {
			a.r.trace.add(a.at.in(rec.path), "broken pickle", 1, err.Error())
		}
	}
	return nil
}

// doubt returns the error of an archive that two readers may read
// differently.
func (a *archive) doubt() error {
	if a.strays > 0 {
		return a.at.in(a.records[a.stray].path).malformed("duplicate", "outside of the folder %q of the first record", a.top)
	}
	for i := range a.records {
		if _, err := a.find(a.name(&a.records[i])); err != nil {
			return err
		}
	}
	return nil
}
