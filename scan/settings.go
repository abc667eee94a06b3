package scan

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// Settings in text that name what a program imports and calls. All that is
// needed of them are the names, so they are searched and not parsed.

var (
	// yamlTag has the tags with which PyYAML makes objects, of whatever handle, and
	// those of HyperPyYAML, which SpeechBrain's models have.
	yamlTag = regular(`(?:![\w-]*!?|tag:yaml\.org,2002:)(?:python/)?(?:object/apply|object/new|object|name|module|new|apply|applyref):([A-Za-z_][\w.]*)`)

	// Fields of protocol buffers as text: the operator of a node of TensorFlow, and
	// the module of a layer of Caffe.
	textOperator = regular(`\bop\s*:\s*((?:["'][^"'\n]*["']\s*)+)`)
	pythonParam  = regular(`\bpython_param\s*:?\s*[{<][^{}<>]*?\bmodule\s*:\s*["']([\w.]+)["']`)

	writtenAway = regular(`\\x([0-9A-Fa-f]{2})|\\u00([0-9A-Fa-f]{2})|\\U000000([0-9A-Fa-f]{2})|%([0-9A-Fa-f]{2})`)
)

// targetLibraries are those whose classes settings name, and that are
// installed by whoever loads such models.
var targetLibraries = []string{"nemo.", "torch.", "torchvision.", "torchaudio.", "torchmetrics.", "pytorch_lightning.", "lightning.", "transformers.", "diffusers.",
	"megatron.", "omegaconf.", "speechbrain.", "hyperpyyaml.", "sentence_transformers."}

// settings looks for names in a text that is known by its own name.
func (t *trace) settings(text []byte, at place, base int64) {
	lower := strings.ToLower(at.name)
	// An expression is matched where there is a word that it has in any case.
	each := func(re func() *regexp.Regexp, judge func(offset int64, name string), words ...string) {
		if !hasAnyOf(text, words) || !t.work(workExpression*int64(len(text))) {
			return
		}
		const some = 1000 // at a time, for there may be a million
		for begin := 0; ; {
			found := re().FindAllSubmatchIndex(text[begin:], some)
			for _, m := range found {
				if !t.work(workAttribute) {
					return
				}
				judge(base+int64(begin+m[2]), string(text[begin+m[2]:begin+m[3]]))
			}
			if len(found) < some {
				return
			}
			begin += found[some-1][1]
		}
	}
	target := func(offset int64, name string) { t.target(at, offset, name) }
	switch path.Ext(lower) {
	case ".yaml", ".yml":
		// Letters may be written as numbers, in keys as well as in tags.
		if hasAnyOf(text, []string{`\x`, `\u00`, `\U00`, "%"}) && t.work(workExpression*int64(len(text))) {
			text = plainLetters(text)
		}
		text = joinedLines(text)
		t.keyTargets(text, at, base, "_target_", false, target)
		t.tagHandles(text, at, base, target)
		each(yamlTag, target, "object:", "object/", "name:", "module:", "new:", "apply:", "applyref:")
		if lower == "model_config.yaml" {
			t.keyTargets(text, at, base, "target", true, target)
		}
	case ".pbtxt", ".prototxt", ".textproto":
		each(textOperator, func(offset int64, words string) {
			op := strings.Join(strings.FieldsFunc(words, func(r rune) bool { return strings.ContainsRune("\"' \t\r\n", r) }), "")
			if why := fileNodes[string(plainLetters([]byte(op)))]; why != "" {
				t.note("ST374", at, offset, clip(op, 80), "the operator "+clip(op, 80)+" "+why)
			}
		}, "op")
		each(pythonParam, func(offset int64, name string) { t.imported(at, offset, name) }, "python_param")
	}
	if lower == "mlmodel" {
		text = joinedLines(plainLetters(text))
		t.keyTargets(text, at, base, "loader_module", false, func(offset int64, name string) {
			if !strings.HasPrefix(name, "mlflow.") { // its own, which pickles must not name
				t.imported(at, offset, name)
			}
		})
	}
}

// joinedLines puts lines together that go on within quotes.
func joinedLines(text []byte) []byte {
	if !bytes.Contains(text, []byte("\\\n")) && !bytes.Contains(text, []byte("\\\r\n")) {
		return text
	}
	return lineJoin().ReplaceAll(text, nil)
}

func hasAnyOf(text []byte, words []string) bool {
	for _, w := range words {
		if bytes.Contains(text, []byte(w)) {
			return true
		}
	}
	return false
}

// plainLetters writes the letters that are there as their numbers. Where there
// are some, places are only about right.
func plainLetters(text []byte) []byte {
	return writtenAway().ReplaceAllFunc(text, func(m []byte) []byte {
		n, err := strconv.ParseUint(string(m[len(m)-2:]), 16, 8)
		if err != nil || n < ' ' || n > '~' {
			return m
		}
		return []byte{byte(n)}
	})
}

// target judges what settings have called.
func (t *trace) target(at place, offset int64, name string) {
	t.asked(at, offset, name, name, "called")
}

// imported judges a module of which settings have something called.
func (t *trace) imported(at place, offset int64, module string) {
	t.asked(at, offset, module, module+".x", "imported")
}

func (t *trace) asked(at place, offset int64, name, judged, what string) {
	shown := clip(name, 80)
	if runs(judged) {
		t.note("ST366", at, offset, shown, fmt.Sprintf("asks for %+q to be %s", shown, what))
		return
	}
	for _, library := range targetLibraries {
		if strings.HasPrefix(judged, library) {
			return
		}
	}
	t.note("ST367", at, offset, shown, fmt.Sprintf("asks for %+q to be %s, which is unknown", shown, what))
}

// isSettings tells whether a name in lower case is that of a text that settings looks at.
func isSettings(lower string) bool {
	switch path.Ext(lower) {
	case ".yaml", ".yml", ".pbtxt", ".prototxt", ".textproto":
		return true
	}
	return lower == "mlmodel"
}

// classSetting judges a string of JSON whose file is known by its name, in lower
// case, for naming classes and modules that are imported.
func (t *trace) classSetting(at place, lower string, above []string, key, text string, offset int64) {
	switch key {
	case "activation_function", "activation_fn", "sbert_ce_default_activation_function", "tokenizer_class":
		// sentence-transformers imports what has a dot here, and calls it; before 3.4
		// whatever it is.
		if strings.Contains(text, ".") && isDotted(text) && !strings.HasPrefix(text, "nn.") {
			t.target(at, offset, text)
		}
	case "attn_implementation", "_attn_implementation", "experts_implementation", "_experts_implementation":
		// transformers fetches such a repository, and imports it, where kernels is
		// installed; of old, of anyone.
		if repository, _, ok := strings.Cut(text, "/"); ok && repository != "kernels-community" {
			t.note("ST367", at, offset, clip(text, 80), fmt.Sprintf("asks for the code of %+q to be fetched, and imported", clip(text, 80)))
		}
	}
	if len(above) > 0 && above[len(above)-1] == "types" && lower == "config.json" && runs(text) && strings.Contains(text, ".") {
		t.target(at, offset, text) // the modules of an Asym or a Router
	}
	switch lower {
	case "modules.json": // of sentence-transformers
		if key == "type" {
			t.target(at, offset, text)
		}
	case "model_index.json": // of diffusers: a library and a class
		if key == "" && len(above) > 0 && runs(text+".x") {
			t.imported(at, offset, text)
		}
	case "adapter_config.json": // of PEFT
		if key == "parent_library" {
			t.imported(at, offset, text)
		}
	case "manifest.json": // of TorchServe
		module, _, _ := strings.Cut(text, ":")
		switch {
		case key == "handler" && runs(module+".x"):
			t.imported(at, offset, module)
		case key == "requirementsFile":
			t.note("ST367", at, offset, excerpt(text, 80), fmt.Sprintf("asks for the packages of %+q to be installed", excerpt(text, 80)))
		}
	case ".zarray", ".zmetadata", "zarr.json":
		if (key == "id" || key == "name") && (text == "pickle" || text == "numcodecs.pickle") {
			t.note("ST366", at, offset, "pickle", "asks for its pieces to be unpickled")
		}
	}
	// Stable-Baselines3 unpickles what stands so, and no other JSON has a pickle.
	switch serialized := key == ":serialized:"; {
	case serialized || strings.HasPrefix(text, "gA") && len(text) >= 24:
		data := unbase64(text)
		if serialized {
			data = pythonBase64(text)
		}
		if !serialized && (len(data) < 3 || data[0] != 0x80 || data[1] > 5) || len(data) == 0 {
			return
		}
		inner := at.in(fmt.Sprintf("base64@%d", offset))
		if int64(len(data)) > t.spent.nested || inner.depth > maxDepth {
			t.note("ST404", at, offset, "base64", "pickles in base64 of more bytes than a scan looks into")
			_, _, _ = t.skimNames(inMemory(data), 0, at, nil)
			return
		}
		t.spent.nested -= int64(len(data))
		if !serialized {
			inner.loose = true
			t.join(t.within(inMemory(data), inner))
		} else if t.part(kindPickle) {
			t.pickleFile(inMemory(data), inner) // whatever it begins with
		}
	}
}

// pythonBase64 decodes text as Python does if it is not asked to be strict: it passes
// over all that is not of the alphabet, and ends behind the first padding.
func pythonBase64(text string) []byte {
	kept, pads := make([]byte, 0, len(text)), 0
	for i := range len(text) {
		switch c := text[i]; {
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '+', c == '/':
			kept, pads = append(kept, c), 0
			continue
		case c != '=':
			continue
		}
		if pads++; len(kept)%4 >= 2 && len(kept)%4+pads >= 4 {
			break
		}
	}
	if len(kept)%4 == 1 {
		kept = kept[:len(kept)-1] // which Python refuses
	}
	data, _ := base64.RawStdEncoding.DecodeString(string(kept))
	return data
}
