package main

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

func versionCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "print the version",
		Long:  "Print the version, the revision it was built from, for what, and with which\nbuild tags: pkcs11 adds keys in hardware, nokeyless leaves Sigstore out.\n\nExit status: 0 printed.",
		Args:  args(0, 0, ""),
		RunE:  func(*cobra.Command, []string) error { return a.printVersion() },
	}
}

func (a *app) printVersion() error {
	version, revision := version()
	tags := buildTags()
	switch {
	case a.isJSON():
		return a.printJSON(struct {
			Schema   string   `json:"schema"`
			Version  string   `json:"version"`
			Revision string   `json:"revision"`
			Go       string   `json:"go"`
			OS       string   `json:"os"`
			Arch     string   `json:"arch"`
			Tags     []string `json:"tags"` // that it was built with
		}{"tensmith.version/1", version, revision, runtime.Version(), runtime.GOOS, runtime.GOARCH, tags})
	case a.format == "tsv":
		s := a.sheet("version", "revision", "go", "os", "arch", "tags")
		s.row(version, revision, runtime.Version(), runtime.GOOS, runtime.GOARCH, strings.Join(tags, " "))
		return s.flush()
	}
	_, err := fmt.Fprintf(a.stdout, "tensmith %s\n", versionLine())
	return err
}

// versionLine is all of it in a line, for people and reports of faults.
func versionLine() string {
	version, revision := version()
	if revision != "" {
		version += " (" + revision + ")"
	}
	line := fmt.Sprintf("%s, %s, %s/%s", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	if tags := buildTags(); len(tags) > 0 {
		line += ", -tags " + strings.Join(tags, ",")
	}
	return line
}

// version returns what the Go command recorded when it built the program.
func version() (version, revision string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown", ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			revision = s.Value[:min(12, len(s.Value))]
		}
	}
	return info.Main.Version, revision
}

// buildTags are the tags that the program was built with.
func buildTags() []string {
	info, _ := debug.ReadBuildInfo()
	for i := 0; info != nil && i < len(info.Settings); i++ {
		if s := info.Settings[i]; s.Key == "-tags" && s.Value != "" {
			return strings.Split(s.Value, ",")
		}
	}
	return []string{}
}

func completionCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "print a completion script for a shell",
		Long: `Print a script that lets a shell complete verbs, flags and ids of findings.

Exit status: 0 printed.`,
		Example: `  tensmith completion bash > /etc/bash_completion.d/tensmith
  tensmith completion zsh > "${fpath[1]}/_tensmith"
  tensmith completion fish > ~/.config/fish/completions/tensmith.fish
  tensmith completion powershell | Out-String | Invoke-Expression`,
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		Args:      args(1, 1, "the shell"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var script bytes.Buffer
			if err := writeCompletion(&script, cmd.Root(), args[0]); err != nil {
				return err
			}
			switch {
			case a.isJSON():
				return a.printJSON(struct {
					Schema string `json:"schema"`
					Shell  string `json:"shell"`
					Script string `json:"script"`
				}{"tensmith.completion/1", args[0], script.String()})
			case a.format == "tsv":
				s := a.sheet("shell", "script")
				s.row(args[0], script.String())
				return s.flush()
			}
			_, err := a.stdout.Write(script.Bytes())
			return err
		},
	}
}

func writeCompletion(w io.Writer, root *cobra.Command, shell string) error {
	switch shell {
	case "bash":
		return root.GenBashCompletionV2(w, true)
	case "zsh":
		return root.GenZshCompletion(w)
	case "fish":
		return root.GenFishCompletion(w, true)
	case "powershell":
		return root.GenPowerShellCompletionWithDesc(w)
	}
	return usagef("%q is not one of bash, zsh, fish, powershell", shell)
}
