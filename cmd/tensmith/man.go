package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func manCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "man DIR",
		Short: "write manual pages, one a verb, to a directory",
		Long: `Write the manual pages of the command and of each of its verbs to a directory
that exists. Pages of these names are replaced.

Exit status: 0 written, 2 they could not be.`,
		Example: "  tensmith man /usr/local/share/man/man1",
		Args:    args(1, 1, "DIR"),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.man(cmd.Root(), args[0]) },
	}
}

func (a *app) man(root *cobra.Command, dir string) error {
	// A slip of the finger is not to become a directory full of pages.
	switch info, err := os.Stat(dir); {
	case errors.Is(err, fs.ErrNotExist):
		return hinted{simplify(dir, err), "make the directory first: mkdir -p " + quoted(dir)}
	case err != nil:
		return simplify(dir, err)
	case !info.IsDir():
		return fmt.Errorf("%s: is no directory", dir)
	}
	var pages []string
	for todo := []*cobra.Command{root}; len(todo) > 0; todo = todo[1:] {
		todo = append(todo, verbsOf(todo[0])...)
		page := filepath.Join(dir, pageOf(todo[0])+".1")
		if err := os.WriteFile(page, []byte(manual(todo[0])), 0o666); err != nil {
			return simplify(page, err)
		}
		pages = append(pages, filepath.ToSlash(page))
	}
	slices.Sort(pages)
	switch {
	case a.isJSON():
		return a.printJSON(struct {
			Schema string   `json:"schema"`
			Output []string `json:"output"`
		}{"tensmith.man/1", pages})
	case a.format == "tsv":
		s := a.sheet("output")
		for _, page := range pages {
			s.row(page)
		}
		return s.flush()
	}
	a.words("wrote %s to %s", plural(len(pages), "page"), dir)
	return nil
}

// verbsOf are the verbs below a command that its help lists.
func verbsOf(cmd *cobra.Command) []*cobra.Command {
	return slices.DeleteFunc(slices.Clone(cmd.Commands()), func(verb *cobra.Command) bool { return !verb.IsAvailableCommand() })
}

func pageOf(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// manual is the manual page of a command, in the macros man(7): what its help
// says, in the order of manual pages. It has no date, so that the same program
// writes the same pages, and nothing is hyphenated: names of pages are to be found.
//
// It is not cobra's, which takes the text for Markdown and so folds its tables,
// and brings a parser of that into every run of the program.
func manual(cmd *cobra.Command) string {
	cmd.InitDefaultHelpFlag()
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %q 1 \"\" tensmith \"\"\n.nh\n.ad l\n.SH NAME\n%s \\- %s\n", strings.ToUpper(pageOf(cmd)), roff(pageOf(cmd)), roff(cmd.Short))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n%s\n.SH DESCRIPTION\n%s", roff(cmd.UseLine()), roffText(strings.TrimSpace(cmd.Long)))
	if verbs := verbsOf(cmd); len(verbs) > 0 {
		b.WriteString(".SH VERBS\n")
		for _, verb := range verbs {
			fmt.Fprintf(&b, ".TP 13\n.B %s\n%s\n", roff(verb.Name()), roff(verb.Short))
		}
	}
	flags := func(title string, set *pflag.FlagSet) {
		heading := ".SH " + title + "\n"
		set.VisitAll(func(f *pflag.Flag) {
			if !f.Hidden {
				b.WriteString(heading + roffFlag(f))
				heading = ""
			}
		})
	}
	flags("OPTIONS", cmd.NonInheritedFlags())
	flags("OPTIONS OF EVERY VERB", cmd.InheritedFlags())
	if cmd.HasExample() {
		fmt.Fprintf(&b, ".SH EXAMPLES\n%s", roffText(strings.Trim(cmd.Example, "\n")))
	}
	also := verbsOf(cmd)
	if cmd.HasParent() {
		also = append([]*cobra.Command{cmd.Parent()}, also...)
	}
	var names []string
	for _, other := range also {
		names = append(names, `\fB`+roff(pageOf(other))+`\fR(1)`)
	}
	if len(names) > 0 {
		fmt.Fprintf(&b, ".SH SEE ALSO\n%s\n", strings.Join(names, ", "))
	}
	return b.String()
}

// roffFlag is a flag and what it does.
func roffFlag(f *pflag.Flag) string {
	name, text := pflag.UnquoteUsage(f)
	head := `\fB` + roff("--"+f.Name) + `\fR`
	if f.Shorthand != "" {
		head = `\fB` + roff("-"+f.Shorthand) + `\fR, ` + head
	}
	switch {
	case name == "":
	case f.NoOptDefVal != "":
		head += `[=\fI` + roff(name) + `\fR]`
	default:
		head += ` \fI` + roff(name) + `\fR`
	}
	if text == "" {
		text = "."
	}
	switch kind := f.Value.Type(); {
	case slices.Contains([]string{"", "false", "0", "0s", "[]"}, f.DefValue) && (kind != "string" || f.DefValue == ""):
	case kind == "string":
		text += fmt.Sprintf(" (default %q)", f.DefValue)
	default:
		text += fmt.Sprintf(" (default %s)", f.DefValue)
	}
	return fmt.Sprintf(".TP\n%s\n%s\n", head, roff(strings.ReplaceAll(text, "\n", " ")))
}

// roffText is a text of paragraphs, those that are indented as they stand.
func roffText(text string) string {
	var b strings.Builder
	asIs := false
	for line := range strings.SplitSeq(text, "\n") {
		switch indented := strings.HasPrefix(line, " "); {
		case line == "" && !asIs:
			b.WriteString(".PP\n")
			continue
		case indented && !asIs:
			b.WriteString(".RS 2\n.nf\n")
		case !indented && line != "" && asIs:
			b.WriteString(".fi\n.RE\n")
		}
		asIs = asIs && line == "" || strings.HasPrefix(line, " ")
		b.WriteString(roff(strings.TrimPrefix(line, "  ")) + "\n")
	}
	if asIs {
		b.WriteString(".fi\n.RE\n")
	}
	return b.String()
}

// roff is a text in which nothing is a request or an escape, and a quote, a hyphen or a
// tilde is what it would be at a prompt.
func roff(text string) string {
	var b strings.Builder
	if text != "" && strings.ContainsRune(".'", rune(text[0])) {
		b.WriteString(`\&`)
	}
	for _, r := range text {
		b.WriteString(roffChar(r))
	}
	return b.String()
}

func roffChar(r rune) string {
	switch r {
	case '\\':
		return `\(rs`
	case '-':
		return `\-`
	case '\'':
		return `\(aq`
	case '`':
		return `\(ga`
	case '^':
		return `\(ha`
	case '~':
		return `\(ti`
	}
	if r > '~' {
		return fmt.Sprintf(`\[u%04X]`, r)
	}
	return string(r)
}
