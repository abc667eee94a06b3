package torch

import (
	"fmt"
	"maps"
	"slices"

	"github.com/tensmith/tensmith/pickle"
)

// A Finding is something in a file that is not [pickle.Allowed].
type Finding struct {
	Place   string // as in "model.pt!archive/data.pkl@1234"
	Name    string // what is imported, or the kind of an irregularity
	Verdict pickle.Verdict
	Why     string
}

// A trace keeps findings, each name of a pickle once.
type trace struct {
	findings []Finding
	lost     int
	worst    pickle.Verdict
	seen     map[[3]string]struct{}
}

// clone returns a trace that goes on from here by itself.
func (t *trace) clone() trace {
	own := *t
	own.findings, own.seen = slices.Clip(t.findings), maps.Clone(t.seen)
	return own
}

// maxFindings bounds the findings that are kept.
const maxFindings = 4096

func (t *trace) add(at place, name string, v pickle.Verdict, why string) {
	t.worst = max(t.worst, v)
	key := [3]string{at.file + "!" + at.record, name, why}
	if _, ok := t.seen[key]; ok {
		return
	}
	if len(t.findings) >= maxFindings {
		t.lost++
		return
	}
	if t.seen == nil {
		t.seen = make(map[[3]string]struct{})
	}
	t.seen[key] = struct{}{}
	t.findings = append(t.findings, Finding{at.String(), name, v, why})
}

// dangerous returns the first dangerous finding as an error.
func (t *trace) dangerous() *Error {
	for _, f := range t.findings {
		if f.Verdict == pickle.Dangerous {
			return &Error{Offset: -1, Reason: "dangerous", Err: ErrDangerous,
				Detail: fmt.Sprintf("%s at %s (%s)", f.Name, f.Place, f.Why), Hint: "ExtractOnly takes the tensors and nothing else"}
		}
	}
	if t.worst == pickle.Dangerous {
		return &Error{Offset: -1, Reason: "dangerous", Err: ErrDangerous}
	}
	return nil
}

// A watcher judges the events of one pickle.
type watcher struct {
	trace   *trace
	at      place
	getattr *pickle.Event // the first import of it, judged when all calls are known
	dropped []pickle.Value
}

func (w *watcher) event(e pickle.Event) {
	at := w.at.at(e.Offset)
	switch e.Kind {
	case pickle.KindGlobal:
		sym := e.Value.(*pickle.Symbol)
		if sym.Is("builtins", "getattr") {
			if w.getattr == nil {
				w.getattr = &e
			}
			return
		}
		if v, why := pickle.Judge(sym); v != pickle.Allowed {
			w.trace.add(at, sym.String(), v, why)
		}
	case pickle.KindCall:
		w.call(at, e.Value.(*pickle.Object))
	case pickle.KindExtension:
		w.trace.add(at, "extension code", pickle.Dangerous, "stands for any name of the registry of who loads it")
	case pickle.KindChange:
		v := pickle.Suspicious
		if _, ok := e.Value.(*pickle.Symbol); ok {
			v = pickle.Dangerous
		}
		w.trace.add(at, e.Kind.String(), v, "changes what is not data")
	case pickle.KindDiscard:
		if w.getattr != nil && len(w.dropped) < 1024 {
			w.dropped = append(w.dropped, e.Value)
		}
		w.trace.add(at, e.Kind.String(), pickle.Suspicious, "imports or calls something and drops it")
	default:
		if e.Kind.Irregular() {
			w.trace.add(at, e.Kind.String(), pickle.Suspicious, "no pickler writes that")
		}
	}
}

func (w *watcher) call(at place, o *pickle.Object) {
	switch fn := o.Callable.(type) {
	case *pickle.Symbol:
		if fn.Is("_codecs", "encode") {
			if args := o.ArgList(); len(args) != 2 || args[1] != "latin1" {
				w.trace.add(at, fn.String(), pickle.Suspicious, "an encoding other than latin1")
			}
		}
	case *pickle.Persistent:
		if _, ok := moduleClass(fn); !ok {
			w.trace.add(at, "persistent id", pickle.Dangerous, "calls what the loader gives")
		}
	default:
		w.trace.add(at, "call", pickle.Dangerous, "calls the result of a call")
	}
}

// finish judges getattr: all uses must be calls that give the member of an
// enumeration.
func (w *watcher) finish(v pickle.Value, err error) {
	if w.getattr == nil {
		return
	}
	at := w.at.at(w.getattr.Offset)
	member, known := err == nil, true
	check := func(parent, part pickle.Value) {
		if sym, ok := part.(*pickle.Symbol); ok && sym.Is("builtins", "getattr") {
			o, ok := parent.(*pickle.Object)
			member = member && ok && o.Callable == part && pickle.EnumMember(o)
			if member {
				v, _ := pickle.Judge(o.ArgList()[0].(*pickle.Symbol)) // EnumMember has found it
				known = known && v == pickle.Allowed
			}
		}
	}
	visit := func(v pickle.Value) bool {
		for _, part := range pickle.Parts(v) {
			check(v, part)
		}
		return member
	}
	check(nil, v)
	pickle.Walk(v, nil, visit)
	for _, v := range w.dropped {
		check(nil, v)
		pickle.Walk(v, nil, visit)
	}
	switch {
	case !member:
		w.trace.add(at, "builtins.getattr", pickle.Dangerous, "reaches other names")
	case !known: // the enumerations of torch.distributed.checkpoint are
		w.trace.add(at, "builtins.getattr", pickle.Suspicious, "the member of an enumeration")
	}
}

// moduleClass returns the class of the persistent id ('module', class, file,
// source), which old whole modules have in the place of a class.
func moduleClass(p *pickle.Persistent) (*pickle.Symbol, bool) {
	t, ok := p.ID.(*pickle.Tuple)
	if !ok || len(t.Items) < 2 {
		return nil, false
	}
	if kind, _ := pickle.Text(t.Items[0]); kind != "module" {
		return nil, false
	}
	sym, ok := t.Items[1].(*pickle.Symbol)
	return sym, ok
}
