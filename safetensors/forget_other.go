//go:build !linux || !(amd64 || arm64)

package safetensors

import "os"

func forget(*os.File, int64, int64) {}
