//go:build !purego

package digest

import "golang.org/x/sys/cpu"

var (
	hasWide = cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW
	hasPair = cpuSHA() && cpu.X86.HasSSSE3 && cpu.X86.HasSSE41 && cpu.X86.HasAVX
)

// wide hashes n blocks of each lane from where data points to. Words has the
// hashes, word by word.
func wide(words *[8][Lanes]uint32, data *[Lanes]*byte, n int) { wideAVX512(words, data, n) }

// pair does the same for the first two lanes.
func pair(words *[8][Lanes]uint32, data *[Lanes]*byte, n int) { pairSHA(words, data, n) }

//go:noescape
func wideAVX512(words *[8][16]uint32, data *[16]*byte, n int)

//go:noescape
func pairSHA(words *[8][16]uint32, data *[16]*byte, n int)

// cpuSHA tells whether the processor has instructions for SHA-256, which
// package cpu does not.
func cpuSHA() bool
