package scan

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// TestIndexTensors holds a scan to what [Check] says of an index and its shards.
func TestIndexTensors(t *testing.T) {
	index := func(text string) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte(`{"metadata":{"total_size":4},"weight_map":{` + text + `}}`)}
	}
	shard := func(name string) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte(padded("{"+entry(name, "F32", "1", 0, 4)+"}", 4))}
	}
	var budget []string
	for i := range 600_000 {
		budget = append(budget, fmt.Sprintf(`"%x":"s"`, i))
	}
	for _, test := range []struct {
		name    string
		index   *fstest.MapFile
		want    string // the ids of the index
		message string
	}{
		{"exact", index(`"a":"a.safetensors","b":"b.safetensors"`), "clean", ""},
		{"not in its file", index(`"a":"a.safetensors","b":"b.safetensors","z":"a.safetensors","y":"b.safetensors"`), "suspicious ST031", `lists tensors that are not in the files it names: 2, the first is "y" in "b.safetensors"`},
		{"in another file", index(`"a":"b.safetensors","b":"a.safetensors"`), "suspicious ST031 ST109", `lists tensors that are not in the files it names: 2, the first is "a" in "b.safetensors"`},
		{"not listed", index(`"b":"b.safetensors","c":"b.safetensors"`), "suspicious ST031", `lists tensors that are not in the files it names: 1, the first is "c" in "b.safetensors"`},
		{"listed twice", index(`"a":"a.safetensors","a":"a.safetensors","b":"b.safetensors"`), "clean", ""},
		{"a broken shard", index(`"a":"cut.safetensors","b":"b.safetensors"`), "clean", ""},
		{"no safetensors", index(`"a":"p.safetensors","b":"b.safetensors"`), "suspicious ST506", ""},
		{"too many", index(strings.Join(budget, ",")), "suspicious ST506 ST404", ""},
	} {
		fsys := fstest.MapFS{"a.safetensors": shard("a"), "b.safetensors": shard("b"), "m.safetensors.index.json": test.index,
			"cut.safetensors": {Data: []byte(file(one, 3))}, "p.safetensors": {Data: []byte("\x80\x02}.")}}
		r, err := Path(context.Background(), fsys, ".", Options{})
		if err != nil {
			t.Fatal(err)
		}
		for i, f := range r.Files {
			if f.Path != "m.safetensors.index.json" {
				continue
			}
			if diff := cmp.Diff("m.safetensors.index.json "+test.want, summary(r)[i]); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.name, diff)
			}
			if test.message != "" && f.Findings[0].Message != test.message {
				t.Errorf("%s: %q, want %q", test.name, f.Findings[0].Message, test.message)
			}
		}
	}
}
