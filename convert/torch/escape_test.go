package torch

import (
	"bufio"
	"io"
	"strings"
	"testing"
)

// What CPython 3.11 says: ast.literal_eval of b'…', and of text with
// raw-unicode-escape in Latin-1.
func TestEscapes(t *testing.T) {
	for _, tt := range []struct {
		name string
		next func(*bufio.Reader, []byte) ([]byte, error)
		text string
		want string
		err  error
	}{
		{"repr", escaped, `a\\\'\"\n\r\t\a\b\f\v\x00\xfF\0\17\377\1234\q\8"` + "\xe9", "a\\'\"\n\r\t\a\b\f\v\x00\xff\x00\x0f\xffS4\\q\\8\"\xe9", nil},
		{"repr, digits", escaped, `\x4`, "", io.ErrUnexpectedEOF},
		{"repr, letters", escaped, `\xgg`, "", errEscape},
		{"repr, end", escaped, `a\`, "a", io.ErrUnexpectedEOF},
		{"raw", rawUnicode, `a\u005c\u000a\u00ff\U000000e9\\u0041\n\` + "\xe9", "a\\\n\xff\xe9\\\\u0041\\n\\\xe9", nil},
		{"raw, beyond", rawUnicode, `a\u0100`, "a", errLatin1},
		{"raw, digits", rawUnicode, `\u00f`, "", io.ErrUnexpectedEOF},
		{"raw, letters", rawUnicode, `\u00g0`, "", errEscape},
	} {
		for _, size := range []int{16, 4096} {
			in := &escapedReader{r: bufio.NewReaderSize(strings.NewReader(tt.text), size), next: tt.next}
			got, err := io.ReadAll(in)
			if string(got) != tt.want || err != tt.err {
				t.Errorf("%s: %q, %v, want %q, %v", tt.name, got, err, tt.want, tt.err)
			}
		}
	}
}
