package main

import "golang.org/x/sys/cpu"

//go:noescape
func stream1to2(dst, src *byte, n int)

//go:noescape
func stream2to1(dst, src *byte, n int)

//go:noescape
func stream4to1(dst, src *byte, n int)

// mixOf returns what reads and writes as many bytes as a cast does from numbers of
// so many bits to others, or nil if there is no such thing.
func mixOf(from, to int) func(dst, src *byte, n int) {
	switch {
	case !cpu.X86.HasAVX2:
		return nil
	case to == 2*from:
		return stream1to2
	case from == 2*to:
		return stream2to1
	case from == 4*to:
		return stream4to1
	}
	return nil
}
