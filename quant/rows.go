package quant

import (
	"github.com/tensmith/tensmith/numeric"
	"github.com/tensmith/tensmith/safetensors"
)

// rows is a weight whose codes lie in its own order, as most schemes have them:
//
//	weight = (code - zero) · scale · factor, or code · scale + bias
type rows struct {
	matrix
	codes codec

	scale, zero, bias *grid // any of them nil
	global            *grid // a scale of scales
	divide            bool  // by global, instead of multiplying
	packedZero        *packedRows
	factor            float32 // 0 for none
	index             *part   // group of each column, or nil
}

// A codec reads codes as numbers.
type codec interface {
	// read fills dst with the codes of a row from col on, and of the rows behind
	// it if dst is longer than the rest of the row. col is a multiple of align.
	read(b *buffers, dst []float32, row, col int64) error
}

const rowsStep = 1 << 16

func (r *rows) step() int64 { return rowsStep }

func (r *rows) decode(b *buffers, dst []float32, first int64) error {
	for len(dst) > 0 {
		row, col := first/r.cols, first%r.cols
		n := int64(len(dst))
		if rest := r.cols - col; r.cols > rowsStep || r.index != nil || r.packedZero != nil {
			n = min(n, rest) // scales of one row, or a part of them, at a time
		}
		if err := r.codes.read(b, dst[:n], row, col); err != nil {
			return err
		}
		if err := r.apply(b, dst[:n], row, col); err != nil {
			return err
		}
		dst, first = dst[n:], first+n
	}
	return nil
}

// apply turns codes into weights.
func (r *rows) apply(b *buffers, dst []float32, row, col int64) error {
	if r.index != nil {
		return r.indexed(b, dst, row, col)
	}
	last := row + (col+int64(len(dst))-1)/r.cols
	end := (col + int64(len(dst)) - 1) % r.cols
	var scale, zero, bias window
	var err error
	if scale, err = r.scale.read(b, &b.scale, row, last, col, end); err != nil {
		return err
	}
	if r.global != nil {
		if err := r.rescale(b, &scale, row, last); err != nil {
			return err
		}
	}
	if r.zero != nil {
		if zero, err = r.zero.read(b, &b.zero, row, last, col, end); err != nil {
			return err
		}
	}
	if r.packedZero != nil {
		// One row of weights, and its zero points across the groups.
		from, to := col/r.scale.bcol, end/r.scale.bcol
		values := grow(&b.zero, to-from+1)
		if err := r.packedZero.column(b, values, row%r.rows, from); err != nil {
			return err
		}
		zero = window{g: r.scale, begin: r.scale.row(row) + from, column: from, values: values}
	}
	if r.bias != nil {
		if bias, err = r.bias.read(b, &b.bias, row, last, col, end); err != nil {
			return err
		}
	}
	for ; len(dst) > 0; row, col = row+1, 0 {
		part := dst[:min(int64(len(dst)), r.cols-col)]
		dst = dst[len(part):]
		s := scale.at(row)
		var z, a []float32
		if zero.g != nil {
			z = zero.at(row)
		}
		if bias.g != nil {
			a = bias.at(row)
		}
		group := r.scale.bcol
		for i := col/group - scale.column; len(part) > 0; i++ {
			run := part[:min(int64(len(part)), group-col%group)]
			part, col = part[len(run):], col+int64(len(run))
			switch {
			case z != nil:
				subtractScale(run, z[i], s[i])
			case a != nil:
				multiply(run, s[i])
				if err := roundTo(b, run, r.scale.DType); err != nil {
					return err
				}
				add(run, a[i])
			default:
				multiply(run, s[i])
			}
			if r.factor != 0 {
				multiply(run, r.factor)
			}
		}
	}
	return nil
}

// rescale multiplies scales by the scale that scales have.
func (r *rows) rescale(b *buffers, scale *window, row, last int64) error {
	global, err := r.global.read(b, &b.lead, row, last, 0, 0)
	if err != nil {
		return err
	}
	for done := int64(-1); row <= last; row++ {
		from := scale.g.row(row)
		if from <= done {
			continue // rows that share scales
		}
		done = from
		g := global.at(row)[0]
		for i, s := range scale.at(row) {
			if r.divide {
				scale.at(row)[i] = s / g
			} else {
				scale.at(row)[i] = s * g
			}
		}
	}
	return nil
}

// indexed is apply where each column says which group it is in.
func (r *rows) indexed(b *buffers, dst []float32, row, col int64) error {
	index, err := readIndex(b, r.index, col, int64(len(dst)), r.scale.cols)
	if err != nil {
		return err
	}
	// Any group may turn up, one column after the other.
	if r.scale.cols > maxStep {
		return fault(r.scale.Name, ErrShape, "%d groups with a group index are too many", r.scale.cols)
	}
	whole, err := r.scale.read(b, &b.scale, row, row, 0, r.cols-1)
	if err != nil {
		return err
	}
	s := whole.at(row)
	var z []float32
	if r.packedZero != nil {
		z = grow(&b.zero, r.scale.cols)
		if err := r.packedZero.column(b, z, row%r.rows, 0); err != nil {
			return err
		}
	} else if r.zero != nil {
		w, err := r.zero.read(b, &b.zero, row, row, 0, r.cols-1)
		if err != nil {
			return err
		}
		z = w.at(row)
	}
	for i, g := range index {
		if z != nil {
			dst[i] -= z[g]
		}
		dst[i] *= s[g]
	}
	return nil
}

// readIndex reads group indexes and checks them.
func readIndex(b *buffers, p *part, first, n, groups int64) ([]int32, error) {
	index := grow(&b.index, n)
	raw, err := p.bytes(&b.raw, first*4, n*4)
	if err != nil {
		return nil, err
	}
	for i := range index {
		v := int32(uint32(raw[4*i]) | uint32(raw[4*i+1])<<8 | uint32(raw[4*i+2])<<16 | uint32(raw[4*i+3])<<24)
		if v < 0 || int64(v) >= groups {
			return nil, fault(p.Name, ErrValue, "element %d is group %d of %d", first+int64(i), v, groups)
		}
		index[i] = v
	}
	return index, nil
}

func multiply(dst []float32, s float32) {
	for i := range dst {
		dst[i] *= s
	}
}

func subtractScale(dst []float32, z, s float32) {
	for i := range dst {
		dst[i] = (dst[i] - z) * s
	}
}

func add(dst []float32, a float32) {
	for i := range dst {
		dst[i] += a
	}
}

// roundTo rounds numbers to a type, where a library computes in that type and
// more than once.
func roundTo(b *buffers, dst []float32, d safetensors.DType) error {
	raw := grow(&b.band, int64(len(dst)*d.Bits()/8))
	if err := numeric.Encode(raw, d, dst, numeric.ToSpecial); err != nil {
		return err
	}
	return numeric.Decode(dst, d, raw)
}

// plainRows are codes that are elements of their own type. Four-bit floats
// two a byte, the low half first, are F4.
type plainRows struct {
	*part
	cols int64
}

func (c *plainRows) read(b *buffers, dst []float32, row, col int64) error {
	return c.numbers(&b.raw, dst, row*c.cols+col)
}

// packedRows are integers of a few bits in a row of 32-bit words. Either they
// follow bit by bit, over the ends of words, or words hold as many as go in.
type packedRows struct {
	*part
	rows, cols int64 // of the integers; they are packed along the columns
	bits       int64
	each       int64 // integers in a word, or 0 if they do not mind its end
	words      int64 // of a row
	offset     float32
}

func (c *packedRows) read(b *buffers, dst []float32, row, col int64) error {
	for len(dst) > 0 {
		n := min(int64(len(dst)), c.cols-col)
		rows := int64(1)
		if n == c.cols && col == 0 {
			rows = int64(len(dst)) / n // many rows at once
		}
		first, last := c.word(col), c.word(col+n-1)
		if rows > 1 {
			first, last = 0, c.words-1
		} else if c.each == 0 {
			last = (col + n) * c.bits / 32 // the end of what straddles words
			last = min(last, c.words-1)
		}
		size := last - first + 1
		raw, err := c.bytes(&b.raw, (row*c.words+first)*4, ((rows-1)*c.words+size)*4)
		if err != nil {
			return err
		}
		for i := range rows {
			c.unpack(dst[i*n:(i+1)*n], raw[i*c.words*4:], col, first)
		}
		dst, row, col = dst[rows*n:], row+rows, 0
	}
	return nil
}

// word returns the word in which an integer begins.
func (c *packedRows) word(col int64) int64 {
	if c.each != 0 {
		return col / c.each
	}
	return col * c.bits / 32
}

// unpack reads integers of one row, the first of which is in column col; raw
// begins with word first.
func (c *packedRows) unpack(dst []float32, raw []byte, col, first int64) {
	if c.bits == 4 && col%2 == 0 { // the usual one; eight a word either way
		var values [16]float32
		for v := range values {
			values[v] = float32(v) - c.offset
		}
		raw = raw[col/2-first*4:]
		for i := 0; i+1 < len(dst); i += 2 {
			v := raw[i/2]
			dst[i], dst[i+1] = values[v&15], values[v>>4]
		}
		if n := len(dst); n%2 != 0 {
			dst[n-1] = values[raw[n/2]&15]
		}
		return
	}
	mask := uint32(1)<<c.bits - 1
	for i := range dst {
		at := (col+int64(i))*c.bits - first*32
		if c.each != 0 {
			n := col + int64(i)
			at = (n/c.each-first)*32 + n%c.each*c.bits
		}
		v := uint32(raw[at>>3])
		if at&7+c.bits > 8 {
			v |= uint32(raw[at>>3+1]) << 8
		}
		dst[i] = float32(v>>(at&7)&mask) - c.offset
	}
}

// column reads integers that are packed along the other dimension: those of a
// row, in n columns from col on. The part is [words, columns].
func (c *packedRows) column(b *buffers, dst []float32, row, col int64) error {
	mask := uint64(1)<<c.bits - 1
	word := c.word(row)
	n := int64(len(dst))
	low, err := c.bytes(&b.raw, (word*c.cols+col)*4, n*4)
	if err != nil {
		return err
	}
	at := row*c.bits - word*32
	if c.each != 0 {
		at = row % c.each * c.bits
	}
	var high []byte
	if at+c.bits > 32 {
		if high, err = c.bytes(&b.scratch, ((word+1)*c.cols+col)*4, n*4); err != nil {
			return err
		}
	}
	for i := range dst {
		v := uint64(le32(low[4*i:]))
		if high != nil {
			v |= uint64(le32(high[4*i:])) << 32
		}
		dst[i] = float32(v>>at&mask) - c.offset
	}
	return nil
}

func le32(b []byte) uint32 {
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}

// newPackedRows holds packed integers against what they are to be.
func newPackedRows(p *part, rows, cols, bits int64) (*packedRows, error) {
	c := &packedRows{part: p, rows: rows, cols: cols, bits: bits}
	shape, n, ok := dims(p.Shape)
	if !ok || len(shape) < 2 || n == 0 || bits < 1 || bits > 8 || n/shape[len(shape)-1] != rows {
		return nil, fault(p.Name, ErrShape, "%d for %d rows of %d integers of %d bits", p.Shape, rows, cols, bits)
	}
	c.words = shape[len(shape)-1]
	switch each := 32 / bits; c.words {
	case ceil(cols*bits, 32): // of compressed-tensors today, and of MLX
	case ceil(cols, each): // of compressed-tensors before
		c.each = each
	default:
		return nil, fault(p.Name, ErrShape, "%d for %d rows of %d integers of %d bits", p.Shape, rows, cols, bits)
	}
	return c, nil
}
