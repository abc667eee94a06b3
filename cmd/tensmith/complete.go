package main

import (
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tensmith/tensmith/safetensors"
)

// answers are what a shell completes flags of a verb with, that take one of some
// words.
func answers(verb string) map[string][]string {
	switch verb {
	case "ls":
		return map[string][]string{"sort": {"file", "name", "size"}}
	case "show":
		return map[string][]string{"heat": heatKinds}
	case "stats":
		return map[string][]string{"by": {"tensor", "layer", "dtype", "model"}, "sort": append([]string{"name", "file"}, statsOrders()...)}
	case "scan", "check":
		return map[string][]string{"fail-on": {"dangerous", "suspicious", "note"}}
	case "convert":
		return map[string][]string{"tied": {"dedupe", "keep", "reference"}, "quantized": {"parts"}, "sparse": {"parts", "dense"}, "complex": {"split"}, "dtype": floats()}
	case "merge":
		return map[string][]string{"prefer": {"first", "last"}}
	case "repack":
		return map[string][]string{"metadata": {"keep", "drop"}}
	case "cast":
		return map[string][]string{"to": floats(), "scale": {"none", "tensor", "block128", "mx"}, "overflow": {"special", "saturate"}}
	case "dequantize":
		return map[string][]string{"to": {"auto", "bf16", "f16", "f32", "f64"}}
	case "sbom":
		return map[string][]string{"hash": {"blake2b", "blake3"}, "time": {"now"}, "serial": {"random"}}
	}
	return nil
}

// named are the verbs whose arguments behind MODEL are names of its tensors.
var named = []string{"ls", "show", "stats", "hist", "select", "drop", "export"}

// shellAsks tells whether a shell wants to know what could stand next.
func (a *app) shellAsks() bool {
	return len(a.args) > 0 && (a.args[0] == cobra.ShellCompRequestCmd || a.args[0] == cobra.ShellCompNoDescRequestCmd)
}

// completed lets a shell complete what a verb and those below it take.
func completed(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		completed(sub)
	}
	register(cmd, answers(cmd.Name()))
	for _, verb := range named {
		if verb == cmd.Name() {
			cmd.ValidArgsFunction = tensorNames
		}
	}
}

// register has flags completed with words.
func register(cmd *cobra.Command, words map[string][]string) {
	for name, values := range words {
		if cmd.Flag(name) == nil {
			continue // the verb check of policies has other flags than check
		}
		if err := cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
			panic(err) // it has been registered
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
