package scan

import (
	"fmt"
	"io"
	"math/big"
	"math/bits"
	"strconv"
	"strings"

	"github.com/tensmith/tensmith/pickle"
)

// A keySet is the storages that a pickle asks for, and their sizes in bytes.
type keySet struct {
	sizes map[string]int64
	odd   string // a key that no size is known of, or two
	over  bool   // there were more than are kept
	bytes int    // of all keys
}

// What a set of keys holds: those of torch are numbers.
const (
	maxKeys     = 1 << 19
	maxKeyBytes = 8 << 20
)

func (s *keySet) add(class *pickle.Symbol, key, numel pickle.Value) {
	name, ok := keyText(key)
	if !ok {
		return
	}
	if s.sizes == nil {
		s.sizes = map[string]int64{}
	}
	if _, there := s.sizes[name]; !there {
		if len(s.sizes) == maxKeys || len(name) > maxKeyBytes-s.bytes {
			s.over = true
			return
		}
		s.bytes += len(name)
	}
	n, isInt := numel.(int64)
	width := storageWidth(class.Name)
	hi, size := bits.Mul64(uint64(max(n, 0)), uint64(width))
	if !isInt || n < 0 || width == 0 || hi != 0 || size >= 1<<62 {
		s.odd = name
		s.sizes[name] = -1
		return
	}
	if old, there := s.sizes[name]; there && old != int64(size) {
		s.odd = name
	}
	s.sizes[name] = max(int64(size), s.sizes[name])
}

func keyText(v pickle.Value) (string, bool) {
	if n, ok := v.(int64); ok {
		return strconv.FormatInt(n, 10), true
	}
	return pickle.Text(v)
}

// storageWidths are bytes of an element, by class without "Storage".
var storageWidths = map[string]int{
	"Double": 8, "Long": 8, "ComplexFloat": 8, "ComplexDouble": 16, "Float": 4, "Int": 4, "QInt32": 4, "ComplexHalf": 4,
	"Half": 2, "BFloat16": 2, "Short": 2, "Byte": 1, "Char": 1, "Bool": 1, "QInt8": 1, "QUInt8": 1, "QUInt4x2": 1, "QUInt2x4": 1,
	"Untyped": 1, "_Untyped": 1, "Float8_e4m3fn": 1, "Float8_e5m2": 1, "Float8_e4m3fnuz": 1, "Float8_e5m2fnuz": 1,
}

func storageWidth(class string) int { return storageWidths[strings.TrimSuffix(class, "Storage")] }

// isMagic tells whether v is the number that begins a file of torch.save
// before 1.6 (torch/serialization.py, MAGIC_NUMBER).
func isMagic(v pickle.Value) bool {
	n, ok := v.(*big.Int)
	return ok && n.Text(16) == "1950a86a20f9469cfc6c"
}

// A file of torch.save before 1.6 has five pickles: the magic number, the protocol, what
// the system is, the value, and the keys of the storages. The first three are the same in
// all files of torch 0.4 and later on machines that are little-endian.
const (
	legacyPickles = 5
	legacySystem  = 3
	legacyBegin   = "\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19." + "\x80\x02M\xe9\x03." +
		"\x80\x02}q\x00(X\x10\x00\x00\x00protocol_versionq\x01M\xe9\x03X\r\x00\x00\x00little_endianq\x02\x88X\n\x00\x00\x00type_sizesq\x03" +
		"}q\x04(X\x05\x00\x00\x00shortq\x05K\x02X\x03\x00\x00\x00intq\x06K\x04X\x04\x00\x00\x00longq\x07K\x04uu."
)

// isLegacy knows a file by these three, which are plain data and need not be read again
// and again: a pickle may hold tens of thousands of such files.
func isLegacy(b blob) bool {
	begin, err := b.at(0, int64(len(legacyBegin)))
	return err == nil && string(begin) == legacyBegin
}

// legacy reads what follows the first pickles: the others, and the storages
// that the last of them lists, each headed by its number of elements.
func (t *trace) legacy(b blob, off int64, at place, r *reading) {
	var keys *pickle.List
	for i := r.count; i < legacyPickles; i++ {
		r.whole = i == legacyPickles-1 // the keys of all storages
		v, next, err := t.pickle(b, off, at, r)
		if err != nil {
			if err == io.EOF {
				t.note("ST402", at, off, "", "the file ends before all its pickles")
			}
			r.err = err
			return
		}
		if version, ok := v.(int64); i == 1 && (!ok || version != 1001) {
			t.note("ST333", at, off, "", "the protocol of torch is not 1001")
		}
		r.count++
		r.end, off = next, next
		keys, _ = v.(*pickle.List)
	}
	if keys == nil {
		t.note("ST402", at, off, "", "the keys of the storages are no list")
		return
	}
	for _, item := range keys.Items {
		key, _ := keyText(item)
		size, ok := r.keys.sizes[key]
		if !ok || size < 0 {
			t.note("ST402", at, off, key, fmt.Sprintf("the size of the storage %q is not known, so what follows cannot be read", clip(key, 60)))
			return
		}
		count, err := b.at(off, 8)
		if err != nil {
			t.unreadable(at, off, err)
			return
		}
		if len(count) < 8 || size > b.size-off-8 {
			t.note("ST402", at, off, key, fmt.Sprintf("storage %q has %d bytes, %d are left", clip(key, 60), size, max(b.size-off-8, 0)))
			return
		}
		// Files whose storages are untyped count bytes here, others elements.
		if n := le.Uint64(count); n > uint64(size) || n != 0 && uint64(size)%n != 0 || n == 0 && size != 0 {
			t.note("ST424", at, off, key, fmt.Sprintf("storage %q has %d elements, and %d bytes are announced", clip(key, 60), int64(n), size))
			return
		}
		t.storage(b, off+8, size, at)
		off += 8 + size
		r.end = off
	}
	if at.depth == 0 && off <= maxValidated && t.validates(at) {
		t.validate(b, at)
	}
	if off < b.size {
		t.note("ST320", at, off, "", fmt.Sprintf("%d bytes behind the last storage", b.size-off))
		t.junk(b.rest(off), at, off)
	}
}

// storage looks at the beginning of numbers, which may be something else.
func (t *trace) storage(b blob, off, size int64, at place) {
	data, ok := b.sub(off, size)
	head, err := data.at(0, 64)
	if !ok || err != nil || !plausible(head) {
		return
	}
	// Of HDF5, any number of datasets can share what lies there.
	if t.spent.nested -= data.size; t.spent.nested < 0 {
		t.note("ST404", at, off, "storage", "more numbers that look like files than a scan reads")
		return
	}
	loose := at.in(fmt.Sprintf("storage@%d", off))
	loose.loose = true
	apart := t.apart()
	if format := apart.content(data, loose); format != "" {
		t.join(apart)
		t.note("ST334", at, off, format, "the numbers of a tensor are a file: "+format)
	}
}
