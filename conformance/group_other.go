//go:build !unix

package conformance

import "os/exec"

// group does nothing where there are no process groups.
func group(*exec.Cmd) (kill func() error) { return func() error { return nil } }
