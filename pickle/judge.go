package pickle

import (
	"bytes"
	"strings"
)

// A Verdict says what it means that a pickle names something. The order is
// that of severity.
type Verdict uint8

// The verdicts of [Judge].
const (
	Allowed    Verdict = iota // builds data, and checkpoints need it
	Suspicious                // unknown, or known to be data of some program
	Dangerous                 // can run code, open files or reach a network
)

// String returns a short name that will not change.
func (v Verdict) String() string {
	switch v {
	case Allowed:
		return "allowed"
	case Suspicious:
		return "suspicious"
	}
	return "dangerous"
}

// Judge judges an imported name and says why. It is the mere name that is
// judged: whether it is called does not matter, for it can be handed to
// something that calls it. What no table knows is [Suspicious], never
// [Allowed], and so is a name with dots below a module whose own names are
// allowed. The name is judged both as written and as Python 3 renames it.
func Judge(s *Symbol) (v Verdict, why string) {
	if s.Computed {
		return Dangerous, "the name is the result of a call"
	}
	v, why = judge(s.Module, s.Name)
	if s.WrittenModule != s.Module || s.WrittenName != s.Name {
		if w, reason := judge(s.WrittenModule, s.WrittenName); w == Dangerous && v < w {
			return w, reason
		}
	}
	return v, why
}

// EnumMember tells whether a call of builtins.getattr is the form in which
// early Pythons 3.11 pickle a member of an enumeration: a class that is not
// dangerous, and a plain name. Judge calls getattr itself Dangerous.
func EnumMember(o *Object) bool {
	if !o.Symbol().Is("builtins", "getattr") || o.Op != opReduce {
		return false
	}
	args := o.ArgList()
	if len(args) != 2 {
		return false
	}
	class, ok := args[0].(*Symbol)
	name, isText := args[1].(string)
	if !ok || !isText || name == "" || strings.HasPrefix(name, "_") || strings.Contains(name, ".") {
		return false
	}
	if _, known := coreModules()[class.Name]; known {
		return false
	}
	if class.Name == "" || class.Name[0] < 'A' || class.Name[0] > 'Z' {
		return false // by convention no class: a function or a module
	}
	v, _ := Judge(class)
	return v != Dangerous
}

// maxParts is how many names with dots between them are followed. None that is
// in use has a quarter of them, and each may begin one that is known.
const maxParts = 64

func judge(module, name string) (Verdict, string) {
	var room [128]byte
	path := append(append(append(room[:0], module...), '.'), name...)
	if _, ok := allowedNames()[string(path)]; ok {
		return Allowed, "a constructor of plain data or tensors"
	}
	dotted := strings.Contains(name, ".")
	if module == "numpy.dtypes" && strings.HasSuffix(name, "DType") && !dotted {
		return Allowed, "a dtype of NumPy"
	}
	if why, ok := dataNames[string(path)]; ok {
		return Suspicious, why
	}
	if (strings.HasPrefix(name, "__") || strings.Contains(name, ".__")) && !isCython(name) {
		for part := range strings.SplitSeq(name, ".") {
			if strings.HasPrefix(part, "__") {
				return Dangerous, "reaches into the interpreter through " + part
			}
		}
	}
	// Every dotted prefix: a.b.c is of a, of a.b, and itself.
	if why, ok := dangerous().prefixed(path); ok {
		return Dangerous, why
	}
	// A module is also an attribute of each module that imports it, as in
	// pathlib "os.system" and torch.serialization "os".
	if dotted {
		if strings.Count(name, ".") >= maxParts {
			return Dangerous, "reaches through more names than any that is in use"
		}
		for rest := path[len(module)+1:]; len(rest) > 0; {
			if why, ok := dangerous().prefixed(rest); ok {
				return Dangerous, why + ", reached through " + module
			}
			_, rest, _ = bytes.Cut(rest, []byte("."))
		}
	} else if _, ok := coreModules()[name]; ok {
		return Dangerous, "the module " + name + ", reached through " + module
	}
	if format, ok := strings.CutPrefix(name, "torch."); ok && strings.HasPrefix(module, "torch.") && isMemoryFormat(format) {
		return Allowed, "a constant of torch, in the module where pickle comes upon it"
	}
	for _, row := range dataModules {
		if rest, ok := strings.CutPrefix(module, row.module); ok && (rest == "" || rest[0] == '.') {
			return Suspicious, row.why
		}
	}
	return Suspicious, "an unknown name"
}

// isMemoryFormat knows the formats of torch. They tell pickle their name and not
// their module, so that it looks for one that has "torch.channels_last", such as
// torch._utils.
func isMemoryFormat(name string) bool {
	switch name {
	case "contiguous_format", "channels_last", "channels_last_3d", "preserve_format":
		return true
	}
	return false
}

// isCython knows the functions that Cython makes to unpickle its classes, as
// scikit-learn, pandas and NumPy have them. They make an object and set its
// state.
func isCython(name string) bool {
	return strings.HasPrefix(name, "__pyx_unpickle_") && !strings.Contains(name, ".")
}

// A reasonTable has why a name, and all below it, is what it is. The first parts
// of its names and the longest bound what is looked up.
type reasonTable struct {
	why     map[string]string
	first   map[string]struct{}
	longest int
}

// prefixed looks up path and all its dotted prefixes, the longest first.
func (t *reasonTable) prefixed(path []byte) (string, bool) {
	first, _, _ := bytes.Cut(path, []byte("."))
	if _, ok := t.first[string(first)]; !ok {
		return "", false
	}
	end := len(path)
	if end > t.longest {
		end = bytes.LastIndexByte(path[:t.longest+1], '.')
	}
	for ; end > 0; end = bytes.LastIndexByte(path[:end], '.') {
		if why, ok := t.why[string(path[:end])]; ok {
			return why, true
		}
	}
	return "", false
}
