package scan

import (
	"bytes"
	"fmt"
	"io"
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// maxValues is how much of the texts of all attributes is looked into, besides
// those that Keras has a name for.
const maxValues = 16 << 20

// attribute reads an attribute (IV.A.2.m): its name, its type, and where its
// texts are.
func (h *hdf5File) attribute(o hdf5Object, c hdf5Cursor) error {
	version, flags := c.number(1), c.number(1)
	if version < 1 || version > 3 {
		return fmt.Errorf("an attribute of version %d %w", version, errUnread)
	}
	nameLen, typeLen, spaceLen := c.number(2), c.number(2), c.number(2)
	if version == 3 {
		c.take(1)
	}
	padded := func(n uint64) uint64 {
		if version == 1 {
			return (n + 7) &^ 7
		}
		return n
	}
	text, _, _ := bytes.Cut(c.take(padded(nameLen)), []byte{0}) // as the library cuts it
	name := string(text)
	kind := hdf5Message{hdf5Cursor: hdf5Cursor{h: h, p: c.take(padded(typeLen))}}
	space := hdf5Message{hdf5Cursor: hdf5Cursor{h: h, p: c.take(padded(spaceLen))}}
	if c.bad {
		return errHDF5
	}
	if strings.ContainsFunc(name, unprintable) {
		h.t.note("ST606", h.at, c.at, clip(name, 80), fmt.Sprintf("an attribute called %+q", clip(name, 80)))
	}
	if version > 1 && flags&2 != 0 {
		return fmt.Errorf("an attribute with a shared shape %w", errUnread)
	}
	if version > 1 && flags&1 != 0 { // a type that has a name
		shared := hdf5Cursor{h: h, p: kind.p}
		if v := shared.number(1); v < 1 || v > 3 {
			return fmt.Errorf("a shared type of version %d %w", v, errUnread)
		} else if how := shared.number(1); v == 3 && how == 1 {
			return fmt.Errorf("a type in the heap of shared messages %w", errUnread)
		} else if v == 1 {
			shared.take(6)
		}
		messages, err := h.object(shared.address())
		if err != nil {
			return err
		}
		i := slices.IndexFunc(messages, func(m hdf5Message) bool { return m.kind == 3 && !m.shared })
		if i < 0 {
			return fmt.Errorf("a shared type: %w", errHDF5)
		}
		kind = messages[i]
	}
	elements, ok, err := space.dataspace()
	if err != nil || !ok {
		return err // without one it has no value
	}
	return h.value(o, name, kind.hdf5Cursor, elements, c)
}

// value looks into the value of an attribute, of which data begins with the
// elements.
func (h *hdf5File) value(o hdf5Object, name string, kind hdf5Cursor, elements uint64, data hdf5Cursor) error {
	class := kind.number(1)
	kind.take(3)
	width := kind.number(4)
	if hi, n := bits.Mul64(elements, width); kind.bad || hi != 0 || n > uint64(len(data.p)) {
		return fmt.Errorf("an attribute that is cut off: %w", errHDF5)
	}
	switch class & 15 {
	case 9: // of lengths that vary, in a global heap
		if width < uint64(8+h.offset) {
			return errHDF5
		}
		for range elements {
			one := hdf5Cursor{h: h, p: data.take(width)}
			n, heap, index := one.number(4), one.address(), one.number(4)
			if n == 0 || heap == 1<<64-1 || heap == 0 {
				continue
			}
			off, size, err := h.globalObject(heap, index)
			if err != nil {
				return err
			}
			h.text(o, name, off, size)
		}
		if inner := kind.p; len(inner) > 0 && inner[0]&15 == 9 {
			return fmt.Errorf("an attribute of lists of lists %w", errUnread)
		}
	default:
		// Texts, bytes, and what may hold some.
		h.text(o, name, data.at, elements*width)
		if class&15 == 6 || class&15 == 10 {
			if h.hasLists(kind.p) {
				return fmt.Errorf("an attribute with lists in it %w", errUnread)
			}
		}
	}
	return nil
}

// hasLists tells whether a type within another may be a list, whose elements lie
// elsewhere.
func (h *hdf5File) hasLists(kind []byte) bool {
	for i := 0; i+8 <= len(kind); i++ {
		if kind[i]&15 == 9 && kind[i]>>4 >= 1 && kind[i]>>4 <= 5 && le.Uint32(kind[i+4:]) == uint32(8+h.offset) {
			return true
		}
	}
	return false
}

// text looks into the bytes of an attribute: settings of Keras, pickles as
// PyTables loads them, programs.
func (h *hdf5File) text(o hdf5Object, name string, off int64, size uint64) {
	data, ok := h.b.sub(off, int64(size))
	if !ok || size == 0 {
		return
	}
	if h.met != nil {
		h.met(o.path, name, off, int64(size))
	}
	in := h.at.in(clip(o.path+name, 200))
	if digits := strings.TrimPrefix(name, "model_config"); digits != name && strings.Trim(digits, "0123456789") == "" {
		if h.texts -= int64(size); h.texts < 0 || len(h.config[o.path]) == maxDense {
			h.unread(off, "descriptions of models", errBudget)
			return
		}
		h.config[o.path] = append(h.config[o.path], hdf5Text{name, off, int64(size)})
		return // it is read in one piece with others
	}
	head, err := data.at(0, 4096)
	if err != nil {
		h.t.unreadable(h.at, off, err)
		return
	}
	if text := string(bytes.TrimRight(head, "\x00")); name == "PSEUDOATOM" && text == "object" {
		h.t.note("ST359", h.at, off, clip(o.path, 80), "an array of objects of PyTables, which are pickles")
	}
	if h.values -= max(data.size, 512); h.values < 0 {
		h.unread(off, "attributes", errBudget)
		return
	}
	switch trimmed := bytes.TrimLeft(head, " \t\r\n"); {
	case bytes.HasPrefix(trimmed, []byte("{")), bytes.HasPrefix(trimmed, []byte("[")):
		h.t.jsonText(io.NewSectionReader(data, 0, data.size), in, 0)
	case plausible(head):
		in.loose = true
		apart := h.t.apart()
		if apart.content(data, in) != "" {
			h.t.join(apart)
		}
	default:
		h.t.secret(h.at, off, name, string(bytes.TrimRight(head[:min(len(head), 1024)], "\x00")))
	}
}

// models reads the descriptions of Keras, which may be in several attributes,
// and tells whether there was one and whether all were understood.
func (h *hdf5File) models() (found, understood bool) {
	understood = true
	var paths []string
	for path := range h.config {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	for _, path := range paths {
		pieces := h.config[path]
		number := func(t hdf5Text) int {
			n, err := strconv.Atoi(strings.TrimPrefix(t.name, "model_config"))
			if err != nil {
				return -1
			}
			return n
		}
		slices.SortStableFunc(pieces, func(a, b hdf5Text) int { return number(a) - number(b) })
		// One without a number is whole, and there may be several, of which the
		// reader takes any.
		for len(pieces) > 0 {
			whole := 1
			if number(pieces[0]) >= 0 {
				whole = len(pieces)
			}
			var readers []io.Reader
			for _, p := range pieces[:whole] {
				data, _ := h.b.sub(p.offset, p.size)
				// What is padded ends with zeros.
				readers = append(readers, &untilZero{r: io.NewSectionReader(data, 0, data.size)})
			}
			found = true
			if !h.t.jsonText(io.MultiReader(readers...), h.at, pieces[0].offset) {
				understood = false
			}
			pieces = pieces[whole:]
		}
	}
	return found, understood
}

// An untilZero reads up to a NUL.
type untilZero struct {
	r    io.Reader
	over bool
}

func (u *untilZero) Read(p []byte) (int, error) {
	if u.over {
		return 0, io.EOF
	}
	n, err := u.r.Read(p)
	if i := bytes.IndexByte(p[:n], 0); i >= 0 {
		u.over = true
		return i, io.EOF
	}
	return n, err
}
