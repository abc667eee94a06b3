package scan

import (
	"bytes"
	"cmp"
	"compress/bzip2"
	"compress/flate"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"slices"
	"unicode/utf16"

	"github.com/ulikunitz/xz/lzma"
)

// 7z is read here as far as archives of models go: members that are stored, or
// compressed by one of LZMA, LZMA2, deflate and bzip2, with the filter for x86
// that py7zr sets, or without. The libraries there are bring some ten modules
// for the rest (7-Zip's DOC/7zFormat.txt).

// Properties of the headers.
const (
	sevenEnd       = 0x00
	sevenHeader    = 0x01
	sevenArchive   = 0x02
	sevenExtra     = 0x03
	sevenStreams   = 0x04
	sevenFiles     = 0x05
	sevenPack      = 0x06
	sevenUnpack    = 0x07
	sevenSub       = 0x08
	sevenSize      = 0x09
	sevenCRC       = 0x0a
	sevenFolder    = 0x0b
	sevenCoderSize = 0x0c
	sevenCount     = 0x0d
	sevenEmpty     = 0x0e
	sevenNames     = 0x11
	sevenAttr      = 0x15
	sevenEncoded   = 0x17
)

// maxSevenHeader is how much the header of an archive may be, unpacked.
const maxSevenHeader = 8 << 20

var errSeven = errors.New("the header contradicts itself")

// A sevenCursor reads a header. After an error it gives zeros.
type sevenCursor struct {
	p   []byte
	bad bool
}

func (c *sevenCursor) take(n uint64) []byte {
	if c.bad || n > uint64(len(c.p)) {
		c.bad = true
		return nil
	}
	p := c.p[:n]
	c.p = c.p[n:]
	return p
}

func (c *sevenCursor) byte() byte {
	if p := c.take(1); p != nil {
		return p[0]
	}
	return 0
}

// number reads a number whose first byte tells how many follow.
func (c *sevenCursor) number() uint64 {
	first := c.byte()
	value := uint64(0)
	for i := range 8 {
		if mask := byte(0x80) >> i; first&mask == 0 {
			return value | uint64(first&(mask-1))<<(8*i)
		}
		value |= uint64(c.byte()) << (8 * i)
	}
	return value
}

// count reads a number of things that take at least a byte each.
func (c *sevenCursor) count() int {
	n := c.number()
	if n > uint64(len(c.p)) {
		c.bad = true
		return 0
	}
	return int(n)
}

// bits reads n of them, the highest of a byte first.
func (c *sevenCursor) bits(n int) []bool {
	p := c.take(uint64(n+7) / 8)
	out := make([]bool, n)
	for i := range out {
		out[i] = p != nil && p[i/8]>>(7-i%8)&1 == 1
	}
	return out
}

// optional reads bits that are left out if all are set.
func (c *sevenCursor) optional(n int) []bool {
	if c.byte() == 0 {
		return c.bits(n)
	}
	return slices.Repeat([]bool{true}, n)
}

// sums reads checksums, -1 for those that are not there.
func (c *sevenCursor) sums(n int) []int64 {
	out := make([]int64, n)
	for i, defined := range c.optional(n) {
		out[i] = -1
		if p := []byte(nil); defined {
			if p = c.take(4); p != nil {
				out[i] = int64(le.Uint32(p))
			}
		}
	}
	return out
}

// A sevenCoder is a step of unpacking.
type sevenCoder struct {
	method  uint64 // its bytes, the highest first
	setting []byte
}

// A sevenBlock is what 7z calls a folder: members compressed together.
type sevenBlock struct {
	coders  []sevenCoder
	packing int  // the coder that reads the packed bytes
	last    int  // the coder that gives the members
	forked  bool // a coder has several streams
	packs   int  // packed streams
	sizes   []uint64
	parts   []uint64 // sizes of the members
	sums    []int64
	sum     int64
	raw     blob
}

func (f *sevenBlock) size() uint64 {
	if f.last >= len(f.sizes) {
		return 0
	}
	return f.sizes[f.last]
}

// block reads the coders of a folder.
func (c *sevenCursor) block() sevenBlock {
	f := sevenBlock{sum: -1}
	coders := c.count()
	in, out := uint64(0), uint64(0)
	for i := 0; i < coders && !c.bad; i++ {
		flags := c.byte()
		id := c.take(uint64(flags & 15))
		if flags&0x80 != 0 || len(id) > 8 {
			c.bad = true
			return f
		}
		var coder sevenCoder
		for _, b := range id {
			coder.method = coder.method<<8 | uint64(b)
		}
		ins, outs := uint64(1), uint64(1)
		if flags&0x10 != 0 {
			ins, outs = c.number(), c.number()
		}
		if flags&0x20 != 0 {
			coder.setting = c.take(c.number())
		}
		if ins > 32 || outs > 32 {
			c.bad = true
			return f
		}
		f.coders = append(f.coders, coder)
		f.forked = f.forked || ins != 1 || outs != 1
		in, out = in+ins, out+outs
	}
	if coders == 0 || out == 0 || in > 1024 || out > 1024 || in < out-1 {
		c.bad = true
		return f
	}
	fed, drained := make([]bool, in), make([]bool, out)
	for range out - 1 {
		i, o := c.number(), c.number()
		if i >= in || o >= out {
			c.bad = true
			return f
		}
		fed[i], drained[o] = true, true
	}
	f.packing, f.last = max(slices.Index(fed, false), 0), max(slices.Index(drained, false), 0)
	f.packs = int(in - (out - 1))
	if f.packs > 1 {
		for range f.packs {
			c.number()
		}
	}
	f.sizes = make([]uint64, out)
	return f
}

// A sevenInfo is where packed streams lie, and what they become.
type sevenInfo struct {
	begin  uint64 // of the first packed stream, behind the archive's first 32 bytes
	packed []uint64
	blocks []sevenBlock
}

// streams reads a StreamsInfo to its end.
func (c *sevenCursor) streams() (s sevenInfo) {
	for !c.bad {
		switch c.byte() {
		case sevenEnd:
			return s
		case sevenPack:
			s.begin = c.number()
			n := c.count()
			for id := c.byte(); id != sevenEnd && !c.bad; id = c.byte() {
				switch id {
				case sevenSize:
					for range n {
						s.packed = append(s.packed, c.number())
					}
				case sevenCRC:
					c.sums(n)
				default:
					c.bad = true
				}
			}
		case sevenUnpack:
			if c.byte() != sevenFolder {
				c.bad = true
				return s
			}
			n := c.count()
			if c.byte() != 0 { // kept elsewhere
				c.bad = true
				return s
			}
			for i := 0; i < n && !c.bad; i++ {
				s.blocks = append(s.blocks, c.block())
			}
			for id := c.byte(); id != sevenEnd && !c.bad; id = c.byte() {
				switch id {
				case sevenCoderSize:
					for i := range s.blocks {
						for j := range s.blocks[i].sizes {
							s.blocks[i].sizes[j] = c.number()
						}
					}
				case sevenCRC:
					for i, sum := range c.sums(n) {
						if i < len(s.blocks) {
							s.blocks[i].sum = sum
						}
					}
				default:
					c.bad = true
				}
			}
			for i := range s.blocks {
				f := &s.blocks[i]
				f.parts, f.sums = []uint64{f.size()}, []int64{f.sum}
			}
		case sevenSub:
			c.parts(&s)
		default:
			c.bad = true
		}
	}
	return s
}

// parts reads a SubStreamsInfo: how the members of a block share it.
func (c *sevenCursor) parts(s *sevenInfo) {
	id := c.byte()
	if id == sevenCount {
		for i := range s.blocks {
			s.blocks[i].parts = make([]uint64, c.limited())
		}
		id = c.byte()
	}
	for i := range s.blocks {
		f := &s.blocks[i]
		rest := f.size()
		for j := range f.parts {
			if j == len(f.parts)-1 {
				f.parts[j] = rest
			} else if id == sevenSize {
				n := c.number()
				if n > rest {
					c.bad = true
					return
				}
				f.parts[j] = n
				rest -= n
			}
		}
		if len(f.parts) != 1 || f.sum < 0 {
			f.sums = slices.Repeat([]int64{-1}, len(f.parts))
		}
	}
	if id == sevenSize {
		id = c.byte()
	}
	for ; id != sevenEnd && !c.bad; id = c.byte() {
		if id != sevenCRC {
			c.bad = true
			return
		}
		missing := 0
		for i := range s.blocks {
			if f := &s.blocks[i]; len(f.parts) != 1 || f.sum < 0 {
				missing += len(f.parts)
			}
		}
		sums := c.sums(missing)
		for i := range s.blocks {
			if f := &s.blocks[i]; len(f.parts) != 1 || f.sum < 0 {
				copy(f.sums, sums)
				sums = sums[len(f.parts):]
			}
		}
	}
}

// limited reads how many members a block has: each has a size or a checksum,
// or at least a name of a byte, further on.
func (c *sevenCursor) limited() int {
	n := c.number()
	if n > uint64(len(c.p)) || n > maxMembers {
		c.bad = true
		return 0
	}
	return int(n)
}

// A sevenMember is a file of the archive.
type sevenMember struct {
	name  string
	empty bool
	mode  uint32 // of Unix, 0 if it is not known
}

// files reads a FilesInfo.
func (c *sevenCursor) files() []sevenMember {
	n := c.number()
	if n > uint64(len(c.p)) || n > maxMembers {
		c.bad = true
		return nil
	}
	out := make([]sevenMember, n)
	for !c.bad {
		id := c.byte()
		if id == sevenEnd {
			break
		}
		part := sevenCursor{p: c.take(c.number())}
		switch id {
		case sevenEmpty:
			for i, empty := range part.bits(len(out)) {
				out[i].empty = empty
			}
		case sevenNames:
			if part.byte() != 0 {
				c.bad = true
			}
			for i := range out {
				out[i].name = part.name()
			}
		case sevenAttr:
			defined := part.optional(len(out))
			if part.byte() != 0 {
				c.bad = true
			}
			for i := range out {
				if p := []byte(nil); defined[i] {
					if p = part.take(4); p != nil && le.Uint32(p)&0x8000 != 0 {
						out[i].mode = le.Uint32(p) >> 16
					}
				}
			}
		}
		c.bad = c.bad || part.bad
	}
	return out
}

// name reads UTF-16 up to a NUL.
func (c *sevenCursor) name() string {
	var units []uint16
	for {
		p := c.take(2)
		if p == nil || p[0] == 0 && p[1] == 0 {
			return string(utf16.Decode(units))
		}
		units = append(units, le.Uint16(p))
	}
}

// sevenZip reads a 7z archive.
func (t *trace) sevenZip(b blob, at place) {
	h, err := b.at(0, 32)
	if err != nil {
		t.unreadable(at, 0, err)
		return
	}
	if len(h) < 32 {
		t.note("ST402", at, 0, "", "the archive breaks off")
		return
	}
	if le.Uint32(h[8:]) != crc32.ChecksumIEEE(h[12:32]) {
		t.note("ST414", at, 8, "checksum", "the checksum of the first header is wrong")
	}
	off, size := le.Uint64(h[12:]), le.Uint64(h[20:])
	if off > uint64(b.size-32) || size > uint64(b.size-32)-off {
		t.note("ST402", at, 12, "", "the header of the archive is said to be beyond its end")
		t.junk(b.rest(32), at, 32)
		return
	}
	s := sevenArchiveReader{t: t, b: b, at: at}
	raw, _ := b.sub(32+int64(off), int64(size))
	s.own(32+int64(off), int64(size))
	s.own(0, 32)
	if err := s.read(raw); err != nil {
		t.note("ST402", at, 32+int64(off), "", "the archive is not read: "+err.Error())
		t.junk(b.rest(32), at, 32)
		return
	}
	s.gaps()
}

// A sevenArchiveReader is an archive that is being read.
type sevenArchiveReader struct {
	t     *trace
	b     blob
	at    place
	owned [][2]int64 // ranges of the file, begin and end
}

func (s *sevenArchiveReader) own(off, size int64) {
	s.owned = append(s.owned, [2]int64{off, off + size})
}

// read reads a header, which may be packed itself, and the members.
func (s *sevenArchiveReader) read(raw blob) error {
	for range 4 {
		if raw.size == 0 {
			return nil // an archive of nothing
		}
		if raw.size > maxSevenHeader {
			return errors.New("a header of more bytes than a scan reads")
		}
		p, err := raw.at(0, raw.size)
		if err != nil {
			return err
		}
		if len(p) > smallText {
			s.t.large()
		}
		c := &sevenCursor{p: p}
		switch c.byte() {
		case sevenHeader:
			return s.header(c)
		case sevenEncoded:
			info := c.streams()
			if c.bad || len(info.blocks) != 1 || info.blocks[0].size() > maxSevenHeader {
				return errSeven
			}
			if err := s.place(&info); err != nil {
				return err
			}
			data, err := s.open(&info.blocks[0])
			if err != nil {
				return err
			}
			data.grow(int64(info.blocks[0].size()))
			raw = blob{data, 0, data.size}
			if data.size != int64(info.blocks[0].size()) {
				return io.ErrUnexpectedEOF
			}
		default:
			return errSeven
		}
	}
	return errors.New("a header that is packed again and again")
}

// place finds the packed streams of the blocks.
func (s *sevenArchiveReader) place(info *sevenInfo) error {
	off := info.begin
	next := 0
	for i := range info.blocks {
		f := &info.blocks[i]
		if f.packs > len(info.packed)-next {
			return errSeven
		}
		for j := range f.packs {
			size := info.packed[next]
			next++
			if off > uint64(s.b.size-32) || size > uint64(s.b.size-32)-off {
				return io.ErrUnexpectedEOF
			}
			if j == 0 {
				f.raw, _ = s.b.sub(32+int64(off), int64(size))
			}
			s.own(32+int64(off), int64(size))
			off += size
		}
	}
	return nil
}

// errCoder says that a member is compressed in a way that is not read here.
var errCoder = errors.New("encrypted, or compressed in a way that is not read here")

// open unpacks a block as far as it is read.
func (s *sevenArchiveReader) open(f *sevenBlock) (*unpacked, error) {
	if f.forked || len(f.coders) > 2 {
		return nil, errCoder
	}
	coder := f.coders[f.packing]
	raw := io.NewSectionReader(f.raw, 0, f.raw.size)
	var src io.Reader
	var err error
	window := uint64(0)
	switch coder.method {
	case 0x00:
		src = raw
	case 0x030101: // LZMA: a byte of settings and the window
		if len(coder.setting) != 5 {
			return nil, errSeven
		}
		if window = uint64(le.Uint32(coder.setting[1:])); min(window, f.size()) > maxDictionary {
			return nil, errDictionary
		}
		window = max(min(window, f.size()), lzma.MinDictCap)
		head := append([]byte{coder.setting[0]}, le.AppendUint64(le.AppendUint32(nil, uint32(window)), f.size())...)
		src, err = lzma.ReaderConfig{DictCap: int(window)}.NewReader(io.MultiReader(bytes.NewReader(head), raw))
	case 0x21: // LZMA2: the window, in a byte
		if len(coder.setting) != 1 || coder.setting[0] > 40 {
			return nil, errSeven
		}
		if window = math.MaxUint32; coder.setting[0] < 40 {
			window = (2 | uint64(coder.setting[0]&1)) << (coder.setting[0]/2 + 11)
		}
		if min(window, f.size()) > maxDictionary {
			return nil, errDictionary
		}
		src, err = lzma.Reader2Config{DictCap: int(max(min(window, f.size()), lzma.MinDictCap))}.NewReader2(raw)
	case 0x040108:
		src = flate.NewReader(raw)
	case 0x040202:
		src = bzip2.NewReader(raw)
	default:
		return nil, errCoder
	}
	if err != nil {
		return nil, err
	}
	if len(f.coders) == 2 {
		if f.coders[f.last].method != 0x03030103 || f.last == f.packing {
			return nil, errCoder
		}
		src = &branches{src: src}
	}
	if window > smallText || f.size() > smallText {
		s.t.large()
	}
	return &unpacked{src: src, budget: &s.t.spent.unpack}, nil
}

// header reads the main header and then the members.
func (s *sevenArchiveReader) header(c *sevenCursor) error {
	var info sevenInfo
	var files []sevenMember
	for !c.bad {
		switch id := c.byte(); id {
		case sevenEnd:
			if c.bad {
				return errSeven
			}
			if err := s.place(&info); err != nil {
				return err
			}
			s.members(&info, files)
			return nil
		case sevenArchive:
			for id := c.byte(); id != sevenEnd && !c.bad; id = c.byte() {
				c.take(c.number())
			}
		case sevenExtra:
			c.streams()
		case sevenStreams:
			info = c.streams()
		case sevenFiles:
			files = c.files()
		default:
			return errSeven
		}
	}
	return errSeven
}

// members scans what the blocks hold, in the order of the members that have
// content.
func (s *sevenArchiveReader) members(info *sevenInfo, files []sevenMember) {
	t := s.t
	seen := map[string]bool{}
	var full []sevenMember
	for _, f := range files {
		in := s.at.in(f.name)
		if leaves(f.name) {
			t.note("ST412", in, -1, "", fmt.Sprintf("a name that leaves the archive: %+q", clip(f.name, 80)))
		}
		if seen[f.name] {
			t.note("ST410", in, -1, "", "a second member of that name")
		}
		seen[f.name] = true
		if !f.empty {
			full = append(full, f)
		}
	}
	for i := range info.blocks {
		f := &info.blocks[i]
		data, err := s.open(f)
		off := uint64(0)
		for j, size := range f.parts {
			if t.spent.members--; t.spent.members < 0 || t.ctx.Err() != nil {
				t.note("ST404", s.at, f.raw.off, "", "more members than a scan reads")
				return
			}
			name, mode := "", uint32(0)
			if len(full) > 0 {
				name, mode, full = full[0].name, full[0].mode, full[1:]
			}
			in := s.at.in(name)
			switch {
			case errors.Is(err, errCoder):
				t.note("ST403", in, -1, "", err.Error())
				continue
			case errors.Is(err, errDictionary):
				t.note("ST404", in, -1, "", err.Error())
				continue
			case err != nil:
				t.note("ST402", in, -1, "", "does not unpack: "+err.Error())
				continue
			}
			s.member(data, in, name, mode, off, size, f.sums[j])
			off += size
		}
	}
	if len(full) > 0 {
		t.note("ST402", s.at, -1, "", fmt.Sprintf("%d members without bytes", len(full)))
	}
}

func (s *sevenArchiveReader) member(data *unpacked, in place, name string, mode uint32, off, size uint64, sum int64) {
	t := s.t
	if off+size > 1<<40 || off+size < off {
		t.note("ST404", in, -1, "", fmt.Sprintf("is to become %d bytes", size))
		return
	}
	data.grow(int64(off + size))
	have := min(size, uint64(max(data.size-int64(off), 0)))
	switch {
	case data.err == errBudget:
		t.note("ST404", in, -1, "", errBudget.Error())
	case have < size:
		t.note("ST402", in, -1, "", "does not unpack to its end")
	}
	part, _ := blob{data, 0, data.size}.sub(min(int64(off), data.size), int64(have))
	if mode&0xf000 == 0xa000 && have == size && size <= 1<<12 {
		if target, err := part.at(0, part.size); err == nil {
			t.link(in, -1, name, string(target), false)
			return
		}
	}
	if have == size && sum >= 0 && size <= 1<<20 {
		crc := crc32.NewIEEE()
		if _, err := io.Copy(crc, io.NewSectionReader(part, 0, part.size)); err == nil && int64(crc.Sum32()) != sum {
			t.note("ST421", in, -1, "", "the checksum is wrong")
		}
	}
	sub := t.apart()
	sub.content(part, in)
	t.join(sub)
}

// gaps looks into bytes that neither header nor members own.
func (s *sevenArchiveReader) gaps() {
	slices.SortFunc(s.owned, func(a, b [2]int64) int { return cmp.Compare(a[0], b[0]) })
	end := int64(0)
	for _, r := range append(s.owned, [2]int64{s.b.size, s.b.size}) {
		if r[0] > end {
			gap, _ := s.b.sub(end, r[0]-end)
			s.t.note("ST415", s.at, end, "between", fmt.Sprintf("%d bytes that no part of the archive owns", gap.size))
			s.t.junk(gap, s.at, end)
		}
		end = max(end, r[1])
	}
}
