package scan

import (
	"fmt"
	"strings"

	"github.com/tensmith/tensmith/pickle"
)

// Two kinds of settings name what a program imports and calls: the description
// of a Keras model, and the _target_ of Hydra, which NeMo's models have.

// runs tells whether a dotted name is one that pickles must not import, either.
func runs(name string) bool {
	module, last := name, "x"
	if i := strings.LastIndexByte(name, '.'); i > 0 {
		module, last = name[:i], name[i+1:]
	}
	v, _ := pickle.Judge(&pickle.Symbol{Module: module, Name: last, WrittenModule: module, WrittenName: last})
	return v == pickle.Dangerous
}

// A kerasReader judges the strings of a document, once there is a class_name in
// it. That of CVE-2025-1550 stands under module and fn_module, that of
// CVE-2025-49655 is a layer, and those of CVE-2025-8747 and CVE-2025-9906 are
// functions of Keras itself.
type kerasReader struct {
	on      bool
	module  string // that was named last
	objects []kerasObject
}

// A kerasObject is an object or an array that is open: what stands in it and
// in the arrays of it.
type kerasObject struct {
	array    bool
	fetch    bool   // get_file is named
	address  string // is there
	builtins bool   // is the module
	class    string
}

// open and close follow the brackets of the document.
func (k *kerasReader) open(array bool) { k.objects = append(k.objects, kerasObject{array: array}) }

func (k *kerasReader) close(t *trace, at place, offset int64) {
	if len(k.objects) == 0 {
		return
	}
	o := k.objects[len(k.objects)-1]
	k.objects = k.objects[:len(k.objects)-1]
	if k.on && o.builtins && o.class != "" && o.class != "function" && o.class != "type" {
		// Keras writes the name of a function so, or a type, and no object.
		t.note("ST365", at, offset, clip(o.class, 80), "an object of the module builtins: "+clip(o.class, 80))
	}
	if o.array && len(k.objects) > 0 { // the arguments of a call
		parent := &k.objects[len(k.objects)-1]
		parent.fetch = parent.fetch || o.fetch
		if parent.address == "" {
			parent.address = o.address
		}
		k.fetched(t, at, offset)
	}
}

// fetched tells of get_file with an address beside it, or around it.
func (k *kerasReader) fetched(t *trace, at place, offset int64) {
	fetch, address := false, ""
	for i := len(k.objects) - 1; i >= 0; i-- {
		o := &k.objects[i]
		if fetch = fetch || o.fetch; address == "" {
			address = o.address
		}
		if fetch && address != "" {
			t.note("ST365", at, offset, clip(address, 80), "has get_file fetch a file from "+clip(address, 80))
			return
		}
		if !o.array {
			return
		}
	}
}

func (k *kerasReader) text(t *trace, at place, key, text string, offset int64) {
	if k.on = k.on || key == "class_name"; !k.on {
		return
	}
	why, odd := "", ""
	var here kerasObject // of a document that is a bare string
	object := &here
	if len(k.objects) > 0 {
		object = &k.objects[len(k.objects)-1]
	}
	switch key {
	case "class_name":
		object.class = text
	case "module":
		object.builtins = text == "builtins"
	}
	if strings.Contains(text, "://") {
		object.address = text
		k.fetched(t, at, offset)
	}
	switch {
	case key == "module" || key == "fn_module":
		k.module = text
		switch {
		case text == "builtins":
			odd = "a function of the module builtins, or of the program itself"
		case strings.Contains(text, "keras") && kerasModule(text), strings.HasPrefix(text, "tensorflow."):
			// Such as keras itself, of which is the DTypePolicy of every layer.
		case runs(text + ".x"):
			why = "names the module " + clip(text, 80)
		}
	case key == "class_name" && text == "TorchModuleWrapper":
		why = "a layer that unpickles a module of torch"
	case text == "get_file" || strings.HasSuffix(text, ".get_file"):
		object.fetch = true
		k.fetched(t, at, offset)
		odd = "names get_file, which fetches files"
	case strings.HasSuffix(text, "keras.config.enable_unsafe_deserialization"),
		text == "enable_unsafe_deserialization" && strings.HasPrefix(k.module, "keras.config"):
		why = "turns off the checks of Keras"
	case text == "enable_unsafe_deserialization":
		odd = "names what turns off the checks of Keras"
	}
	switch {
	case why != "":
		t.note("ST365", at, offset, clip(text, 80), why)
	case odd != "":
		t.note("ST361", at, offset, clip(text, 80), odd)
	}
}

var hydraTarget = regular(`(?m)^[ \t-]*["']?_target_["']?[ \t]*:[ \t]*["']?([A-Za-z_][A-Za-z0-9_.]*)`)

// targets looks for the _target_ of Hydra in a YAML text (CVE-2025-23304).
func (t *trace) targets(b blob, at place) {
	text, err := b.at(0, 1<<20)
	if err != nil {
		return // told by whoever reads the whole
	}
	for _, m := range hydraTarget().FindAllSubmatchIndex(text, 1000) {
		t.target(at, int64(m[2]), string(text[m[2]:m[3]]))
	}
}

// targetLibraries are those whose classes settings name, and that are
// installed by whoever loads such models.
var targetLibraries = []string{"nemo.", "torch.", "torchvision.", "torchaudio.", "torchmetrics.", "pytorch_lightning.", "lightning.", "transformers.", "diffusers.", "megatron.", "omegaconf."}

// target judges what a _target_ names.
func (t *trace) target(at place, offset int64, name string) {
	shown := clip(name, 80)
	if runs(name) {
		t.note("ST366", at, offset, shown, fmt.Sprintf("asks for %+q to be called", shown))
		return
	}
	for _, library := range targetLibraries {
		if strings.HasPrefix(name, library) {
			return
		}
	}
	t.note("ST367", at, offset, shown, fmt.Sprintf("asks for %+q to be called, which is unknown", shown))
}
