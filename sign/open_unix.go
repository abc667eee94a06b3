//go:build unix

package sign

import (
	"os"
	"syscall"
)

// toRead is how files of a model are opened. One in whose place there is a pipe
// by now would wait for a writer, and be found out only then.
const toRead = os.O_RDONLY | syscall.O_NONBLOCK
