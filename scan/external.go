package scan

import (
	"cmp"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// A model of ONNX may keep its numbers in files beside it, which have no mark
// (onnx.proto, external_data; docs/ExternalData.md there). Such a file is known if
// the model has tensors for every byte of it, but for zeros between them.

// An external is the part of another file that a tensor is in.
type external struct {
	file       string // that asks for it
	name       string // relative to that file's directory
	begin, end uint64 // end 0 is that of the file
}

const (
	maxExternal = 200_000
	maxGap      = 1 << 16 // to which onnx and its relatives align
	maxGaps     = 16 << 20
)

// outside remembers where the numbers of a tensor are.
func (t *trace) outside(at place, e external) {
	if at.depth > 0 || len(t.spent.parts) == maxExternal {
		return
	}
	e.file, e.name = at.file, path.Clean(e.name)
	t.spent.parts = append(t.spent.parts, e)
}

// external compares what models ask for with the files beside them.
func (s *scanner) external(byPath map[string]*File) {
	compare := func(a, b external) int {
		return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.name, b.name), cmp.Compare(a.begin, b.begin), cmp.Compare(a.end, b.end))
	}
	slices.SortFunc(s.outside, compare)
	for parts := s.outside; len(parts) > 0; {
		first := parts[0]
		n := 1
		for n < len(parts) && parts[n].file == first.file && parts[n].name == first.name {
			n++
		}
		if data := s.target(byPath[path.Join(path.Dir(first.file), first.name)], byPath); data != nil {
			s.numbers(parts[:n], byPath[first.file], data)
		}
		parts = parts[n:]
	}
}

// numbers judges one file by the parts of it that a model asks for, in their order.
func (s *scanner) numbers(parts []external, model, data *File) {
	end, gaps := uint64(0), int64(0)
	whole := data.Format == "unknown" && len(data.Findings) == 1 && data.Findings[0].ID == "ST405" && !otherModel(data.Path)
	var r io.ReaderAt
	if whole {
		if f, err := s.fsys.Open(data.Path); err == nil {
			defer f.Close()
			r, _ = f.(io.ReaderAt)
		}
	}
	for _, p := range parts {
		if p.end == 0 {
			p.end = max(uint64(data.Size), p.begin)
		}
		if p.end > uint64(data.Size) {
			model.add("ST506", -1, p.name, fmt.Sprintf("has tensors in %+q up to byte %d, and that file has %d", clip(p.name, 80), p.end, data.Size))
			return
		}
		if gap := int64(max(p.begin, end) - end); whole && gap > 0 {
			gaps += gap
			whole = gap < maxGap && gaps <= maxGaps && r != nil && zeros(blob{r, int64(end), gap})
		}
		end = max(end, p.end)
	}
	if whole && end == uint64(data.Size) {
		data.Format, data.Findings = "tensor-data", nil
		data.add("ST409", 0, model.Path, fmt.Sprintf("the numbers of a model of ONNX, to the last byte, by %+q", clip(path.Base(model.Path), 80)))
	}
}

// otherModel tells whether a file has the name of a model that other programs load,
// of which some run what is in it: R, TensorRT.
func otherModel(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".data", ".dat", ".bin", ".weights", ".params":
		return false
	}
	return claimsModel(name) || isProgramName(name)
}

// zeros tells whether a part of a file is nothing else.
func zeros(b blob) bool {
	p, err := b.at(0, b.size)
	return err == nil && int64(len(p)) == b.size && allZero(p)
}
