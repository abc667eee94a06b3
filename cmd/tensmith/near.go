package main

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tensmith/tensmith/safetensors"
)

// flagError also notices slips: letters that are off, one hyphen for two, and a
// file whose name begins with a hyphen.
func flagError(cmd *cobra.Command, err error) error {
	word := ""
	if e, ok := errors.AsType[*pflag.NotExistError](err); ok {
		word = cmp.Or(e.GetSpecifiedShortnames(), e.GetSpecifiedName())
		if _, failed := os.Stat("-" + word); failed == nil && e.GetSpecifiedShortnames() != "" {
			return hinted{usageError{err}, "the file is " + quoted("./-"+word)}
		}
	} else if e, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		// -json is -j with the value son.
		if word = e.GetFlag().Shorthand + e.GetValue(); cmd.Flags().Lookup(word) == nil {
			word = ""
		}
		if _, number := errors.AsType[*strconv.NumError](err); number {
			err = fmt.Errorf("--%s is %q, no number that it takes", e.GetFlag().Name, e.GetValue())
		}
	}
	if near := nearFlags(word, cmd.Flags()); len(near) > 0 {
		return hinted{usageError{err}, "did you mean " + strings.Join(near, " or ") + "?"}
	}
	return usageError{err}
}

// nearFlags returns the flags whose names have the fewest letters that differ
// from a word, or else those that it is the beginning of, or that begin it.
func nearFlags(word string, flags *pflag.FlagSet) (names []string) {
	if len(word) < 2 {
		return nil
	}
	word = strings.ToLower(strings.ReplaceAll(word, "_", "-"))
	least := min(3, 1+len(word)/4)
	var longer []string
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		switch d := edits(word, f.Name, least); {
		case d < least:
			least, names = d, []string{"--" + f.Name}
		case d == least:
			names = append(names, "--"+f.Name)
		case strings.HasPrefix(f.Name, word) || strings.HasPrefix(word, f.Name+"-"):
			longer = append(longer, "--"+f.Name)
		}
	})
	if len(names) == 0 {
		names = longer
	}
	if len(names) > 3 {
		return nil
	}
	return names
}

// noMatch says that no tensor matches, and what may have been meant: who thinks
// of grep writes a part of a name.
func (a *app) noMatch(patterns []string, tensors iter.Seq[*safetensors.Tensor]) {
	a.words("no tensor matches")
	if len(patterns) != 1 {
		return
	}
	part := "*" + patterns[0] + "*"
	match, err := parseGlobs([]string{part})
	if err != nil {
		return
	}
	n := 0
	for t := range tensors {
		if match.match(t.Name) {
			n++
		}
	}
	if n > 0 {
		a.words("hint: a pattern is of whole names; %s matches %d", quoted(part), n)
		return
	}
	var names []string
	for _, name := range near(patterns[0], tensors) {
		names = append(names, safe(name))
	}
	if len(names) > 0 {
		a.words("hint: there is %s", strings.Join(names, ", "))
	}
}

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
