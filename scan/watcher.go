package scan

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"github.com/tensmith/tensmith/pickle"
)

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
	names    map[nameKey]*knownName
	lastKey  nameKey
	lastName *knownName
	loaded   map[any]bool   // bytes that were read as checkpoints
	kept     []pickle.Value // that the final value need not hold
	later    []pickle.Value // bytes to look into, unless they are read as checkpoints
	decodes  int            // strings decoded for a look into them
	searched int            // long strings that were searched for secrets
	sources  int            // that were searched for programs
	raw      []pickle.Range // arrays between the opcodes
	hashes   hashes
}

// maxWatched bounds the values that a watcher keeps besides the final one.
const maxWatched = 4096

func (w *watcher) add(id string, e pickle.Event, name, message string) {
	w.spend(messageWork)
	w.t.add(Finding{ID: id, File: w.at.file, Offset: e.Offset, Op: opName(e.Op), Name: name, Message: message})
}

// told tells whether add would add nothing, before a message is made.
func (w *watcher) told(id string, e pickle.Event, name string) bool {
	return w.t.told(findingKey{id: id, file: w.at.file, name: clip(name, 200), op: opName(e.Op)})
}

func (w *watcher) keep(v pickle.Value) {
	if len(w.kept) < maxWatched {
		w.kept = append(w.kept, v)
		w.d.Hold(v)
	}
}

// spend takes from what the decoder may still do.
func (w *watcher) spend(n int) { w.t.spent.pickles -= int64(n) }

func (w *watcher) event(e pickle.Event) {
	w.spend(eventWork)
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
		w.strange()
		name := "code " + strconv.FormatInt(e.Value.(*pickle.Extension).Code, 10)
		if !w.told("ST306", e, name) {
			w.add("ST306", e, name, "extension "+name+", which stands for any name")
		}
	case pickle.KindRaw:
	case pickle.KindComputed:
		w.add("ST305", e, "", "imports a name that is the result of a call")
	case pickle.KindChange:
		w.strange()
		if sym, ok := e.Value.(*pickle.Symbol); ok {
			if name := w.known(sym).name; !w.told("ST307", e, name) {
				w.add("ST307", e, name, "changes "+name+" itself")
			}
			return
		}
		w.add("ST321", e, "", "puts state or items where no type of data has them")
	case pickle.KindDiscard:
		w.strange()
		w.keep(e.Value)
		name := ""
		sym, _ := e.Value.(*pickle.Symbol)
		if o, ok := e.Value.(*pickle.Object); ok {
			sym = o.Symbol()
		}
		if sym != nil {
			n := w.known(sym)
			if name = n.name; opName(e.Op) == "POP" && !n.tell(toldPop) {
				return
			}
		}
		if w.told("ST322", e, name) {
			return
		}
		w.add("ST322", e, name, strings.TrimSpace("imports or calls something and drops it: "+name))
	default:
		if id, ok := irregular[e.Kind]; ok {
			w.strange()
			if array, ok := e.Value.(*pickle.Object); ok && e.Kind == pickle.KindFrame {
				// joblib reads the array behind the frame, and then what is left in it.
				left, _ := array.Raw()
				w.t.sweep(w.b, left, w.at)
			}
			if w.told(id, e, "") {
				return
			}
			message := "no pickler writes that: " + e.Kind.String()
			if e.Detail != "" {
				message += fmt.Sprintf(" %+q", excerpt(e.Detail, 60))
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
	if w.isAllowed(fn) {
		w.use(e, o, fn)
	} else {
		w.r.calls++
		w.strange()
		w.keep(o)
	}
	switch {
	case fn.Is("_codecs", "encode"):
		if len(args) != 2 || args[1] != "latin1" {
			name := ""
			if len(args) == 2 {
				name, _ = pickle.Text(args[1])
			}
			if name = clip(name, 40); !w.told("ST329", e, name) {
				w.add("ST329", e, name, fmt.Sprintf("decodes text by %q, not by latin1 as picklers do", name))
			}
			w.keep(o)
		}
	case fn.Is("builtins", "getattr"):
		if w.plainAttribute(o) {
			w.members++
		}
		w.lookLater(o)
	case w.isLoad(fn):
		w.nestedLoad(e, o, fn, args)
	case greedy(fn):
		w.spend(len(args) * valueWork)
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
				if len(v) > 0 && !w.settled(v) {
					w.loaded[&v[0]] = true
				}
			case *pickle.Object, *pickle.ByteArray, pickle.Range, pickle.ByteString:
				w.loaded[v] = true
			}
			if w.t.spent.pickles <= 0 {
				w.t.note("ST404", w.at, e.Offset, "", "more checkpoints within the pickle than a scan reads")
				_, _, _ = w.t.skimNames(data, 0, w.at, nil)
				return
			}
			at := w.at.in(fmt.Sprintf("bytes@%d", e.Offset))
			if at.depth > maxDepth || data.size > w.t.spent.nested {
				w.t.note("ST404", w.at, e.Offset, "", "checkpoints within the pickle are nested too deep, or too many")
				_, _, _ = w.t.skimNames(data, 0, w.at, nil)
				return
			}
			w.t.spent.nested -= data.size
			found := len(w.t.findings) + w.t.dropped
			if w.t.content(data, at) == "torch-legacy" && len(w.t.findings)+w.t.dropped == found && isLegacy(data) {
				// Of a tensor that was pickled whole two short pickles are read, of which
				// nothing has to be told: there may be tens of thousands of them.
				w.t.spent.pickles += (legacyPickles - legacySystem) * (pickleWork - soundWork)
			}
			return
		}
	}
	w.add("ST301", e, w.known(fn).name, "opens a checkpoint that is not there to be read")
}

// settled forgets that the last bytes were to be looked into, for they are read as
// a checkpoint. It tells whether they are v: of whole tensors a pickle may have more
// than are kept to be looked into.
func (w *watcher) settled(v []byte) bool {
	n := len(w.later)
	if n == 0 {
		return false
	}
	last, ok := w.later[n-1].([]byte)
	if !ok || len(last) == 0 || &last[0] != &v[0] {
		return false
	}
	w.later = w.later[:n-1]
	return true
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
	w.strange()
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
	hints := w.hints(v)
	w.secrets(v, offset, hints)
	w.source(v, hints)
	if _, isText := v.(string); !isText && len(w.loads) > 0 && len(w.later) < maxWatched {
		// It may be what is loaded, which is read there.
		w.later = append(w.later, v)
		w.d.Hold(v)
		return
	}
	w.look(v, offset)
}

// hints are those of a string or bytes that are there.
func (w *watcher) hints(v pickle.Value) (found hinted) {
	size, places := 0, 0
	switch v := v.(type) {
	case string:
		size = len(v)
		found, places = find(hintsOf(), v)
	case pickle.ByteString:
		size = len(v)
		found, places = find(hintsOf(), v)
	case []byte:
		size = len(v)
		found, places = find(hintsOf(), v)
	}
	w.spend(size + places*placeWork)
	return found
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

// plainAttribute tells whether a call of getattr is one that picklers write: for
// a member of an enumeration, or for a method of an object whose class is known to
// be a program's, as schedulers and lazy layers of torch hold their own.
func (w *watcher) plainAttribute(o *pickle.Object) bool {
	if pickle.EnumMember(o) {
		return true
	}
	args := o.ArgList()
	if !o.Symbol().Is("builtins", "getattr") || o.Op.String() != "REDUCE" || len(args) != 2 || len(o.States()) > 0 {
		return false
	}
	of, ok := args[0].(*pickle.Object)
	name, isText := args[1].(string)
	if !ok || !isText || strings.HasPrefix(name, "__") || strings.Contains(name, ".") || runs("_."+name) {
		return false
	}
	class := of.Symbol()
	if id, ok := of.Callable.(*pickle.Persistent); ok && isModule(id) {
		class = symbol(id.ID.(*pickle.Tuple).Items[1])
	} else if class.Is("copyreg", "_reconstructor") && len(of.ArgList()) == 3 {
		class = symbol(of.ArgList()[0])
	}
	if class == nil {
		return false
	}
	known := w.known(class)
	return known.verdict == pickle.Suspicious && known.why != "an unknown name"
}

// finish judges what only shows when all of a pickle is known, or all of it
// that there is.
func (w *watcher) finish(v pickle.Value) {
	member := w.members > 0
	getattr := map[any]bool{}
	for _, sym := range w.getattr {
		getattr[sym] = true
	}
	look := func(v pickle.Value) bool {
		if len(getattr) > 0 || len(w.loads) > 0 {
			for i := 0; ; i++ {
				part, there := pickle.Part(v, i)
				if !there {
					break
				}
				sym, ok := part.(*pickle.Symbol)
				if !ok {
					continue
				}
				o, ok := v.(*pickle.Object)
				called := ok && o.Callable == part && i == 0
				if getattr[sym] {
					member = member && called && w.plainAttribute(o)
				}
				if w.isLoad(sym) && !called {
					w.handed(pickle.Event{Offset: sym.Offset, Op: sym.Op}, sym)
				}
			}
		}
		switch v.(type) {
		case *pickle.Object:
			w.changed(v)
		case *pickle.Dict:
			w.pairs(v)
			w.source(v, 0)
		case *big.Int:
			w.number(v)
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
	for sym, used := range w.loads {
		if !used {
			w.t.add(Finding{ID: "ST303", File: w.at.file, Offset: sym.Offset, Op: opName(sym.Op), Name: w.known(sym).name,
				Message: "imports " + w.known(sym).name + ", which opens checkpoints, and does not call it"})
		}
	}
	for _, v := range w.later {
		if !w.isLoaded(v) {
			w.look(v, -1)
		}
	}
	if unfolds(v, w.d) {
		w.t.note("ST338", w.at, -1, "", "lists, tuples or dicts that hold each other so often that printing or copying them does not end")
	}
	for _, sym := range w.getattr {
		f := Finding{ID: "ST301", File: w.at.file, Offset: sym.Offset, Op: opName(sym.Op), Name: w.known(sym).name, Message: "imports builtins.getattr: reaches other names"}
		if member {
			f.ID, f.Message = "ST304", "the member of an enumeration, as early Pythons 3.11 pickle it, or the method of an object"
		}
		w.t.add(f)
	}
}
