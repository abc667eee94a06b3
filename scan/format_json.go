package scan

import (
	"fmt"
	"io"
	"strings"
)

// maxJSON is how much of a JSON text is read: tokenizers reach 30 MB.
const maxJSON = 64 << 20

// json looks for what makes a program run code: the settings of transformers,
// templates, layers of Keras. It tells whether all is JSON, as far as it is read: a
// value, or a row of them, as JSON Lines and logs have it.
func (t *trace) json(b blob, at place) (whole bool) {
	if claimsModel(at.name) && !strings.HasSuffix(at.name, ".metadata") {
		t.note("ST405", at, 0, "json", "called a model, and is JSON")
	}
	if b.size > maxJSON {
		t.note("ST408", at, maxJSON, "json", fmt.Sprintf("the first %d of %d bytes were looked into", maxJSON, b.size))
	}
	d := newJSONTokens(io.NewSectionReader(b, 0, min(b.size, maxJSON)))
	for whole = t.jsonValue(d, at, 0); whole && t.spent.tokens >= 0 && t.spent.work >= 0 && d.more(); {
		whole = t.jsonValue(d, at, 0)
	}
	if !whole && b.size <= maxJSON && t.ctx.Err() == nil && strings.Contains(at.file, ".keras!") && at.name == "config.json" {
		t.note("ST364", at, 0, "", "the description of the model is no JSON")
	}
	return whole
}

// jsonText reads a value at the beginning of a text, which is base in the file. It
// tells whether it came to its end.
func (t *trace) jsonText(text io.Reader, at place, base int64) bool {
	return t.jsonValue(newJSONTokens(text), at, base)
}

// jsonValue walks the tokens of a value, so that nothing nests deeper than there is
// memory for.
func (t *trace) jsonValue(d *jsonTokens, at place, base int64) bool {
	lower := strings.ToLower(at.name)
	var path []string // keys down to the token; "" for elements of arrays
	var above []under // what they mean, from the first key on
	var open []byte
	key := ""
	var keras kerasReader
	var model jsonModel
	defer func() {
		model.finish(t, at)
		if d.leftOut > 0 {
			t.note("ST408", at, base, "string", fmt.Sprintf("%d bytes of long strings were not looked into", d.leftOut))
			d.leftOut = 0
		}
	}()
	for {
		kind, tok, err := d.next()
		if err != nil || t.ctx.Err() != nil {
			return false // other programs say what is wrong with it
		}
		if t.spent.tokens--; t.spent.tokens < 0 || !t.work(workWord+workSearch*int64(len(tok))) {
			t.note("ST404", at, base+d.offset(), "", fmt.Sprintf("JSON of more than %d words, of which the rest was not read", maxTokens))
			return true // and is JSON as far as it goes
		}
		if len(open) > 10_000 {
			t.note("ST404", at, base+d.offset(), "", "JSON nested deeper than 10,000")
			return false
		}
		switch kind {
		case '{', '[':
			keras.open(kind == '[')
			open = append(open, kind)
			path = append(path, key)
			means := underOf(key)
			if len(above) > 0 {
				means |= above[len(above)-1]
			}
			above = append(above, means)
			key = ""
			continue
		case '}', ']':
			keras.close(t, at, base+d.offset())
			open, path, above = open[:len(open)-1], path[:len(path)-1], above[:len(above)-1]
			if len(open) == 0 {
				return true
			}
			key = ""
			continue
		case 'k':
			if key = tok; len(open) == 1 {
				model.key(key)
			}
			if key == "" {
				key = "\x00"
			}
			continue
		case '"':
			means := underOf(key)
			if len(above) > 0 {
				means |= above[len(above)-1]
			}
			t.jsonString(at, lower, path, means, key, tok, base+d.offset())
			t.secret(at, base+d.offset(), key, tok)
			keras.text(t, at, key, tok, base+d.offset())
			model.text(t, key, tok, base+d.offset())
			if len(open) == 2 && path[1] == "layers" {
				t.layer(at, base+d.offset(), tok)
			}
			switch key {
			case "class_name":
				if tok == "Lambda" || tok == "__lambda__" {
					t.note("ST360", at, base+d.offset(), tok, "a Lambda layer of Keras, whose function is stored as code")
				}
			case "module", "registered_name":
				if key == "module" && tok != "" && !kerasModule(tok) {
					t.note("ST361", at, base+d.offset(), tok, "a class of the module "+clip(tok, 80))
				}
				if key == "registered_name" && strings.ContainsAny(tok, ".>") && !strings.HasPrefix(strings.ToLower(tok), "keras") {
					t.note("ST361", at, base+d.offset(), tok, "a class that a program has registered: "+clip(tok, 80))
				}
			}
		case 't':
			if key == "trust_remote_code" {
				t.note("ST501", at, base+d.offset(), "trust_remote_code", "asks for the code of the repository to be trusted")
			}
		}
		if len(open) == 0 || open[len(open)-1] == '{' {
			key = ""
		}
	}
}

// kerasModule tells whether a module that a model of Keras names is Keras' own.
func kerasModule(module string) bool {
	for _, own := range []string{"keras", "builtins", "keras_nlp", "keras_hub", "keras_cv", "tensorflow", "tf_keras"} {
		if module == own || strings.HasPrefix(module, own+".") {
			return true
		}
	}
	return !strings.Contains(module, ".") // a word of some other JSON
}

// under says that a value stands somewhere below a key of that meaning. It is
// kept for each level, or 10,000 of them would be looked through for each string.
type under uint8

const (
	underAutoMap under = 1 << iota
	underPipelines
	underTemplate
)

func underOf(key string) under {
	switch {
	case key == "auto_map":
		return underAutoMap
	case key == "custom_pipelines":
		return underPipelines
	case isTemplateKey(key):
		return underTemplate
	}
	return 0
}

// jsonString judges a string by the keys that lead to it.
func (t *trace) jsonString(at place, lower string, path []string, means under, key, text string, offset int64) {
	switch {
	case means&underAutoMap != 0:
		t.note("ST502", at, offset, clip(text, 80), fmt.Sprintf("names code for transformers to run: %+q", clip(text, 80)))
	case means&underPipelines != 0:
		t.note("ST502", at, offset, clip(text, 80), fmt.Sprintf("names code of a pipeline: %+q", clip(text, 80)))
	case means&underTemplate != 0, key == "template" && strings.Contains(text, "{"):
		t.template(at, offset, text)
	}
	if key == "_target_" {
		t.target(at, offset, text)
	}
	t.classSetting(at, lower, path, key, text, offset)
	if len(text) >= 24 && key == "code" || key == "function" || key == "lambda" {
		t.embedded(at, offset, text)
	}
}

// isTemplateKey knows chat_template and what else is called like it.
func isTemplateKey(key string) bool { return strings.Contains(key, "chat_template") }

// embedded looks into a string that may be marshalled code, as Keras stores
// that of a Lambda.
func (t *trace) embedded(at place, offset int64, text string) {
	if data := unbase64(text); len(data) > 16 && data[0]&^0x80 == 'c' {
		t.note("ST362", at, offset, "", "compiled code of Python in base64")
	}
}

// escapes are what leads from a template of Jinja into the interpreter.
var escapes = regular(`__(?:class|subclasses|globals|builtins|mro|base|bases|init|import|getattribute|dict|reduce|reduce_ex|code|self|call|loader|spec)__|\\x5f\\x5f|\bos\.(?:system|popen)|\bsubprocess\b|\bpopen\s*\(|\blipsum\b|\bcycler\.|\bjoiner\.__|\bgi_frame\b|\bf_(?:globals|builtins|back)\b|\beval\s*\(|\bexec\s*\(`)

// unusual are what templates of chats do without. They write of requests, and of
// types as dict[str, int].
var unusual = regular(`\|\s*attr\s*\(|\b(?:request|self|config|get_flashed_messages|url_for)\s*(?:\[|\.\s*[a-z_])|\bmap\s*\(\s*["']attr["']|\\(?:x5[fF]|u005[fF]|137)|%c|["']__|\b(?:cycler|joiner|namespace|range)\s*\[|\bdict\s*\[\s*(?:[^\ss]|s(?:[^t]|t(?:[^r]|r\w)))|(?:''|"")\s*\[|["']_+["']\s*\*|\battribute\s*=\s*(?:[^\s"']|["'][^"']*["']\s*[~+])|\b(?:select|reject)attr\s*\(\s*[^\s"')]|\bgroupby\s*\(\s*[^\s"')]|\[\s*\w+\s*[+~]\s*["']|["']_["']\s*[~+]\s*["']_|\{%-?\s*(?:include|import|extends|from)\b|\bhttps?://[^\s"'}]*\{\{`)

// template judges a template of Jinja.
func (t *trace) template(at place, offset int64, text string) {
	if t.spent.shapes < 0 {
		return
	}
	if t.spent.shapes -= int64(len(text)); t.spent.shapes < 0 {
		t.note("ST404", at, offset, "template", fmt.Sprintf("templates of more than %d bytes, of which the rest was not searched", maxTemplates))
		text = text[:min(len(text), 64<<10)]
	}
	if match := escapes().FindString(text); match != "" {
		t.note("ST503", at, offset, match, fmt.Sprintf("a template that reaches into the interpreter: %+q", excerpt(match, 60)))
		return
	}
	if match := unusual().FindString(text); match != "" {
		t.note("ST504", at, offset, match, fmt.Sprintf("a template that does more than lay out a chat: %+q", clip(match, 60)))
	}
}

// noJSON tells of a file that is called JSON, or the manifest of an image, and
// is neither JSON nor JSON with comments, as programs write their settings.
func (t *trace) noJSON(b blob, at place) {
	lower := strings.ToLower(at.name)
	if !strings.HasSuffix(lower, ".json") && !strings.HasSuffix(lower, ".manifest") || t.ctx.Err() != nil || b.size > maxJSON {
		return
	}
	if text, err := b.at(0, maxSource); err == nil && !strings.Contains(string(text), "//") && !strings.Contains(string(text), "/*") {
		t.note("ST405", at, 0, "json", "called JSON, and is none")
	}
}
