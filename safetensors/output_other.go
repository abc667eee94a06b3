//go:build !linux

package safetensors

import "os"

func preallocate(*os.File, int64) error { return nil }

func openDirect(string) *os.File { return nil }

func available() (int64, bool) { return 0, false }
