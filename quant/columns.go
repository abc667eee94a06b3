package quant

// columns is a weight whose codes lie turned over: its columns, the inputs of
// a linear layer, are the rows of what is stored.
type columns struct {
	count      int64 // of matrices
	rows, cols int64 // of the weight
	tile       tile
}

// A tile computes the weights of rows r0 to r1 and columns c0 to c1, exclusive,
// of a matrix, row by row. Rows begin at a multiple of unit, and end at one or
// where all do.
type tile interface {
	compute(b *buffers, dst []float32, matrix, r0, r1, c0, c1 int64) error
	unit() int64
}

// A run of stored bytes is as long as the band of rows is wide, so that bands
// are to be wide, and steps long.
func (w *columns) step() int64 { return maxStep }

func (w *columns) decode(b *buffers, dst []float32, first int64) error {
	unit := w.tile.unit()
	for len(dst) > 0 {
		row, col := first/w.cols, first%w.cols
		matrix, r0 := row/w.rows, row%w.rows
		n := int64(len(dst))
		var r1, c1 int64
		if col > 0 || n < w.cols {
			r1, c1 = r0+1, min(w.cols, col+n) // a part of a row
		} else {
			r1, c1 = min(w.rows, r0+n/w.cols), w.cols
		}
		size := (r1 - r0) * (c1 - col)
		// A band of whole units is computed, and what was asked for copied out.
		u0, u1 := r0/unit*unit, min(w.rows, (r1+unit-1)/unit*unit)
		if u0 == r0 && u1 == r1 {
			if err := w.tile.compute(b, dst[:size], matrix, r0, r1, col, c1); err != nil {
				return err
			}
		} else if err := w.inside(b, dst[:size], matrix, r0, r1, col, c1, u0, u1); err != nil {
			return err
		}
		dst, first = dst[size:], first+size
	}
	return nil
}

// inside computes rows r0 to r1, of the units from u0 to u1.
func (w *columns) inside(b *buffers, dst []float32, matrix, r0, r1, c0, c1, u0, u1 int64) error {
	// Columns are taken in bands, so that one long row does not ask for a unit
	// of them.
	unit := w.tile.unit()
	for rest := c0; rest < c1; {
		end := min(c1, max(rest+align, rest+maxStep/unit)/align*align)
		band := grow(&b.lead, (u1-u0)*(end-rest))
		if err := w.tile.compute(b, band, matrix, u0, u1, rest, end); err != nil {
			return err
		}
		for r := r0; r < r1; r++ {
			copy(dst[(r-r0)*(c1-c0)+rest-c0:], band[(r-u0)*(end-rest):(r-u0+1)*(end-rest)])
		}
		rest = end
	}
	return nil
}

// gptq is codes packed along the columns, [columns·bits/32, rows], and zero
// points along the rows, [groups, rows·bits/32]. Packing goes bit by bit, over
// the ends of words.
//
// awq is the same but for codes, which are packed along the rows like the zero
// points, in words of eight whose order is 0 2 4 6 1 3 5 7.
type gptq struct {
	weight, scale *part
	zero          *part // or nil, for the middle of the range
	index         *part // group of each column, or nil
	rows, cols    int64
	bits          int64
	group, groups int64
	add           uint64 // to zero points: 1 in the first version of the format
	awq           bool
}

// awqShift is where in its word an element lies.
var awqShift = [8]int64{0, 16, 4, 20, 8, 24, 12, 28}

// unit: the zero points of so many rows are whole words.
func (g *gptq) unit() int64 {
	switch g.bits {
	case 4:
		return 8
	case 8:
		return 4
	case 2:
		return 16
	}
	return 32
}

func (g *gptq) compute(b *buffers, dst []float32, _, r0, r1, c0, c1 int64) error {
	// Scales and zero points of all groups that may turn up, and no more than
	// some.
	first, last := c0/g.group, (c1-1)/g.group
	if g.index != nil {
		if _, err := readIndex(b, g.index, c0, c1-c0, g.groups); err != nil {
			return err
		}
		first, last = g.groups, 0
		for _, i := range b.index[:c1-c0] {
			first, last = min(first, int64(i)), max(last, int64(i))
		}
	}
	width := r1 - r0
	if (last-first+1)*width > 4*maxStep {
		return fault(g.weight.Name, ErrShape, "%d groups in %d columns are too many", last-first+1, c1-c0)
	}
	scale := grow(&b.scale, (last-first+1)*width)
	if err := g.band(b, scale, g.scale, first, last+1, r0, width); err != nil {
		return err
	}
	zero := grow(&b.zero, (last-first+1)*width)
	if err := g.zeros(b, zero, first, last+1, r0, width); err != nil {
		return err
	}
	// The codes.
	from, to, perRow := c0, c1, width*4 // rows of words, and their bytes here
	offset, stride := r0*4, g.rows*4
	if g.awq {
		perRow = ceil(width*g.bits, 32) * 4
		offset, stride = r0*g.bits/32*4, g.rows*g.bits/32*4
	} else {
		from, to = c0*g.bits/32, ceil(c1*g.bits, 32)
	}
	raw := grow(&b.band, (to-from)*perRow)
	if err := g.weight.strided(&b.raw, raw, from*stride+offset, perRow, stride); err != nil {
		return err
	}
	t := gptqTile{g: g, dst: dst, raw: raw, scale: scale, zero: zero, index: b.index, first: first, width: width, perRow: perRow, c0: c0, cols: c1 - c0, from: from}
	for r := int64(0); r < width; r += tileRows {
		if n := min(tileRows, width-r); g.awq {
			t.acrossRows(r)
		} else {
			t.alongColumns(r, n)
		}
	}
	return nil
}

// tileRows is how many rows are computed at a time: what they write to lies
// far apart, and more of it would push itself out of the cache.
const tileRows = 8

// A gptqTile is what compute has read for a tile.
type gptqTile struct {
	g           *gptq
	dst         []float32
	raw         []byte
	scale, zero []float32 // by group, from first on, and row
	index       []int32   // group of each column, if g has an index
	first       int64
	width       int64
	perRow      int64 // bytes in a row of raw
	c0, cols    int64
	from        int64 // row of words that raw begins with
}

// group returns scales and zero points for rows from r on in a column, and how
// many columns from it on have the same.
func (t *gptqTile) group(c, r int64) (s, z []float32, run int64) {
	group, run := (t.c0+c)/t.g.group, t.g.group-(t.c0+c)%t.g.group
	if t.g.index != nil {
		group, run = int64(t.index[c]), 1
	}
	at := (group-t.first)*t.width + r
	return t.scale[at:], t.zero[at:], min(run, t.cols-c)
}

// acrossRows computes eight rows, which share words.
func (t *gptqTile) acrossRows(r int64) {
	var rows [8][]float32
	for k := range rows {
		rows[k] = t.dst[(r+int64(k))*t.cols:][:t.cols]
	}
	for c := int64(0); c < t.cols; {
		scale, zero, run := t.group(c, r)
		s, z := [8]float32(scale), [8]float32(zero)
		for ; run > 0; run-- {
			word := le32(t.raw[c*t.perRow+r/2:])
			rows[0][c] = (float32(word&15) - z[0]) * s[0]
			rows[1][c] = (float32(word>>16&15) - z[1]) * s[1]
			rows[2][c] = (float32(word>>4&15) - z[2]) * s[2]
			rows[3][c] = (float32(word>>20&15) - z[3]) * s[3]
			rows[4][c] = (float32(word>>8&15) - z[4]) * s[4]
			rows[5][c] = (float32(word>>24&15) - z[5]) * s[5]
			rows[6][c] = (float32(word>>12&15) - z[6]) * s[6]
			rows[7][c] = (float32(word>>28) - z[7]) * s[7]
			c++
		}
	}
}

// alongColumns computes n rows, each of which has words of its own.
func (t *gptqTile) alongColumns(r, n int64) {
	bits := t.g.bits
	mask := uint64(1)<<bits - 1
	for c := int64(0); c < t.cols; {
		scale, zero, run := t.group(c, r)
		for k := range n {
			s, z := scale[k], zero[k]
			row := t.dst[(r+k)*t.cols+c:][:run]
			at := (t.c0+c)*bits - t.from*32
			place := at/32*t.perRow + (r+k)*4
			word := uint64(le32(t.raw[place:])) >> (at % 32)
			have := 32 - at%32
			for i := range row {
				if have < bits { // the next word, behind what is left of this one
					place += t.perRow
					word |= uint64(le32(t.raw[place:])) << have
					have += 32
				}
				row[i] = (float32(word&mask) - z) * s
				word >>= bits
				have -= bits
			}
		}
		c += run
	}
}

// band reads numbers of some rows of a part of [groups, rows].
func (g *gptq) band(b *buffers, dst []float32, p *part, from, to, r0, width int64) error {
	size := int64(p.DType.Bits() / 8)
	raw := grow(&b.band, (to-from)*width*size)
	if err := p.strided(&b.raw, raw, (from*g.rows+r0)*size, width*size, g.rows*size); err != nil {
		return err
	}
	return decodePart(p, dst, raw)
}

// zeros reads zero points, of rows that begin with a word.
func (g *gptq) zeros(b *buffers, dst []float32, from, to, r0, width int64) error {
	if g.zero == nil {
		middle := float32(int64(1) << (g.bits - 1))
		for i := range dst {
			dst[i] = middle
		}
		return nil
	}
	if isFloat(g.zero.DType) {
		return g.band(b, dst, g.zero, from, to, r0, width)
	}
	size, stride := ceil(width*g.bits, 32)*4, ceil(g.rows*g.bits, 32)*4
	raw := grow(&b.band, (to-from)*size)
	if err := g.zero.strided(&b.raw, raw, from*stride+r0*g.bits/32*4, size, stride); err != nil {
		return err
	}
	mask := uint64(1)<<g.bits - 1
	for i := range to - from {
		row := raw[i*size : (i+1)*size]
		for r := range width {
			at := r * g.bits
			if g.awq {
				at = r/8*32 + awqShift[r%8]
			}
			v := uint64(le32(row[at/32*4:]))
			if at%32+g.bits > 32 {
				v |= uint64(le32(row[at/32*4+4:])) << 32
			}
			dst[i*width+r] = float32((v>>(at%32) + g.add) & mask)
		}
	}
	return nil
}

// experts is MXFP4 as gpt-oss has it: blocks of 16 bytes, [rows, groups, 16] in
// each matrix, and the result turned over. Here a row of the weight is an input.
type experts struct {
	blocks, scale *part
	rows, cols    int64 // of the weight: inputs, outputs
	width         int64 // inputs that share a scale
}

func (e *experts) unit() int64 { return 2 }

func (e *experts) compute(b *buffers, dst []float32, matrix, r0, r1, c0, c1 int64) error {
	inputs, outputs := r1-r0, c1-c0
	stored := matrix*e.cols + c0
	raw := grow(&b.band, outputs*inputs/2)
	if err := e.blocks.strided(&b.raw, raw, (stored*e.rows+r0)/2, inputs/2, e.rows/2); err != nil {
		return err
	}
	first := r0 / e.width
	groups := ceil(r1, e.width) - first
	codes := grow(&b.scratch, outputs*groups)
	if err := e.scale.strided(&b.raw, codes, stored*(e.rows/e.width)+first, groups, e.rows/e.width); err != nil {
		return err
	}
	scale := grow(&b.scale, outputs*groups)
	if err := decodePart(e.scale, scale, codes); err != nil {
		return err
	}
	for o := int64(0); o < outputs; o += 2 * tileRows {
		n := min(2*tileRows, outputs-o)
		var factors [2 * tileRows]float32
		for i := range inputs / 2 {
			if group := (r0 + 2*i) / e.width; i == 0 || (r0+2*i)%e.width == 0 {
				for k := range n {
					factors[k] = scale[(o+k)*groups+group-first]
				}
			}
			low := dst[2*i*outputs+o:][:n]
			high := dst[(2*i+1)*outputs+o:][:n]
			for k := range low {
				v := raw[(o+int64(k))*(inputs/2)+i]
				low[k] = e2m1[v&15] * factors[k]
				high[k] = e2m1[v>>4] * factors[k]
			}
		}
	}
	return nil
}
