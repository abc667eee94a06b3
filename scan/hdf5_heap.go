package scan

import (
	"bytes"
	"fmt"
	"math/bits"
)

// localHeap returns the data of a local heap, where names lie, and their
// address (III.D).
func (h *hdf5File) localHeap(address uint64) (data []byte, at uint64, err error) {
	c, err := h.read(address, uint64(8+2*h.length+h.offset))
	if err != nil {
		return nil, 0, err
	}
	if !c.is("HEAP") || c.number(1) != 0 {
		return nil, 0, fmt.Errorf("a local heap: %w", errHDF5)
	}
	c.take(3)
	size := c.size()
	c.size()
	at = c.address()
	d, err := h.read(at, size)
	return d.p, at, err
}

// heapText returns the text at an offset of a local heap. It counts for its
// length, for any number of links can share one.
func (h *hdf5File) heapText(data []byte, off uint64) (string, error) {
	if off >= uint64(len(data)) {
		return "", fmt.Errorf("a name: %w", errHDF5)
	}
	i := bytes.IndexByte(data[off:], 0)
	if i < 0 {
		return "", fmt.Errorf("a name: %w", errHDF5)
	}
	if h.left -= int64(i); h.left < 0 {
		return "", errBudget
	}
	return string(data[off : off+uint64(i)]), nil
}

// limitWidth is how many bytes a number up to n takes.
func limitWidth(n uint64) int { return (bits.Len64(max(n, 1))-1)/8 + 1 }

// A fractal is a fractal heap (III.G).
type fractal struct {
	h                  *hdf5File
	address            uint64
	idLen              int
	offsetLen, sizeLen int
	width, start, most uint64 // of the doubling table: blocks in a row, bytes of the first and of the largest direct one
	root               uint64
	rows               uint64
	huge               uint64 // tree of the objects that lie by themselves
	tiny               bool   // ids of objects within them have lengths of two bytes
}

func (h *hdf5File) fractal(address uint64) (*fractal, error) {
	c, err := h.read(address, uint64(26+3*h.offset+12*h.length))
	if err != nil {
		return nil, err
	}
	f := &fractal{h: h, address: address}
	if !c.is("FRHP") || c.number(1) != 0 {
		return nil, fmt.Errorf("a heap: %w", errHDF5)
	}
	f.idLen = int(c.number(2))
	filters := c.number(2)
	c.number(1)
	largest := c.number(4)
	c.size()
	f.huge = c.address()
	c.size()
	c.address()
	for range 8 {
		c.size()
	}
	f.width, f.start, f.most = c.number(2), c.size(), c.size()
	bitLen := c.number(2)
	c.number(2)
	f.root, f.rows = c.address(), c.number(2)
	power := func(n uint64) bool { return n != 0 && n&(n-1) == 0 }
	if c.bad || !power(f.width) || !power(f.start) || !power(f.most) || f.most < f.start || bitLen > 64 || bitLen == 0 || f.rows > 64 || f.most > 1<<32 {
		return nil, fmt.Errorf("a heap: %w", errHDF5)
	}
	if filters != 0 {
		return nil, fmt.Errorf("a heap that is filtered %w", errUnread)
	}
	f.offsetLen = int(bitLen+7) / 8
	f.sizeLen = min((bits.Len64(f.most)-1+7)/8, limitWidth(largest))
	f.tiny = f.idLen-1 > 16
	return f, nil
}

// object returns the bytes of an object by its id.
func (f *fractal) object(id []byte) (hdf5Cursor, error) {
	h := f.h
	c := hdf5Cursor{h: h, p: id}
	head := c.number(1)
	if c.bad || head>>6 != 0 {
		return c, fmt.Errorf("an id of a heap: %w", errHDF5)
	}
	switch head >> 4 & 3 {
	case 0:
		off, n := c.number(f.offsetLen), c.number(f.sizeLen)
		if c.bad {
			return c, errHDF5
		}
		return f.managed(off, n)
	case 1:
		if f.idLen >= 1+h.offset+h.length {
			a, n := c.address(), c.size()
			if c.bad {
				return c, errHDF5
			}
			return h.read(a, n)
		}
		key := c.number(min(8, len(c.p)))
		var found hdf5Cursor
		err := h.tree2(f.huge, 1, func(record hdf5Cursor) error {
			a, n := record.address(), record.size()
			if found.h != nil || record.size() != key || record.bad {
				return nil
			}
			var err error
			found, err = h.read(a, n)
			return err
		})
		if err == nil && found.h == nil {
			err = fmt.Errorf("an object of a heap is missing: %w", errHDF5)
		}
		return found, err
	case 2:
		n := head&15 + 1
		if f.tiny {
			n = (head&15)<<8 | c.number(1) + 1
		}
		object := hdf5Cursor{h: h, p: c.take(n), at: h.base + int64(min(f.address, 1<<62))}
		if c.bad {
			return c, errHDF5
		}
		return object, nil
	}
	return c, errHDF5
}

// managed finds the block that an offset of the heap is in (III.G, doubling
// table). Blocks of each row from the second on are twice those of the row
// before.
func (f *fractal) managed(off, n uint64) (hdf5Cursor, error) {
	h := f.h
	address, begin, rows := f.root, uint64(0), f.rows
	for range 64 {
		if address == 1<<64-1 {
			return hdf5Cursor{}, fmt.Errorf("a block of a heap is missing: %w", errHDF5)
		}
		if rows == 0 { // a direct block
			c, err := h.read(address, uint64(5+h.offset))
			if err != nil {
				return c, err
			}
			if !c.is("FHDB") {
				return c, fmt.Errorf("a block of a heap: %w", errHDF5)
			}
			return h.read(address+(off-begin), n)
		}
		head := uint64(5 + h.offset + f.offsetLen)
		c, err := h.read(address, head)
		if err != nil {
			return c, err
		}
		if !c.is("FHIB") {
			return c, fmt.Errorf("a block of a heap: %w", errHDF5)
		}
		// The row, and the column in it.
		row, first, size := uint64(0), begin, f.start
		for ; row < rows; row++ {
			if row > 1 {
				size *= 2
			}
			if size == 0 || size > 1<<48 || off-first < size*f.width {
				break
			}
			first += size * f.width
		}
		if row == rows || size == 0 || size > 1<<48 {
			return hdf5Cursor{}, fmt.Errorf("an offset beyond a heap: %w", errHDF5)
		}
		column := (off - first) / size
		// Rows of direct blocks come first, and a child takes an address in either.
		c, err = h.read(address+head+(row*f.width+column)*uint64(h.offset), uint64(h.offset))
		if err != nil {
			return c, err
		}
		address, begin = c.address(), first+column*size
		rows = 0
		if size > f.most {
			lost := bits.Len64(f.start) - 1 + bits.Len64(f.width) - 1
			if bits.Len64(size)-1 < lost {
				return c, errHDF5
			}
			rows = uint64(bits.Len64(size)-1-lost) + 1
		}
	}
	return hdf5Cursor{}, fmt.Errorf("a heap that nests too deep: %w", errHDF5)
}

// globalObject returns where an object of a global heap is (III.E). A heap that is
// neither one large object nor many is kept, for those beside it are asked for next.
func (h *hdf5File) globalObject(address, index uint64) (off int64, size uint64, err error) {
	head, total := uint64(8+h.length), uint64(len(h.heap))
	if h.heap == nil || h.last != address {
		c, err := h.read(address, head)
		if err != nil {
			return 0, 0, err
		}
		if !c.is("GCOL") || c.number(1) != 1 {
			return 0, 0, fmt.Errorf("a global heap: %w", errHDF5)
		}
		c.take(3)
		if total = c.size(); total <= smallText {
			if c, err = h.read(address, total); err != nil {
				return 0, 0, err
			}
			h.last, h.heap = address, c.p
		}
	}
	kept := h.heap != nil && h.last == address
	cost := int64(perRead) // of the first, for a heap of one object takes as long as one of two
	for at := head; at < total && total-at >= head; {
		var c hdf5Cursor
		if kept {
			if h.left -= cost; h.left < 0 {
				return 0, 0, errBudget
			}
			c, cost = hdf5Cursor{h: h, p: h.heap[at:]}, 4
		} else if c, err = h.read(address+at, head); err != nil {
			return 0, 0, err
		}
		i := c.number(2)
		c.take(6)
		n := c.size()
		if i == index {
			off, err := h.place(address+at+head, n)
			return off, n, err
		}
		if i == 0 || n > total {
			break
		}
		at += head + (n+7)&^7
	}
	return 0, 0, fmt.Errorf("an object of a global heap is missing: %w", errHDF5)
}
