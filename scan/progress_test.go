package scan

import (
	"context"
	"testing"
	"testing/fstest"
)

// TestProgress states that progress rises to all bytes of a directory, and with
// Deep to those that are read a second time for their values.
func TestProgress(t *testing.T) {
	model := []byte(file(one+"  ", 4))
	fsys := fstest.MapFS{"a.safetensors": {Data: model}, "b/c.txt": {Data: []byte("words")}}
	for _, deep := range []bool{false, true} {
		last, all := int64(-1), int64(0)
		_, err := Path(context.Background(), fsys, ".", Options{Deep: deep, Progress: func(done, total int64) {
			if done < last || done > total {
				t.Errorf("%d of %d after %d", done, total, last)
			}
			last, all = done, total
		}})
		if err != nil {
			t.Fatal(err)
		}
		want := int64(len(model) + 5)
		if last < want || all < want || !deep && last != all {
			t.Errorf("deep %v: %d of %d, of %d bytes", deep, last, all, want)
		}
	}
}
