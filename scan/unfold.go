package scan

import (
	"math/bits"

	"github.com/tensmith/tensmith/pickle"
)

// maxUnfolded is how many values a pickle may stand for, if what is shared
// counts as often as it is met.
const maxUnfolded = 1 << 50

// unfolds tells whether lists, tuples, sets and dicts share each other so often
// that a program which prints, copies or compares them does not come to an
// end: each of 60 lists that holds the one before twice, or a list that holds
// itself more than once. Loading them is quick. What is shared is known to the
// decoder, and nothing is remembered of the rest.
func unfolds(root pickle.Value, d *pickle.Decoder) bool {
	type frame struct {
		v    pickle.Value
		next int
		sum  uint64
		back map[pickle.Value]bool // what it holds that holds it
	}
	if !isContainer(root) {
		return false
	}
	const open = 0 // the size of a container that is not yet known
	sizes := map[pickle.Value]uint64{root: open}
	stack := []frame{{v: root, sum: 1}}
	for len(stack) > 0 {
		top := &stack[len(stack)-1]
		if top.sum > maxUnfolded {
			return true
		}
		kid, more := pickle.Part(top.v, top.next)
		if !more {
			sum := top.sum
			if _, shared := sizes[top.v]; shared {
				sizes[top.v] = sum
			}
			if stack = stack[:len(stack)-1]; len(stack) > 0 {
				total, carry := bits.Add64(stack[len(stack)-1].sum, sum, 0)
				if carry > 0 {
					return true
				}
				stack[len(stack)-1].sum = total
			}
			continue
		}
		top.next++
		if !isContainer(kid) {
			top.sum++
			continue
		}
		size, met := sizes[kid]
		switch {
		case !met:
			if d.Shared(kid) {
				sizes[kid] = open
			} else if _, last := pickle.Part(top.v, top.next); !last && len(stack) > 1 {
				if _, shared := sizes[top.v]; !shared {
					// The last part of what is not shared: it takes its place, or
					// a million lists in each other would be as many frames.
					*top = frame{v: kid, sum: top.sum + 1}
					continue
				}
			}
			stack = append(stack, frame{v: kid, sum: 1})
		case size == open:
			if top.back[kid] {
				return true
			}
			if top.back == nil {
				top.back = map[pickle.Value]bool{}
			}
			top.back[kid] = true
			top.sum++
		default:
			total, carry := bits.Add64(top.sum, size, 0)
			if carry > 0 {
				return true
			}
			top.sum = total
		}
	}
	return false
}

func isContainer(v pickle.Value) bool {
	switch v := v.(type) {
	case *pickle.List:
		return len(v.Items) > 0
	case *pickle.Tuple:
		return len(v.Items) > 0
	case *pickle.Set:
		return len(v.Items) > 0
	case *pickle.Dict:
		return len(v.Pairs) > 0
	}
	return false
}
