package scan

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestHDF5 has files of h5py and Keras, whose names begin with what they are:
// evil ones have a Lambda layer whose words no search finds.
func TestHDF5(t *testing.T) {
	names, err := filepath.Glob("testdata/hdf5/*.h5")
	if err != nil || len(names) < 30 {
		t.Fatal(len(names), err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		base := filepath.Base(name)
		kind, _, _ := strings.Cut(base, "_")
		f := reader(t, base, data, Options{})
		want := map[string]Verdict{"clean": Clean, "evil": VerdictDangerous, "dangerous": VerdictDangerous, "suspicious": VerdictSuspicious}[kind]
		if f.Verdict != want || f.Format != "hdf5" {
			t.Errorf("%s: %s, %s %+v", base, f.Format, f.Verdict, f.Findings)
		}
		for _, finding := range f.Findings {
			if finding.ID == "ST408" {
				t.Errorf("%s: %+v", base, finding)
			}
		}
		if kind == "evil" && !slices.ContainsFunc(f.Findings, func(f Finding) bool { return f.ID == "ST360" }) {
			t.Errorf("%s: no Lambda layer in %+v", base, f.Findings)
		}
		if kind != "evil" {
			continue
		}
		// Where the file is cut off, it is not clean, whatever can still be read.
		for n := range 200 {
			if f := reader(t, base, data[:len(data)*n/200], Options{}); f.Verdict == Clean {
				t.Errorf("%s is clean with %d of %d bytes: %+v", base, len(data)*n/200, len(data), f.Findings)
			}
		}
	}
}

// TestHDF5Attributes compares what the walk meets with what h5py has read.
func TestHDF5Attributes(t *testing.T) {
	raw, err := os.ReadFile("testdata/hdf5/attributes.json")
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]map[string]map[string]string
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	for name, objects := range want {
		data, err := os.ReadFile("testdata/hdf5/" + name)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]map[string]string{}
		b := blob{bytes.NewReader(data), 0, int64(len(data))}
		tr := newTrace(t.Context(), &Options{}, b.size)
		h := newHDF5(tr, b, place{file: name, name: name})
		h.met = func(path, attribute string, off, size int64) {
			p := "/" + strings.Trim(path, "/")
			if _, ok := objects[p][attribute]; !ok {
				return // no single text
			}
			value, err := b.at(off, size)
			if err != nil {
				t.Fatal(err)
			}
			s := string(bytes.TrimRight(value, "\x00"))
			if len(s) >= 3000 {
				s = fmt.Sprintf("%d characters", len(s))
			}
			if got[p] == nil {
				got[p] = map[string]string{}
			}
			got[p][attribute] = s
		}
		h.walk(hdf5Begin(b))
		if diff := cmp.Diff(objects, got); diff != "" {
			t.Errorf("%s (-h5py +walk):\n%s", name, diff)
		}
	}
}

// A hdf5Maker writes objects one behind the other.
type hdf5Maker struct{ file []byte }

func (m *hdf5Maker) put(data []byte) uint64 {
	if len(m.file) == 0 {
		m.file = make([]byte, 64) // for the superblock
	}
	m.file = append(m.file, make([]byte, -len(m.file)&7)...)
	at := len(m.file)
	m.file = append(m.file, data...)
	return uint64(at)
}

// done writes the superblock, of version 2.
func (m *hdf5Maker) done(root uint64) []byte {
	head := []byte("\x89HDF\r\n\x1a\n\x02\x08\x08\x00")
	for _, v := range []uint64{0, 1<<64 - 1, uint64(len(m.file)), root} {
		head = binary.LittleEndian.AppendUint64(head, v)
	}
	copy(m.file, head)
	return m.file
}

// hdf5Header is an object header of version 2.
func hdf5Header(messages ...[]byte) []byte {
	all := bytes.Join(messages, nil)
	head := binary.LittleEndian.AppendUint32([]byte("OHDR\x02\x02"), uint32(len(all)))
	return append(append(head, all...), 0, 0, 0, 0)
}

func hdf5Block(kind byte, data []byte) []byte {
	return append([]byte{kind, byte(len(data)), byte(len(data) >> 8), 0}, data...)
}

// hdf5Attr is an attribute of version 3 with one text of a fixed length.
func hdf5Attr(name, text, shape string) []byte {
	b := []byte{3, 0, byte(len(name) + 1), 0, 8, 0, byte(len(shape)), 0, 0}
	b = append(b, name+"\x00\x13\x00\x00\x00"...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(text)))
	return hdf5Block(0xc, append(b, shape+text...))
}

// TestHDF5Hostile has what the format lets many share: it is told, and takes no
// time.
func TestHDF5Hostile(t *testing.T) {
	const scalar = "\x02\x00\x00\x00"
	number := func(b []byte, values ...uint64) []byte {
		for _, v := range values {
			b = binary.LittleEndian.AppendUint64(b, v)
		}
		return b
	}
	sound := `{"class_name":"Sequential","config":{"layers":[]}}`
	lambda := `{"class_name":"Sequential","config":{"layers":[{"class_name":"\u004cambda","config":{}}]}}`
	for _, test := range []struct {
		name string
		file func(m *hdf5Maker) uint64
		want string
	}{
		{"links of one long name", func(m *hdf5Maker) uint64 {
			text := m.put(append(bytes.Repeat([]byte("x"), 1<<20), 0))
			heap := m.put(number([]byte("HEAP\x00\x00\x00\x00"), 1<<20+1, 1<<64-1, text))
			symbols := []byte("SNOD\x01\x00\xff\xff")
			for range 65535 {
				symbols = number(symbols, 0, 1<<64-1, 0, 0, 0)
			}
			return m.put(hdf5Header(hdf5Block(0x11, number(nil, m.put(symbols), heap))))
		}, "ST404"},
		{"texts behind many others", func(m *hdf5Maker) uint64 {
			heap := []byte("GCOL\x01\x00\x00\x00")
			heap = number(heap, 16+16*50_000)
			for i := range 50_000 {
				heap = append(heap, byte(i+1), byte((i+1)>>8), 1, 0, 0, 0, 0, 0)
				heap = number(heap, 0)
			}
			at := m.put(heap)
			attr := append([]byte("\x03\x00\x02\x00\x10\x00\x0c\x00\x00a\x00\x19\x01\x00\x00\x10\x00\x00\x00\x13\x00\x00\x00\x01\x00\x00\x00"), "\x02\x01\x00\x01"...)
			attr = number(attr, 4000)
			for range 4000 {
				attr = binary.LittleEndian.AppendUint32(number([]byte("\x01\x00\x00\x00"), at), 50_000)
			}
			return m.put(hdf5Header(hdf5Block(0xc, attr)))
		}, "ST408"},
		{"messages of nothing", func(m *hdf5Maker) uint64 {
			return m.put(hdf5Header(bytes.Repeat(hdf5Block(4, nil), 1<<16+1)))
		}, "ST404"},
		{"datasets of the same numbers", func(m *hdf5Maker) uint64 {
			at := m.put(make([]byte, 64))
			one := hdf5Header(hdf5Block(8, number([]byte("\x03\x01"), at, 64)))
			link := func(name string) []byte {
				return hdf5Block(6, number([]byte("\x01\x00\x01"+name), m.put(one)))
			}
			return m.put(hdf5Header(link("a"), link("b")))
		}, "ST369"},
		{"a shape that is not known", func(m *hdf5Maker) uint64 {
			return m.put(hdf5Header(hdf5Attr("a", "x", "\x03\x00\x00\x00")))
		}, "ST408"},
		{"a shape that is cut off", func(m *hdf5Maker) uint64 {
			return m.put(hdf5Header(hdf5Attr("a", "x", "\x02\x04\x00\x01")))
		}, "ST408"},
		{"two models", func(m *hdf5Maker) uint64 {
			return m.put(hdf5Header(hdf5Attr("model_config", sound, scalar), hdf5Attr("model_config", lambda, scalar)))
		}, "ST360"},
		{"a model in pieces beside one that is whole", func(m *hdf5Maker) uint64 {
			return m.put(hdf5Header(hdf5Attr("model_config", sound, scalar), hdf5Attr("model_config0", lambda, scalar)))
		}, "ST360"},
	} {
		var m hdf5Maker
		f := reader(t, "a.h5", m.done(test.file(&m)), Options{})
		if !slices.ContainsFunc(f.Findings, func(f Finding) bool { return f.ID == test.want }) {
			t.Errorf("%s: %s without %s: %+v", test.name, f.Verdict, test.want, f.Findings)
		}
	}
}

// FuzzHDF5 states that no bytes make the walk panic, and that none behind a
// dangerous file make it anything else.
func FuzzHDF5(f *testing.F) {
	names, err := filepath.Glob("testdata/hdf5/*.h5")
	if err != nil || len(names) == 0 {
		f.Fatal(err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		if len(data) < 32<<10 {
			f.Add(data)
		}
	}
	evil, err := os.ReadFile("testdata/hdf5/evil_v108.h5")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		sound(t, "a.h5", data)
		if len(data) > 1<<16 {
			return
		}
		if file := sound(t, "a.h5", append(slices.Clone(evil), data...)); file.Verdict != VerdictDangerous {
			t.Errorf("dangerous, and %s with %d bytes behind it", file.Verdict, len(data))
		}
	})
}
