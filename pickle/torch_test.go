package pickle

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
)

// TestTorchLegacy reads the five pickles of files that torch 1.13 and 2.15
// wrote in the legacy form, and finds the storages behind them.
func TestTorchLegacy(t *testing.T) {
	n := 0
	for _, c := range cpythonCases(t) {
		if !strings.HasPrefix(c.Name, "torch-") || !strings.HasSuffix(c.Name, "-legacy") {
			continue
		}
		n++
		size := int64(len(c.Pickle))
		d := NewDecoder(bytes.NewReader(c.Pickle), 0, size)
		var ids []*Persistent
		d.OnEvent = func(e Event) {
			if e.Kind == KindPersistent {
				ids = append(ids, e.Value.(*Persistent))
			}
		}
		var values []Value
		for range 5 {
			v, err := d.Decode()
			if err != nil {
				t.Fatalf("%s: %v", c.Name, err)
			}
			values = append(values, v)
		}
		if got := render(values[0]); got != "0x1950a86a20f9469cfc6c" {
			t.Errorf("%s: magic %s", c.Name, got)
		}
		root := values[3].(*Object)
		if len(root.Pairs()) != 10 || root.Pairs()[0].Key != Value("w") {
			t.Errorf("%s: %d tensors", c.Name, len(root.Pairs()))
		}
		// The elements: a count of eight bytes, then as many of the width
		// that the storage's class tells, in the order of the keys.
		width := map[string]int64{"FloatStorage": 4, "HalfStorage": 2, "BFloat16Storage": 2, "LongStorage": 8, "BoolStorage": 1, "ComplexFloatStorage": 8}
		of := map[Value]int64{}
		for _, p := range ids {
			id := p.ID.(*Tuple).Items
			of[id[2]] = width[id[1].(*Symbol).Name]
		}
		off := d.Offset()
		for _, key := range values[4].(*List).Items {
			off += 8 + int64(binary.LittleEndian.Uint64(c.Pickle[off:]))*of[key]
		}
		if off != size {
			t.Errorf("%s: storages end at %d of %d", c.Name, off, size)
		}
	}
	if n < 2 {
		t.Errorf("%d files", n)
	}
}
