package scan

import (
	"bytes"
	"fmt"
	"io"
)

// maxSearched is how much of an HDF5 file is searched for the model of Keras.
const maxSearched = 64 << 20

// hdf5 reads the objects and attributes of an HDF5 file. It is searched, too, for
// what a program of its own may find that reads it in another way.
func (t *trace) hdf5(b blob, at place) {
	begin := hdf5Begin(b)
	h := newHDF5(t, b, at)
	if b.size > smallText {
		t.large()
	}
	h.walk(begin)
	found, understood := h.models()
	config, parsed, all := t.searchHDF5(b, at, found && understood)
	switch {
	case found && !understood:
		t.note("ST364", at, -1, "", "a model of Keras whose description is no JSON")
	case found:
		t.note("ST363", at, -1, "", "a model of Keras; its description was searched for layers that hold code")
	case config && !parsed:
		t.note("ST364", at, -1, "", "a model of Keras whose description was not found in one piece")
	case config && h.partial:
		t.note("ST363", at, -1, "", "a model of Keras, searched for layers that hold code and not interpreted")
	}
	if !all && h.partial {
		t.note("ST408", at, maxSearched, "", fmt.Sprintf("the first %d of %d bytes were searched for a model of Keras", int64(maxSearched), b.size))
	}
}

// searchHDF5 searches the bytes for descriptions of Keras, which are plain text
// wherever they lie, and tells whether it came to the end. One that is known
// already is not read again.
func (t *trace) searchHDF5(b blob, at place, known bool) (config, parsed, all bool) {
	parsed = known
	limit := min(b.size, maxSearched)
	if t.opts.Deep {
		limit = b.size
	}
	const step, overlap = 1 << 20, 4 << 10
	buf := make([]byte, min(step, limit))
	for off := int64(0); off < limit && t.ctx.Err() == nil; off += step - overlap {
		n, err := b.ReadAt(buf[:min(step, limit-off)], off)
		if err != nil && err != io.EOF {
			t.unreadable(at, off, err)
			return config, parsed, true
		}
		chunk := buf[:n]
		if !t.work(workSearch*int64(n)) && !t.opts.Deep {
			return config, parsed, true // which is told when all is done
		}
		if bytes.Contains(chunk, []byte("model_config")) {
			config = true
		}
		for _, mark := range []string{`{"class_name"`, `{"module"`, `{"config"`, `{"backend"`, `{"name"`, `{"registered_name"`} {
			if i := bytes.Index(chunk, []byte(mark)); i >= 0 && !parsed {
				begin := off + int64(i)
				parsed = t.jsonText(io.NewSectionReader(b, begin, min(b.size-begin, maxJSON)), at, begin)
			}
		}
		for _, mark := range []string{`"class_name": "Lambda"`, `"class_name":"Lambda"`, `"class_name": "__lambda__"`, `"class_name":"__lambda__"`} {
			if i := bytes.Index(chunk, []byte(mark)); i >= 0 {
				t.note("ST360", at, off+int64(i), "Lambda", "a Lambda layer of Keras, whose function is stored as code")
			}
		}
		for _, mark := range []string{"get_file", "torch_wrapper", "TorchModuleWrapper"} {
			if i := bytes.Index(chunk, []byte(`"`+mark+`"`)); i >= 0 {
				t.note("ST361", at, off+int64(i), mark, "names "+mark+", with which Keras loads files or pickles")
			}
		}
		if int64(n) < step {
			break
		}
	}
	return config, parsed, limit == b.size
}
