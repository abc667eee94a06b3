package main

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/term"
)

// askPassword asks for the password of a file at the terminal, which does not
// show it. Without a terminal there is nobody to ask: ok is false.
func (a *app) askPassword(ctx context.Context, name string) (password string, ok bool, err error) {
	f, is := a.stdin.(*os.File)
	if !is || !term.IsTerminal(int(f.Fd())) {
		return "", false, nil
	}
	before, err := term.GetState(int(f.Fd()))
	if err != nil {
		return "", false, nil
	}
	fmt.Fprintf(a.stderr, "password of %s: ", harmless(name))
	defer fmt.Fprintln(a.stderr) // the terminal does not show the end of the line either
	type line struct {
		text []byte
		err  error
	}
	read := make(chan line, 1)
	go func() {
		text, err := term.ReadPassword(int(f.Fd()))
		read <- line{text, err}
	}()
	select {
	case l := <-read:
		return string(l.text), true, l.err
	case <-ctx.Done():
		// Who interrupts wants to see again what is typed.
		_ = term.Restore(int(f.Fd()), before)
		return "", true, ctx.Err()
	}
}
