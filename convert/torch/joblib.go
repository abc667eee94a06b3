package torch

import (
	"bufio"
	"compress/zlib"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	"github.com/tensmith/tensmith/pickle"
)

// isJoblib tells whether sym is that class of joblib, also of the copy that
// scikit-learn had until 0.22.
func isJoblib(sym *pickle.Symbol, name string) bool {
	return sym.Is("joblib.numpy_pickle", name) || sym.Is("sklearn.externals.joblib.numpy_pickle", name)
}

// besideArray is joblib's NDArrayWrapper (until 0.9): the array is a .npy file
// in the same directory.
func besideArray(b *builder, o *pickle.Object, depth int) (any, error) {
	src, at, err := b.beside(o)
	if err != nil {
		return nil, err
	}
	t, err := b.r.npy(src, at)
	return orNil(t, err)
}

// besidePacked is ZNDArrayWrapper: the file has the bytes of the array alone,
// packed. What it is like, the pickle says as for numpy's own _reconstruct.
func besidePacked(b *builder, o *pickle.Object, depth int) (any, error) {
	src, at, err := b.beside(o)
	if err != nil {
		return nil, err
	}
	attrs := &pickle.Dict{Pairs: attributes(o)}
	v, _ := attrs.Get("state")
	items := itemsOf(v)
	if len(items) < 3 {
		return nil, b.place(o).malformed("array", "the state of an array")
	}
	items = items[len(items)-3:]
	shape, okShape := ints(items[0])
	t, okType := b.arrayType(items[1])
	if !okShape || !okType {
		return nil, b.place(o).malformed("array", "the shape or type of an array")
	}
	if t.elem == nil {
		return &tensor{at: b.place(o), shape: shape, refuse: t.refuse}, nil
	}
	head, err := src.head(8)
	if err != nil {
		return nil, at.wrap(err)
	}
	data, err := b.r.inflate(src, head, at)
	if err != nil {
		return nil, err
	}
	return orNil(array(b.place(o), t, shape, items[2] == true || items[2] == int64(1), data))
}

// beside opens the file that a wrapper names, in the directory of the pickle.
func (b *builder) beside(o *pickle.Object) (span, place, error) {
	attrs := &pickle.Dict{Pairs: attributes(o)}
	v, _ := attrs.Get("filename")
	name, ok := pickle.Text(v)
	if !ok || name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\\\x00") {
		return span{}, place{}, b.place(o).malformed("name", "an array in %q, which is no file of the directory", name)
	}
	name = path.Join(path.Dir(b.at.file), name)
	at := place{file: name, offset: -1}
	if s, ok := b.r.siblings[name]; ok {
		return s, at, nil
	}
	s, err := b.r.open(name)
	if err != nil {
		return span{}, place{}, err
	}
	if b.r.siblings == nil {
		b.r.siblings = make(map[string]span)
	}
	b.r.siblings[name] = s
	return s, at, nil
}

// openZFile unpacks what joblib until 0.9 has written: "ZF", the size of what
// was packed as hexadecimal text in 19 bytes, of Python 2 in 20, and zlib.
func openZFile(r io.Reader) (io.Reader, error) {
	in := bufio.NewReader(r)
	var head [21]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return nil, err
	}
	size, err := strconv.ParseInt(strings.TrimRight(string(head[4:]), " "), 16, 64)
	if err != nil {
		return nil, fmt.Errorf("the size %q", head[2:])
	}
	if next, err := in.Peek(1); err == nil && next[0] == ' ' {
		in.Discard(1)
	}
	z, err := zlib.NewReader(in)
	if err != nil {
		return nil, err
	}
	return &announced{z, size}, nil
}

// An announced is data that is to end at a size.
type announced struct {
	r    io.Reader
	left int64
}

func (a *announced) Read(p []byte) (int, error) {
	n, err := a.r.Read(p)
	if a.left -= int64(n); a.left < 0 || err == io.EOF && a.left > 0 {
		return n, fmt.Errorf("it has another size than announced")
	}
	return n, err
}
