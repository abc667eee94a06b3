package scan

import (
	"fmt"
	"strings"
)

// A jsonModel is what a document tells of being a model, and what stands in it
// that no model needs.
type jsonModel struct {
	learner, nodes, heads bool // keys at its top: of XGBoost, of MXNet
	found                 []jsonFound
	looked                int // places held against commands
}

type jsonFound struct {
	id, name, message string
	offset            int64
}

// maxFound is how many strings of a document are told of.
const maxFound = 16

// key takes a key at the top of the document.
func (j *jsonModel) key(name string) {
	switch name {
	case "learner":
		j.learner = true
	case "nodes":
		j.nodes = true
	case "heads":
		j.heads = true
	}
}

// is tells whether the document is a model, as far as it was read.
func (j *jsonModel) is() bool { return j.learner || j.nodes && j.heads }

// escaped is a row of bytes, written as source writes them.
var escaped = regular(`(?:\\x[0-9a-fA-F]{2}){4,}`)

// escaped returns the first row of escapes in a text.
func (t *trace) escaped(text string) string {
	i := strings.Index(text, `\x`) // without which it takes fifty times as long to find none
	if i < 0 || !t.work(workExpression*int64(len(text)-i)) {
		return ""
	}
	return escaped().FindString(text[i:])
}

// text looks at a string.
func (j *jsonModel) text(t *trace, key, text string, offset int64) {
	if len(j.found) == maxFound || len(text) < 8 {
		return
	}
	add := func(id, name, format string) {
		j.found = append(j.found, jsonFound{id, excerpt(name, 60), fmt.Sprintf(format, shown(key), excerpt(name, 60)), offset})
	}
	short := text[:min(len(text), maxSourceText)]
	left := min(maxCommands, maxTexts-j.looked)
	before := left
	match := commandWithin(short, &left, t)
	j.looked += before - left
	if match != "" {
		add("ST357", match, "%s holds %+q")
	} else if match := t.escaped(short); match != "" {
		add("ST356", match, "%s holds bytes as escapes: %+q")
	} else if key == "library" && isLibraryName(text) {
		add("ST376", text, "%s is %+q, whose operators the model calls")
	} else if len(text) >= 24 && len(text) <= maxSourceText && strings.IndexByte(text, ' ') < 0 {
		if data := unbase64(text); data != nil {
			if match := t.command(string(data)); match != "" {
				add("ST357", match, "%s holds in base64 %+q")
			}
		}
	}
}

// finish tells what was found. What is no model is settings, of which only
// commands count, and less: programs that read them may be made for that.
func (j *jsonModel) finish(t *trace, at place) {
	lower := strings.ToLower(at.name)
	if strings.HasSuffix(lower, ".ipynb") || strings.HasPrefix(lower, "tokenizer") || strings.HasPrefix(lower, "vocab") {
		return // a notebook is made of programs, and words of programs are tokens
	}
	for _, f := range j.found {
		switch {
		case !j.is() && (f.id != "ST357" || isEvaluation().MatchString(f.name)):
			continue
		case f.id == "ST357", strings.Contains(f.name, `\x90\x90\x90\x90`): // a slide of instructions that do nothing
			if !j.is() {
				break
			}
			f.id = "ST353"
		}
		t.note(f.id, at, f.offset, f.name, f.message)
	}
}

// layer judges what a manifest of an image names: a layer, which is an archive
// beside it.
func (t *trace) layer(at place, offset int64, name string) {
	lower := strings.ToLower(name)
	if !strings.HasSuffix(lower, ".tar") && !strings.HasSuffix(lower, ".tar.gz") && !strings.HasSuffix(lower, ".tgz") {
		return
	}
	if leaves(name) {
		t.note("ST507", at, offset, clip(name, 80), fmt.Sprintf("names the layer %+q, outside of its directory", clip(name, 80)))
		return
	}
	t.need(at, name)
}
