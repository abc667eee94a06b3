package scan

import (
	"strings"
	"testing"

	"github.com/tensmith/tensmith/pickle"
)

func TestUnfolds(t *testing.T) {
	doubled := func(n int, open, close string) string {
		text := "\x80\x02" + open + close + "q\x00"
		for i := range n {
			text += open + "h" + string(rune(i)) + "h" + string(rune(i)) + close + "q" + string(rune(i+1))
		}
		return text + "."
	}
	lists := func(n int) string {
		text := "\x80\x02]q\x00"
		for i := range n {
			text += "0]q" + string(rune(i+1)) + "(h" + string(rune(i)) + "h" + string(rune(i)) + "e"
		}
		return text + "."
	}
	for name, tt := range map[string]struct {
		text string
		want bool
	}{
		"scalar":                 {"\x80\x02K\x01.", false},
		"40 doubled tuples":      {doubled(40, "(", "t"), false},
		"60 doubled tuples":      {doubled(60, "(", "t"), true},
		"60 doubled lists":       {lists(60), true},
		"100 doubled lists":      {lists(100), true},
		"as a value":             {"\x80\x02}K\x01" + strings.TrimPrefix(strings.TrimSuffix(lists(60), "."), "\x80\x02") + "s.", true},
		"a list in itself":       {"\x80\x02]q\x00h\x00a.", false},
		"a list in itself twice": {"\x80\x02]q\x00(h\x00h\x00e.", true},
		"children and a parent":  {"\x80\x02]q\x00(]h\x00a]h\x00a]h\x00ae.", false},
		"a list thrice":          {"\x80\x02](]q\x00h\x00h\x00e.", false},
		"deep":                   {"\x80\x02" + strings.Repeat("]", 100_000) + strings.Repeat("a", 99_999) + ".", false},
	} {
		d := pickle.NewDecoder(strings.NewReader(tt.text), 0, int64(len(tt.text)))
		d.Drop = func(_, _ pickle.Value) bool { return false } // who drops knows what is shared
		v, err := d.Decode()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := unfolds(v, d); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
