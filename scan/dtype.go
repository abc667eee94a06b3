package scan

import (
	"strconv"
	"strings"

	"github.com/tensmith/tensmith/pickle"
)

// A dtype is what matters here of a type of NumPy's elements.
type dtype struct {
	known  bool
	width  int64 // bytes of an element, 0 if unknown
	object bool  // NumPy takes it for one that holds objects
	lies   bool  // and its parts say otherwise
}

// maxFields bounds how many types within types are looked at.
const maxFields = 4096

// dtypeOf reads a type of NumPy, to which a state is about to be given, or none.
func (s *spending) dtypeOf(v pickle.Value, state ...pickle.Value) dtype {
	left := maxFields
	d := readDtype(v, state, &left, 8)
	s.pickles -= int64(maxFields-left) * elementsWork
	return d
}

// readDtype reads a type of up to depth types within each other. The state is a
// version, the byte order, a type and a shape, names, fields, bytes, alignment
// and flags (numpy/_core/src/multiarray/descriptor.c, arraydescr_setstate); the
// first flag says that there are objects, and readers go by it.
func readDtype(v pickle.Value, state []pickle.Value, left *int, depth int) dtype {
	o, ok := v.(*pickle.Object)
	if *left--; !ok || *left < 0 || depth == 0 {
		return dtype{}
	}
	sym, args := o.Symbol(), o.ArgList()
	d := dtype{known: true}
	extended := false // its bytes stand in the state
	switch {
	case sym != nil && sym.Module == "numpy.dtypes":
		name := strings.ToLower(strings.TrimSuffix(sym.Name, "DType"))
		d.width, d.object = namedSizes[name], name == "object" || name == "string"
	case sym.Is("numpy", "dtype") && len(args) > 0:
		code, _ := pickle.Text(args[0])
		*left -= len(code) / 8
		d.width, d.object = codeSize(code)
		switch of := args[0].(type) {
		case *pickle.Symbol:
			d.width, d.object = classSize(of)
		case *pickle.Object: // told as odd
			inner := readDtype(of, nil, left, depth-1)
			d.width, d.object, d.lies = inner.width, inner.object, inner.lies
		}
		code = strings.TrimLeft(code, orders)
		// A name such as float32 is no pickler's, and has a width of its own.
		extended = code != "" && strings.IndexByte("VSUa", code[0]) >= 0 && strings.Trim(code[1:], "0123456789") == ""
	default:
		return dtype{}
	}
	for _, s := range append(o.States(), state...) {
		tuple, ok := s.(*pickle.Tuple)
		if !ok || len(tuple.Items) < 6 {
			continue
		}
		if n, ok := tuple.Items[5].(int64); ok && n > 0 && extended {
			d.width = n
		}
		part := func(v pickle.Value) {
			if pair, ok := v.(*pickle.Tuple); ok && len(pair.Items) > 0 {
				inner := readDtype(pair.Items[0], nil, left, depth-1)
				d.object = d.object || inner.object
				d.lies = d.lies || inner.lies
				d.known = d.known && inner.known
			}
		}
		part(tuple.Items[2])
		if fields, ok := tuple.Items[4].(*pickle.Dict); ok {
			for _, p := range fields.Pairs {
				if *left--; *left < 0 {
					d.known = false
					break
				}
				part(p.Value)
			}
		}
		if len(tuple.Items) > 7 {
			flags, ok := tuple.Items[7].(int64)
			d.lies = d.lies || !ok || d.object != (flags&1 != 0)
			d.object = flags&1 != 0
		}
	}
	return d
}

var namedSizes = map[string]int64{
	"bool": 1, "int8": 1, "uint8": 1, "int16": 2, "uint16": 2, "int32": 4, "uint32": 4, "int64": 8, "uint64": 8,
	"float16": 2, "float32": 4, "float64": 8, "complex64": 8, "complex128": 16, "datetime64": 8, "timedelta64": 8, "longdouble": 16, "clongdouble": 32,
}

// classSize knows the classes in place of a type: NumPy takes all that it does not
// know for objects.
func classSize(class *pickle.Symbol) (width int64, object bool) {
	name := strings.TrimSuffix(class.Name, "_")
	switch {
	case class.Module == "numpy" && namedSizes[name] > 0:
		return namedSizes[name], false
	case class.Is("ml_dtypes", "bfloat16"):
		return 2, false
	case class.Module == "ml_dtypes" && isNarrow(class):
		return 1, false
	case class.Module == "numpy" && (name == "str" || name == "bytes" || name == "void"), class.Is("builtins", "str"), class.Is("builtins", "bytes"):
		return 0, false
	case class.Is("builtins", "int"), class.Is("builtins", "float"):
		return 8, false
	case class.Is("builtins", "bool"):
		return 1, false
	case class.Is("builtins", "complex"):
		return 16, false
	}
	return 8, true
}

// isNarrow knows the types of ml_dtypes, which have a byte each even for four bits.
// What else is in that module NumPy takes for an object.
func isNarrow(class *pickle.Symbol) bool {
	v, _ := pickle.Judge(class)
	return v == pickle.Allowed
}

// orders are the marks of the order of bytes before a code.
const orders = "<>|="

// codeSize reads a code such as "<f4".
func codeSize(code string) (width int64, object bool) {
	code = strings.TrimLeft(code, orders)
	if n, known := namedSizes[code]; known {
		return n, false
	}
	switch {
	case code == "":
		return 0, false
	case strings.ContainsAny(code, ",(") || code[0] >= '0' && code[0] <= '9':
		// Fields, or a shape before the type, as no writer has them: "f8,2O".
		for part := range strings.FieldsFuncSeq(code, func(r rune) bool { return r == ',' || r == ')' }) {
			object = object || isObject(strings.TrimLeft(part, orders+"(0123456789 "))
		}
		return 0, object
	case isObject(code):
		return 8, true
	case code == "?" || code == "b" || code == "B":
		return 1, false
	case code == "h" || code == "H" || code == "e":
		return 2, false
	case code == "i" || code == "I" || code == "f":
		return 4, false
	case code == "q" || code == "Q" || code == "d" || code == "F":
		return 8, false
	case code == "D":
		return 16, false
	case code == "l" || code == "L" || code == "g" || code == "G":
		return 0, false // which depends on the system
	}
	digits := code[1:]
	if i := strings.IndexByte(digits, '['); i >= 0 {
		digits = digits[:i] // M8[ns]
	}
	n, err := strconv.ParseInt(digits, 10, 32)
	if err != nil || n < 0 {
		return 0, false
	}
	if code[0] == 'U' {
		n *= 4
	}
	return n, false
}

// isObject knows O, the names of object_ in all releases, and T, the strings of any
// length of NumPy 2, which are pickled as objects are.
func isObject(code string) bool {
	return code == "T" || strings.HasPrefix(code, "O") || strings.HasPrefix(code, "object")
}

// arrayCall judges the functions and classes of NumPy.
func (w *watcher) arrayCall(e pickle.Event, fn *pickle.Symbol, args []pickle.Value) {
	var dtype pickle.Value
	switch {
	case fn.Is("numpy", "ndarray"):
		w.misuse(e, "", "numpy.ndarray", "is called, and picklers only name it")
		if len(args) > 1 {
			dtype = args[1]
		}
	case fn.Is("numpy", "dtype"):
		if len(args) > 0 {
			_, isClass := args[0].(*pickle.Symbol)
			if _, isText := pickle.Text(args[0]); !isText && !isClass {
				w.misuse(e, "", "numpy.dtype", "is made of what is neither a code nor a class")
			}
		}
		return
	case fn.Name == "scalar" && len(args) > 0:
		dtype = args[0]
	case fn.Name == "_frombuffer" && len(args) > 1:
		dtype = args[1]
	default:
		return
	}
	switch d := w.t.spent.dtypeOf(dtype); {
	case d.object || d.lies:
		w.add("ST308", e, w.known(fn).name, w.known(fn).name+" makes objects of bytes")
	case !d.known:
		w.misuse(e, "", w.known(fn).name, "has a type of elements that is none")
	}
}

// wrapper judges the description of an array between the opcodes. joblib goes by
// its attributes, and calls some of them.
func (w *watcher) wrapper(e pickle.Event, o *pickle.Object) {
	const name = "joblib.numpy_pickle.NumpyArrayWrapper"
	sound := onlyKeys(e.Arg, "subclass", "shape", "order", "dtype", "allow_mmap", "numpy_array_alignment_bytes")
	if !sound || o.Op.String() != "NEWOBJ" || len(o.ArgList()) > 0 || len(o.States()) > 0 {
		w.misuse(e, Dangerous, name, "is not described as joblib does, which reads other bytes then")
	}
}

// arrayState looks for arrays of objects that are given as raw memory: the
// state is a version, which the oldest have not, the shape, the type of the
// elements, their order and their bytes.
func (w *watcher) arrayState(e pickle.Event, state []pickle.Value) {
	if len(state) == 5 {
		state = state[1:]
	}
	if len(state) != 4 {
		w.misuse(e, "", "numpy.ndarray", "is given a state that no pickler gives it")
		return
	}
	d := w.t.spent.dtypeOf(state[1])
	_, isList := state[3].(*pickle.List)
	switch {
	case d.lies, d.object && !isList:
		w.add("ST308", e, "", "an array of objects whose pointers are given as bytes")
	case !d.known:
		w.misuse(e, "", "numpy.ndarray", "has a type of elements that is none")
	}
}

func isArray(sym *pickle.Symbol) bool {
	return sym.Is("numpy.core.multiarray", "_reconstruct") || sym.Is("numpy._core.multiarray", "_reconstruct") || sym.Is("numpy", "ndarray")
}
