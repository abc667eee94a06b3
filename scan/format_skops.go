package scan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/tensmith/tensmith/pickle"
)

// skops reads an archive of skops: the tree of an object's parts in
// schema.json, each with the module and the class that the loader is to call,
// and arrays beside it (skops/io/_persist.py). Names are judged as those of a
// pickle; two kinds of nodes give any attribute of a module
// (CVE-2025-54412, CVE-2025-54413).
func (z *zipFile) skops() bool {
	var schema *member
	for i := range z.d.members {
		m := &z.d.members[i]
		if z.d.name(m) == "schema.json" && m.readable {
			schema = m
		}
	}
	if schema == nil {
		return false
	}
	own := strings.HasSuffix(strings.ToLower(z.at.name), ".skops")
	data, ok := z.open(schema)
	if !ok {
		return own
	}
	head, err := data.at(0, maxSource)
	if err != nil || !own && !bytes.Contains(head, []byte(`"__loader__"`)) {
		return own
	}
	z.t.skopsNames(data, z.at.in("schema.json"))
	for i := range z.d.members {
		m := &z.d.members[i]
		in := z.at.in(z.d.name(m))
		if what := skopsNode(z.d.name(m)); what != "" {
			z.t.note("ST385", in, m.entry, what, "a member called after "+what)
		}
		switch lower := strings.ToLower(z.d.name(m)); {
		case m == schema, strings.HasSuffix(lower, ".npy"), strings.HasSuffix(lower, ".npz"), strings.HasSuffix(lower, ".bin"):
		case strings.HasSuffix(lower, ".json"):
			if part, ok := z.open(m); ok {
				z.t.skopsNames(part, in)
			}
			fallthrough
		default:
			z.t.note("ST386", in, m.entry, "member", "a member that skops does not write")
		}
	}
	return true
}

// skopsNode returns what in a text names a node that reaches any attribute.
func skopsNode(text string) string {
	for _, name := range []string{"OperatorFuncNode", "MethodNode", "__getattr__", "__getattribute__"} {
		if strings.Contains(text, name) {
			return name
		}
	}
	return ""
}

// skopsNames judges the names in a tree.
func (t *trace) skopsNames(b blob, at place) {
	type object struct{ module, class, key string }
	var open []object
	d := json.NewDecoder(io.NewSectionReader(b, 0, min(b.size, maxJSON)))
	d.UseNumber()
	isKey := false
	for t.ctx.Err() == nil {
		tok, err := d.Token()
		if err != nil {
			return // told by whoever reads it as JSON
		}
		if t.spent.tokens--; t.spent.tokens < 0 || len(open) > 10_000 {
			t.note("ST404", at, d.InputOffset(), "", "a tree of more parts than a scan reads")
			return
		}
		switch tok := tok.(type) {
		case json.Delim:
			switch tok {
			case '{', '[':
				o := object{}
				if tok == '[' {
					o.key = "[" // elements have no key
				}
				open = append(open, o)
				isKey = tok == '{'
				continue
			}
			o := open[len(open)-1]
			open = open[:len(open)-1]
			t.skopsClass(at, d.InputOffset(), o.module, o.class)
			if len(open) == 0 {
				return
			}
		case string:
			if what := skopsNode(tok); what != "" {
				t.note("ST385", at, d.InputOffset(), what, "a part of the kind "+what)
			}
			if len(open) == 0 {
				return
			}
			o := &open[len(open)-1]
			if o.key != "[" {
				if isKey {
					o.key, isKey = clip(tok, 64), false
					continue
				}
				switch o.key {
				case "__module__":
					o.module = tok
				case "__class__":
					o.class = tok
				}
			}
		}
		isKey = len(open) > 0 && open[len(open)-1].key != "["
	}
}

// skopsLibraries are those whose classes skops is for; names of them that run
// code are judged before.
var skopsLibraries = []string{"sklearn", "numpy", "scipy", "builtins", "collections", "xgboost", "lightgbm", "catboost", "quantile_forest"}

// skopsClass judges the class of a part.
func (t *trace) skopsClass(at place, offset int64, module, class string) {
	if module == "" || class == "" {
		return
	}
	name := module + "." + class
	v, why := pickle.Judge(&pickle.Symbol{Module: module, Name: class, WrittenModule: module, WrittenName: class})
	top, _, _ := strings.Cut(module, ".")
	switch {
	case v == pickle.Dangerous:
		t.note("ST385", at, offset, clip(name, 80), fmt.Sprintf("names %+q: %s", clip(name, 80), why))
	case v == pickle.Allowed || slices.Contains(skopsLibraries, top):
	default:
		t.note("ST386", at, offset, clip(name, 80), fmt.Sprintf("names %+q: %s", clip(name, 80), why))
	}
}
