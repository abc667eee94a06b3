package torch

import (
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/tensmith/tensmith/pickle"
)

// npy reads the header of a .npy file, versions 1 to 3 of NumPy's format
// (numpy/lib/format.py): magic, version, length, and a literal of Python's.
func (r *reader) npy(src span, at place) (*tensor, error) {
	head, err := src.head(12)
	if err != nil {
		return nil, at.wrap(err)
	}
	if len(head) < 10 {
		return nil, at.malformed("truncated", "a header of %d bytes", len(head))
	}
	begin, length := int64(10), int64(binary.LittleEndian.Uint16(head[8:]))
	switch head[6] {
	case 1:
	case 2, 3:
		if len(head) < 12 {
			return nil, at.malformed("truncated", "a header of %d bytes", len(head))
		}
		begin, length = 12, int64(binary.LittleEndian.Uint32(head[8:]))
	default:
		return nil, at.fail(ErrUnsupported, "version", "version %d of the format", head[6])
	}
	if length > 1<<20 {
		return nil, at.fail(ErrLimit, "header", "a header of %d bytes", length)
	}
	text, ok := src.sub(begin, length)
	if !ok {
		return nil, at.malformed("truncated", "the header reaches beyond the end")
	}
	literal, err := text.bytes()
	if err != nil {
		return nil, at.wrap(err)
	}
	h, ok := parseHeader(string(literal))
	if !ok {
		return nil, at.malformed("header", "%q", strings.TrimSpace(string(literal[:min(len(literal), 200)])))
	}
	data, _ := src.sub(begin+length, src.size-begin-length)
	if h.structured {
		return &tensor{at: at, shape: h.shape, refuse: "structured"}, nil
	}
	t := arrayTypeOf(h.descr)
	if t.refuse == "object" {
		if _, next, err := r.decode(src, begin+length, at); err != nil {
			r.trace.add(at, "broken pickle", pickle.Suspicious, err.Error())
		} else {
			r.trailing(src, next, at)
		}
	} else if t.elem != nil {
		a, err := array(at, t, h.shape, h.fortran, data)
		if err == nil && a.bytes() < data.size {
			r.trailing(src, begin+length+a.bytes(), at)
		}
		if e, ok := err.(*Error); ok && e.Reason == "bounds" {
			e.Reason = "truncated"
		}
		return a, err
	}
	return &tensor{at: at, shape: h.shape, refuse: t.refuse}, nil
}

// A header is what the literal of a .npy file says.
type header struct {
	descr      string
	structured bool
	fortran    bool
	shape      []int64
}

// parseHeader reads {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
// and nothing else that Python would evaluate.
func parseHeader(s string) (h header, ok bool) {
	p := &literal{s}
	var haveDescr, haveOrder, haveShape bool
	if !p.take('{') {
		return h, false
	}
	for !p.take('}') {
		key, ok := p.text()
		if !ok || !p.take(':') {
			return h, false
		}
		switch key {
		case "descr":
			if h.descr, ok = p.text(); !ok {
				h.structured, ok = true, p.skipList()
			}
			haveDescr = ok
		case "fortran_order":
			h.fortran = p.word("True")
			haveOrder = h.fortran || p.word("False")
			ok = haveOrder
		case "shape":
			h.shape, ok = p.tuple()
			haveShape = ok
		default:
			return h, false
		}
		if !ok {
			return h, false
		}
		if !p.take(',') {
			if !p.take('}') {
				return h, false
			}
			break
		}
	}
	return h, haveDescr && haveOrder && haveShape && strings.TrimSpace(p.rest) == ""
}

// A literal is the text that is still to be read.
type literal struct{ rest string }

func (p *literal) take(c byte) bool {
	p.rest = strings.TrimLeft(p.rest, " \t\r\n")
	if p.rest == "" || p.rest[0] != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

func (p *literal) word(w string) bool {
	p.rest = strings.TrimLeft(p.rest, " \t\r\n")
	rest, ok := strings.CutPrefix(p.rest, w)
	if ok {
		p.rest = rest
	}
	return ok
}

func (p *literal) text() (string, bool) {
	for _, quote := range "'\"" {
		if p.take(byte(quote)) {
			s, rest, ok := strings.Cut(p.rest, string(quote))
			p.rest = rest
			return s, ok && !strings.Contains(s, `\`)
		}
	}
	return "", false
}

func (p *literal) tuple() (list []int64, ok bool) {
	if !p.take('(') {
		return nil, false
	}
	for !p.take(')') {
		p.rest = strings.TrimLeft(p.rest, " \t\r\n")
		n := 0
		for n < len(p.rest) && p.rest[n] >= '0' && p.rest[n] <= '9' {
			n++
		}
		v, err := strconv.ParseInt(p.rest[:n], 10, 64)
		if err != nil || len(list) == maxRank {
			return nil, false
		}
		p.rest = strings.TrimPrefix(p.rest[n:], "L") // Python 2
		list = append(list, v)
		if !p.take(',') {
			return list, p.take(')')
		}
	}
	return list, true
}

// skipList passes over a list of fields.
func (p *literal) skipList() bool {
	depth, i := 0, 0
	p.rest = strings.TrimLeft(p.rest, " \t\r\n")
	for ; i < len(p.rest); i++ {
		switch p.rest[i] {
		case '[', '(':
			depth++
		case ']', ')':
			if depth--; depth == 0 {
				p.rest = p.rest[i+1:]
				return true
			}
		}
		if depth == 0 {
			return false
		}
	}
	return false
}

// npz opens an archive of .npy files.
func (a *archive) npz() (*content, error) {
	if err := a.doubt(); err != nil {
		return nil, err
	}
	c := &content{container: "npz", framework: "np"}
	for i := range a.records {
		rec := &a.records[i]
		src, err := a.open(rec)
		if err != nil {
			return nil, err
		}
		at := a.at.in(rec.path)
		head, err := src.head(8)
		if err != nil {
			return nil, at.wrap(err)
		}
		if string(head[:min(6, len(head))]) != "\x93NUMPY" {
			return nil, at.malformed("header", "no array")
		}
		t, err := a.r.npy(src, at)
		if err != nil {
			return nil, err
		}
		c.tensors = append(c.tensors, named{name: strings.TrimSuffix(rec.path, ".npy"), t: t})
	}
	return c, nil
}
