package scan

import (
	"archive/tar"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/tensmith/tensmith/pickle"
)

// tar reads the members of a tar archive: torch's before 0.1.10, NeMo's, or
// any other.
func (t *trace) tar(b blob, at place) string {
	section := io.NewSectionReader(b, 0, b.size)
	archive := tar.NewReader(section)
	format := "tar"
	seed, seen := maphash.MakeSeed(), map[uint64]bool{} // sums of the names, which may be a megabyte each
	links := t.linksOf(at)
	defer links.finish()
	end := int64(0)
	for {
		h, err := archive.Next()
		if err == io.EOF {
			break
		}
		here, _ := section.Seek(0, io.SeekCurrent)
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			t.note("ST402", at, end, "", "the archive breaks off: "+err.Error())
			t.junk(b.rest(end), at, end)
			return format
		}
		if t.spent.members--; t.spent.members < 0 || !t.work(workEntry+workName*int64(max(len(h.Name)-maxMemberName, 0))) || t.ctx.Err() != nil {
			t.note("ST404", at, here, "", "more members than a scan reads")
			return format
		}
		in := at.in(h.Name)
		if leaves(h.Name) && h.Name != "./" {
			t.note("ST412", in, here, "", fmt.Sprintf("a name that leaves the archive: %+q", clip(h.Name, 80)))
		} else if strings.ContainsFunc(h.Name, unprintable) {
			t.note("ST418", in, here, "", fmt.Sprintf("control characters in a name: %+q", clip(h.Name, 80)))
		}
		if isSparse(h) {
			t.note("ST403", in, here, "", "a sparse member, which is not read here")
			data, _ := b.sub(here, min(h.Size, b.size-here))
			t.sweep(data, 0, in) // what is between its holes, in whatever order
			continue
		}
		switch h.Typeflag {
		case tar.TypeLink, tar.TypeSymlink:
			links.link(in, here, h.Name, h.Linkname, h.Typeflag == tar.TypeLink)
			continue
		case tar.TypeReg:
		case tar.TypeDir:
			links.file(in, here, h.Name)
			continue
		case tar.TypeXGlobalHeader:
			if key := resizes(h); key != "" {
				t.note("ST419", in, here, key, fmt.Sprintf("a header for all members that has their %s: of them, Python reads other bytes than stand there", key))
				t.junk(b.rest(here), at, here) // the headers of members, too
			}
			continue
		case tar.TypeChar, tar.TypeBlock:
			t.node(in, here, 0x2000)
			continue
		case tar.TypeFifo:
			t.node(in, here, 0x1000)
			continue
		default:
			t.note("ST419", in, here, string(h.Typeflag), "neither a file nor a folder")
			continue
		}
		name := path.Clean(h.Name)
		links.file(in, here, h.Name)
		sum := maphash.String(seed, name)
		if seen[sum] {
			t.note("ST410", in, here, "", "a second member of that name")
		}
		seen[sum] = true
		data, ok := b.sub(here, h.Size)
		if !ok {
			t.note("ST402", in, here, "", fmt.Sprintf("%d bytes, %d are left", h.Size, b.size-here))
			data = b.rest(here)
		}
		end = here + data.size
		switch name {
		case "storages", "tensors":
			// Pickles and numbers in turn, which the rest of the archive gives
			// their sizes.
			format = "torch-tar"
			in.loose = true
			t.tarPickles(data, in)
			continue
		}
		t.join(t.within(data, in))
	}
	if format == "torch-tar" && t.validates(at) {
		t.validate(b, at)
	}
	if zeros, err := b.at(end, 1<<16); err == nil {
		if padding := (end + 511) &^ 511; padding+1024 < b.size && !allZero(zeros) {
			t.note("ST320", at, end, "", fmt.Sprintf("%d bytes behind the last member", b.size-end))
			t.junk(b.rest(end), at, end)
		}
	}
	return format
}

// isSparse tells whether the bytes of a member are not those that stand there: holes
// between them are filled with zeros, so that a string of a pickle ends elsewhere.
// Of PAX, Python goes by each of the keys alone.
func isSparse(h *tar.Header) bool {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return h.Typeflag == tar.TypeGNUSparse
}

// resizes returns the key by which a header for all members changes how many bytes
// Python reads of each, or "".
func resizes(h *tar.Header) string {
	for _, key := range slices.Sorted(maps.Keys(h.PAXRecords)) {
		if key == "size" || strings.HasPrefix(key, "GNU.sparse.") {
			return key
		}
	}
	return ""
}

// within scans a part that has a format of its own.
func (t *trace) within(b blob, at place) *trace {
	sub := t.apart()
	sub.content(b, at)
	return sub
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// tarPickles reads the pickles among the numbers of "storages" and "tensors"
// of torch 0.1 (torch/serialization.py, legacy_load).
func (t *trace) tarPickles(b blob, at place) {
	var r reading
	at.loose = false
	count, off, err := t.pickle(b, 0, at, &r)
	if err != nil {
		return
	}
	n, ok := count.(int64)
	if !ok || n < 0 {
		// What counts as one for Python, True for example, is followed by entries.
		t.note("ST402", at, 0, "", "does not begin with a number of entries")
		n = maxMembers
	}
	for range n {
		v, next, err := t.pickle(b, off, at, &r)
		if err != nil {
			return
		}
		off = next
		items := pickle.Parts(v)
		if len(items) != 3 {
			t.note("ST402", at, off, "", "an entry that is no tuple of three")
			return
		}
		var head [16]byte
		if _, err := b.ReadAt(head[:8], off); err != nil && err != io.EOF {
			t.note("ST402", at, off, "", "the entry is cut off")
			return
		}
		if at.name == "tensors" {
			ndim := int64(int32(le.Uint32(head[:])))
			if ndim < 0 || ndim > 64 {
				t.note("ST402", at, off, "", fmt.Sprintf("a tensor of %d dimensions", ndim))
				return
			}
			off += 8 + 16*ndim + 8
			continue
		}
		var keys keySet
		if class := symbol(items[2]); class != nil {
			keys.add(class, "key", int64(le.Uint64(head[:])))
		}
		size := keys.sizes["key"]
		if keys.odd != "" || size > b.size-off-8 || size < 0 {
			t.note("ST402", at, off, "", "a storage whose size cannot be")
			return
		}
		t.storage(b, off+8, size, at)
		off += 8 + size
	}
	if at.name == "storages" {
		if _, next, err := t.pickle(b, off, at, &r); err == nil {
			off = next
		}
	}
	if off < b.size {
		t.note("ST320", at, off, "", fmt.Sprintf("%d bytes behind the last entry", b.size-off))
		t.junk(b.rest(off), at, off)
	}
}
