package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/tensmith/tensmith/safetensors"
)

// A renamed is a tensor's old and new name.
type renamed struct {
	Old string `json:"old"`
	New string `json:"new"`
}

func renameCommand(a *app) *cobra.Command {
	var o output
	var list string
	cmd := &cobra.Command{
		Use:   "rename [flags] MODEL s/RE/TEXT/[gi]… -o FILE",
		Short: "write a model with other names",
		Long: `Rename tensors as sed would: each expression is applied to each name, in the
order given. RE is a regular expression of Go; in TEXT, \1 to \9 and & stand
for what it found. g replaces every match, i ignores case; any character may
stand for the slash. --map gives pairs of names, one a line with a tab between,
and comes before the expressions.

Names that would be empty or stand twice are refused.

Exit status: 0 written, 1 no name changes, and nothing is written, 2 the model
could not be read or written.`,
		Example: `  tensmith rename lora.safetensors 's/^base_model\.model\.//' -o out.safetensors
  tensmith rename model/ 's/layers\.(\d+)\./blocks.\1./' --dry-run`,
		Args: args(1, -1, "MODEL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.rename(cmd.Context(), &o, args[0], list, args[1:])
		},
	}
	cmd.Flags().StringVar(&list, "map", "", "a `FILE` of old and new names")
	o.flags(cmd, "none", true)
	return cmd
}

func (a *app) rename(ctx context.Context, o *output, address, list string, texts []string) error {
	if err := o.check(); err != nil {
		return err
	}
	if len(texts) == 0 && list == "" {
		return hinted{usagef("an expression is missing"), "write one such as 's/^model\\.//', or --map FILE"}
	}
	var expressions []*expression
	for _, text := range texts {
		e, err := parseExpression(text)
		if err != nil {
			return err
		}
		expressions = append(expressions, e)
	}
	pairs, err := readPairs(list)
	if err != nil {
		return err
	}
	in, err := a.openInput(ctx, address)
	if err != nil {
		return err
	}
	defer in.Close()
	w := &writing{verb: "rename", entries: in.entries(all), metadata: in.Metadata(), from: address, paths: in.paths, close: in.Close}
	found := 0
	for i := range w.entries {
		old := w.entries[i].Name
		name := old
		if to, ok := pairs[old]; ok {
			name = to
			found++
		}
		for _, e := range expressions {
			if name, err = e.apply(name); err != nil {
				return fmt.Errorf("%s: %s: %w", address, shorten(safe(old), 80), err)
			}
		}
		if name != old {
			w.entries[i].Name = name
			w.report.Renamed = append(w.report.Renamed, renamed{old, name})
		}
	}
	if found < len(pairs) {
		a.words("note: %s of %s are not in the model", plural(len(pairs)-found, "name"), list)
	}
	if len(w.report.Renamed) == 0 {
		a.words("no name changes")
		return a.nothing(o, "rename")
	}
	if err := clashes(address, w.entries, w.report.Renamed); err != nil {
		return err
	}
	if o.dryRun && a.format == "tsv" {
		s := a.sheet("old", "new")
		for _, r := range w.report.Renamed {
			s.row(r.Old, r.New)
		}
		return s.flush()
	}
	if o.dryRun && a.format == "human" {
		if err := a.printRenamed(w.report.Renamed); err != nil {
			return err
		}
	}
	w.report.Changes = append(w.report.Changes, plural(len(w.report.Renamed), "tensor")+" renamed")
	for _, r := range w.report.Renamed {
		for _, value := range w.metadata {
			if value == r.Old {
				w.report.Changes = append(w.report.Changes, fmt.Sprintf("note: the metadata still calls %s so", shorten(safe(r.Old), 80)))
				break
			}
		}
		if len(w.report.Changes) > 10 {
			break
		}
	}
	return a.write(ctx, o, w)
}

// printRenamed prints old and new names, in columns if there is room.
func (a *app) printRenamed(list []renamed) error {
	width, ok := terminal(a.stdout)
	widest := 0
	for _, r := range list {
		widest = max(widest, utf8.RuneCountInString(safe(r.Old))+utf8.RuneCountInString(safe(r.New))+5)
	}
	out := bufio.NewWriter(a.stdout)
	tab := table{a: a, give: -1}
	for _, r := range list {
		switch {
		case ok && widest > width || widest > 1000:
			fmt.Fprintf(out, "%s\n  → %s\n", safe(r.Old), a.paint(green, safe(r.New)))
		default:
			tab.row(safe(r.Old), "→", cell{safe(r.New), green})
		}
	}
	return errors.Join(out.Flush(), tab.flush())
}

// clashes finds names that cannot be, and tells of a few of them.
func clashes(address string, entries []safetensors.Entry, changed []renamed) error {
	was := make(map[string]string, len(changed)) // the first of those that got a name
	for _, r := range changed {
		if _, twice := was[r.New]; !twice {
			was[r.New] = r.Old
		}
	}
	short := func(name string) string { return shorten(safe(name), 80) }
	times := make(map[string]int, len(entries))
	for _, e := range entries {
		times[e.Name]++
	}
	var bad []string
	for _, e := range entries {
		n := times[e.Name]
		times[e.Name] = 0 // told of once
		old, isNew := was[e.Name]
		switch {
		case n > 1:
			bad = append(bad, fmt.Sprintf("%d tensors would be called %s, one of them %s", n, short(e.Name), short(old)))
		case n == 0 || !isNew:
		case e.Name == "":
			bad = append(bad, short(old)+" would have no name")
		case e.Name == "__metadata__":
			bad = append(bad, short(old)+" would be called __metadata__, which is reserved")
		case !utf8.ValidString(e.Name):
			bad = append(bad, short(old)+" would have a name that is not UTF-8")
		}
	}
	if len(bad) == 0 {
		return nil
	}
	if n := len(bad); n > 5 {
		bad = append(bad[:5], fmt.Sprintf("and %d more", n-5))
	}
	return hinted{fmt.Errorf("%s: %s", address, strings.Join(bad, "; ")), "an expression can be anchored with ^ and $, and keep what differs with \\1"}
}

// An expression replaces what a regular expression finds, as sed's s does.
type expression struct {
	re     *regexp.Regexp
	with   string // a template of Go's regexp
	global bool
}

// parseExpression reads s/RE/TEXT/FLAGS.
func parseExpression(s string) (*expression, error) {
	bad := func(why string) error {
		return hinted{usagef("%q is no expression: %s", s, why), "write s/RE/TEXT/, as for sed"}
	}
	if len(s) < 2 || s[0] != 's' {
		return nil, bad("it does not begin with s/")
	}
	slash, n := utf8.DecodeRuneInString(s[1:])
	if slash == '\\' || slash == utf8.RuneError || unicode.IsLetter(slash) || unicode.IsDigit(slash) || unicode.IsSpace(slash) {
		return nil, bad(fmt.Sprintf("%q cannot stand for the slash", string(slash)))
	}
	parts := []string{""}
	last := func() *string { return &parts[len(parts)-1] }
	for rest := s[1+n:]; rest != ""; {
		r, n := utf8.DecodeRuneInString(rest)
		switch {
		case r == '\\' && len(rest) > n && len(parts) < 3:
			next, m := utf8.DecodeRuneInString(rest[n:])
			if next != slash {
				*last() += rest[:n+m]
			} else if len(parts) == 1 && strings.ContainsRune(`.|+*?()[]{}^$`, slash) {
				*last() += rest[:n+m] // a delimiter that RE knows stands for itself
			} else {
				*last() += rest[n : n+m]
			}
			rest = rest[n+m:]
			continue
		case r == slash && len(parts) < 3:
			parts = append(parts, "")
		default:
			*last() += rest[:n]
		}
		rest = rest[n:]
	}
	if len(parts) != 3 {
		return nil, bad(fmt.Sprintf("it needs three times %q", string(slash)))
	}
	e := &expression{}
	pattern := parts[0]
	for _, flag := range parts[2] {
		switch flag {
		case 'g':
			e.global = true
		case 'i', 'I':
			pattern = "(?i)" + pattern
		default:
			return nil, bad(fmt.Sprintf("there is no flag %q", string(flag)))
		}
	}
	var err error
	if e.re, err = regexp.Compile(pattern); err != nil {
		return nil, usagef("%q: %v", s, err)
	}
	for b := parts[1]; b != ""; b = b[1:] {
		switch {
		case b[0] == '&':
			e.with += "${0}"
		case b[0] == '$':
			e.with += "$$"
		case b[0] != '\\' || len(b) == 1:
			e.with += b[:1]
		default:
			b = b[1:]
			n := int(b[0]) - '0'
			switch {
			case n < 0 || n > 9:
				e.with += b[:1]
			case n > e.re.NumSubexp():
				return nil, bad(fmt.Sprintf(`there is no group for \%d`, n))
			default:
				e.with += fmt.Sprintf("${%d}", n)
			}
		}
	}
	return e, nil
}

// maxName is up to how many bytes a name may be changed: expressions in a row
// could make it ten times as long each.
const maxName = 1 << 16

// apply returns name with what e finds replaced.
func (e *expression) apply(name string) (string, error) {
	m := e.re.FindStringSubmatchIndex(name)
	switch {
	case m == nil:
		return name, nil
	case len(name) > maxName:
		return "", fmt.Errorf("the name grows beyond %d bytes", maxName)
	case e.global:
		return e.re.ReplaceAllString(name, e.with), nil
	}
	return name[:m[0]] + string(e.re.ExpandString(nil, e.with, name, m)) + name[m[1]:], nil
}

// readPairs reads old and new names.
func readPairs(file string) (map[string]string, error) {
	if file == "" {
		return nil, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, simplify(file, err)
	}
	defer f.Close()
	pairs := map[string]string{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, maxText)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSuffix(lines.Text(), "\r")
		if line == "" {
			continue
		}
		from, to, ok := strings.Cut(line, "\t")
		if _, twice := pairs[from]; !ok || twice {
			return nil, fmt.Errorf("%s: line %d is not a new name with a tab behind it and another name", file, n)
		}
		pairs[from] = to
	}
	if err := lines.Err(); err != nil {
		return nil, simplify(file, err)
	}
	return pairs, nil
}
