package torch

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tensmith/tensmith/pickle"
)

// An unnamed is a part of a value that the names of tensors do not lead to. It
// may hold what has a name elsewhere.
type unnamed struct {
	path, kind string
	value      pickle.Value
}

// odd tells whether a value may have such parts: keys that hold tensors, and
// objects whose arguments or attributes do.
func (t *tree) odd(v pickle.Value) bool {
	switch v := v.(type) {
	case *pickle.Dict:
		return t.holders[v] && slices.ContainsFunc(v.Pairs, func(p pickle.Pair) bool { return t.holds(p.Key) })
	case *pickle.Object:
		return t.holders[v] && !isTensor(v) && (t.holds(v.Args) || t.holds(v.Kwargs()) || slices.ContainsFunc(v.States(), t.holds) ||
			slices.ContainsFunc(v.Pairs(), func(p pickle.Pair) bool { return t.holds(p.Key) }))
	}
	return false
}

// beside returns what an odd value has beside its children.
func (t *tree) beside(path string, v pickle.Value, kind nodeKind, list []child) (all []unnamed) {
	named := make(map[pickle.Value]bool, len(list))
	add := func(path, kind string, v pickle.Value) {
		if t.holds(v) && !named[v] {
			named[v] = true
			all = append(all, unnamed{path, kind, v})
		}
	}
	for _, c := range list {
		if t.holds(c.value) {
			named[c.value] = true
		}
	}
	if o, ok := v.(*pickle.Object); ok && kind == moduleNode {
		parts, _ := moduleParts(attributes(o))
		for _, v := range parts {
			if t.holds(v) {
				named[v] = true // its own parts are what is named
			}
		}
		for _, a := range stateless(attributes(o)) {
			add(join(path, a.key), "attribute of a module", a.value)
		}
	}
	// The parts of dicts and tuples that are attributes or arguments are named,
	// not these themselves.
	todo := []pickle.Value{v}
	if o, ok := v.(*pickle.Object); ok {
		todo = append(append(todo, o.Args, o.Kwargs()), o.States()...)
		for _, state := range o.States() {
			if slots, ok := state.(*pickle.Tuple); ok {
				todo = append(todo, slots.Items...)
			}
		}
		for _, arg := range o.ArgList() {
			if !isTensor(arg) {
				todo = append(todo, arg)
			}
		}
	}
	frames := make(map[pickle.Value]bool, len(todo))
	for _, v := range todo {
		if t.holds(v) && !isTensor(v) && !named[v] {
			frames[v] = true
		}
	}
	for _, v := range todo {
		if !t.holds(v) || !frames[v] {
			continue
		}
		for i := 0; ; i++ {
			part, ok := pickle.Part(v, i)
			if !ok {
				break
			}
			if t.holds(part) && !frames[part] {
				add(path, "part of "+kindOf(v)+" that has no name", part)
			}
		}
	}
	return all
}

// plain tells whether the tensors in an object of an unknown class have names
// by its attributes, as those of a dataclass have. Those in the state of an
// optimizer have not: its keys are parameters. What other objects hold in their
// turn is theirs to tell.
func (t *tree) plain(v pickle.Value) bool {
	o, ok := v.(*pickle.Object)
	if !ok || o.Symbol() != nil && strings.HasPrefix(o.Symbol().Module, "torch.optim") {
		return false
	}
	seen, todo := map[pickle.Value]bool{v: true}, []pickle.Value{v}
	for len(todo) > 0 {
		v := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		kind, list := t.b.expand(v)
		if len(seen) > 1 && (kind == objectNode || kind == moduleNode) {
			continue
		}
		for _, c := range list {
			if t.looked--; t.looked < 0 {
				return false
			}
			switch {
			case !t.holds(c.value):
			case c.bad || !utf8.ValidString(c.key):
				return false
			case !isTensor(c.value) && !seen[c.value]:
				seen[c.value] = true
				todo = append(todo, c.value)
			}
		}
	}
	return true
}
