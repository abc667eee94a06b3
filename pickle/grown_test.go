package pickle_test

import (
	"strings"
	"testing"

	"github.com/tensmith/tensmith/pickle"
)

// TestGrownStackTakesWork states that a stack of more values than picklers have takes
// from the bound on work for what its growth copies, and one that stays small does not.
func TestGrownStackTakesWork(t *testing.T) {
	spent := func(text string) int64 {
		const most = 1 << 30
		left := int64(most)
		d := pickle.NewDecoder(strings.NewReader(text), 0, int64(len(text)))
		d.Work = &left
		if _, err := d.Decode(); err != nil {
			t.Fatal(err)
		}
		return most - left
	}
	const n = 60_000
	if small, deep := spent(strings.Repeat("N0", n)+"N."), spent(strings.Repeat("N", 2*n)+"."); deep < 4*small {
		t.Errorf("a stack of %d values takes %d, and as many opcodes without one %d", 2*n, deep, small)
	}
	if one, two := spent(strings.Repeat("N", 1000)+"."), spent(strings.Repeat("N", 2000)+"."); two > 3*one {
		t.Errorf("1000 values take %d, 2000 take %d", one, two)
	}
}
