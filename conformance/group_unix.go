//go:build unix

package conformance

import (
	"os"
	"os/exec"
	"syscall"
)

// group puts a program into a process group of its own, so that what it starts
// ends with it: five hundred hangs are not to leave five hundred children.
// kill ends the group.
func group(cmd *exec.Cmd) (kill func() error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	kill = func() error {
		if cmd.Process == nil {
			return os.ErrProcessDone
		}
		if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); err == syscall.ESRCH {
			return os.ErrProcessDone
		} else {
			return err
		}
	}
	cmd.Cancel = kill
	return kill
}
