package scan

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"
)

// overlapping is a zip archive of which n entries lead to the same bytes.
func overlapping(name string, data []byte, n int) []byte {
	local := binary.LittleEndian.AppendUint32([]byte("PK\x03\x04\x14\x00\x00\x00\x00\x00\x00\x00\x00\x00"), crc32.ChecksumIEEE(data))
	local = binary.LittleEndian.AppendUint32(local, uint32(len(data)))
	local = binary.LittleEndian.AppendUint32(local, uint32(len(data)))
	fields := append(binary.LittleEndian.AppendUint16(nil, uint16(len(name))), 0, 0)
	out := append(append(append(local, fields...), name...), data...)
	begin := len(out)
	for range n {
		out = append(append(append(out, "PK\x01\x02\x14\x00"...), local[4:26]...), fields...)
		out = append(append(out, make([]byte, 14)...), name...)
	}
	size := len(out) - begin
	out = append(out, "PK\x05\x06\x00\x00\x00\x00"...)
	out = binary.LittleEndian.AppendUint16(out, uint16(n))
	out = binary.LittleEndian.AppendUint16(out, uint16(n))
	out = binary.LittleEndian.AppendUint32(out, uint32(size))
	out = binary.LittleEndian.AppendUint32(out, uint32(begin))
	return append(out, 0, 0)
}

// TestCostly states of what is cheap to write, and takes long to read, that it is
// taken from the work of the file, in proportion: what is spent for n of it is
// asked for, and never a clock.
func TestCostly(t *testing.T) {
	lines := func(line string, n int) []byte { return []byte(strings.Repeat(line+"\n", n)) }
	header := func(name string, n int) string {
		keys := map[string]string{}
		for i := range n {
			keys[fmt.Sprint("k", i)] = ""
		}
		text, err := json.Marshal(map[string]any{"__metadata__": keys})
		if err != nil {
			t.Fatal(err)
		}
		return string(binary.LittleEndian.AppendUint64(nil, uint64(len(text)))) + string(text)
	}
	literal := "{" + strings.Repeat(",", 30_000) + "}"
	for _, test := range []struct {
		name  string
		data  []byte
		least int64
	}{
		{"a.json", lines(`{"a":"( x.popen x.popen x.popen x.popen "}`, 100), 100 * 4 * 30 * workCommand},
		{"a.zip", manyOf(t, 50, "a", []byte("\xff\xfe\xfd\x01( x.popen x.popen")), 50 * 2 * 20 * workCommand},
		{"b.zip", manyOf(t, 50, "a", []byte(strings.Repeat("from a import (b c\n", 100))), 50 * 1900 * workExpression},
		{"c.zip", manyOf(t, 5, "a.ini", []byte(strings.Repeat("a_name = value\n", 1000))), 5 * 1000 * workLine},
		{"d.zip", manyOf(t, 3, "a.npy", []byte("\x93NUMPY\x01\x00"+string(binary.LittleEndian.AppendUint16(nil, uint16(len(literal))))+literal)), 3 * 29_000 * workLiteral},
		{"e.zip", manyOf(t, 3, "a.safetensors", []byte(header("a", 2000))), 3 * (1900*workMetadata + 900*workKeyTexts)},
		{"f.zip", overlapping("a.png", append([]byte("\x89PNG\r\n\x1a\n"), make([]byte, 1<<18)...), 1000), 2 * 900 << 18 / 2},
		{"g.json", lines(`{"some_long_name_of_a_key_which_is":"aaaaaaaa"}`, 100), 100 * 32 * workExpression},
		{"h.json", lines(`{"a":"`+strings.Repeat(`\\x4`, 100)+`"}`, 100), 100 * 300 * workExpression},
	} {
		tr := newTrace(t.Context(), &Options{}, int64(len(test.data)))
		tr.content(inMemory(test.data), place{file: test.name, name: test.name})
		if got := maxWork - tr.spent.work; got < test.least {
			t.Errorf("%s took %d, want %d or more", test.name, got, test.least)
		}
	}
}

// TestLongNames holds how much of the name of a member stands in places, and that
// what is left of long ones tells them apart.
func TestLongNames(t *testing.T) {
	long := strings.Repeat("n", 60_000)
	data := []byte("import os\nimport sys\n")
	for i := range 3 {
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		for _, name := range []string{long + fmt.Sprint(i), long + fmt.Sprint(i+1)} {
			f, err := w.CreateHeader(&zip.FileHeader{Name: name})
			if err == nil {
				_, err = f.Write(data)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		data = b.Bytes()
	}
	f := reader(t, "a.zip", data, Options{})
	places := map[string]bool{}
	for _, finding := range f.Findings {
		if len(finding.File) > 3*(maxMemberName+40) {
			t.Errorf("a place of %d bytes", len(finding.File))
		}
		if finding.ID == "ST351" {
			places[finding.File] = true
		}
	}
	if len(places) != 8 {
		t.Errorf("%d places of programs, want 8", len(places))
	}
}

// TestSevenHeader states that the header of a 7z archive asks for no more than its
// bytes: parts and blocks are counted, and each section stands once.
func TestSevenHeader(t *testing.T) {
	archive := func(header string) []byte {
		start := binary.LittleEndian.AppendUint64(nil, 1)
		start = binary.LittleEndian.AppendUint64(start, uint64(len(header)))
		start = binary.LittleEndian.AppendUint32(start, crc32.ChecksumIEEE([]byte(header)))
		out := binary.LittleEndian.AppendUint32([]byte("7z\xbc\xaf\x27\x1c\x00\x04"), crc32.ChecksumIEEE(start))
		return append(append(append(out, start...), 'a'), header...)
	}
	number := func(n uint64) string { return "\xff" + string(binary.LittleEndian.AppendUint64(nil, n)) }
	const blocks = "\x01\x04\x07\x0b"
	for _, test := range []struct {
		name, header, want string
	}{
		{"parts", blocks + number(3) + "\x00" + strings.Repeat("\x01\x01\x00", 3) + "\x0c\x01\x01\x01\x00\x08\x0d" + strings.Repeat(number(90_000), 3) + strings.Repeat("\x00", 100_000), "ST404"},
		{"blocks", blocks + number(maxBlocks+1) + "\x00" + strings.Repeat("\x01\x01\x00", maxBlocks+1) + "\x00", "ST404"},
		{"sections", blocks + number(1) + "\x00\x01\x01\x00\x0c\x01\x00" + strings.Repeat("\x08\x00", 1000), "ST402"},
		{"files", "\x01" + strings.Repeat("\x05"+number(100)+"\x00", 1000), "ST402"},
	} {
		f := reader(t, "a.7z", archive(test.header), Options{})
		found := false
		for _, finding := range f.Findings {
			found = found || finding.ID == test.want
		}
		if !found || f.Verdict == Clean {
			t.Errorf("%s: %s, want %s: %+v", test.name, f.Verdict, test.want, f.Findings)
		}
	}
}
