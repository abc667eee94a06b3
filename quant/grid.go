package quant

import (
	"slices"

	"github.com/tensmith/tensmith/safetensors"
)

// A matrix is how a weight is cut: matrices of rows, one behind the other.
type matrix struct {
	lead       []int64 // dimensions before the last two
	rows, cols int64   // of one matrix
}

func newMatrix(shape []int64) matrix {
	switch n := len(shape); n {
	case 0:
		return matrix{nil, 1, 1}
	case 1:
		return matrix{nil, 1, shape[0]}
	default:
		return matrix{shape[:n-2], shape[n-2], shape[n-1]}
	}
}

// A grid is numbers of which each is for a block of a weight.
type grid struct {
	*part
	m          matrix
	rows, cols int64 // of the numbers of one matrix
	brow, bcol int64 // of the weights that share a number
	share      int64 // how many matrices have the same numbers
}

// newGrid holds a part against a weight. Its shape may leave out dimensions
// behind the first ones, and be of one number for all. block is what describe
// found, or nil to take blocks of equal size.
func newGrid(p *part, m matrix, block []uint64) (*grid, error) {
	g := &grid{part: p, m: m}
	shape, n, ok := dims(p.Shape)
	if !ok {
		return nil, fault(p.Name, ErrShape, "%d", p.Shape)
	}
	whole := append(slices.Clone(m.lead), m.rows, m.cols)
	if n != 1 && len(shape) == 1 && len(m.lead) == 0 && m.rows == 1 && len(block) <= 1 {
		shape = []int64{1, shape[0]} // of a vector
	}
	switch {
	case n == 1:
		shape = slices.Repeat([]int64{1}, len(whole))
	case len(shape) > len(whole):
		return nil, fault(p.Name, ErrShape, "%d has more dimensions than %d", p.Shape, whole)
	}
	for len(shape) < len(whole) {
		shape = append(shape, 1)
	}
	// Matrices have numbers of their own, or share them with those that differ
	// in later dimensions alone. So numbers lie in the order of the rows.
	last := len(whole) - 2
	own, all := int64(1), int64(1)
	for d := range last {
		all *= whole[d]
		switch {
		case shape[d] == whole[d] && own*whole[d] == all:
			own = all
		case shape[d] != 1:
			return nil, fault(p.Name, ErrShape, "%d for %d", p.Shape, whole)
		}
	}
	g.share, g.rows, g.cols = 1, shape[last], shape[last+1]
	if own > 0 {
		g.share = all / own
	}
	if g.share > 1 && g.rows > 1 {
		return nil, fault(p.Name, ErrShape, "%d for %d", p.Shape, whole)
	}
	// side is the length of a block along a dimension.
	side := func(d int, dim, n int64) (int64, bool) {
		switch {
		case n == 1:
			return max(dim, 1), true
		case len(block) == len(whole):
			b := int64(min(block[d], uint64(max(dim, 1))))
			return b, b > 0 && ceil(dim, b) == n
		}
		return dim / max(n, 1), n > 0 && dim%n == 0
	}
	var okRow, okCol bool
	g.brow, okRow = side(last, m.rows, g.rows)
	g.bcol, okCol = side(last+1, m.cols, g.cols)
	if !okRow || !okCol {
		return nil, fault(p.Name, ErrShape, "%d does not divide %d into blocks", p.Shape, whole)
	}
	return g, nil
}

// newScales is newGrid for numbers to multiply by. Bytes are powers of two.
func newScales(p *part, m matrix, block []uint64) (*grid, error) {
	if p.DType == safetensors.U8 {
		powers := *p
		powers.DType = safetensors.F8E8M0
		p = &powers
	}
	if !isFloat(p.DType) {
		return nil, fault(p.Name, ErrDType, "%s holds no scales", p.DType)
	}
	return newGrid(p, m, block)
}

// row returns where the numbers for a row of all begin.
func (g *grid) row(r int64) int64 {
	return (r/g.m.rows/g.share*g.rows + r%g.m.rows/g.brow) * g.cols
}

// A window is the numbers of a grid for some rows, or a part of one.
type window struct {
	g      *grid
	begin  int64 // of the values in the part
	column int64 // block that they begin with, if they are of a part of a row
	values []float32
}

// read returns the numbers for the rows from r0 to r1, and if these are one,
// for its columns from c0 to c1 alone.
func (g *grid) read(b *buffers, buf *[]float32, r0, r1, c0, c1 int64) (window, error) {
	w := window{g: g, begin: g.row(r0)}
	var n int64
	if r0 == r1 {
		w.column = c0 / g.bcol
		w.begin += w.column
		n = c1/g.bcol - w.column + 1
	} else {
		n = g.row(r1) - w.begin + g.cols
	}
	w.values = grow(buf, n)
	return w, g.numbers(&b.raw, w.values, w.begin)
}

// at returns the numbers for a row, the first being that of column block
// w.column.
func (w *window) at(r int64) []float32 {
	from := w.g.row(r) + w.column - w.begin
	return w.values[from:min(int64(len(w.values)), from+w.g.cols-w.column)]
}
