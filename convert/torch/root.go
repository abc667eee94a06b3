package torch

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tensmith/tensmith/pickle"
)

// roots are the keys under which programs keep the weights, best first.
var roots = []string{
	"state_dict", "model_state_dict", "model_state", "model", "module", "net", "network", "params_ema", "params",
	"ema", "ema_state_dict", "model_ema", "weights", "generator", "g_ema",
}

// sureRoots is how many of them are never part of a model, so that they are
// roots within a root, too: "model" may well be a module of a model.
const sureRoots = 3

// maxRoots bounds how deep the weights are looked for: a value may hold itself.
const maxRoots = 8

// A tree is a value with the knowledge of which of its parts hold tensors.
type tree struct {
	b       *builder
	holders map[pickle.Value]bool
	looked  int64 // how much more plain may look at
	weighed int64 // and weigh
}

// grow finds all that holds tensors, in one pass and without recursion. Tensors
// themselves are not kept in it: they may be a hundred times as many.
func (b *builder) grow(v pickle.Value) *tree {
	t := &tree{b: b, holders: make(map[pickle.Value]bool), looked: b.visits(), weighed: b.visits()}
	parents := make(map[pickle.Value][]pickle.Value)
	var todo []pickle.Value
	hold := func(v pickle.Value) {
		if !t.holders[v] {
			t.holders[v] = true
			todo = append(todo, v)
		}
	}
	pickle.Walk(v, b.shared, func(v pickle.Value) bool {
		if isTensor(v) {
			return false
		}
		for i := 0; ; i++ {
			part, ok := pickle.Part(v, i)
			if !ok {
				return true
			}
			switch part.(type) {
			case *pickle.List, *pickle.Tuple, *pickle.Dict, *pickle.Set, *pickle.Object, *pickle.Persistent:
				if isTensor(part) {
					hold(v)
				} else {
					parents[part] = append(parents[part], v)
				}
			}
		}
	})
	for len(todo) > 0 {
		v := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, parent := range parents[v] {
			hold(parent)
		}
		delete(parents, v)
	}
	return t
}

// visits is how many values are looked at one by one. What stands in several places
// is in each, so the work is bounded by what a file of that size can hold
// without sharing.
func (b *builder) visits() int64 { return 1<<16 + 4*b.src.size }

// tooShared is the error about a value that takes more visits than that.
func (b *builder) tooShared() error {
	return b.at.fail(ErrLimit, "shared", "values that are shared too often")
}

func (t *tree) holds(v pickle.Value) bool {
	switch v.(type) {
	case *pickle.List, *pickle.Tuple, *pickle.Dict, *pickle.Set, *pickle.Object, *pickle.Persistent:
		return t.holders[v] || isTensor(v)
	}
	return false
}

// root finds what holds the weights, and lists what stands beside it.
func (t *tree) root(v pickle.Value, wanted string) (pickle.Value, string, error) {
	if wanted == "." {
		return v, "", nil
	}
	if wanted != "" {
		return t.descend(v, wanted)
	}
	path, keys := "", roots
	for range maxRoots {
		list, i := t.find(v, keys)
		if i < 0 || list[i].value == v {
			break
		}
		if err := t.leaveOut(path, list, i); err != nil {
			return nil, "", err
		}
		v, path, keys = list[i].value, join(path, list[i].key), roots[:sureRoots]
	}
	return v, path, nil
}

// find returns the children of v and which of them is the first of keys that
// holds tensors, or -1.
func (t *tree) find(v pickle.Value, keys []string) ([]child, int) {
	kind, list := t.b.expand(v)
	if kind != dictNode && kind != objectNode {
		return nil, -1
	}
	for _, name := range keys {
		i := slices.IndexFunc(list, func(c child) bool { return c.key == name })
		if i < 0 || !t.holds(list[i].value) || isTensor(list[i].value) {
			continue
		}
		if kind, _ := t.b.expand(list[i].value); kind != leaf && (kind != moduleNode || t.stateful(list[i].value)) {
			return list, i
		}
	}
	return nil, -1
}

// stateful tells whether the state_dict of a module has tensors, which its
// other attributes are no part of.
func (t *tree) stateful(module pickle.Value) bool {
	seen, todo := map[pickle.Value]bool{module: true}, []pickle.Value{module}
	for len(todo) > 0 {
		v := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		kind, list := t.b.expand(v)
		if kind != moduleNode {
			return true // it holds a tensor, as what was put there
		}
		for _, c := range list {
			switch {
			case !t.holds(c.value) || seen[c.value]:
			case isTensor(c.value):
				return true
			default:
				seen[c.value] = true
				todo = append(todo, c.value)
			}
		}
	}
	return false
}

// descend follows a path. A key may have dots in it.
func (t *tree) descend(v pickle.Value, wanted string) (pickle.Value, string, error) {
	path := ""
	for rest := wanted; rest != ""; {
		_, list := t.b.expand(v)
		next := -1
		for i, c := range list {
			if rest == c.key || strings.HasPrefix(rest, c.key+".") {
				if next < 0 || len(c.key) > len(list[next].key) {
					next = i
				}
			}
		}
		if next < 0 {
			var keys []string
			for _, c := range list[:min(len(list), 30)] {
				keys = append(keys, c.key)
			}
			return nil, "", t.b.at.fail(ErrUnknown, "root", "there is no %q; what is there: %q", wanted, keys)
		}
		if err := t.leaveOut(path, list, next); err != nil {
			return nil, "", err
		}
		v = list[next].value
		path = join(path, list[next].key)
		rest = strings.TrimPrefix(rest[len(list[next].key):], ".")
	}
	return v, path, nil
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// maxLeftOut bounds the list of what was left out.
const maxLeftOut = 4096

// leaveOut lists all children but one.
func (t *tree) leaveOut(path string, list []child, but int) error {
	for i, c := range list {
		if i == but {
			continue
		}
		if err := t.drop(join(path, c.key), c.value); err != nil {
			return err
		}
	}
	return nil
}

// drop lists a value that has no place in the output.
func (t *tree) drop(path string, v pickle.Value) (err error) {
	l := LeftOut{Path: path, Kind: kindOf(v)}
	if isTensor(v) {
		l.Kind = "tensor"
	}
	if l.Tensors, l.Bytes, err = t.weigh(v, nil); err == nil {
		t.b.r.leave(l)
	}
	return err
}

// weigh counts the tensors of a value and their bytes, but for those taken. What
// several values share it counts in each of them.
func (t *tree) weigh(v pickle.Value, taken map[pickle.Value]bool) (tensors int, bytes int64, err error) {
	if !t.holds(v) {
		return 0, 0, nil
	}
	pickle.Walk(v, t.b.shared, func(v pickle.Value) bool {
		t.weighed--
		if !isTensor(v) {
			return true
		}
		if taken[v] {
			return false
		}
		tensors++
		if p := packedOf(v); p != "" {
			if got, err := p.tensor(t.b, true); err == nil {
				bytes += got.bytes()
			}
			return false
		}
		if got, err := t.b.value(v, 0); err == nil {
			switch got := got.(type) {
			case *tensor:
				bytes += got.bytes()
			case *storageRef:
				bytes += got.size
			}
		}
		return false
	})
	if t.weighed < 0 {
		return 0, 0, t.b.tooShared()
	}
	return tensors, bytes, nil
}

func (r *reader) leave(l LeftOut) {
	switch {
	case len(r.left) < maxLeftOut:
		r.left = append(r.left, l)
	case len(r.left) == maxLeftOut:
		r.left = append(r.left, LeftOut{Path: "…", Kind: "more", Tensors: l.Tensors, Bytes: l.Bytes})
	default:
		last := &r.left[maxLeftOut]
		last.Tensors += l.Tensors
		last.Bytes += l.Bytes
	}
}

// maxDepth is how deep dicts may be nested; their keys make names.
const maxDepth = 256

// A frame is a container being flattened.
type frame struct {
	path string
	list []child
	of   pickle.Value
}

// flatten names all tensors below v: keys and indices, joined by dots.
func (t *tree) flatten(v pickle.Value) ([]named, error) {
	list, err := t.names(v)
	for i := range list {
		if list[i].t, err = list[i].tensor(false); err != nil {
			return nil, named1(err, list[i].name)
		}
		list[i].packed = ""
	}
	return list, err
}

// names is flatten that leaves packed tensors as they are; they are sound.
func (t *tree) names(v pickle.Value) ([]named, error) {
	b := t.b
	var out []named
	left, text := b.visits(), 64<<20+16*b.src.size
	stack := []frame{{list: []child{{value: v}}}}
	taken := make(map[pickle.Value]bool)
	odd := false // there is what may have tensors that have no names, but may be the same as those that have
	pickle.Walk(v, b.shared, func(v pickle.Value) bool {
		odd = odd || t.odd(v)
		return !odd && !isTensor(v)
	})
	var beside []unnamed
	entered := make(map[pickle.Value]string) // objects of unknown classes, and their paths
	for len(stack) > 0 {
		top := &stack[len(stack)-1]
		if len(top.list) == 0 {
			stack = stack[:len(stack)-1]
			continue
		}
		c := top.list[0]
		top.list = top.list[1:]
		if left--; left < 0 {
			return nil, b.tooShared()
		}
		path := join(top.path, c.key)
		if !t.holds(c.value) {
			if len(stack) > 1 {
				b.r.leave(LeftOut{Path: path, Kind: kindOf(c.value)})
			}
			continue
		}
		if text -= int64(len(path)); text < 0 {
			return nil, b.at.fail(ErrLimit, "names", "names of too many bytes together")
		}
		if isTensor(c.value) {
			if c.bad || !utf8.ValidString(path) {
				return nil, b.at.fail(ErrUnsupported, "name", "a tensor whose key is no text: %q", path)
			}
			name := path
			if name == "" {
				name = "tensor"
			}
			if p := packedOf(c.value); p != "" {
				if _, err := p.tensor(b, true); err != nil {
					return nil, named1(err, path)
				}
				out = append(out, named{name: name, packed: p, b: b})
				if odd {
					taken[c.value] = true
				}
				continue
			}
			got, err := b.value(c.value, 0)
			if err != nil {
				return nil, named1(err, path)
			}
			taken[c.value] = true
			switch got := got.(type) {
			case *tensor:
				out = append(out, named{name: name, t: got})
				if got.state > 0 {
					b.r.leave(LeftOut{Path: path + ".__dict__", Kind: "attributes of a tensor", Tensors: got.state})
				}
			case *storageRef:
				n := got.size / int64(got.elem.size)
				tensor, err := view(b.at, got, got.elem, 0, []int64{n}, []int64{1})
				if err != nil {
					return nil, err
				}
				out = append(out, named{name: name, t: tensor})
			default:
				b.r.leave(LeftOut{Path: path, Kind: kindOf(c.value)})
			}
			continue
		}
		kind, list := b.expand(c.value)
		if kind == leaf || kind == objectNode && !b.script && len(stack) > 1 && !t.plain(c.value) {
			if err := t.drop(path, c.value); err != nil {
				return nil, err
			}
			continue
		}
		if kind == objectNode && !b.script {
			// Objects may lead to each other on many ways: each has one place.
			if first, again := entered[c.value]; again {
				b.r.leave(LeftOut{Path: path, Kind: "the same " + kindOf(c.value) + " as " + first})
				continue
			}
			entered[c.value] = path
		}
		if len(stack) > maxDepth {
			return nil, b.at.fail(ErrLimit, "depth", "dicts nested more than %d deep", maxDepth)
		}
		if slices.ContainsFunc(stack, func(f frame) bool { return f.of == c.value }) {
			b.r.leave(LeftOut{Path: path, Kind: "cycle"})
			continue
		}
		if t.odd(c.value) {
			beside = append(beside, t.beside(path, c.value, kind, list)...)
		}
		stack = append(stack, frame{path, list, c.value})
	}
	for _, u := range beside {
		tensors, bytes, err := t.weigh(u.value, taken)
		if err != nil {
			return nil, err
		}
		if tensors > 0 {
			b.r.leave(LeftOut{Path: u.path, Kind: u.kind, Tensors: tensors, Bytes: bytes})
		}
	}
	return out, nil
}

// unique refuses two tensors of one name.
func unique(list []named, at place) error {
	seen := newIndex(len(list))
	for i, n := range list {
		if seen.add(n.name, i, func(j int) bool { return list[j].name == n.name }) != i {
			return &Error{File: at.file, Record: at.record, Offset: -1, Tensor: n.name, Reason: "name", Err: ErrUnsupported,
				Detail: fmt.Sprintf("two keys give the name %q", n.name), Hint: "Root chooses one of them"}
		}
	}
	return nil
}
