package quant

import "slices"

// aqlm is additive quantisation (arXiv 2401.06118): small tiles of the weight,
// each a sum of one vector from every code book, scaled by its row of tiles.
type aqlm struct {
	codes, books *part
	scale        *part  // of each row of tiles, or nil
	down, across int64  // tiles
	high, wide   int64  // of a tile
	count, size  int64  // of code books, and of vectors in one
	mask         uint64 // of a code, which is stored with a sign
}

// maxBooks is how many numbers of code books a reader keeps. Models in use have
// 2^16 vectors of 8, or twice that.
const maxBooks = 1 << 22

func newAQLM(c *companions) (decoder, []uint64, error) {
	shape, m, err := c.shape()
	if err != nil {
		return nil, nil, err
	}
	q := &aqlm{}
	if q.codes, err = c.packed(); err != nil {
		return nil, nil, err
	}
	if q.books, err = c.need("code book"); err != nil {
		return nil, nil, err
	}
	codes, _, ok := dims(q.codes.Shape)
	books, n, ok2 := dims(q.books.Shape)
	if !ok || !ok2 || len(codes) != 3 || len(books) != 4 || codes[2] != books[0] || n == 0 || m.rows != codes[0]*books[2] || m.cols != codes[1]*books[3] {
		return nil, nil, fault(q.books.Name, ErrShape, "%d for codes of %d", q.books.Shape, q.codes.Shape)
	}
	if n > maxBooks || books[1]&(books[1]-1) != 0 {
		return nil, nil, fault(q.books.Name, ErrScheme, "%d vectors in a code book of %d numbers", books[1], n)
	}
	if !isFloat(q.books.DType) {
		return nil, nil, fault(q.books.Name, ErrDType, "%s holds no vectors", q.books.DType)
	}
	q.down, q.across, q.high, q.wide, q.count, q.size = codes[0], codes[1], books[2], books[3], books[0], books[1]
	q.mask = uint64(books[1] - 1)
	if width := q.codes.DType.Bits(); books[1] > 1<<min(width, 32) {
		return nil, nil, fault(q.books.Name, ErrShape, "%d vectors for codes of %d bits", books[1], width)
	}
	if q.scale, ok, err = c.find("scale"); err != nil {
		return nil, nil, err
	} else if ok && (!isFloat(q.scale.DType) || !slices.Equal(q.scale.Shape, []uint64{uint64(q.down), 1, 1, 1})) {
		return nil, nil, fault(q.scale.Name, ErrShape, "%s %d for %d rows of tiles", q.scale.DType, q.scale.Shape, q.down)
	}
	return q, shape, nil
}

func (q *aqlm) step() int64 { return rowsStep }

func (q *aqlm) decode(b *buffers, dst []float32, first int64) error {
	if b.kept != q.books {
		b.books, b.kept = make([]float32, q.books.count), q.books
		if err := q.books.numbers(&b.raw, b.books, 0); err != nil {
			b.books, b.kept = nil, nil
			return err
		}
	}
	cols := q.across * q.wide
	for len(dst) > 0 {
		row, col := first/cols, first%cols
		n := min(int64(len(dst)), cols-col)
		if err := q.row(b, dst[:n], row, col); err != nil {
			return err
		}
		dst, first = dst[n:], first+n
	}
	return nil
}

// row computes a part of one row.
func (q *aqlm) row(b *buffers, dst []float32, row, col int64) error {
	tile, inside := row/q.high, row%q.high
	from, to := col/q.wide, (col+int64(len(dst))-1)/q.wide+1
	width := int64(q.codes.DType.Bits() / 8)
	raw, err := q.codes.bytes(&b.raw, (tile*q.across+from)*q.count*width, (to-from)*q.count*width)
	if err != nil {
		return err
	}
	clear(dst)
	at := col % q.wide
	for t, i := int64(0), int64(0); i < int64(len(dst)); t++ {
		run := dst[i:min(int64(len(dst)), i+q.wide-at)]
		for k := range q.count {
			code := uint64(0)
			for j := range width {
				code |= uint64(raw[(t*q.count+k)*width+j]) << (8 * j)
			}
			vector := b.books[((k*q.size+int64(code&q.mask))*q.high+inside)*q.wide+at:]
			for j := range run {
				run[j] += vector[j]
			}
		}
		i, at = i+int64(len(run)), 0
	}
	// The library adds up in the type of the code books.
	if err := roundTo(b, dst, q.books.DType); err != nil {
		return err
	}
	if q.scale == nil {
		return nil
	}
	var s [1]float32
	if err := q.scale.numbers(&b.raw, s[:], tile); err != nil {
		return err
	}
	multiply(dst, s[0])
	return nil
}
