//go:build !linux || arm

package safetensors

import "os"

func writeBack(*os.File, int64, int64) {}
