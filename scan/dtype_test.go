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

// The types of ml_dtypes are numbers, as it has registered them with NumPy. What else is
// in that module NumPy takes for an object, and picklers call none of them.
func TestNarrow(t *testing.T) {
	array := func(class string) string {
		return "\x80\x02cnumpy._core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85c_codecs\nencode\nX\x01\x00\x00\x00bX\x06\x00\x00\x00latin1\x86R\x87R(K\x01K\x04\x85cnumpy\ndtype\n" + class +
			"\x89\x88\x87R(K\x03X\x01\x00\x00\x00<NNNK\x02K\x02K@tb\x89c_codecs\nencode\nX\x08\x00\x00\x00abcdefghX\x06\x00\x00\x00latin1\x86Rtb."
	}
	for _, test := range []struct {
		name, data string
		want       Verdict
	}{
		{"bfloat16", array("cml_dtypes\nbfloat16\n"), Clean},
		{"int4", array("cml_dtypes\nint4\n"), Clean},
		{"no type of elements", array("cml_dtypes\nfinfo\n"), VerdictDangerous},
		{"of another module", array("cmy_dtypes\nbfloat16\n"), VerdictDangerous},
		{"called", "\x80\x02cml_dtypes\nbfloat16\nX\x01\x00\x00\x00x\x85R.", VerdictSuspicious},
	} {
		if f := reader(t, "a.pkl", []byte(test.data), Options{}); f.Verdict != test.want {
			t.Errorf("%s: %s, %v; want %s", test.name, f.Verdict, f.Findings, test.want)
		}
	}
}
