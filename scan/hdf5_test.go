package scan

import (
	"bytes"
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
		h := &hdf5File{t: tr, b: b, at: place{file: name, name: name}, left: maxHDF5, values: maxValues, seen: map[uint64]bool{}, config: map[string][]hdf5Text{}}
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
