//go:build !windows && (!unix || aix || solaris || illumos)

package safetensors

import (
	"errors"
	"os"
)

func mapFile(*os.File, int) ([]byte, func() error, error) { return nil, nil, errors.ErrUnsupported }
