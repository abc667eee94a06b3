//go:build !purego

package digest

import "golang.org/x/sys/cpu"

var hasKernel = cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW

// kernel hashes n blocks of each lane from where data points to. Words has the
// hashes, word by word.
func kernel(words *[8][Lanes]uint32, data *[Lanes]*byte, n int) { blocksAVX512(words, data, n) }

//go:noescape
func blocksAVX512(words *[8][16]uint32, data *[16]*byte, n int)
