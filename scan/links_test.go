package scan

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"io/fs"
	"strings"
	"testing"
)

// A linkMember is a member of an archive: a file if it has no target.
type linkMember struct {
	name, target string
	hard         bool
}

func tarOfLinks(t *testing.T, members []linkMember) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		h := &tar.Header{Name: m.name, Mode: 0o644, Typeflag: tar.TypeReg, Linkname: m.target}
		switch {
		case m.hard:
			h.Typeflag = tar.TypeLink
		case m.target != "":
			h.Typeflag = tar.TypeSymlink
		case strings.HasSuffix(m.name, "/"):
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zipOfLinks(t *testing.T, members []linkMember) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, m := range members {
		h := &zip.FileHeader{Name: m.name, Method: zip.Deflate}
		if m.target != "" {
			h.SetMode(fs.ModeSymlink | 0o777)
		}
		f, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(m.target)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestArchiveLinks has the ways in which links of an archive lead out of it: by their
// own words, by way of each other, and for members that are written through
// them. That GNU tar, or Python's tarfile without a filter, puts files where
// "dangerous" says so was tried with each.
func TestArchiveLinks(t *testing.T) {
	for _, test := range []struct {
		name    string
		members []linkMember
		want    Verdict
		finds   string
	}{
		{"a link within", []linkMember{{"a", "", false}, {"l", "a", false}}, VerdictSuspicious, "ST419"},
		{"a link out", []linkMember{{"l", "../x", false}}, VerdictDangerous, "ST426"},
		{"a link to the root", []linkMember{{"l", "/etc/passwd", false}}, VerdictDangerous, "ST426"},
		{"a file through a link within", []linkMember{{"d/", "", false}, {"l", "d", false}, {"l/f", "", false}}, VerdictSuspicious, "ST419"},
		{"a file through a link out", []linkMember{{"l", "/tmp", false}, {"l/f", "", false}}, VerdictDangerous, "ST412"},
		{"a file in the place of a link out", []linkMember{{"l", "../x", false}, {"l", "", false}}, VerdictDangerous, "ST412"},
		{"a link through a link", []linkMember{{"d", ".", false}, {"d/e/l", "../..", false}}, VerdictDangerous, "ST426"},
		{"a target through a link", []linkMember{{"x", ".", false}, {"l", "x/..", false}}, VerdictDangerous, "ST426"},
		{"links that go up step by step", []linkMember{{"a/b/", "", false}, {"a/b/c", "..", false}, {"a/b/c/d", "..", false}, {"l", "a/b/c/d/../x", false}}, VerdictDangerous, "ST426"},
		{"a file through two links", []linkMember{{"x", ".", false}, {"l", "x/..", false}, {"l/f", "", false}}, VerdictDangerous, "ST412"},
		{"a link that comes later", []linkMember{{"l", "x/..", false}, {"x", ".", false}}, VerdictDangerous, "ST426"},
		{"a circle", []linkMember{{"a", "b", false}, {"b", "a", false}, {"a/f", "", false}}, VerdictSuspicious, "ST419"},
		{"up and down within", []linkMember{{"a/l", "../b/f", false}, {"b/f", "", false}}, VerdictSuspicious, "ST419"},
		{"a hard link within", []linkMember{{"a", "", false}, {"l", "a", true}}, VerdictSuspicious, "ST419"},
		{"a hard link out", []linkMember{{"l", "../../etc/passwd", true}}, VerdictDangerous, "ST426"},
		{"a hard link to the root", []linkMember{{"l", "/etc/passwd", true}}, VerdictDangerous, "ST426"},
		{"a hard link to a link out", []linkMember{{"d/x", ".", false}, {"d/l", "x/../..", false}, {"h", "d/l/f", true}}, VerdictDangerous, "ST426"},
	} {
		archives := map[string][]byte{"a.tar": tarOfLinks(t, test.members)}
		if !strings.Contains(test.name, "hard") {
			archives["a.zip"] = zipOfLinks(t, test.members)
		}
		for name, data := range archives {
			f := reader(t, name, data, Options{})
			met := false
			for _, finding := range f.Findings {
				met = met || finding.ID == test.finds
			}
			if f.Verdict != test.want || !met {
				t.Errorf("%s, %s: %s, want %s with %s: %+v", test.name, name, f.Verdict, test.want, test.finds, f.Findings)
			}
		}
	}
}

// TestNodes states that devices, pipes and sockets in an archive are told.
func TestNodes(t *testing.T) {
	for mode, want := range map[byte]string{tar.TypeChar: "device", tar.TypeBlock: "device", tar.TypeFifo: "pipe"} {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		if err := w.WriteHeader(&tar.Header{Name: "n", Typeflag: mode, Devmajor: 8}); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		f := reader(t, "a.tar", b.Bytes(), Options{})
		if f.Verdict != VerdictSuspicious || f.Findings[0].ID != "ST419" || f.Findings[0].Name != want {
			t.Errorf("%c: %s %+v", mode, f.Verdict, f.Findings)
		}
	}
	for mode, want := range map[fs.FileMode]string{fs.ModeDevice: "device", fs.ModeDevice | fs.ModeCharDevice: "device", fs.ModeNamedPipe: "pipe", fs.ModeSocket: "socket"} {
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		h := &zip.FileHeader{Name: "n"}
		h.SetMode(mode | 0o600)
		if _, err := w.CreateHeader(h); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		f := reader(t, "a.zip", b.Bytes(), Options{})
		if f.Verdict != VerdictSuspicious || f.Findings[0].ID != "ST419" || f.Findings[0].Name != want {
			t.Errorf("%s: %s %+v", mode, f.Verdict, f.Findings)
		}
	}
}
