package quant

import (
	"encoding/json"
	"math"

	"github.com/tensmith/tensmith/describe"
	"github.com/tensmith/tensmith/numeric"
	"github.com/tensmith/tensmith/safetensors"
)

// e2m1 is the values of F4.
var e2m1 = [16]float32{0, 0.5, 1, 1.5, 2, 3, 4, 6,
	float32(math.Copysign(0, -1)), -0.5, -1, -1.5, -2, -3, -4, -6}

// The code books of bitsandbytes, for files that leave quant_map out: NF4 is
// that of QLoRA (arXiv 2305.14314, appendix E), FP4 has 1/192 where E2M1 has
// its smallest value, and another order.
var (
	nf4Codes = [16]float32{
		-1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
		-0.18477343022823334, -0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725,
		0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1,
	}
	fp4Codes = [16]float32{0, 0.0625 / 12, 8. / 12, 1, 4. / 12, 6. / 12, 2. / 12, 3. / 12,
		0, -0.0625 / 12, -8. / 12, -1, -4. / 12, -6. / 12, -2. / 12, -3. / 12}
)

// A quantState is the JSON in quant_state.bitsandbytes__nf4, one U8 a letter.
type quantState struct {
	Type        string   `json:"quant_type"`
	Block       int64    `json:"blocksize"`
	DType       string   `json:"dtype"`
	Shape       []uint64 `json:"shape"`
	NestedBlock int64    `json:"nested_blocksize"`
	NestedDType string   `json:"nested_dtype"`
	Offset      float32  `json:"nested_offset"`
}

// maxState is more than a quant_state has.
const maxState = 4096

// readState reads a quant_state.
func readState(p *part) (s quantState, err error) {
	if p.DType != safetensors.U8 || p.count > maxState {
		return s, fault(p.Name, ErrShape, "%s %d is no text", p.DType, p.Shape)
	}
	text := make([]byte, p.count)
	if err := p.readFull(text, 0); err != nil {
		return s, err
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return s, fault(p.Name, ErrValue, "%v", err)
	}
	if s.Block < 1 || s.NestedBlock < 0 {
		return s, fault(p.Name, ErrValue, "blocks of %d", s.Block)
	}
	return s, nil
}

// fourBit is NF4 and FP4: codes two a byte, the first in the high half, scaled
// by the largest magnitude of their block. Blocks run over the weights as they
// lie, whatever their shape.
type fourBit struct {
	weight, absmax *part
	count          int64
	block          int64
	book           [16]float32

	// Where the largest magnitudes are packed themselves, as codes of a byte:
	nested      *part
	nestedBlock int64
	nestedBook  []float32 // of 256
	offset      float32
}

func (q *fourBit) step() int64 { return rowsStep }

func (q *fourBit) decode(b *buffers, dst []float32, first int64) error {
	n := int64(len(dst))
	raw, err := q.weight.bytes(&b.raw, first/2, (first+n+1)/2-first/2)
	if err != nil {
		return err
	}
	for i := range dst {
		dst[i] = q.book[raw[i/2]>>(4-4*(i&1))&15] // first is even
	}
	from, to := first/q.block, (first+n-1)/q.block+1
	scale := grow(&b.scale, to-from)
	if err := q.scales(b, scale, from); err != nil {
		return err
	}
	for len(dst) > 0 {
		run := dst[:min(int64(len(dst)), q.block-first%q.block)]
		multiply(run, scale[first/q.block-from])
		dst, first = dst[len(run):], first+int64(len(run))
	}
	return nil
}

// scales reads the largest magnitudes of blocks from first on.
func (q *fourBit) scales(b *buffers, dst []float32, first int64) error {
	if q.nested == nil {
		return q.absmax.numbers(&b.raw, dst, first)
	}
	n := int64(len(dst))
	codes, err := q.absmax.bytes(&b.scratch, first, n)
	if err != nil {
		return err
	}
	from := first / q.nestedBlock
	outer := grow(&b.zero, (first+n-1)/q.nestedBlock-from+1)
	if err := q.nested.numbers(&b.raw, outer, from); err != nil {
		return err
	}
	for i, c := range codes {
		s := outer[(first+int64(i))/q.nestedBlock-from]
		dst[i] = float32(q.nestedBook[c]*s) + q.offset
	}
	return nil
}

// newFourBit holds NF4 or FP4 against its companions.
func newFourBit(c *companions) (decoder, []uint64, error) {
	weight, err := c.packed()
	if err != nil {
		return nil, nil, err
	}
	state, err := c.need("quant state")
	if err != nil {
		return nil, nil, err
	}
	s, err := readState(state)
	if err != nil {
		return nil, nil, err
	}
	// They may be stored in the bytes of a float.
	weight.count *= int64(weight.DType.Bits() / 8)
	weight.DType = safetensors.U8
	_, n, ok := dims(s.Shape)
	if !ok || n == 0 || ceil(n, 2) != weight.count {
		return nil, nil, fault(weight.Name, ErrShape, "%d bytes for the %d of its quant_state", weight.count, s.Shape)
	}
	q := &fourBit{weight: weight, count: n, block: s.Block, book: nf4Codes}
	if c.t.Packing.Scheme == describe.FP4 {
		q.book = fp4Codes
	}
	if book, ok, err := c.find("code book"); err != nil {
		return nil, nil, err
	} else if ok {
		if book.count != 16 || book.DType != safetensors.F32 {
			return nil, nil, fault(book.Name, ErrShape, "%s %d is no code book of 16", book.DType, book.Shape)
		}
		var buf []byte
		if err := book.numbers(&buf, q.book[:], 0); err != nil {
			return nil, nil, err
		}
	}
	if q.absmax, err = c.need("absmax"); err != nil {
		return nil, nil, err
	}
	if q.absmax.count != ceil(n, q.block) {
		return nil, nil, fault(q.absmax.Name, ErrShape, "%d for %d weights in blocks of %d", q.absmax.Shape, n, q.block)
	}
	nested, ok, err := c.find("nested absmax")
	switch {
	case err != nil:
		return nil, nil, err
	case !ok && (q.absmax.DType == safetensors.F32 || q.absmax.DType == safetensors.F16 || q.absmax.DType == safetensors.BF16):
		return q, s.Shape, nil
	case !ok || q.absmax.DType != safetensors.U8:
		return nil, nil, fault(q.absmax.Name, ErrDType, "%s where the companion nested_absmax tells", q.absmax.DType)
	}
	q.nested, q.nestedBlock, q.offset = nested, s.NestedBlock, s.Offset
	if s.NestedBlock < 1 || nested.count != ceil(q.absmax.count, max(1, s.NestedBlock)) || nested.DType != safetensors.F32 {
		return nil, nil, fault(nested.Name, ErrShape, "%s %d for %d in blocks of %d", nested.DType, nested.Shape, q.absmax.count, s.NestedBlock)
	}
	book, err := c.need("nested code book")
	if err != nil {
		return nil, nil, err
	}
	if book.count != 256 || book.DType != safetensors.F32 {
		return nil, nil, fault(book.Name, ErrShape, "%s %d is no code book of 256", book.DType, book.Shape)
	}
	q.nestedBook = make([]float32, 256)
	var buf []byte
	return q, s.Shape, book.numbers(&buf, q.nestedBook, 0)
}

// bitNet is ternary weights, four a byte: those of a byte are a quarter of the
// rows apart, the first in the lowest bits.
type bitNet struct {
	weight     *part
	rows, cols int64 // of the bytes
	scale      float32
	divide     bool
}

func (q *bitNet) step() int64 { return rowsStep }

func (q *bitNet) decode(b *buffers, dst []float32, first int64) error {
	size := q.rows * q.cols
	for len(dst) > 0 {
		n := min(int64(len(dst)), size-first%size)
		raw, err := q.weight.bytes(&b.raw, first%size, n)
		if err != nil {
			return err
		}
		shift := first / size * 2
		for i, v := range raw {
			dst[i] = float32(int(v>>shift&3) - 1)
		}
		if q.divide {
			for i := range dst[:n] {
				dst[i] /= q.scale
			}
		} else {
			multiply(dst[:n], q.scale)
		}
		dst, first = dst[n:], first+n
	}
	return nil
}

// decodePart widens elements of a part that have been read.
func decodePart(p *part, dst []float32, raw []byte) error {
	if err := numeric.Decode(dst, p.DType, raw); err != nil {
		return &Error{Tensor: p.Name, Err: err}
	}
	return nil
}
