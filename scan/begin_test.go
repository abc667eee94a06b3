package scan

import (
	"strings"
	"testing"
)

// TestMayBegin holds that what mayBegin refuses is nothing that the decoder reads
// the first opcode of.
func TestMayBegin(t *testing.T) {
	for first := range 256 {
		for _, rest := range []string{"", "\x00", "\x02", "\x00\x00\x00\x00", "\x01\x00\x00\x00a.", "os\nsystem\n(S'id'\ntR.", "1\n.", "'a'\n.", "he quick brown fox\n", strings.Repeat("\x00", 16) + "."} {
			data := append([]byte{byte(first)}, rest...)
			if mayBegin(data[:min(len(data), 5)], int64(len(data))) {
				continue
			}
			tr := newTrace(t.Context(), &Options{}, int64(len(data)))
			r := tr.pickles(inMemory(data), place{file: "a", name: "a"})
			if r.count > 0 || r.imports > 0 || r.calls > 0 || tr.has(Dangerous) {
				t.Errorf("%q is refused: %+v, %+v", data, r, tr.findings)
			}
			if before := tr.spent.pickles; before < maxPickles-2*pickleWork {
				t.Errorf("%q takes %d", data, maxPickles-before)
			}
		}
	}
}
