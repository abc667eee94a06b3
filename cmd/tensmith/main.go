// Command tensmith says what a file of model weights is and whether it is
// sound, and turns weights of other formats into safetensors.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/tensmith/tensmith/cmd/tensmith/internal/start"
	_ "github.com/tensmith/tensmith/cmd/tensmith/internal/start/again"
)

func main() {
	start.Forget()
	cobra.EnableCommandSorting = false // the help has the order of the table of verbs
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal asks the work to end, a second one ends it.
	context.AfterFunc(ctx, stop)
	// A reader that has seen enough, as `head` does, is no failure: run sees to it.
	signal.Ignore(syscall.SIGPIPE)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
