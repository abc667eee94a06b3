package scan

import (
	"strings"

	"github.com/tensmith/tensmith/pickle"
)

// The description of a Keras model names what a program imports and calls.

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
	first   string // the module that was named before any class
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
		const step = 3
		if !t.work(step) {
			return // of 10,000 lists around millions of addresses
		}
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
	if !k.on {
		if key == "module" {
			k.first = text
		}
		if k.on = key == "class_name"; !k.on {
			return
		}
		if k.first != "" {
			k.text(t, at, "module", k.first, offset)
		}
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
	case key == "vocabulary" && (leaves(text) || strings.Contains(text, "://")):
		why = "has a vocabulary read from " + clip(text, 80) // CVE-2025-12058
	case key == "vocabulary" && text != "":
		odd = "has a vocabulary read from the file " + clip(text, 80)
	case key == "class_name" && text == "TFSMLayer":
		odd = "a layer that loads a model of TensorFlow from elsewhere"
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
