package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

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
		fmt.Fprintf(&b, "\n\nFlags:\n%s", strings.TrimRight(cmd.LocalFlags().FlagUsagesWrapped(columns), " \n"))
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
