//go:build !amd64 || purego

package digest

// Without a kernel crypto/sha256 does all the work.
const hasKernel = false

func kernel(*[8][Lanes]uint32, *[Lanes]*byte, int) { panic("there is no kernel") }
