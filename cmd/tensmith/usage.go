package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// explainedBy annotates a flag that the help of another command explains: the
// usage of this one would be a page of what few people want of it. Completion
// and the manual still have it.
const explainedBy = "tensmith_explained_by"

// explainElsewhere leaves the flags of signing out of the usage, which names in
// their place the command that explains them.
func explainElsewhere(flags *pflag.FlagSet, by string) {
	flags.VisitAll(func(f *pflag.Flag) {
		if _, ok := signingMethods[f.Name]; ok {
			if err := flags.SetAnnotation(f.Name, explainedBy, []string{by}); err != nil {
				panic(err) // there is no such flag
			}
		}
	})
}

// listed are the flags that the usage lists, and the command that explains the
// others, or "".
func listed(flags *pflag.FlagSet) (shown *pflag.FlagSet, elsewhere string) {
	shown = pflag.NewFlagSet("", pflag.ContinueOnError)
	shown.SortFlags = flags.SortFlags
	flags.VisitAll(func(f *pflag.Flag) {
		if by := f.Annotations[explainedBy]; len(by) > 0 && !f.Hidden {
			elsewhere = by[0]
		} else if name, text := pflag.UnquoteUsage(f); f.NoOptDefVal != "" && f.Value.Type() == "string" {
			// pflag would spell out here what the flag alone stands for.
			shown.BoolP(f.Name+"[="+name+"]", f.Shorthand, false, text)
		} else {
			shown.AddFlag(f)
		}
	})
	return shown, elsewhere
}

// usage prints how a command is used: cobra's own text, in the words of this
// program and without what says nothing here.
func usage(out io.Writer, cmd *cobra.Command, columns int) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Usage:\n  %s", cmd.UseLine())
	if cmd.HasExample() {
		fmt.Fprintf(&b, "\n\nExamples:\n%s", cmd.Example)
	}
	verbs := func(title string, in func(*cobra.Command) bool) {
		fmt.Fprintf(&b, "\n\n%s", title)
		for _, verb := range cmd.Commands() {
			if verb.IsAvailableCommand() && in(verb) {
				fmt.Fprintf(&b, "\n  %-*s %s", verb.NamePadding(), verb.Name(), verb.Short)
			}
		}
	}
	for _, group := range cmd.Groups() {
		verbs(group.Title, func(verb *cobra.Command) bool { return verb.GroupID == group.ID })
	}
	if cmd.HasAvailableSubCommands() && len(cmd.Groups()) == 0 {
		verbs("Verbs:", func(*cobra.Command) bool { return true })
	}
	if cmd.HasAvailableLocalFlags() {
		shown, elsewhere := listed(cmd.LocalFlags())
		fmt.Fprintf(&b, "\n\nFlags:\n%s", strings.TrimRight(shown.FlagUsagesWrapped(columns), " \n"))
		if elsewhere != "" {
			fmt.Fprintf(&b, "\n\nWith --sign go the flags of keys and identities that\n`%s` lists.", elsewhere)
		}
	}
	if cmd.HasAvailableInheritedFlags() {
		fmt.Fprintf(&b, "\n\nFlags of every verb:\n%s", strings.TrimRight(cmd.InheritedFlags().FlagUsagesWrapped(columns), " \n"))
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "\n\n`%s VERB --help` tells more about a verb.", cmd.CommandPath())
	}
	b.WriteByte('\n')
	_, err := io.WriteString(out, b.String())
	return err
}

// narrowed is a text of paragraphs, folded anew for a terminal that is narrower
// than it was written for. Lines that are indented stay as they are.
func narrowed(text string, width int) string {
	var b strings.Builder
	paragraph := ""
	end := func() {
		if paragraph != "" {
			b.WriteString(folded(paragraph, 0, 0, width) + "\n")
		}
		paragraph = ""
	}
	for line := range strings.SplitSeq(text, "\n") {
		if line == "" || line[0] == ' ' {
			end()
			b.WriteString(line + "\n")
		} else if paragraph == "" {
			paragraph = line
		} else {
			paragraph += " " + line
		}
	}
	end()
	return strings.TrimSuffix(b.String(), "\n")
}
