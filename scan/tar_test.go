package scan

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
)

// Python's tarfile opens all of these, and torch what it has opened.
func TestTarChecksums(t *testing.T) {
	member := func(checksum func(sum, signed int) string) []byte {
		head := make([]byte, 512)
		copy(head, "pickle")
		copy(head[100:], "0000644\x000000000\x000000000\x0000000000021\x0000000000000\x00")
		copy(head[148:156], "        ")
		copy(head[156:], "0")
		copy(head[265:], "\xe9")
		sum, signed := 0, 0
		for _, c := range head {
			sum, signed = sum+int(c), signed+int(int8(c))
		}
		copy(head[148:156], checksum(sum, signed))
		data := append(head, "\x80\x02cos\nsystem\n)R."...)
		return append(data, make([]byte, 2048-len(data))...)
	}
	for _, test := range []struct {
		name string
		f    func(sum, signed int) string
	}{
		{"as most have it", func(sum, _ int) string { return fmt.Sprintf("%06o\x00 ", sum) }},
		{"of bytes with a sign", func(_, signed int) string { return fmt.Sprintf("%06o\x00 ", signed) }},
		{"with something behind", func(sum, _ int) string { return fmt.Sprintf("%06o\x00x", sum) }},
		{"with a prefix", func(sum, _ int) string { return fmt.Sprintf("0o%05o ", sum) }},
		{"with underscores", func(sum, _ int) string { return fmt.Sprintf("0_%05o ", sum) }},
		{"in binary", func(sum, _ int) string {
			return string(binary.BigEndian.AppendUint64(nil, 1<<63|uint64(sum)))
		}},
	} {
		data := member(test.f)
		r, err := Reader(t.Context(), bytes.NewReader(data), int64(len(data)), "model.pt", Options{})
		if err != nil {
			t.Fatal(err)
		}
		if r.Verdict != VerdictDangerous || !strings.Contains(fmt.Sprint(r.Findings), "os.system") {
			t.Errorf("%s: %s, %v", test.name, r.Verdict, r.Findings)
		}
	}
	if zeros := make([]byte, 512); isTar(zeros) {
		t.Error("zeros are taken for an archive")
	}
}
