package scan

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"strings"
	"testing"
	"unicode/utf16"
)

// sevenOf is a 7z archive of one member that is stored (7zFormat.txt of the
// LZMA SDK).
func sevenOf(name string, data []byte) []byte {
	number := func(n int) []byte {
		switch {
		case n < 1<<7:
			return []byte{byte(n)}
		case n < 1<<14:
			return []byte{0x80 | byte(n>>8), byte(n)}
		}
		return []byte{0xc0 | byte(n>>16), byte(n), byte(n >> 8)}
	}
	var text []byte
	for _, c := range append(utf16.Encode([]rune(name)), 0) {
		text = binary.LittleEndian.AppendUint16(text, c)
	}
	header := bytes.Join([][]byte{
		{1, 4, 6, 0, 1, 9}, number(len(data)), {0}, // where it is packed
		{7, 0xb, 1, 0, 1, 1, 0, 0xc}, number(len(data)), {0, 0}, // by the method Copy
		{5, 1, 0x11}, number(len(text) + 1), {0}, text, {0, 0}, // a name
	}, nil)
	var start []byte
	start = binary.LittleEndian.AppendUint64(start, uint64(len(data)))
	start = binary.LittleEndian.AppendUint64(start, uint64(len(header)))
	start = binary.LittleEndian.AppendUint32(start, crc32.ChecksumIEEE(header))
	b := binary.LittleEndian.AppendUint32([]byte("7z\xbc\xaf\x27\x1c\x00\x04"), crc32.ChecksumIEEE(start))
	return append(append(append(b, start...), data...), header...)
}

func tarOf(t *testing.T, name string, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: name, Size: int64(len(data)), Mode: 0o600}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestNestedSeven has archives of 7-Zip in other archives, others in them, and
// one in the other, to the depth that a scan goes to, which it then says.
func TestNestedSeven(t *testing.T) {
	evil := imports("os", "system").Data
	layers := map[string]func([]byte) []byte{
		"7z":  func(b []byte) []byte { return sevenOf("in", b) },
		"zip": func(b []byte) []byte { return zipOf("in", b) },
		"tar": func(b []byte) []byte { return tarOf(t, "in", b) },
	}
	for _, way := range []string{"7z", "7z zip", "7z tar", "7z 7z", "zip 7z", "tar 7z", "7z 7z 7z 7z 7z 7z 7z", "tar 7z zip 7z tar"} {
		data := evil
		for layer := range strings.SplitSeq(way, " ") {
			data = layers[layer](data)
		}
		f := reader(t, "a", data, Options{})
		if f.Verdict != VerdictDangerous || f.Findings[0].ID != "ST301" || strings.Count(f.Findings[0].File, "!in") != len(strings.Fields(way)) {
			t.Errorf("%s: %s %+v", way, f.Verdict, f.Findings)
		}
	}
	data := evil
	for range maxDepth + 1 {
		data = sevenOf("in", data)
	}
	if f := reader(t, "a", data, Options{}); f.Verdict != VerdictSuspicious || f.Findings[0].ID != "ST404" {
		t.Errorf("too deep: %s %+v", f.Verdict, f.Findings)
	}
}
