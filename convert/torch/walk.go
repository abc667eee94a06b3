package torch

import "github.com/tensmith/tensmith/pickle"

// walk is pickle.Walk. Where it is known which values stand in several places,
// it remembers no others: there may be hundreds of thousands of tensors.
func (b *builder) walk(v pickle.Value, visit func(pickle.Value) bool) {
	if b.shared == nil {
		pickle.Walk(v, visit)
		return
	}
	seen := make(map[pickle.Value]struct{})
	enter := func(v pickle.Value) bool {
		if b.shared(v) {
			if _, again := seen[v]; again {
				return false
			}
			seen[v] = struct{}{}
		}
		return visit(v)
	}
	if !enter(v) {
		return
	}
	type cursor struct {
		v    pickle.Value
		next int
	}
	open := []cursor{{v: v}}
	for len(open) > 0 {
		top := &open[len(open)-1]
		part, ok := pickle.Part(top.v, top.next)
		if !ok {
			open = open[:len(open)-1]
			continue
		}
		top.next++
		if !enter(part) {
			continue
		}
		if _, holds := pickle.Part(part, 0); !holds {
			continue
		}
		if _, more := pickle.Part(top.v, top.next); !more {
			*top = cursor{v: part}
			continue
		}
		open = append(open, cursor{v: part})
	}
}
