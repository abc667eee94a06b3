package scan

import (
	"slices"
	"unicode/utf16"
)

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

// A sevenCursor reads a header. After an error it gives zeros.
type sevenCursor struct {
	p       []byte
	bad     bool
	over    bool // for being more than a scan reads
	members int  // of all blocks
	blocks  int
}

// What few bytes of a header can ask for takes a hundred times their memory.
const (
	maxBlocks = 50_000
	maxPacks  = 4 * maxBlocks
)

// most ends the header if it has more than that of something.
func (c *sevenCursor) most(n, most int) int {
	if n > most {
		c.bad, c.over = true, true
		return 0
	}
	return n
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
	met := [256]bool{}
	for !c.bad {
		id := c.byte()
		if met[id] {
			c.bad = true // each stands once, and goes over all blocks
			return s
		}
		met[id] = true
		switch id {
		case sevenEnd:
			return s
		case sevenPack:
			s.begin = c.number()
			n := c.most(c.count(), maxPacks)
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
			c.blocks += n
			c.most(c.blocks, maxBlocks)
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
	c.members += int(n)
	c.most(c.members, maxMembers)
	if c.bad {
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
