// Package xzwindow tells how much memory an .xz file asks its reader for, before
// one is made. What opens checkpoints and what scans them both need to know.
package xzwindow

import (
	"encoding/binary"
	"errors"
	"io"

	"github.com/ulikunitz/xz/lzma"
)

// The causes of what Check returns, besides io.ErrUnexpectedEOF.
var (
	ErrWindow = errors.New("a larger window than there is memory for")
	ErrFormat = errors.New("its blocks cannot be followed")
)

// Check looks whether the .xz file of size bytes asks for a window of more than
// most bytes. The library that unpacks gives a block the window its header names,
// up to 4 GiB, before it has read a byte of it. So all headers are looked at
// first: the chunks of LZMA2 between them tell their lengths without being
// unpacked (The .xz File Format 1.2.1; xz's lzma2_decoder.c). Where they cannot
// be followed, it is io.ErrUnexpectedEOF or ErrFormat, and the headers before are
// within the bound.
func Check(src io.ReaderAt, size, most int64) error {
	x := &walk{src: src, size: size, most: most}
	for x.off < size {
		// Stream header: magic, two bytes of flags, CRC32.
		b := x.take(12)
		if x.bad {
			return io.ErrUnexpectedEOF
		}
		if string(b[:6]) != "\xfd7zXZ\x00" {
			return ErrFormat
		}
		check := [16]int64{0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64}[b[7]&15]
		for !x.bad {
			begin := x.off
			size := int64(x.byte())
			if size == 0 {
				x.index(begin)
				break
			}
			if err := x.block(begin, (size+1)*4); err != nil {
				if x.bad {
					return io.ErrUnexpectedEOF
				}
				return err
			}
			x.skip(-(x.off - begin) & 3)
			x.skip(check)
		}
		x.skip(12) // the footer
		for !x.bad && x.off < size && size-x.off >= 4 && string(x.peek(4)) == "\x00\x00\x00\x00" {
			x.skip(4)
		}
		if x.bad {
			return io.ErrUnexpectedEOF
		}
	}
	return nil
}

// A walk steps through a file. bad is set where it ends too early.
type walk struct {
	src  io.ReaderAt
	size int64
	most int64
	off  int64
	bad  bool
	buf  [16]byte
}

func (x *walk) peek(n int) []byte {
	if _, err := x.src.ReadAt(x.buf[:n], x.off); err != nil && err != io.EOF || x.size-x.off < int64(n) {
		x.bad = true
		clear(x.buf[:])
	}
	return x.buf[:n]
}

func (x *walk) take(n int) []byte {
	b := x.peek(n)
	x.off += int64(n)
	return b
}

func (x *walk) byte() byte { return x.take(1)[0] }

func (x *walk) skip(n int64) {
	if n > x.size-x.off {
		x.bad = true
		return
	}
	x.off += n
}

// number reads an integer of up to nine bytes of seven bits.
func (x *walk) number() (n uint64) {
	for i := range 9 {
		b := x.byte()
		n |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			return n
		}
	}
	x.bad = true
	return 0
}

// block checks the header of size bytes and walks over the chunks behind it.
func (x *walk) block(begin, size int64) error {
	flags := x.byte()
	if flags&3 != 0 {
		return ErrFormat // filters besides LZMA2, which the library has none of
	}
	for _, there := range []byte{0x40, 0x80} { // compressed and uncompressed size
		if flags&there != 0 {
			x.number()
		}
	}
	if x.number() != 0x21 || x.number() != 1 {
		return ErrFormat
	}
	window, err := lzma.DecodeDictCap(x.byte())
	if err != nil || x.off > begin+size-4 {
		return ErrFormat
	}
	if window > x.most {
		return ErrWindow
	}
	x.off = begin + size
	for !x.bad {
		control := x.byte()
		switch {
		case control == 0:
			return nil
		case control < 0x80: // stored
			x.skip(int64(binary.BigEndian.Uint16(x.take(2))) + 1)
		default:
			b := x.take(4)
			n := int64(binary.BigEndian.Uint16(b[2:])) + 1
			if control >= 0xc0 {
				n++ // properties
			}
			x.skip(n)
		}
	}
	return io.ErrUnexpectedEOF
}

// index walks over the list of blocks at the end of a stream.
func (x *walk) index(begin int64) {
	for n := x.number(); n > 0 && !x.bad; n-- {
		x.number()
		x.number()
	}
	x.skip(-(x.off - begin) & 3)
	x.skip(4) // CRC32
}
