package scan

import (
	"fmt"
	"math/bits"
)

// externalStorage reads the names of the files that hold a dataset (IV.A.2.h).
func (h *hdf5File) externalStorage(c hdf5Cursor) error {
	begin := c.at
	c.take(4)
	c.number(2)
	n, heap := c.number(2), c.address()
	if c.bad {
		return errHDF5
	}
	data, _, err := h.localHeap(heap)
	if err != nil {
		return err
	}
	for range n {
		name, err := h.heapText(data, c.size())
		c.size() // where in the file
		c.size()
		if err != nil {
			return err
		}
		if c.bad {
			return errHDF5
		}
		h.elsewhere(begin, name, "numbers in the file")
	}
	return nil
}

// An hdf5Dataset is what the messages of an object say of its numbers.
type hdf5Dataset struct {
	elements, width uint64
	known           bool
	stored          bool // at offset, in size bytes
	offset          int64
	size            uint64
}

// dataspace returns the number of elements (IV.A.2.b), if it is one that has
// any.
func (m *hdf5Message) dataspace() (n uint64, ok bool, err error) {
	version, rank := m.number(1), m.number(1)
	m.take(1) // whether a maximum follows
	switch version {
	case 1:
		m.take(5)
	case 2:
		if m.number(1) == 2 && !m.bad {
			return 0, false, nil
		}
	default:
		return 0, false, fmt.Errorf("a shape of version %d %w", version, errUnread)
	}
	n = 1
	for range rank {
		hi, lo := bits.Mul64(n, m.size())
		if n = lo; hi != 0 {
			n = 1<<64 - 1
		}
	}
	if m.bad {
		return 0, false, fmt.Errorf("a shape: %w", errHDF5)
	}
	return n, true, nil
}

// layout reads where the numbers are (IV.A.2.i).
func (h *hdf5File) layout(c hdf5Cursor, d *hdf5Dataset) error {
	begin := c.at
	version := c.number(1)
	switch version {
	case 1, 2:
		c.take(1) // the rank
		class := c.number(1)
		c.take(5)
		if class == 0 {
			return nil // small, in the header
		}
		a := c.address()
		if class == 1 && a != 1<<64-1 {
			d.at(h, a, 0)
		}
	case 3, 4, 5:
		switch class := c.number(1); class {
		case 0, 2: // in the header; in pieces
		case 1:
			if a, n := c.address(), c.size(); a != 1<<64-1 {
				d.at(h, a, n)
			}
		case 3:
			heap, index := c.address(), c.number(4)
			if heap == 1<<64-1 {
				return nil
			}
			return h.virtual(begin, heap, index)
		default:
			return fmt.Errorf("numbers laid out by class %d: %w", class, errUnread)
		}
	default:
		return fmt.Errorf("a layout of version %d %w", version, errUnread)
	}
	if c.bad {
		return errHDF5
	}
	return nil
}

// at notes where the numbers of a dataset are, as far as the file has them.
func (d *hdf5Dataset) at(h *hdf5File, address, size uint64) {
	if off, err := h.place(address, 0); err == nil {
		d.stored, d.offset, d.size = true, off, min(size, uint64(h.b.size-off))
	}
}

// virtual reads the files that a virtual dataset is made of (VII.D).
func (h *hdf5File) virtual(begin int64, heap, index uint64) error {
	off, size, err := h.globalObject(heap, index)
	if err != nil {
		return err
	}
	c, err := h.read(uint64(off-h.base), size)
	if err != nil {
		return err
	}
	version, n := c.number(1), c.size()
	if version > 1 || c.bad || n > 1<<16 {
		return fmt.Errorf("a virtual dataset of version %d %w", version, errUnread)
	}
	name := c.text()
	if version == 1 {
		return fmt.Errorf("a virtual dataset of version %d %w", version, errUnread)
	}
	if name != "." { // the file itself
		h.elsewhere(begin, name, "a virtual dataset, made of numbers in the file")
	}
	if n > 1 {
		return fmt.Errorf("a virtual dataset of %d pieces, of which only the first %w", n, errUnread)
	}
	if c.bad {
		return errHDF5
	}
	return nil
}

// dataset judges the numbers of an object.
func (h *hdf5File) dataset(o hdf5Object, d *hdf5Dataset) {
	hi, size := bits.Mul64(d.elements, d.width)
	if d.known && !h.bombs && (hi != 0 || size > 4<<30 && size/1000 > uint64(h.b.size)) {
		h.bombs = true
		h.t.note("ST369", h.at, h.base+int64(min(o.address, 1<<62)), clip(o.path, 80), fmt.Sprintf("a dataset of %d elements of %d bytes, in a file of %d", d.elements, d.width, h.b.size))
	}
	if d.stored && d.size > 0 && h.numbers[d.offset] {
		h.t.note("ST369", h.at, d.offset, "shared", "datasets of which the numbers begin at the same byte")
	} else if d.stored && d.size > 0 {
		h.numbers[d.offset] = true
		h.t.storage(h.b, d.offset, int64(d.size), h.at)
	}
}
