package scan

import (
	"context"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// TestLongTag holds that a tag of megabytes takes little memory and is not called
// clean, nor are declarations that fill all that is read, and that long text in a
// model is no matter.
func TestLongTag(t *testing.T) {
	unhurried(t)
	for name, c := range map[string]struct {
		text string
		id   string
	}{
		"tag.xml":       {"<?xml version=\"1.0\"?><a " + strings.Repeat(`b="c" `, 2_000_000) + "/>", "ST408"},
		"inner.xml":     {"<?xml version=\"1.0\"?><net><layer " + strings.Repeat(`b="c" `, 2_000_000) + "/></net>", "ST408"},
		"directive.xml": {"<?xml version=\"1.0\"?><!DOCTYPE a [" + strings.Repeat(`<!ENTITY b "c">`, 800_000) + "]><a/>", "ST408"},
		"elements.xml":  {"<?xml version=\"1.0\"?><net>" + strings.Repeat(`<layer/>`, 2_000_000) + "</net>", "ST408"},
		"text.xml":      {"<?xml version=\"1.0\"?><net><data>" + strings.Repeat("1.5 ", 1_000_000) + "</data></net>", ""},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f, err := Reader(context.Background(), strings.NewReader(c.text), int64(len(c.text)), name, Options{})
		runtime.ReadMemStats(&after)
		if err != nil {
			t.Fatal(err)
		}
		if got := slices.ContainsFunc(f.Findings, func(f Finding) bool { return f.ID == "ST408" }); got != (c.id != "") || got == (f.Verdict == Clean) {
			t.Errorf("%s: %s, %+v", name, f.Verdict, f.Findings)
		}
		if took := after.TotalAlloc - before.TotalAlloc; strings.HasPrefix(name, "tag") && took > 80<<20 {
			t.Errorf("%s: allocates %d bytes", name, took)
		}
	}
}
