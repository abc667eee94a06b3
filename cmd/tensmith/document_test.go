package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPrintIndented holds documents to what encoding/json makes of them.
func TestPrintIndented(t *testing.T) {
	type row struct {
		Name  string            `json:"name"`
		Shape []uint64          `json:"shape"`
		More  map[string]string `json:"more,omitempty"`
	}
	type embedded struct{ row }
	type document struct {
		Schema  string          `json:"schema"`
		Rows    []row           `json:"rows"`
		Links   []*row          `json:"links"`
		None    []row           `json:"none"`
		Empty   []row           `json:"empty"`
		Left    []row           `json:"left,omitempty"`
		Zero    row             `json:"zero,omitzero"`
		Struct  row             `json:"struct,omitempty"`
		Flag    *bool           `json:"flag,omitempty"`
		Bytes   []byte          `json:"bytes"`
		Any     any             `json:"any"`
		Nothing any             `json:"nothing"`
		Raw     json.RawMessage `json:"raw,omitempty"`
		Map     map[string]int  `json:"map"`
		Not     int             `json:"-"`
	}
	one := row{Name: "<a> & \"b\"\u2028", Shape: []uint64{1, 2}, More: map[string]string{"k": "v", "a": ""}}
	full := document{Schema: "tensmith.x/1", Rows: []row{one, {}}, Links: []*row{&one, nil}, Empty: []row{}, Bytes: []byte("x"), Any: []row{one}, Raw: json.RawMessage(`{"a":[1]}`), Map: map[string]int{"b": 1, "a": 2}}
	for _, v := range []any{full, &full, document{}, one, embedded{one}, []row{one}, map[string]any{"x": full}, "text", nil} {
		var want bytes.Buffer
		e := json.NewEncoder(&want)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		if err := e.Encode(v); err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		out := bufio.NewWriter(&got)
		if err := printIndented(out, v); err != nil {
			t.Fatal(err)
		}
		out.Flush()
		if diff := cmp.Diff(want.String(), got.String()); diff != "" {
			t.Errorf("%T: %s", v, diff)
		}
	}
}

// TestEscaping states that a document has nothing that a terminal acts upon, and
// is the same to programs.
func TestEscaping(t *testing.T) {
	const name = "\u009b31m\u007f\u202e\u2066\u200b\U000e0041 é \U0001f600 \x1b]0;t\a"
	var b bytes.Buffer
	if err := encoder(&b).Encode([]string{name}); err != nil {
		t.Fatal(err)
	}
	const want = `["\u009b31m\u007f\u202e\u2066\u200b\udb40\udc41 é ` + "\U0001f600" + ` \u001b]0;t\u0007"]` + "\n"
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
	var got []string
	if err := json.Unmarshal(b.Bytes(), &got); err != nil || got[0] != name {
		t.Errorf("read again it is %q, %v", got, err)
	}
}
