package scan

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// HDF5 is read here as far as it takes to meet every object and every attribute
// of a file: superblocks 0 to 3, object headers of both versions, groups as
// symbol tables, links in headers and in heaps. Sections are those of the HDF5
// File Format Specification, version 3.0. The numbers of datasets are not read.

// What is read of one file at most.
const (
	maxObjects  = 100_000
	maxHDF5     = 48 << 20 // bytes of headers, heaps and trees
	maxPiece    = 8 << 20  // of them that are read at once
	perRead     = 96       // bytes that a read counts for besides its own
	maxMessages = 4 << 20  // of one object header
	maxInHeader = 1 << 16  // messages of one object header; the old kind counts them in 16 bits
	maxDense    = 1 << 16  // links or attributes of one object that lie in a heap
)

// errHDF5 is the cause of errors about bytes that are not what the format has
// there.
var errHDF5 = errors.New("not what HDF5 has there")

// errUnread is the cause of errors about what the format allows and is not read
// here.
var errUnread = errors.New("is not read here")

// An hdf5File is a file that is being read. Addresses count from its base.
type hdf5File struct {
	t       *trace
	b       blob
	at      place
	base    int64
	offset  int // bytes of an address
	length  int // bytes of a length
	left    int64
	seen    map[uint64]bool
	queue   []hdf5Object
	config  map[string][]hdf5Text // pieces of model_config, by object
	values  int64                 // bytes of attributes that may still be looked into
	texts   int64                 // bytes of config that may still be kept
	last    uint64                // address of the global heap that was read last
	heap    []byte
	numbers map[int64]bool // where those of a dataset began
	bombs   bool
	partial bool
	met     func(path, name string, off, size int64) // what tests see of attributes
}

func newHDF5(t *trace, b blob, at place) *hdf5File {
	return &hdf5File{t: t, b: b, at: at, left: maxHDF5, values: maxValues, texts: maxJSON,
		seen: map[uint64]bool{}, numbers: map[int64]bool{}, config: map[string][]hdf5Text{}}
}

// An hdf5Object is an object header that is still to be read.
type hdf5Object struct {
	address uint64
	path    string
}

// An hdf5Text is a text that lies in one piece.
type hdf5Text struct {
	name         string
	offset, size int64 // in the blob
}

// hdf5Begin returns where the superblock is, which may stand behind a block that
// is the user's, and -1 if there is none.
func hdf5Begin(b blob) int64 {
	for off := int64(0); off+48 <= b.size; off = max(512, 2*off) {
		if p, err := b.at(off, 8); err == nil && string(p) == "\x89HDF\r\n\x1a\n" {
			return off
		}
	}
	return -1
}

// undefined tells whether an address is that of nothing.
func (h *hdf5File) undefined(a uint64) bool { return a == 1<<(8*h.offset)-1 || a == 1<<64-1 }

// place returns where in the blob n bytes at an address are.
func (h *hdf5File) place(address, n uint64) (int64, error) {
	size := uint64(h.b.size - h.base)
	if address > size || n > size-address {
		return 0, fmt.Errorf("%d bytes at %d are beyond the end: %w", n, address, errHDF5)
	}
	return h.base + int64(address), nil
}

// read returns n bytes at an address.
func (h *hdf5File) read(address, n uint64) (hdf5Cursor, error) {
	off, err := h.place(address, n)
	if err != nil {
		return hdf5Cursor{}, err
	}
	if h.left -= int64(min(n, maxHDF5)) + perRead; h.left < 0 || n > maxPiece {
		return hdf5Cursor{}, errBudget
	}
	if !h.t.work(perRead + int64(n)/4) {
		return hdf5Cursor{}, errBudget
	}
	p, err := h.b.at(off, int64(n))
	if err == nil && uint64(len(p)) < n {
		err = errHDF5
	}
	return hdf5Cursor{h: h, p: p, at: off}, err
}

// unread tells, once for each cause, that a part of the file was not read.
func (h *hdf5File) unread(off int64, what string, err error) {
	h.partial = true
	reason := err.Error()
	if errors.Is(err, errBudget) {
		h.t.note("ST404", h.at, off, "hdf5", "more of HDF5 than a scan reads")
		return
	}
	h.t.note("ST408", h.at, off, clip(what, 60), fmt.Sprintf("%s: %s", what, reason))
}

// superblock reads where the root is (II.A).
func (h *hdf5File) superblock(begin int64) (root uint64, err error) {
	p, err := h.b.at(begin, 112)
	if err != nil {
		return 0, err
	}
	c := hdf5Cursor{h: h, p: p, at: begin}
	c.take(8)
	version := c.number(1)
	if version <= 1 {
		c.take(4)
	}
	h.offset, h.length = int(c.number(1)), int(c.number(1))
	if !slices.Contains([]int{2, 4, 8}, h.offset) || !slices.Contains([]int{2, 4, 8}, h.length) {
		return 0, fmt.Errorf("a superblock of version %d with addresses of %d bytes: %w", version, h.offset, errHDF5)
	}
	if h.base = begin; version > 3 {
		return 0, fmt.Errorf("a superblock of version %d %w", version, errUnread)
	}
	if version <= 1 {
		c.take(1 + 4 + 4)
		if version == 1 {
			c.take(4)
		}
	} else {
		c.take(1)
	}
	// The library takes the place of the superblock where the base is another:
	// a block was put in front of a file that had none.
	if base := c.address(); base != uint64(begin) {
		h.t.note("ST369", h.at, begin, "base", fmt.Sprintf("says that it begins at byte %d, and begins at byte %d", base, begin))
	}
	extension := c.address() // or where free space is noted
	c.address()              // the end of the file
	if version <= 1 {
		if driver := c.address(); driver != 1<<64-1 {
			return 0, fmt.Errorf("a file of a family: %w", errUnread)
		}
		c.size() // the name of the root
	} else if extension != 1<<64-1 {
		h.push(extension, "extension")
	}
	root = c.address()
	if c.bad || root == 1<<64-1 {
		return 0, errHDF5
	}
	return root, nil
}

// push remembers an object that is to be read.
func (h *hdf5File) push(address uint64, path string) {
	if address == 1<<64-1 || h.seen[address] {
		return
	}
	if len(h.seen) == maxObjects {
		h.unread(-1, "objects", errBudget)
		return
	}
	h.seen[address] = true
	h.queue = append(h.queue, hdf5Object{address, clip(path, 100)})
}

// A message of an object header (IV.A).
type hdf5Message struct {
	kind   uint16
	shared bool
	hdf5Cursor
}

// object reads the messages of an object header.
func (h *hdf5File) object(address uint64) ([]hdf5Message, error) {
	c, err := h.read(address, min(16, uint64(max(h.b.size-h.base-int64(min(address, 1<<62)), 0))))
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(c.p, []byte("OHDR")) {
		return h.object2(address, c)
	}
	if c.number(1) != 1 {
		return nil, fmt.Errorf("an object header: %w", errHDF5)
	}
	c.take(1 + 2 + 4) // the number of messages is not trusted, their bytes are
	size := c.number(4)
	if c.bad {
		return nil, errHDF5
	}
	return h.messages(address+16, size, 1, false)
}

func (h *hdf5File) object2(address uint64, c hdf5Cursor) ([]hdf5Message, error) {
	c.take(4)
	version, flags := c.number(1), c.number(1)
	if version != 2 {
		return nil, fmt.Errorf("an object header of version %d %w", version, errUnread)
	}
	prefix := uint64(6)
	if flags&0x20 != 0 {
		prefix += 16
	}
	if flags&0x10 != 0 {
		prefix += 4
	}
	width := 1 << (flags & 3)
	c, err := h.read(address+prefix, uint64(width))
	if err != nil {
		return nil, err
	}
	return h.messages(address+prefix+uint64(width), c.number(width), 2, flags&4 != 0)
}

// messages reads blocks of messages, the first and those that it names.
func (h *hdf5File) messages(address, size uint64, version int, ordered bool) (all []hdf5Message, err error) {
	type block struct{ address, size uint64 }
	blocks := []block{{address, size}}
	total := uint64(0)
	for i := 0; i < len(blocks); i++ {
		if total += blocks[i].size; total > maxMessages || blocks[i].size > maxMessages || len(blocks) > 10_000 {
			return all, errBudget
		}
		c, err := h.read(blocks[i].address, blocks[i].size)
		if err != nil {
			return all, err
		}
		if version == 2 && i > 0 {
			if !c.is("OCHK") || len(c.p) < 4 {
				return all, fmt.Errorf("a block of messages: %w", errHDF5)
			}
			c.p = c.p[:len(c.p)-4] // its checksum
		}
		for {
			var m hdf5Message
			var n, flags uint64
			if version == 1 {
				if len(c.p) < 8 {
					break
				}
				m.kind, n, flags = uint16(c.number(2)), c.number(2), c.number(1)
				c.take(3)
			} else {
				if len(c.p) < 4 || ordered && len(c.p) < 6 {
					break // a gap
				}
				m.kind, n, flags = uint16(c.number(1)), c.number(2), c.number(1)
				if ordered {
					c.take(2)
				}
			}
			m.shared = flags&2 != 0
			m.hdf5Cursor = hdf5Cursor{h: h, at: c.at}
			m.p = c.take(n)
			if c.bad {
				return all, fmt.Errorf("a message: %w", errHDF5)
			}
			if m.kind == 0x10 {
				blocks = append(blocks, block{m.address(), m.size()})
				if m.bad {
					return all, fmt.Errorf("a message: %w", errHDF5)
				}
				continue
			}
			if len(all) == maxInHeader {
				return all, errBudget
			}
			all = append(all, m)
		}
	}
	return all, nil
}

// walk reads all objects, those near the root first.
func (h *hdf5File) walk(begin int64) {
	root, err := h.superblock(begin)
	if err != nil {
		h.unread(begin, "the superblock", err)
		return
	}
	h.push(root, "/")
	for i := 0; i < len(h.queue) && h.t.ctx.Err() == nil; i++ {
		o := h.queue[i]
		off := h.base + int64(min(o.address, 1<<62))
		messages, err := h.object(o.address)
		if err != nil {
			h.unread(off, "an object header", err)
		}
		d := hdf5Dataset{}
		for _, m := range messages {
			if err := h.message(o, m, &d); err != nil {
				h.unread(m.at, fmt.Sprintf("a message of type %d", m.kind), err)
			}
			if h.left < 0 {
				return
			}
		}
		h.dataset(o, &d)
		h.queue[i].path = ""
	}
}

// message reads what one message says.
func (h *hdf5File) message(o hdf5Object, m hdf5Message, d *hdf5Dataset) error {
	switch m.kind {
	case 0x0: // nothing
	case 0x1:
		var err error
		if d.elements, d.known, err = m.dataspace(); err != nil {
			return err
		}
	case 0x2:
		return h.denseLinks(o, m.hdf5Cursor)
	case 0x3:
		if m.shared {
			return nil // a type that has a name; of its own object
		}
		m.take(4)
		d.width = m.number(4)
	case 0x6:
		return h.link(o, m.hdf5Cursor)
	case 0x7:
		return h.externalStorage(m.hdf5Cursor)
	case 0x8:
		return h.layout(m.hdf5Cursor, d)
	case 0xc:
		if m.shared {
			return fmt.Errorf("a shared attribute %w", errUnread)
		}
		return h.attribute(o, m.hdf5Cursor)
	case 0x11:
		tree, heap := m.address(), m.address()
		if m.bad {
			return errHDF5
		}
		return h.symbolTable(o, tree, heap)
	case 0x14:
		return fmt.Errorf("a file of a family: %w", errUnread)
	case 0x15:
		return h.denseAttributes(o, m.hdf5Cursor)
	case 0xf: // where shared messages lie; whoever refers to them is told of
	case 0x4, 0x5, 0x9, 0xa, 0xb, 0xd, 0xe, 0x12, 0x13, 0x16, 0x17, 0x18:
	default:
		return errUnread
	}
	if m.bad {
		return errHDF5
	}
	return nil
}

// link reads a link in a header or a heap (IV.A.2.g).
func (h *hdf5File) link(o hdf5Object, c hdf5Cursor) error {
	begin := c.at
	if v := c.number(1); v != 1 {
		return fmt.Errorf("a link of version %d %w", v, errUnread)
	}
	flags, kind := c.number(1), uint64(0)
	if flags&8 != 0 {
		kind = c.number(1)
	}
	if flags&4 != 0 {
		c.take(8)
	}
	if flags&0x10 != 0 {
		c.take(1)
	}
	name := string(c.take(c.number(1 << (flags & 3))))
	switch kind {
	case 0:
		h.push(c.address(), o.path+clip(name, 100)+"/")
	case 1: // soft: to what is met anyway, or is not there
		c.take(c.number(2))
	case 64:
		value := hdf5Cursor{p: c.take(c.number(2))}
		value.take(1)
		h.elsewhere(begin, value.text(), "a link to an object in the file")
		c.bad = c.bad || value.bad
	default:
		return fmt.Errorf("a link of type %d %w", kind, errUnread)
	}
	if c.bad {
		return errHDF5
	}
	return nil
}

// elsewhere tells of a file that HDF5 opens on its own.
func (h *hdf5File) elsewhere(off int64, name, what string) {
	id := "ST368"
	if leaves(name) || strings.HasPrefix(name, "~") {
		id = "ST378"
	}
	shown := clip(name, 80)
	h.t.note(id, h.at, off, shown, fmt.Sprintf("%s %+q", what, shown))
}
