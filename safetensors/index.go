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
	weights := map[string]string{}
	x := indexParser{parser: parser{scanner: scanner{text: text}}}
	x.report = func(e *FormatError) bool {
		e.Offset -= prefixLen // which a header has before it, and an index has not
		return report(e)
	}
	x.parse(func(key, file token) {
		tensor, shard := x.string(key), x.string(file)
		if !fs.ValidPath(shard) || strings.ContainsAny(shard, `\:`) || shard == "." {
			report(&FormatError{Offset: int64(file.pos - 1), Tensor: tensor, Err: ErrPath, Detail: quote(shard)})
			return
		}
		weights[tensor] = shard
	})
	if failed || o.stopped {
		return nil
	}

	var shards []string
	for _, shard := range weights {
		shards = append(shards, shard)
	}
	slices.Sort(shards)
	open := map[string]*File{}
	for _, shard := range slices.Compact(shards) {
		full := path.Join(path.Dir(name), shard)
		if _, err := fs.Stat(o.fsys, full); errors.Is(err, fs.ErrNotExist) {
			open[shard] = nil
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
	o.compare(name, weights, open)
	if x.total.pos > 0 && !o.stopped {
		x.checkTotal(open, report)
	}
	return nil
}

// compare reports where an index and the shards it opened disagree.
func (o *opener) compare(name string, weights map[string]string, open map[string]*File) {
	missing := []string{}
	for tensor, shard := range weights {
		if f := open[shard]; f != nil && f.h.find(tensor) == nil {
			missing = append(missing, tensor)
		}
	}
	slices.Sort(missing)
	for _, tensor := range missing {
		detail := weights[tensor] + " does not hold it"
		if o.report(&FormatError{File: name, Offset: -1, Tensor: tensor, Err: ErrIndex, Detail: detail}); o.stopped {
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
			if mapped, ok := weights[tensor]; !ok {
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
	text, err := io.ReadAll(io.LimitReader(f, maxHeaderLen+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxHeaderLen {
		return nil, fmt.Errorf("%s: %w", name, ErrHeaderTooLarge)
	}
	return text, nil
}

// An indexParser reads an index with the scanner of headers.
type indexParser struct {
	parser
	total token // the value of total_size, without quotes
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
		set := keySet{scanner: &x.scanner, seed: maphash.MakeSeed()}
		x.strings(weights, func(key, value token) bool {
			if set.add(key) {
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
