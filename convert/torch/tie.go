package torch

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// viewKey is the same for views of the very same elements.
func (t *tensor) viewKey() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%p %d %s %v %v", t.s, t.begin, t.elem.name, t.conj, t.neg)
	for i, n := range t.shape {
		stride := t.stride[i]
		if n == 1 {
			stride = 0 // may be anything
		}
		fmt.Fprintf(&b, " %d/%d", n, stride)
	}
	return b.String()
}

// tie settles what becomes of tensors that share bytes, as Options.Tied says.
// It returns the pieces that stay and what the metadata are to say of others.
func (r *reader) tie(pieces []piece, at place) ([]piece, map[string]string, error) {
	byStorage := make(map[*storage][]int)
	var order []*storage
	for i, p := range pieces {
		if p.view == nil || p.view.numel() == 0 {
			continue
		}
		if byStorage[p.view.s] == nil {
			order = append(order, p.view.s)
		}
		byStorage[p.view.s] = append(byStorage[p.view.s], i)
	}
	alias := make(map[string]string)
	for _, s := range order {
		group := byStorage[s]
		if len(group) < 2 {
			continue
		}
		if r.opts.Tied == "reference" {
			if err := r.tieAsReference(pieces, group, alias, at); err != nil {
				return nil, nil, err
			}
			continue
		}
		r.tieGroup(pieces, group, alias)
	}
	delete(alias, "format") // the metadata key is taken
	return slices.DeleteFunc(pieces, func(p piece) bool { _, dropped := alias[p.name]; return dropped }), alias, nil
}

// tieGroup finds the same views among the pieces of one storage.
func (r *reader) tieGroup(pieces []piece, group []int, alias map[string]string) {
	same := make(map[string][]int)
	for _, i := range group {
		key := pieces[i].view.viewKey()
		same[key] = append(same[key], i)
	}
	if len(same) > 1 {
		r.overlaps(pieces, group)
	}
	for _, i := range group {
		list := same[pieces[i].view.viewKey()]
		if len(list) < 2 || list[0] != i {
			continue
		}
		slices.SortFunc(list, func(a, b int) int { return strings.Compare(pieces[a].name, pieces[b].name) })
		kept := pieces[list[0]].name
		for _, j := range list[1:] {
			if r.opts.Tied == "keep" || pieces[j].name == "format" {
				r.note("copy", pieces[j].name, kept, "written again, though it is the same as the other")
				continue
			}
			alias[pieces[j].name] = kept
			r.note("alias", pieces[j].name, kept, "the same view; recorded in the metadata")
		}
	}
}

// overlaps notes the views that share bytes and are not the same: each is
// written for itself, and in the output they share nothing.
func (r *reader) overlaps(pieces []piece, group []int) {
	sorted := slices.Clone(group)
	slices.SortFunc(sorted, func(a, b int) int {
		return cmp.Or(cmp.Compare(pieces[a].view.begin, pieces[b].view.begin), cmp.Compare(pieces[b].view.end(), pieces[a].view.end()))
	})
	widest := sorted[0]
	for _, i := range sorted[1:] {
		if pieces[i].view.begin < pieces[widest].view.end() && pieces[i].view.viewKey() != pieces[widest].view.viewKey() {
			r.note("copy", pieces[i].name, pieces[widest].name, "shares bytes with the other; written for itself")
		}
		if pieces[i].view.end() > pieces[widest].view.end() {
			widest = i
		}
	}
}

// tieAsReference does what the reference converter does with the tensors of one
// storage (safetensors/torch.py: _filter_shared_not_shared, _is_complete; and
// _remove_duplicate_names of bindings/python/convert.py): those whose bytes are
// disjoint stay; of the others the first by name that covers the storage stays
// alone. Disjoint, to the reference, is also what begins behind the end of the
// one before it, though another reaches further; so it is here.
func (r *reader) tieAsReference(pieces []piece, group []int, alias map[string]string, at place) error {
	for _, i := range group {
		if !pieces[i].view.flattens() {
			return at.fail(ErrUnsupported, "reference", "the reference converter fails on %q, a view that cannot be flattened and shares its storage", pieces[i].name)
		}
	}
	slices.SortFunc(group, func(a, b int) int {
		return cmp.Or(cmp.Compare(pieces[a].view.begin, pieces[b].view.begin), cmp.Compare(pieces[a].view.end(), pieces[b].view.end()),
			strings.Compare(pieces[a].name, pieces[b].name))
	})
	for from := 0; from < len(group); {
		to := from + 1
		for to < len(group) && pieces[group[to]].view.begin < pieces[group[to-1]].view.end() {
			to++
		}
		overlapping := group[from:to]
		from = to
		if len(overlapping) < 2 {
			continue
		}
		kept := -1
		for _, i := range overlapping {
			if pieces[i].view.whole && (kept < 0 || pieces[i].name < pieces[kept].name) {
				kept = i
			}
		}
		if kept < 0 {
			return at.fail(ErrUnsupported, "reference", "the reference converter fails: none of the tensors that share bytes with %q covers them all", pieces[overlapping[0]].name)
		}
		for _, i := range overlapping {
			if i != kept {
				alias[pieces[i].name] = pieces[kept].name
				if pieces[i].view.viewKey() == pieces[kept].view.viewKey() {
					r.note("alias", pieces[i].name, pieces[kept].name, "the same view; recorded in the metadata")
				} else {
					r.note("dropped", pieces[i].name, pieces[kept].name, "another view of the same bytes; left out, as the reference converter does")
				}
			}
		}
	}
	return nil
}
