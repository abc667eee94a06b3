package scan

import (
	"io"
	"testing"
)

// sparse is a file of zeros behind its beginning, as a file system keeps it in no
// room.
type sparse string

func (s sparse) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	if off < int64(len(s)) {
		copy(p, s[off:])
	}
	return len(p), nil
}

// TestSparse states that files of 64 GB which take no room are read up to a
// bound, and that a billion pairs of GGUF of which nothing was read are not
// clean.
func TestSparse(t *testing.T) {
	unhurried(t)
	const size = 64 << 30
	var r io.ReaderAt = sparse("GGUF\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x40")
	f, err := Reader(t.Context(), r, size, "a.gguf", Options{})
	if err != nil || f.Verdict != VerdictSuspicious || len(f.Findings) != 1 || f.Findings[0].ID != "ST404" {
		t.Errorf("%v: %s: %+v", err, f.Verdict, f.Findings)
	}
	for _, test := range []struct{ name, begin string }{
		{"a.bin", ""}, {"a.h5", "\x89HDF\r\n\x1a\n"}, {"a.json", `{"a":"`}, {"a.pkl", "\x80\x02N."}, {"a.zip", "PK\x03\x04"}, {"a.pb", "\x0a\x02a"},
	} {
		if f, err := Reader(t.Context(), sparse(test.begin), size, test.name, Options{}); err != nil || f.Verdict == Clean {
			t.Errorf("%s: %v, %s", test.name, err, f.Verdict)
		}
	}
}
