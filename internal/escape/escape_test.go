package escape

import (
	"encoding/json"
	"encoding/xml"
	"testing"
)

func TestEscapes(t *testing.T) {
	for _, test := range []struct{ text, json, xml string }{
		{"plain, ü, 日本\n", "plain, ü, 日本\n", "plain, ü, 日本\n"},
		{"", "", ""},
		{"a\u009b2J\x7f", `a\u009b2J\u007f`, "a&#x9B;2J&#x7F;"},
		{"\u202eevil\u200b", `\u202eevil\u200b`, "&#x202E;evil&#x200B;"},
		{"tag \U000e0041", `tag \udb40\udc41`, "tag &#xE0041;"},
	} {
		if got := string(JSON([]byte(test.text))); got != test.json {
			t.Errorf("JSON(%+q) = %s, want %s", test.text, got, test.json)
		}
		if got := string(XML([]byte(test.text))); got != test.xml {
			t.Errorf("XML(%+q) = %s, want %s", test.text, got, test.xml)
		}
		if test.text == "plain, ü, 日本\n" {
			continue // no text between quotes has a line end
		}
		var back string
		if err := json.Unmarshal(JSON([]byte(`"`+test.text+`"`)), &back); err != nil || back != test.text {
			t.Errorf("JSON of %+q is read as %+q, %v", test.text, back, err)
		}
		if err := xml.Unmarshal(XML([]byte("<a>"+test.text+"</a>")), &back); err != nil || back != test.text {
			t.Errorf("XML of %+q is read as %+q, %v", test.text, back, err)
		}
	}
}
