package scan

import (
	"fmt"
	"strings"

	"github.com/tensmith/tensmith/pickle"
)

// drop tells what need not be kept: tensors, once their storages are known, and
// plain data in long lists and dicts, whose strings were judged.
func (w *watcher) drop(key, value pickle.Value) bool {
	if w.r.whole || len(w.getattr) > 0 || len(w.loads) > 0 {
		return false
	}
	if o, ok := value.(*pickle.Object); ok && key == nil {
		return w.isTensor(o)
	}
	w.number(key)
	w.number(value)
	if name, ok := pickle.Text(key); ok {
		if text, ok := pickle.Text(value); ok && len(name) <= 64 && len(text) <= 512 {
			w.secretPair(name, text)
		}
	}
	if _, isDict := value.(*pickle.Dict); isDict {
		w.pairs(value)
		w.source(value, 0)
	}
	return true
}

// isTensor tells whether a call is one of those by which torch makes tensors,
// with nothing in its arguments that was not judged.
func (w *watcher) isTensor(o *pickle.Object) bool {
	sym := o.Symbol()
	if sym == nil || sym.Computed || sym.Module != "torch._utils" || !strings.HasPrefix(sym.Name, "_rebuild_") {
		return false
	}
	if !w.isAllowed(sym) {
		return false
	}
	return len(o.ArgList()) > 0 && w.plainArgs(o.ArgList(), 2)
}

// plainArgs tells whether arguments are few and plain, tuples of such to a depth.
func (w *watcher) plainArgs(args []pickle.Value, depth int) bool {
	if len(args) > 16 {
		return false
	}
	w.spend(len(args) * valueWork)
	for _, v := range args {
		switch v := v.(type) {
		case nil, bool, int64, float64, string, *pickle.Persistent:
		case *pickle.Symbol:
			if !w.isAllowed(v) || functionModules[v.Module] {
				return false
			}
		case *pickle.Tuple:
			if depth == 0 || !w.plainArgs(v.Items, depth-1) {
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
			w.spend(min(len(tuple.Items), 64) * valueWork)
			for _, n := range tuple.Items[:min(len(tuple.Items), 64)] {
				multiply(n)
			}
			continue
		}
		multiply(arg)
	}
	if product >= most && !w.told("ST332", e, w.known(fn).name) {
		w.add("ST332", e, w.known(fn).name, fmt.Sprintf("%s asks for %d or more elements", fn, int64(most)))
	}
}
