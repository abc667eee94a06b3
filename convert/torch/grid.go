package torch

import "slices"

// A grid is a matrix of blocks, of which those of each row, or of each column,
// are listed: csr and csc, whose blocks are single elements, bsr and bsc. There
// may be a batch of such matrices, each with as many blocks, and an element may
// be a dense tensor.
type grid struct {
	ends, index *tensor // where each row's list ends, after a 0; the columns in it
	byColumn    bool    // rows and columns have changed places
	blocks      bool
	batch       int      // dimensions of the batch
	count       int64    // matrices in it
	listed      int64    // blocks of each
	size, block [2]int64 // of a matrix in blocks, and of a block in elements
	dense       int64    // numbers of an element
}

// grid checks the shapes of such a tensor.
func (sp *sparse) grid(t *tensor, at place) (*grid, error) {
	g := &grid{ends: sp.indices, index: sp.second, batch: len(sp.indices.shape) - 1, count: 1, block: [2]int64{1, 1}, dense: 1,
		byColumn: sp.layout == "sparse_csc" || sp.layout == "sparse_bsc", blocks: sp.layout == "sparse_bsr" || sp.layout == "sparse_bsc"}
	v, matrix := sp.values.shape, g.batch+2 // of the dimensions those behind the matrix are dense
	own := 1                                // dimensions of values between
	if g.blocks {
		own = 3
	}
	if g.batch < 0 || len(g.index.shape) != g.batch+1 || len(t.shape) < matrix || len(v) != len(t.shape)-2+own {
		return nil, at.fail(ErrUnsupported, "sparse", "layout %s of rank %d with values of rank %d as a dense tensor", sp.layout, len(t.shape), len(v))
	}
	g.listed, g.size = v[g.batch], [2]int64{t.shape[g.batch], t.shape[g.batch+1]}
	if g.blocks {
		for k, n := range v[g.batch+1 : g.batch+3] {
			if n == 0 || g.size[k]%n != 0 {
				return nil, at.malformed("shape", "blocks of %d in a tensor of shape %d", v[g.batch+1:g.batch+3], t.shape)
			}
			g.block[k], g.size[k] = n, g.size[k]/n
		}
	}
	batch := t.shape[:g.batch]
	if !slices.Equal(g.ends.shape, append(slices.Clone(batch), g.size[g.major()]+1)) || !slices.Equal(g.index.shape, append(slices.Clone(batch), g.listed)) ||
		!slices.Equal(v[:g.batch], batch) || !slices.Equal(v[g.batch+own:], t.shape[matrix:]) {
		return nil, at.malformed("shape", "indices of shapes %d and %d, values of shape %d", g.ends.shape, g.index.shape, v)
	}
	for _, n := range batch {
		g.count *= n // which was checked with the shape
	}
	for _, n := range t.shape[matrix:] {
		g.dense *= n
	}
	// A view can claim more values than there are, each of them to be placed.
	if sp.values.bytes() > sp.values.s.data.size {
		return nil, at.fail(ErrUnsupported, "sparse", "values that share bytes")
	}
	if !g.ends.contiguous() || !g.index.contiguous() {
		return nil, at.fail(ErrUnsupported, "sparse", "indices that are not contiguous")
	}
	return g, nil
}

// major is the dimension of the lists.
func (g *grid) major() int {
	if g.byColumn {
		return 1
	}
	return 0
}

// places yields where each row of each block lies, in units of the width of a
// block, and its number among all rows of blocks.
func (g *grid) places(yield func(int64, int64) bool, at place) error {
	ends, index := column{t: g.ends}, column{t: g.index}
	for matrix := range g.count {
		more, err := g.matrix(matrix, &ends, &index, yield, at)
		if err != nil || !more {
			return err
		}
	}
	return nil
}

func (g *grid) matrix(matrix int64, ends, index *column, yield func(int64, int64) bool, at place) (more bool, err error) {
	lists, other := g.size[g.major()], g.size[1-g.major()]
	first, listed := matrix*(lists+1), matrix*g.listed // where its numbers begin
	next, err := ends.get(first)
	if err != nil {
		return false, at.wrap(err)
	}
	if next != 0 {
		return false, at.malformed("bounds", "lists that begin at %d", next)
	}
	for list := range lists {
		end, err := ends.get(first + list + 1)
		if err != nil {
			return false, at.wrap(err)
		}
		if end < next || end > g.listed {
			return false, at.malformed("bounds", "list %d ends at %d", list, end)
		}
		for ; next < end; next++ {
			i, err := index.get(listed + next)
			if err != nil {
				return false, at.wrap(err)
			}
			if i < 0 || i >= other {
				return false, at.malformed("bounds", "index %d of %d", i, other)
			}
			row, col := list, i
			if g.byColumn {
				row, col = i, list
			}
			row += matrix * g.size[0]
			for k := range g.block[0] {
				if !yield((row*g.block[0]+k)*g.size[1]+col, (listed+next)*g.block[0]+k) {
					return false, nil
				}
			}
		}
	}
	if next != g.listed {
		return false, at.malformed("bounds", "%d values in no list", g.listed-next)
	}
	return true, nil
}
