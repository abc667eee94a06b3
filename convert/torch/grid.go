package torch

// A grid is a matrix of blocks, of which those of each row, or of each column,
// are listed: csr and csc, whose blocks are single elements, bsr and bsc.
type grid struct {
	ends, index *tensor // where each row's list ends, after a 0; the columns in it
	byColumn    bool    // rows and columns have changed places
	blocks      bool
	size, block [2]int64 // of the matrix in blocks, and of a block in elements
}

// grid checks the shapes of such a tensor of rank 2.
func (sp *sparse) grid(t *tensor, at place) (*grid, error) {
	g := &grid{ends: sp.indices, index: sp.second, size: [2]int64{t.shape[0], t.shape[1]}, block: [2]int64{1, 1},
		byColumn: sp.layout == "sparse_csc" || sp.layout == "sparse_bsc", blocks: sp.layout == "sparse_bsr" || sp.layout == "sparse_bsc"}
	v := sp.values.shape
	switch {
	case g.blocks && len(v) == 3:
		for k, n := range v[1:] {
			if n == 0 || t.shape[k]%n != 0 {
				return nil, at.malformed("shape", "blocks of %d in a tensor of shape %d", v[1:], t.shape)
			}
			g.block[k], g.size[k] = n, t.shape[k]/n
		}
	case g.blocks || len(v) != 1:
		return nil, at.fail(ErrUnsupported, "sparse", "layout %s with values of rank %d as a dense tensor", sp.layout, len(v))
	}
	if lists := g.size[g.major()]; g.ends.shape[0] != lists+1 || g.index.shape[0] != v[0] {
		return nil, at.malformed("shape", "indices of shapes %d and %d, values of shape %d", g.ends.shape, g.index.shape, v)
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
	lists, other := g.size[g.major()], g.size[1-g.major()]
	next, err := ends.get(0)
	if err != nil {
		return at.wrap(err)
	}
	if next != 0 {
		return at.malformed("bounds", "lists that begin at %d", next)
	}
	for list := range lists {
		end, err := ends.get(list + 1)
		if err != nil {
			return at.wrap(err)
		}
		if end < next || end > g.index.shape[0] {
			return at.malformed("bounds", "list %d ends at %d", list, end)
		}
		for ; next < end; next++ {
			i, err := index.get(next)
			if err != nil {
				return at.wrap(err)
			}
			if i < 0 || i >= other {
				return at.malformed("bounds", "index %d of %d", i, other)
			}
			row, col := list, i
			if g.byColumn {
				row, col = i, list
			}
			for k := range g.block[0] {
				if !yield((row*g.block[0]+k)*g.size[1]+col, next*g.block[0]+k) {
					return nil
				}
			}
		}
	}
	if next != g.index.shape[0] {
		return at.malformed("bounds", "%d values in no list", g.index.shape[0]-next)
	}
	return nil
}
