//go:build !linux

package load

// host returns the system that the program runs on. On all but Linux there is
// one way, and memory is Go's.
func host() *system { return plain() }

func outOfMemory(error) bool { return false }
