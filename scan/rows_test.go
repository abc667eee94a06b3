package scan_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/tensmith/tensmith/scan"
)

// TestRows: of JSON Lines all values are read, and what stands behind JSON is told.
func TestRows(t *testing.T) {
	const asks = `{"_target_": "os.system"}`
	for _, c := range []struct {
		name, text string
		want       scan.Verdict
		id         string
	}{
		{"one.json", asks, scan.VerdictDangerous, "ST366"},
		{"second.jsonl", "{\"a\": 1}\n" + asks + "\n", scan.VerdictDangerous, "ST366"},
		{"last.json", strings.Repeat("{\"a\": [1, 2]}\r\n", 100_000) + "[" + asks + "]", scan.VerdictDangerous, "ST366"},
		{"without-ends.json", "{}[]{}" + asks, scan.VerdictDangerous, "ST366"},
		{"rows.jsonl", strings.Repeat("{\"prompt\": \"a\"}\n\n", 1000), scan.Clean, ""},
		{"one-and-blanks.json", "[1]\n \t\r\n", scan.Clean, ""},
		{"words-behind.json", "{\"a\": 1}\nand words\n", scan.VerdictSuspicious, "ST405"},
		{"zero-behind.json", "{\"a\": 1}\x00", scan.VerdictSuspicious, "ST405"},
		{"many.jsonl", strings.Repeat("{}\n", 2_000_000), scan.VerdictSuspicious, "ST404"},
	} {
		report, err := scan.Path(t.Context(), fstest.MapFS{c.name: {Data: []byte(c.text)}}, c.name, scan.Options{})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		ids := ""
		for _, f := range report.Files[0].Findings {
			ids += f.ID + " "
		}
		if report.Verdict != c.want || !strings.HasPrefix(ids, c.id) || strings.Count(ids, "ST404") > 1 {
			t.Errorf("%s: %s, %s; want %s, %s", c.name, report.Verdict, ids, c.want, c.id)
		}
	}
}
