package scan

import (
	"fmt"
	"io"
	"math/bits"
	"strings"
)

// gguf reads the keys of a GGUF file for the template of its chat (ggml's
// docs/gguf.md).
func (t *trace) gguf(b blob, at place) {
	c := &ggufCursor{t: t, b: b, off: 4}
	version := c.number(4)
	if swapped := bits.ReverseBytes32(uint32(version)); swapped == 2 || swapped == 3 {
		t.note("ST408", at, 4, "", fmt.Sprintf("version %d of GGUF in the order of bytes of big-endian machines, which is not read here", swapped))
		return
	}
	if version < 2 || version > 3 {
		t.note("ST408", at, 4, "", fmt.Sprintf("version %d of GGUF, which is not read here", version))
		return
	}
	c.number(8) // tensors
	pairs := c.number(8)
	for i := uint64(0); i < pairs && c.err == nil && t.ctx.Err() == nil; i++ {
		t.work(workPair)
		key := c.text(1 << 16)
		kind := uint32(c.number(4))
		if strings.HasPrefix(key, "/") || strings.Contains(key, "..") || strings.ContainsAny(key, "\\\x00") || strings.ContainsFunc(key, unprintable) {
			t.note("ST610", at, c.off, clip(key, 80), fmt.Sprintf("the key %+q", clip(key, 80)))
		}
		if kind == 8 && isTemplateKey(key) {
			offset := c.off
			t.template(at, offset, c.text(1<<20))
			continue
		}
		c.skip(kind, 0)
	}
	if c.err != nil && c.err != errWork {
		t.note("ST402", at, c.off, "", "the keys of the file break off")
	}
}

type ggufCursor struct {
	t   *trace
	b   blob
	off int64
	err error
}

func (c *ggufCursor) number(n int64) uint64 {
	var p [8]byte
	if c.err != nil {
		return 0
	}
	if m, err := c.b.ReadAt(p[:n], c.off); int64(m) < n {
		c.err = err
		return 0
	}
	c.off += n
	return le.Uint64(p[:])
}

// text reads a string, and of a long one its beginning.
func (c *ggufCursor) text(limit uint64) string {
	n := c.number(8)
	if !c.t.work(workString) {
		c.err = errWork // or a sparse file would have billions of empty ones
		return ""
	}
	if c.err != nil || n > uint64(c.b.size-c.off) {
		c.err = io.ErrUnexpectedEOF
		return ""
	}
	p, err := c.b.at(c.off, int64(min(n, limit)))
	if err != nil {
		c.err = err
	}
	c.off += int64(n)
	return string(p)
}

var ggufSizes = [...]uint64{1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8}

func (c *ggufCursor) skip(kind uint32, depth int) {
	switch {
	case kind == 8:
		c.text(0)
	case kind == 9 && depth == 0:
		of, n := uint32(c.number(4)), c.number(8)
		if of == 8 {
			for i := uint64(0); i < n && c.err == nil; i++ {
				c.text(0)
			}
			return
		}
		if of >= uint32(len(ggufSizes)) || ggufSizes[of] == 0 {
			c.err = io.ErrUnexpectedEOF
			return
		}
		hi, size := bits.Mul64(n, ggufSizes[of])
		if hi != 0 || size > uint64(c.b.size-c.off) {
			c.err = io.ErrUnexpectedEOF
			return
		}
		c.off += int64(size)
	case kind < uint32(len(ggufSizes)) && ggufSizes[kind] > 0:
		c.number(int64(ggufSizes[kind]))
	default:
		c.err = io.ErrUnexpectedEOF
	}
}

// isMsgpack tells whether a file is one map of msgpack with text for keys, as
// Flax writes it, to its last byte. The format holds no code. What visit gets is
// values that may be text, with the bytes that tell their length.
func isMsgpack(b blob, head []byte, visit func(text blob)) bool {
	if c := head[0]; c&0xf0 != 0x80 && c != 0xde && c != 0xdf {
		return false
	}
	var open []uint64 // values still to come in each container
	off := int64(0)
	var p [9]byte
	for steps := 0; steps < 1<<20; steps++ {
		n, err := b.ReadAt(p[:], off)
		if n == 0 || err != nil && err != io.EOF {
			return false
		}
		wide := func(at, k int) uint64 {
			v := uint64(0)
			for _, c := range p[at : at+k] {
				v = v<<8 | uint64(c)
			}
			return v
		}
		skip, children := uint64(1), uint64(0)
		switch c := p[0]; {
		case c < 0x80, c >= 0xe0, c == 0xc0, c == 0xc2, c == 0xc3:
		case c < 0x90:
			children = 2 * uint64(c&15)
		case c < 0xa0:
			children = uint64(c & 15)
		case c < 0xc0:
			skip = 1 + uint64(c&31)
		case c >= 0xc4 && c <= 0xc6:
			k := 1 << (c - 0xc4)
			skip = 1 + uint64(k) + wide(1, k)
		case c >= 0xc7 && c <= 0xc9:
			k := 1 << (c - 0xc7)
			skip = 2 + uint64(k) + wide(1, k)
		case c == 0xca:
			skip = 5
		case c == 0xcb:
			skip = 9
		case c >= 0xcc && c <= 0xcf:
			skip = 1 + 1<<(c-0xcc)
		case c >= 0xd0 && c <= 0xd3:
			skip = 1 + 1<<(c-0xd0)
		case c >= 0xd4 && c <= 0xd8:
			skip = 2 + 1<<(c-0xd4)
		case c >= 0xd9 && c <= 0xdb:
			k := 1 << (c - 0xd9)
			skip = 1 + uint64(k) + wide(1, k)
		case c == 0xdc, c == 0xdd:
			k := 2 << (c - 0xdc)
			skip, children = 1+uint64(k), wide(1, k)
		case c == 0xde, c == 0xdf:
			k := 2 << (c - 0xde)
			skip, children = 1+uint64(k), 2*wide(1, k)
		default:
			return false
		}
		if skip > uint64(b.size-off) {
			return false
		}
		if skip >= 8 && children == 0 {
			text, _ := b.sub(off, int64(skip))
			visit(text)
		}
		off += int64(skip)
		if children > 0 {
			if len(open) > 1000 {
				return false
			}
			open = append(open, children)
			continue
		}
		for len(open) > 0 {
			if open[len(open)-1]--; open[len(open)-1] > 0 {
				break
			}
			open = open[:len(open)-1]
		}
		if len(open) == 0 {
			return off == b.size
		}
	}
	return false
}

// msgpack reads a file of Flax, and looks for commands in its strings, of
// which the beginnings of arrays are taken for some.
func (t *trace) msgpack(b blob, at place, head []byte) bool {
	if head[0]&0xf0 == 0x80 || head[0] == 0xde || head[0] == 0xdf {
		const most = 1 << 20 // values
		if !t.work(7*min(b.size, most)) && at.depth > 0 {
			return false // which is told when all is done
		}
	}
	apart := t.apart()
	left := 2000
	if !isMsgpack(b, head, func(text blob) {
		if left--; left < 0 {
			return
		}
		p, err := text.at(0, 1024)
		if err != nil {
			return // met again where the file is read
		}
		if match := t.command(string(p)); match != "" {
			apart.note("ST353", at, text.off-b.off, excerpt(match, 60), fmt.Sprintf("a value holds %+q", excerpt(match, 60)))
		}
	}) {
		return false
	}
	t.join(apart)
	return true
}
