package scan

import (
	"slices"
	"testing"
)

// TestReached has a file for each rule that no case of the corpora meets.
func TestReached(t *testing.T) {
	wire := func(number int, parts ...string) string { // of less than 128 bytes
		text := ""
		for _, p := range parts {
			text += p
		}
		return string([]byte{byte(number<<3 | 2), byte(len(text))}) + text
	}
	// A ModelProto of onnx.proto3: version, graph, the sets of operators.
	onnx := func(domain string, graph ...string) []byte {
		return []byte("\x08\x08" + wire(7, graph...) + wire(8, wire(1, domain), "\x10\x11"))
	}
	var m hdf5Maker
	objects := m.done(m.put(hdf5Header(hdf5Attr("PSEUDOATOM", "object", "\x02\x00\x00\x00"))))
	for _, test := range []struct {
		id, name string
		data     []byte
		want     Verdict
	}{
		{"ST329", "a.pkl", []byte("\x80\x02c_codecs\nencode\nX\x02\x00\x00\x00abX\x06\x00\x00\x00utf-16\x86R."), VerdictSuspicious},
		{"ST343", "a.pt", zipOfAll("a/data.pkl", "\x80\x02}.", "a/code/__torch__.py", "def forward(self, x):\n  return ops.mylib.run(x)\n", "a/version", "3\n"), VerdictSuspicious},
		{"ST359", "a.h5", objects, VerdictSuspicious},
		{"ST371", "a.onnx", onnx("org.example"), VerdictSuspicious},
		{"ST371", "node.onnx", onnx("", wire(1, wire(4, "Run"), wire(7, "org.example"))), VerdictSuspicious},
		{"ST372", "a.onnx", onnx("", wire(1, wire(4, "PyOp"))), VerdictDangerous},
		{"ST373", "a.onnx", onnx("", wire(5, wire(13, wire(1, "location"), wire(2, "x.bin")), wire(13, wire(1, "__class__"), wire(2, "x")))), VerdictSuspicious},
		{"ST418", "a.zip", zipOfAll("a\x1b[31m.txt", "words"), VerdictSuspicious},
	} {
		f := reader(t, test.name, test.data, Options{})
		if !slices.ContainsFunc(f.Findings, func(g Finding) bool { return g.ID == test.id }) || f.Verdict != test.want {
			t.Errorf("%s %s: %s (%s), %v; want %s", test.id, test.name, f.Verdict, f.Format, f.Findings, test.want)
		}
	}
}
