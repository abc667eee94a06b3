package scan

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path"
	"strings"
	"testing"
)

// seedCases adds the cases of testdata whose names end so.
func seedCases(f *testing.F, ends ...string) {
	f.Helper()
	raw, err := os.ReadFile("testdata/cases.tar.gz")
	if err != nil {
		f.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		f.Fatal(err)
	}
	seeds := 0
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			f.Fatal(err)
		}
		for i, end := range ends {
			if !strings.HasSuffix(h.Name, end) || h.Size > 1<<16 {
				continue
			}
			data, err := io.ReadAll(r)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(uint8(i), data)
			seeds++
		}
	}
	if seeds == 0 {
		f.Fatalf("no cases of %q", ends)
	}
}

// sound scans data and holds the report to what every report is.
func sound(t *testing.T, name string, data []byte) File {
	t.Helper()
	file := reader(t, name, data, Options{Jobs: 1})
	if got := verdict(file.Findings); got != file.Verdict {
		t.Errorf("verdict %s, findings %s", file.Verdict, got)
	}
	for _, finding := range file.Findings {
		if _, err := Explain(finding.ID); err != nil || finding.Message == "" || !strings.HasPrefix(finding.File, name) || finding.Offset < -1 {
			t.Errorf("%+v, %v", finding, err)
		}
	}
	return file
}

// FuzzSevenZip states that the reader of 7z never panics, nor that of its
// headers where no sum guards them.
func FuzzSevenZip(f *testing.F) {
	seedCases(f, ".7z")
	f.Fuzz(func(t *testing.T, _ uint8, data []byte) {
		sound(t, "a.7z", data)
		// Fuzzing does not get past the sum.
		if len(data) > 32 {
			c := sevenCursor{p: data[32:]}
			c.streams()
			c = sevenCursor{p: data[32:]}
			c.files()
		}
	})
}

// FuzzFlat states that offsets of FlatBuffers lead nowhere outside of the file.
func FuzzFlat(f *testing.F) {
	seedCases(f, ".tflite")
	f.Fuzz(func(t *testing.T, _ uint8, data []byte) {
		sound(t, "a.tflite", data)
		b := blob{bytes.NewReader(data), 0, int64(len(data))}
		tr := newTrace(t.Context(), &Options{}, b.size)
		tr.tflite(b, place{file: "a", name: "a"}) // also without the mark
	})
}

// FuzzTrees has the models that are trees of texts: skops, XML, Core ML.
func FuzzTrees(f *testing.F) {
	ends := []string{".skops", ".xml", ".pmml", ".mlmodel"}
	seedCases(f, ends...)
	f.Add(uint8(1), []byte(`<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "c">]><net/>`))
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		end := ends[int(which)%len(ends)]
		sound(t, path.Join("d", "a"+end), data)
		b := blob{bytes.NewReader(data), 0, int64(len(data))}
		tr, at := newTrace(t.Context(), &Options{}, b.size), place{file: "a" + end, name: "a" + end}
		switch end {
		case ".skops": // its members, without the archive
			tr.skopsNames(b, at)
		case ".mlmodel":
			(&message{t: tr, at: at}).coreML(b)
		default:
			tr.xml(b, data, at)
		}
	})
}
