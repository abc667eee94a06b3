package main

import (
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tensmith/tensmith/safetensors"
)

// answers are what a shell completes flags of verbs with, that take one of some
// words.
var answers = map[string]map[string][]string{
	"ls":         {"sort": {"file", "name", "size"}},
	"show":       {"heat": {"max", "mean"}},
	"stats":      {"by": {"tensor", "layer", "dtype", "model"}, "sort": append([]string{"name", "file"}, statsOrders()...)},
	"scan":       {"fail-on": {"dangerous", "suspicious", "note"}},
	"check":      {"fail-on": {"dangerous", "suspicious", "note"}},
	"convert":    {"tied": {"dedupe", "keep", "reference"}, "quantized": {"parts"}, "sparse": {"parts", "dense"}, "complex": {"split"}, "dtype": floats()},
	"merge":      {"prefer": {"first", "last"}},
	"repack":     {"metadata": {"keep", "drop"}},
	"cast":       {"to": floats(), "scale": {"none", "tensor", "block128", "mx"}, "overflow": {"special", "saturate"}},
	"dequantize": {"to": {"auto", "bf16", "f16", "f32", "f64"}},
	"sbom":       {"hash": {"blake2b", "blake3"}, "time": {"now"}, "serial": {"random"}},
}

// named are the verbs whose arguments behind MODEL are names of its tensors.
var named = []string{"ls", "show", "stats", "hist", "select", "drop", "export"}

// completed lets a shell complete what a verb and those below it take.
func (a *app) completed(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		a.completed(sub)
	}
	for name, values := range answers[cmd.Name()] {
		if cmd.Flags().Lookup(name) == nil {
			continue // the verb check of policies has other flags than check
		}
		if err := cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
			panic(err) // it has been registered
		}
	}
	for _, verb := range named {
		if verb == cmd.Name() {
			cmd.ValidArgsFunction = tensorNames
		}
	}
}

// tensorNames are those that begin as the user has typed. A shell asks with
// somebody waiting, and a list of thousands helps nobody.
func tensorNames(_ *cobra.Command, args []string, typed string) (names []string, _ cobra.ShellCompDirective) {
	const most = 1000
	if len(args) == 0 {
		return nil, cobra.ShellCompDirectiveDefault // files
	}
	p, err := locate(args[0])
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	c, err := safetensors.OpenCheckpointFS(p.fsys, p.name)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer c.Close()
	for t := range c.All() {
		if strings.HasPrefix(t.Name, typed) && safe(t.Name) == t.Name && len(names) < most {
			names = append(names, t.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// unquoting writes what a shell shows of flags without the marks that pflag
// wants around their arguments.
type unquoting struct{ io.Writer }

func (u unquoting) Write(p []byte) (int, error) {
	if _, err := u.Writer.Write([]byte(strings.ReplaceAll(string(p), "`", ""))); err != nil {
		return 0, err
	}
	return len(p), nil
}
