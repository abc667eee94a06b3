//go:build !amd64 || purego

package digest

// Without kernels crypto/sha256 does all the work.
const hasWide, hasPair = false, false

func wide(*[8][Lanes]uint32, *[Lanes]*byte, int) { panic("there is no kernel") }

func pair(*[8][Lanes]uint32, *[Lanes]*byte, int) { panic("there is no kernel") }
