package scan

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/tensmith/tensmith/pickle"
)

// maxText is the length from which text and bytes of a pickle stay in the
// file, and are looked into there.
const maxText = 8 << 10

// A reading is what came of the pickles of a blob.
type reading struct {
	count   int    // pickles read to their STOP
	imports int    // names
	calls   int    // that are not constructors of plain data
	end     int64  // behind the last that was read
	legacy  bool   // the magic number of torch.save before 1.6
	joblib  bool   // arrays between the opcodes
	torch   bool   // storages by persistent id
	keys    keySet // of storages
	whole   bool   // all of the value is needed
	err     error
}

// format is the name of what was read.
func (r *reading) format() string {
	switch {
	case r.legacy:
		return "torch-legacy"
	case r.joblib:
		return "joblib"
	}
	return "pickle"
}

// pickles reads the pickles that stand back to back from the beginning of b,
// and tells what is odd about them. Of what follows them it says nothing.
func (t *trace) pickles(b blob, at place) reading {
	var r reading
	for off := int64(0); off < b.size && t.ctx.Err() == nil; off = r.end {
		into := t
		if r.count > 0 {
			into = t.apart() // what follows a pickle need be none
		}
		v, next, err := into.pickle(b, off, at, &r)
		if into != t && (err == nil || into.has(Dangerous)) {
			t.join(into)
		}
		if err != nil {
			r.err = err
			break
		}
		r.count++
		r.end = next
		if r.count == 1 && isMagic(v) {
			r.legacy = true
			t.legacy(b, next, at, &r)
			break
		}
		if r.count == 2 {
			t.note("ST331", at, off, "", "more than one pickle in the file, of which one call of load reads the first")
		}
	}
	return r
}

// pickle reads the pickle at off and tells where it ends.
func (t *trace) pickle(b blob, off int64, at place, r *reading) (pickle.Value, int64, error) {
	if b.size-off > smallPickle {
		t.large()
	}
	d := pickle.NewDecoder(b, off, b.size)
	d.Limits = pickle.Limits{Memory: t.valueRoom(), Opcodes: max(t.spent.opcodes, 1), Memo: 1 << 23, Stack: 1 << 20, Marks: 1 << 19, String: maxText}
	// What a string holds is read while the values around it are there.
	t.spent.memory /= 2
	defer func() { t.spent.memory *= 2 }()
	w := &watcher{t: t, b: b, at: at, r: r, d: d}
	d.OnEvent = w.event
	d.OnString = w.text
	d.Drop = w.drop
	d.RawAfterBuild = func(o *pickle.Object, off int64) (int64, error) { return t.rawArray(o, b, off, at, r) }
	v, err := d.Decode()
	w.finish(v)
	t.spent.opcodes -= w.opcodes(d.Offset() - off)
	if err == nil {
		t.memo(b, off, d.Offset(), at)
		return v, d.Offset(), nil
	}
	e, ok := errors.AsType[*pickle.Error](err)
	if !ok {
		return nil, off, err // nothing is there
	}
	var raw *rawError
	switch {
	case errors.As(err, &raw):
		t.note("ST402", at, e.Offset, "", "an array between the opcodes: "+raw.Error())
	case tooLong(err):
		t.add(Finding{ID: "ST402", File: at.file, Offset: e.Offset, Op: opName(e.Op), Message: "a name or number longer than any pickler writes: " + e.Err.Error()})
	case errors.Is(err, pickle.ErrLimit):
		t.note("ST404", at, e.Offset, "", "the pickle is over a bound of this scan: "+e.Err.Error())
		t.sweep(b, e.Offset, at)
	case errors.Is(err, pickle.ErrMalformed), errors.Is(err, io.ErrUnexpectedEOF):
		t.add(Finding{ID: "ST402", File: at.file, Offset: e.Offset, Op: opName(e.Op), Message: "the pickle breaks off: " + clip(e.Err.Error(), 200)})
		if e.Op.String() == "FRAME" {
			t.sweep(b, e.Offset+9, at) // what is in it is there for another reader
		}
	case errors.Is(err, errBudget):
		t.note("ST404", at, e.Offset, "", errBudget.Error())
	default:
		t.note("ST401", at, e.Offset, "", e.Err.Error())
	}
	return nil, off, err
}

// tooLong tells whether a bound was met that no sound pickle comes near.
func tooLong(err error) bool {
	e, ok := errors.AsType[*pickle.LimitError](err)
	return ok && (e.Limit == "String" || e.Limit == "Digits")
}

func opName(op pickle.Op) string {
	if op == 0 {
		return ""
	}
	return op.String()
}

// A watcher judges the events of one pickle.
type watcher struct {
	t        *trace
	b        blob
	at       place
	r        *reading
	d        *pickle.Decoder
	getattr  []*pickle.Symbol // imports of it, judged when all calls are known
	members  int              // calls of it that give the member of an enumeration
	loads    map[*pickle.Symbol]bool
	loaded   map[any]bool   // bytes that were read as checkpoints
	kept     []pickle.Value // that the final value need not hold
	later    []pickle.Value // bytes to look into, unless they are read as checkpoints
	decodes  int            // strings decoded for a look into them
	searched int            // long strings that were searched for secrets
	sources  int            // that were searched for programs
	events   int64
}

// maxWatched bounds the values that a watcher keeps besides the final one.
const maxWatched = 4096

// opcodes is about how many opcodes n bytes of a pickle were.
func (w *watcher) opcodes(n int64) int64 { return max(w.events, n/8) }

func (w *watcher) add(id string, e pickle.Event, name, message string) {
	w.t.add(Finding{ID: id, File: w.at.file, Offset: e.Offset, Op: opName(e.Op), Name: name, Message: message})
}

func (w *watcher) keep(v pickle.Value) {
	if len(w.kept) < maxWatched {
		w.kept = append(w.kept, v)
		w.d.Hold(v)
	}
}

func (w *watcher) event(e pickle.Event) {
	w.events++
	switch e.Kind {
	case pickle.KindGlobal:
		w.global(e)
	case pickle.KindCall:
		w.call(e)
	case pickle.KindBuild:
		w.build(e)
	case pickle.KindPersistent:
		w.persistent(e, e.Value.(*pickle.Persistent))
	case pickle.KindExtension:
		ext := e.Value.(*pickle.Extension)
		w.add("ST306", e, fmt.Sprintf("code %d", ext.Code), fmt.Sprintf("extension code %d, which stands for any name", ext.Code))
	case pickle.KindRaw:
	case pickle.KindComputed:
		w.add("ST305", e, "", "imports a name that is the result of a call")
	case pickle.KindChange:
		if sym, ok := e.Value.(*pickle.Symbol); ok {
			w.add("ST307", e, sym.String(), "changes "+sym.String()+" itself")
			return
		}
		w.add("ST321", e, "", "puts state or items where no type of data has them")
	case pickle.KindDiscard:
		w.keep(e.Value)
		name := ""
		switch v := e.Value.(type) {
		case *pickle.Symbol:
			name = v.String()
		case *pickle.Object:
			if sym := v.Symbol(); sym != nil {
				name = sym.String()
			}
		}
		w.add("ST322", e, name, strings.TrimSpace("imports or calls something and drops it: "+name))
	default:
		if id, ok := irregular[e.Kind]; ok {
			message := "no pickler writes that: " + e.Kind.String()
			if e.Detail != "" {
				message += fmt.Sprintf(" %+q", clip(e.Detail, 60))
			}
			w.add(id, e, "", message)
		}
	}
}

// irregular has the rule for what is odd about the bytes of a pickle.
var irregular = map[pickle.Kind]string{
	pickle.KindNumber:   "ST323",
	pickle.KindText:     "ST324",
	pickle.KindFrame:    "ST325",
	pickle.KindProtocol: "ST326",
	pickle.KindMemo:     "ST327",
	pickle.KindLeftover: "ST328",
}

func (w *watcher) global(e pickle.Event) {
	sym := e.Value.(*pickle.Symbol)
	w.r.imports++
	switch {
	case sym.Computed: // told by its own event
		return
	case sym.Is("builtins", "getattr"):
		w.getattr = append(w.getattr, sym)
		return
	case sym.Is("torch.storage", "_load_from_bytes"), isAlias(sym, "torch.storage", "_load_from_bytes"):
		if w.loads == nil {
			w.loads = map[*pickle.Symbol]bool{}
		}
		w.loads[sym] = false
		return
	}
	v, why := pickle.Judge(sym)
	name := sym.String()
	message := "imports " + name + ": " + why
	if sym.WrittenModule != sym.Module || sym.WrittenName != sym.Name {
		message = fmt.Sprintf("imports %s, written %s.%s: %s", name, sym.WrittenModule, sym.WrittenName, why)
	}
	switch {
	case v == pickle.Dangerous:
		w.add("ST301", e, name, message)
	case v == pickle.Suspicious && why == "an unknown name":
		w.add("ST302", e, name, message)
	case v == pickle.Suspicious:
		w.add("ST303", e, name, message)
	}
}

// isAlias tells whether a name leads to another by a longer way.
func isAlias(sym *pickle.Symbol, module, name string) bool {
	return !sym.Computed && sym.Module+"."+sym.Name == module+"."+name
}

func (w *watcher) call(e pickle.Event) {
	o := e.Value.(*pickle.Object)
	switch fn := o.Callable.(type) {
	case *pickle.Symbol:
		w.callSymbol(e, o, fn)
	case *pickle.Persistent:
		w.r.calls++
		if !isModule(fn) {
			w.add("ST305", e, "", "calls what the loader gives for a persistent id")
		}
	default:
		w.r.calls++
		w.add("ST305", e, "", "calls the result of a call")
	}
}

func (w *watcher) callSymbol(e pickle.Event, o *pickle.Object, fn *pickle.Symbol) {
	args := o.ArgList()
	if v, _ := pickle.Judge(fn); v != pickle.Allowed {
		w.r.calls++
		w.keep(o)
	}
	switch {
	case fn.Is("_codecs", "encode"):
		if len(args) != 2 || args[1] != "latin1" {
			name := ""
			if len(args) == 2 {
				name, _ = pickle.Text(args[1])
			}
			w.add("ST329", e, clip(name, 40), fmt.Sprintf("decodes text by %q, not by latin1 as picklers do", clip(name, 40)))
			w.keep(o)
		}
	case fn.Is("builtins", "getattr"):
		if pickle.EnumMember(o) {
			w.members++
		}
		w.lookLater(o)
	case w.isLoad(fn):
		w.nestedLoad(e, o, fn, args)
	case greedy(fn):
		w.room(e, fn, args)
	}
}

func (w *watcher) isLoad(fn *pickle.Symbol) bool {
	_, ok := w.loads[fn]
	return ok
}

// nestedLoad reads the checkpoint that torch.storage._load_from_bytes is
// given.
func (w *watcher) nestedLoad(e pickle.Event, o *pickle.Object, fn *pickle.Symbol, args []pickle.Value) {
	if o.Op.String() == "REDUCE" && len(args) == 1 {
		if data, ok := w.payload(args[0]); ok {
			w.loads[fn] = true
			if w.loaded == nil {
				w.loaded = map[any]bool{}
			}
			switch v := args[0].(type) {
			case []byte:
				if len(v) > 0 {
					w.loaded[&v[0]] = true
				}
			case *pickle.Object, *pickle.ByteArray, pickle.Range, pickle.ByteString:
				w.loaded[v] = true
			}
			at := w.at.in(fmt.Sprintf("bytes@%d", e.Offset))
			if at.depth > maxDepth || data.size > w.t.spent.nested {
				w.t.note("ST404", w.at, e.Offset, "", "checkpoints within the pickle are nested too deep, or too many")
				return
			}
			w.t.spent.nested -= data.size
			w.t.content(data, at)
			return
		}
	}
	w.add("ST301", e, fn.String(), "opens a checkpoint that is not there to be read")
}

// greedy tells whether a constructor takes memory for a number.
func greedy(fn *pickle.Symbol) bool {
	switch fn.Module {
	case "builtins":
		switch fn.Name {
		case "bytes", "bytearray", "range", "list", "tuple", "set", "frozenset":
			return true
		}
	case "torch", "torch.cuda", "torch.storage":
		return strings.HasSuffix(fn.Name, "Storage") || strings.HasSuffix(fn.Name, "Tensor")
	case "numpy":
		return fn.Name == "ndarray"
	}
	return false
}

// room tells of constructors that would fill the memory.
func (w *watcher) room(e pickle.Event, fn *pickle.Symbol, args []pickle.Value) {
	const most = 1 << 26
	product := int64(1)
	multiply := func(v pickle.Value) {
		switch n := v.(type) {
		case int64:
			if n > 0 && product < most {
				product = min(n, most) * product
			}
		case fmt.Stringer: // a *big.Int
			product = most
		}
	}
	for _, arg := range args {
		if tuple, ok := arg.(*pickle.Tuple); ok {
			for _, n := range tuple.Items[:min(len(tuple.Items), 64)] {
				multiply(n)
			}
			continue
		}
		multiply(arg)
	}
	if product >= most {
		w.add("ST332", e, fn.String(), fmt.Sprintf("%s asks for %d or more elements", fn, int64(most)))
	}
}

// build looks for arrays of objects that are given as raw memory.
func (w *watcher) build(e pickle.Event) {
	o, ok := e.Value.(*pickle.Object)
	if !ok || !isArray(o.Symbol()) {
		return
	}
	state, ok := e.Arg.(*pickle.Tuple)
	if !ok || len(state.Items) < 5 {
		return
	}
	if _, isList := state.Items[4].(*pickle.List); isList {
		return
	}
	if dtype, ok := state.Items[2].(*pickle.Object); ok && len(dtype.ArgList()) > 0 {
		if code, _ := pickle.Text(dtype.ArgList()[0]); strings.Contains(code, "O") {
			w.add("ST308", e, "", "an array of objects whose pointers are given as bytes")
		}
	}
}

func isArray(sym *pickle.Symbol) bool {
	return sym.Is("numpy.core.multiarray", "_reconstruct") || sym.Is("numpy._core.multiarray", "_reconstruct") || sym.Is("numpy", "ndarray")
}

// persistent knows the two ids that torch gives meaning to.
func (w *watcher) persistent(e pickle.Event, p *pickle.Persistent) {
	if isModule(p) {
		w.add("ST309", e, "", "a whole module, with the source of its class")
		return
	}
	if tuple, ok := p.ID.(*pickle.Tuple); ok && len(tuple.Items) >= 5 && len(tuple.Items) <= 6 {
		kind, _ := pickle.Text(tuple.Items[0])
		if class, ok := tuple.Items[1].(*pickle.Symbol); ok && kind == "storage" {
			w.r.torch = true
			w.r.keys.add(class, tuple.Items[2], tuple.Items[4])
			if key, ok := tuple.Items[2].(string); ok && strings.ContainsAny(key, `/\`) {
				w.add("ST412", e, key, fmt.Sprintf("the storage key %q is a path", clip(key, 80)))
			}
			return
		}
	}
	if w.at.name == "pickle" {
		switch p.ID.(type) { // the key of a tensor, in a tar of torch 0.1
		case string, pickle.ByteString, int64:
			return
		}
	}
	w.add("ST310", e, "", "asks its loader for something that is no storage of torch")
}

// isModule knows ('module', class, file, source), which old whole modules
// have in the place of a class.
func isModule(p *pickle.Persistent) bool {
	tuple, ok := p.ID.(*pickle.Tuple)
	if !ok || len(tuple.Items) < 2 {
		return false
	}
	kind, _ := pickle.Text(tuple.Items[0])
	_, isClass := tuple.Items[1].(*pickle.Symbol)
	return kind == "module" && isClass
}

// text judges a string or bytes where an opcode has them.
func (w *watcher) text(v pickle.Value, op pickle.Op, offset int64) {
	if _, isArray := v.(*pickle.ByteArray); isArray {
		return // looked into when it is filled
	}
	w.secrets(v, offset)
	w.source(v)
	if _, isText := v.(string); !isText && len(w.loads) > 0 && len(w.later) < maxWatched {
		// It may be what is loaded, which is read there.
		w.later = append(w.later, v)
		w.d.Hold(v)
		return
	}
	w.look(v, offset)
}

// lookLater looks into bytes that are written as text, as soon as it is known
// that they are not loaded.
func (w *watcher) lookLater(o *pickle.Object) {
	if len(w.loads) == 0 || len(w.later) == maxWatched {
		w.look(o, o.Offset)
		return
	}
	w.later = append(w.later, o)
	w.d.Hold(o)
}

// drop tells what need not be kept: tensors, once their storages are known, and
// plain data in long lists and dicts, whose strings were judged.
func (w *watcher) drop(key, value pickle.Value) bool {
	if w.r.whole || len(w.getattr) > 0 || len(w.loads) > 0 {
		return false
	}
	if o, ok := value.(*pickle.Object); ok && key == nil {
		return isTensor(o)
	}
	if name, ok := pickle.Text(key); ok {
		if text, ok := pickle.Text(value); ok && len(name) <= 64 && len(text) <= 512 {
			w.secretPair(name, text)
		}
	}
	if _, isDict := value.(*pickle.Dict); isDict {
		w.pairs(value)
		w.source(value)
	}
	return true
}

// isTensor tells whether a call is one of those by which torch makes tensors,
// with nothing in its arguments that was not judged.
func isTensor(o *pickle.Object) bool {
	sym := o.Symbol()
	if sym == nil || sym.Computed || sym.Module != "torch._utils" || !strings.HasPrefix(sym.Name, "_rebuild_") {
		return false
	}
	if v, _ := pickle.Judge(sym); v != pickle.Allowed {
		return false
	}
	return len(o.ArgList()) > 0 && plainArgs(o.ArgList(), 2)
}

// plainArgs tells whether arguments are few and plain, tuples of such to a depth.
func plainArgs(args []pickle.Value, depth int) bool {
	if len(args) > 16 {
		return false
	}
	for _, v := range args {
		switch v := v.(type) {
		case nil, bool, int64, float64, string, *pickle.Persistent:
		case *pickle.Symbol:
			if verdict, _ := pickle.Judge(v); verdict != pickle.Allowed {
				return false
			}
		case *pickle.Tuple:
			if depth == 0 || !plainArgs(v.Items, depth-1) {
				return false
			}
		case *pickle.Object: // empty hooks, or a tensor that was dropped
			if len(v.ArgList())+len(v.States())+len(v.Items())+len(v.Pairs()) > 0 || v.Kwargs() != nil {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// finish judges what only shows when all of a pickle is known, or all of it
// that there is.
func (w *watcher) finish(v pickle.Value) {
	for sym, used := range w.loads {
		if !used {
			w.t.add(Finding{ID: "ST303", File: w.at.file, Offset: sym.Offset, Op: opName(sym.Op), Name: sym.String(),
				Message: "imports " + sym.String() + ", which opens checkpoints, and does not call it"})
		}
	}
	member := w.members > 0
	getattr := map[any]bool{}
	for _, sym := range w.getattr {
		getattr[sym] = true
	}
	look := func(v pickle.Value) bool {
		if len(getattr) > 0 {
			for i := 0; ; i++ {
				part, there := pickle.Part(v, i)
				if !there {
					break
				}
				if sym, ok := part.(*pickle.Symbol); ok && getattr[sym] {
					o, ok := v.(*pickle.Object)
					member = member && ok && o.Callable == part && pickle.EnumMember(o)
				}
			}
		}
		switch v.(type) {
		case *pickle.Object:
			w.changed(v)
		case *pickle.Dict:
			w.pairs(v)
			w.source(v)
		case *pickle.ByteArray: // which opcodes may have filled
			w.look(v, -1)
		}
		return w.t.ctx.Err() == nil
	}
	roots := append([]pickle.Value{v}, w.kept...)
	for _, root := range roots {
		if sym, ok := root.(*pickle.Symbol); ok && getattr[sym] {
			member = false
		}
	}
	w.d.Walk(&pickle.List{Items: roots}, look)
	for _, v := range w.later {
		if !w.isLoaded(v) {
			w.look(v, -1)
		}
	}
	if unfolds(v, w.d) {
		w.t.note("ST338", w.at, -1, "", "lists, tuples or dicts that hold each other so often that printing or copying them does not end")
	}
	for _, sym := range w.getattr {
		f := Finding{ID: "ST301", File: w.at.file, Offset: sym.Offset, Op: opName(sym.Op), Name: sym.String(), Message: "imports builtins.getattr: reaches other names"}
		if member {
			f.ID, f.Message = "ST304", "the member of an enumeration, as early Pythons 3.11 pickle it"
		}
		w.t.add(f)
	}
}

// changed tells of items and pairs that are put into a tensor.
func (w *watcher) changed(v pickle.Value) {
	o, ok := v.(*pickle.Object)
	if !ok || len(o.Items()) == 0 && len(o.Pairs()) == 0 {
		return
	}
	if sym := o.Symbol(); sym != nil && (sym.Module == "torch._utils" || isArray(sym)) {
		w.t.add(Finding{ID: "ST321", File: w.at.file, Offset: o.Offset, Op: opName(o.Op), Name: sym.String(), Message: "puts items into what is no container: " + sym.String()})
	}
}

// memo looks for keys of the memo that make Python take memory for all keys
// below them, too.
func (t *trace) memo(b blob, off, end int64, at place) {
	const searched, most = 1 << 20, 1 << 20
	if end-off > searched {
		return
	}
	for in, err := range pickle.Disassemble(b, off, end, pickle.Limits{String: maxText}) {
		if err != nil {
			return
		}
		if op := in.Op.String(); op != "LONG_BINPUT" && op != "PUT" {
			continue
		}
		if key, ok := in.Arg.(int64); ok && key > most {
			t.add(Finding{ID: "ST332", File: at.file, Offset: in.Offset, Op: in.Op.String(), Message: fmt.Sprintf("the memo's key %d, for which Python takes memory for as many", key)})
		}
	}
}

// sweep lists the names behind the place where a bound was met. Without the
// stack it takes the two strings before STACK_GLOBAL for its operands.
func (t *trace) sweep(b blob, off int64, at place) {
	var texts [2]string
	left := max(t.spent.opcodes, 1<<20)
	defer func() { t.spent.opcodes = left }()
	for in, err := range pickle.Disassemble(b, off, b.size, pickle.Limits{String: maxText}) {
		if left--; err != nil || left < 0 || t.ctx.Err() != nil {
			return
		}
		sym := &pickle.Symbol{Offset: in.Offset, Op: in.Op}
		text, isText := pickle.Text(in.Arg)
		switch in.Op.String() {
		case "GLOBAL", "INST":
			sym.Module, sym.Name, _ = strings.Cut(text, " ")
		case "STACK_GLOBAL":
			sym.Module, sym.Name = texts[0], texts[1]
		default:
			if isText {
				texts[0], texts[1] = texts[1], text
			}
			continue
		}
		sym.WrittenModule, sym.WrittenName = sym.Module, sym.Name
		if v, why := pickle.Judge(sym); v == pickle.Dangerous {
			t.add(Finding{ID: "ST301", File: at.file, Offset: in.Offset, Op: opName(in.Op), Name: sym.String(), Message: "imports " + sym.String() + ": " + why})
		}
	}
}
