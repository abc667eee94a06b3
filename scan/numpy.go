package scan

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"github.com/tensmith/tensmith/pickle"
)

// A rawError says why an array between the opcodes of a pickle cannot be
// passed over.
type rawError struct{ why string }

func (e *rawError) Error() string { return e.why }

// rawArray tells how many bytes of an array follow the state of o: joblib puts
// them between the opcodes (joblib/numpy_pickle.py). An array of objects is a
// pickle of its own there.
func (t *trace) rawArray(o *pickle.Object, b blob, off int64, at place, r *reading) (int64, error) {
	if !o.Symbol().Is("joblib.numpy_pickle", "NumpyArrayWrapper") {
		return 0, nil
	}
	r.joblib = true
	states := o.States()
	state, ok := states[len(states)-1].(*pickle.Dict)
	if !ok {
		return 0, &rawError{"its description is no dict"}
	}
	elements, _ := state.Get("dtype")
	d := t.spent.dtypeOf(elements)
	if d.object {
		at = at.in("objects")
		if at.depth > maxDepth {
			return 0, &rawError{"arrays of objects within each other"}
		}
		_, next, err := t.pickle(b, off, at, r)
		return next - off, err
	}
	shapeValue, _ := state.Get("shape")
	shape, ok := shapeValue.(*pickle.Tuple)
	if d.width <= 0 || !ok {
		return 0, &rawError{"the size of an element is not known"}
	}
	size := uint64(d.width)
	for _, v := range shape.Items {
		n, ok := v.(int64)
		hi, lo := bits.Mul64(size, uint64(n))
		if !ok || n < 0 || hi != 0 || lo >= 1<<62 {
			return 0, &rawError{"a shape that cannot be"}
		}
		size = lo
	}
	pad := int64(0)
	if alignment, _ := state.Get("numpy_array_alignment_bytes"); alignment != nil {
		n, err := b.at(off, 1)
		if err != nil {
			return 0, err
		}
		if len(n) == 0 {
			return 0, &rawError{"it is missing"}
		}
		pad = 1 + int64(n[0])
	}
	if int64(size) > b.size-off-pad {
		return 0, &rawError{fmt.Sprintf("%d bytes are left of %d", max(b.size-off-pad, 0), size)}
	}
	t.rawOpcodes(b, off, at)
	t.storage(b, off+pad, int64(size), at)
	return pad + int64(size), nil
}

// rawOpcodes looks for names in an array that stands between the opcodes, and in the
// padding before it: whoever unpickles the file without joblib reads them on as opcodes.
// What joblib itself writes before an array, a number up to 16, is none; before 1.2 it
// wrote nothing.
func (t *trace) rawOpcodes(b blob, off int64, at place) {
	const firstOpcode = '('
	if first, err := b.at(off, 1); err != nil || len(first) == 0 || first[0] < firstOpcode {
		return
	}
	if t.spent.skims < 0 {
		t.note("ST404", at, off, "", moreNames)
		return
	}
	name, long := firstName(b, off, &t.spent.skims)
	switch {
	case name != "":
		t.note("ST420", at, off, "pickle", "an array of joblib that is also a row of opcodes, which import "+clip(name, 80)+": which of the two is read depends on the reader")
	case long:
		t.note("ST420", at, off, "pickle", "an array of joblib that is also a long row of opcodes: which of the two is read depends on the reader")
	default:
		return
	}
	t.sweep(b, off, at)
}

// firstName returns the name that a row of opcodes imports first, whatever is on the
// stack. Numbers break off long before a row that is called long.
func firstName(b blob, off int64, left *int64) (name string, long bool) {
	const most = 1 << 14
	n, texts := 0, 0
	defer func() { *left -= skimWork + int64(n)*eventWork }()
	for in, err := range pickle.Disassemble(b, off, b.size, pickle.Limits{String: maxText}) {
		if n++; err != nil || n > most {
			break
		}
		switch in.Op.String() {
		case "STOP":
			return "", false
		case "GLOBAL", "INST":
			if pair, ok := in.Arg.(string); ok && isDotted(strings.Replace(pair, " ", ".", 1)) {
				return pair, false
			}
		case "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8":
			texts++
		case "STACK_GLOBAL":
			if texts >= 2 {
				return "a name", false
			}
		}
	}
	return "", n > most
}

// npy reads the header of an array; what follows that of an array of objects
// is a pickle (numpy/lib/format.py).
func (t *trace) npy(b blob, at place) {
	t.format = "npy"
	head, err := b.at(0, 12)
	if err != nil {
		t.unreadable(at, 0, err)
		return
	}
	if len(head) < 10 || head[6] < 1 || head[6] > 3 {
		t.note("ST402", at, 6, "", "the header of the array is cut off, or of an unknown version")
		return
	}
	begin, length := int64(10), int64(head[8])|int64(head[9])<<8
	if head[6] > 1 {
		if len(head) < 12 {
			t.note("ST402", at, 6, "", "the header of the array is cut off")
			return
		}
		begin, length = 12, length|int64(head[10])<<16|int64(head[11])<<24
	}
	if length > 1<<20 || length > b.size-begin {
		t.note("ST402", at, 8, "", fmt.Sprintf("a header of %d bytes", length))
		return
	}
	text, err := b.at(begin, length)
	if err != nil {
		t.unreadable(at, begin, err)
		return
	}
	const plain = 256 // bytes, which a header of numbers has less of
	if !t.work(workLiteral*max(length-plain, 0)) && at.depth > 0 {
		return // which is told when all is done
	}
	data := begin + length
	h := npyHeader(string(text))
	switch {
	case !h.literal:
		t.note("ST335", at, begin, "", "the header is no plain literal, and old readers evaluate it")
	case h.huge:
		t.note("ST402", at, begin, "", "a shape that no file has room for")
	}
	if h.object {
		t.note("ST336", at, begin, "", "an array of objects, which is a pickle")
	}
	rest := b.rest(data)
	if h.object {
		sub := at
		r := t.pickles(rest, sub)
		t.behind(rest, sub, r)
		return
	}
	if h.literal && h.size >= 0 {
		if h.size > rest.size {
			t.note("ST402", at, data, "", fmt.Sprintf("an array of %d bytes, %d are left", h.size, rest.size))
		} else if h.size < rest.size {
			t.note("ST320", at, data+h.size, "", fmt.Sprintf("%d bytes behind the array", rest.size-h.size))
			t.junk(rest.rest(h.size), at, data+h.size)
		}
		t.storage(b, data, min(h.size, rest.size), at)
		return
	}
	if h.literal {
		t.note("ST337", at, begin, "", "the size of an element is not known, so the end of the array is not")
	}
	t.storage(b, data, rest.size, at)
}

// An arrayHeader is what matters here of the header of an array.
type arrayHeader struct {
	literal bool // nothing but a dict of texts, numbers, tuples and lists
	object  bool
	size    int64 // of the data in bytes; -1 if unknown
	huge    bool  // no file is as large as the shape asks for
}

func npyHeader(text string) arrayHeader {
	h := arrayHeader{size: -1}
	var tokens []string
	rest := strings.TrimSpace(text)
	for rest != "" {
		c := rest[0]
		n := 1
		switch {
		case c == '\'' || c == '"':
			end := strings.IndexByte(rest[1:], c)
			if end < 0 || strings.ContainsAny(rest[1:1+end], "\\\n") {
				return h
			}
			n = end + 2
		case strings.IndexByte("{}[](),:", c) >= 0:
		case c >= '0' && c <= '9' || c == '-':
			for n < len(rest) && (rest[n] >= '0' && rest[n] <= '9' || rest[n] == 'L') {
				n++
			}
		case strings.HasPrefix(rest, "True"):
			n = 4
		case strings.HasPrefix(rest, "False"):
			n = 5
		default:
			return h
		}
		tokens = append(tokens, rest[:n])
		if len(tokens) > 1<<16 {
			return h
		}
		rest = strings.TrimLeft(rest[n:], " \t\r\n")
	}
	h.literal = len(tokens) > 1 && tokens[0] == "{" && tokens[len(tokens)-1] == "}"
	section, width, simple := "", int64(0), false
	size, haveShape := uint64(1), false
	var open []string // brackets
	for i, tok := range tokens {
		switch tok {
		case "{", "[", "(":
			open = append(open, tok)
		case "}", "]", ")":
			open = open[:max(len(open)-1, 0)]
		}
		quoted := len(tok) >= 2 && (tok[0] == '\'' || tok[0] == '"')
		if quoted && i+1 < len(tokens) && tokens[i+1] == ":" {
			section = tok[1 : len(tok)-1]
			continue
		}
		switch section {
		case "descr":
			if !quoted {
				continue
			}
			w, object := codeSize(tok[1 : len(tok)-1])
			// The first of a tuple is the name of a field in a list, and elsewhere a
			// type that has a shape.
			isName := tokens[i-1] == "(" && len(open) > 1 && open[len(open)-2] == "["
			h.object = h.object || object && !isName
			if tokens[i-1] == ":" {
				width, simple = w, w > 0
			}
		case "shape":
			if tok == "(" {
				haveShape = true
			}
			if tok[0] < '0' || tok[0] > '9' {
				continue
			}
			n, err := strconv.ParseUint(strings.TrimSuffix(tok, "L"), 10, 62)
			hi, lo := bits.Mul64(size, n)
			if size = lo; err != nil || hi != 0 || lo >= 1<<58 {
				h.huge, size = true, 0
			}
		}
	}
	if hi, lo := bits.Mul64(size, uint64(width)); simple && !h.huge && haveShape && hi == 0 && lo < 1<<62 {
		h.size = int64(lo)
	}
	return h
}
