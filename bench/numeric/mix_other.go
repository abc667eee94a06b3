//go:build !amd64

package main

func mixOf(from, to int) func(dst, src *byte, n int) { return nil }
