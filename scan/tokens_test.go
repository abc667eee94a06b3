package scan

import (
	"strings"
	"testing"
)

// TestTokens states that a document of nothing but words, or of templates, is
// read up to a bound, says so, and hides nothing of what stood before it.
func TestTokens(t *testing.T) {
	unhurried(t)
	const evil = `{"chat_template":"{{ ''.__class__ }}"`
	tests := []struct{ name, text, first, last string }{
		{"words", evil + `,"a":[` + strings.Repeat("0,", maxTokens) + "0]}", "ST503", "ST404"},
		{"templates", evil + `,"a":[` + strings.Repeat(`{"chat_template":"`+strings.Repeat("_", 1<<12)+`"},`, maxTemplates>>12) + "0]}", "ST503", "ST404"},
		{"a tokenizer", `{"a":[` + strings.Repeat("0,", maxTokens-10) + "0]}", "", ""},
	}
	for _, test := range tests {
		f := reader(t, "tokenizer.json", []byte(test.text), Options{})
		first, last := "", ""
		if n := len(f.Findings); n > 0 {
			first, last = f.Findings[0].ID, f.Findings[n-1].ID
		}
		if first != test.first || last != test.last || f.Format != "json" {
			t.Errorf("%s: %s, %s to %s", test.name, f.Format, first, last)
		}
	}
	tree := zipOf("schema.json", []byte(`{"__loader__":"x","a":[`+strings.Repeat("0,", maxTokens)+"0]}"))
	if f := reader(t, "a.skops", tree, Options{}); f.Verdict != VerdictSuspicious {
		t.Errorf("a tree of skops is %s", f.Verdict)
	}
}
