package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// subverb is the check of the arguments of a verb that only has others: what is
// no flag is meant for one.
func subverb(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, sub := range cmd.Commands() {
		names = append(names, cmd.Name()+" "+sub.Name())
	}
	return hinted{usagef("there is no verb %q", cmd.Name()+" "+args[0]), "there is " + strings.Join(names, ", ")}
}

// args is a check of how many arguments a verb gets; most < 0 is no limit.
func args(least, most int, what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return usagef("%s is missing", what)
		case most >= 0 && len(args) > most:
			return usagef("too many arguments: %s", strings.Join(args[most:], " "))
		}
		return nil
	}
}

// modelAnd is args for a model and what of its tensors.
func modelAnd(most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, given []string) error {
		if len(given) == 1 {
			return hinted{usagef("%s is missing", what), fmt.Sprintf("`tensmith ls %s` lists the names", quoted(given[0]))}
		}
		return args(2, most, "MODEL")(cmd, given)
	}
}
