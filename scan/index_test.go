package scan

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// TestShardNames compares the names that an index has with what encoding/json
// makes of it.
func TestShardNames(t *testing.T) {
	var many strings.Builder
	many.WriteString(`{"weight_map":{"a":"x"`)
	for i := range 100_000 {
		fmt.Fprintf(&many, `,"k%d":"f%d"`, i, i%300)
	}
	many.WriteString("}}")
	for _, text := range []string{
		`{}`, `{"weight_map":{}}`, `{"weight_map":null}`, `{"metadata":{"weight_map":{"a":"no"}},"weight_map":{"a":"x","b":"y","c":"x"}}`,
		`{"weight_map":{"a":{"b":"no"},"c":["no"],"d":"x","e":1,"f":null,"g":true}}`, `{"weight_map":["a"]}`, `{"weight_map":"a"}`, `{"weight_map":1}`,
		`["weight_map"]`, `{"weight_map":{"a":"x"}} `, `{"weight_map":{"a":"x"}}{}`, `{"weight_map":{"a":"x"}`, `{"weight_map":{"a":"x",}}`, `{"a":"weight_map","b":{"c":"no"}}`,
		`{"weight_map":{"a":"\u0078"},"z":[{"weight_map":{"a":"no"}}]}`, many.String(),
	} {
		var index struct {
			Map map[string]any `json:"weight_map"`
		}
		fails := json.Unmarshal([]byte(text), &index)
		want := []string{}
		for _, v := range index.Map {
			if name, ok := v.(string); ok && !slices.Contains(want, name) {
				want = append(want, name)
			}
		}
		slices.Sort(want)
		s := &scanner{fsys: fstest.MapFS{"i.json": {Data: []byte(text)}}}
		got, err := s.shardNames("i.json", nil)
		if (err != nil) != (fails != nil) {
			t.Errorf("%.80s: %v, and by encoding/json %v", text, err, fails)
		} else if diff := cmp.Diff(want, got); err == nil && diff != "" {
			t.Errorf("%.80s: %s", text, diff)
		}
	}
}

// TestCutIndex: what is cut off is told in words, not by the name of Go's error.
func TestCutIndex(t *testing.T) {
	fsys := fstest.MapFS{"m/model.safetensors.index.json": &fstest.MapFile{Data: []byte(`{"weight_map":{"a":"x"`)}}
	r, err := Path(context.Background(), fsys, "m", Options{})
	if err != nil {
		t.Fatal(err)
	}
	told := ""
	for _, f := range r.Files[0].Findings {
		if f.ID == "ST506" {
			told += f.Message
		}
	}
	if want := "the index is not what one is: it ends too soon"; told != want {
		t.Errorf("ST506 says %q, want %q", told, want)
	}
}

// TestIndexAlone states that an index which is scanned by itself tells what it
// names that is elsewhere, or not there.
func TestIndexAlone(t *testing.T) {
	fsys := fstest.MapFS{
		"m/a.safetensors":                {Data: []byte(file(one+"  ", 4))},
		"m/model.safetensors.index.json": {Data: []byte(`{"weight_map":{"a":"a.safetensors","b":"../x","c":"/etc/passwd","d":"b.safetensors"}}`)},
		"m/good.safetensors.index.json":  {Data: []byte(`{"weight_map":{"a":"a.safetensors"}}`)},
		"m/vectors.index.json":           {Data: []byte(`[1, 2]`)},
	}
	for name, want := range map[string][]string{
		"m/model.safetensors.index.json": {`names "../x", which is outside of its directory`, `names "/etc/passwd", which is outside of its directory`, `names "b.safetensors", which is not there`},
		"m/good.safetensors.index.json":  nil,
		"m/vectors.index.json":           nil,
	} {
		r, err := Path(context.Background(), fsys, name, Options{})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range r.Files[0].Findings {
			got = append(got, f.Message)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
