package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// The exit codes, a contract with scripts.
const (
	exitYes         = 0   // yes, clean, same, done
	exitNo          = 1   // a negative answer
	exitTrouble     = 2   // unreadable, refused, nothing to look at
	exitUsage       = 64  // the command line is wrong
	exitInterrupted = 130 // as a shell reports SIGINT
)

// errNo is a negative answer that has been printed already.
var errNo = errors.New("negative answer")

// A usageError is a mistake of the command line.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// A hinted is an error that comes with advice.
type hinted struct {
	error
	hint string
}

func (e hinted) Unwrap() error { return e.error }

// An app is one run of the command: its streams and its global flags.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer

	format   string
	json     bool
	quiet    bool
	level    string // of --log-level
	color    string
	colored  bool // what color comes to
	progress string
	jobs     int

	args   []string // as the user has them
	ledger *ledger  // of --audit, or nil

	heap *collector

	bar       atomic.Pointer[meter] // the latest
	abandoned atomic.Bool           // work goes on that nobody waits for
}

// verbs is every verb, in the order of the help.
var verbs = []struct {
	group string
	make  []func(*app) *cobra.Command
}{
	{"Look", []func(*app) *cobra.Command{infoCommand, lsCommand, treeCommand, headerCommand, showCommand, statsCommand, histCommand, pickleCommand}},
	{"Judge", []func(*app) *cobra.Command{checkCommand, scanCommand, policyCommand, explainCommand, diffCommand, hashCommand, conformanceCommand}},
	{"Change", []func(*app) *cobra.Command{convertCommand, metaCommand, selectCommand, dropCommand, renameCommand, mergeCommand, splitCommand, joinCommand, repackCommand, castCommand, dequantizeCommand, exportCommand}},
	{"Trust", []func(*app) *cobra.Command{digestCommand, signCommand, verifyCommand, attestCommand, sbomCommand, auditCommand}},
	{"Other", []func(*app) *cobra.Command{benchCommand, versionCommand, completionCommand, manCommand}},
}

// run is the command without a process around it.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	// Most of what is in memory is what is known of each tensor. Half as much again
	// may lie around, not as much again: collecting it takes little of the time
	// that reading does.
	heap := collect(50)
	defer heap.end()
	out := &stream{Writer: stdout, ctx: ctx}
	a := &app{stdin: stdin, stdout: out, stderr: stderr, args: args, heap: heap}
	root := a.root()
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if out.err != nil && (err == nil || errors.Is(err, errNo) && !errors.Is(out.err, syscall.EPIPE)) {
		err = out.err // an answer that did not arrive is none
	}
	if err == nil {
		return exitYes
	}
	verb := strings.TrimPrefix(cmd.CommandPath(), "tensmith ")
	switch {
	case errors.Is(err, errNo):
		return exitNo
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "tensmith: interrupted")
		return exitInterrupted
	case errors.Is(err, syscall.EPIPE):
		return exitYes // the reader has seen enough, as `head` does
	case isUsage(err):
		a.fail(verb, err)
		return exitUsage
	}
	a.fail(verb, err)
	return exitTrouble
}

// grace is how long work that the user has interrupted may take to end.
const grace = 200 * time.Millisecond

// abandoning runs work, and goes on without it when the user interrupts what
// leaves nothing behind: the process is about to end, and what reads a long
// pickle in one go, or waits for a slow disk, does not look up.
func (a *app) abandoning(ctx context.Context, work func() error) error {
	done := make(chan error, 1)
	go func() { done <- work() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return err
	case <-time.After(grace):
		a.abandoned.Store(true)
		if m := a.bar.Load(); m != nil {
			m.clear()
		}
		return ctx.Err()
	}
}

// isUsage also knows the errors that cobra makes of a command line itself.
func isUsage(err error) bool {
	var usage usageError
	return errors.As(err, &usage) || strings.HasPrefix(err.Error(), "unknown command")
}

// fail prints an error in one line, and its hint in another.
func (a *app) fail(verb string, err error) {
	if verb == "tensmith" {
		verb = ""
	} else {
		verb += ": "
	}
	for _, message := range messages(err) {
		fmt.Fprintf(a.stderr, "tensmith: %s%s\n", verb, harmless(message))
	}
	hint := ""
	if h, ok := errors.AsType[hinted](err); ok {
		hint = h.hint
	} else if isUsage(err) {
		hint = "`tensmith " + strings.TrimSuffix(verb, ": ") + " --help` shows how"
		if verb == "" {
			hint = "`tensmith --help` lists the verbs"
		}
	}
	if hint != "" {
		fmt.Fprintf(a.stderr, "hint: %s\n", harmless(hint))
	}
}

// messages are the texts of what was joined to err, without those that another
// ends in. A line end in a text is none of ours: it is in the name of a file.
func messages(err error) (all []string) {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []string{err.Error()}
	}
	var lines []string
	for _, e := range joined.Unwrap() {
		lines = append(lines, e.Error())
	}
	if strings.Join(lines, "\n") != err.Error() {
		return []string{err.Error()} // one text about several errors
	}
	for _, line := range lines {
		if !slices.ContainsFunc(all, func(s string) bool { return strings.HasSuffix(s, line) }) {
			all = append(all, line)
		}
	}
	return all
}

const about = `tensmith says what a file of model weights is and whether it is sound,
and turns weights of other formats into safetensors. It runs nothing that
a file contains.

  tensmith info MODEL            what is this?
  tensmith check MODEL           is it sound, and if not, why?
  tensmith ls MODEL              list its tensors
  tensmith show MODEL NAME       look at values
  tensmith convert CHECKPOINT    PyTorch and others to safetensors

MODEL is a file, an index of shards or a directory.
` + "`tensmith --help`" + ` lists all verbs.
`

// formats is what all verbs have in common.
const formats = `
Data goes to standard output, words to standard error. With --json every answer
is one document, with --format jsonl one a line; the first member is "schema":
"tensmith.VERB/1". With --format tsv it is a row of headings and rows of cells,
in which a tab is \t and a line end \n.

Exit status: 0 yes, done or the same, 1 a negative answer, 2 trouble
(unreadable, refused), 64 a mistake of the command line, 130 interrupted.
Trouble has no document; standard error says what it was.

Pages called docs/… are at https://github.com/tensmith/tensmith/tree/main/docs.
`

func (a *app) root() *cobra.Command {
	columns := 80
	if width, ok := terminal(a.stdout); ok {
		columns = max(width, 60)
	}
	var version bool
	root := &cobra.Command{
		Use:           "tensmith VERB [flags] MODEL…",
		Short:         "look at, check and change files of model weights",
		Long:          strings.TrimSuffix(about, "`tensmith --help` lists all verbs.\n") + formats,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			// Not by cobra: a template of text/template may call any method by its
			// name, so that the linker would leave none out, a fifth of the program.
			if version {
				return a.printVersion()
			}
			if len(args) > 0 {
				return a.unknownVerb(cmd, args[0])
			}
			text := about
			if columns < 80 {
				text = narrowed(text, columns)
			}
			_, err := io.WriteString(a.stdout, text)
			return err
		},
		PersistentPreRunE: func(cmd *cobra.Command, args []string) error { return cmp.Or(a.settle(), refuseKeyless(cmd)) },
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.SuggestionsMinimumDistance = 2
	root.Flags().BoolVar(&version, "version", false, "print the version")
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(flagError)
	flags := root.PersistentFlags()
	flags.StringVar(&a.format, "format", "auto", "the output's `FORM`: auto, human, json, jsonl or tsv")
	flags.BoolVar(&a.json, "json", false, "short for --format json")
	flags.BoolVarP(&a.quiet, "quiet", "q", false, "print no words, only data")
	flags.StringVar(&a.color, "color", "auto", "`WHEN` to colour: auto, always or never")
	flags.StringVar(&a.progress, "progress", "auto", "the `FORM` of progress on standard error: auto, bar, plain, json or none")
	flags.IntVarP(&a.jobs, "jobs", "j", runtime.GOMAXPROCS(0), "`N` workers")
	flags.Lookup("jobs").DefValue = "one a processor" // the same page of the manual everywhere
	// As model_signing has it before its verbs, so that its scripts run.
	flags.StringVar(&a.level, "log-level", "info", "the least `LEVEL` of words: debug, info, warning, error or critical")
	flags.Lookup("log-level").Hidden = true
	flags.SortFlags = false
	asked := a.shellAsks()
	if asked {
		root.SetOut(unquoting{a.stdout})
		register(root, choices)
	}
	for _, group := range verbs {
		root.AddGroup(&cobra.Group{ID: group.group, Title: group.group + ":"})
		for _, make := range group.make {
			cmd := make(a)
			cmd.GroupID = group.group
			cmd.DisableFlagsInUseLine = true
			cmd.Flags().SortFlags = false
			leaveOutKeyless(cmd)
			if asked {
				completed(cmd)
			}
			root.AddCommand(cmd)
			if group.group == "Look" || group.group == "Judge" && cmd.Name() != "conformance" {
				a.reading(cmd)
			}
			if group.group == "Judge" {
				a.judging(cmd)
			}
			for _, c := range append(cmd.Commands(), cmd) {
				if group.group == "Trust" && (c.Name() == "verify" || c.Name() == "digest") {
					a.reading(c)
				}
				if group.group == "Trust" && c.Name() == "verify" {
					a.judging(c)
				}
			}
			if writes := []string{"sign", "attest", "sbom"}; group.group == "Change" || slices.Contains(writes, cmd.Name()) {
				a.logged(cmd)
			}
		}
	}
	root.SetHelpCommand(a.helpCommand(root))
	root.SetHelpCommandGroupID("Other")
	root.SetUsageFunc(func(cmd *cobra.Command) error { return usage(cmd.OutOrStdout(), cmd, columns) })
	if columns < 80 {
		root.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
			fmt.Fprintf(cmd.OutOrStdout(), "%s\n\n%s", narrowed(strings.TrimSpace(cmp.Or(cmd.Long, cmd.Short)), columns), cmd.UsageString())
		})
	}
	return root
}

// helpCommand is cobra's, but that it knows a mistake when it sees one.
func (a *app) helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:     "help [VERB…]",
		Short:   "tell more about a verb",
		GroupID: "Other",
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) (names []string, _ cobra.ShellCompDirective) {
			if of, rest := verbNamed(root, args); len(rest) == 0 {
				for _, verb := range verbsOf(of) {
					names = append(names, verb.Name()+"\t"+verb.Short)
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, words []string) error {
			switch verb, rest := verbNamed(root, words); {
			case len(rest) == 0:
				return verb.Help()
			case verb == root:
				return a.unknownVerb(root, rest[0])
			case len(verbsOf(verb)) > 0:
				return subverb(verb, rest)
			default:
				return args(0, 0, "")(verb, rest)
			}
		},
	}
}

// verbNamed finds the verb that words name, one below another, and returns the
// words that name none.
func verbNamed(root *cobra.Command, words []string) (verb *cobra.Command, rest []string) {
	verb, rest = root, words
	for len(rest) > 0 {
		i := slices.IndexFunc(verb.Commands(), func(below *cobra.Command) bool { return below.Name() == rest[0] })
		if i < 0 {
			break
		}
		verb, rest = verb.Commands()[i], rest[1:]
	}
	return verb, rest
}

// unknownVerb also notices the commonest slip, a file without a verb.
func (a *app) unknownVerb(cmd *cobra.Command, word string) error {
	err := usagef("there is no verb %q", word)
	if _, e := os.Stat(word); e == nil {
		return hinted{err, fmt.Sprintf("`tensmith info %s` looks at the file", quoted(word))}
	}
	if near := cmd.SuggestionsFor(word); len(near) > 0 {
		return hinted{err, "did you mean " + strings.Join(near, " or ") + "?"}
	}
	return hinted{err, "`tensmith --help` lists the verbs"}
}

// choices are the values of the global flags that are words.
var choices = map[string][]string{
	"format":   {"auto", "human", "json", "jsonl", "tsv"},
	"color":    {"auto", "always", "never"},
	"progress": {"auto", "bar", "plain", "json", "none"},

	"log-level": {"debug", "info", "warning", "error", "critical"},
}

// settle checks the global flags and works out what auto means.
func (a *app) settle() error {
	if a.json {
		if a.format != "auto" && a.format != "json" {
			return usagef("--json and --format %s exclude each other", a.format)
		}
		a.format = "json"
	}
	if a.format == "auto" {
		a.format = "human"
	}
	a.level = strings.ToLower(a.level)
	for _, flag := range []struct{ name, value string }{{"format", a.format}, {"color", a.color}, {"progress", a.progress}, {"log-level", a.level}} {
		if !slices.Contains(choices[flag.name], flag.value) {
			return usagef("--%s is %q, not one of %s", flag.name, flag.value, strings.Join(choices[flag.name], ", "))
		}
	}
	a.colored = a.color == "always"
	if _, ok := terminal(a.stdout); ok && a.color == "auto" {
		a.colored = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	}
	if a.jobs < 1 {
		return usagef("-j is %d, and must be at least 1", a.jobs)
	}
	return nil
}

// reading lets a verb that writes nothing end when the user says so, and the
// verbs below it.
func (a *app) reading(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		a.reading(sub)
	}
	if work := cmd.RunE; work != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			return a.abandoning(cmd.Context(), func() error { return work(cmd, args) })
		}
	}
}

// judging lets a verb whose exit status is an answer go on when nobody reads any
// more what it prints, and the verbs below it: where the shell looks at all of a
// pipe (pipefail), `check models/* | head` would say yes to what it has not
// looked at.
func (a *app) judging(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		a.judging(sub)
	}
	if work := cmd.RunE; work != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			list := cmd.Flags().Lookup("check")
			if out, ok := a.stdout.(*stream); ok && (list == nil || list.Value.String() != "") { // hash without a list judges nothing
				out.judging = true
			}
			return work(cmd, args)
		}
	}
}
