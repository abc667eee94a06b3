package torch

import "github.com/tensmith/tensmith/pickle"

// moduleState returns the children of an nn.Module as its state_dict() has
// them: parameters, then buffers but for those that are not persistent, then
// the modules below. ok is false if the attributes are not those of a module.
func moduleState(attrs []pickle.Pair) (list []child, ok bool) {
	parts, ok := moduleParts(attrs)
	if !ok {
		return nil, false
	}
	fleeting := fleetingBuffers(attrs)
	for i, part := range parts {
		for _, c := range mapping(part) {
			if c.value == nil || i == 1 && fleeting[c.key] {
				continue
			}
			list = append(list, c)
		}
	}
	return list, true
}

// moduleParts returns the parameters, buffers and modules of a module. ok is
// false if the attributes are not those of one.
func moduleParts(attrs []pickle.Pair) (parts [3]pickle.Value, ok bool) {
	for i, name := range []string{"_parameters", "_buffers", "_modules"} {
		if parts[i], ok = (&pickle.Dict{Pairs: attrs}).Get(name); !ok {
			return parts, false
		}
	}
	return parts, true
}

// stateless returns the attributes of a module that its state_dict() is
// without: buffers that are not persistent, and what is not registered.
func stateless(attrs []pickle.Pair) (list []child) {
	fleeting := fleetingBuffers(attrs)
	for _, c := range children(attrs) {
		switch c.key {
		case "_parameters", "_modules":
		case "_buffers":
			for _, buffer := range mapping(c.value) {
				if fleeting[buffer.key] {
					list = append(list, buffer)
				}
			}
		default:
			list = append(list, c)
		}
	}
	return list
}

// fleetingBuffers returns the names of buffers that are not persistent.
func fleetingBuffers(attrs []pickle.Pair) map[string]bool {
	names := make(map[string]bool)
	if set, ok := (&pickle.Dict{Pairs: attrs}).Get("_non_persistent_buffers_set"); ok {
		for _, item := range setItems(set) {
			if name, ok := pickle.Text(item); ok {
				names[name] = true
			}
		}
	}
	return names
}

// mapping returns the children of a dict or an OrderedDict.
func mapping(v pickle.Value) []child {
	switch v := v.(type) {
	case *pickle.Dict:
		return children(v.Pairs)
	case *pickle.Object:
		var pairs []pickle.Pair
		if args := v.ArgList(); len(args) > 0 {
			pairs = pairsOf(args[0])
		}
		return children(append(pairs, v.Pairs()...))
	}
	return nil
}

// setItems returns the items of a set in its forms.
func setItems(v pickle.Value) []pickle.Value {
	switch v := v.(type) {
	case *pickle.Set:
		return v.Items
	case *pickle.Object:
		if sym := v.Symbol(); sym.Is("builtins", "set") || sym.Is("builtins", "frozenset") {
			if args := v.ArgList(); len(args) > 0 {
				return append(itemsOf(args[0]), v.Items()...)
			}
			return v.Items()
		}
	}
	return nil
}
