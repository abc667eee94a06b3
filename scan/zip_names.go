package scan

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
)

// names tells of names that lead out of the archive or mean two members.
func (t *trace) names(b blob, at place, d *directory) {
	links := t.linksOf(at)
	defer links.finish()
	for i := range d.members {
		m := &d.members[i]
		name := d.name(m)
		if leaves(name) {
			t.note("ST412", at.in(name), m.entry, "", fmt.Sprintf("a name that leaves the archive: %+q", clip(name, 80)))
		} else if strings.ContainsFunc(name, unprintable) {
			t.note("ST418", at.in(name), m.entry, "", fmt.Sprintf("control characters in a name: %+q", clip(name, 80)))
		}
		if m.system == 3 || m.system == 19 { // Unix, and macOS
			if m.mode>>12 == 0xa { // S_IFLNK
				links.zipLink(b, at, d, m)
				continue
			}
			if kind := m.mode & 0xf000; kind != 0 && kind != 0x8000 { // S_IFREG
				t.node(at.in(name), m.entry, uint32(m.mode))
			}
		}
		if len(links.links) > 0 {
			links.file(at.in(name), m.entry, name)
		}
	}
	t.twice(at, d)
}

// twice tells of names that are the same, or are but for the case of letters.
func (t *trace) twice(at place, d *directory) {
	// Sorted by sums of the names in lower case, so that 100,000 names are not
	// kept a second time.
	type sum struct {
		sum uint64
		i   int32
	}
	seed := maphash.MakeSeed()
	sums := make([]sum, len(d.members))
	for i := range d.members {
		sums[i] = sum{maphash.String(seed, strings.ToLower(d.name(&d.members[i]))), int32(i)}
	}
	slices.SortFunc(sums, func(a, b sum) int { return cmp.Or(cmp.Compare(a.sum, b.sum), cmp.Compare(a.i, b.i)) })
	name := func(i int32) string { return d.name(&d.members[i]) }
	var again []int32 // members that have a namesake before them, its index behind
	for first := 0; first < len(sums); {
		next := first + 1
		for ; next < len(sums) && sums[next].sum == sums[first].sum; next++ {
			again = append(again, sums[next].i, sums[first].i)
			if name(sums[next].i) == name(sums[first].i) {
				continue
			}
			// The names before it, of which one may be the same.
			for _, s := range sums[max(first, next-64):next] {
				if name(s.i) == name(sums[next].i) {
					again[len(again)-1] = s.i
				}
			}
		}
		first = next
	}
	order := make([]int, 0, len(again)/2)
	for i := 0; i < len(again); i += 2 {
		order = append(order, i)
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(again[a], again[b]) })
	for _, i := range order {
		this, other, entry := name(again[i]), name(again[i+1]), d.members[again[i]].entry
		if this == other {
			t.note("ST410", at.in(this), entry, "", "a second member of that name")
		} else {
			t.note("ST411", at.in(this), entry, "", fmt.Sprintf("differs from %+q by letter case alone, which torch ignores", clip(other, 80)))
		}
	}
}

// leaves tells whether a name leads out of the place that it is relative to.
func leaves(name string) bool {
	if name == "" || name[0] == '/' || strings.ContainsAny(name, "\\\x00") || len(name) > 1 && name[1] == ':' {
		return true
	}
	return strings.Contains(name, "..") && slices.Contains(strings.Split(name, "/"), "..")
}
