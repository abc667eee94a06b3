package describe

import (
	"slices"

	st "github.com/tensmith/tensmith/safetensors"
)

// scaled: one element a weight, and scales for blocks of any size.
func scaled(m *matcher, p *Packing) (uint64, bool) {
	p.Block = m.block(m.t.Shape, m.part("scale"))
	return p.finish(m, m.t.DType.Bits(), m.t.Shape...)
}

// block tells from the shape of the scales which weights share one. A scale
// for every 3 of 8 columns would read as one for every 4; the config settles
// that, and then the sizes in use.
func (m *matcher) block(shape []uint64, scale *st.Info) []uint64 {
	n, s := len(shape), scale.Shape
	switch {
	case product(shape) == 0 || product(s) == 0:
		return nil
	case product(s) == 1:
		return slices.Clone(shape)
	case len(s) < n && slices.Equal(s, shape[:len(s)]): // one for each row
		return append(slices.Repeat([]uint64{1}, len(s)), shape[len(s):]...)
	case len(s) != n:
		return nil
	}
	b := make([]uint64, n)
	for d := range b {
		if b[d] = m.side(shape[d], s[d], d-(n-2)); b[d] == 0 {
			return nil
		}
	}
	// A side that one block covers is as long as the other one, if it could be.
	if n >= 2 && s[n-1] > 1 && s[n-2] == 1 && b[n-1] > 32 && shape[n-2] <= b[n-1] && shape[n-2] > 1 {
		b[n-2] = b[n-1]
	} else if n >= 2 && s[n-2] > 1 && s[n-1] == 1 && b[n-2] > 32 && shape[n-1] <= b[n-2] {
		b[n-1] = b[n-2]
	}
	return b
}

// side is the length of a block of which n cover a dimension, or 0. The last
// two dimensions are called 0 and 1.
func (m *matcher) side(dim, n uint64, which int) uint64 {
	switch {
	case n == dim:
		return 1
	case n == 1:
		return dim
	}
	sizes := []uint64{0, 128, 32, 16, 64, 256, 512, 1024, 2048, 4096}
	if which >= 0 {
		sizes[0] = m.cfg.block[which]
	}
	for _, b := range sizes {
		if b > 0 && (dim-1)/b+1 == n {
			return b
		}
	}
	if dim%n == 0 {
		return dim / n
	}
	return 0
}

// lastBlock is a block along the last of n dimensions.
func lastBlock(n int, width uint64) []uint64 {
	b := slices.Repeat([]uint64{1}, n)
	b[n-1] = width
	return b
}
