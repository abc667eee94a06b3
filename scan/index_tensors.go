package scan

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"io"
	"path"
	"slices"

	"github.com/tensmith/tensmith/safetensors"
)

const (
	// maxIndexed is how many bytes of headers are read once more to compare them
	// with the indexes of a place. Those of the largest models that are published
	// have some 10 MB.
	maxIndexed = 64 << 20
	// maxListed is how many tensors an index may list to be compared.
	maxListed = 500_000
)

// A listed is a tensor of an index. Of names no more is kept than tells them
// apart: there may be a million, of any length.
type listed struct {
	tensor, shard uint64 // hashes of the names
	met           bool
}

// A listing is what an index lists.
type listing struct {
	seed    maphash.Seed
	tensors []listed // one more than are compared, if there are more
}

func (l *listing) of(tensor, shard string) listed {
	return listed{tensor: maphash.String(l.seed, tensor), shard: maphash.String(l.seed, shard)}
}

func (l *listing) add(tensor, shard string) {
	if len(l.tensors) <= maxListed {
		l.tensors = append(l.tensors, l.of(tensor, shard))
	}
}

// tensors compares the tensors that an index lists with those in the files that
// it names, as [Check] does: a loader finds others than whoever reads the index.
// The text of the index is at another place than the index if that is a link.
func (s *scanner) tensors(f *File, at string, names []string, index *listing, byPath map[string]*File) {
	list := index.tensors
	if len(list) > maxListed {
		f.add("ST404", -1, "tensors", fmt.Sprintf("lists more than %d tensors, which were not compared with its files", maxListed))
		return
	}
	order := func(a, b listed) int { return cmp.Or(cmp.Compare(a.shard, b.shard), cmp.Compare(a.tensor, b.tensor)) }
	slices.SortFunc(list, order)
	read := map[uint64]bool{}
	unlisted, extra := 0, ""
	for _, name := range names {
		shard := s.target(byPath[path.Join(path.Dir(f.Path), name)], byPath)
		if leaves(name) || shard == nil || shard.Format != "safetensors" {
			continue // told where its files are looked for
		}
		if s.compared > maxIndexed {
			f.add("ST404", -1, "headers", "names more headers than a scan compares with indexes")
			return
		}
		sound := s.header(shard, func(tensor string) {
			want := index.of(tensor, name)
			i, found := slices.BinarySearchFunc(list, want, order)
			for ; i < len(list) && order(list[i], want) == 0; i++ { // listed twice
				list[i].met = true
			}
			if !found {
				if unlisted++; extra == "" || tensor < extra {
					extra = tensor
				}
			}
		})
		read[maphash.String(index.seed, name)] = sound
	}
	missing := map[uint64]bool{} // of the list, those that are not in their shard
	for _, l := range list {
		if read[l.shard] && !l.met {
			missing[l.tensor] = true
		}
	}
	if len(missing) > 0 {
		first, in := "", ""
		// The text is read again for the name, which is known by its hash alone.
		_ = s.weightMap(at, func(tensor, shard string) {
			if l := index.of(tensor, shard); missing[l.tensor] && read[l.shard] && (first == "" || tensor < first) {
				first, in = tensor, shard
			}
		})
		f.add("ST031", -1, first, fmt.Sprintf("lists tensors that are not in the files it names: %d, the first is %+q in %+q", len(missing), clip(first, 80), clip(in, 80)))
		f.Findings[len(f.Findings)-1].Severity = Suspicious // what a format forbids was read, and is not trouble
	}
	if unlisted > 0 {
		f.add("ST109", -1, extra, fmt.Sprintf("leaves out tensors of its files: %d, the first is %+q", unlisted, clip(extra, 80)))
	}
}

// header visits the names of the tensors of a file that was scanned, and tells
// whether it is sound. A header that the scan of the file had no room for is not
// read here either.
func (s *scanner) header(f *File, visit func(tensor string)) bool {
	open, err := s.fsys.Open(f.Path)
	if err != nil {
		return false
	}
	defer open.Close()
	info, err := open.Stat()
	r, ok := open.(io.ReaderAt)
	var length [8]byte
	if err != nil || !ok {
		return false
	}
	if n, _ := r.ReadAt(length[:], 0); n < len(length) {
		return false
	}
	size := le.Uint64(length[:])
	if size > maxHeader || slices.ContainsFunc(f.Findings, func(g Finding) bool { return g.ID == "ST404" }) {
		return false
	}
	s.compared += int64(size)
	model, err := safetensors.NewFile(r, info.Size())
	if err != nil {
		return false // told where it was scanned
	}
	for tensor := range model.All() {
		visit(tensor.Name)
	}
	return true
}
