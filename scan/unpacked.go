package scan

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// errBudget is the cause of an error about a file that unpacks to more than a
// scan may hold.
var errBudget = errors.New("more than a scan unpacks")

// An unpacked is what a decompressor gives, read as far as it was asked for.
// It is kept in pieces, so that growing copies nothing. Of more than it may keep
// there are the beginning and what was asked for last; the rest is unpacked once
// more where it is asked for again.
type unpacked struct {
	src    io.Reader
	pieces [][]byte // all of them full but the last; nil if it is not kept
	size   int64
	sum    uint32 // CRC-32 of all that was unpacked
	err    error
	budget *int64 // bytes that may still be unpacked

	most   int                       // pieces that are kept, or 0 for all
	open   func() (io.Reader, error) // src from its beginning, if most is set
	again  *int64                    // bytes that may still be unpacked once more
	recent []int                     // indices of pieces that are kept, the oldest first
	second io.Reader                 // what unpacks once more
	next   int                       // index of the piece it is at
}

const (
	pieceSize  = 64 << 10
	firstKept  = 16       // pieces of the beginning, which formats are told by
	mostKept   = 12 << 20 // bytes, and half as much for each container around it
	leastKept  = 2 << 20
	perOfDeep  = 4 // bytes that are unpacked for each of a file with --deep
	leastDeep  = 256 << 20
	mostOfDeep = 16 << 30
)

// keepLittle bounds what is kept of u, if much is unpacked at all.
func (t *trace) keepLittle(u *unpacked, depth int, open func() (io.Reader, error)) {
	if t.opts.Deep {
		u.most, u.open, u.again = max(mostKept>>min(depth, 16), leastKept)/pieceSize, open, &t.spent.again
	}
}

// room is a piece to fill, in the place of the oldest if there are too many.
func (u *unpacked) room(size int64) []byte {
	if u.most == 0 || len(u.recent) < u.most {
		return make([]byte, 0, size)
	}
	oldest := u.recent[0]
	copy(u.recent, u.recent[1:])
	u.recent = u.recent[:len(u.recent)-1]
	p := u.pieces[oldest]
	u.pieces[oldest] = nil
	return p[:0]
}

// keep remembers that a piece may go.
func (u *unpacked) keep(i int) {
	if u.most > 0 && i >= firstKept {
		u.recent = append(u.recent, i)
	}
}

// grow unpacks until n bytes are there.
func (u *unpacked) grow(n int64) {
	for u.size < n && u.err == nil {
		if *u.budget <= 0 {
			u.err = errBudget
			return
		}
		last := len(u.pieces) - 1
		if last >= 0 && u.pieces[last] == nil {
			if u.err = u.restore(last); u.err != nil {
				return
			}
		}
		if last < 0 || len(u.pieces[last]) == cap(u.pieces[last]) {
			size := int64(pieceSize)
			if last < 0 {
				size = min(max(n, 512), pieceSize) // members are small, as a rule
			}
			u.pieces = append(u.pieces, u.room(size))
			if last++; last == 1 && cap(u.pieces[0]) < pieceSize {
				first := append(make([]byte, 0, pieceSize), u.pieces[0]...)
				u.pieces = append(u.pieces[:0], first)
				last = 0
			} else {
				u.keep(last)
			}
		}
		p := u.pieces[last]
		end := min(int64(cap(p)), int64(len(p))+*u.budget)
		m, err := u.src.Read(p[len(p):end])
		u.sum = crc32.Update(u.sum, crc32.IEEETable, p[len(p):len(p)+m])
		u.pieces[last] = p[:len(p)+m]
		u.size += int64(m)
		*u.budget -= int64(m)
		u.err = err
	}
}

// restore unpacks once more up to piece i, which was there and is not kept.
func (u *unpacked) restore(i int) error {
	if u.second == nil || u.next > i {
		u.close()
		r, err := u.open()
		if err != nil {
			return err
		}
		u.second, u.next = r, 0
	}
	p := u.room(pieceSize)[:pieceSize]
	for ; u.next <= i; u.next++ {
		p = p[:min(pieceSize, u.size-int64(u.next)*pieceSize)]
		if *u.again -= int64(len(p)); *u.again < 0 {
			return errBudget
		}
		if _, err := io.ReadFull(u.second, p); err != nil {
			u.close()
			return err
		}
	}
	u.pieces[i] = p
	u.keep(i)
	return nil
}

// close ends what unpacks once more.
func (u *unpacked) close() {
	if c, ok := u.second.(io.Closer); ok {
		c.Close()
	}
	u.second = nil
}

// ReadAt gives what lies at off.
func (u *unpacked) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fmt.Errorf("offset %d", off)
	}
	// Piece by piece, or the first would be gone when the last is there.
	for n < len(p) {
		at := off + int64(n)
		if at >= u.size {
			if u.grow(min(off+int64(len(p)), at-at%pieceSize+pieceSize)); at >= u.size {
				return n, u.err
			}
		}
		i := int(at / pieceSize)
		if u.pieces[i] == nil {
			if err := u.restore(i); err != nil {
				return n, err
			}
		}
		n += copy(p[n:], u.pieces[i][at%pieceSize:])
	}
	return n, nil
}
