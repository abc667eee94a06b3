package scan

import (
	"fmt"

	"github.com/tensmith/tensmith/pickle"
)

// A knownName is an imported name with what it was judged to be, and what was
// told of it already: a pickle may import one, and call it, a million times.
type knownName struct {
	verdict pickle.Verdict
	why     string
	name    string // Symbol.String
	role    nameRole
	told    toldOps
}

// toldOps are opcodes that were told with a name, as bits.
type toldOps uint8

const (
	toldGlobal toldOps = 1 << iota
	toldInst
	toldStackGlobal
	toldPop // that drops it
)

// tell remembers an opcode, and reports whether it was not told before.
func (n *knownName) tell(op toldOps) bool {
	first := n.told&op == 0
	n.told |= op
	return first
}

// A nameRole sets apart the names of which only their use tells what they are.
type nameRole uint8

const (
	plainName nameRole = iota
	roleGetattr
	roleLoad
)

// loadFromBytes opens the checkpoint that it is handed.
const loadFromBytes = "torch.storage._load_from_bytes"

// nameKey is all that a judgement depends on.
type nameKey struct {
	module, name string // as written
	renamed      bool
}

// known judges a name, and remembers the first some thousand.
func (w *watcher) known(sym *pickle.Symbol) *knownName {
	if sym.Computed {
		v, why := pickle.Judge(sym)
		return &knownName{verdict: v, why: why, name: sym.String()}
	}
	key := nameKey{sym.WrittenModule, sym.WrittenName, sym.Module != sym.WrittenModule || sym.Name != sym.WrittenName}
	if w.lastName != nil && w.lastKey == key {
		return w.lastName
	}
	n, ok := w.names[key]
	if !ok {
		w.spend(nameWork + 20*len(sym.Name))
		n = &knownName{name: sym.String()}
		n.verdict, n.why = pickle.Judge(sym)
		switch {
		case sym.Is("builtins", "getattr"):
			n.role = roleGetattr
		case n.name == loadFromBytes: // by whatever way
			n.role = roleLoad
			n.verdict, n.why = pickle.Dangerous, "opens checkpoints, and is imported more often than any pickler does"
		}
		if w.names == nil {
			w.names = map[nameKey]*knownName{}
		}
		if len(w.names) < maxWatched {
			w.names[key] = n
		}
	}
	w.lastKey, w.lastName = key, n
	return n
}

func (w *watcher) isAllowed(sym *pickle.Symbol) bool {
	return w.known(sym).verdict == pickle.Allowed
}

// global judges an import.
func (w *watcher) global(e pickle.Event) {
	sym := e.Value.(*pickle.Symbol)
	w.r.imports++
	if sym.Computed { // told by its own event
		return
	}
	n := w.known(sym)
	// Picklers import a name once: what is imported more often than is kept
	// is not judged by its use.
	switch {
	case n.role == roleGetattr && len(w.getattr) < maxWatched:
		w.getattr = append(w.getattr, sym)
		return
	case n.role == roleLoad && len(w.loads) < maxWatched:
		if w.loads == nil {
			w.loads = map[*pickle.Symbol]bool{}
		}
		w.loads[sym] = false
		return
	}
	if n.verdict == pickle.Allowed {
		return
	}
	w.strange()
	op := toldGlobal
	switch opName(e.Op) {
	case "INST":
		op = toldInst
	case "STACK_GLOBAL":
		op = toldStackGlobal
	}
	if !n.tell(op) {
		return
	}
	message := "imports " + n.name + ": " + n.why
	if sym.WrittenModule != sym.Module || sym.WrittenName != sym.Name {
		message = fmt.Sprintf("imports %s, written %s.%s: %s", n.name, sym.WrittenModule, sym.WrittenName, n.why)
	}
	switch {
	case n.verdict == pickle.Dangerous:
		w.add("ST301", e, n.name, message)
	case n.why == "an unknown name":
		w.add("ST302", e, n.name, message)
	default:
		w.add("ST303", e, n.name, message)
	}
}

// maxStrange is how often a pickle may do what is told. Then its verdict will not
// be better, and of the rest only the names are read, which takes a tenth of the
// time.
const maxStrange = 1 << 19

var errStrange = &pickle.LimitError{Limit: "findings", Max: maxStrange}

// strange counts what a pickle does that is told.
func (w *watcher) strange() {
	w.spend(strayWork)
	if w.t.spent.strange--; w.t.spent.strange < 0 {
		w.d.Break(errStrange)
	}
}
