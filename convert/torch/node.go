package torch

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/tensmith/tensmith/pickle"
)

// A child is a part of a value, by the name that makes its path.
type child struct {
	key   string
	value pickle.Value
	bad   bool // the key is too long to be read, or is no name
}

// keyName returns str(key).
func keyName(key pickle.Value) (string, bool) {
	if s, ok := pickle.Text(key); ok {
		return s, true
	}
	switch k := key.(type) {
	case int64:
		return strconv.FormatInt(k, 10), true
	case *big.Int:
		if k.BitLen() > 256 { // decimals of long ones take time
			return "<int>", false
		}
		return k.String(), true
	case bool:
		if k {
			return "True", true
		}
		return "False", true
	case nil:
		return "None", true
	case float64:
		return floatName(k), true
	case *pickle.Symbol:
		return "<class '" + k.String() + "'>", true
	case pickle.Range:
		return fmt.Sprintf("<%d bytes of text>", k.Size), false
	}
	return "<" + kindOf(key) + ">", false
}

// floatName returns str(f): decimals from 1e-4 up to 1e16, else an exponent.
func floatName(f float64) string {
	size := math.Abs(f)
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	case size != 0 && size < 1e-4, size >= 1e16:
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// children makes children of pairs. Of two with one key the place of the first
// and the value of the last count, as in Python.
func children(pairs []pickle.Pair) []child {
	list := make([]child, 0, len(pairs))
	seen := newIndex(len(pairs))
	keys := make([]int32, 0, len(pairs)) // which pair the child has its key of
	for n, p := range pairs {
		name, ok := keyName(p.Key)
		text := isText(p.Key)
		slot := seen.slot(name, func(i int) bool { return list[i].key == name && isText(pairs[keys[i]].Key) == text })
		if *slot != 0 && ok {
			list[*slot-1].value = p.Value
			continue
		}
		list, keys = append(list, child{name, p.Value, !ok}), append(keys, int32(n))
		*slot = uint32(len(list))
	}
	return list
}

func isText(key pickle.Value) bool {
	switch key.(type) {
	case string, pickle.ByteString:
		return true
	}
	return false
}

// A shape of a value: how its children are found.
type nodeKind uint8

const (
	leaf       nodeKind = iota
	dictNode            // a dict or what is like one
	listNode            // a list, tuple, deque
	moduleNode          // a module of torch: its children are those of its state_dict
	objectNode          // an object of an unknown class: its attributes
)

// expand returns the children of a value.
func (b *builder) expand(v pickle.Value) (nodeKind, []child) {
	switch v := v.(type) {
	case *pickle.Dict:
		return dictNode, children(v.Pairs)
	case *pickle.List:
		return listNode, numbered(v.Items)
	case *pickle.Tuple:
		return listNode, numbered(v.Items)
	case *pickle.Object:
		return b.expandObject(v)
	}
	return leaf, nil
}

func numbered(items []pickle.Value) []child {
	list := make([]child, len(items))
	for i, item := range items {
		list[i] = child{key: strconv.Itoa(i), value: item}
	}
	return list
}

func (b *builder) expandObject(o *pickle.Object) (nodeKind, []child) {
	if constructorOf(o.Symbol()) != nil {
		return leaf, nil
	}
	sym, args := o.Symbol(), o.ArgList()
	if sym != nil {
		switch sym.Module + "." + sym.Name {
		case "collections.OrderedDict", "collections.Counter", "builtins.dict":
			var pairs []pickle.Pair
			if len(args) > 0 {
				pairs = pairsOf(args[0])
			}
			return dictNode, children(append(pairs, o.Pairs()...))
		case "collections.defaultdict":
			var pairs []pickle.Pair
			if len(args) > 1 {
				pairs = pairsOf(args[1])
			}
			return dictNode, children(append(pairs, o.Pairs()...))
		case "collections.deque", "builtins.list", "builtins.tuple":
			var items []pickle.Value
			if len(args) > 0 {
				items = itemsOf(args[0])
			}
			return listNode, numbered(append(items, o.Items()...))
		case "torch.Size", "torch.device", "builtins.set", "builtins.frozenset", "torch.jit._pickle.build_intlist":
			return leaf, nil
		case "torch.jit._pickle.build_tensorlist", "torch.jit._pickle.restore_type_tag":
			if len(args) > 0 {
				return b.expandPlain(args[0])
			}
			return leaf, nil
		case "copyreg._reconstructor":
			if len(args) == 3 {
				switch base, _ := args[1].(*pickle.Symbol); {
				case base.Is("builtins", "dict"):
					return dictNode, children(append(pairsOf(args[2]), o.Pairs()...))
				case base.Is("builtins", "tuple"), base.Is("builtins", "list"):
					return listNode, numbered(append(itemsOf(args[2]), o.Items()...))
				}
			}
		}
		if sym.Module == "torch.return_types" && len(args) > 0 {
			return listNode, numbered(itemsOf(args[0]))
		}
	}
	attrs := attributes(o)
	if list, ok := moduleState(attrs); ok {
		return moduleNode, list
	}
	if len(o.Pairs()) > 0 {
		return dictNode, children(o.Pairs())
	}
	if len(o.Items()) > 0 {
		return listNode, numbered(o.Items())
	}
	if len(attrs) > 0 {
		list := children(attrs)
		if o.Op.String() == "NEWOBJ" && slices.ContainsFunc(args, isContainer) { // a tuple with attributes
			list = append(numbered(args), list...)
		}
		return objectNode, list
	}
	// What the fields of these are called, only their class knows: named tuples,
	// and dataclasses that are frozen and have slots.
	if states := o.States(); len(states) == 1 {
		if items := itemsOf(states[0]); len(items) > 0 {
			return listNode, numbered(items)
		}
	} else if o.Op.String() == "NEWOBJ" && len(args) > 0 {
		return listNode, numbered(args)
	}
	return leaf, nil
}

func isContainer(v pickle.Value) bool {
	switch v.(type) {
	case *pickle.Object, *pickle.List, *pickle.Tuple, *pickle.Dict:
		return true
	}
	return false
}

// expandPlain does not follow objects further.
func (b *builder) expandPlain(v pickle.Value) (nodeKind, []child) {
	if _, ok := v.(*pickle.Object); ok {
		return leaf, nil
	}
	return b.expand(v)
}

// pairsOf returns the pairs of a dict, or of a list of pairs.
func pairsOf(v pickle.Value) []pickle.Pair {
	if d, ok := v.(*pickle.Dict); ok {
		return append([]pickle.Pair(nil), d.Pairs...)
	}
	var pairs []pickle.Pair
	for _, item := range itemsOf(v) {
		if two := itemsOf(item); len(two) == 2 {
			pairs = append(pairs, pickle.Pair{Key: two[0], Value: two[1]})
		}
	}
	return pairs
}

// itemsOf returns the items of a list or tuple.
func itemsOf(v pickle.Value) []pickle.Value {
	switch v := v.(type) {
	case *pickle.List:
		return append([]pickle.Value(nil), v.Items...)
	case *pickle.Tuple:
		return append([]pickle.Value(nil), v.Items...)
	}
	return nil
}

// attributes returns the attributes that BUILD has set: a dict, or a dict and
// one of slots.
func attributes(o *pickle.Object) (attrs []pickle.Pair) {
	for _, state := range o.States() {
		switch s := state.(type) {
		case *pickle.Dict:
			attrs = append(attrs, s.Pairs...)
		case *pickle.Tuple:
			if len(s.Items) == 2 {
				attrs = append(append(attrs, pairsOf(s.Items[0])...), pairsOf(s.Items[1])...)
			}
		}
	}
	return attrs
}

// kindOf names what a value is, for people.
func kindOf(v pickle.Value) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		return "bool"
	case int64:
		return "int"
	case float64:
		return "float"
	case string, pickle.ByteString:
		return "str"
	case []byte:
		return "bytes"
	case *pickle.ByteArray:
		return "bytearray"
	case pickle.Range:
		return "long text or bytes"
	case *pickle.List:
		return "list"
	case *pickle.Tuple:
		return "tuple"
	case *pickle.Dict:
		return "dict"
	case *pickle.Set:
		return "set"
	case *pickle.Symbol:
		return "name " + v.String()
	case *pickle.Persistent:
		return "persistent id"
	case *pickle.Object:
		if sym := v.Symbol(); sym != nil {
			return sym.String()
		}
		return "object"
	case *pickle.Extension:
		return "extension code"
	}
	return "int"
}
