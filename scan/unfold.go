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
// itself more than once. Loading them is quick.
func unfolds(root pickle.Value) bool {
	type frame struct {
		v    pickle.Value
		kids []pickle.Value
		sum  uint64
		back map[pickle.Value]bool // what it holds that holds it
	}
	if !isContainer(root) {
		return false
	}
	const open = 0 // the size of a container that is not yet known
	sizes := map[pickle.Value]uint64{root: open}
	stack := []frame{{v: root, kids: pickle.Parts(root), sum: 1}}
	for len(stack) > 0 {
		top := &stack[len(stack)-1]
		if len(top.kids) == 0 {
			sum := top.sum
			if sum > maxUnfolded {
				return true
			}
			sizes[top.v] = sum
			stack = stack[:len(stack)-1]
			continue
		}
		kid := top.kids[0]
		size := uint64(1)
		if isContainer(kid) {
			known, met := sizes[kid]
			switch {
			case !met:
				sizes[kid] = open
				stack = append(stack, frame{v: kid, kids: pickle.Parts(kid), sum: 1})
				continue // and to the same kid again, when its size is known
			case known == open:
				if top.back[kid] {
					return true
				}
				if top.back == nil {
					top.back = map[pickle.Value]bool{}
				}
				top.back[kid] = true
			default:
				size = known
			}
		}
		top.kids = top.kids[1:]
		sum, carry := bits.Add64(top.sum, size, 0)
		if carry > 0 {
			return true
		}
		top.sum = sum
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
