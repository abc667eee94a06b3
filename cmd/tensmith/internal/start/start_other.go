//go:build !linux

package start

// Forget does nothing here.
func Forget() bool { return false }
