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

	"github.com/ulikunitz/xz/lzma"
)

// 7z is read here as far as archives of models go: members that are stored, or
// compressed by one of LZMA, LZMA2, deflate and bzip2, with the filter for x86
// that py7zr sets, or without. The libraries there are bring some ten modules
// for the rest (7-Zip's DOC/7zFormat.txt).

// maxSevenHeader is how much the header of an archive may be, unpacked.
const maxSevenHeader = 8 << 20

var errSeven = errors.New("the header contradicts itself")

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
	s := sevenArchiveReader{t: t, b: b, at: at, links: t.linksOf(at)}
	defer s.links.finish()
	raw, _ := b.sub(32+int64(off), int64(size))
	s.own(32+int64(off), int64(size))
	s.own(0, 32)
	if err := s.read(raw); err == errBudget {
		t.note("ST404", at, 32+int64(off), "", "more members, or more parts of them, than a scan reads")
		t.junk(b.rest(32), at, 32)
		return
	} else if err != nil {
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
	links *archiveLinks
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
	slow := f.slow()
	if !s.t.opts.Deep && !s.t.work(slow.begin) {
		return nil, errBudget
	}
	src, err := s.source(f)
	if err != nil {
		return nil, err
	}
	if !s.t.opts.Deep { // of which the bytes are enough
		src = &paid{src, s.t, slow.each}
	}
	data := &unpacked{src: src, budget: &s.t.spent.unpack}
	s.t.keepLittle(data, s.at.depth, func() (io.Reader, error) { return s.source(f) })
	return data, nil
}

// A sevenCost is what it takes to begin with a block, and for each byte of it.
type sevenCost struct{ begin, each int64 }

// slow is what a block takes to be unpacked, by the coder that reads its packed bytes.
func (f *sevenBlock) slow() sevenCost {
	if f.packing < len(f.coders) {
		switch f.coders[f.packing].method {
		case 0x00:
			return sevenCost{workPart, 1}
		case 0x030101, 0x21:
			return sevenCost{workWindow/8 + int64(min(f.size(), maxDictionary)/4), workLZMA}
		case 0x040202:
			return sevenCost{workWindow, workBzip2}
		}
	}
	return sevenCost{workHeader, workFlate}
}

// A paid reader takes from the work of a file for each byte that it gives.
type paid struct {
	r    io.Reader
	t    *trace
	each int64
}

// Read implements io.Reader.
func (p *paid) Read(b []byte) (int, error) {
	if p.t.spent.work < 0 {
		return 0, errBudget
	}
	n, err := p.r.Read(b)
	p.t.work(p.each * int64(n))
	return n, err
}

// source is what unpacks a block.
func (s *sevenArchiveReader) source(f *sevenBlock) (io.Reader, error) {
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
	return src, nil
}

// header reads the main header and then the members.
func (s *sevenArchiveReader) header(c *sevenCursor) error {
	var info sevenInfo
	var files []sevenMember
	met := [256]bool{}
	for !c.bad {
		id := c.byte()
		if met[id] {
			return errSeven // each stands once
		}
		met[id] = true
		switch id {
		case sevenEnd:
			if c.over {
				return errBudget
			}
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
	if c.over {
		return errBudget
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
		} else {
			t.node(in, -1, f.mode)
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
			case errors.Is(err, errDictionary), errors.Is(err, errBudget):
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
			s.links.link(in, -1, name, string(target), false)
			return
		}
	}
	s.links.file(in, -1, name)
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
