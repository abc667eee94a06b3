package main

import (
	"cmp"
	"iter"
	"slices"
	"strings"

	"github.com/tensmith/tensmith/safetensors"
)

// near returns up to three names like the one that was not found: those with
// few letters that differ, then those it is a part of.
func near(name string, tensors iter.Seq[*safetensors.Tensor]) []string {
	const most = 256 // longer names are nobody's slip of the finger
	if name == "" || len(name) > most {
		return nil
	}
	type candidate struct {
		name   string
		rating int
	}
	var list []candidate
	plain := strings.ToLower(name)
	worth := min(4, 1+len(name)/4)
	for t := range tensors {
		if t.Name == "" || len(t.Name) > most {
			continue
		}
		other := strings.ToLower(t.Name)
		if d := edits(plain, other, worth); d <= worth {
			list = append(list, candidate{t.Name, d})
		} else if len(plain) > 2 && strings.Contains(other, plain) || strings.HasSuffix(plain, "."+other) {
			list = append(list, candidate{t.Name, 1000 + len(other)})
		}
	}
	slices.SortFunc(list, func(x, y candidate) int {
		return cmp.Or(cmp.Compare(x.rating, y.rating), natural(x.name, y.name))
	})
	var names []string
	for _, c := range list[:min(3, len(list))] {
		names = append(names, c.name)
	}
	return names
}

// edits returns how many bytes of x are to be changed, added or taken away to
// make y, or most+1 if that is more than most. It looks at no more than a band
// of the table, for there may be a million names.
func edits(x, y string, most int) int {
	if len(x)-len(y) > most || len(y)-len(x) > most {
		return most + 1
	}
	// What both begin and end with changes nothing, and is most of a name.
	for len(x) > 0 && len(y) > 0 && x[0] == y[0] {
		x, y = x[1:], y[1:]
	}
	for len(x) > 0 && len(y) > 0 && x[len(x)-1] == y[len(y)-1] {
		x, y = x[:len(x)-1], y[:len(y)-1]
	}
	row := make([]int, len(y)+1)
	for j := range row {
		row[j] = min(j, most+1)
	}
	for i := 1; i <= len(x); i++ {
		from, to := max(1, i-most), min(len(y), i+most)
		diagonal := row[from-1]
		left := most + 1
		if from == 1 {
			left = min(i, most+1)
		}
		row[from-1] = left
		best := left
		for j := from; j <= to; j++ {
			up := row[j]
			if j == i+most {
				up = most + 1 // outside of the band of the row before
			}
			step := diagonal
			if x[i-1] != y[j-1] {
				step = 1 + min(diagonal, up, left)
			}
			diagonal, left = row[j], min(step, most+1)
			row[j] = left
			best = min(best, left)
		}
		if best > most {
			return best
		}
	}
	return row[len(y)]
}
