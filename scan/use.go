package scan

import (
	"fmt"
	"strings"

	"github.com/tensmith/tensmith/pickle"
)

// That a name is allowed says that it makes data of data. It does not if a
// pickle hands it another function, a class in the place of a number, or a state
// that no pickler gives it: torch._tensor._rebuild_from_type_v2 calls what it is
// handed, torch.jit._pickle.build_intlist returns it, so that BUILD sets
// attributes of a function, and joblib reads other bytes for an array than stand
// in its description. So the uses are listed, too, and all others are told.

// functionModules are those whose allowed names are functions: they are called by
// REDUCE, and handed to nothing.
var functionModules = map[string]bool{
	"_codecs": true, "copyreg": true, "torch.serialization": true, "torch._utils": true, "torch._tensor": true, "torch.tensor": true, "torch.jit._pickle": true,
	"numpy.core.multiarray": true, "numpy._core.multiarray": true, "numpy.core.numeric": true, "numpy._core.numeric": true,
}

// isConstant knows the dtypes, layouts and schemes of torch, which are no
// classes: nothing calls them.
func isConstant(sym *pickle.Symbol) bool {
	return sym.Module == "torch" && sym.Name != "device" && sym.Name[0] >= 'a' && sym.Name[0] <= 'z' ||
		strings.HasPrefix(sym.Name, "torch.") // as pickle names memory formats
}

// takesClass tells whether picklers hand a class to fn.
func takesClass(fn *pickle.Symbol) bool {
	switch fn.Module {
	case "copyreg", "torch._utils", "torch._tensor", "torch.tensor", "numpy.core.multiarray", "numpy._core.multiarray":
		return true
	}
	return fn.Is("collections", "defaultdict") || fn.Is("numpy", "dtype")
}

// misuse tells of an allowed name that is used as no pickler does.
func (w *watcher) misuse(e pickle.Event, severity Severity, name, why string) {
	if w.told("ST311", e, name) {
		return
	}
	w.t.add(Finding{ID: "ST311", Severity: severity, File: w.at.file, Offset: e.Offset, Op: opName(e.Op), Name: name, Message: name + " " + why})
}

// use judges the call of an allowed name.
func (w *watcher) use(e pickle.Event, o *pickle.Object, fn *pickle.Symbol) {
	op := o.Op.String()
	tuple, ok := o.Args.(*pickle.Tuple)
	name := w.known(fn).name
	switch {
	case isConstant(fn):
		w.misuse(e, "", name, "is a constant, and is called")
		return
	case o.Kwargs() != nil:
		w.misuse(e, "", name, "has keyword arguments")
	case op != "REDUCE" && (op != "NEWOBJ" || functionModules[fn.Module]):
		w.misuse(e, "", name, "is called by "+op)
	case !ok:
		w.misuse(e, "", name, "has arguments that are the result of a call")
		return
	}
	w.arguments(e, fn, tuple.Items)
	switch fn.Module {
	case "copyreg":
		w.reconstructor(e, tuple.Items)
	case "torch._tensor", "torch.tensor":
		w.rebuildType(e, name, tuple.Items)
	case "torch._utils":
		if fn.Name == "_rebuild_parameter_with_state" && len(tuple.Items) > 3 {
			w.attributes(e, name, tuple.Items[3])
		}
	case "torch.jit._pickle":
		// It returns what it is given, which is a list or a dict.
		if len(tuple.Items) > 0 {
			switch tuple.Items[0].(type) {
			case *pickle.Symbol, *pickle.Object, *pickle.Extension:
				w.misuse(e, Dangerous, name, "is handed what is no plain data, and returns it")
			}
		}
	case "numpy", "numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric":
		w.arrayCall(e, fn, tuple.Items)
	case "ml_dtypes":
		w.misuse(e, "", name, "is called, and picklers only name it")
	case "builtins":
		w.bytesCall(e, o, fn, tuple.Items)
	}
}

// arguments looks for functions and classes among the arguments of fn, and in
// tuples of them: what is handed over can be called.
func (w *watcher) arguments(e pickle.Event, fn *pickle.Symbol, args []pickle.Value) {
	classes := takesClass(fn)
	w.spend(len(args) * valueWork)
	for i, arg := range args {
		switch arg := arg.(type) {
		case *pickle.Symbol:
			if i == 0 && (fn.Module == "torch._tensor" || fn.Module == "torch.tensor") {
				continue // judged by rebuildType
			}
			w.argument(e, fn, arg, classes)
		case *pickle.Tuple:
			w.spend(min(len(arg.Items), 64) * valueWork)
			for _, v := range arg.Items[:min(len(arg.Items), 64)] {
				if sym, ok := v.(*pickle.Symbol); ok {
					w.argument(e, fn, sym, classes)
				}
			}
		}
	}
}

func (w *watcher) argument(e pickle.Event, fn, arg *pickle.Symbol, classes bool) {
	switch {
	case w.isLoad(arg):
		w.handed(e, arg)
	case !w.isAllowed(arg): // told already
	case functionModules[arg.Module] && !isConstant(arg):
		w.misuse(e, Dangerous, w.known(fn).name, "is handed the function "+w.known(arg).name)
	case !classes && !isConstant(arg):
		w.misuse(e, "", w.known(fn).name, "is handed the class "+w.known(arg).name)
	}
}

// handed tells of the function that opens checkpoints where it is not called.
func (w *watcher) handed(e pickle.Event, sym *pickle.Symbol) {
	w.loads[sym] = true
	name := w.known(sym).name
	w.add("ST301", e, name, "imports "+name+", which opens checkpoints, and hands it to something")
}

// reconstructor judges copyreg._reconstructor(class, base, state), by which
// protocols 0 and 1 make objects.
func (w *watcher) reconstructor(e pickle.Event, args []pickle.Value) {
	const name = "copyreg._reconstructor"
	class, base := (*pickle.Symbol)(nil), (*pickle.Symbol)(nil)
	if len(args) == 3 {
		if id, ok := args[0].(*pickle.Persistent); ok && isModule(id) {
			return // told with the persistent id
		}
		class, base = symbol(args[0]), symbol(args[1])
	}
	switch {
	case class == nil || base == nil:
		w.misuse(e, "", name, "has other arguments than a class, its base and a state")
	case class.Is("joblib.numpy_pickle", "NumpyArrayWrapper"):
		w.misuse(e, Dangerous, name, "makes the description of an array for joblib, which no pickler makes so")
	case w.isAllowed(base) && base.Module != "builtins":
		w.misuse(e, "", name, "has the base "+base.String())
	}
}

// rebuildType judges _rebuild_from_type_v2(function, type, arguments, state),
// which calls the function.
func (w *watcher) rebuildType(e pickle.Event, name string, args []pickle.Value) {
	if len(args) != 4 {
		w.misuse(e, "", name, "has other arguments than a function, a type, arguments and a state")
		return
	}
	fn := symbol(args[0])
	switch {
	case fn == nil:
		w.add("ST305", e, name, name+" calls what is no plain name")
	case w.isLoad(fn):
		w.handed(e, fn)
	case w.isAllowed(fn) && (fn.Module != "torch._utils" || !strings.HasPrefix(fn.Name, "_rebuild_")):
		w.misuse(e, Dangerous, name, "calls "+w.known(fn).name+", which rebuilds no tensor")
	}
	if _, ok := args[2].(*pickle.Tuple); !ok {
		w.misuse(e, "", name, "has arguments that are no tuple")
	}
	w.attributes(e, name, args[3])
}

// attributes judges a state of which torch sets every entry as an attribute.
func (w *watcher) attributes(e pickle.Event, name string, state pickle.Value) {
	parts := []pickle.Value{state}
	if tuple, ok := state.(*pickle.Tuple); ok {
		parts = tuple.Items[:min(len(tuple.Items), 2)]
	}
	for _, part := range parts {
		dict, ok := part.(*pickle.Dict)
		if !ok {
			continue
		}
		w.spend(min(len(dict.Pairs), 256) * pairWork)
		for _, p := range dict.Pairs[:min(len(dict.Pairs), 256)] {
			if key, ok := pickle.Text(p.Key); !ok || strings.HasPrefix(key, "__") {
				w.misuse(e, Dangerous, name, fmt.Sprintf("sets the attribute %+q", clip(key, 60)))
			}
		}
	}
}

// bytesCall judges how bytes are put together, and looks into them.
func (w *watcher) bytesCall(e pickle.Event, o *pickle.Object, fn *pickle.Symbol, args []pickle.Value) {
	if fn.Name != "bytes" && fn.Name != "bytearray" || len(args) == 0 {
		return
	}
	if _, isText := args[0].(string); isText && fn.Name == "bytearray" {
		w.lookLater(o) // as protocol 2 writes it
		return
	}
	if plainBytes(args[0]) && len(args) == 1 {
		return
	}
	if text := symbolOf(args[0]); text.Is("_codecs", "encode") && len(args) == 1 {
		return // looked into where it is decoded
	}
	w.misuse(e, "", w.known(fn).name, "is made of what is no bytes")
	w.lookLater(o)
}

func plainBytes(v pickle.Value) bool {
	switch v.(type) {
	case []byte, *pickle.ByteArray, pickle.ByteString, pickle.Range:
		return true
	}
	return false
}

// symbolOf is the name of which v is the result of a call, if it is one.
func symbolOf(v pickle.Value) *pickle.Symbol {
	if o, ok := v.(*pickle.Object); ok {
		return o.Symbol()
	}
	return nil
}

// build judges the state that is given to the result of a call.
func (w *watcher) build(e pickle.Event) {
	o, ok := e.Value.(*pickle.Object)
	if !ok {
		return // told as a change
	}
	sym := o.Symbol()
	if sym.Is("copyreg", "_reconstructor") && len(o.ArgList()) == 3 {
		sym = symbol(o.ArgList()[0])
	}
	if sym == nil || !w.isAllowed(sym) {
		return
	}
	name := w.known(sym).name
	if dict, ok := e.Arg.(*pickle.Dict); ok {
		w.spend(min(len(dict.Pairs), 256) * pairWork)
	}
	state, isTuple := e.Arg.(*pickle.Tuple)
	switch {
	case e.Arg == nil:
	case sym.Is("joblib.numpy_pickle", "NumpyArrayWrapper"):
		w.wrapper(e, o)
	case isArray(sym) && isTuple:
		w.arrayState(e, state.Items)
	case (sym.Is("numpy", "dtype") || sym.Module == "numpy.dtypes") && isTuple && len(state.Items) >= 5 && len(state.Items) <= 9:
		if isDate(o) && len(state.Items) != 9 { // the last is its unit, without which NumPy 2.4 reads address 0
			w.misuse(e, "", name, "is a date without its unit, which picklers have in the state")
		}
		if w.t.spent.dtypeOf(o, e.Arg).lies {
			w.add("ST308", e, name, "a type of elements whose flags deny its objects, or claim some: what is read as addresses differs between readers")
		}
	case sym.Is("collections", "OrderedDict") && onlyKeys(e.Arg, "_metadata"):
	case strings.HasPrefix(sym.Module, "torch.distributed.") && (onlyKeys(e.Arg) || isTuple && len(state.Items) != 2):
	case isTensorClass(sym) && isTuple && len(state.Items) > 2:
	case isTuple && len(state.Items) == 2 && functionModules[sym.Module]:
		w.misuse(e, Dangerous, name, "returns something whose attributes are set")
	default:
		w.misuse(e, "", name, "is given a state that no pickler gives it")
	}
}

// isTensorClass knows the classes whose state their __setstate__ takes.
func isTensorClass(sym *pickle.Symbol) bool {
	return sym.Module == "torch.nn.parameter" || (sym.Module == "torch" || sym.Module == "torch.cuda") && strings.HasSuffix(sym.Name, "Tensor")
}

// isDate knows the types of dates and of times between them.
func isDate(dtype *pickle.Object) bool {
	args := dtype.ArgList()
	if len(args) == 0 {
		return false
	}
	code, _ := pickle.Text(args[0])
	code = strings.TrimLeft(code, orders)
	return strings.HasPrefix(code, "M8") || strings.HasPrefix(code, "m8")
}

// onlyKeys tells whether v is a dict that has no other keys than these, or, if
// there are none, than names without underscores before them.
func onlyKeys(v pickle.Value, keys ...string) bool {
	dict, ok := v.(*pickle.Dict)
	if !ok {
		return false
	}
	for _, p := range dict.Pairs[:min(len(dict.Pairs), 256)] {
		key, ok := pickle.Text(p.Key)
		if !ok || len(keys) == 0 && strings.HasPrefix(key, "_") {
			return false
		}
		found := len(keys) == 0
		for _, k := range keys {
			found = found || k == key
		}
		if !found {
			return false
		}
	}
	return len(dict.Pairs) <= 256
}

// changed tells of items and pairs that are put into what is no container.
func (w *watcher) changed(v pickle.Value) {
	o, ok := v.(*pickle.Object)
	if !ok || len(o.Items()) == 0 && len(o.Pairs()) == 0 {
		return
	}
	sym := o.Symbol()
	if sym == nil || !w.isAllowed(sym) {
		return
	}
	if sym.Is("copyreg", "_reconstructor") && len(o.ArgList()) == 3 {
		sym = symbol(o.ArgList()[1])
	}
	holds := false
	name := w.known(sym).name
	switch name {
	case "collections.OrderedDict", "collections.defaultdict", "collections.Counter", "builtins.dict":
		holds = len(o.Items()) == 0
	case "collections.deque", "builtins.list", "builtins.set":
		holds = len(o.Pairs()) == 0
	}
	if !holds {
		w.t.add(Finding{ID: "ST321", File: w.at.file, Offset: o.Offset, Op: opName(o.Op), Name: name, Message: "puts items into what is no container: " + name})
	}
}
