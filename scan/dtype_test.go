package scan

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tensmith/tensmith/pickle"
)

// How many bytes an element has, as NumPy 2 says (the itemsize) once it has set
// the state: joblib reads an array by it, and opcodes behind.
func TestWidth(t *testing.T) {
	for _, tt := range []struct {
		code  string
		state int
		want  int64
	}{
		{"U4", 400, 400}, {"<U4", 400, 400}, {">U4", 400, 400}, {"<U400", 4, 4}, {"S3", 400, 400}, {"|S3", 400, 400}, {"|V8", 400, 400},
		{"<f4", 400, 4}, {"i8", 400, 8}, {"|b1", 400, 1}, {"<M8[ns]", 400, 8},
		{"float32", 400, 4}, {"U4,U4", 400, 0}, // fields: not known
	} {
		text := fmt.Sprintf("\x80\x02cnumpy\ndtype\nX%c\x00\x00\x00%s\x89\x88\x87R(K\x03X\x01\x00\x00\x00<NNNI%d\nK\x04K\x00tb.",
			len(tt.code), tt.code, tt.state)
		v, err := pickle.NewDecoder(strings.NewReader(text), 0, int64(len(text))).Decode()
		if err != nil {
			t.Fatalf("%s: %v", tt.code, err)
		}
		if got := new(spending).dtypeOf(v); got.width != tt.want || got.object {
			t.Errorf("%s, %d in its state: %+v, want %d", tt.code, tt.state, got, tt.want)
		}
	}
}
