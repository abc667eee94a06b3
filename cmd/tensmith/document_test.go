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
