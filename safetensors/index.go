package safetensors

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"unsafe"
)

// index opens the shards that an index names, and compares the two.
//
// The reference for an index is what is in use: {"metadata":{"total_size":N},
// "weight_map":{tensor: file}}, where metadata may be absent or anything.
func (o *opener) index(name, prefix string) error {
	text, err := readIndex(o.fsys, name)
	if err != nil {
		return err
	}
	// A byte order mark, which some editors leave, is no part of the text.
	text, marked := bytes.CutPrefix(text, []byte(byteOrderMark))
	base := int64(0)
	if marked {
		base = int64(len(byteOrderMark))
	}
	failed := false
	report := func(e *FormatError) bool {
		e.File, e.Offset = name, e.Offset+base
		failed = failed || !e.isNote()
		o.report(e)
		return !o.stopped
	}
	open := map[string]*File{} // by what the index calls the shards
	x := indexParser{parser: parser{scanner: scanner{text: text}}}
	x.report = func(e *FormatError) bool {
		e.Offset -= prefixLen // which a header has before it, and an index has not
		return report(e)
	}
	x.parse(func(key, file token) {
		shard := x.view(file)
		if _, ok := open[shard]; ok {
			return
		}
		if !fs.ValidPath(shard) || strings.ContainsAny(shard, `\:`) || shard == "." {
			report(&FormatError{Offset: int64(file.pos - 1), Tensor: x.string(key), Err: ErrPath, Detail: quote(shard)})
			return
		}
		open[strings.Clone(shard)] = nil
	})
	if failed || o.stopped {
		return nil
	}

	for _, shard := range slices.Sorted(maps.Keys(open)) {
		full := path.Join(path.Dir(name), shard)
		if _, err := fs.Stat(o.fsys, full); errors.Is(err, fs.ErrNotExist) {
			o.report(&FormatError{File: full, Offset: -1, Err: ErrShard, Detail: "named by " + path.Base(name)})
		} else if err != nil {
			return err
		} else if open[shard], err = o.file(full, prefix); err != nil {
			return err
		}
		if o.stopped {
			return nil
		}
	}
	o.compare(name, &x, open)
	if x.total.pos > 0 && !o.stopped {
		x.checkTotal(open, report)
	}
	return nil
}

// compare reports where an index and the shards it opened disagree.
func (o *opener) compare(name string, x *indexParser, open map[string]*File) {
	var missing [][2]string // tensors, and where they should be
	for _, pos := range x.weights.slots {
		if pos == 0 {
			continue
		}
		tensor, shard := x.weight(pos)
		if f := open[shard]; f != nil && f.h.find(tensor) == nil {
			missing = append(missing, [2]string{tensor, shard})
		}
	}
	slices.SortFunc(missing, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	for _, m := range missing {
		e := &FormatError{File: name, Offset: -1, Tensor: strings.Clone(m[0]), Err: ErrIndex, Detail: m[1] + " does not hold it"}
		if o.report(e); o.stopped {
			return
		}
	}
	for _, shard := range slices.Sorted(maps.Keys(open)) {
		f := open[shard]
		if f == nil {
			continue // reported
		}
		for i := range f.h.entries {
			tensor := f.h.name(&f.h.entries[i])
			if mapped, ok := x.shard(tensor); !ok {
				o.report(&FormatError{File: f.name, Offset: -1, Tensor: tensor, Err: NoteIndex, Detail: "the index does not list the tensor"})
			} else if mapped != shard {
				o.report(&FormatError{File: f.name, Offset: -1, Tensor: tensor, Err: ErrIndex, Detail: "the index has the tensor in " + mapped})
			}
			if o.stopped {
				return
			}
		}
	}
}

// checkTotal notes a total_size that is not the size of the tensors. Old
// writers spell it as a float or a string.
func (x *indexParser) checkTotal(open map[string]*File, report func(*FormatError) bool) {
	var total uint64
	for _, f := range open {
		if f == nil {
			return // reported; nobody knows the size
		}
		for i := range f.h.entries {
			total += f.h.entries[i].end - f.h.entries[i].begin
		}
	}
	text := string(x.text[x.total.pos : x.total.pos+x.total.len])
	if n, err := strconv.ParseFloat(text, 64); err != nil || n != float64(total) {
		report(&FormatError{Offset: int64(x.total.pos), Err: NoteIndex,
			Detail: fmt.Sprintf("total_size is %s, the tensors take %d bytes", quote(text), total)})
	}
}

const byteOrderMark = "\xef\xbb\xbf"

// readIndex returns the text of an index.
func readIndex(fsys fs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var text bytes.Buffer
	if info, err := f.Stat(); err == nil {
		text.Grow(int(min(max(0, info.Size()), maxHeaderLen)) + bytes.MinRead) // so that it does not grow by doubling
	}
	if _, err := text.ReadFrom(io.LimitReader(f, maxHeaderLen+1)); err != nil {
		return nil, err
	}
	if text.Len() > maxHeaderLen {
		return nil, fmt.Errorf("%s: %w", name, ErrHeaderTooLarge)
	}
	return text.Bytes(), nil
}

// An indexParser reads an index with the scanner of headers.
//
// It keeps where names stand in the text, which is what a map of them would have
// to hold: there may be hundreds of thousands.
type indexParser struct {
	parser
	total   token  // the value of total_size, without quotes
	weights keySet // the keys of weight_map
}

// weight returns the tensor whose name stands at pos, behind its quote, and its
// shard. Both share the memory of the text if they can.
func (x *indexParser) weight(pos uint32) (tensor, shard string) {
	key, v := x.member(int(pos) - 1)
	file, _ := x.str(v)
	return x.view(key), x.view(file)
}

// shard returns the shard of a tensor.
func (x *indexParser) shard(tensor string) (string, bool) {
	if x.weights.n == 0 {
		return "", false
	}
	i, ok := x.weights.findBytes(unsafe.Slice(unsafe.StringData(tensor), len(tensor)))
	if !ok {
		return "", false
	}
	_, shard := x.weight(x.weights.slots[i])
	return shard, true
}

func (x *indexParser) parse(yield func(tensor, file token)) {
	i := x.space(0)
	if x.at(i) != '{' {
		x.unexpected(i, "'{'")
	} else if end := x.value(i, 0); end >= 0 {
		if rest := x.space(end); rest < len(x.text) {
			x.fail(rest, ErrSyntax, "found "+quoteByte(x.text[rest])+" behind the object")
		}
	}
	if e := x.err; e != nil {
		x.problem(int(e.Offset)-prefixLen, token{}, e.Err, e.Detail)
		return
	}
	if x.nonASCII && !x.utf8() {
		return
	}
	weights := 0
	x.members(i, func(key token, v int) {
		switch {
		case x.is(key, "weight_map"):
			if weights != 0 {
				x.problem(key.pos-1, token{}, ErrDuplicate, "weight_map")
			}
			weights = v
		case x.is(key, "metadata") && x.text[v] == '{':
			x.members(v, func(key token, v int) {
				if end := x.value(v, 2); x.is(key, "total_size") {
					x.total = token{pos: v, len: end - v}
					if x.text[v] == '"' {
						x.total, _ = x.str(v)
					}
				}
			})
		}
	})
	switch {
	case x.stopped:
	case weights == 0:
		x.problem(i, token{}, ErrType, "weight_map is missing")
	case x.text[weights] != '{':
		x.problem(weights, token{}, ErrType, "weight_map is "+jsonKind(x.text[weights])+", not an object of strings")
	default:
		x.weights = keySet{scanner: &x.scanner, seed: maphash.MakeSeed()}
		x.strings(weights, func(key, value token) bool {
			if x.weights.add(key) {
				yield(key, value)
			} else {
				x.problem(key.pos-1, key, ErrDuplicate, "weight_map")
			}
			return !x.stopped
		})
	}
}

// members calls yield for each member of the object at offset i of a text
// that the grammar has accepted.
func (s *scanner) members(i int, yield func(key token, value int)) {
	for i = s.space(i + 1); s.text[i] != '}'; {
		key, v := s.member(i)
		yield(key, v)
		if i = s.space(s.value(v, 1)); s.text[i] == ',' {
			i = s.space(i + 1)
		}
	}
}
