package scan

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tensmith/tensmith/pickle"
)

// Programs, archives and pickles among the bytes of a tensor are looked for at
// every byte. Four bytes alone are found by chance once in four gigabytes of
// random weights, so each kind is held to what its format demands of the bytes
// around. The odds are those of random bytes at one place, as a power of two,
// counted from the fields that are checked; a model of a terabyte has 2^40
// places. TestOdds measures what can be measured.

// An embedded is a kind of file that may lie among numbers.
type embedded struct {
	magic string
	id    string // of the rule
	what  string
	odds  int // a random place passes with a chance below 2^odds
	// valid tells whether a file begins at off of r, which ends at end, and
	// what to add about it. For PE the magic stands within the file.
	valid func(r io.ReaderAt, off, end int64) (start int64, detail string, ok bool)
}

// embeddeds is sorted by nothing: two of them never have the same magic.
var embeddeds = []embedded{
	{"\x7fELF", "ST210", "an ELF program", -150, validELF},
	{"PE\x00\x00", "ST210", "a Windows program (PE)", -100, validPE},
	{"\xcf\xfa\xed\xfe", "ST210", "a Mach-O program", -100, validMachO},
	{"\xce\xfa\xed\xfe", "ST210", "a Mach-O program", -100, validMachO},
	{"\xfe\xed\xfa\xcf", "ST210", "a Mach-O program", -100, validMachO},
	{"\xfe\xed\xfa\xce", "ST210", "a Mach-O program", -100, validMachO},
	{"\xca\xfe\xba\xbe", "ST210", "a Mach-O program of several processors", -80, validFat},
	{"#!/bin/", "ST210", "a script", -56, validScript},
	{"#!/usr/bin/", "ST210", "a script", -88, validScript},
	{"PK\x03\x04", "ST211", "a zip archive", -75, validZip},
	{"\x1f\x8b\x08", "ST211", "gzip data", -50, validGzip},
	{"7z\xbc\xaf\x27\x1c", "ST211", "a 7-Zip archive", -96, validSevenZip},
	{"\xfd7zXZ\x00", "ST211", "xz data", -90, validXZ},
	{"BZh", "ST211", "bzip2 data", -68, validBzip2},
	{"\x80\x02", "ST212", "a pickle", -48, validPickle},
	{"\x80\x03", "ST212", "a pickle", -48, validPickle},
	{"\x80\x04", "ST212", "a pickle", -48, validPickle},
	{"\x80\x05", "ST212", "a pickle", -48, validPickle},
	{"cos\n", "ST212", "a pickle", -60, validPickle},
	{"cnt\n", "ST212", "a pickle", -60, validPickle},
	{"cposix\n", "ST212", "a pickle", -60, validPickle},
	{"csubprocess\n", "ST212", "a pickle", -60, validPickle},
	{"cbuiltins\n", "ST212", "a pickle", -60, validPickle},
	{"c__builtin__\n", "ST212", "a pickle", -60, validPickle},
}

// A magicTable finds the first two bytes of all magics: bit i of second[b] and
// of first[a] is set if some magic of group i begins with a and b.
type magicTable struct{ first, second [256]uint16 }

// newMagicTable spreads the magics over 16 groups, so that pairs of bytes of
// two magics are no pair of a third, for the most part.
func newMagicTable() *magicTable {
	var t magicTable
	for i, e := range embeddeds {
		group := uint16(1) << (i % 16)
		t.first[e.magic[0]] |= group
		t.second[e.magic[1]] |= group
	}
	return &t
}

// find calls visit for every place in p where a magic stands in full.
func (t *magicTable) find(p []byte, visit func(at int, e *embedded)) {
	if len(p) < 2 {
		return
	}
	before := t.first[p[0]]
	for i, c := range p[1:] {
		if before&t.second[c] != 0 {
			for k := range embeddeds {
				if e := &embeddeds[k]; p[i] == e.magic[0] && bytes.HasPrefix(p[i:], []byte(e.magic)) {
					visit(i, e)
				}
			}
		}
		before = t.first[c]
	}
}

// longestMagic is how much a piece must overlap the one before.
const longestMagic = 16

// head reads up to n bytes at off, and fewer at the end.
func head(r io.ReaderAt, off, end int64, n int) []byte {
	if off < 0 || off >= end {
		return nil
	}
	p := make([]byte, min(int64(n), end-off))
	m, err := r.ReadAt(p, off)
	if err != nil && err != io.EOF {
		return nil // the reader of values reports it
	}
	return p[:m]
}

// validELF holds the first 64 bytes to the ELF specification: class, order of
// bytes, version, padding, type, and the sizes of headers that the class fixes.
func validELF(r io.ReaderAt, off, end int64) (int64, string, bool) {
	h := head(r, off, end, 64)
	if len(h) < 52 || h[4] < 1 || h[4] > 2 || h[5] < 1 || h[5] > 2 || h[6] != 1 {
		return 0, "", false
	}
	var order binary.ByteOrder = binary.LittleEndian
	if h[5] == 2 {
		order = binary.BigEndian
	}
	size, place, entry := uint16(52), 40, uint16(32)
	if h[4] == 2 {
		size, place, entry = 64, 52, 56
	}
	if len(h) < int(size) || !bytes.Equal(h[9:16], make([]byte, 7)) {
		return 0, "", false
	}
	kind, version := order.Uint16(h[16:]), order.Uint32(h[20:])
	headers := order.Uint16(h[place+2:])
	ok := kind >= 1 && kind <= 4 && version == 1 && order.Uint16(h[place:]) == size && (headers == entry || headers == 0)
	return off, []string{"", "32-bit", "64-bit"}[h[4]], ok
}

// validPE looks for the MZ whose e_lfanew leads to the PE that was found.
func validPE(r io.ReaderAt, off, end int64) (int64, string, bool) {
	h := head(r, off, end, 26)
	if len(h) < 26 {
		return 0, "", false
	}
	machine, sections, magic := binary.LittleEndian.Uint16(h[4:]), binary.LittleEndian.Uint16(h[6:]), binary.LittleEndian.Uint16(h[24:])
	machines := []uint16{0x14c, 0x8664, 0xaa64, 0x1c0, 0x1c4, 0x200, 0x5064}
	if !slices.Contains(machines, machine) || sections < 1 || sections > 96 || magic != 0x10b && magic != 0x20b {
		return 0, "", false
	}
	const back = 4096
	from := max(0, off-back)
	before := head(r, from, off, back)
	for at := len(before) - 64; at >= 0; at-- {
		if before[at] == 'M' && before[at+1] == 'Z' && int64(binary.LittleEndian.Uint32(before[at+60:])) == off-from-int64(at) {
			return from + int64(at), "", true
		}
	}
	return 0, "", false
}

func machineKnown(cpu uint32) bool {
	// x86, ARM, PowerPC, each of 32 and 64 bits.
	return slices.Contains([]uint32{7, 12, 18, 7 | 1<<24, 12 | 1<<24, 18 | 1<<24}, cpu)
}

func validMachO(r io.ReaderAt, off, end int64) (int64, string, bool) {
	h := head(r, off, end, 28)
	if len(h) < 28 {
		return 0, "", false
	}
	var order binary.ByteOrder = binary.BigEndian
	if h[3] == 0xfe {
		order = binary.LittleEndian
	}
	kind, commands, size := order.Uint32(h[12:]), order.Uint32(h[16:]), order.Uint32(h[20:])
	ok := machineKnown(order.Uint32(h[4:])) && kind >= 1 && kind <= 12 && commands >= 1 && commands <= 4096 && size >= 8*commands && size <= 1<<20
	return off, "", ok
}

func validFat(r io.ReaderAt, off, end int64) (int64, string, bool) {
	h := head(r, off, end, 28)
	if len(h) < 28 {
		return 0, "", false
	}
	n := binary.BigEndian.Uint32(h[4:])
	align := binary.BigEndian.Uint32(h[24:])
	return off, "", n >= 1 && n <= 16 && machineKnown(binary.BigEndian.Uint32(h[8:])) && align <= 32
}

// validScript wants a line of text.
func validScript(r io.ReaderAt, off, end int64) (int64, string, bool) {
	h := head(r, off, end, 64)
	line, _, ok := bytes.Cut(h, []byte("\n"))
	return off, string(line), ok && !bytes.ContainsFunc(line, func(c rune) bool { return c < ' ' || c > '~' })
}

// validZip holds a local file header to APPNOTE.TXT 4.3.7: a version that there
// is, no reserved flag, a known method, and a printable name.
func validZip(r io.ReaderAt, off, end int64) (int64, string, bool) {
	h := head(r, off, end, 30+512)
	if len(h) < 31 {
		return 0, "", false
	}
	version, flags, method := binary.LittleEndian.Uint16(h[4:]), binary.LittleEndian.Uint16(h[6:]), binary.LittleEndian.Uint16(h[8:])
	name, extra := int(binary.LittleEndian.Uint16(h[26:])), binary.LittleEndian.Uint16(h[28:])
	methods := []uint16{0, 8, 9, 12, 14, 93, 95, 98, 99}
	if version < 10 || version > 63 || flags&^0x080f != 0 || !slices.Contains(methods, method) || name < 1 || name > 512 || extra > 4096 || len(h) < 30+name {
		return 0, "", false
	}
	text := h[30 : 30+name]
	if !utf8.Valid(text) || bytes.ContainsFunc(text, func(c rune) bool { return !unicode.IsPrint(c) }) {
		return 0, "", false
	}
	return off, "member " + quote(string(text)), true
}

// validGzip holds a header to RFC 1952 and unpacks some of the data: deflate of
// random bits soon refers to what is not there.
func validGzip(r io.ReaderAt, off, end int64) (int64, string, bool) {
	h := head(r, off, end, 10)
	if len(h) < 10 || h[3]&0xe0 != 0 || h[8] != 0 && h[8] != 2 && h[8] != 4 || h[9] > 13 && h[9] != 255 {
		return 0, "", false
	}
	z, err := gzip.NewReader(io.NewSectionReader(r, off, min(end-off, 1<<20)))
	if err != nil {
		return 0, "", false
	}
	z.Multistream(false)
	n, err := io.CopyN(io.Discard, z, 4096)
	// All of it, with its sum, or a good part.
	return off, "", err == nil || err == io.EOF && n > 0 || n == 4096
}

// validSevenZip checks the sum of the start header.
func validSevenZip(r io.ReaderAt, off, end int64) (int64, string, bool) {
	h := head(r, off, end, 32)
	return off, "", len(h) == 32 && h[6] == 0 && crc32.ChecksumIEEE(h[12:32]) == binary.LittleEndian.Uint32(h[8:])
}

// validXZ checks the sum of the stream's flags.
func validXZ(r io.ReaderAt, off, end int64) (int64, string, bool) {
	h := head(r, off, end, 12)
	return off, "", len(h) == 12 && h[6] == 0 && crc32.ChecksumIEEE(h[6:8]) == binary.LittleEndian.Uint32(h[8:])
}

// validBzip2 wants the magic of a block, which is pi.
func validBzip2(r io.ReaderAt, off, end int64) (int64, string, bool) {
	h := head(r, off, end, 10)
	return off, "", len(h) == 10 && h[3] >= '1' && h[3] <= '9' && string(h[4:]) == "1AY&SY"
}

// maxPickle is how far a pickle is read. A file may have as many places that
// begin so as are looked into at all.
const maxPickle = 1 << 19

// minPath is how long module and name together must be for an import to count:
// shorter ones are met by chance. io.open has six.
const minPath = 6

// validPickle decodes it. It counts if it ends, and imports a name that can be
// one or lies in a frame; or if it has imported what is known to be dangerous and
// called something before it breaks off. A pickle that does neither holds plain data and does no
// harm; random bytes hold many.
func validPickle(r io.ReaderAt, off, end int64) (int64, string, bool) {
	h := head(r, off, end, 32)
	if h == nil || !beginsPickle(h, end-off) {
		return 0, "", false
	}
	framed := h[0] == 0x80 && h[2] == 0x95
	// Nearly all break off soon, before r is read any further.
	for _, n := range []int{32, 512} {
		if framed {
			break
		}
		if n > 32 {
			h = head(r, off, end, n)
		}
		name, ok, err := decodePickle(bytes.NewReader(h), 0, int64(len(h)), framed)
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			return off, name, ok
		}
	}
	name, ok, _ := decodePickle(r, off, min(end, off+maxPickle), framed)
	return off, name, ok
}

func decodePickle(r io.ReaderAt, off, end int64, framed bool) (name string, ok bool, err error) {
	name, imports, harm, err := decodeEvents(r, off, end)
	switch {
	case harm:
		return name, true, nil
	case err != nil && !errors.Is(err, pickle.ErrLimit):
		return "", false, err
	}
	return name, imports > 0 || framed, nil
}

// decodeEvents decodes a pickle and returns the worst of its imports, how many
// there are, and whether one that can run code was there when something was called.
func decodeEvents(r io.ReaderAt, off, end int64) (name string, imports int, harm bool, err error) {
	d := pickle.NewDecoder(r, off, end)
	d.Limits = pickle.Limits{Memory: 8 << 20, Opcodes: 10_000, Memo: 10_000, Stack: 10_000, Marks: 10_000, String: 1 << 16}
	worst, called := pickle.Allowed, false
	d.OnEvent = func(e pickle.Event) {
		called = called || e.Kind == pickle.KindCall
		s, ok := e.Value.(*pickle.Symbol)
		if e.Kind != pickle.KindGlobal || !ok || len(s.WrittenModule)+len(s.WrittenName) < minPath || !isName(s.WrittenModule) || !isName(s.WrittenName) {
			return
		}
		imports++
		if v, _ := pickle.Judge(s); imports == 1 || v > worst {
			worst, name = v, "imports "+quote(s.String())
		}
	}
	_, err = d.Decode()
	return name, imports, called && imports > 0 && worst == pickle.Dangerous, err
}

// mayBegin tells whether what begins at off of r, up to end, can be what its magic
// says: the two bytes of a pickle are everywhere, and ask for a third that fits.
func (e *embedded) mayBegin(r io.ReaderAt, off, end int64) bool {
	return e.id != "ST212" || beginsPickle(head(r, off, end, 11), end-off)
}

// beginsPickle spares most places the decoder: a frame must fit into size
// bytes, and what is no frame begins with one of a few opcodes.
func beginsPickle(h []byte, size int64) bool {
	if len(h) < 4 {
		return false
	}
	if h[0] != 0x80 {
		return true // a long magic
	}
	if h[2] == 0x95 { // FRAME
		return len(h) >= 11 && binary.LittleEndian.Uint64(h[3:]) <= uint64(size)
	}
	// So must a text, and the decoder, which reads no more, need not be asked.
	most := uint64(min(size, maxPickle))
	switch h[2] {
	case 'X', 'T', 'B':
		return len(h) >= 7 && uint64(binary.LittleEndian.Uint32(h[3:])) <= most
	case 0x8d, 0x8e, 0x96:
		return len(h) >= 11 && binary.LittleEndian.Uint64(h[3:]) <= most
	}
	return pickleSecond(h[2])
}

// pickleSecond tells whether an opcode is one of those that stand behind
// PROTO.
func pickleSecond(op byte) bool {
	return op == 0x95 || strings.IndexByte("}](c)XUTKMJGNCB\x88\x89\x8a\x8c\x8d\x8f\x96", op) >= 0
}

// certainPickle is validPickle for what would be dangerous to be: a pickle
// without a frame has to call what can run code.
func certainPickle(r io.ReaderAt, off, end int64) bool {
	h := head(r, off, end, 4)
	if len(h) == 4 && h[0] == 0x80 && h[2] == 0x95 {
		return true
	}
	_, _, harm, _ := decodeEvents(r, off, min(end, off+maxPickle))
	return harm
}

// isName tells whether a module or name can be one of Python's that somebody
// gave it.
func isName(s string) bool {
	for i, c := range []byte(s) {
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c != '.' && (c < '0' || c > '9')) {
			return false
		}
	}
	return s != "" && len(s) < 250
}
