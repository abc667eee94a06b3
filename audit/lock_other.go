//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows)

package audit

import (
	"errors"
	"fmt"
	"os"
)

// lock fails: two processes would break each other's chain.
func lock(*os.File) error {
	return fmt.Errorf("files cannot be locked on this system: %w", errors.ErrUnsupported)
}
